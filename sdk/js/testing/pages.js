/** Pages made in memory, block by block. */

import { quadOf } from "../data.js";

const bytesOf = (text) => new TextEncoder().encode(text).length;

/** An A4 page of 595 x 842 px, to which blocks are added in reading order. */
export class PageBuilder {
  #text = "";
  #bytes = 0;
  #labels = [];
  #spans = [];
  #lines = [];
  #words = [];
  #cells = [];
  #markdown = null;
  #raw = "";

  constructor(number = 1, info = {}) {
    this.info = {
      index: Math.max(0, number - 1),
      number,
      part: null,
      outcome: "complete",
      recovery: "none",
      width: 595,
      height: 842,
      widthPoints: 595,
      heightPoints: 842,
      toSource: [1, 0, 0, -1, 0, 842],
      language: null,
      engine: "",
      diagnostics: [],
      ...info,
    };
  }

  #slice(text) {
    const slice = { start: this.#bytes, len: bytesOf(text) };
    this.#text += text;
    this.#bytes += slice.len;
    return slice;
  }

  /** Adds a block after the others in reading order. Without an area it sits below the last one, 20 px high. */
  span(kind, text, { level = 0, markup = "", parent = null, area, confidence = 0.9, label = kind } = {}) {
    const order = this.#spans.length;
    if (!this.#labels.includes(label)) this.#labels.push(label);
    const top = 20 + 30 * order;
    this.#spans.push({
      kind,
      label: this.#labels.indexOf(label),
      level,
      order,
      parent,
      area: area ?? { x0: 50, y0: top, x1: 545, y1: top + 20 },
      confidence,
      text: this.#slice(text),
      markup: this.#slice(markup),
    });
    return this;
  }

  /** Adds a line to the block added last, with one word for each of its words, spread over its area. */
  line(text, { area, confidence = null } = {}) {
    const span = this.#spans.length - 1;
    const box = area ?? this.#spans[span].area;
    const whole = this.#slice(text);
    const line = this.#lines.push({ span, outline: quadOf(box), confidence, text: whole }) - 1;
    const x = (byte) => box.x0 + Math.floor(((box.x1 - box.x0) * byte) / Math.max(1, whole.len));
    let at = 0;
    for (const word of text.split(" ")) {
      const len = bytesOf(word);
      const outline = quadOf({ ...box, x0: x(at), x1: x(at + len) });
      if (len > 0) this.#words.push({ line, outline, confidence, text: { start: whole.start + at, len } });
      at += len + 1;
    }
    return this;
  }

  /** Adds a cell to the block added last. */
  cell(row, column, text, { kind = "data", rowSpan = 1, columnSpan = 1 } = {}) {
    const table = this.#spans.length - 1;
    const place = { table, kind, row, column, rowSpan, columnSpan };
    this.#cells.push({ ...place, area: null, confidence: null, text: this.#slice(text) });
    return this;
  }

  /** Sets the markdown: pieces, those of a span as `[index, text]`. Without it, the blocks' texts parted by empty lines. */
  markdown(...pieces) {
    let text = "";
    const anchors = [];
    for (const piece of pieces) {
      const [span, part] = typeof piece === "string" ? [null, piece] : piece;
      if (span !== null) anchors.push({ span, start: bytesOf(text), len: bytesOf(part) });
      text += part;
    }
    this.#markdown = [text, anchors];
    return this;
  }

  /** Sets the model's raw output. */
  rawOutput(raw) {
    this.#raw = raw;
    return this;
  }

  /** The page as the contract's resource. */
  lentBy(host) {
    const bytes = new TextEncoder().encode(this.#text);
    const part = ({ start, len }) => new TextDecoder().decode(bytes.subarray(start, start + len));
    if (this.#markdown === null) {
      this.markdown(...this.#spans.flatMap(({ text }, i) => [...(i > 0 ? ["\n\n"] : []), [i, part(text)]]));
    }
    return {
      info: () => this.info,
      text: () => this.#text,
      labels: () => this.#labels,
      spans: () => this.#spans,
      lines: () => this.#lines,
      words: () => this.#words,
      cells: () => this.#cells,
      markdown: () => this.#markdown,
      raw: () => this.#raw,
      raster: () => host.raster(this.info),
    };
  }
}
