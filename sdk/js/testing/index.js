/**
 * Run a plugin in a unit test, against a host that lives in memory.
 *
 *     const page = new PageBuilder(1).span("paragraph", "Grüezi");
 *     assert.equal(format(Hello, [page]).main, "Grüezi\n");
 *
 * What a plugin throws reaches the test as it is. Settings that a test does not give have the defaults of the package.json in the
 * present folder, as the host fills them in.
 */

import { readFileSync } from "node:fs";
import { bind, withinCall } from "../host.js";
import { Page } from "../page.js";
import { Source } from "../source.js";
import { MemorySource, State, joined } from "./host.js";

export { PageBuilder } from "./pages.js";

const DOC = { name: "test.png", mediaType: "image/png", pages: null, selected: null, sha256: null, title: null };

function begin(grants) {
  const state = new State(grants);
  bind(state.interfaces());
  return state;
}

function settings(given) {
  let described = {};
  try {
    described = JSON.parse(readFileSync("package.json", "utf8"))["ocr-host"]?.config ?? {};
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  const known = Object.entries(described).filter(([, schema]) => "default" in schema);
  return { ...Object.fromEntries(known.map(([key, schema]) => [key, schema.default])), ...given };
}

/** Runs a formatter over pages. */
export function format(plugin, pages, { config, doc, grants } = {}) {
  const state = begin(grants);
  const formatter = withinCall(() => new plugin({ ...DOC, ...doc }, settings(config)));
  for (const page of pages) withinCall(() => formatter.page(new Page(page.lentBy(state))));
  withinCall(() => formatter.finish?.());
  const files = new Map([...state.files].map(([name, pieces]) => [name, joined(pieces)]));
  const main = new TextDecoder().decode(files.get("main") ?? new Uint8Array());
  return { main, files, diagnostics: state.diagnostics, log: state.log };
}

/** Runs a processor over pages; the edits are answered, not made. */
export function process(plugin, pages, { config, doc, grants } = {}) {
  const state = begin(grants);
  const processor = withinCall(() => new plugin({ ...DOC, ...doc }, settings(config)));
  const document = withinCall(() => processor.editDocument?.() ?? []);
  const edits = pages.map((page) => withinCall(() => processor.process(new Page(page.lentBy(state)))));
  return { document, pages: edits, diagnostics: state.diagnostics, log: state.log };
}

/** Opens an input with an adapter; read its pages by `read`. */
export function openInput(plugin, name, bytes, { config, password, grants } = {}) {
  begin(grants);
  return new plugin(new Source(new MemorySource(name, bytes)), { config: settings(config), password });
}

/** An image's size and its RGB rows, whatever the grants. */
export function pixels(image) {
  const { state } = image.raw;
  const granted = state.grants.rows;
  state.grants.rows = true;
  try {
    return { width: image.width, height: image.height, rows: image.raw.readRows(0, image.height, "rgb8") };
  } finally {
    state.grants.rows = granted;
  }
}
