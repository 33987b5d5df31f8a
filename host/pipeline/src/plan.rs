//! What is to be done with documents, resolved: plugins loaded, options checked, engine running.

use crate::budget::PageBudget;
use crate::gate::Gate;
use crate::heard::Heard;
use crate::regions::EngineRegions;
use crate::report::{DocumentReport, PageReport};
use crate::select::PageSelection;
use crate::sink::SinkPlan;
use crate::text_layer::TextLayerMode;
use ocr_document::{Diagnostic, Severity};
use ocr_engine::{EngineHandle, Tenant};
use ocr_runtime::{CancelFlag, Context, Limits, LogBudget, Plugin};
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

/// An adapter with its options.
#[derive(Clone)]
pub struct AdapterPlan {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// A JSON object that fits its schema.
    pub config: String,
    /// What it runs under; drawing a page never takes longer than `page_timeout`.
    pub context: Context,
}

/// A page processor with its options.
#[derive(Clone)]
pub struct ProcessorPlan {
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
    pub adapters: Vec<AdapterPlan>,
    /// Each edits every page, in this order, before anyone writes it down.
    pub processors: Vec<ProcessorPlan>,
    /// Each gets every page.
    pub formatters: Vec<FormatterPlan>,
    /// So does each of these; they need a folder to write to.
    pub sinks: Vec<Arc<dyn SinkPlan>>,
    /// Reads the pages.
    pub engine: EngineHandle,
    /// Whose documents they are.
    pub tenant: Tenant,
    /// Which pages.
    pub pages: PageSelection,
    /// Resolution at which adapters draw, dots per inch.
    pub dpi: f32,
    /// Opens encrypted documents.
    pub password: Option<String>,
    /// What is done with text that pages carry.
    pub text_layer: TextLayerMode,
    /// How long one page may take, from drawing to recognition.
    pub page_timeout: Duration,
    /// Bounds the pages alive.
    pub budget: PageBudget,
    /// May end a document before its last page.
    pub gate: Arc<dyn Gate>,
    /// Ends everything.
    pub cancel: CancelFlag,
    /// Hears how it goes.
    pub events: Arc<dyn Events>,
}

impl Plan {
    /// What a plugin runs under while it is at work on one document.
    pub(crate) fn context_for(&self, context: &Context, heard: Arc<Heard>) -> Context {
        let regions = EngineRegions {
            engine: self.engine.clone(),
            tenant: self.tenant.clone(),
            gate: self.gate.clone(),
            time_limit: self.page_timeout,
        };
        Context {
            events: heard,
            services: context.services.of_document(Arc::new(regions)),
            log: LogBudget::default(),
            ..context.clone()
        }
    }

    /// Stack of a thread on which the plan's plugins are called, bytes.
    pub fn thread_stack(&self) -> usize {
        let adapters = self.adapters.iter().map(|a| &a.context);
        let processors = self.processors.iter().map(|p| &p.context);
        let formatters = self.formatters.iter().map(|f| &f.context);
        let contexts = adapters.chain(processors).chain(formatters);
        let stacks = contexts.map(|context| context.limits.thread_stack());
        stacks.max().unwrap_or_else(|| Limits::default().thread_stack())
    }
}

/// Hears how documents go; called from several threads. Text of plugins has been cut to the limits and cleaned.
pub trait Events: Send + Sync {
    /// A document was opened; `pages` will be read, where known.
    fn document_opened(&self, document: &str, pages: Option<u32>);
    /// A page has passed the formatters.
    fn page_done(&self, document: &str, page: &PageReport);
    /// A document has ended, well or not.
    fn document_done(&self, report: &DocumentReport);
    /// A plugin has something to say about a document.
    fn plugin_report(&self, document: &str, plugin: &str, diagnostic: &Diagnostic);
    /// A plugin logs a line.
    fn plugin_log(&self, document: &str, plugin: &str, severity: Severity, message: &str);
    /// How far a plugin is.
    fn plugin_progress(&self, document: &str, plugin: &str, done: u32, total: Option<u32>);
}

/// Hears nothing.
pub struct NoEvents;

impl Events for NoEvents {
    fn document_opened(&self, _: &str, _: Option<u32>) {}
    fn page_done(&self, _: &str, _: &PageReport) {}
    fn document_done(&self, _: &DocumentReport) {}
    fn plugin_report(&self, _: &str, _: &str, _: &Diagnostic) {}
    fn plugin_log(&self, _: &str, _: &str, _: Severity, _: &str) {}
    fn plugin_progress(&self, _: &str, _: &str, _: u32, _: Option<u32>) {}
}
