//! What users are told of a document and its pages, in words.

use crate::content::{Content, End, ImageSize};
use crate::document::{Document, Findings, OpenError, Plan};
use crate::lost::Lost;
use ocr_plugin::{Diagnostic, Error, Severity};

/// The code of errors about fonts that are lost: the letters that are seen may be others than were meant. The host takes
/// nothing that is read on such a page for what the document says.
const LETTERS_LOST: &str = "letters-lost";
/// The code of errors about other parts of pages that are lost.
const PARTS_LOST: &str = "parts-lost";
const UNDECODABLE: &str = "content-undecodable";
/// The code of errors about pages of which nobody can tell whether they are what was meant.
const CUT: &str = "cut-off";

/// Why a document is not read.
pub fn refusal(name: &str, e: OpenError) -> Error {
    match e {
        OpenError::Encrypted => Error::failed(
            "encrypted",
            format!("`{name}` is encrypted; give its password with --pdf-password"),
        ),
        OpenError::WrongPassword => Error::failed(
            "wrong-password",
            format!("the password given does not open `{name}`"),
        ),
        OpenError::Encryption => Error::unsupported(format!(
            "`{name}` is encrypted in a way that is damaged or not supported; save it without encryption first"
        )),
        OpenError::Damaged => Error::invalid_input(format!(
            "`{name}` is no PDF, or damaged beyond reading; a PDF repair tool may help"
        )),
        OpenError::NoPages => Error::invalid_input(format!("`{name}` is a PDF without a single page")),
    }
}

/// What a damaged file lacks that its pages can't tell.
pub fn losses(document: &Document, end: End) -> Vec<Diagnostic> {
    let pages = document.page_count();
    let message = match end {
        End::Whole => None,
        End::Cut => Some(
            "it ends before its end (there is no `startxref`), so it was probably cut off, and parts may be missing; get the \
             file again, or try a PDF repair tool",
        ),
        End::CutChange => Some(
            "the file was changed after it was written, and the change is cut off: its pages are those from before; get the \
             file again",
        ),
    };
    let damaged = message.map(|message| Diagnostic::new(Severity::Warning, "damaged", message));
    let missing = match document.promised_pages() {
        Some(promised) => Some(format!(
            "it says that it has {promised} pages, but {pages} could be found; a PDF repair tool may find more"
        )),
        None if end != End::Whole && !document.has_page_tree() => Some(format!(
            "the list of its pages is lost: {pages} could be found, and there may have been more; get the file again"
        )),
        None => None,
    };
    let missing = missing.map(|message| Diagnostic::new(Severity::Error, "pages-missing", message));
    damaged.into_iter().chain(missing).collect()
}

/// What page `index` lacks because the file lacks it, whoever draws it. Of a file that was cut off and can't be opened in
/// here nobody says what its pages lack.
pub fn lacks(document: Option<&Document>, end: End, index: u32) -> Vec<Diagnostic> {
    let cut = |message| Diagnostic::new(Severity::Error, CUT, message);
    let Some(document) = document else {
        let message = "the file is cut off, and what this page lacks can't be told; get the file again";
        return (end != End::Whole).then(|| cut(message)).into_iter().collect();
    };
    let changed = (end == End::CutChange).then(|| {
        cut("it may have been changed: the file was, after it was written, and the change is cut off; get the file again")
    });
    let content = undecodable(document.content(index));
    let lost = missing(document.lost(index));
    content.into_iter().chain(lost).chain(changed).collect()
}

/// Whether it is told of something that another renderer may find in the file.
pub fn may_be_found_elsewhere(lack: &Diagnostic) -> bool {
    lack.code != CUT
}

fn missing(lost: Lost) -> Vec<Diagnostic> {
    let Lost {
        fonts,
        pictures,
        others,
    } = lost;
    let letters = (fonts > 0).then(|| {
        let message = match fonts {
            1 => "a font of it is missing in the file, in whole or in part, so other letters may be seen than were meant; get \
                  the file again, or try a PDF repair tool"
                .to_owned(),
            _ => format!(
                "{fonts} fonts of it are missing in the file, in whole or in part, so other letters may be seen than were \
                 meant; get the file again, or try a PDF repair tool"
            ),
        };
        Diagnostic::new(Severity::Error, LETTERS_LOST, message)
    });
    let parts = (pictures + others > 0).then(|| {
        let message = match pictures + others {
            1 => "a part of it is missing in the file: a picture, an annotation, a colour or its size; get the file again, or \
                  try a PDF repair tool"
                .to_owned(),
            parts => format!(
                "{parts} parts of it are missing in the file: pictures, annotations, colours or its size; get the file \
                 again, or try a PDF repair tool"
            ),
        };
        Diagnostic::new(Severity::Error, PARTS_LOST, message)
    });
    letters.into_iter().chain(parts).collect()
}

