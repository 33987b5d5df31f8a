/**
 * The host behind the SDK: the component's imports, or the one in memory that `ocr-plugin/testing` puts in their place. Both speak the
 * contract's functions (`output.main()`); the other modules wrap what they answer.
 */

import { lift } from "./errors.js";

/** Bytes that a single call carries at most; larger pieces are split. */
export const CALL_BYTES = 256 * 1024;

let interfaces = {};

/** Says which host there is, by the contract's interface names in camel case. */
export function bind(host) {
  interfaces = host;
}

/** An interface of the host. */
export function host(name) {
  const found = interfaces[name];
  if (found === undefined) {
    throw new Error(
      `\`${name}\` is not there: its functions work while the host runs the plugin, in a kind of plugin whose world has them, ` +
        "or inside `ocr-plugin/testing`",
    );
  }
  return found;
}

/** Calls the host; what it refuses is thrown as a `HostError`. */
export function call(run) {
  try {
    return run();
  } catch (error) {
    throw lift(error?.payload ?? error) ?? error;
  }
}

/** A resource of the host. It is given back by `close`: the engine forgets handles without giving them back. */
export class Handle {
  #isClosed = false;

  constructor(raw) {
    Object.defineProperty(this, "raw", { value: raw });
  }

  /** Gives it back now; later calls do nothing. */
  close() {
    if (!this.#isClosed) this.raw[Symbol.dispose]?.();
    this.#isClosed = true;
  }
}

/** What the present call of the plugin has made and gives back at its end. */
let passing = new Set();

/** A resource that is given back at the end of the call in which it was made, unless it is kept. */
export class PassingHandle extends Handle {
  constructor(raw) {
    super(raw);
    passing.add(this);
  }

  /** Keeps it beyond the present call; it has to be closed then. */
  keep() {
    passing.delete(this);
    return this;
  }
}

/** Runs one call of the plugin, and gives back what it has made and not kept. */
export function withinCall(run) {
  const outer = passing;
  passing = new Set();
  try {
    return run();
  } finally {
    for (const handle of passing) handle.close();
    passing = outer;
  }
}
