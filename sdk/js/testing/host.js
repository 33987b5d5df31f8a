/**
 * The host in memory: the contract's functions as far as a test needs them. It has no image decoders, encoders, recognition or PDF
 * renderer: decoders and those capabilities answer `denied`, and an image is "encoded" as a line that names its format and size.
 */

import { intersect } from "../data.js";

const PIXEL_BYTES = { gray8: 1, rgb8: 3, rgba8: 4 };

const denied = (why) => {
  throw { tag: "denied", val: why };
};
const invalid = (why) => {
  throw { tag: "invalid", val: why };
};

/** What a plugin left behind, and what it may do. */
export class State {
  files = new Map();
  diagnostics = [];
  log = [];

  constructor(grants) {
    this.grants = { files: true, raster: true, rows: true, ...grants };
  }

  /** What `bind` takes. */
  interfaces() {
    const nothing = (why) => ({ open: () => denied(why) });
    return {
      log: {
        write: (level, message) => this.log.push([level, message]),
        report: (diagnostic) => this.diagnostics.push(diagnostic),
      },
      control: { checkpoint() {}, progress() {} },
      output: {
        main: () => this.#open("main", true),
        create: (name) => {
          if (!this.grants.files) denied("this run writes to standard output and has no folder for further files");
          return this.#open(`main.files/${name}`, false);
        },
      },
      source: { Source: { fromBytes: (name, bytes) => new MemorySource(name, bytes) } },
      image: {
        Canvas: {
          create: (width, height, format) => {
            if (!(width > 0 && width <= 65_535 && height > 0 && height <= 65_535)) {
              invalid(`a canvas of ${width} x ${height} px`);
            }
            const pixels = new Uint8Array(width * height * PIXEL_BYTES[format]).fill(255);
            return new MemoryCanvas(new MemoryImage(this, width, height, format, pixels));
          },
          finish: (canvas) => canvas.image,
        },
        Decoder: nothing("the host in memory has no image decoders"),
      },
      pdf: { Document: nothing("capability `pdf.render` is not granted") },
      ocr: { recognize: () => denied("capability `ocr.recognize` is not granted") },
    };
  }

  raster({ width, height }) {
    if (!this.grants.raster) denied("capability `page.raster` is not granted");
    return new MemoryImage(this, width, height, "gray8", new Uint8Array(width * height).fill(255));
  }

  #open(name, again) {
    if (this.files.has(name) && !again) invalid(`\`${name}\` exists already`);
    if (!this.files.has(name)) this.files.set(name, []);
    return new MemoryFile(name, this.files.get(name));
  }
}

/** The bytes of a file's pieces. */
export function joined(pieces) {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

class MemoryFile {
  constructor(name, pieces) {
    this.name = () => name;
    this.pieces = pieces;
  }

  len() {
    return this.pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  write(chunk) {
    this.pieces.push(Uint8Array.from(chunk));
  }

  writeText(chunk) {
    this.pieces.push(new TextEncoder().encode(chunk));
  }

  #encoded(text) {
    this.writeText(text);
    return text.length;
  }

  writeImage(image, encoding) {
    return this.#encoded(`<${encoding} ${image.width()}x${image.height()}>`);
  }

  writeImageBase64(image, encoding) {
    return this.#encoded(`${encoding}-${image.width()}x${image.height()}`);
  }
}

export class MemoryImage {
  constructor(state, width, height, format, pixels) {
    Object.assign(this, { state, format, pixels });
    this.width = () => width;
    this.height = () => height;
  }

  [Symbol.dispose]() {
    this.pixels = null;
  }

  #pixel(x, y) {
    if (this.pixels === null) throw new TypeError("the image was given back; `keep` it, if it has to outlive the call that made it");
    const n = PIXEL_BYTES[this.format];
    const at = (y * this.width() + x) * n;
    return this.pixels.subarray(at, at + n);
  }

  #gather(width, height, place) {
    if (!(width > 0 && width <= 65_535 && height > 0 && height <= 65_535)) {
      invalid(`an image of ${width} x ${height} px`);
    }
    const n = PIXEL_BYTES[this.format];
    const pixels = new Uint8Array(width * height * n);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at += n) pixels.set(this.#pixel(...place(x, y)), at);
    }
    return new MemoryImage(this.state, width, height, this.format, pixels);
  }

  crop(area) {
    const part = intersect(area, { x0: 0, y0: 0, x1: this.width(), y1: this.height() });
    return this.#gather(part.x1 - part.x0, part.y1 - part.y0, (x, y) => [x + part.x0, y + part.y0]);
  }

  resize(width, height) {
    const scale = (v, from, to) => Math.floor((v * from) / to);
    return this.#gather(width, height, (x, y) => [scale(x, this.width(), width), scale(y, this.height(), height)]);
  }

  rotate(quarters) {
    const [w, h] = [this.width(), this.height()];
    if (quarters === 1) return this.#gather(h, w, (x, y) => [y, h - 1 - x]);
    if (quarters === 2) return this.#gather(w, h, (x, y) => [w - 1 - x, h - 1 - y]);
    if (quarters === 3) return this.#gather(h, w, (x, y) => [w - 1 - y, x]);
    return this;
  }

  readRows(first, count, format) {
    if (!this.state.grants.rows) denied("capability `image.rows` is not granted");
    if (first + count > this.height()) invalid(`rows ${first}+${count} of an image of ${this.height()} rows`);
    const bytes = [];
    for (let y = first; y < first + count; y++) {
      for (let x = 0; x < this.width(); x++) bytes.push(...convert(this.#pixel(x, y), format));
    }
    return Uint8Array.from(bytes);
  }
}

function convert(pixel, to) {
  const [r, g, b, a] = pixel.length === 1 ? [pixel[0], pixel[0], pixel[0], 255] : [...pixel, 255];
  if (to === "gray8") return [Math.floor((r * 299 + g * 587 + b * 114) / 1000)];
  return to === "rgb8" ? [r, g, b] : [r, g, b, a];
}

class MemoryCanvas {
  constructor(image) {
    this.image = image;
  }

  writeRows(first, rows) {
    const { image } = this;
    const stride = image.width() * PIXEL_BYTES[image.format];
    if (rows.length % stride !== 0 || first * stride + rows.length > image.pixels.length) {
      invalid(`${rows.length} bytes from row ${first} on do not fit the canvas`);
    }
    image.pixels.set(rows, first * stride);
  }
}

export class MemorySource {
  constructor(name, bytes) {
    this.name = () => name;
    this.bytes = Uint8Array.from(bytes);
  }

  len() {
    return this.bytes.length;
  }

  readAt(offset, len) {
    return this.bytes.slice(offset, offset + len);
  }

  window(name, offset, len) {
    if (offset + len > this.bytes.length) invalid(`bytes ${offset}+${len} of ${this.bytes.length}`);
    return new MemorySource(name, this.bytes.subarray(offset, offset + len));
  }
}
