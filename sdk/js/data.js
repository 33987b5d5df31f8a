/** Helpers for the contract's plain data, which comes as plain objects with the contract's field names in camel case. */

/** The common part of two areas, empty where there is none. */
export function intersect(a, b) {
  const x0 = Math.max(a.x0, b.x0);
  const y0 = Math.max(a.y0, b.y0);
  return { x0, y0, x1: Math.max(x0, Math.min(a.x1, b.x1)), y1: Math.max(y0, Math.min(a.y1, b.y1)) };
}

/** The upright outline of an area. */
export function quadOf({ x0, y0, x1, y1 }) {
  return { a: { x: x0, y: y0 }, b: { x: x1, y: y0 }, c: { x: x1, y: y1 }, d: { x: x0, y: y1 } };
}

/** Whether blocks of this kind are repeated on each page and no part of the text that runs through them. */
export function isFurniture(kind) {
  return kind === "header" || kind === "footer" || kind === "page-number";
}

/** A diagnostic with every field that the contract wants. */
export function diagnostic(severity, code, message, { page = null, area = null } = {}) {
  return { severity, code, message: String(message), page, area };
}
