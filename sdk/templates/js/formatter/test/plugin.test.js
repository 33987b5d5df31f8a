import assert from "node:assert/strict";
import test from "node:test";
import { PageBuilder, format } from "ocr-plugin/testing";
import MyPlugin from "../src/index.js";

test("pages become text", () => {
  const page = new PageBuilder(7).span("paragraph", "Grüezi");
  const run = format(MyPlugin, [page], { config: { rule: "==" } });
  assert.equal(run.main, "== page 7\nGrüezi\n");
});
