//! pdfium itself: the only file that knows it, and none but the child calls it.

use crate::protocol::{Answer, Failure, MAX_WORDS};
use ocr_document::{LayerWord, Point, Quad};
use pdfium_render::prelude::{
    PdfBitmap, PdfBitmapFormat, PdfDocument, PdfPage, PdfPageTextChar, PdfPoints, PdfRenderConfig, Pdfium,
    PdfiumError, PdfiumInternalError,
};
use std::path::Path;

/// pdfium tells places in whole pixels, so words are placed on a raster that is so many times as large ...
const FINER: f32 = 16.0;
/// ... and at most so many pixels long.
const FINEST_SIDE: f32 = 1e6;

/// Loads the library. System fonts are left out: what a page looks like must not depend on the machine, and the child
/// may open no file once it has begun.
pub(crate) fn load(library: &Path) -> Result<Pdfium, String> {
    let bindings = Pdfium::bind_to_library(library).map_err(|e| {
        let library = library.display();
        format!("{library} can't be used: {e:?}; `ocr-host models fetch pdfium` gets one that fits")
    })?;
    let mut pdfium = Pdfium::new(bindings);
    pdfium.clear_custom_font_provider();
    Ok(pdfium)
}

/// Opens a document.
pub(crate) fn open<'a>(
    pdfium: &'a Pdfium,
    bytes: Vec<u8>,
    password: Option<&str>,
) -> Result<PdfDocument<'a>, Answer> {
    pdfium
        .load_pdf_from_byte_vec(bytes, password)
        .map_err(|error| match error {
            PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::PasswordError) => Answer::Failed {
                why: match password {
                    None => Failure::Encrypted,
                    Some(_) => Failure::WrongPassword,
                },
                message: String::new(),
            },
            other => failed("it can't be opened", &other),
        })
}

fn failed(what: &str, error: &PdfiumError) -> Answer {
    let why = match error {
        PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::FormatError) => {
            "it is no PDF, or damaged beyond reading".to_owned()
        }
        PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::SecurityError) => {
            "its encryption is damaged or unknown".to_owned()
        }
        other => format!("{what} ({other:?})"),
    };
    Answer::Failed {
        why: Failure::Other,
        message: why,
    }
}

/// Its pages.
pub(crate) fn pages(document: &PdfDocument<'_>) -> u32 {
    u32::try_from(document.pages().len()).unwrap_or(0)
}

fn page<'a>(document: &'a PdfDocument<'_>, index: u32) -> Result<PdfPage<'a>, Answer> {
    let at = i32::try_from(index).unwrap_or(i32::MAX);
    document
        .pages()
        .get(at)
        .map_err(|e| failed(&format!("page {} can't be loaded", u64::from(index) + 1), &e))
}

/// A page's size in points, as displayed.
pub(crate) fn size(document: &PdfDocument<'_>, index: u32) -> Result<Answer, Answer> {
    let at = i32::try_from(index).unwrap_or(i32::MAX);
    match document.pages().page_size(at) {
        Ok(size) => Ok(Answer::Size {
            width: size.width().value,
            height: size.height().value,
        }),
        Err(e) => Err(failed(&format!("page {} has no size", u64::from(index) + 1), &e)),
    }
}

/// A page as RGB on white.
pub(crate) fn render(
    document: &PdfDocument<'_>,
    index: u32,
    width: u32,
    height: u32,
) -> Result<Answer, Answer> {
    let page = page(document, index)?;
    let (w, h) = (width as i32, height as i32);
    let draw = || -> Result<Vec<u8>, PdfiumError> {
        let mut bitmap = PdfBitmap::empty(w, h, PdfBitmapFormat::BGR)?;
        let config = PdfRenderConfig::new()
            .set_fixed_size(w, h)
            .set_format(PdfBitmapFormat::BGR);
        page.render_into_bitmap_with_config(&mut bitmap, &config)?;
        Ok(bitmap.as_raw_bytes())
    };
    let pixels = draw().map_err(|e| failed(&format!("page {} can't be drawn", u64::from(index) + 1), &e))?;
    match without_padding(pixels, width, height) {
        Some(pixels) => Ok(Answer::Image {
            width,
            height,
            pixels,
        }),
        None => Err(Answer::Failed {
            why: Failure::Other,
            message: format!("there is no memory for {width} x {height} px"),
        }),
    }
}

/// Rows of three bytes a pixel without what stands between them; none where there are too few bytes.
fn without_padding(mut pixels: Vec<u8>, width: u32, height: u32) -> Option<Vec<u8>> {
    let (row, rows) = (width as usize * 3, height as usize);
    let stride = pixels.len().checked_div(rows)?;
    if stride < row {
        return None;
    }
    if stride > row {
        for at in 1..rows {
            pixels.copy_within(at * stride..at * stride + row, at * row);
        }
        pixels.truncate(row * rows);
    }
    Some(pixels)
}

