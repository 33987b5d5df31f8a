//! The files that DeepSeek-OCR's own scripts write, from the same raw text: cleaned markdown, the raw text kept beside
//! it, and what to cut out of the page and to draw on it. Nothing here touches pixels or files.
//!
//! The text follows upstream to the byte where the raw text follows the grammar. What upstream gets wrong is put right:
//! a link and the file it names have the same number, every box of an image has a link of its own, equal tags are no
//! longer mistaken for each other, text inside broken tags is kept, a page is kept when its text has no end token, and
//! coordinates are read, not evaluated.
//!
//! Sources: `run_dpsk_ocr_pdf.py`, `run_dpsk_ocr_image.py`, `run_dpsk_ocr_eval_batch.py`, and `infer` of the model's
//! Transformers code.

use crate::grounding::{Element, elements};
use ocr_document::Rect;

/// Follows every page of a PDF's text, in both files.
pub const PAGE_SPLIT: &str = "\n\n<--- Page Split --->\n";

/// Whose files are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Transformers' `infer(save_results=True)`: `result.mmd`, `images/{k}.jpg`, `result_with_boxes.jpg`.
    Transformers,
    /// vLLM on one image: the same and the raw text as `result_ori.mmd`.
    Image,
    /// vLLM on a PDF: `NAME.mmd`, `NAME_det.mmd`, `images/{page}_{k}.jpg`, `NAME_layouts.pdf`.
    Pdf,
    /// vLLM on a folder of images: `NAME.md`, `NAME_det.md`; no pictures.
    Batch,
}

/// A picture to cut out of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crop {
    /// The page, as it was given.
    pub page: u32,
    /// Number on the page, from 0.
    pub number: usize,
    /// Page px; never empty.
    pub area: Rect,
    /// The file that the text links to, relative to the text: `images/3_0.jpg`.
    pub file: String,
}

/// A box to draw on the page. Upstream gives all boxes of one element one colour, a `title` 4 px of outline and others 2,
/// a fill of alpha 20 of 255, and the label above the box on white.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The element it belongs to, from 0.
    pub element: usize,
    /// The model's label, or the text that was located.
    pub label: String,
    /// Page px; may be empty.
    pub area: Rect,
}

/// What a script writes for one page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageFiles {
    /// For the cleaned file (`.mmd`, `.md`).
    pub text: String,
    /// For the file with the tags (`_det.mmd`, `_det.md`, `result_ori.mmd`): the raw text without its end token.
    pub tagged: String,
    /// In the order of the text's links.
    pub crops: Vec<Crop>,
    /// In the model's order.
    pub outlines: Vec<Outline>,
}

/// What `script` writes for one page of `width` x `height` px whose raw text is `raw`.
///
/// `page` is the number in the names of a PDF's pictures. Upstream counts the pages it kept from 0; give the page's place
/// in the document, so that names still fit when pages failed.
pub fn page(script: Script, raw: &str, page: u32, width: u32, height: u32) -> PageFiles {
    const END: &str = "<｜end▁of▁sentence｜>";
    let raw = raw.replace(END, "");
    let raw = if script == Script::Transformers {
        raw.trim()
    } else {
        raw.as_str()
    };
    let formulas_cleaned = (script == Script::Batch).then(|| clean_formulas(raw));
    let source = formulas_cleaned.as_deref().unwrap_or(raw);
    let parsed = elements(source).elements;
    let mut writer = Writer {
        script,
        page,
        size: (width, height),
        crops: Vec::new(),
        outlines: Vec::new(),
        pieces: vec![String::new()],
    };
    writer.write(source, &parsed);
    let mut text = writer.cleaned();
    let mut tagged = raw.to_owned();
    if script == Script::Pdf {
        text.push_str(PAGE_SPLIT);
        tagged.push_str(PAGE_SPLIT);
    }
    PageFiles {
        text,
        tagged,
        crops: writer.crops,
        outlines: writer.outlines,
    }
}

struct Writer {
    script: Script,
    page: u32,
    size: (u32, u32),
    crops: Vec<Crop>,
    outlines: Vec<Outline>,
    /// The text, parted where tags are deleted.
    pieces: Vec<String>,
}

