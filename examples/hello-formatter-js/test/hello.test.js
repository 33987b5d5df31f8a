import assert from "node:assert/strict";
import test from "node:test";
import { PageBuilder, format } from "ocr-plugin/testing";
import Hello from "../src/index.js";

test("pages become text", () => {
  const page = new PageBuilder(7).span("paragraph", "Grüezi 👋").span("paragraph", "wohl");
  assert.equal(format(Hello, [page], { config: { rule: "==" } }).main, "== page 7\nGrüezi 👋\nwohl\n");
});

test("failed pages say so", () => {
  const page = new PageBuilder(1, { outcome: "failed" });
  assert.equal(format(Hello, [page]).main, "---- page 1\n(this page could not be read)\n");
});
