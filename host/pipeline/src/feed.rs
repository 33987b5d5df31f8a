//! The left half: pulls pages from an adapter and keeps the engine's queue full.
//!
//! A page that the adapter can't read is handed on, empty, with what went wrong. An adapter that crashed or reached
//! a limit is started afresh for the pages behind the bad one.

use crate::plan::Plan;
use ocr_document::{Diagnostic, Outcome, Page, PageBuilder, PageInfo, Severity};
use ocr_engine::{PageJob, Ticket};
use ocr_runtime::{AdapterSession, InputItem, OpenOptions, Plugin, PluginFailure, Source};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// Pages between the adapter and the formatters: enough that the engine never waits for a page being drawn, few
/// enough that memory stays flat (a 200 dpi A4 page takes 12 MB).
pub const PAGES_AHEAD: usize = 2;

/// Pages in a row that may crash the adapter before the rest is given up: a broken file must not cost a fresh
/// sandbox for each of its 10,000 pages.
const CRASHES_IN_A_ROW: u32 = 3;

/// Least time that recognition gets, however long drawing took.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// A page on its way to the formatters.
pub(crate) enum Fed {
    /// With the engine.
    Queued(Ticket, PageInfo, Duration),
    /// Could not be read.
    Failed(Box<Page>, Duration),
}

/// Opens `source` with `adapter`.
pub(crate) fn open(
    plan: &Plan,
    adapter: &Arc<Plugin>,
    source: &Source,
) -> Result<AdapterSession, PluginFailure> {
    let options = OpenOptions {
        config: "{}".into(),
        password: plan.password.clone(),
    };
    AdapterSession::open(adapter, &plan.adapter_context, source, &options)
}

/// Sends every wanted page, in order, until the source or the receiver ends.
pub(crate) fn feed(
    plan: &Plan,
    adapter: &Arc<Plugin>,
    source: &Source,
    mut session: AdapterSession,
    pages: Option<u32>,
    to: SyncSender<Fed>,
) {
    let (mut number, mut index, mut crashes) = (0, 0, 0);
    while let Some(next) = plan.pages.next_after(number) {
        if pages.is_some_and(|pages| next > pages) || plan.cancel.is_cancelled() {
            return;
        }
        number = next;
        let started = Instant::now();
        let item = session.read(number - 1, plan.dpi);
        let render = started.elapsed();
        let fed = match item {
            Ok(None) => return,
            Ok(Some(InputItem::Page(page))) => {
                crashes = 0;
                let job = PageJob {
                    index,
                    number,
                    image: page.image,
                    dpi: page.dpi,
                    size_points: page.size_points,
                    text_layer: page.text_layer,
                    time_limit: plan.page_timeout.saturating_sub(render).max(LEAST_TIME),
                };
                let info = job.info();
                Fed::Queued(plan.engine.submit(job), info, render)
            }
            Ok(Some(InputItem::Embedded(inner))) => {
                let why = format!(
                    "holds the document {:?}; documents inside documents are not read",
                    inner.name()
                );
                Fed::Failed(Box::new(unread(index, number, "unsupported", why)), render)
            }
            Err(failure) => {
                let page = unread(index, number, failure.code(), failure.to_string());
                if session.is_dead() {
                    crashes += 1;
                    let reopened = (crashes < CRASHES_IN_A_ROW).then(|| open(plan, adapter, source));
                    match reopened {
                        Some(Ok(fresh)) => session = fresh,
                        _ => {
                            give_up(plan, page, number, index, pages, &to);
                            return;
                        }
                    }
                }
                // Without a page count, an error at an index may repeat for ever.
                if pages.is_none() {
                    crashes += 1;
                    if crashes >= CRASHES_IN_A_ROW {
                        let _ = to.send(Fed::Failed(Box::new(page), render));
                        return;
                    }
                }
                Fed::Failed(Box::new(page), render)
            }
        };
        index += 1;
        if to.send(fed).is_err() {
            return;
        }
    }
}

/// Hands on the page that ended the adapter and every wanted page behind it, all unread.
fn give_up(plan: &Plan, page: Page, number: u32, index: u32, pages: Option<u32>, to: &SyncSender<Fed>) {
    let why = page.info().diagnostics[0].clone();
    let (mut number, mut index) = (number, index);
    if to.send(Fed::Failed(Box::new(page), Duration::ZERO)).is_err() {
        return;
    }
    while let Some(next) = plan
        .pages
        .next_after(number)
        .filter(|&n| pages.is_some_and(|pages| n <= pages))
    {
        (number, index) = (next, index + 1);
        let message = format!(
            "not read, because the adapter failed on pages before: {}",
            why.message
        );
        let page = unread(index, number, &why.code, message);
        if to.send(Fed::Failed(Box::new(page), Duration::ZERO)).is_err() {
            return;
        }
    }
}

/// The empty page that stands for one that the adapter could not read.
pub(crate) fn unread(index: u32, number: u32, code: &str, message: String) -> Page {
    // A US letter page at 72 dpi stands in where nothing is known of the size.
    mark_failed(PageInfo::new(index, number, 612, 792), code, message)
}

pub(crate) fn mark_failed(mut info: PageInfo, code: &str, message: String) -> Page {
    info.outcome = Outcome::Failed;
    info.diagnostics
        .push(Diagnostic::new(Severity::Error, code, message).on_page(info.number));
    PageBuilder::new(info).finish()
}