fn undecodable(content: Content) -> Option<Diagnostic> {
    let Content { streams, lost } = content;
    let message = match streams {
        1 => "its content is missing or can't be decoded whole; a PDF repair tool may help".to_owned(),
        _ => format!(
            "{lost} of the {streams} parts of its content are missing or can't be decoded whole; a PDF repair tool may \
             help"
        ),
    };
    (lost > 0).then(|| Diagnostic::new(Severity::Error, UNDECODABLE, message))
}

/// An image is larger than a component's memory.
pub fn giant(size: &ImageSize) -> Error {
    let message = format!(
        "an image of {} x {} px takes {} MiB, more than can be drawn here; scale it down",
        size.width,
        size.height,
        size.bytes >> 20
    );
    Error::failed("image-too-large", message)
}

/// A page is drawn smaller than was asked for.
pub fn reduced(plan: &Plan, asked: f32) -> Diagnostic {
    let message = format!(
        "drawn at {:.0} instead of {asked:.0} dpi: the page is {:.0} x {:.0} points large; \
         setting `max-megapixels` raises the limit",
        plan.dpi, plan.width_points, plan.height_points
    );
    Diagnostic::new(Severity::Note, "raster-reduced", message)
}

/// There is no memory for a page's pixels.
pub fn no_memory(plan: &Plan, bytes: usize) -> Error {
    let message = format!(
        "it needs {} MB to be drawn in {} x {} px, more than this plugin's memory has left; lower --dpi or raise the \
         limit",
        bytes.div_ceil(1_000_000),
        plan.width,
        plan.height
    );
    Error::failed("out-of-memory", message)
}

/// What the user should know about a page that was drawn all the same.
pub fn describe(findings: &Findings) -> Vec<Diagnostic> {
    let Findings {
        fonts,
        images,
        annotations,
    } = *findings;
    let tell = |severity, code, message: String| Diagnostic::new(severity, code, message);
    let images = (images > 0).then(|| {
        let are = if images == 1 {
            "image of the page could not be decoded and is"
        } else {
            "images of the page could not be decoded and are"
        };
        tell(
            Severity::Warning,
            "image-undecodable",
            format!("{images} {are} missing"),
        )
    });
    // Counted is how often they are asked for.
    let fonts = (fonts > 0).then(|| {
        let message = "a font could not be loaded, so other letters may be seen than were meant";
        tell(Severity::Error, LETTERS_LOST, message.to_owned())
    });
    let annotations = (annotations > 0).then(|| {
        let what = if annotations == 1 {
            "annotation"
        } else {
            "annotations"
        };
        tell(
            Severity::Warning,
            "annotation-undrawn",
            format!("{annotations} {what} could not be drawn"),
        )
    });
    images.into_iter().chain(fonts).chain(annotations).collect()
}

/// The host's renderer draws nothing.
pub fn undrawn(why: &str) -> Error {
    Error::failed("not-drawn", format!("the host's renderer can't draw it: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_cut_file_that_opens_elsewhere_alone_no_page_is_trusted() {
        let told = lacks(None, End::Cut, 0);
        assert_eq!((told.len(), told[0].code.as_str()), (1, CUT));
        assert_eq!(told[0].severity, Severity::Error);
        assert!(!may_be_found_elsewhere(&told[0]));
        assert!(lacks(None, End::Whole, 0).is_empty());
    }

    #[test]
    fn letters_are_told_of_apart_from_other_parts() {
        let lost = |fonts, pictures, others| {
            let told = missing(Lost {
                fonts,
                pictures,
                others,
            });
            told.into_iter().map(|d| (d.code, d.message)).collect::<Vec<_>>()
        };
        assert!(lost(0, 0, 0).is_empty());
        let told = lost(2, 1, 2);
        assert_eq!(
            (told[0].0.as_str(), told[1].0.as_str()),
            (LETTERS_LOST, PARTS_LOST)
        );
        assert!(told[0].1.starts_with("2 fonts of it") && told[1].1.starts_with("3 parts of it"));
        assert!(
            lost(1, 0, 0)[0].1.starts_with("a font of it") && lost(0, 0, 1)[0].1.starts_with("a part of it")
        );
    }
}
