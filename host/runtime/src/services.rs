//! What the host does for plugins beyond handing out bytes and pixels. The runtime knows the shape of it; who starts a
//! session says who does it, and without one the functions answer `denied`.

use crate::pdf::PdfRenderer;
use crate::state::CancelFlag;
use ocr_document::{PageImage, Rect, Span};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The services of a plugin at work on one document; the default has none. Clones share what is counted, so that a plugin
/// that is started afresh goes on where it was.
#[derive(Clone, Default)]
pub struct Services {
    /// Answers `ocr.recognize`.
    pub ocr: Option<Arc<dyn ReadRegions>>,
    /// Answers `pdf.render`.
    pub pdf: Option<Arc<dyn PdfRenderer>>,
    /// Regions that were asked for.
    regions: Arc<AtomicU64>,
}

impl Services {
    /// Services with this reader of regions.
    pub fn reading(ocr: Arc<dyn ReadRegions>) -> Self {
        Self {
            ocr: Some(ocr),
            ..Self::default()
        }
    }

    /// Services with this renderer, where there is one.
    pub fn drawing(pdf: Option<Arc<dyn PdfRenderer>>) -> Self {
        Self {
            pdf,
            ..Self::default()
        }
    }

    /// The same for a document of its own: read by `ocr`, and counted afresh.
    pub fn of_document(&self, ocr: Arc<dyn ReadRegions>) -> Self {
        Self {
            pdf: self.pdf.clone(),
            ..Self::reading(ocr)
        }
    }

    /// Counts `more` regions; where they pass `limit` none is counted, and the number so far is answered.
    pub(crate) fn take_regions(&self, more: u64, limit: u64) -> Result<(), u64> {
        let within = |used: u64| used.checked_add(more).filter(|all| *all <= limit);
        let taken = self
            .regions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within);
        taken.map(drop)
    }
}

/// What to do with a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionTask {
    /// Plain text.
    Text,
    /// Text with its structure, as markdown.
    Markdown,
    /// A table, as HTML.
    Table,
    /// A formula, as LaTeX.
    Formula,
    /// A chart or drawing, as text.
    Figure,
    /// Where the hint stands.
    Locate,
    /// What is to be seen, in a sentence.
    Describe,
}

/// A part of an image to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Its place, px of the image; inside it and never empty.
    pub area: Rect,
    /// What to do.
    pub task: RegionTask,
    /// A language tag, or the words to look for.
    pub hint: Option<String>,
}

/// What was read of a region.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognition {
    /// The arena of `spans`, and for most tasks the answer itself.
    pub text: String,
    /// Blocks, their areas in px of the image; labels mean nothing.
    pub spans: Vec<Span>,
    /// What it cost; 0 for engines that do not count.
    pub tokens: u32,
}

/// Why a region was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegionError {
    /// The run was cancelled.
    Cancelled,
    /// The engine can't do it, or tried and failed.
    Failed(String),
}

/// When to stop, whatever is left to do.
#[derive(Debug, Clone)]
pub struct Until {
    /// Set once the run is cancelled.
    pub cancel: CancelFlag,
    /// When the call's time is up.
    pub deadline: Instant,
}

impl Until {
    /// Whether it is time.
    pub fn is_over(&self) -> bool {
        self.cancel.is_cancelled() || Instant::now() >= self.deadline
    }
}

/// Reads regions of an image again.
pub trait ReadRegions: Send + Sync {
    /// One answer a region, in their order. All are handed over at once, so that they can be read at once.
    fn read(
        &self,
        image: &PageImage,
        regions: &[Region],
        until: &Until,
    ) -> Vec<Result<Recognition, RegionError>>;
}
