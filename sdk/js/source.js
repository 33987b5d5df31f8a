/** Random access to an input's bytes, without a file system. */

import { HostFailed } from "./errors.js";
import { CALL_BYTES, Handle, call, host } from "./host.js";

/** The bytes of an input. */
export class Source extends Handle {
  static fromBytes(name, bytes) {
    return new Source(call(() => host("source").Source.fromBytes(name, bytes)));
  }

  get name() {
    return this.raw.name();
  }

  get length() {
    return Number(this.raw.len());
  }

  readAt(offset, length) {
    const want = Math.max(0, Math.min(length, this.length - offset));
    const bytes = new Uint8Array(want);
    let filled = 0;
    while (filled < want) {
      const piece = call(() => this.raw.readAt(offset + filled, Math.min(want - filled, CALL_BYTES)));
      if (piece.length === 0) break;
      bytes.set(piece, filled);
      filled += piece.length;
    }
    return bytes.subarray(0, filled);
  }

  readAll() {
    const { length } = this;
    const bytes = this.readAt(0, length);
    if (bytes.length !== length) {
      throw new HostFailed(`\`${this.name}\` ends after ${bytes.length} of its ${length} bytes`);
    }
    return bytes;
  }

  window(name, offset, length) {
    return new Source(call(() => this.raw.window(name, offset, length)));
  }
}
