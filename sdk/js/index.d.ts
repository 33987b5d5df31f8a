/** Types of ocr-plugin. The contract's records are plain objects with camel-case fields; its enumerations are strings. */

/** Settings by name: the host has checked them against the schema in package.json and filled its defaults in. */
export type Config = Record<string, any>;

export type BlockKind =
  | "title" | "heading" | "paragraph" | "list-item" | "table" | "formula" | "figure" | "caption" | "header" | "footer"
  | "page-number" | "footnote" | "code" | "other";
export type CellKind = "data" | "column-header" | "row-header" | "row-section";
/** What became of a page's text. */
export type Outcome = "complete" | "truncated" | "repetition" | "failed";
/** How a page's text was won. */
export type Recovery = "none" | "retried" | "fallback";
export type Severity = "note" | "warning" | "error";
/** What the host counts for each plugin. */
export type Quota =
  | "memory" | "time" | "output-bytes" | "output-files" | "file-bytes" | "host-calls" | "call-bytes" | "handles" | "log-bytes"
  | "image-bytes" | "gpu";
export type PixelFormat = "gray8" | "rgb8" | "rgba8";
export type Encoding = "png" | "jpeg" | "webp";

/** A half-open rectangle in pixels, from the raster's top left. */
export interface Rect { x0: number; y0: number; x1: number; y1: number }
export interface Point { x: number; y: number }
/** Four corners, clockwise from the text's own top left. */
export interface Quad { a: Point; b: Point; c: Point; d: Point }
/** A UTF-8 byte range of a page's arena. */
export interface Slice { start: number; len: number }

/** One message about a page or a document; `code` is for programs, `message` for people. */
export interface Diagnostic { severity: Severity; code: string; message: string; page: number | null; area: Rect | null }

export interface DocInfo {
  name: string;
  mediaType: string;
  pages?: number | null;
  selected?: number | null;
  sha256?: string | null;
  title?: string | null;
}

export interface PageInfo {
  index: number;
  /** The page's number in its source, from 1. */
  number: number;
  part: string | null;
  outcome: Outcome;
  recovery: Recovery;
  width: number;
  height: number;
  widthPoints: number;
  heightPoints: number;
  /** Affine map (a, b, c, d, e, f) from raster pixels to source points, whose origin is the page's bottom left. */
  toSource: [number, number, number, number, number, number];
  language: string | null;
  engine: string;
  diagnostics: Diagnostic[];
}

interface Item {
  /** Its index in the page's list. */
  readonly index: number;
  readonly text: string;
  /** The UTF-8 bytes of `page.text` that are its text. */
  readonly textSlice: Slice;
  /** How sure the engine is, 0 to 1; null where it does not say. */
  readonly confidence: number | null;
}

/** One block of content. */
export interface Span extends Item {
  readonly kind: BlockKind;
  /** The engine's own name for it, empty where it has none. */
  readonly label: string;
  /** Heading depth or list nesting from 1, 0 where it has no meaning. */
  readonly level: number;
  readonly order: number;
  /** Index of the span this one belongs to (a caption's figure). */
  readonly parent: number | null;
  readonly area: Rect;
  /** The engine's markup of the same content: LaTeX of a formula, HTML of a table; often empty. It is model output. */
  readonly markup: string;
}
/** One line of text inside a span; `span` is its index. */
export interface Line extends Item { readonly span: number; readonly outline: Quad }
/** One word of a line; `line` is its index. */
export interface Word extends Item { readonly line: number; readonly outline: Quad }
/** One cell of a table; `table` is the index of its span. */
export interface Cell extends Item {
  readonly table: number;
  readonly kind: CellKind;
  readonly row: number;
  readonly column: number;
  readonly rowSpan: number;
  readonly columnSpan: number;
  readonly area: Rect | null;
}

/** A recognised page, valid for the call that lends it. Each part crosses from the host when it is first read. */
export interface Page {
  readonly info: PageInfo;
  /** The text arena: the texts of all blocks, in no particular sequence. */
  readonly text: string;
  readonly labels: string[];
  readonly spans: Span[];
  /** The blocks in reading order. */
  readingOrder(): Span[];
  readonly lines: Line[];
  readonly words: Word[];
  readonly cells: Cell[];
  linesOf(span: Span): Line[];
  wordsOf(line: Line): Word[];
  cellsOf(table: Span): Cell[];
  /** CommonMark with GitHub tables, blocks parted by one empty line. */
  readonly markdown: string;
  /** Which parts of the markdown came from which block, in the sequence of the markdown. */
  readonly anchors: { span: number; start: number; len: number; text: string }[];
  /** The model's raw output, tags included; empty for engines without one. */
  readonly raw: string;
  /** The upright raster that all areas refer to; needs the capability `page.raster`. */
  raster(): Image;
  /** The bytes of the arena that `page.text.slice(from, to)` are. */
  bytesOf(from: number, to: number): Slice;
}

