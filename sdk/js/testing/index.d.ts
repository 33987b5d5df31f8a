/** Types of ocr-plugin/testing: run a plugin in a unit test, against a host that lives in memory. */

import type {
  Adapter, AdapterClass, BlockKind, CellKind, Config, Diagnostic, DocInfo, DocumentEdit, Edit, FormatterClass, Image, PageInfo,
  ProcessorClass, Rect, Severity,
} from "../index.js";

/** What the host allows; the default is everything it has. */
export interface Grants {
  /** Whether `output.create` works; off as when a run writes to standard output. */
  files?: boolean;
  /** Whether pages show their raster: a white image of the page's size. */
  raster?: boolean;
  /** Whether rows of images can be read. */
  rows?: boolean;
}

export interface Options { config?: Config; doc?: Partial<DocInfo>; grants?: Grants }

interface Said { diagnostics: Diagnostic[]; log: [Severity, string][] }

/** What a formatter left behind: the text of the file that the user asked for, and all files by name. */
export interface Run extends Said { main: string; files: Map<string, Uint8Array> }
/** What a processor left behind: its changes to the document, and to each page. */
export interface Processed extends Said { document: DocumentEdit[]; pages: Edit[][] }

/** An A4 page of 595 x 842 px, to which blocks are added in reading order. */
export class PageBuilder {
  constructor(number?: number, info?: Partial<PageInfo>);
  /** Adds a block after the others in reading order. Without an area it sits below the last one, 20 px high. */
  span(
    kind: BlockKind,
    text: string,
    more?: { level?: number; markup?: string; parent?: number; area?: Rect; confidence?: number | null; label?: string },
  ): this;
  /** Adds a line to the block added last, with one word for each of its words, spread over its area. */
  line(text: string, more?: { area?: Rect; confidence?: number | null }): this;
  /** Adds a cell to the block added last. */
  cell(row: number, column: number, text: string, more?: { kind?: CellKind; rowSpan?: number; columnSpan?: number }): this;
  /** Sets the markdown: pieces, those of a span as `[index, text]`. */
  markdown(...pieces: (string | [number, string])[]): this;
  /** Sets the model's raw output. */
  rawOutput(raw: string): this;
}

/** Runs a formatter over pages. */
export function format(plugin: FormatterClass, pages: PageBuilder[], options?: Options): Run;
/** Runs a processor over pages; the edits are answered, not made. */
export function process(plugin: ProcessorClass, pages: PageBuilder[], options?: Options): Processed;
/** Opens an input with an adapter; read its pages by `read`. */
export function openInput(
  plugin: AdapterClass,
  name: string,
  bytes: Uint8Array,
  options?: { config?: Config; password?: string; grants?: Grants },
): Adapter;
/** An image's size and its RGB rows, whatever the grants. */
export function pixels(image: Image): { width: number; height: number; rows: Uint8Array };
