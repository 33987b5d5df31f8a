/** What a plugin has to say beside its output. */

import { diagnostic } from "./data.js";
import { host } from "./host.js";

/** A line for the run's log. */
export function write(message, level = "note") {
  host("log").write(level, String(message));
}

/** A finding for the user's report, under its page where it names one. */
export function report(severity, code, message, place) {
  host("log").report(diagnostic(severity, code, message, place));
}
