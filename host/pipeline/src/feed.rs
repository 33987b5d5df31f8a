//! The left half: pulls pages from an adapter and keeps the engine's queue full.
//!
//! A page that the adapter can't read is handed on, empty, with what went wrong. An adapter that crashed or reached
//! a limit is started afresh for the pages behind the bad one. An item may be a document of its own: the adapter that is
//! surest of it reads it under its own limits, its pages take the item's place, and the count goes on over them.

mod opened;

use crate::budget::Share;
use crate::plan::{AdapterPlan, Plan};
use crate::process::withholds;
use crate::report::{Failure, counted};
use crate::surest::surest;
use crate::text_layer::{TextLayerMode, sanitized};
use ocr_document::{Diagnostic, Outcome, Page, PageBuilder, PageInfo, Severity};
use ocr_engine::{LayerTrust, PageJob, Ticket};
use ocr_runtime::{DocInfo, InputItem, InputPage, PluginEvents, PluginFailure, Source};
use opened::{Counted, Opened};
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

/// How many documents may lie around one that is read.
const MAX_DEPTH: u32 = 4;

/// Most documents inside a document: an archive of a few kilobytes can hold itself a million times.
const MAX_INNER: u32 = 10_000;

/// Longest name of a part, bytes; four names of files.
const MAX_PART: usize = 1024;

/// What the adapter's side has to tell the formatters' side, in page order.
pub(crate) enum Fed {
    /// With the engine; holds its share of the budget until the page has passed.
    Queued(Ticket, Box<PageInfo>, Duration, Share),
    /// Could not be read.
    Failed(Box<Page>, Duration),
    /// No more pages come, and why.
    Broken(Failure),
}

/// An adapter at work on a document.
pub(crate) struct Feed<'a> {
    root: Opened<'a>,
    walk: Walk<'a>,
}

/// How far reading has come.
struct Walk<'a> {
    plan: &'a Plan,
    heard: Arc<dyn PluginEvents>,
    /// The user's document.
    name: String,
    /// Where the next page goes in the output.
    index: u32,
    /// Pages counted so far, those that nobody wants among them.
    number: u32,
    /// Documents inside the document that were met.
    inner: u32,
    /// Whether formatters are not told names of files: where a processor takes away what nobody may see, it may have to
    /// go as well, and edits of pages don't reach it.
    hides_names: bool,
}

/// Whether there is more to send.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flow {
    /// There may be.
    Goes,
    /// All that is wanted is sent, or nobody takes any more.
    Ends,
}

impl<'a> Feed<'a> {
    /// Opens `source` with `adapter`.
    pub(crate) fn open(
        plan: &'a Plan,
        adapter: &'a AdapterPlan,
        source: &Source,
        heard: Arc<dyn PluginEvents>,
    ) -> Result<Self, PluginFailure> {
        Ok(Self {
            root: Opened::open(plan, adapter, source, heard.clone())?,
            walk: Walk {
                plan,
                heard,
                name: source.name().to_owned(),
                index: 0,
                number: 0,
                inner: 0,
                hides_names: plan.processors.iter().any(withholds),
            },
        })
    }

    /// What the adapter knows of the document.
    pub(crate) fn info(&mut self) -> Result<DocInfo, PluginFailure> {
        self.root.info()
    }

    /// Sends every wanted page, in order, until the source or the receiver ends. A bug of the host ends the document
    /// with an error, not the process.
    pub(crate) fn run(mut self, to: &SyncSender<Fed>) {
        let sent = std::panic::catch_unwind(AssertUnwindSafe(|| {
            if self.walk.document(&mut self.root, to) == Flow::Goes && self.root.pages.is_none() {
                self.walk.miss_pages(to);
            }
        }));
        if sent.is_err() {
            let why = "this program failed on a page; please report the file";
            let _ = to.send(Fed::Broken(Failure::new("internal", why)));
        }
    }
}

