//! What plugins say while a document is under way: passed on under the document's name, and kept for its report.

use crate::plan::Events;
use crate::report::PageReport;
use ocr_document::{Diagnostic, Severity};
use ocr_runtime::PluginEvents;
use std::sync::{Arc, Mutex};

/// Hears the plugins of one document.
pub(crate) struct Heard {
    document: String,
    events: Arc<dyn Events>,
    said: Mutex<Vec<Diagnostic>>,
}

impl Heard {
    pub(crate) fn new(document: &str, events: &Arc<dyn Events>) -> Arc<Self> {
        Arc::new(Self {
            document: document.to_owned(),
            events: events.clone(),
            said: Mutex::default(),
        })
    }

    /// Puts what was said of a page with that page; answers what is about the document.
    pub(crate) fn sort_into(&self, pages: &mut [PageReport]) -> Vec<Diagnostic> {
        let said = std::mem::take(&mut *self.said.lock().expect("no thread panics while it listens"));
        said.into_iter()
            .filter_map(|d| match pages.iter_mut().find(|p| Some(p.number) == d.page) {
                Some(page) => {
                    page.diagnostics.push(d);
                    None
                }
                None => Some(d),
            })
            .collect()
    }
}

impl PluginEvents for Heard {
    fn report(&self, plugin: &str, d: &Diagnostic) {
        self.events.plugin_report(&self.document, plugin, d);
        let kept = Diagnostic {
            message: format!("plugin `{plugin}`: {}", d.message),
            ..d.clone()
        };
        self.said
            .lock()
            .expect("no thread panics while it listens")
            .push(kept);
    }

    fn log(&self, plugin: &str, severity: Severity, message: &str) {
        self.events.plugin_log(&self.document, plugin, severity, message);
    }

    fn progress(&self, plugin: &str, done: u32, total: Option<u32>) {
        self.events.plugin_progress(&self.document, plugin, done, total);
    }
}
