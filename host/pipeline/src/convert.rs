//! One document, from its bytes to its files.

use crate::feed::{self, Fed, PAGES_AHEAD};
use crate::plan::Plan;
use crate::report::{DocumentReport, DocumentStatus, Failure, PageReport, PageStatus, milliseconds};
use ocr_document::Page;
use ocr_runtime::limits::THREAD_STACK_BYTES;
use ocr_runtime::{
    Context, DocumentOutput, FormatterOutput, FormatterSession, Plugin, PluginFailure, Source, sniff,
};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Bytes of an input that adapters see before they are chosen.
const HEAD_BYTES: usize = 4096;

/// Bytes hashed at a time.
const HASH_BYTES: usize = 1 << 20;

/// Where a document's output goes.
pub enum Destination {
    /// `NAME.md`, `NAME.html` ... in a folder.
    Folder {
        /// Made where it is missing.
        folder: PathBuf,
        /// File name without extension.
        name: String,
    },
    /// The main file of the only formatter, as it is written.
    Stream(Box<dyn Write + Send>),
}

/// Converts one document. `input` is what the user called it. Never panics over what a document or a plugin does.
pub fn convert(plan: &Plan, input: &str, source: &Source, destination: Destination) -> DocumentReport {
    let started = Instant::now();
    let mut report = DocumentReport {
        status: DocumentStatus::Success,
        errors: Vec::new(),
        ..DocumentReport::failed(input, Failure::new("", ""))
    };
    let ran = run(plan, source, destination, started, &mut report);
    let wrote = *ran.as_ref().unwrap_or(&false);
    if let Err(failure) = ran {
        report.errors.push(failure);
        report.status = DocumentStatus::Failure;
    } else if !report.errors.is_empty() || report.incomplete_pages().next().is_some() {
        let all_failed = report.pages.iter().all(|p| p.status == PageStatus::Failed);
        report.status = if all_failed || !wrote {
            DocumentStatus::Failure
        } else {
            DocumentStatus::PartialSuccess
        };
    }
    report.ms = milliseconds(started.elapsed());
    plan.events.document_done(&report);
    report
}

/// A formatter at work, or what ended it.
struct Running {
    extension: String,
    session: Option<FormatterSession>,
}

fn run(
    plan: &Plan,
    source: &Source,
    destination: Destination,
    started: Instant,
    report: &mut DocumentReport,
) -> Result<bool, Failure> {
    if source.is_empty() {
        return Err(Failure::new("invalid-input", "the file is empty"));
    }
    let adapter = choose_adapter(plan, source)?;
    report.adapter = Some(adapter.manifest().id.clone());
    let mut session = feed::open(plan, &adapter, source).map_err(|e| Failure::from(&e))?;
    let mut info = session.info().map_err(|e| Failure::from(&e))?;
    info.name = source.name().to_owned();
    info.sha256 = Some(digest(source)?);
    info.selected = info.pages.map(|pages| plan.pages.count(pages));
    report.pages_in_source = info.pages;
    if info.pages == Some(0) {
        return Err(Failure::new("invalid-input", "the document has no pages"));
    }
    if let Some((pages, missing)) = info.pages.and_then(|p| Some((p, plan.pages.first_missing(p)?))) {
        let message = format!("page {missing} was asked for, but the document has {pages} pages");
        // What exists is converted; only a selection without any page is an error of its own.
        if info.selected == Some(0) {
            return Err(Failure::new("no-such-page", message));
        }
        report.errors.push(Failure::new("no-such-page", message));
    }
    plan.events.document_opened(&report.input, info.selected);

    let output = match &destination {
        Destination::Folder { folder, name } => {
            let begun = DocumentOutput::begin(folder, name)
                .map_err(|e| Failure::new("output", format!("can't write to {}: {e}", folder.display())))?;
            Some(begun)
        }
        Destination::Stream(_) => None,
    };
    let mut stream = match destination {
        Destination::Stream(writer) => Some(writer),
        Destination::Folder { .. } => None,
    };
    let mut running = Vec::new();
    for formatter in &plan.formatters {
        let extension = formatter.plugin.manifest().extensions[0].clone();
        let place = match (&output, stream.take()) {
            (Some(output), _) => output.formatter(&extension),
            (None, Some(writer)) => FormatterOutput::stream(&format!("{}.{extension}", info.name), writer),
            (None, None) => {
                return Err(Failure::new(
                    "output",
                    "one formatter alone can write to a stream",
                ));
            }
        };
        let opened = FormatterSession::open(
            &formatter.plugin,
            &formatter.context,
            &info,
            &formatter.config,
            place,
        );
        let session = opened.map_err(|e| report.errors.push(Failure::from(&e))).ok();
        running.push(Running { extension, session });
    }

    std::thread::scope(|scope| -> Result<(), Failure> {
        let (to, fed) = sync_channel(PAGES_AHEAD);
        let pages = info.pages;
        let adapter = &adapter;
        std::thread::Builder::new()
            .name("ocr-feed".into())
            .stack_size(THREAD_STACK_BYTES)
            .spawn_scoped(scope, move || {
                feed::feed(plan, adapter, source, session, pages, to)
            })
            .map_err(|e| Failure::new("host-error", format!("no thread could be started: {e}")))?;
        for fed in fed {
            let (page, render) = settle(fed);
            let page = Arc::new(page);
            let formatting = Instant::now();
            for formatter in &mut running {
                format_page(formatter, &page, report);
            }
            let page = PageReport::new(&page, render, formatting.elapsed());
            report
                .first_page_ms
                .get_or_insert_with(|| milliseconds(started.elapsed()));
            plan.events.page_done(&report.input, &page);
            report.pages.push(page);
            // Nobody is left to read for.
            if running.iter().all(|f| f.session.is_none()) || plan.cancel.is_cancelled() {
                break;
            }
        }
        Ok(())
    })?;
    let (mut failed, mut finished) = (HashSet::new(), false);
    for formatter in running {
        let ended = match formatter.session {
            _ if plan.cancel.is_cancelled() => None,
            None => None,
            Some(session) => session
                .finish()
                .map_err(|e| report.errors.push(Failure::from(&e)))
                .ok(),
        };
        finished |= ended.is_some();
        if ended.is_none() {
            failed.insert(formatter.extension);
        }
    }
    if plan.cancel.is_cancelled() {
        report
            .errors
            .push(Failure::new("cancelled", "the run was cancelled"));
    }
    if report.pages.is_empty() && report.errors.is_empty() {
        report
            .errors
            .push(Failure::new("invalid-input", "the document has no pages"));
    }
    if let Some(output) = output {
        let placed = output
            .commit(&failed)
            .map_err(|e| Failure::new("output", format!("the finished files can't be put in place: {e}")))?;
        let shown = |path: PathBuf| path.display().to_string();
        report.outputs = placed.committed.into_iter().map(shown).collect();
        report.partial = placed.partial.map(shown);
    }
    Ok(finished)
}