impl<'a> Walk<'a> {
    /// Sends the wanted pages of a document and of those in it.
    ///
    /// Where the document says how many pages it has, an item is a page, and those that nobody wants are not asked for. Where
    /// it doesn't, its items have to be counted one by one.
    fn document(&mut self, document: &mut Opened<'a>, to: &SyncSender<Fed>) -> Flow {
        // The number of the item at index 0, less one; it moves where an item was more than one page.
        let mut before = self.number;
        let mut item = 0;
        loop {
            let Some(wanted) = self.plan.pages.next_after(self.number) else {
                return Flow::Ends;
            };
            if let Some(pages) = document.pages {
                item = wanted.saturating_sub(1).saturating_sub(before);
                if item >= pages {
                    self.number = self.number.max(before.saturating_add(pages));
                    return Flow::Goes;
                }
                self.number = before + item;
            }
            if self.plan.cancel.is_cancelled() {
                return Flow::Ends;
            }
            if self.index >= MAX_PAGES || self.number >= MAX_PAGES && document.pages.is_none() {
                let why = format!("more than {MAX_PAGES} pages; choose some with --pages");
                let _ = to.send(Fed::Broken(Failure::new("too-many-pages", why)));
                return Flow::Ends;
            }
            // Pages that nobody wants are passed on the way to one that somebody does.
            if self.plan.pages.contains(self.number + 1)
                && let Err(why) = self.plan.gate.next()
            {
                let _ = to.send(Fed::Broken(why));
                return Flow::Ends;
            }
            let started = Instant::now();
            let read = document.read(item);
            let render = started.elapsed();
            let flow = match read {
                Ok(None) => return self.ended(document, before, to),
                Ok(Some(InputItem::Page(page))) => self.page(page, &document.part, render, to),
                Ok(Some(InputItem::Embedded(source))) => {
                    let counted = self.number;
                    let flow = self.embedded(&source, document, to);
                    before = before.saturating_add((self.number - counted).saturating_sub(1));
                    flow
                }
                Err(failure) => {
                    let (code, message) = document.explain(&failure);
                    if document.goes_on() {
                        self.unread(&document.part, &code, message, render, to)
                    } else {
                        return self.give_up(document, before, &code, &message, to);
                    }
                }
            };
            if flow == Flow::Ends {
                return flow;
            }
            item += 1;
        }
    }

    /// Sends the wanted pages of a document inside `outer`.
    fn embedded(&mut self, source: &Source, outer: &Opened<'a>, to: &SyncSender<Fed>) -> Flow {
        self.inner += 1;
        // Adapters quote names in what they say, and no redaction reaches them there: where one is made, they are told an
        // ending.
        let neutral = neutral_name(self.inner, source.name());
        let hidden = self.hides_names.then_some(neutral.as_str());
        let part = part_name(outer, hidden.unwrap_or(source.name()));
        let name = match self.hides_names {
            true => neutral,
            false => format!("{}/{part}", self.name),
        };
        let part = Some(part);
        let source = &source.window(name, 0, source.len()).expect("all of it is in it");
        let started = Instant::now();
        let refuse = |walk: &mut Self, code: &str, why: String| {
            let why = format!("a document inside the document was not read: {why}");
            walk.unread(&part, code, why, started.elapsed(), to)
        };
        if outer.depth >= MAX_DEPTH {
            let why = format!(
                "it lies in {} others, and {MAX_DEPTH} are opened",
                outer.depth + 1
            );
            return refuse(self, "too-deep", why);
        }
        if self.inner > MAX_INNER {
            let why = format!("there are more than the {MAX_INNER} that are read in one run");
            return refuse(self, "too-many-parts", why);
        }
        if source.is_empty() {
            return refuse(self, "invalid-input", "it is empty".into());
        }
        if let Err(why) = self.plan.gate.input(source.len()) {
            let _ = to.send(Fed::Broken(why));
            return Flow::Ends;
        }
        let events: Arc<dyn PluginEvents> = Arc::new(Counted {
            events: self.heard.clone(),
            before: self.number,
        });
        let opened = surest(self.plan, source, &events).and_then(|adapter| {
            let opened = Opened::open(self.plan, adapter, source, events);
            let mut opened = opened.map_err(|e| Failure::from(&e))?;
            opened.info().map_err(|e| Failure::from(&e))?;
            Ok(opened)
        });
        let mut inner = match opened {
            Ok(inner) => inner,
            Err(failure) => return refuse(self, &failure.code, failure.message),
        };
        inner.depth = outer.depth + 1;
        inner.part = part.clone();
        let counted = self.number;
        let flow = self.document(&mut inner, to);
        // An empty document is one page that is missing, unless the run ended before it was asked for.
        if flow == Flow::Goes && self.number == counted {
            return refuse(self, "invalid-input", "it has no pages".into());
        }
        flow
    }

