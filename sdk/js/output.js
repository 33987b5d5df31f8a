/** The files a formatter writes. They are names in a tree that the host owns, checks, counts and commits. */

import { CALL_BYTES, Handle, call, host } from "./host.js";

/** UTF-16 units of text that one call carries: at most three bytes each. */
const CALL_UNITS = Math.floor(CALL_BYTES / 3);

/** A file being written, from its first byte to its last. */
export class File extends Handle {
  get name() {
    return this.raw.name();
  }

  get length() {
    return Number(this.raw.len());
  }

  write(data) {
    if (typeof data !== "string") {
      for (let at = 0; at < data.length; at += CALL_BYTES) {
        call(() => this.raw.write(data.subarray(at, at + CALL_BYTES)));
      }
      return;
    }
    for (let at = 0; at < data.length; ) {
      let end = Math.min(data.length, at + CALL_UNITS);
      // Both halves of a character beyond 16 bits go together.
      if (end < data.length && (data.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
      const piece = data.slice(at, end);
      call(() => this.raw.writeText(piece));
      at = end;
    }
  }

  writeImage(image, encoding = "png", quality = 85) {
    return Number(call(() => this.raw.writeImage(image.raw, encoding, quality)));
  }

  writeImageBase64(image, encoding = "png", quality = 85) {
    return Number(call(() => this.raw.writeImageBase64(image.raw, encoding, quality)));
  }
}

/** The file that the user asked for. */
export function main() {
  return new File(call(() => host("output").main()));
}

/** A further file, placed by the host in a folder next to the main file. */
export function create(name, mediaType) {
  return new File(call(() => host("output").create(name, mediaType)));
}
