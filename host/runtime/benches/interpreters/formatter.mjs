// The smallest formatter on the contract's own bindings: what a page costs in JavaScript beyond what it does.
import { main } from "ocr-host:plugin/output@0.1.0";

class Session {
  static open(doc, config) {
    const session = new Session();
    session.out = main();
    session.spans = 0;
    return session;
  }

  addPage(page) {
    const info = page.info();
    const text = page.text();
    this.spans += page.spans().length;
    this.out.writeText(info.index === 0 ? text : "wrong page");
  }

  static finish(session) {
    session.out.writeText(` ${session.spans}`);
  }
}

export const formatter = { Session };
