//! Capability `pdf.render`: the host's own PDF renderer, in a process of its own.

use crate::adapter::TextLayer;
pub use crate::bindings::host::pdf::OpenError;
use crate::image::Image;
use crate::source::Source;
use crate::{HostError, host};

/// A PDF opened by the host. Pages count from 0.
#[derive(Debug)]
pub struct Document(host::PdfDocument);

impl Document {
    /// Opens a PDF.
    pub fn open(source: &Source, password: Option<&str>) -> Result<Self, OpenError> {
        host::PdfDocument::open(&source.0, password).map(Self)
    }

    /// Its pages.
    pub fn page_count(&self) -> u32 {
        self.0.page_count()
    }

    /// A page's width and height as displayed, points.
    pub fn page_size(&self, page: u32) -> Result<(f32, f32), HostError> {
        self.0.page_size(page)
    }

    /// A page as pixels.
    pub fn render(&self, page: u32, dpi: f32) -> Result<Image, HostError> {
        self.0.render(page, dpi).map(Image)
    }

    /// The text that a page already carries, in pixels of a raster at 72 dpi.
    pub fn text_layer(&self, page: u32) -> Result<Option<TextLayer>, HostError> {
        self.0.text_layer(page)
    }
}