/// The page, once the engine is done with it.
fn settle(fed: Fed) -> (Page, Duration) {
    match fed {
        Fed::Failed(page, render) => (*page, render),
        Fed::Queued(ticket, info, render) => {
            let gone = || feed::mark_failed(info, "recognition-failed", "the engine has stopped".into());
            (ticket.wait().unwrap_or_else(gone), render)
        }
    }
}

/// Hands a page to a formatter. One that fails gets no more pages, and what it wrote is not committed: a file that
/// lacks a page must not look finished.
fn format_page(formatter: &mut Running, page: &Arc<Page>, report: &mut DocumentReport) {
    let Some(session) = &mut formatter.session else {
        return;
    };
    if let Err(failure) = session.add_page(page) {
        report.errors.push(Failure::from(&failure));
        formatter.session = None;
    }
}

/// The adapter that is surest of the input.
fn choose_adapter(plan: &Plan, source: &Source) -> Result<Arc<Plugin>, Failure> {
    let head = source
        .read_at(0, HEAD_BYTES)
        .map_err(|e| Failure::new("unreadable", e.to_string()))?;
    let context: &Context = &plan.adapter_context;
    let mut best: Option<(u8, &Arc<Plugin>)> = None;
    let mut broken: Option<PluginFailure> = None;
    for adapter in &plan.adapters {
        match sniff(adapter, context, source.name(), &head) {
            Ok(sure) if sure > best.map_or(0, |(most, _)| most) => best = Some((sure, adapter)),
            Ok(_) => {}
            Err(failure) => broken = Some(failure),
        }
    }
    if let Some((_, adapter)) = best {
        return Ok(adapter.clone());
    }
    Err(match broken {
        Some(failure) => Failure::from(&failure),
        None => {
            let known: Vec<&str> = plan
                .adapters
                .iter()
                .flat_map(|a| &a.manifest().extensions)
                .map(String::as_str)
                .collect();
            Failure::new(
                "unsupported",
                format!("no adapter can read it; readable are {}", known.join(", ")),
            )
        }
    })
}

fn digest(source: &Source) -> Result<String, Failure> {
    let mut hasher = Sha256::new();
    let mut at = 0;
    while at < source.len() {
        let chunk = source
            .read_at(at, HASH_BYTES)
            .map_err(|e| Failure::new("unreadable", e.to_string()))?;
        if chunk.is_empty() {
            return Err(Failure::new(
                "unreadable",
                "the file became shorter while it was read",
            ));
        }
        at += chunk.len() as u64;
        hasher.update(&chunk);
    }
    Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect())
}
