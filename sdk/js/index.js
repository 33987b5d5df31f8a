/**
 * Write ocr-host plugins in JavaScript. A plugin is a class that is its module's default export: an output formatter, a page
 * processor or an input adapter. `index.d.ts` describes everything here.
 *
 * A plugin has no file system, network, clock or environment. Outside a component the same calls reach a host in memory: see
 * `ocr-plugin/testing`.
 */

export * as control from "./control.js";
export * as edit from "./edit.js";
export * as log from "./log.js";
export * as ocr from "./ocr.js";
export * as output from "./output.js";
export * as pdf from "./pdf.js";
export {
  Cancelled,
  ConfigError,
  Denied,
  Encrypted,
  Failed,
  HostError,
  HostFailed,
  Invalid,
  InvalidInput,
  PluginError,
  QuotaReached,
  Unsupported,
  WrongPassword,
} from "./errors.js";
export { intersect, isFurniture, quadOf } from "./data.js";
export { Canvas, Decoder, Image } from "./image.js";
export { Cell, Line, Page, Span, Word } from "./page.js";
export { Source } from "./source.js";