interface Handle {
  /** Gives the host's resource back now. */
  close(): void;
}

/** An image in the host. It is given back at the end of the call that made it; in loops over many, `close` each. */
export interface Image extends Handle {
  /** Keeps it beyond the present call; it has to be closed then. */
  keep(): this;
  readonly width: number;
  readonly height: number;
  /** A view of the part inside `area`, cut to the image; `Invalid` where nothing is left. */
  crop(area: Rect): Image;
  resize(width: number, height: number): Image;
  /** Turned clockwise by quarter turns. */
  rotate(quarters: number): Image;
  /** Rows without padding; needs the capability `image.rows`. */
  readRows(first: number, count: number, format?: PixelFormat): Uint8Array;
}

/** An image being drawn, white all over at first; rows are handed over in bands. */
export class Canvas implements Handle {
  constructor(width: number, height: number, format?: PixelFormat);
  writeRows(first: number, rows: Uint8Array): void;
  /** The finished image; the canvas is gone. */
  finish(): Image;
  close(): void;
}

/** The host's decoders for PNG, JPEG, WebP, TIFF, BMP and GIF. The file's bytes never enter the plugin. */
export class Decoder implements Handle {
  private constructor();
  static open(source: Source): Decoder;
  readonly frames: number;
  frame(index: number): Image;
  dpi(index: number): number | null;
  close(): void;
}

/** The bytes of an input. */
export class Source implements Handle {
  private constructor();
  static fromBytes(name: string, bytes: Uint8Array): Source;
  readonly name: string;
  readonly length: number;
  /** Up to `length` bytes from `offset`; fewer only at the end. */
  readAt(offset: number, length: number): Uint8Array;
  readAll(): Uint8Array;
  /** An input that is a part of this one; no copy. */
  window(name: string, offset: number, length: number): Source;
  close(): void;
}

/** Turns recognised pages into files: the default export's class. One object lives as long as one document. */
export interface Formatter {
  /** Takes the next page. Failed pages come too, empty and with `info.outcome` and `info.diagnostics`: say so in the output. */
  page(page: Page): void;
  /** Ends the document. The host commits the files when this has succeeded. */
  finish?(): void;
}
export interface FormatterClass { new (doc: DocInfo, config: Config): Formatter }

/** Improves recognised pages: the default export's class. One object lives as long as one document. */
export interface Processor {
  /** The changes to what formatters are told of the document; asked for once, before its first page. */
  editDocument?(): DocumentEdit[];
  /** The changes to make to a page; the host makes them in their sequence, and all or none. */
  process(page: Page): Edit[];
}
export interface ProcessorClass { new (doc: DocInfo, config: Config): Processor }

/** A page to be recognised. Without a size in points, the resolution tells it. */
export interface InputPage {
  image: Image;
  dpi: number;
  widthPoints?: number;
  heightPoints?: number;
  textLayer?: TextLayer | null;
}
export interface TextLayer { words: { text: string; outline: Quad }[] }
export interface OpenOptions { config: Config; password?: string }

/** Turns an input into page images: the default export's class. One object lives as long as one document. */
export interface Adapter {
  info(): DocInfo;
  /** The item at `index` from 0, drawn at `dpi` where the source has no pixels of its own; nothing past the last. */
  read(index: number, dpi: number): InputPage | Source | null | undefined;
}
export interface AdapterClass {
  new (source: Source, options: OpenOptions): Adapter;
  /** How sure the adapter is that it can read the input, 0 to 100. Nothing of the host may be called here. */
  sniff(name: string, head: Uint8Array): number;
}

declare const edited: unique symbol;
/** One change to a page; the functions of `edit` make them. */
export interface Edit { tag: string; val: unknown; [edited]?: "page" }
/** One change to what formatters are told of the document. */
export interface DocumentEdit { tag: string; val: unknown; [edited]?: "document" }
export interface NewCell {
  row: number;
  column: number;
  text: string;
  kind?: CellKind;
  rowSpan?: number;
  columnSpan?: number;
  area?: Rect | null;
}

