//! One plugin at work on one document: a store of its own, typed calls, and every way in which they end.
//!
//! Each call starts a fresh deadline. After a trap or a limit the session is dead: a store whose guest was stopped
//! midway is never entered again.

mod adapter;
mod formatter;
mod places;
mod processor;
mod usage;

pub(crate) use adapter::MAX_PAGE_PIXELS;
pub use adapter::{AdapterSession, InputItem, InputPage, OpenOptions, sniff};
pub use formatter::FormatterSession;
pub use places::Places;
pub use processor::{DocumentEdit, ProcessorSession};
pub use usage::Usage;

use crate::api::latest::imports::types;
use crate::error::{Cause, Phase, PluginFailure};
use crate::grants::Grants;
use crate::limits::{Limits, Quota};
use crate::output::OutputTree;
use crate::plugin::Plugin;
use crate::room::MUCH_MEMORY;
use crate::services::Services;
use crate::state::{CancelFlag, LogBudget, PANIC, PluginEvents, State, Unheard, clean, shorten};
use ocr_document::{Diagnostic, Severity};
use std::sync::Arc;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

/// What a session runs under.
#[derive(Clone)]
pub struct Context {
    /// What it may use.
    pub limits: Limits,
    /// What the operator lets it do, of what its manifest asks for.
    pub grants: Grants,
    /// What the host does for those that may ask for it.
    pub services: Services,
    /// Tells it to stop.
    pub cancel: CancelFlag,
    /// Whose document it is at work on: parties take turns where memory is scarce.
    pub party: Arc<str>,
    /// Hears what it says.
    pub events: Arc<dyn PluginEvents>,
    /// What it has said already. Clones share it, so that a plugin that is started afresh goes on where it was; each
    /// document has its own.
    pub log: LogBudget,
    /// Where its options were given.
    pub places: Places,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            grants: Grants::default(),
            services: Services::default(),
            cancel: CancelFlag::default(),
            party: Arc::default(),
            events: Arc::new(Unheard),
            log: LogBudget::default(),
            places: Places::default(),
        }
    }
}

/// A document as plugins are told of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DocInfo {
    /// File name without its folder.
    pub name: String,
    /// `application/pdf`.
    pub media_type: String,
    /// Pages in the source, where known.
    pub pages: Option<u32>,
    /// Pages that this run hands over, where known.
    pub selected: Option<u32>,
    /// Of the source's bytes, in hexadecimal digits.
    pub sha256: Option<String>,
    /// From the source's metadata.
    pub title: Option<String>,
}

impl From<&DocInfo> for types::DocInfo {
    fn from(d: &DocInfo) -> Self {
        Self {
            name: d.name.clone(),
            media_type: d.media_type.clone(),
            pages: d.pages,
            selected: d.selected,
            sha256: d.sha256.clone(),
            title: d.title.clone(),
        }
    }
}

/// Marks an error that the clock raised.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

/// A store with the plugin that runs in it.
pub(crate) struct Guest {
    pub(crate) store: Store<State>,
    plugin: Arc<Plugin>,
    places: Places,
    dead: bool,
}

impl Guest {
    pub(crate) fn new(plugin: &Arc<Plugin>, context: &Context, output: Option<OutputTree>) -> Self {
        let wishes = &plugin.manifest().limits;
        let own;
        let context = match wishes.is_empty() {
            true => context,
            false => {
                own = Context {
                    limits: wishes.within(&context.limits),
                    ..context.clone()
                };
                &own
            }
        };
        let state = State::new(plugin.manifest(), context, output);
        let mut store = Store::new(&plugin.engine, state);
        store.limiter(|state| state);
        if plugin.counts_fuel {
            // All there is: it is counted, not limited.
            store.set_fuel(u64::MAX).expect("its engine counts fuel");
        }
        store.set_hostcall_fuel(usize::try_from(context.limits.call_bytes).unwrap_or(usize::MAX));
        store.set_max_component_handles(usize::try_from(context.limits.handles).unwrap_or(usize::MAX));
        store.epoch_deadline_callback(|mut store| {
            let state = store.data_mut();
            if state.cancel.is_cancelled() {
                return Err(Stopped.into());
            }
            if state.is_overdue() {
                state.hit(
                    Quota::Time,
                    u64::try_from(state.limits.time.as_millis()).unwrap_or(u64::MAX),
                );
                return Err(Stopped.into());
            }
            Ok(UpdateDeadline::Continue(1))
        });
        Self {
            store,
            plugin: plugin.clone(),
            places: context.places.clone(),
            dead: false,
        }
    }

    /// Runs one call into the plugin and tells how it ended.
    pub(crate) fn call<T>(
        &mut self,
        phase: Phase,
        call: impl FnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, types::PluginError>>,
    ) -> Result<T, PluginFailure> {
        let ended = self.call_and_keep_room(phase, call);
        self.store.data_mut().room.release();
        ended
    }