impl Writer {
    fn write(&mut self, raw: &str, parsed: &[Element]) {
        let mut at = 0;
        for (number, element) in parsed.iter().enumerate() {
            let areas = element
                .boxes
                .iter()
                .map(|b| b.to_pixels(self.size.0, self.size.1));
            let areas: Vec<Rect> = areas.collect();
            // Upstream cuts out this label and no other, and nothing when it goes through a folder.
            let is_picture = element.label == "image" && self.script != Script::Batch;
            for (nth, tag) in element.tags.iter().enumerate() {
                self.push(&raw[at..tag.start]);
                at = tag.end;
                if is_picture && nth == 0 {
                    areas.iter().for_each(|&area| self.picture(area));
                } else {
                    self.pieces.push(String::new());
                }
            }
            self.outlines.extend(areas.into_iter().map(|area| Outline {
                element: number,
                label: element.label.clone(),
                area,
            }));
        }
        self.push(&raw[at..]);
    }

    fn push(&mut self, text: &str) {
        let last = self.pieces.len() - 1;
        self.pieces[last].push_str(text);
    }

    /// A picture and its link; a box without a pixel has neither.
    fn picture(&mut self, area: Rect) {
        if area.is_empty() {
            return;
        }
        let number = self.crops.len();
        let file = match self.script {
            Script::Pdf => format!("images/{}_{number}.jpg", self.page),
            _ => format!("images/{number}.jpg"),
        };
        self.push(&format!("![]({file})\n"));
        self.crops.push(Crop {
            page: self.page,
            number,
            area,
            file,
        });
    }

    /// The pieces joined. Upstream cleans the whole text each time that it deletes a tag, from the first to the last,
    /// so a page without tags is not cleaned, and how often a run of empty lines is squeezed depends on its place.
    fn cleaned(&mut self) -> String {
        let mut pieces = std::mem::take(&mut self.pieces).into_iter();
        let mut text = pieces.next().unwrap_or_default();
        for (before, piece) in pieces.enumerate() {
            text.push_str(&clean_repeatedly(self.script, piece, before));
            text = clean(self.script, &text);
        }
        text
    }
}

/// `text` cleaned `times` times.
fn clean_repeatedly(script: Script, mut text: String, times: usize) -> String {
    for _ in 0..times {
        let cleaned = clean(script, &text);
        if cleaned == text {
            break;
        }
        text = cleaned;
    }
    text
}

fn clean(script: Script, text: &str) -> String {
    let squeezed = |text: &str| text.replace("\n\n\n\n", "\n\n").replace("\n\n\n", "\n\n");
    let spelled = |text: &str| text.replace("\\coloneqq", ":=").replace("\\eqqcolon", "=:");
    match script {
        Script::Transformers | Script::Image => spelled(text),
        Script::Pdf => squeezed(&spelled(text)),
        Script::Batch => squeezed(text).replace("<center>", "").replace("</center>", ""),
    }
}

/// Displayed formulas of one line each without `\quad (...)`, trimmed.
fn clean_formulas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\[") {
        let inside = &rest[at + 2..];
        let line = inside.find('\n').unwrap_or(inside.len());
        out.push_str(&rest[..at + 2]);
        match inside[..line].find("\\]") {
            Some(end) => {
                out.push_str(without_numbers(&inside[..end]).trim());
                out.push_str("\\]");
                rest = &inside[end + 2..];
            }
            None => rest = inside,
        }
    }
    out.push_str(rest);
    out
}

