/** The world `output-formatter`: pages in, files out. */

import * as control from "ocr-host:plugin/control@0.1.0";
import * as image from "ocr-host:plugin/image@0.1.0";
import * as log from "ocr-host:plugin/log@0.1.0";
import * as ocr from "ocr-host:plugin/ocr@0.1.0";
import * as output from "ocr-host:plugin/output@0.1.0";
import { loadFormatter } from "../component.js";

/** The component's export `formatter`. */
export function load(plugin) {
  return loadFormatter(plugin, { control, image, log, ocr, output });
}
