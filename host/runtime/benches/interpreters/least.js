// The least formatter on its SDK: what a page costs in JavaScript beyond what is done with it.
import { output } from "ocr-plugin";

export default class Least {
  constructor() {
    this.out = output.main();
    this.spans = 0;
  }

  page(page) {
    this.spans += page.spans.length;
    this.out.write(page.info.index === 0 ? page.text : "wrong page");
  }

  finish() {
    this.out.write(` ${this.spans}`);
  }
}
