//! What is to be done with documents, resolved: plugins loaded, options checked, engine running.

use crate::report::{DocumentReport, PageReport};
use crate::select::PageSelection;
use ocr_engine::EngineHandle;
use ocr_runtime::{CancelFlag, Context, Plugin, PluginEvents};
use std::sync::Arc;
use std::time::Duration;

/// A formatter with its options.
#[derive(Clone)]
pub struct FormatterPlan {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// A JSON object that fits its schema.
    pub config: String,
    /// What it runs under.
    pub context: Context,
}

/// What is to be done with documents.
#[derive(Clone)]
pub struct Plan {
    /// Asked in order; the one that is surest of an input reads it.
    pub adapters: Vec<Arc<Plugin>>,
    /// What adapters run under.
    pub adapter_context: Context,
    /// Each gets every page.
    pub formatters: Vec<FormatterPlan>,
    /// Reads the pages.
    pub engine: EngineHandle,
    /// Which pages.
    pub pages: PageSelection,
    /// Resolution at which adapters draw, dots per inch.
    pub dpi: f32,
    /// Opens encrypted documents.
    pub password: Option<String>,
    /// How long one page may take, from drawing to recognition.
    pub page_timeout: Duration,
    /// Ends everything.
    pub cancel: CancelFlag,
    /// Hears how it goes.
    pub events: Arc<dyn Events>,
}

/// Hears how documents go; called from several threads.
pub trait Events: PluginEvents {
    /// A document was opened; `pages` will be read, where known.
    fn document_opened(&self, document: &str, pages: Option<u32>);
    /// A page has passed the formatters.
    fn page_done(&self, document: &str, page: &PageReport);
    /// A document has ended, well or not.
    fn document_done(&self, report: &DocumentReport);
}

/// Hears nothing.
pub struct NoEvents;

impl PluginEvents for NoEvents {
    fn report(&self, _: &str, _: &ocr_document::Diagnostic) {}
    fn log(&self, _: &str, _: ocr_document::Severity, _: &str) {}
    fn progress(&self, _: &str, _: u32, _: Option<u32>) {}
}

impl Events for NoEvents {
    fn document_opened(&self, _: &str, _: Option<u32>) {}
    fn page_done(&self, _: &str, _: &PageReport) {}
    fn document_done(&self, _: &DocumentReport) {}
}
