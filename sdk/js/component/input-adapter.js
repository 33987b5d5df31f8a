/** The world `input-adapter`: a file in, page images out. */

import * as control from "ocr-host:plugin/control@0.1.0";
import * as image from "ocr-host:plugin/image@0.1.0";
import * as log from "ocr-host:plugin/log@0.1.0";
import * as pdf from "ocr-host:plugin/pdf@0.1.0";
import * as source from "ocr-host:plugin/source@0.1.0";
import { loadAdapter } from "../component.js";

/** The component's export `adapter`. */
export function load(plugin) {
  return loadAdapter(plugin, { control, image, log, pdf, source });
}
