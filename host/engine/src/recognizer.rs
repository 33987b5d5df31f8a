//! What a model supplies: pixels in, a page out.

use crate::{PageJob, RegionTask};
use ocr_document::Page;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A model that reads pages.
///
/// Implementations call [`Control::check`] between stages and lines, so that a cancelled or overdue page ends soon.
/// A page that was read in part is an `Ok` page with outcome `Truncated` and a diagnostic.
pub trait Recognizer: Send + Sync + 'static {
    /// Engine and mode, as pages name it: `ppocr/tiny`.
    fn name(&self) -> String;

    /// Reads one page.
    fn recognize(&self, job: &PageJob, control: &Control) -> Result<Page, RecognizeError>;

    /// Reads a part of a page, `job.image`, for what it is known to hold. The answer stands in the page's spans; a
    /// table's and a formula's in their markup. An engine says of what it can't do that it can't.
    fn read_region(
        &self,
        job: &PageJob,
        task: &RegionTask,
        control: &Control,
    ) -> Result<Page, RecognizeError> {
        let _ = (job, control);
        Err(RecognizeError::Model(format!(
            "{} does not read regions for `{}`",
            self.name(),
            task.name()
        )))
    }
}

/// Why a page has no text.
#[derive(Debug, thiserror::Error)]
pub enum RecognizeError {
    /// Nobody waits for the page any more.
    #[error("cancelled")]
    Cancelled,
    /// The page took longer than its limit.
    #[error("recognition took longer than {} s", .0.as_secs())]
    Deadline(Duration),
    /// The model could not read it.
    #[error("{0}")]
    Model(String),
}

/// Tells a recogniser when to stop.
#[derive(Debug, Clone)]
pub struct Control {
    cancelled: Arc<AtomicBool>,
    started: Instant,
    limit: Duration,
}

impl Control {
    /// A page that starts now and may take `limit`.
    pub fn new(limit: Duration) -> Self {
        Self::with_flag(limit, Arc::default())
    }

    pub(crate) fn with_flag(limit: Duration, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            cancelled,
            started: Instant::now(),
            limit,
        }
    }

    /// Fails once the page was cancelled or is overdue.
    pub fn check(&self) -> Result<(), RecognizeError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(RecognizeError::Cancelled);
        }
        if self.started.elapsed() > self.limit {
            return Err(RecognizeError::Deadline(self.limit));
        }
        Ok(())
    }
}
