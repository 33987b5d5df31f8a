/** @import { Adapter, InputPage, OpenOptions, Source } from "ocr-plugin" */
import { Canvas, InvalidInput } from "ocr-plugin";

/**
 * Width, height and length of a header; nothing where it is none.
 * @param {Uint8Array} head
 */
function header(head) {
  const text = String.fromCharCode(...head.subarray(0, 64));
  const found = /^P5\s+([1-9]\d*)\s+([1-9]\d*)\s+255\s/.exec(text);
  return found && { width: Number(found[1]), height: Number(found[2]), length: found[0].length };
}

/**
 * Reads gray images in the format PGM: `P5`, width, height and 255 in words, then a byte for each pixel.
 * @implements {Adapter}
 */
export default class MyPlugin {
  /**
   * @param {string} name
   * @param {Uint8Array} head
   */
  static sniff(name, head) {
    return header(head) ? 80 : 0;
  }

  /**
   * @param {Source} source
   * @param {OpenOptions} options
   */
  constructor(source, { config }) {
    const found = header(source.readAt(0, 64));
    if (!found) throw new InvalidInput("its header is no PGM header");
    this.source = source;
    this.header = found;
    this.dpi = config.dpi;
  }

  info() {
    return { name: this.source.name, mediaType: "image/x-portable-graymap", pages: 1 };
  }

  /**
   * @param {number} index
   * @returns {InputPage | null}
   */
  read(index) {
    if (index > 0) return null;
    const { width, height, length } = this.header;
    const canvas = new Canvas(width, height, "gray8");
    const band = Math.max(1, Math.floor(262144 / width));
    for (let row = 0; row < height; row += band) {
      const rows = Math.min(band, height - row);
      const pixels = this.source.readAt(length + row * width, rows * width);
      if (pixels.length < rows * width) {
        throw new InvalidInput(`it ends after ${row + Math.floor(pixels.length / width)} of ${height} rows`);
      }
      canvas.writeRows(row, pixels);
    }
    return { image: canvas.finish(), dpi: this.dpi };
  }
}
