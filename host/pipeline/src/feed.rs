//! The left half: pulls pages from an adapter and keeps the engine's queue full.
//!
//! A page that the adapter can't read is handed on, empty, with what went wrong. An adapter that crashed or reached
//! a limit is started afresh for the pages behind the bad one.

use crate::budget::Share;
use crate::plan::{AdapterPlan, Plan};
use crate::report::Failure;
use ocr_document::{Diagnostic, Outcome, Page, PageBuilder, PageInfo, Severity};
use ocr_engine::{PageJob, Ticket};
use ocr_runtime::{
    AdapterSession, Cause, Context, DocInfo, InputItem, InputPage, OpenOptions, PluginEvents, PluginFailure,
    Quota, Source,
};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// Pages between the adapter and the formatters, beside those that the engine reads at a time: enough that the engine
/// never waits for a page being drawn, few enough that memory stays flat (a 200 dpi A4 page takes 12 MB).
pub const PAGES_AHEAD: usize = 2;

/// Pages in a row on which the adapter may fail for good before the rest is given up: a broken file must not cost a
/// fresh sandbox for each of its 10,000 pages.
const FAILURES_IN_A_ROW: u32 = 3;

/// Least time that recognition gets, however long drawing took; a page's time limit is no shorter.
pub const LEAST_TIME: Duration = Duration::from_secs(1);

/// Most pages of a document that are read in one run. A page count is what a file says of itself, and a hostile one
/// says four billion.
pub const MAX_PAGES: u32 = 100_000;

/// What the adapter's side has to tell the formatters' side, in page order.
pub(crate) enum Fed {
    /// With the engine; holds its share of the budget until the page has passed.
    Queued(Ticket, PageInfo, Duration, Share),
    /// Could not be read.
    Failed(Box<Page>, Duration),
    /// No more pages come, and why.
    Broken(Failure),
}

/// An adapter at work on a document.
pub(crate) struct Feed<'a> {
    plan: &'a Plan,
    adapter: &'a AdapterPlan,
    context: Context,
    source: &'a Source,
    session: AdapterSession,
    pages: Option<u32>,
    /// Where the next page goes in the output.
    index: u32,
}

/// Why there are no more pages to send.
enum End {
    /// All are sent.
    Done,
    /// Nobody takes them any more.
    Unwanted,
}

impl<'a> Feed<'a> {
    /// Opens `source` with `adapter`.
    pub(crate) fn open(
        plan: &'a Plan,
        adapter: &'a AdapterPlan,
        source: &'a Source,
        heard: Arc<dyn PluginEvents>,
    ) -> Result<Self, PluginFailure> {
        let mut context = Context {
            events: heard,
            ..plan.adapter_context.clone()
        };
        context.limits.time = context.limits.time.min(plan.page_timeout);
        Ok(Self {
            session: open(plan, adapter, &context, source)?,
            plan,
            adapter,
            context,
            source,
            pages: None,
            index: 0,
        })
    }

    /// What the adapter knows of the document.
    pub(crate) fn info(&mut self) -> Result<DocInfo, PluginFailure> {
        let info = self.session.info()?;
        self.pages = info.pages;
        Ok(info)
    }

    /// Sends every wanted page, in order, until the source or the receiver ends. A bug of the host ends the document
    /// with an error, not the process.
    pub(crate) fn run(mut self, to: &SyncSender<Fed>) {
        let sent = std::panic::catch_unwind(AssertUnwindSafe(|| self.send_all(to)));
        if sent.is_err() {
            let why = "this program failed on a page; please report the file";
            let _ = to.send(Fed::Broken(Failure::new("internal", why)));
        }
    }

    fn send_all(&mut self, to: &SyncSender<Fed>) -> End {
        let (mut number, mut failures) = (0, 0);
        while let Some(next) = self.plan.pages.next_after(number) {
            if self.pages.is_some_and(|pages| next > pages) {
                return End::Done;
            }
            if self.plan.cancel.is_cancelled() {
                return End::Unwanted;
            }
            if self.index >= MAX_PAGES {
                let why = format!("more than {MAX_PAGES} pages; choose some with --pages");
                let _ = to.send(Fed::Broken(Failure::new("too-many-pages", why)));
                return End::Done;
            }
            number = next;
            let started = Instant::now();
            let read = self.session.read(number - 1, self.plan.dpi);
            let render = started.elapsed();
            let fed = match read {
                Ok(None) => return self.ended(number, to),
                Ok(Some(InputItem::Page(page))) => {
                    failures = 0;
                    match self.queue(number, page, render) {
                        Some(fed) => fed,
                        None => return End::Unwanted,
                    }
                }
                Ok(Some(InputItem::Embedded(inner))) => {
                    let why = format!(
                        "holds the document {:?}; documents inside documents are not read",
                        inner.name()
                    );
                    Fed::Failed(Box::new(unread(self.index, number, "unsupported", why)), render)
                }
                Err(failure) => {
                    let (code, message) = self.explain(&failure);
                    let page = unread(self.index, number, &code, message.clone());
                    // An error costs its page alone, but a stopped adapter has to be started afresh, and without a page
                    // count an error may repeat for ever.
                    let dead = self.session.is_dead();
                    if dead || self.pages.is_none() {
                        failures += 1;
                    }
                    let go_on = failures < FAILURES_IN_A_ROW && (!dead || self.reopen());
                    if !go_on {
                        let _ = to.send(Fed::Failed(Box::new(page), render));
                        return self.give_up(number, &message, to);
                    }
                    Fed::Failed(Box::new(page), render)
                }
            };
            self.index += 1;
            if to.send(fed).is_err() {
                return End::Unwanted;
            }
        }
        End::Done
    }