/// A page's words, in pixels of a raster of 72 dpi, in pdfium's order.
pub(crate) fn text(document: &PdfDocument<'_>, index: u32) -> Result<Answer, Answer> {
    let page = page(document, index)?;
    let what = format!("page {} has no text that can be read", u64::from(index) + 1);
    let text = page.text().map_err(|e| failed(&what, &e))?;
    let place = Place::new(&page);
    let mut words = Vec::new();
    let mut word = Word::default();
    for character in text.chars().iter() {
        match character.unicode_char() {
            // pdfium's sign for a hyphen that ends a line.
            Some('\u{2}') => word.push('-', &character, &place),
            Some(c) if !c.is_whitespace() && c != '\0' => word.push(c, &character, &place),
            _ => words.extend(word.take()),
        }
        if words.len() >= MAX_WORDS {
            break;
        }
    }
    words.extend(word.take());
    Ok(Answer::Text { words })
}

/// From a page's own coordinates to the raster of 72 dpi.
struct Place<'a, 'b> {
    page: &'a PdfPage<'b>,
    config: PdfRenderConfig,
    scale: f32,
}

impl<'a, 'b> Place<'a, 'b> {
    fn new(page: &'a PdfPage<'b>) -> Self {
        let (width, height) = (page.width().value.max(1.0), page.height().value.max(1.0));
        let scale = FINER.min(FINEST_SIDE / width.max(height));
        let side = |points: f32| ((points * scale).round() as i32).max(1);
        Self {
            page,
            config: PdfRenderConfig::new().set_fixed_size(side(width), side(height)),
            scale,
        }
    }

    fn of(&self, x: PdfPoints, y: PdfPoints) -> Option<Point> {
        let (x, y) = self.page.points_to_pixels(x, y, &self.config).ok()?;
        Some(Point {
            x: x as f32 / self.scale,
            y: y as f32 / self.scale,
        })
    }
}

/// A word that is being put together.
#[derive(Default)]
struct Word {
    text: String,
    corners: Vec<Point>,
    /// Where its first and its last character stand.
    origins: Option<(Point, Point)>,
}

impl Word {
    fn push(&mut self, c: char, character: &PdfPageTextChar<'_>, place: &Place<'_, '_>) {
        self.text.push(c);
        if let Ok(bounds) = character.loose_bounds() {
            let corners = [(bounds.left(), bounds.top()), (bounds.right(), bounds.bottom())];
            self.corners
                .extend(corners.iter().filter_map(|&(x, y)| place.of(x, y)));
        }
        let origin = character.origin().ok().and_then(|(x, y)| place.of(x, y));
        if let Some(origin) = origin {
            let first = self.origins.map_or(origin, |(first, _)| first);
            self.origins = Some((first, origin));
        }
    }

    /// The word, if it has text and a place.
    fn take(&mut self) -> Option<LayerWord> {
        let word = std::mem::take(self);
        let outline = outline(&word.corners, word.origins)?;
        (!word.text.is_empty()).then_some(LayerWord {
            text: word.text,
            outline,
        })
    }
}

/// The rectangle around `corners`, its first corner where text that runs from one origin to the other begins.
fn outline(corners: &[Point], origins: Option<(Point, Point)>) -> Option<Quad> {
    let fold = |f: fn(f32, f32) -> f32, get: fn(&Point) -> f32| corners.iter().map(get).reduce(f);
    let (x0, x1) = (fold(f32::min, |p| p.x)?, fold(f32::max, |p| p.x)?);
    let (y0, y1) = (fold(f32::min, |p| p.y)?, fold(f32::max, |p| p.y)?);
    let p = |x, y| Point { x, y };
    let clockwise = [p(x0, y0), p(x1, y0), p(x1, y1), p(x0, y1)];
    let (dx, dy) = origins.map_or((1.0, 0.0), |(a, b)| (b.x - a.x, b.y - a.y));
    // Rightwards, downwards, leftwards, upwards: the text's own top left is the next corner each time.
    let turns = match (dx.abs() >= dy.abs(), dx >= 0.0, dy >= 0.0) {
        (true, true, _) => 0,
        (false, _, true) => 1,
        (true, false, _) => 2,
        (false, _, false) => 3,
    };
    let corner = |n: usize| clockwise[(n + turns) % 4];
    Some(Quad {
        a: corner(0),
        b: corner(1),
        c: corner(2),
        d: corner(3),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_between_rows_is_left_out() {
        let padded = vec![1, 2, 3, 0, 4, 5, 6, 0];
        assert_eq!(without_padding(padded, 1, 2), Some(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(
            without_padding(vec![1, 2, 3, 4, 5, 6], 1, 2),
            Some(vec![1, 2, 3, 4, 5, 6])
        );
        assert_eq!(without_padding(vec![1, 2, 3], 1, 2), None);
        assert_eq!(without_padding(Vec::new(), 1, 0), None);
    }

    #[test]
    fn an_outline_begins_where_its_text_does() {
        let p = |x, y| Point { x, y };
        let corners = [p(10.0, 20.0), p(30.0, 40.0)];
        let first = |to: Point| outline(&corners, Some((p(0.0, 0.0), to))).unwrap().a;
        assert_eq!(first(p(9.0, 1.0)), p(10.0, 20.0));
        assert_eq!(
            first(p(1.0, 9.0)),
            p(30.0, 20.0),
            "downwards: its top is at the right"
        );
        assert_eq!(first(p(-9.0, 1.0)), p(30.0, 40.0));
        assert_eq!(first(p(1.0, -9.0)), p(10.0, 40.0));
        assert_eq!(outline(&[], None), None);
    }
}
