/** Capability `ocr.recognize`: read regions of an image again on the host's engine. */

import { Arena } from "./arena.js";
import { HostFailed, lift } from "./errors.js";
import { call, host } from "./host.js";
import { Span } from "./page.js";

/** Reads regions, at most 256; one answer each, in their sequence: a recognition, or the `HostError` of that region. */
export function recognize(image, regions) {
  const asked = regions.map(({ area, task = "text", hint = null }) => ({ area, task, hint }));
  return call(() => host("ocr").recognize(image.raw, asked)).map(({ tag, val }) => {
    if (tag === "err") return lift(val) ?? new HostFailed(String(val));
    const arena = new Arena(val.text);
    return { text: val.text, tokens: val.tokens, spans: val.spans.map((raw, i) => new Span(raw, i, arena, [])) };
  });
}