    /// Hands a page to the engine, once there is room for it; `None` when nobody wants it any more.
    fn queue(&self, number: u32, page: InputPage, render: Duration) -> Option<Fed> {
        let bytes = page.image.pixels().len() as u64;
        let share = self.plan.budget.take(bytes, || self.plan.cancel.is_cancelled())?;
        let mut diagnostics = Vec::new();
        if let Some((width, height)) = page.scaled_from {
            let (w, h) = (page.image.width(), page.image.height());
            let message =
                format!("its {width} x {height} px were scaled down to {w} x {h} px before they were read");
            diagnostics.push(Diagnostic::new(Severity::Note, "page-scaled-down", message).on_page(number));
        }
        let job = PageJob {
            index: self.index,
            number,
            image: page.image,
            dpi: page.dpi,
            size_points: page.size_points,
            text_layer: page.text_layer,
            diagnostics,
            time_limit: self.plan.page_timeout.saturating_sub(render).max(LEAST_TIME),
        };
        let info = job.info();
        Some(Fed::Queued(self.plan.engine.submit(job), info, render, share))
    }

    /// What a page's failure is called: a page's time may be the operator's own.
    fn explain(&self, failure: &PluginFailure) -> (String, String) {
        let timed_out = matches!(
            failure.cause,
            Cause::Limit {
                quota: Quota::Time,
                ..
            }
        );
        if timed_out && self.plan.page_timeout < self.plan.adapter_context.limits.time {
            let seconds = self.plan.page_timeout.as_secs_f64();
            let message = format!("could not be drawn within {seconds} s; raise it with --page-timeout");
            return ("page-timeout".into(), message);
        }
        (failure.code().to_owned(), failure.to_string())
    }

    fn reopen(&mut self) -> bool {
        match open(self.plan, self.adapter, &self.context, self.source) {
            Ok(fresh) => {
                self.session = fresh;
                true
            }
            Err(_) => false,
        }
    }

    /// The adapter has no page `number`. Where it had announced one, that page and those behind it are missing.
    fn ended(&mut self, number: u32, to: &SyncSender<Fed>) -> End {
        match self.pages {
            Some(pages) => {
                let why =
                    format!("the document says that it has {pages} pages, but page {number} is not there");
                self.rest(number, "missing-page", &why, to)
            }
            None => End::Done,
        }
    }

    /// The adapter failed for good on page `number`, which was sent; hands on every wanted page behind it, unread.
    fn give_up(&mut self, number: u32, why: &str, to: &SyncSender<Fed>) -> End {
        self.index += 1;
        if self.pages.is_none() {
            let why = format!("given up after page {number}, so what follows is not read: {why}");
            let _ = to.send(Fed::Broken(Failure::new("given-up", why)));
            return End::Done;
        }
        let why = format!("not read, because the adapter failed on pages before: {why}");
        match self.plan.pages.next_after(number) {
            Some(next) => self.rest(next, "given-up", &why, to),
            None => End::Done,
        }
    }

    /// Hands on the wanted pages from `number` on, all unread.
    fn rest(&mut self, number: u32, code: &str, why: &str, to: &SyncSender<Fed>) -> End {
        let mut next = Some(number);
        while let Some(number) = next.filter(|&n| self.pages.is_some_and(|pages| n <= pages)) {
            if self.index >= MAX_PAGES {
                break;
            }
            let page = unread(self.index, number, code, why.to_owned());
            self.index += 1;
            if to.send(Fed::Failed(Box::new(page), Duration::ZERO)).is_err() {
                return End::Unwanted;
            }
            next = self.plan.pages.next_after(number);
        }
        End::Done
    }
}

fn open(
    plan: &Plan,
    adapter: &AdapterPlan,
    context: &Context,
    source: &Source,
) -> Result<AdapterSession, PluginFailure> {
    let options = OpenOptions {
        config: adapter.config.clone(),
        password: plan.password.clone(),
    };
    AdapterSession::open(&adapter.plugin, context, source, &options)
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
