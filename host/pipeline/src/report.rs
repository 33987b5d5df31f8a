//! What became of a document and of each of its pages; `report.json` is made of these.

use ocr_document::{Diagnostic, Outcome, Page, Recovery, Severity};
use ocr_runtime::PluginFailure;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageStatus {
    /// Everything that was seen was read.
    Complete,
    /// Reading stopped before the end, or the source lacks a part of the page.
    Truncated,
    /// The model repeated itself.
    Repetition,
    /// Nothing could be read.
    Failed,
    /// Nobody read it: the run was cancelled, a quota was used up, or no formatter was left to take it.
    Skipped,
}

impl From<Outcome> for PageStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete => Self::Complete,
            Outcome::Truncated => Self::Truncated,
            Outcome::Repetition => Self::Repetition,
            Outcome::Failed => Self::Failed,
        }
    }
}

/// What became of a page, and what it took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PageReport {
    /// In its source, from 1.
    pub number: u32,
    /// The document inside the document that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// What became of it.
    pub status: PageStatus,
    /// How its text was won.
    pub recovery: Recovery,
    /// Engine and mode.
    pub engine: String,
    /// Tokens that the model wrote, all attempts together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
    /// What there is to say.
    pub diagnostics: Vec<Diagnostic>,
    /// Milliseconds from asking the adapter to the last formatter, waiting excluded.
    pub ms: f64,
    /// The same by stage: `render`, the engine's own, `process:PLUGIN` for each processor, `format`.
    pub timings_ms: BTreeMap<String, f64>,
}

impl PageReport {
    pub(crate) fn new(
        page: &Page,
        render: Duration,
        processing: &[(String, Duration)],
        format: Duration,
    ) -> Self {
        let info = page.info();
        let mut timings_ms = BTreeMap::new();
        let stages = [("render", render), ("format", format)];
        for &(stage, spent) in stages.iter().chain(page.timings()) {
            *timings_ms.entry(stage.to_owned()).or_insert(0.0) += milliseconds(spent);
        }
        for (stage, spent) in processing {
            *timings_ms.entry(stage.clone()).or_insert(0.0) += milliseconds(*spent);
        }
        Self {
            number: info.number,
            part: info.part.clone(),
            status: info.outcome.into(),
            recovery: info.recovery,
            engine: info.engine.clone(),
            tokens: page.tokens(),
            diagnostics: info.diagnostics.clone(),
            ms: timings_ms.values().sum(),
            timings_ms,
        }
    }
}

impl PageReport {
    /// A page that nobody read.
    pub(crate) fn skipped(number: u32, code: &str, why: &str) -> Self {
        Self {
            number,
            part: None,
            status: PageStatus::Skipped,
            recovery: Recovery::None,
            engine: String::new(),
            tokens: None,
            diagnostics: vec![Diagnostic::new(Severity::Error, code, why).on_page(number)],
            ms: 0.0,
            timings_ms: BTreeMap::new(),
        }
    }
}

/// A count with what is counted: `1 page`, `2 pages`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Milliseconds to a tenth of a microsecond; finer digits are noise.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 1e4
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentStatus {
    /// Every page complete, every formatter done.
    Success,
    /// Output was made, but pages or formatters failed.
    PartialSuccess,
    /// No output.
    Failure,
    /// Not begun: a quota was used up.
    Skipped,
}

/// Why a document or one of its formatters failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// Stable, for programs: `encrypted`, `invalid-input`, `plugin-limit`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure from its code and message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

impl From<&PluginFailure> for Failure {
    fn from(failure: &PluginFailure) -> Self {
        Self::new(failure.code(), failure.to_string())
    }
}

/// What became of a document, page by page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DocumentReport {
    /// As the user named it.
    pub input: String,
    /// What became of it.
    pub status: DocumentStatus,
    /// The adapter that read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Pages in the source, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_in_source: Option<u32>,
    /// Each page that was asked for.
    pub pages: Vec<PageReport>,
    /// Files and folders that are in place.
    pub outputs: Vec<String>,
    /// Where the output of what failed was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// What plugins said about the document as a whole.
    pub diagnostics: Vec<Diagnostic>,
    /// Why it failed; empty on success.
    pub errors: Vec<Failure>,
    /// Milliseconds from opening to commit.
    pub ms: f64,
    /// Milliseconds until the first page had passed the formatters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_page_ms: Option<f64>,
}

impl DocumentReport {
    /// A document that failed before anything was read.
    pub fn failed(input: &str, failure: Failure) -> Self {
        Self {
            input: input.to_owned(),
            status: DocumentStatus::Failure,
            adapter: None,
            pages_in_source: None,
            pages: Vec::new(),
            outputs: Vec::new(),
            partial: None,
            diagnostics: Vec::new(),
            errors: vec![failure],
            ms: 0.0,
            first_page_ms: None,
        }
    }

    /// A document that was not begun, and why.
    pub fn skipped(input: &str, why: Failure) -> Self {
        Self {
            status: DocumentStatus::Skipped,
            ..Self::failed(input, why)
        }
    }

    /// Pages that are not complete.
    pub fn incomplete_pages(&self) -> impl Iterator<Item = &PageReport> {
        self.pages.iter().filter(|p| p.status != PageStatus::Complete)
    }

    /// Whether a plugin crashed or reached a limit.
    pub fn plugin_was_stopped(&self) -> bool {
        let stopped = |code: &str| code == "plugin-limit" || code == "plugin-trap";
        self.errors.iter().any(|e| stopped(&e.code))
            || self
                .pages
                .iter()
                .flat_map(|p| &p.diagnostics)
                .any(|d| d.severity == Severity::Error && stopped(&d.code))
    }
}
