//! The middle: every page goes through the processors, one after the other, before anyone writes it down.
//!
//! Those that withhold go first, whatever the order they were given in: what another one drops or replaces they would not
//! find any more, and it stands in the picture.
//!
//! A processor's state lives for the document. One that fails on a page leaves it as it was or withholds it, as its manifest
//! says; one that crashed or reached a limit is started afresh for the next page. What `withhold` promises holds to the
//! end: where such a processor can't be started any more, every page behind is withheld; pages that were not read whole go
//! on without their pictures, since nobody can say what is on them; and of pages whose letters may be others than were meant
//! nothing goes on, since their words are there and can't be found.

use crate::heard::Heard;
use crate::plan::{Plan, ProcessorPlan};
use crate::report::Failure;
use ocr_document::{Diagnostic, Outcome, Page, Severity};
use ocr_runtime::{Cause, Context, DocInfo, OnFailure, PluginEvents, PluginFailure, ProcessorSession};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pages in a row on which a processor may fail before it is given up: one that takes all of its time on every page must not
/// cost a fresh sandbox for each of 10,000.
const FAILURES_IN_A_ROW: u32 = 3;

/// The processors of one document.
pub(crate) struct Processors<'a> {
    chain: Vec<Processor<'a>>,
}

struct Processor<'a> {
    plan: &'a ProcessorPlan,
    context: Context,
    /// The document as it was told of it.
    document: DocInfo,
    /// `None` once it was given up.
    session: Option<ProcessorSession>,
    failures: u32,
    /// Whether the document's report says that it failed.
    told: bool,
}

/// Whether a processor's pages are better lost than shown.
pub(crate) fn withholds(processor: &ProcessorPlan) -> bool {
    processor.plugin.manifest().on_failure() == OnFailure::Withhold
}

/// Those that withhold, then the others; each in the order given. Says so where that is another one.
fn in_order<'a>(given: &'a [ProcessorPlan], heard: &Heard) -> Vec<&'a ProcessorPlan> {
    if let Some(at) = given.iter().position(|p| !withholds(p)) {
        let other = &given[at].plugin.manifest().id;
        for moved in given[at..].iter().filter(|p| withholds(p)) {
            let message = format!(
                "goes before `{other}`, though it was given behind it: what others drop or replace could not be found any \
                 more"
            );
            let told = Diagnostic::new(Severity::Note, "processor-moved", message);
            heard.report(&moved.plugin.manifest().id, &told);
        }
    }
    let (mut ordered, others): (Vec<_>, Vec<_>) = given.iter().partition(|p| withholds(p));
    ordered.extend(others);
    ordered
}

/// A page that went through, and the time of each processor.
pub(crate) struct Processed {
    pub(crate) page: Page,
    pub(crate) spent: Vec<(String, Duration)>,
    /// What the document's report has to say.
    pub(crate) failures: Vec<Failure>,
}

impl<'a> Processors<'a> {
    /// Starts them on a document and makes the changes that they ask for to what is told of it. One that does not start
    /// fails the document: nothing is lost yet, and it is most often a setting.
    pub(crate) fn open(plan: &'a Plan, document: &mut DocInfo, heard: &Arc<Heard>) -> Result<Self, Failure> {
        let mut chain = Vec::new();
        for processor in in_order(&plan.processors, heard) {
            let context = plan.context_for(&processor.context, heard.clone());
            let mut started = Processor {
                plan: processor,
                context,
                document: document.clone(),
                session: None,
                failures: 0,
                told: false,
            };
            let mut session = started.open().map_err(|e| Failure::from(&e))?;
            let edits = session.edit_document().map_err(|e| Failure::from(&e))?;
            edits.into_iter().for_each(|edit| edit.apply(document));
            started.session = Some(session);
            chain.push(started);
        }
        Ok(Self { chain })
    }

