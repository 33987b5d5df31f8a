//! A document with the adapter that reads it: the one of the user, or one inside of it.
//!
//! An adapter that crashed or reached a limit is started afresh for the items behind the bad one; one that can have the
//! host's renderer draw pages is first started afresh for the bad one (`rescue.rs`).

use super::FAILURES_IN_A_ROW;
use crate::plan::{AdapterPlan, Plan};
use crate::rescue::{self, Config};
use ocr_document::Diagnostic;
use ocr_document::Severity;
use ocr_runtime::{
    AdapterSession, Cause, Context, DocInfo, InputItem, LogBudget, OpenOptions, PluginEvents, PluginFailure,
    Quota, Source,
};
use std::sync::Arc;

/// Failures in a row of an adapter that is still alive, in a document whose pages nobody has counted: an archive may
/// hold many entries that are encrypted, and one that answers errors for ever is cheap to ask.
const FAILURES_UNCOUNTED: u32 = 1_000;

/// A document being read.
pub(super) struct Opened<'a> {
    plan: &'a Plan,
    adapter: &'a AdapterPlan,
    context: Context,
    source: Source,
    /// What the adapter is opened with.
    config: Config,
    session: AdapterSession,
    /// Pages in a row that the host's renderer had to draw.
    rescued: u32,
    /// Pages that it says it has.
    pub pages: Option<u32>,
    /// Documents around it.
    pub depth: u32,
    /// Its own name with those of the documents around it; none for the user's.
    pub part: Option<String>,
    /// Failures since the last item that could be read.
    failures: u32,
}

impl<'a> Opened<'a> {
    pub fn open(
        plan: &'a Plan,
        adapter: &'a AdapterPlan,
        source: &Source,
        events: Arc<dyn PluginEvents>,
    ) -> Result<Self, PluginFailure> {
        let mut context = Context {
            events,
            log: LogBudget::default(),
            ..adapter.context.clone()
        };
        let mut config = Config::of(adapter, plan.text_layer);
        // A page that has to be drawn twice still keeps to its time.
        let share = if config.has_rescue(&context) { 2 } else { 1 };
        context.limits.time = context.limits.time.min(plan.page_timeout / share);
        let session = match start(plan, adapter, &context, source, config.text()) {
            Err(failure) if failure.is_trap_or_limit() && config.has_rescue(&context) => {
                let rescued = start(plan, adapter, &context, source, config.rescue_text());
                let session = rescued.map_err(|_| failure.clone())?;
                config.rescue_from_now_on();
                let why = format!("it could not be opened inside the sandbox: {}", failure.cause);
                context.events.report(&failure.plugin, &rescue::note(&why));
                session
            }
            started => started?,
        };
        Ok(Self {
            session,
            config,
            rescued: 0,
            plan,
            adapter,
            context,
            source: source.clone(),
            pages: None,
            depth: 0,
            part: None,
            failures: 0,
        })
    }

    /// What the adapter knows of it.
    pub fn info(&mut self) -> Result<DocInfo, PluginFailure> {
        let info = self.session.info()?;
        self.pages = info.pages;
        Ok(info)
    }

    /// The item at an index from 0; none past the last.
    pub fn read(&mut self, index: u32) -> Result<Option<InputItem>, PluginFailure> {
        let failure = match self.session.read(index, self.plan.dpi) {
            Ok(item) => {
                (self.failures, self.rescued) = (0, 0);
                return Ok(item);
            }
            Err(failure) => failure,
        };
        let can_rescue = self.session.is_dead() && self.config.has_rescue(&self.context);
        if can_rescue
            && !self.plan.cancel.is_cancelled()
            && let Some(item) = self.rescue(index, &failure)
        {
            self.failures = 0;
            return Ok(Some(item));
        }
        Err(failure)
    }

    /// Has a fresh adapter read the item with the host's renderer, and starts another for the next one.
    fn rescue(&mut self, index: u32, failure: &PluginFailure) -> Option<InputItem> {
        let config = self.config.rescue_text().to_owned();
        let mut fresh = start(self.plan, self.adapter, &self.context, &self.source, &config).ok()?;
        let item = fresh.read(index, self.plan.dpi).ok()??;
        self.rescued += 1;
        if self.rescued >= FAILURES_IN_A_ROW {
            // It is not this page, it is the document.
            self.config.rescue_from_now_on();
            self.session = fresh;
        } else if !self.reopen() {
            self.session = fresh;
        }
        let why = format!("inside the sandbox {}", failure.cause);
        let note = rescue::note(&why).on_page(index + 1);
        self.context.events.report(&failure.plugin, &note);
        Some(item)
    }

    /// Whether it can be read on after a failure. An error costs its item alone, but a stopped adapter has to be started
    /// afresh, and without a page count an error may repeat for ever.
    pub fn goes_on(&mut self) -> bool {
        let dead = self.session.is_dead();
        if dead || self.pages.is_none() {
            self.failures += 1;
        }
        let most = if dead {
            FAILURES_IN_A_ROW
        } else {
            FAILURES_UNCOUNTED
        };
        self.failures < most && (!dead || self.reopen())
    }

    fn reopen(&mut self) -> bool {
        let config = self.config.text();
        match start(self.plan, self.adapter, &self.context, &self.source, config) {
            Ok(fresh) => {
                self.session = fresh;
                true
            }
            Err(_) => false,
        }
    }

    /// What a page's failure is called: a page's time may be the operator's own.
    pub fn explain(&self, failure: &PluginFailure) -> (String, String) {
        let timed_out = matches!(
            failure.cause,
            Cause::Limit {
                quota: Quota::Time,
                ..
            }
        );
        if timed_out && self.context.limits.time < self.adapter.context.limits.time {
            let seconds = self.plan.page_timeout.as_secs_f64();
            let message = format!("could not be drawn within {seconds} s; raise it with --page-timeout");
            return ("page-timeout".into(), message);
        }
        (failure.code().to_owned(), failure.to_string())
    }
}

fn start(
    plan: &Plan,
    adapter: &AdapterPlan,
    context: &Context,
    source: &Source,
    config: &str,
) -> Result<AdapterSession, PluginFailure> {
    let options = OpenOptions {
        config: config.to_owned(),
        password: plan.password.clone(),
    };
    AdapterSession::open(&adapter.plugin, context, source, &options)
}

/// Hears the adapter of a document inside the document: what it says of its page 1 is said of the page that this is in the
/// whole, and what it says of its document is said of its first page.
pub(super) struct Counted {
    pub events: Arc<dyn PluginEvents>,
    /// Pages before its first one.
    pub before: u32,
}

impl PluginEvents for Counted {
    fn report(&self, plugin: &str, said: &Diagnostic) {
        let number = said.page.unwrap_or(1).max(1);
        let counted = Diagnostic {
            page: Some(self.before.saturating_add(number)),
            ..said.clone()
        };
        self.events.report(plugin, &counted);
    }

    fn log(&self, plugin: &str, severity: Severity, message: &str) {
        self.events.log(plugin, severity, message);
    }

    /// Its progress is not the document's.
    fn progress(&self, _: &str, _: u32, _: Option<u32>) {}
}
