/**
 * One recognised page, fetched from the host piece by piece and each piece once. A formatter that only reads `page.markdown` pays for
 * nothing else. Texts of blocks, lines, words and cells are byte ranges of one UTF-8 arena in the contract; here they are strings:
 * `span.text`.
 */

import { Arena } from "./arena.js";
import { call } from "./host.js";
import { Image } from "./image.js";

/** Something on a page that has a place in a list and text in the arena. */
class Item {
  #raw;
  #arena;

  constructor(raw, index, arena) {
    this.#raw = raw;
    this.#arena = arena;
    const { text, markup, label, ...plain } = raw;
    Object.assign(this, plain, { index });
  }

  get text() {
    return this.#arena.slice(this.#raw.text);
  }

  get textSlice() {
    return this.#raw.text;
  }
}

/** One block of content. */
export class Span extends Item {
  #markup;
  #arena;

  constructor(raw, index, arena, labels) {
    super(raw, index, arena);
    this.#arena = arena;
    this.#markup = raw.markup;
    this.label = labels[raw.label] ?? "";
  }

  get markup() {
    return this.#arena.slice(this.#markup);
  }
}

/** One line of text inside a span. */
export class Line extends Item {}

/** One word of a line. */
export class Word extends Item {}

/** One cell of a table. */
export class Cell extends Item {}

/** A recognised page, valid for the call that lends it. */
export class Page {
  #raw;
  #parts = {};

  constructor(raw) {
    this.#raw = raw;
  }

  /** Gives the page back at the end of the call that lent it; what was read of it stays readable. */
  giveBack() {
    this.#raw?.[Symbol.dispose]?.();
    this.#raw = undefined;
  }

  get #lent() {
    if (this.#raw === undefined) throw new Error("a page can be read until the call that lent it returns; keep what you need of it");
    return this.#raw;
  }

  #part(name, get) {
    if (!(name in this.#parts)) this.#parts[name] = get(this.#lent);
    return this.#parts[name];
  }

  #items(name, Kind) {
    return this.#part(name, (raw) => raw[name]().map((item, i) => new Kind(item, i, this.#arena, this.labels)));
  }

  get #arena() {
    return this.#part("arena", (raw) => new Arena(raw.text()));
  }

  get info() {
    return this.#part("info", (raw) => raw.info());
  }

  get text() {
    return this.#arena.text;
  }

  get labels() {
    return this.#part("labels", (raw) => raw.labels());
  }

  get spans() {
    return this.#items("spans", Span);
  }

  readingOrder() {
    return this.spans.toSorted((a, b) => a.order - b.order);
  }

  get lines() {
    return this.#items("lines", Line);
  }

  get words() {
    return this.#items("words", Word);
  }

  get cells() {
    return this.#items("cells", Cell);
  }

  linesOf(span) {
    return this.lines.filter((line) => line.span === span.index);
  }

  wordsOf(line) {
    return this.words.filter((word) => word.line === line.index);
  }

  cellsOf(table) {
    return this.cells.filter((cell) => cell.table === table.index);
  }

  get markdown() {
    return this.#part("markdown", (raw) => raw.markdown())[0];
  }

  get anchors() {
    return this.#part("anchors", () => {
      const arena = new Arena(this.markdown);
      const [, anchors] = this.#parts.markdown;
      return anchors.map(({ span, start, len }) => ({ span, start, len, text: arena.slice({ start, len }) }));
    });
  }

  get raw() {
    return this.#part("raw", (raw) => raw.raw());
  }

  raster() {
    return new Image(call(() => this.#lent.raster()));
  }

  /** The bytes of the arena that `text.slice(from, to)` are: what `edit.redactText` wants. */
  bytesOf(from, to) {
    const start = this.#arena.byteOf(from);
    return { start, len: this.#arena.byteOf(to) - start };
  }
}
