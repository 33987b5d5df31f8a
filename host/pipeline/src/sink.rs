//! Writers of the host's own: pages go to them as they go to formatters, and their files are placed together with
//! the formatters'. What they write is nobody's business here.

use crate::report::Failure;
use ocr_document::Page;
use ocr_runtime::{DocInfo, TreeOutput};

/// Starts a writer for each document.
pub trait SinkPlan: Send + Sync {
    /// A word that names it; no two of a plan have the same.
    fn id(&self) -> &str;

    /// Starts on a document, whose output is called `name`.
    fn open(&self, document: &DocInfo, name: &str, output: TreeOutput) -> Result<Box<dyn PageSink>, Failure>;
}

/// A writer at work on a document. Pages that failed come to it as well, empty.
pub trait PageSink {
    /// Takes the next page.
    fn page(&mut self, page: &Page) -> Result<(), Failure>;

    /// Ends the document: everything has to be in its files.
    fn finish(self: Box<Self>) -> Result<(), Failure>;
}
