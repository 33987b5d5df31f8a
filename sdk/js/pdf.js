/** Capability `pdf.render`: the host's own PDF renderer, in a process of its own. */

import { Encrypted, WrongPassword, lift } from "./errors.js";
import { Handle, call, host } from "./host.js";
import { Image } from "./image.js";

/** A PDF opened by the host. Pages count from 0. */
export class Document extends Handle {
  static open(source, password = null) {
    try {
      return new Document(host("pdf").Document.open(source.raw, password));
    } catch (error) {
      const value = error?.payload ?? error;
      if (value?.tag === "encrypted") throw new Encrypted();
      if (value?.tag === "wrong-password") throw new WrongPassword();
      throw lift(value?.tag === "host" ? value.val : value) ?? error;
    }
  }

  get pageCount() {
    return this.raw.pageCount();
  }

  pageSize(page) {
    return call(() => this.raw.pageSize(page));
  }

  render(page, dpi) {
    return new Image(call(() => this.raw.render(page, dpi)));
  }

  textLayer(page) {
    return call(() => this.raw.textLayer(page));
  }
}
