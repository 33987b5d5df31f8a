import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Arena } from "../arena.js";
import { lower } from "../component.js";
import {
  Canvas, ConfigError, Denied, Encrypted, Failed, HostError, InvalidInput, QuotaReached, Source, edit, output, pdf,
} from "../index.js";
import { PageBuilder, format, openInput, pixels, process } from "../testing/index.js";

/** Texts with characters of 1 to 4 bytes, lone halves, and every length around the table's steps. */
function texts() {
  const alphabet = ["a", "é", "猫", "𝄞", "\ud800", "👨‍👩‍👧", "\n"];
  let seed = 1;
  const next = (n) => (seed = (seed * 48271) % 2147483647) % n;
  return Array.from({ length: 400 }, (_, i) => {
    const only = i % 4 === 0 ? ["a"] : alphabet;
    return Array.from({ length: next(200) }, () => only[next(only.length)]).join("");
  });
}

test("byte ranges are mapped to UTF-16", () => {
  for (const text of texts()) {
    const arena = new Arena(text);
    let byte = 0;
    const starts = [];
    for (const char of text) {
      starts.push([byte, starts.length === 0 ? 0 : starts.at(-1)[1] + starts.at(-1)[2], char.length]);
      byte += Buffer.byteLength(char);
    }
    starts.push([byte, text.length, 0]);
    for (const [start, unit] of starts) {
      assert.equal(arena.byteOf(unit), start);
      for (const [end, to] of starts.slice(-3)) {
        if (end > start) assert.equal(arena.slice({ start, len: end - start }), text.slice(unit, to));
      }
    }
    assert.equal(arena.slice({ start: 0, len: byte }), text);
  }
});

test("enumerations and fields are those of the contract", () => {
  const wit = readFileSync(new URL("../../../wit/v0.1.0/types.wit", import.meta.url), "utf8").replace(/\/\/\/.*/g, "");
  const types = readFileSync(new URL("../index.d.ts", import.meta.url), "utf8");
  const camel = (name) => name.replace(/-(.)/g, (_, c) => c.toUpperCase());
  const pascal = (name) => camel(`-${name}`);
  let seen = 0;
  for (const [, name, body] of wit.matchAll(/enum ([a-z-]+) \{([^}]*)\}/g)) {
    const ours = types.match(new RegExp(`export type ${pascal(name)} =([^;]*);`))[1];
    assert.deepEqual(ours.match(/[a-z0-9-]+/g), body.match(/[a-z0-9-]+/g), name);
    seen += 1;
  }
  for (const name of ["rect", "point", "quad", "slice", "diagnostic", "doc-info", "page-info"]) {
    const body = wit.match(new RegExp(`record ${name} \\{([^}]*)\\}`))[1];
    const ours = types.match(new RegExp(`export interface ${pascal(name)} \\{([^}]*)\\}`))[1].replace(/\/\*\*.*?\*\//g, "");
    const fields = [...body.matchAll(/([a-z0-9-]+): /g)].map(([, field]) => camel(field));
    assert.deepEqual([...ours.matchAll(/([A-Za-z0-9]+)\??: /g)].map(([, field]) => field), fields, name);
    seen += 1;
  }
  assert.equal(seen, 13);
});

class Everything {
  constructor(doc, { mark = "*" }) {
    this.out = output.main();
    this.mark = mark;
    this.doc = doc;
  }

  page(page) {
    const cut = page.spans.at(-1);
    this.out.write(`${this.mark} ${this.doc.name} ${page.info.number}\n`);
    for (const span of page.readingOrder()) this.out.write(`${span.kind} ${span.label} ${span.text}|${span.markup}\n`);
    for (const word of page.words) this.out.write(`[${word.text}]`);
    for (const cell of page.cellsOf(cut)) this.out.write(`(${cell.row},${cell.column} ${cell.text})`);
    for (const anchor of page.anchors) this.out.write(`<${anchor.span}:${anchor.text}>`);
    this.out.writeImage(page.raster().crop({ x0: 0, y0: 0, x1: 7, y1: 9 }).rotate(-1), "jpeg");
    const further = output.create("a.txt", "text/plain");
    further.write(Uint8Array.of(1, 2));
    this.out.write(further.name);
  }
}

const page = () =>
  new PageBuilder(3)
    .span("heading", "Grüezi 👋 wohl", { level: 1 })
    .line("Grüezi 👋 wohl")
    .span("formula", "x²", { markup: "x^2", label: "eq" })
    .span("table", "")
    .cell(0, 1, "Käse");

