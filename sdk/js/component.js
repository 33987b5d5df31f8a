/**
 * From the contract's exported resources to plugin classes. It runs inside components alone: `ocr-host plugin build` writes an entry
 * that hands the plugin's class to `load` of its world in `component/`.
 */

import { ConfigError, Failed, HostError, InvalidInput, Unsupported, lowerHost } from "./errors.js";
import { diagnostic } from "./data.js";
import { bind, host, withinCall } from "./host.js";
import { begin as beginToRun } from "./component/still.js";
import { Page } from "./page.js";
import { Source } from "./source.js";

function check(plugin, kind, methods, interfaces) {
  bind(interfaces);
  const lacks = methods.filter((name) => typeof plugin?.prototype?.[name] !== "function");
  if (typeof plugin !== "function" || lacks.length > 0) {
    const why = typeof plugin === "function" ? `it has no method \`${lacks[0]}\`` : "there is none";
    throw new TypeError(`the module's default export has to be ${kind}'s class: ${why}`);
  }
}

/** Places of a fault that the log gets; a function that calls itself has no end of them. */
const PLACES = 32;

/** Where this SDK lies in stacks. */
const SDK = /\/(sdk\/js|ocr-plugin)\//;

/** What an error is in the contract. */
export function lower(error) {
  if (error instanceof HostError) return { tag: "host", val: lowerHost(error) };
  if (error instanceof InvalidInput) return { tag: "invalid-input", val: error.message };
  if (error instanceof Unsupported) return { tag: "unsupported", val: error.message };
  if (error instanceof ConfigError) return { tag: "config", val: error.diagnostics };
  if (error instanceof Failed) return { tag: "failed", val: error.diagnostic };
  const trace = typeof error?.stack === "string" ? error.stack.trim().split("\n") : [];
  for (const line of [String(error), ...trace.slice(0, PLACES)]) host("log").write("note", line);
  // The host shows one line; the place of the fault belongs in it.
  const place = trace.map((line) => line.trim()).find((line) => line.startsWith("at ") && !SDK.test(line));
  const message = place ? `${error} (${place})` : String(error);
  host("log").report(diagnostic("error", "exception", message));
  // A fault ends in a trap, as a panic does in Rust: this is no error of the contract.
  return new Error(message);
}

function guarded(run) {
  try {
    return withinCall(run);
  } catch (error) {
    throw lower(error);
  }
}

/** Runs a plugin's method over a page that the host lends for so long. */
function withPage(raw, run) {
  const page = new Page(raw);
  try {
    return guarded(() => run(page));
  } finally {
    page.giveBack();
  }
}

const settings = (json) => JSON.parse(json || "{}");

/** A formatter as the host sees it. */
export function loadFormatter(plugin, interfaces) {
  check(plugin, "a formatter", ["page"], interfaces);
  let present;
  const kept = [];
  class Session {
    constructor(inner) {
      this.inner = inner;
    }

    static open(doc, config) {
      beginToRun();
      return guarded(() => (present = new Session(new plugin(doc, settings(config)))));
    }

    addPage(page) {
      withPage(page, (page) => {
        this.inner.page(page);
      });
    }

    // The toolchain does not know the session behind the handle, which has another type here. It is kept, as nothing can be done
    // with it; an instance has one session at a time.
    static finish(handle) {
      kept.push(handle);
      guarded(() => present.inner.finish?.());
    }
  }
  return { Session };
}

/** A processor as the host sees it. */
export function loadProcessor(plugin, interfaces) {
  check(plugin, "a processor", ["process"], interfaces);
  class Session {
    constructor(inner) {
      this.inner = inner;
    }

    static open(doc, config) {
      beginToRun();
      return guarded(() => new Session(new plugin(doc, settings(config))));
    }

    editDocument() {
      return guarded(() => this.inner.editDocument?.() ?? []);
    }

    process(page) {
      return withPage(page, (page) => this.inner.process(page) ?? []);
    }
  }
  return { Session };
}

/** An adapter as the host sees it. */
export function loadAdapter(plugin, interfaces) {
  check(plugin, "an adapter", ["info", "read"], interfaces);
  class Document {
    constructor(inner) {
      this.inner = inner;
    }

    static open(source, options) {
      beginToRun();
      const given = { config: settings(options.configJson), password: options.password ?? undefined };
      return guarded(() => new Document(new plugin(new Source(source), given)));
    }

    info() {
      const unknown = { pages: null, selected: null, sha256: null, title: null };
      return { ...unknown, ...this.inner.info() };
    }

    read(index, dpi) {
      return guarded(() => {
        const item = this.inner.read(index, dpi);
        if (item === null || item === undefined) return null;
        if (item instanceof Source) return { tag: "embedded", val: item.raw };
        return { tag: "page", val: lowerPage(item) };
      });
    }
  }
  const sniff = (name, head) => Math.max(0, Math.min(100, Math.trunc(plugin.sniff(name, head))));
  return { sniff, Document };
}

function lowerPage({ image, dpi, widthPoints, heightPoints, textLayer = null }) {
  return {
    // It is the host's from here on.
    image: image.keep().raw,
    dpi,
    widthPoints: widthPoints ?? (image.width * 72) / dpi,
    heightPoints: heightPoints ?? (image.height * 72) / dpi,
    textLayer,
  };
}
