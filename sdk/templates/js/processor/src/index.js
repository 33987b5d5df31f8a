/** @import { Config, DocInfo, Edit, Page, Processor } from "ocr-plugin" */
import { edit } from "ocr-plugin";

/**
 * Replaces a word wherever it was read.
 * @implements {Processor}
 */
export default class MyPlugin {
  /**
   * @param {DocInfo} doc
   * @param {Config} config
   */
  constructor(doc, { find, replace }) {
    this.find = find;
    this.replace = replace;
  }

  /** @param {Page} page */
  process(page) {
    /** @type {Edit[]} */
    const edits = [];
    for (const span of page.readingOrder()) {
      const words = span.text.split(" ").map((word) => (word === this.find ? this.replace : word));
      const mended = words.join(" ");
      if (mended !== span.text) edits.push(edit.setText(span, mended));
    }
    return edits;
  }
}
