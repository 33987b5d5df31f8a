/** Pixels that the host owns. They stay there unless a plugin asks for rows. */

import { CALL_BYTES, Handle, PassingHandle, call, host } from "./host.js";

/** Bytes a pixel takes. */
const PIXEL_BYTES = { gray8: 1, rgb8: 3, rgba8: 4 };

/** An image in the host. It is given back at the end of the call that made it, unless it is kept. */
export class Image extends PassingHandle {
  get width() {
    return this.raw.width();
  }

  get height() {
    return this.raw.height();
  }

  crop(area) {
    return new Image(call(() => this.raw.crop(area)));
  }

  resize(width, height) {
    return new Image(call(() => this.raw.resize(width, height)));
  }

  rotate(quarters) {
    return new Image(call(() => this.raw.rotate(((quarters % 4) + 4) % 4)));
  }

  readRows(first, count, format = "rgb8") {
    const stride = this.width * PIXEL_BYTES[format];
    const band = Math.max(1, Math.floor(CALL_BYTES / stride));
    const rows = new Uint8Array(stride * count);
    for (let row = 0; row < count; row += band) {
      const some = Math.min(band, count - row);
      rows.set(call(() => this.raw.readRows(first + row, some, format)), row * stride);
    }
    return rows;
  }
}

/** An image being drawn, white all over at first; rows are handed over in bands. */
export class Canvas extends Handle {
  #stride;

  constructor(width, height, format = "rgb8") {
    super(call(() => host("image").Canvas.create(width, height, format)));
    this.#stride = width * PIXEL_BYTES[format];
  }

  writeRows(first, rows) {
    const band = Math.max(1, Math.floor(CALL_BYTES / this.#stride));
    for (let at = 0; at < rows.length; at += band * this.#stride) {
      const some = rows.subarray(at, at + band * this.#stride);
      call(() => this.raw.writeRows(first + at / this.#stride, some));
    }
  }

  finish() {
    return new Image(call(() => host("image").Canvas.finish(this.raw)));
  }
}

/** The host's decoders for PNG, JPEG, WebP, TIFF, BMP and GIF. The file's bytes never enter the plugin. */
export class Decoder extends Handle {
  static open(source) {
    return new Decoder(call(() => host("image").Decoder.open(source.raw)));
  }

  get frames() {
    return this.raw.frames();
  }

  frame(index) {
    return new Image(call(() => this.raw.frame(index)));
  }

  dpi(index) {
    return this.raw.dpi(index);
  }
}
