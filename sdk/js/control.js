/** Being stopped, and telling how far the work has come. */

import { call, host } from "./host.js";

/** Throws `Cancelled` once the user has asked to stop. */
export function checkpoint() {
  call(() => host("control").checkpoint());
}

/** Steps done, of how many where known. */
export function progress(done, total = null) {
  host("control").progress(done, total);
}
