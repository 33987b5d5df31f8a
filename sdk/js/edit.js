/**
 * The changes that a processor makes to a page, and to what formatters are told of its document. Spans and cells are named by the
 * page's own objects or by their indices.
 */

const index = (item) => (typeof item === "number" ? item : item.index);
const ofSpan = (tag) => (span, value) => ({ tag, val: [index(span), value] });

export const setText = ofSpan("set-text");
export const reflowText = ofSpan("reflow-text");
export const setMarkup = ofSpan("set-markup");
export const setKind = ofSpan("set-kind");
export const setLevel = ofSpan("set-level");
export const setOrder = ofSpan("set-order");
export const setArea = ofSpan("set-area");
export const setCell = ofSpan("set-cell");

export function setParent(span, parent) {
  return { tag: "set-parent", val: [index(span), parent == null ? null : index(parent)] };
}

export function setCells(table, cells) {
  const whole = (cell) => ({ kind: "data", rowSpan: 1, columnSpan: 1, area: null, ...cell });
  return { tag: "set-cells", val: [index(table), cells.map(whole)] };
}

export function dropSpan(span) {
  return { tag: "drop-span", val: index(span) };
}

export function insert(after, kind, area, text) {
  return { tag: "insert", val: [after, kind, area, text] };
}

export function redactArea(area) {
  return { tag: "redact-area", val: area };
}

export function redactText({ start, len }) {
  return { tag: "redact-text", val: [start, len] };
}

export function setTitle(title) {
  return { tag: "set-title", val: title };
}

export function setName(name) {
  return { tag: "set-name", val: name };
}