    /// Hands a page to the engine, once there is room for it, if it is wanted.
    fn page(
        &mut self,
        page: InputPage,
        part: &Option<String>,
        render: Duration,
        to: &SyncSender<Fed>,
    ) -> Flow {
        self.number += 1;
        if !self.plan.pages.contains(self.number) {
            return Flow::Goes;
        }
        if let Err(why) = self.plan.gate.page() {
            let _ = to.send(Fed::Broken(why));
            return Flow::Ends;
        }
        let number = self.number;
        let bytes = page.image.pixels().len() as u64;
        let unwanted = || self.plan.cancel.is_cancelled();
        let Some(share) = self.plan.budget.take(&self.plan.tenant, bytes, unwanted) else {
            return Flow::Ends;
        };
        let mut diagnostics = Vec::new();
        if let Some((width, height)) = page.scaled_from {
            let (w, h) = (page.image.width(), page.image.height());
            let message =
                format!("its {width} x {height} px were scaled down to {w} x {h} px before they were read");
            diagnostics.push(Diagnostic::new(Severity::Note, "page-scaled-down", message).on_page(number));
        }
        let layer = page
            .text_layer
            .filter(|_| self.plan.text_layer != TextLayerMode::Ignore);
        let text_layer = layer.map_or(Ok(None), |layer| sanitized(layer, &page.image));
        if let Err(refusal) = &text_layer {
            let message = format!("the text that it carries is not taken: {refusal}");
            diagnostics.push(Diagnostic::new(Severity::Note, "text-layer-refused", message).on_page(number));
        }
        let job = PageJob {
            index: self.index,
            number,
            image: page.image,
            dpi: page.dpi,
            size_points: page.size_points,
            text_layer: text_layer.unwrap_or_default(),
            trust: match self.plan.text_layer {
                TextLayerMode::Prefer => LayerTrust::Full,
                _ => LayerTrust::Sample,
            },
            diagnostics,
            time_limit: self.plan.page_timeout.saturating_sub(render).max(LEAST_TIME),
            tenant: self.plan.tenant.clone(),
        };
        let info = PageInfo {
            part: part.clone(),
            ..job.info()
        };
        self.send(
            Fed::Queued(self.plan.engine.submit(job), Box::new(info), render, share),
            to,
        )
    }

    /// Hands on the next page, unread, if it is wanted.
    fn unread(
        &mut self,
        part: &Option<String>,
        code: &str,
        why: String,
        render: Duration,
        to: &SyncSender<Fed>,
    ) -> Flow {
        self.number += 1;
        if !self.plan.pages.contains(self.number) {
            return Flow::Goes;
        }
        let page = unread(self.index, self.number, part, code, why);
        self.send(Fed::Failed(Box::new(page), render), to)
    }

    fn send(&mut self, fed: Fed, to: &SyncSender<Fed>) -> Flow {
        self.index += 1;
        match to.send(fed) {
            Ok(()) => Flow::Goes,
            Err(_) => Flow::Ends,
        }
    }