/// LaTeX without `\quad (...)`.
fn without_numbers(latex: &str) -> String {
    const QUAD: &str = "\\quad";
    let mut out = String::with_capacity(latex.len());
    let mut rest = latex;
    while let Some(at) = rest.find(QUAD) {
        let after = &rest[at + QUAD.len()..];
        let number = after
            .trim_start()
            .strip_prefix('(')
            .and_then(|n| n.split_once(')'));
        match number {
            Some((_, behind)) => {
                out.push_str(&rest[..at]);
                rest = behind;
            }
            None => {
                out.push_str(&rest[..at + QUAD.len()]);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 100]]<|/det|>\n# A\n\n\n<|ref|>image<|/ref|><|det|>[[0, 100, 500, 200], [500, 100, 999, 200]]<|/det|>\n<|ref|>image_caption<|/ref|><|det|>[[0, 200, 999, 250]]<|/det|>\n<center>Fig. \\(a \\coloneqq b\\) </center>\n\n<|ref|>image<|/ref|><|det|>[[0, 300, 999, 999]]<|/det|>\n<｜end▁of▁sentence｜>";

    #[test]
    fn a_pdf_page_links_what_is_cut_out() {
        let files = page(Script::Pdf, RAW, 3, 999, 999);
        let expected = "\n# A\n\n![](images/3_0.jpg)\n![](images/3_1.jpg)\n\n\n<center>Fig. \\(a := b\\) </center>\n\n![](images/3_2.jpg)\n\n\n\n<--- Page Split --->\n";
        // The run of three line feeds between picture and caption is squeezed as upstream squeezes it.
        assert_eq!(files.text, expected.replace("_1.jpg)\n\n\n", "_1.jpg)\n\n"));
        let crops: Vec<(&str, Rect)> = files.crops.iter().map(|c| (c.file.as_str(), c.area)).collect();
        let expected = [
            ("images/3_0.jpg", Rect::new(0, 100, 500, 200)),
            ("images/3_1.jpg", Rect::new(500, 100, 999, 200)),
            ("images/3_2.jpg", Rect::new(0, 300, 999, 999)),
        ];
        assert_eq!(crops, expected);
        assert_eq!(
            files.tagged,
            RAW.replace("<｜end▁of▁sentence｜>", "") + PAGE_SPLIT
        );
        let outlines: Vec<(usize, &str)> = files
            .outlines
            .iter()
            .map(|o| (o.element, o.label.as_str()))
            .collect();
        let expected = [
            (0, "title"),
            (1, "image"),
            (1, "image"),
            (2, "image_caption"),
            (3, "image"),
        ];
        assert_eq!(outlines, expected);
    }

    #[test]
    fn one_image_has_short_names_and_keeps_its_empty_lines() {
        let files = page(Script::Image, RAW, 3, 999, 999);
        assert!(
            files
                .text
                .starts_with("\n# A\n\n\n![](images/0.jpg)\n![](images/1.jpg)\n\n")
        );
        let transformers = page(Script::Transformers, RAW, 1, 999, 999);
        assert!(transformers.text.ends_with("![](images/2.jpg)\n"));
        assert_eq!(
            (transformers.crops, transformers.outlines),
            (page(Script::Image, RAW, 1, 999, 999).crops, files.outlines)
        );
    }

    #[test]
    fn a_folder_has_no_pictures_and_no_centres() {
        let files = page(Script::Batch, RAW, 0, 999, 999);
        assert_eq!(files.text, "\n# A\n\nFig. \\(a \\coloneqq b\\) \n\n");
        assert!(files.crops.is_empty());
        let formulas = "\\[ x \\quad (1) \\] \\[a \\quad b\\]\n\\[ y\n\\quad (2)\\]";
        let expected = "\\[x\\] \\[a \\quad b\\]\n\\[ y\n\\quad (2)\\]";
        assert_eq!(page(Script::Batch, formulas, 0, 9, 9).text, expected);
    }

    #[test]
    fn equal_tags_have_pictures_of_their_own() {
        let raw = "<|ref|>image<|/ref|><|det|>[[0,0,9,9]]<|/det|>\n".repeat(2);
        let files = page(Script::Image, &raw, 0, 999, 999);
        assert_eq!(files.text, "![](images/0.jpg)\n\n![](images/1.jpg)\n\n");
        assert_eq!(files.crops.len(), 2);
    }

    #[test]
    fn text_without_tags_is_left_alone() {
        let raw = "a \\coloneqq b\n\n\n\nc";
        assert_eq!(page(Script::Pdf, raw, 0, 9, 9).text, raw.to_owned() + PAGE_SPLIT);
        assert_eq!(page(Script::Pdf, "", 0, 9, 9).text, PAGE_SPLIT);
    }

    #[test]
    fn broken_tags_lose_no_text() {
        let raw =
            "<|ref|>image<|/ref|><|det|>[[0,0,0,0]]<|/det|>a<|ref|>text<|/ref|><|det|>[[1,2,3,4]]b<|ref|>c";
        let files = page(Script::Image, raw, 0, 99, 99);
        assert_eq!(files.text, "abc");
        assert_eq!((files.crops.len(), files.outlines.len()), (0, 2));
    }
}
