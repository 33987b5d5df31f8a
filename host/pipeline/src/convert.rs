//! One document, from its bytes to its files.

use crate::feed::{self, Fed, Feed, MAX_PAGES, PAGES_AHEAD};
use crate::heard::{Heard, letters_are_lost};
use crate::plan::Plan;
use crate::process::{Processed, Processors, withholds};
use crate::report::{DocumentReport, DocumentStatus, Failure, PageReport, PageStatus, counted, milliseconds};
use crate::sink::PageSink;
use crate::surest::surest;
use ocr_document::{Diagnostic, Outcome, Page, PageInfo, Severity};
use ocr_engine::Ticket;
use ocr_runtime::{DocumentOutput, FormatterOutput, FormatterSession, PluginEvents, Source};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

/// Bytes hashed at a time.
const HASH_BYTES: usize = 1 << 20;

/// The code of a quota that is used up.
pub const QUOTA: &str = "quota";

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
    let heard = Heard::new(input, &plan.events);
    let ran = run(plan, source, destination, started, &heard, &mut report);
    let said = heard.sort_into(&mut report.pages);
    report.diagnostics.extend(said);
    let wrote = *ran.as_ref().unwrap_or(&false);
    let something_is_wrong = report.diagnostics.iter().any(|d| d.severity == Severity::Error);
    if let Err(failure) = ran {
        report.errors.push(failure);
        report.status = DocumentStatus::Failure;
    } else if !report.errors.is_empty() || something_is_wrong || report.incomplete_pages().next().is_some() {
        report.status = if report.pages.iter().all(is_unread) || !wrote {
            match report.errors.iter().all(|e| e.code == QUOTA) && !report.errors.is_empty() {
                true => DocumentStatus::Skipped,
                false => DocumentStatus::Failure,
            }
        } else {
            DocumentStatus::PartialSuccess
        };
    }
    report.ms = milliseconds(started.elapsed());
    plan.events.document_done(&report);
    report
}

fn is_unread(page: &PageReport) -> bool {
    matches!(page.status, PageStatus::Failed | PageStatus::Skipped)
}

/// Someone who writes pages down, until something ends it.
struct Running {
    /// What its files are known by: a formatter's extension, a tree's key.
    key: String,
    work: Option<Work>,
}

enum Work {
    Formatter(FormatterSession),
    Sink(Box<dyn PageSink>),
}

impl Work {
    fn add_page(&mut self, page: &Arc<Page>) -> Result<(), Failure> {
        match self {
            Work::Formatter(session) => session.add_page(page).map_err(|e| Failure::from(&e)),
            Work::Sink(sink) => sink.page(page),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Work::Formatter(session) => session.finish().map(|_bytes| ()).map_err(|e| Failure::from(&e)),
            Work::Sink(sink) => sink.finish(),
        }
    }
}

