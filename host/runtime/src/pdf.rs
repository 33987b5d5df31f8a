//! `pdf.render` as the runtime knows it: someone who opens PDFs and draws their pages, in a process of its own or however
//! else; who starts a session brings one along (`services.rs`).

use crate::services::Until;
use crate::session::MAX_PAGE_PIXELS;
use crate::source::Source;
use ocr_document::{PageImage, TextLayer};

/// Longest side of a raster, px.
const MAX_SIDE: f64 = 65_535.0;

/// Opens PDFs.
pub trait PdfRenderer: Send + Sync {
    /// Opens the bytes of `source`.
    fn open(
        &self,
        source: &Source,
        password: Option<&str>,
        until: &Until,
    ) -> Result<Box<dyn PdfDocument>, PdfError>;
}

/// An open PDF. Pages count from 0. One call's failure costs no other: whatever it takes to go on is done anew.
pub trait PdfDocument: Send {
    /// Its pages.
    fn page_count(&self) -> u32;
    /// A page's width and height as displayed, points.
    fn page_size(&mut self, page: u32, until: &Until) -> Result<(f32, f32), PdfError>;
    /// A page on white in exactly so many pixels.
    fn render(&mut self, page: u32, width: u32, height: u32, until: &Until) -> Result<PageImage, PdfError>;
    /// The words that a page carries, in pixels of a raster of 72 dpi.
    fn text_layer(&mut self, page: u32, until: &Until) -> Result<TextLayer, PdfError>;
}

/// Why a PDF was not opened, or a page of it not drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PdfError {
    /// It needs a password and none was given.
    #[error("it is encrypted")]
    Encrypted,
    /// The given password does not open it.
    #[error("the password does not open it")]
    WrongPassword,
    /// Nobody wants it any more.
    #[error("cancelled")]
    Cancelled,
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// What the table of a plugin's handles keeps.
pub struct PdfHandle(pub(crate) Box<dyn PdfDocument>);

/// Pixels of a page of `size` points at `dpi`, fewer where those would be more than a page may have.
pub(crate) fn raster((width, height): (f32, f32), dpi: f32) -> (u32, u32) {
    let sane = |points: f32| match points.is_finite() {
        true => f64::from(points).clamp(1.0, 5e6),
        false => 1.0,
    };
    let (width, height) = (sane(width), sane(height));
    let fits = (MAX_PAGE_PIXELS as f64 / (width * height)).sqrt();
    let scale = (f64::from(dpi) / 72.0)
        .min(fits)
        .min(MAX_SIDE / width.max(height));
    let side = |px: f64| px.clamp(1.0, MAX_SIDE) as u32;
    let rounded = (side((width * scale).round()), side((height * scale).round()));
    if u64::from(rounded.0) * u64::from(rounded.1) <= MAX_PAGE_PIXELS {
        return rounded;
    }
    (side((width * scale).floor()), side((height * scale).floor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_beyond_the_pixel_limit_gets_a_lower_resolution() {
        assert_eq!(raster((612.0, 792.0), 144.0), (1224, 1584));
        let (width, height) = raster((14_400.0, 14_400.0), 300.0);
        assert!(u64::from(width) * u64::from(height) <= MAX_PAGE_PIXELS);
        assert_eq!(width, height);
        assert_eq!(raster((5e6, 1.0), 1200.0).1, 1);
        assert_eq!(raster((f32::NAN, f32::INFINITY), 72.0), (1, 1));
    }
}
