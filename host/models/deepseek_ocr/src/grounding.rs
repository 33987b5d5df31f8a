//! From the model's raw text to a typed page.
//!
//! Grounded output is a run of `<|ref|>LABEL<|/ref|><|det|>[[x1, y1, x2, y2], ...]<|/det|>`, each followed by its block's
//! text, markdown, LaTeX or HTML table. [`elements`] takes the run apart without losing a character, [`fill`] makes
//! spans, cells and diagnostics of it. Text without tags (`Free OCR.`) goes the same way as one element without boxes.
//!
//! The text comes from a network that reads strangers' pages, so nothing in it is trusted: nothing is evaluated, every
//! count has a bound, and what does not follow the grammar stays as text with a diagnostic that says so.

mod blocks;
mod coordinates;
mod flaws;
mod html;
mod label;
mod parse;
mod table;
mod write;

pub use coordinates::{GridBox, MAX_BOXES};
pub use label::MAX_LABEL_BYTES;
pub use parse::{Element, MAX_ELEMENTS, Parsed, elements};
pub use table::{MAX_CELLS, MAX_COLUMNS, MAX_ROWS};

use flaws::Flaw;
use ocr_document::PageBuilder;

/// Fills `page` from the model's `raw` text: raw text, spans, cells, parents and diagnostics. `grounded` says whether
/// boxes were asked for; it decides only whether their absence is worth a diagnostic.
///
/// Areas are pixels of the page's own raster (`PageInfo::width` x `height`): the model's coordinates refer to the page
/// as it was seen, not to the padded view. A block without a box has the page's whole area. Spans keep the model's own
/// markdown and inline LaTeX (`\(x\)`), which the page's markdown carries over.
pub fn fill(page: &mut PageBuilder, raw: &str, grounded: bool) {
    page.raw(raw).text_is_markdown();
    let mut parsed = elements(raw);
    let mut flaws = std::mem::take(&mut parsed.flaws);
    let boxes = parsed.elements.iter().any(|e| !e.boxes.is_empty());
    if grounded && !boxes && !raw.trim().is_empty() {
        flaws.note(Flaw::GroundingMissing);
    }
    write::write(page, &parsed.elements, grounded && boxes, &mut flaws);
    let number = page.page().info().number;
    let diagnostics = flaws.diagnostics().into_iter().map(|d| d.on_page(number));
    page.info_mut().diagnostics.extend(diagnostics);
}

#[cfg(test)]
mod tests;
