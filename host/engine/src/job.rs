//! One page's work, valid by construction.

use crate::Tenant;
use ocr_document::{Affine, Diagnostic, PageImage, PageInfo, TextLayer};
use std::time::Duration;

/// How far the text that a source carries is believed. Text that lies on nothing that can be seen is never taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LayerTrust {
    /// Where a sample of it reads as it says.
    #[default]
    Sample,
    /// As it is.
    Full,
}

/// A page to be recognised.
#[derive(Debug, Clone)]
pub struct PageJob {
    /// Position in the run's output, from 0.
    pub index: u32,
    /// Number in its source, from 1.
    pub number: u32,
    /// The page's pixels; never empty.
    pub image: PageImage,
    /// Resolution of `image`, dots per inch.
    pub dpi: f32,
    /// Source page width and height, points.
    pub size_points: (f32, f32),
    /// Text that the source carries, for engines that can use it.
    pub text_layer: Option<TextLayer>,
    /// How far that text is believed.
    pub trust: LayerTrust,
    /// What there is to say of the page before it is read.
    pub diagnostics: Vec<Diagnostic>,
    /// How long recognition may take once it has begun.
    pub time_limit: Duration,
    /// Whose page it is.
    pub tenant: Tenant,
}

impl PageJob {
    /// The description of the page before anything was recognised.
    pub fn info(&self) -> PageInfo {
        let (width, height) = (self.image.width(), self.image.height());
        let (width_points, height_points) = self.size_points;
        PageInfo {
            width_points,
            height_points,
            diagnostics: self.diagnostics.clone(),
            to_source: Affine::raster_to_points(width, height, width_points, height_points),
            ..PageInfo::new(self.index, self.number, width, height)
        }
    }
}