fn run(
    plan: &Plan,
    source: &Source,
    destination: Destination,
    started: Instant,
    heard: &Arc<Heard>,
    report: &mut DocumentReport,
) -> Result<bool, Failure> {
    if source.is_empty() {
        return Err(Failure::new("invalid-input", "the file is empty"));
    }
    let chosen = surest(plan, source, &(heard.clone() as Arc<dyn PluginEvents>))?;
    let adapter = chosen.plugin.manifest().id.clone();
    report.adapter = Some(adapter.clone());
    let withholding = plan.processors.iter().any(withholds);
    let mut feed = Feed::open(plan, chosen, source, heard.clone()).map_err(|e| Failure::from(&e))?;
    let mut info = feed.info().map_err(|e| Failure::from(&e))?;
    info.name = source.name().to_owned();
    info.sha256 = Some(digest(source)?);
    info.selected = info.pages.map(|pages| plan.pages.count(pages));
    report.pages_in_source = info.pages;
    if info.pages == Some(0) {
        return Err(Failure::new("invalid-input", "the document has no pages"));
    }
    if let Some((pages, missing)) = info.pages.and_then(|p| Some((p, plan.pages.first_missing(p)?))) {
        let has = counted(pages as usize, "page");
        let message = format!("page {missing} was asked for, but the document has {has}");
        // What exists is converted; only a selection without any page is an error of its own.
        if info.selected == Some(0) {
            return Err(Failure::new("no-such-page", message));
        }
        report.errors.push(Failure::new("no-such-page", message));
    }
    if let Some(selected) = info.selected.filter(|&n| n > MAX_PAGES) {
        let message =
            format!("{selected} pages are more than the {MAX_PAGES} of one run; choose some with --pages");
        return Err(Failure::new("too-many-pages", message));
    }
    plan.events.document_opened(&report.input, info.selected);
    // Output files keep the name that the user gave, whatever formatters are told.
    let own_name = info.name.clone();
    let mut processors = Processors::open(plan, &mut info, heard)?;

    let output = match &destination {
        Destination::Folder { folder, name } => {
            let begun = DocumentOutput::begin(folder, name)
                .map_err(|e| Failure::new("output", format!("can't write to {}: {e}", folder.display())))?;
            Some(begun)
        }
        Destination::Stream(_) => None,
    };
    let (mut stream, name) = match destination {
        Destination::Stream(writer) => (Some(writer), own_name),
        Destination::Folder { name, .. } => (None, name),
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
        let place = place.metered(plan.gate.clone());
        let context = plan.context_for(&formatter.context, heard.clone());
        let opened = FormatterSession::open(&formatter.plugin, &context, &info, &formatter.config, place);
        let session = opened.map_err(|e| report.errors.push(Failure::from(&e))).ok();
        running.push(Running {
            key: extension,
            work: session.map(Work::Formatter),
        });
    }
    for sink in &plan.sinks {
        let Some(output) = &output else {
            let why = format!("{} needs a folder to write to", sink.id());
            return Err(Failure::new("output", why));
        };
        let tree = output
            .tree(sink.id())
            .map_err(|e| Failure::new("output", format!("{}: {e}", sink.id())))?;
        let key = tree.key().to_owned();
        let opened = sink.open(&info, &name, tree);
        let work = opened.map(Work::Sink).map_err(|e| report.errors.push(e)).ok();
        running.push(Running { key, work });
    }

    let mut broken = None;
    std::thread::scope(|scope| -> Result<(), Failure> {
        let (to, fed) = sync_channel(PAGES_AHEAD.max(plan.engine.pages_at_a_time()));
        std::thread::Builder::new()
            .name("ocr-feed".into())
            .stack_size(plan.thread_stack())
            .spawn_scoped(scope, move || feed.run(&to))
            .map_err(|e| Failure::new("host-error", format!("no thread could be started: {e}")))?;
        for fed in fed {
            let (page, render, _share) = match fed {
                Fed::Failed(page, render) => (*page, render, None),
                Fed::Queued(ticket, info, render, share) => {
                    (settle(plan, ticket, *info), render, Some(share))
                }
                Fed::Broken(failure) => {
                    report.errors.push(failure.clone());
                    broken = Some(failure);
                    break;
                }
            };
            let mut page = page;
            let number = page.info().number;
            // The adapter said so before it handed the page over. Whoever writes the page down tells its readers.
            let mut lacks = heard.errors_of(&adapter, number);
            if withholding {
                // Its words may be the page's, and nobody searches them. The report has them.
                let unsaid = "the file of this page has a fault, which the report of the run tells";
                lacks.iter_mut().for_each(|lack| lack.message = unsaid.into());
            }
            if !lacks.is_empty() && page.info().outcome == Outcome::Complete {
                page.info_mut().outcome = Outcome::Truncated;
            }
            let before = page.info().diagnostics.len();
            let told = before..before + lacks.len();
            let letters_are_lost = letters_are_lost(&lacks);
            page.info_mut().diagnostics.extend(lacks);
            let Processed {
                page,
                spent,
                failures,
            } = processors.process(page, letters_are_lost);
            report.errors.extend(failures);
            let page = Arc::new(page);
            // Processors may have said so as well.
            let has_errors = heard.has_errors_on(number);
            let formatting = Instant::now();
            for writer in &mut running {
                format_page(plan, writer, &page, report);
            }
            let mut page = PageReport::new(&page, render, &spent, formatting.elapsed());
            // The report has them with the adapter's name, at the end.
            page.diagnostics.drain(told);
            if has_errors && page.status == PageStatus::Complete {
                page.status = PageStatus::Truncated;
            }
            report
                .first_page_ms
                .get_or_insert_with(|| milliseconds(started.elapsed()));
            plan.events.page_done(&report.input, &page);
            report.pages.push(page);
            // Nobody is left to read for.
            if running.iter().all(|writer| writer.work.is_none()) || plan.cancel.is_cancelled() {
                break;
            }
        }
        Ok(())
    })?;
    account_for_the_rest(plan, info.pages, broken, report);
    // A document of which nothing was read has no output that could be taken for one.
    let nothing_read = report.pages.iter().all(is_unread);
    let (mut unfinished, mut finished) = (HashSet::new(), false);
    for writer in running {
        let ended = match writer.work {
            _ if plan.cancel.is_cancelled() => None,
            None => None,
            Some(work) => work.finish().map_err(|e| failed(plan, e, report)).ok(),
        };
        finished |= ended.is_some();
        if ended.is_none() || nothing_read {
            unfinished.insert(writer.key);
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
        let shown = |path: PathBuf| path.display().to_string();
        let placed = output.commit(&unfinished).map_err(|e| {
            report.partial = Some(shown(e.kept));
            Failure::new("output", format!("its files can't be put in place: {}", e.error))
        })?;
        report.outputs = placed.committed.into_iter().map(shown).collect();
        report.partial = placed.partial.map(shown);
        for stale in placed.stale {
            let message = format!("{} is of an earlier run", shown(stale));
            let said = Diagnostic::new(Severity::Warning, "stale-output", message);
            report.diagnostics.push(said);
        }
    }
    Ok(finished)
}

/// The page, once the engine is done with it.
fn settle(plan: &Plan, ticket: Ticket, info: PageInfo) -> Page {
    // An engine knows nothing of documents inside documents.
    let part = info.part.clone();
    let gone = || feed::mark_failed(info, "recognition-failed", "the engine has stopped".into());
    let mut page = ticket.wait(|| plan.cancel.is_cancelled()).unwrap_or_else(gone);
    page.info_mut().part = part;
    page
}

/// Gives every wanted page that was not read a status of its own, so that the report has them all.
fn account_for_the_rest(
    plan: &Plan,
    pages: Option<u32>,
    broken: Option<Failure>,
    report: &mut DocumentReport,
) {
    let why = match (plan.cancel.is_cancelled(), broken) {
        (true, _) => Failure::new("cancelled", "not read: the run was cancelled"),
        (false, Some(why)) => Failure::new(why.code, format!("not read: {}", why.message)),
        (false, None) => Failure::new("no-formatter", "not read: no formatter was left to take it"),
    };
    let mut last = report.pages.last().map_or(0, |p| p.number);
    while let Some(next) = plan
        .pages
        .next_after(last)
        .filter(|&n| pages.is_some_and(|pages| n <= pages))
    {
        report
            .pages
            .push(PageReport::skipped(next, &why.code, &why.message));
        last = next;
    }
}

/// Hands a page to someone who writes it down. One that fails gets no more pages, and what it wrote is not committed:
/// a file that lacks a page must not look finished.
fn format_page(plan: &Plan, writer: &mut Running, page: &Arc<Page>, report: &mut DocumentReport) {
    let Some(work) = &mut writer.work else {
        return;
    };
    // A bug of the host in what a plugin asks of it costs what the plugin writes, not the document.
    let added = std::panic::catch_unwind(AssertUnwindSafe(|| work.add_page(page)));
    let failure = match added {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure,
        Err(_) => {
            let number = page.info().number;
            let why =
                format!("this program failed while page {number} was formatted; please report the file");
            Failure::new("internal", why)
        }
    };
    failed(plan, failure, report);
    writer.work = None;
}

/// Writes a failure down. Where a quota over several documents is used up, that is the reason: raising the plugin's own
/// limit would not help.
fn failed(plan: &Plan, failure: Failure, report: &mut DocumentReport) {
    let failure = match plan.gate.closed() {
        Some(why) if failure.code == "plugin-limit" => why,
        _ => failure,
    };
    if !report.errors.contains(&failure) {
        report.errors.push(failure);
    }
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