test("a formatter reads pages and writes files", () => {
  const run = format(Everything, [page()], { config: { mark: "#" }, doc: { name: "ä.pdf" } });
  assert.equal(
    run.main,
    "# ä.pdf 3\nheading heading Grüezi 👋 wohl|\nformula eq x²|x^2\ntable table |\n" +
      "[Grüezi][👋][wohl](0,1 Käse)<0:Grüezi 👋 wohl><1:x²><2:><jpeg 9x7>main.files/a.txt",
  );
  assert.deepEqual(run.files.get("main.files/a.txt"), Uint8Array.of(1, 2));
});

test("long texts are split between characters", () => {
  class Long {
    page() {
      output.main().write("x".repeat(87380) + "👋".repeat(9));
    }
  }
  const run = format(Long, [page()]);
  assert.equal(run.main, "x".repeat(87380) + "👋".repeat(9));
});

test("what the host refuses is an error of its own", () => {
  assert.throws(() => format(Everything, [page()], { grants: { raster: false } }), Denied);
  assert.throws(() => format(Everything, [page()], { grants: { files: false } }), HostError);
  class Pdf {
    constructor(source) {
      pdf.Document.open(source);
    }
  }
  assert.throws(() => openInput(Pdf, "a.pdf", new Uint8Array()), Denied);
});

test("edits name spans by object or index", () => {
  class Shout {
    process(page) {
      const [first] = page.spans;
      return [
        edit.setText(first, first.text.toUpperCase()),
        edit.setParent(1, first),
        edit.redactText(page.bytesOf(7, 9)),
        edit.setCells(2, [{ row: 0, column: 0, text: "a" }]),
      ];
    }
  }
  const { pages, document } = process(Shout, [page()]);
  assert.deepEqual(document, []);
  assert.deepEqual(pages[0], [
    { tag: "set-text", val: [0, "GRÜEZI 👋 WOHL"] },
    { tag: "set-parent", val: [1, 0] },
    { tag: "redact-text", val: [8, 4] },
    { tag: "set-cells", val: [2, [{ kind: "data", rowSpan: 1, columnSpan: 1, area: null, row: 0, column: 0, text: "a" }]] },
  ]);
});

test("an adapter reads sources and draws", () => {
  class Gray {
    constructor(source, { config, password }) {
      Object.assign(this, { source, config, password });
    }

    info() {
      return { name: this.source.name, mediaType: "image/x-gray" };
    }

    read(index) {
      if (index > 0) return null;
      const canvas = new Canvas(2, 2, "gray8");
      canvas.writeRows(1, this.source.window("part", 1, 2).readAll());
      return { image: canvas.finish(), dpi: 72 };
    }
  }
  const opened = openInput(Gray, "a.gray", Uint8Array.of(9, 0, 7), { password: "s" });
  assert.equal(opened.password, "s");
  assert.deepEqual([...pixels(opened.read(0, 72).image).rows], [255, 255, 255, 255, 255, 255, 0, 0, 0, 7, 7, 7]);
  assert.equal(opened.read(1, 72), null);
  assert.throws(() => Source.fromBytes("x", Uint8Array.of(1)).window("y", 1, 1), HostError);
});

test("images are given back at the end of a call unless they are kept", () => {
  const kept = [];
  class Crops {
    page(page) {
      kept.push(page.raster().crop({ x0: 0, y0: 0, x1: 1, y1: 1 }), page.raster().crop({ x0: 0, y0: 0, x1: 1, y1: 1 }).keep());
      assert.equal(kept.at(-2).readRows(0, 1).length, 3);
    }
  }
  format(Crops, [page()]);
  assert.throws(() => kept[0].readRows(0, 1), TypeError);
  assert.equal(kept[1].readRows(0, 1).length, 3);
});

test("errors become the contract's", () => {
  format(class { page() {} }, []);
  assert.deepEqual(lower(new InvalidInput("torn")), { tag: "invalid-input", val: "torn" });
  assert.deepEqual(lower(new QuotaReached("memory", 2, 1)), {
    tag: "host",
    val: { tag: "quota", val: { what: "memory", limit: 2, used: 1 } },
  });
  assert.equal(lower(new Failed("no-luck", "why", { page: 2 })).val.page, 2);
  assert.equal(lower(new Encrypted()).val.code, "encrypted");
  assert.deepEqual(lower(new ConfigError("setting `a`: no")).val[0].message, "setting `a`: no");
  assert.match(lower(new RangeError("beyond")).message, /^RangeError: beyond \(at /);
});
