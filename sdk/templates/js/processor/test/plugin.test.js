import assert from "node:assert/strict";
import test from "node:test";
import { edit } from "ocr-plugin";
import { PageBuilder, process } from "ocr-plugin/testing";
import MyPlugin from "../src/index.js";

test("words are replaced", () => {
  const page = new PageBuilder().span("heading", "Other").span("paragraph", "Off teh coast");
  const { pages } = process(MyPlugin, [page]);
  assert.deepEqual(pages[0], [edit.setText(1, "Off the coast")]);
});
