/**
 * Text that is sliced by UTF-8 bytes. The contract counts bytes, JavaScript strings hold UTF-16 units: a table with the byte offset of
 * every 64th unit translates, so that it takes a fraction of the text and a lookup touches at most 64 units.
 */

const STEP = 64;

/** Bytes that the unit at `at` and, where it begins a pair, its second half take; each pair is counted at its first half. */
function bytesAt(text, at) {
  const unit = text.charCodeAt(at);
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  const isHigh = unit >= 0xd800 && unit < 0xdc00;
  if (isHigh && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) return 4;
  // A lone half is written as the three bytes of U+FFFD.
  return 3;
}

export class Arena {
  #text;
  #byteOfStep;

  constructor(text) {
    this.#text = text;
  }

  get text() {
    return this.#text;
  }

  #table() {
    if (this.#byteOfStep === undefined) {
      const table = new Uint32Array(Math.floor(this.#text.length / STEP) + 1);
      let byte = 0;
      for (let at = 0, step = 0; at < this.#text.length; ) {
        // A step that falls between two halves begins at the second one, which counts as no byte of its own.
        while (step < table.length && step * STEP <= at) table[step++] = byte;
        const bytes = bytesAt(this.#text, at);
        byte += bytes;
        at += bytes === 4 ? 2 : 1;
        while (step < table.length && step * STEP < at) table[step++] = byte;
      }
      // An ASCII text has its bytes at the places of its units.
      this.#byteOfStep = byte === this.#text.length ? null : table;
      if (this.#byteOfStep && this.#text.length % STEP === 0) table[table.length - 1] = byte;
    }
    return this.#byteOfStep;
  }

  /** The unit at a byte offset. */
  #unit(byte) {
    const table = this.#table();
    if (table === null) return byte;
    let low = 0;
    let high = table.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (table[middle] <= byte) low = middle;
      else high = middle - 1;
    }
    let at = low * STEP;
    let here = table[low];
    // The second half of a pair that began in the step before.
    if (at > 0 && (this.#text.charCodeAt(at) & 0xfc00) === 0xdc00 && bytesAt(this.#text, at - 1) === 4) at += 1;
    while (here < byte && at < this.#text.length) {
      const bytes = bytesAt(this.#text, at);
      here += bytes;
      at += bytes === 4 ? 2 : 1;
    }
    return at;
  }

  /** The text of a byte range. */
  slice({ start, len }) {
    if (len === 0) return "";
    return this.#text.slice(this.#unit(start), this.#unit(start + len));
  }

  /** The byte offset of a UTF-16 unit of the text. */
  byteOf(unit) {
    const table = this.#table();
    if (table === null) return unit;
    const step = Math.min(Math.floor(unit / STEP), table.length - 1);
    let at = step * STEP;
    let byte = table[step];
    if (at > 0 && (this.#text.charCodeAt(at) & 0xfc00) === 0xdc00 && bytesAt(this.#text, at - 1) === 4) at += 1;
    while (at < unit) {
      const bytes = bytesAt(this.#text, at);
      byte += bytes;
      at += bytes === 4 ? 2 : 1;
    }
    return byte;
  }
}