    /// The same; the caller releases the room that the call has taken for a large image.
    pub(crate) fn call_and_keep_room<T>(
        &mut self,
        phase: Phase,
        call: impl FnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, types::PluginError>>,
    ) -> Result<T, PluginFailure> {
        if self.dead {
            let why = "it was stopped before and can't go on".to_owned();
            return Err(self.failure(phase, Cause::Trap(why), Vec::new()));
        }
        let page = match phase {
            Phase::Page(number) => Some(number),
            _ => None,
        };
        let state = self.store.data_mut();
        state.begin_call(page);
        if let Err(why) = state.wait_for_turn(state.meter.memory) {
            return Err(self.failure(phase, Cause::Host(why), Vec::new()));
        }
        self.store.set_epoch_deadline(1);
        let ended = call(&mut self.store);
        let state = self.store.data_mut();
        let panic = state.meter.panic.take();
        if let (Some(why), Ok(_)) = (&panic, &ended) {
            // It went on, so that was a message like others.
            let said = Diagnostic::new(Severity::Error, PANIC, why);
            state.events.report(&state.plugin, &said);
        }
        let meter = &mut state.meter;
        // The first limit counts, also when the plugin swallowed the error or died of it.
        if let Some((quota, limit)) = meter.hit.take() {
            self.dead = true;
            let backtrace = ended.as_ref().err().map(backtrace).unwrap_or_default();
            return Err(self.failure(phase, Cause::Limit { quota, limit }, backtrace));
        }
        if let Some(why) = meter.failure.take() {
            self.dead = true;
            return Err(self.failure(phase, Cause::Host(why), Vec::new()));
        }
        match ended {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(said)) => Err(self.failure(phase, cause(said, &self.places), Vec::new())),
            Err(error) => {
                self.dead = true;
                let cause = match (trap_cause(&error, &self.store.data().limits), panic) {
                    (Cause::Trap(_), Some(why)) => Cause::Trap(why),
                    (cause, _) => cause,
                };
                Err(self.failure(phase, cause, backtrace(&error)))
            }
        }
    }

    /// Whether the plugin has taken much memory, which it never gives back.
    pub(crate) fn is_large(&self) -> bool {
        self.store.data().meter.memory > MUCH_MEMORY
    }

    /// Whether the plugin was stopped and takes no more calls.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    pub(crate) fn failure(&self, phase: Phase, cause: Cause, backtrace: Vec<String>) -> PluginFailure {
        let manifest = self.plugin.manifest();
        PluginFailure {
            plugin: manifest.id.clone(),
            version: manifest.version.clone(),
            phase,
            cause,
            backtrace,
        }
    }
}

/// What a plugin's own error means.
fn cause(said: types::PluginError, places: &Places) -> Cause {
    use crate::api::latest::convert::{MESSAGE_BYTES, cut};
    let error = |code: &str, message: &str| {
        Cause::Said(Box::new(Diagnostic::new(
            Severity::Error,
            code,
            cut(message, MESSAGE_BYTES),
        )))
    };
    match said {
        types::PluginError::InvalidInput(why) => error("invalid-input", &why),
        types::PluginError::Unsupported(why) => error("unsupported", &why),
        types::PluginError::Failed(diagnostic) => Cause::Said(Box::new(diagnostic.into())),
        types::PluginError::Config(diagnostics) => {
            let all: Vec<String> = diagnostics
                .iter()
                .take(20)
                .map(|d| places.with_place(&d.message))
                .collect();
            error(
                "plugin-config",
                &format!("its options are wrong: {}", all.join("; ")),
            )
        }
        types::PluginError::Host(types::HostError::Cancelled) => Cause::Cancelled,
        types::PluginError::Host(types::HostError::Denied(why)) => error("denied", &why),
        types::PluginError::Host(types::HostError::Invalid(why)) => error("invalid-input", &why),
        types::PluginError::Host(types::HostError::Failed(why)) => error("host-error", &why),
        types::PluginError::Host(types::HostError::Quota(hit)) => {
            error("quota", &format!("a limit of {} was reached", hit.limit))
        }
    }
}

/// Longest reason of a trap, bytes.
const TRAP_BYTES: usize = 1000;

fn trap_cause(error: &wasmtime::Error, limits: &Limits) -> Cause {
    if error.downcast_ref::<Stopped>().is_some() {
        return Cause::Cancelled;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            return Cause::Limit {
                quota: Quota::Stack,
                limit: limits.stack,
            };
        }
        Some(trap) => return Cause::Trap(trap.to_string()),
        None => {}
    }
    // wasmtime has no types for these two.
    let text = format!("{:#}", error.root_cause());
    if text.contains("too much data") || text.contains("fuel") {
        return Cause::Limit {
            quota: Quota::CallBytes,
            limit: limits.call_bytes,
        };
    }
    if text.contains("handle limit") || text.contains("no free keys") {
        return Cause::Limit {
            quota: Quota::Handles,
            limit: limits.handles,
        };
    }
    Cause::Trap(clean(shorten(&text, TRAP_BYTES)))
}

/// Names of the guest's functions on the stack, innermost first. They are the plugin's words.
fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    const FRAMES: usize = 16;
    const NAME_BYTES: usize = 200;
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let name = |f: &wasmtime::FrameInfo| match f.func_name() {
        Some(name) => clean(shorten(name, NAME_BYTES)),
        None => format!("function {}", f.func_index()),
    };
    trace.frames().iter().take(FRAMES).map(name).collect()
}
