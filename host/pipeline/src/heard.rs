//! What plugins say while a document is under way: passed on under the document's name, and kept for its report.

use crate::plan::Events;
use crate::report::PageReport;
use ocr_document::{Diagnostic, Severity};
use ocr_runtime::PluginEvents;
use std::sync::{Arc, Mutex};

/// The code of an adapter's error about a page on which other letters may be seen than were meant, because fonts are lost:
/// what is read there may be the document's words in other letters, one for one.
const LETTERS_LOST: &str = "letters-lost";

/// Whether errors about a page tell that the letters seen on it may be others than were meant.
pub(crate) fn letters_are_lost(errors: &[Diagnostic]) -> bool {
    errors.iter().any(|d| d.code == LETTERS_LOST)
}

fn is_error_on(said: &Diagnostic, number: u32) -> bool {
    said.page == Some(number) && said.severity == Severity::Error
}

/// Hears the plugins of one document.
pub(crate) struct Heard {
    document: String,
    events: Arc<dyn Events>,
    /// Each with the plugin that said it.
    said: Mutex<Vec<(String, Diagnostic)>>,
}

impl Heard {
    pub(crate) fn new(document: &str, events: &Arc<dyn Events>) -> Arc<Self> {
        Arc::new(Self {
            document: document.to_owned(),
            events: events.clone(),
            said: Mutex::default(),
        })
    }

    /// The errors that plugin `of` told of page `number`.
    pub(crate) fn errors_of(&self, of: &str, number: u32) -> Vec<Diagnostic> {
        let said = self.said.lock().expect("no thread panics while it listens");
        let of_page = said
            .iter()
            .filter(|(plugin, d)| plugin == of && is_error_on(d, number))
            .map(|(_, d)| d);
        of_page.cloned().collect()
    }

    /// Whether any plugin told an error of page `number`.
    pub(crate) fn has_errors_on(&self, number: u32) -> bool {
        let said = self.said.lock().expect("no thread panics while it listens");
        said.iter().any(|(_, d)| is_error_on(d, number))
    }

    /// Puts what was said of a page with that page; answers what is about the document.
    pub(crate) fn sort_into(&self, pages: &mut [PageReport]) -> Vec<Diagnostic> {
        let said = std::mem::take(&mut *self.said.lock().expect("no thread panics while it listens"));
        let named = |(plugin, d): (String, Diagnostic)| Diagnostic {
            message: format!("plugin `{plugin}`: {}", d.message),
            ..d
        };
        said.into_iter()
            .map(named)
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
        let kept = (plugin.to_owned(), d.clone());
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
