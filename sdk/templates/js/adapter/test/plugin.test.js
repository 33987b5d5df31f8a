import assert from "node:assert/strict";
import test from "node:test";
import { InvalidInput } from "ocr-plugin";
import { openInput, pixels } from "ocr-plugin/testing";
import MyPlugin from "../src/index.js";

const bytes = (header, ...rest) => Uint8Array.of(...new TextEncoder().encode(header), ...rest);

test("an image is read", () => {
  const data = bytes("P5 2 1 255\n", 0, 255);
  assert.equal(MyPlugin.sniff("a.pgm", data), 80);
  const opened = openInput(MyPlugin, "a.pgm", data);
  assert.deepEqual([...pixels(opened.read(0, 96).image).rows], [0, 0, 0, 255, 255, 255]);
  assert.equal(opened.read(1, 96), null);
});

test("a cut file says so", () => {
  assert.throws(() => openInput(MyPlugin, "a.pgm", bytes("P5 2 2 255\n", 0, 255)).read(0, 96), InvalidInput);
});