export namespace edit {
  /** Replaces a span's text; its lines and words are dropped. */
  function setText(span: Span | number, text: string): Edit;
  /** Replaces a span's text as it is read, and keeps its lines and words as they are printed. */
  function reflowText(span: Span | number, text: string): Edit;
  function setMarkup(span: Span | number, markup: string): Edit;
  function setKind(span: Span | number, kind: BlockKind): Edit;
  function setLevel(span: Span | number, level: number): Edit;
  /** Moves a span to this position of the reading order; the others keep theirs among themselves. */
  function setOrder(span: Span | number, order: number): Edit;
  function setParent(span: Span | number, parent: Span | number | null): Edit;
  function setArea(span: Span | number, area: Rect): Edit;
  function setCell(cell: Cell | number, text: string): Edit;
  /** Replaces all cells of a table, and its text and markup by what follows from them. */
  function setCells(table: Span | number, cells: NewCell[]): Edit;
  /** Removes a span with its lines, words and cells. */
  function dropSpan(span: Span | number): Edit;
  /** Adds a span after the one at this position of the reading order (past the end: as the last). */
  function insert(after: number, kind: BlockKind, area: Rect, text: string): Edit;
  /** Erases an area everywhere: spans, lines, words, cells, markdown, raw output and raster. */
  function redactArea(area: Rect): Edit;
  /** The same for a byte range of the arena; `page.bytesOf` and `span.textSlice` tell it. */
  function redactText(bytes: Slice): Edit;
  function setTitle(title: string | null): DocumentEdit;
  function setName(name: string): DocumentEdit;
}

export namespace output {
  /** A file being written, from its first byte to its last. */
  interface File {
    /** How the main file links to this one: a relative path with forward slashes. */
    readonly name: string;
    /** Bytes written so far. */
    readonly length: number;
    /** Appends text, as UTF-8, or bytes. */
    write(data: string | Uint8Array): void;
    /** Appends an image, encoded in the host; answers the bytes written. `quality` is 1 to 100 and counts for JPEG. */
    writeImage(image: Image, encoding?: Encoding, quality?: number): number;
    /** The same as base64 text, for `data:` URLs. */
    writeImageBase64(image: Image, encoding?: Encoding, quality?: number): number;
    close(): void;
  }
  /** The file that the user asked for. */
  function main(): File;
  /** A further file, in a folder next to the main file. `Denied` when the run writes to standard output. */
  function create(name: string, mediaType: string): File;
}

export namespace log {
  /** A line for the run's log. */
  function write(message: string, level?: Severity): void;
  /** A finding for the user's report, under its page (from 1) where it names one. */
  function report(severity: Severity, code: string, message: string, place?: { page?: number | null; area?: Rect | null }): void;
}

export namespace control {
  /** Throws `Cancelled` once the user has asked to stop. Call it in loops that take longer than a second. */
  function checkpoint(): void;
  function progress(done: number, total?: number | null): void;
}

export namespace ocr {
  type Task = "text" | "markdown" | "table" | "formula" | "figure" | "locate" | "describe";
  interface Region { area: Rect; task?: Task; hint?: string | null }
  interface Recognition { text: string; spans: Span[]; tokens: number }
  /** Capability `ocr.recognize`. One answer a region, at most 256; hand over all at once, so that the host can batch. */
  function recognize(image: Image, regions: Region[]): (Recognition | HostError)[];
}

export namespace pdf {
  /** Capability `pdf.render`. Pages count from 0. */
  class Document {
    private constructor();
    /** `Encrypted` and `WrongPassword` may be passed on as they are. */
    static open(source: Source, password?: string | null): Document;
    readonly pageCount: number;
    pageSize(page: number): [number, number];
    render(page: number, dpi: number): Image;
    textLayer(page: number): TextLayer | null;
    close(): void;
  }
}

/** The common part of two areas, empty where there is none. */
export function intersect(a: Rect, b: Rect): Rect;
/** The upright outline of an area. */
export function quadOf(area: Rect): Quad;
/** Whether blocks of this kind are repeated on each page and no part of the text that runs through them. */
export function isFurniture(kind: BlockKind): boolean;

/** The host does not give what was asked for. */
export class HostError extends Error {}
/** The capability is not granted, or this run has no such thing. */
export class Denied extends HostError {}
/** A limit was met. The session ends when the plugin returns. */
export class QuotaReached extends HostError {
  constructor(what: Quota, limit: number, used: number);
  what: Quota;
  limit: number;
  used: number;
}
/** The user asked to stop. */
export class Cancelled extends HostError { constructor() }
/** An argument breaks the contract. */
export class Invalid extends HostError {}
/** The host tried and failed. */
export class HostFailed extends HostError {}
/** The plugin gives up. */
export class PluginError extends Error {}
/** The input is damaged, or not what it claims to be. */
export class InvalidInput extends PluginError {}
/** The input is sound, but asks for something that this plugin does not do. */
export class Unsupported extends PluginError {}
/** Settings are wrong; each argument is a sentence that names one. */
export class ConfigError extends PluginError {
  constructor(...complaints: (string | Diagnostic)[]);
  diagnostics: Diagnostic[];
}
/** Anything else. `code` is stable, kebab-case and for programs. */
export class Failed extends PluginError {
  constructor(code: string, message: string, place?: { page?: number | null; area?: Rect | null });
  diagnostic: Diagnostic;
}
/** The document needs a password and none was given. */
export class Encrypted extends Failed { constructor(message?: string) }
/** The given password does not open the document. */
export class WrongPassword extends Failed { constructor(message?: string) }
