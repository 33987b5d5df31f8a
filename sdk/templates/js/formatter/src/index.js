/** @import { Config, DocInfo, Formatter, Page } from "ocr-plugin" */
import { output } from "ocr-plugin";

/**
 * Writes the recognised text, with a line above each page.
 * @implements {Formatter}
 */
export default class MyPlugin {
  /**
   * @param {DocInfo} doc
   * @param {Config} config
   */
  constructor(doc, { rule }) {
    this.out = output.main();
    this.rule = rule;
  }

  /** @param {Page} page */
  page(page) {
    this.out.write(`${this.rule} page ${page.info.number}\n`);
    for (const span of page.readingOrder()) this.out.write(`${span.text}\n`);
  }
}
