//! What the user sees while it runs: a bar with the time left, JSON lines, or nothing; always on standard error.

use crate::args::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ocr_document::{Diagnostic, Severity};
use ocr_pipeline::{DocumentReport, DocumentStatus, Events, PageReport, PageStatus, counted};
use serde_json::json;
use std::io::{IsTerminal, Write};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Voice {
    /// Errors alone.
    Quiet,
    /// Errors and warnings.
    Normal,
    /// Notes and plugins' own log as well.
    Verbose,
}

/// Shows progress and messages.
pub struct Display {
    bar: ProgressBar,
    json: bool,
    voice: Voice,
}

impl Display {
    /// For a run over `documents` documents.
    pub fn new(how: Progress, voice: Voice, documents: usize) -> Self {
        let shown = how == Progress::Auto && voice > Voice::Quiet && std::io::stderr().is_terminal();
        let target = if shown {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = match documents {
            1 => "{bar:30} {pos}/{len} pages  {elapsed} gone, {eta} left  {msg}",
            _ => "{bar:30} {pos}/{len} pages  {elapsed} gone, {eta} left  {prefix}  {msg}",
        };
        bar.set_style(ProgressStyle::with_template(style).expect("the template is well formed"));
        Self {
            bar,
            json: how == Progress::Json,
            voice,
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// A line on standard error that the bar does not overwrite.
    pub fn say(&self, voice: Voice, line: &str) {
        if voice <= self.voice && !self.json {
            self.bar.suspend(|| eprintln!("{line}"));
        }
    }

    /// Settings were read again while the run goes on; `wrong`: why the new ones are not taken up.
    pub fn reloaded(&self, wrong: Option<&str>) {
        match wrong {
            None => {
                let line = "note: the configuration was read again; what begins now follows it";
                self.say(Voice::Normal, line);
            }
            Some(why) => {
                let line =
                    format!("error: the new configuration is not taken up, the one before goes on: {why}");
                self.say(Voice::Quiet, &line);
            }
        }
        self.event(json!({"event": "reload", "error": wrong}));
    }

    fn event(&self, event: serde_json::Value) {
        if self.json {
            let mut line = event.to_string();
            line.push('\n');
            // One write a line, so that lines of two documents never mix.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

fn voice_of(severity: Severity) -> Voice {
    match severity {
        Severity::Note => Voice::Verbose,
        Severity::Warning => Voice::Normal,
        Severity::Error => Voice::Quiet,
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

impl Events for Display {
    fn plugin_report(&self, document: &str, plugin: &str, d: &Diagnostic) {
        let page = d.page.map(|p| format!(" page {p}:")).unwrap_or_default();
        self.say(
            voice_of(d.severity),
            &format!(
                "{}: {document}:{page} plugin `{plugin}`: {}",
                word(d.severity),
                d.message
            ),
        );
        self.event(json!({"event": "diagnostic", "document": document, "plugin": plugin, "diagnostic": d}));
    }

    fn plugin_log(&self, document: &str, plugin: &str, severity: Severity, message: &str) {
        self.say(
            voice_of(severity),
            &format!("{}: {document}: plugin `{plugin}`: {message}", word(severity)),
        );
        self.event(json!({"event": "log", "document": document, "plugin": plugin, "severity": severity, "message": message}));
    }

    fn plugin_progress(&self, document: &str, plugin: &str, done: u32, total: Option<u32>) {
        self.event(json!({"event": "progress", "document": document, "plugin": plugin, "done": done, "total": total}));
    }

    fn document_opened(&self, document: &str, pages: Option<u32>) {
        self.bar.inc_length(pages.map_or(1, u64::from));
        self.bar.set_message(document.to_owned());
        self.event(json!({"event": "document-opened", "document": document, "pages": pages}));
    }

    fn page_done(&self, document: &str, page: &PageReport) {
        self.bar.inc(1);
        for d in &page.diagnostics {
            let line = format!(
                "{}: {document}: page {}: {}",
                word(d.severity),
                page.number,
                d.message
            );
            self.say(voice_of(d.severity), &line);
        }
        self.event(json!({"event": "page", "document": document, "page": page}));
    }

    fn document_done(&self, report: &DocumentReport) {
        for failure in &report.errors {
            self.say(
                Voice::Quiet,
                &format!("error: {}: {}", report.input, failure.message),
            );
        }
        if let Some(partial) = &report.partial {
            self.say(
                Voice::Quiet,
                &format!(
                    "error: {}: what was written before is kept in {partial}",
                    report.input
                ),
            );
        }
        for d in &report.diagnostics {
            // What plugins say was shown when they said it; this is what the host found at the end.
            if d.code == "stale-output" {
                let line = format!("{}: {}: {}", word(d.severity), report.input, d.message);
                self.say(voice_of(d.severity), &line);
            }
        }
        let skipped = report
            .pages
            .iter()
            .filter(|p| p.status == PageStatus::Skipped)
            .count();
        if skipped > 0 {
            self.say(
                Voice::Quiet,
                &format!(
                    "error: {}: {} {} not read",
                    report.input,
                    counted(skipped, "page"),
                    if skipped == 1 { "was" } else { "were" }
                ),
            );
        }
        if report.status == DocumentStatus::Success {
            let seconds = report.ms / 1e3;
            let pages = counted(report.pages.len(), "page");
            self.say(
                Voice::Verbose,
                &format!("note: {}: {pages} in {seconds:.2} s", report.input),
            );
        }
        self.event(json!({"event": "document-done", "document": report.input, "status": report.status, "errors": report.errors}));
    }
}
