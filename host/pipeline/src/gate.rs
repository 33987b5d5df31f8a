//! Someone who may end a document before its last page: a quota.

use crate::report::Failure;
use ocr_runtime::OutputMeter;

/// Asked while a document is under way; called from several threads.
pub trait Gate: OutputMeter {
    /// Asked before a page is drawn: whether another one may be read. An error ends the document there; what was read
    /// before stays.
    fn next(&self) -> Result<(), Failure>;

    /// Counts a page that is about to be read.
    fn page(&self) -> Result<(), Failure>;

    /// Counts the bytes of a document inside the document, which is about to be opened.
    fn input(&self, bytes: u64) -> Result<(), Failure>;

    /// Asked before plugins have so many regions read again.
    fn regions(&self, count: u64) -> Result<(), Failure>;

    /// Why the document has to end, if it has to.
    fn closed(&self) -> Option<Failure>;
}

/// Lets everything pass.
pub struct NoGate;

impl OutputMeter for NoGate {
    fn take(&self, _: u64) -> bool {
        true
    }
}

impl Gate for NoGate {
    fn next(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn page(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn input(&self, _: u64) -> Result<(), Failure> {
        Ok(())
    }

    fn regions(&self, _: u64) -> Result<(), Failure> {
        Ok(())
    }

    fn closed(&self) -> Option<Failure> {
        None
    }
}
