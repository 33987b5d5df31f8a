//! What plugins say while a document is under way: passed on under the document's name, and kept for its report.

use crate::plan::Events;
use crate::report::PageReport;
use ocr_document::{Diagnostic, Severity};
use ocr_runtime::PluginEvents;
use std::sync::{Arc, Mutex};

/// The code of an adapter's error about a page on which other letters may be seen than were meant, because fonts are lost:
/// what is read there may be the document's words in other letters, one for one.
const LETTERS_LOST: &str = "letters-lost";

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

    /// Whether an error was told of page `number`.
    pub(crate) fn error_on(&self, number: u32) -> bool {
        self.has_error(number, |_| true)
    }

    /// Whether the adapter told that the letters seen on page `number` may be others than were meant.
    pub(crate) fn letters_lost_on(&self, number: u32) -> bool {
        self.has_error(number, |code| code == LETTERS_LOST)
    }

    fn has_error(&self, number: u32, of: impl Fn(&str) -> bool) -> bool {
        let said = self.said.lock().expect("no thread panics while it listens");
        said.iter()
            .any(|d| d.page == Some(number) && d.severity == Severity::Error && of(&d.code))
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
        let kept = Diagnostic {
            message: format!("plugin `{plugin}`: {}", d.message),
            ..d.clone()
        };
        {
            let mut said = self.said.lock().expect("no thread panics while it listens");
            // An adapter that is started afresh says again what it said when it opened the document.
            if said.contains(&kept) {
                return;
            }
            said.push(kept);
        }
        self.events.plugin_report(&self.document, plugin, d);
    }

    fn log(&self, plugin: &str, severity: Severity, message: &str) {
        self.events.plugin_log(&self.document, plugin, severity, message);
    }

    fn progress(&self, plugin: &str, done: u32, total: Option<u32>) {
        self.events.plugin_progress(&self.document, plugin, done, total);
    }
}