    /// Takes a page through all of them. Where `letters_are_lost`, it may say its words in other letters.
    pub(crate) fn process(&mut self, page: Page, letters_are_lost: bool) -> Processed {
        // What adapter and engine said is not the processors' words.
        let said_before = page.info().diagnostics.len();
        let mut processed = Processed {
            page,
            spent: Vec::new(),
            failures: Vec::new(),
        };
        let withholds = |processor: &&Processor| withholds(processor.plan);
        if letters_are_lost && let Some(processor) = self.chain.iter().find(withholds) {
            let id = &processor.plan.plugin.manifest().id;
            let message = format!(
                "plugin `{id}` can't find anything on it, so the page is withheld: other letters may be seen than were meant"
            );
            let number = processed.page.info().number;
            processed.page = processed.page.withheld();
            let told = Diagnostic::new(Severity::Error, "withheld", message).on_page(number);
            processed.page.info_mut().diagnostics.push(told);
        }
        for processor in &mut self.chain {
            let started = Instant::now();
            processor.process(&mut processed, said_before);
            let stage = format!("process:{}", processor.plan.plugin.manifest().id);
            processed.spent.push((stage, started.elapsed()));
        }
        processed
    }
}

impl Processor<'_> {
    fn open(&self) -> Result<ProcessorSession, PluginFailure> {
        ProcessorSession::open(
            &self.plan.plugin,
            &self.context,
            &self.document,
            &self.plan.config,
        )
    }

    fn process(&mut self, processed: &mut Processed, said_before: usize) {
        let withholds = withholds(self.plan);
        match self.edited(&processed.page) {
            Ok(page) => {
                self.failures = 0;
                // What was not read was not searched, and stands in the picture.
                let unread = page.info().outcome != Outcome::Complete;
                processed.page = if withholds && unread {
                    page.without_raster()
                } else {
                    page
                };
            }
            Err(failed) => {
                self.failures += 1;
                self.start_again();
                let diagnostic = self.diagnostic(&failed, withholds, processed.page.info().number);
                if !std::mem::replace(&mut self.told, true) {
                    let failure = Failure::new(diagnostic.code.clone(), diagnostic.message.clone());
                    processed.failures.push(failure);
                }
                if withholds {
                    processed.page = processed.page.withheld();
                    // Others may have quoted what was on it.
                    processed.page.info_mut().diagnostics.truncate(said_before);
                }
                processed.page.info_mut().diagnostics.push(diagnostic);
            }
        }
    }

    fn edited(&mut self, page: &Page) -> Result<Page, Failed> {
        let session = self.session.as_mut().ok_or(Failed::GivenUp)?;
        let edits = session.process(&Arc::new(page.clone())).map_err(Failed::Plugin)?;
        let edited = std::panic::catch_unwind(AssertUnwindSafe(|| page.edited(&edits)));
        match edited {
            Ok(edited) => edited.map_err(|e| Failed::Edits(e.to_string())),
            Err(_) => Err(Failed::Edits(
                "this program failed while it made the edits; please report the file".into(),
            )),
        }
    }

    /// Starts it afresh where it was stopped, unless it fails on every page.
    fn start_again(&mut self) {
        let stopped = self.session.as_ref().is_some_and(ProcessorSession::is_dead);
        if stopped {
            let again = self.failures < FAILURES_IN_A_ROW;
            self.session = again.then(|| self.open().ok()).flatten();
        }
    }

    fn diagnostic(&self, failed: &Failed, withholds: bool, page: u32) -> Diagnostic {
        let id = &self.plan.plugin.manifest().id;
        let (code, why) = match failed {
            Failed::GivenUp => ("processor-given-up", "it failed on pages before".to_owned()),
            Failed::Edits(why) => ("invalid-edit", why.clone()),
            Failed::Plugin(failure) => match &failure.cause {
                // Its own words may be the page's.
                Cause::Trap(_) if withholds => (failure.code(), "it crashed".to_owned()),
                Cause::Said(_) if withholds => ("processor-failed", "it answered with an error".to_owned()),
                cause => (failure.code(), cause.to_string()),
            },
        };
        let becomes = match withholds {
            true => "so the page is withheld",
            false => "so the page goes on as it was",
        };
        let message = format!("plugin `{id}` did not process it, {becomes}: {why}");
        Diagnostic::new(Severity::Error, code, message).on_page(page)
    }
}

/// Why a page was not processed.
enum Failed {
    Plugin(PluginFailure),
    Edits(String),
    /// It failed on too many pages before.
    GivenUp,
}