    /// The adapter has no more items. Where it had announced more pages, those are missing.
    fn ended(&mut self, document: &Opened, before: u32, to: &SyncSender<Fed>) -> Flow {
        match document.pages {
            Some(pages) => {
                let page = self.number - before + 1;
                let has = counted(pages as usize, "page");
                let why = format!("the document says that it has {has}, but page {page} is not there");
                self.rest(document, before.saturating_add(pages), "missing-page", &why, to)
            }
            None => Flow::Goes,
        }
    }

    /// The adapter failed for good; hands on the page at which it did and every wanted page behind it, unread.
    fn give_up(
        &mut self,
        document: &Opened,
        before: u32,
        code: &str,
        why: &str,
        to: &SyncSender<Fed>,
    ) -> Flow {
        let behind = format!("not read, because the adapter failed on pages before: {why}");
        let last = match document.pages {
            None if document.depth > 0 => {
                format!("{why}; what follows in this document inside the document is not read")
            }
            _ => why.to_owned(),
        };
        if self.unread(&document.part, code, last, Duration::ZERO, to) == Flow::Ends {
            return Flow::Ends;
        }
        match document.pages {
            Some(pages) => self.rest(document, before.saturating_add(pages), "given-up", &behind, to),
            None if document.depth > 0 => Flow::Goes,
            None => {
                let why = format!(
                    "given up after page {}, so what follows is not read: {why}",
                    self.number
                );
                let _ = to.send(Fed::Broken(Failure::new("given-up", why)));
                Flow::Ends
            }
        }
    }

    /// Tells of pages that were asked for by number, in a document that did not know how many it has.
    fn miss_pages(&self, to: &SyncSender<Fed>) {
        let pages = self.number;
        if let Some(missing) = self.plan.pages.first_missing(pages).filter(|_| pages > 0) {
            let has = counted(pages as usize, "page");
            let why = format!("page {missing} was asked for, but the document has {has}");
            let _ = to.send(Fed::Broken(Failure::new("no-such-page", why)));
        }
    }

    /// Hands on the wanted pages up to number `last`, all unread.
    fn rest(&mut self, document: &Opened, last: u32, code: &str, why: &str, to: &SyncSender<Fed>) -> Flow {
        while let Some(next) = self.plan.pages.next_after(self.number) {
            if next > last {
                break;
            }
            if self.index >= MAX_PAGES {
                return Flow::Ends;
            }
            self.number = next - 1;
            if self.unread(&document.part, code, why.to_owned(), Duration::ZERO, to) == Flow::Ends {
                return Flow::Ends;
            }
        }
        self.number = self.number.max(last);
        Flow::Goes
    }
}

/// What a document inside `outer` is called, with those around it.
fn part_name(outer: &Opened, name: &str) -> String {
    let plain: String = name.chars().filter(|c| !c.is_control()).collect();
    let name = plain.replace(['/', '\\'], "_");
    let mut part = match &outer.part {
        Some(outer) => format!("{outer}/{name}"),
        None => name,
    };
    part.truncate(part.floor_char_boundary(MAX_PART));
    part
}

/// A name that tells nothing but the ending, by which adapters know their files.
fn neutral_name(count: u32, name: &str) -> String {
    let is_plain = |e: &&str| (1..=8).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_alphanumeric());
    match name.rsplit_once('.').map(|(_, ending)| ending).filter(is_plain) {
        Some(ending) => format!("part-{count}.{ending}"),
        None => format!("part-{count}"),
    }
}

/// The empty page that stands for one that the adapter could not read.
fn unread(index: u32, number: u32, part: &Option<String>, code: &str, message: String) -> Page {
    // A US letter page at 72 dpi stands in where nothing is known of the size.
    let info = PageInfo {
        part: part.clone(),
        ..PageInfo::new(index, number, 612, 792)
    };
    mark_failed(info, code, message)
}

pub(crate) fn mark_failed(mut info: PageInfo, code: &str, message: String) -> Page {
    info.outcome = Outcome::Failed;
    info.diagnostics
        .push(Diagnostic::new(Severity::Error, code, message).on_page(info.number));
    PageBuilder::new(info).finish()
}
