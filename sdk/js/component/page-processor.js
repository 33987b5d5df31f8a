/** The world `page-processor`: a page in, edits out. */

import * as control from "ocr-host:plugin/control@0.1.0";
import * as image from "ocr-host:plugin/image@0.1.0";
import * as log from "ocr-host:plugin/log@0.1.0";
import * as ocr from "ocr-host:plugin/ocr@0.1.0";
import { loadProcessor } from "../component.js";

/** The component's export `processor`. */
export function load(plugin) {
  return loadProcessor(plugin, { control, image, log, ocr });
}
