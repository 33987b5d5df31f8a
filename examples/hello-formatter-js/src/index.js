/** @import { Config, DocInfo, Formatter, Page } from "ocr-plugin" */
import { output } from "ocr-plugin";

/**
 * The shortest useful formatter: plain text, with a line above each page. `ocr-host plugin build` makes the component, after
 * `npm install`.
 * @implements {Formatter}
 */
export default class Hello {
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
    if (page.info.outcome === "failed") this.out.write("(this page could not be read)\n");
    for (const span of page.readingOrder()) this.out.write(`${span.text}\n`);
  }
}
