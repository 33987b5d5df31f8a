/**
 * Time stands still in a plugin and chance repeats itself: its output follows from its input. The engine's own clock and seed would be
 * those of the machine that built the component, or end the call in a trap. The console is the host's log.
 *
 * The entry that `ocr-host plugin build` writes imports this first, so that modules of the plugin that ask while they are loaded get the
 * same answers.
 */

import { host } from "../host.js";

const RealDate = Date;

function StillDate(...given) {
  const date = given.length === 0 ? new RealDate(0) : new RealDate(...given);
  return new.target ? Object.setPrototypeOf(date, new.target.prototype) : String(date);
}

StillDate.prototype = RealDate.prototype;
StillDate.UTC = RealDate.UTC;
StillDate.parse = RealDate.parse;
StillDate.now = () => 0;
RealDate.prototype.constructor = StillDate;
globalThis.Date = StillDate;

let state = 0;

/** SplitMix32. */
Math.random = () => {
  state = (state + 0x9e3779b9) | 0;
  let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return ((z ^ (z >>> 15)) >>> 0) / 4294967296;
};

let isRunning = false;

/** Says that the component runs: there is no host while it is built. */
export function begin() {
  isRunning = true;
}

function say(level, said) {
  if (isRunning) host("log").write(level, said.map(shown).join(" "));
}

/** A value as the console shows it. */
function shown(value) {
  if (typeof value === "string" || value instanceof Error) return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

const LEVELS = { debug: "note", log: "note", info: "note", warn: "warning", error: "error" };
globalThis.console = Object.fromEntries(
  Object.entries(LEVELS).map(([name, level]) => [name, (...said) => say(level, said)]),
);
