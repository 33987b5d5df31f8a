//! What a plugin's store holds: its handles, its limits and what it has used of them, its output.
//!
//! Invariant: whenever a limit is reached it is written down in [`Meter::hit`], so that the caller learns of it even
//! when the plugin hides the error it was given.

use crate::grants::Grants;
use crate::limits::{HOST_TIME, Limits, Quota};
use crate::manifest::Manifest;
use crate::output::OutputTree;
use crate::pool::{MEMORIES, MODULES, TABLES};
use crate::room::{MUCH_MEMORY, Room};
use crate::services::Services;
use ocr_document::{Diagnostic, PageImage, Rect, Severity};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// Longest time that is added to a clock's reading.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Longest message of a plugin, bytes.
const LINE_BYTES: usize = 4096;

/// How often progress is passed on at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The code under which the SDK says why a plugin is about to trap. It is told with the trap and not before.
pub(crate) const PANIC: &str = "panic";

/// What a message counts at least, bytes: empty ones cost the host as well.
const LEAST_LINE_BYTES: u64 = 64;

/// Tells running plugins to stop.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Asks everyone who holds the flag to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether someone has.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a plugin has said of a document; the limit is `log-bytes`.
#[derive(Debug, Clone, Default)]
pub struct LogBudget(Arc<Said>);

#[derive(Debug, Default)]
struct Said {
    bytes: AtomicU64,
    /// Set once messages are dropped.
    is_over: AtomicBool,
}

/// Hears what plugins say. Text has been cut to the limits and cleaned of control characters.
pub trait PluginEvents: Send + Sync {
    /// A structured message.
    fn report(&self, plugin: &str, diagnostic: &Diagnostic);
    /// A line for the log.
    fn log(&self, plugin: &str, severity: Severity, message: &str);
    /// How far a plugin is.
    fn progress(&self, plugin: &str, done: u32, total: Option<u32>);
}

/// Hears nothing.
pub struct Unheard;

impl PluginEvents for Unheard {
    fn report(&self, _: &str, _: &Diagnostic) {}
    fn log(&self, _: &str, _: Severity, _: &str) {}
    fn progress(&self, _: &str, _: u32, _: Option<u32>) {}
}

/// A page lent to a plugin.
pub type PageHandle = Arc<ocr_document::Page>;

/// A view on host-owned pixels.
pub struct ImageHandle {
    pub(crate) image: PageImage,
    pub(crate) area: Rect,
    pub(crate) charge: Option<Arc<Charge>>,
}

/// Pixels that a plugin draws.
pub struct CanvasHandle {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
    pub(crate) charge: Charge,
}

/// An image file being read; its bytes and the frames kept ahead are charged, and each frame once it is handed out.
pub struct DecoderHandle {
    pub(crate) file: crate::decode::ImageFile,
    pub(crate) _charge: Charge,
    pub(crate) ahead: Option<Charge>,
}

/// Host memory held on behalf of a plugin; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    bytes: u64,
    total: Arc<AtomicU64>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a plugin has used.
pub(crate) struct Meter {
    pub(crate) hit: Option<(Quota, u64)>,
    pub(crate) failure: Option<String>,
    /// Why the plugin says that it panics.
    pub(crate) panic: Option<String>,
    /// The page that the present call is about.
    pub(crate) page: Option<u32>,
    pub(crate) host_calls: u64,
    /// When progress was last passed on.
    pub(crate) progress: Option<Instant>,
    pub(crate) image_bytes: Arc<AtomicU64>,
    /// Linear memory of all of the plugin's memories, and the most it ever was.
    pub(crate) memory: u64,
    pub(crate) started: Instant,
    pub(crate) host_time: Duration,
    /// Set while no import may be called.
    pub(crate) mute: bool,
}

/// The data of a plugin's store.
pub struct State {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) plugin: String,
    pub(crate) limits: Limits,
    /// What the manifest asks for and the operator grants.
    pub(crate) grants: Grants,
    pub(crate) services: Services,
    pub(crate) cancel: CancelFlag,
    pub(crate) events: Arc<dyn PluginEvents>,
    log: LogBudget,
    pub(crate) output: Option<OutputTree>,
    pub(crate) meter: Meter,
    pub(crate) room: Room,
    /// Whether it waits its turn before it takes much memory.
    takes_turns: bool,
}

impl State {
    pub(crate) fn new(
        manifest: &Manifest,
        context: &crate::session::Context,
        output: Option<OutputTree>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(context.limits.handles).unwrap_or(usize::MAX));
        Self {
            table,
            wasi: crate::wasi::context(),
            plugin: manifest.id.clone(),
            limits: context.limits.clone(),
            grants: context.grants.and(manifest.asks()),
            services: context.services.clone(),
            cancel: context.cancel.clone(),
            events: context.events.clone(),
            log: context.log.clone(),
            output,
            meter: Meter {
                hit: None,
                failure: None,
                panic: None,
                page: None,
                host_calls: 0,
                progress: None,
                image_bytes: Arc::default(),
                memory: 0,
                started: Instant::now(),
                host_time: Duration::ZERO,
                mute: false,
            },
            room: Room::of(&context.party),
            takes_turns: false,
        }
    }

    /// Makes the plugin wait its turn before it takes much memory.
    pub(crate) fn take_turns(&mut self) {
        self.takes_turns = true;
    }

    /// Waits its turn where `memory` bytes of the plugin's own are much.
    pub(crate) fn wait_for_turn(&mut self, memory: u64) -> Result<(), String> {
        if !self.takes_turns || memory <= MUCH_MEMORY {
            return Ok(());
        }
        let (deadline, cancel) = (self.host_deadline(), self.cancel.clone());
        self.on_host_time(|state| state.room.reserve(&cancel, deadline))
            .map_err(|why| format!("its turn to take {} MiB {why}", memory >> 20))
    }

    /// Starts a call into the plugin, about `page` where it is about one: its time and host calls count from here.
    pub(crate) fn begin_call(&mut self, page: Option<u32>) {
        self.meter.page = page;
        self.meter.started = Instant::now();
        self.meter.host_time = Duration::ZERO;
        self.meter.host_calls = 0;
    }

    /// Time the plugin itself has spent in the present call.
    pub(crate) fn guest_time(&self) -> Duration {
        self.meter.started.elapsed().saturating_sub(self.meter.host_time)
    }

    /// Whether the present call has taken too long, by itself or with the host's work.
    pub(crate) fn is_overdue(&self) -> bool {
        self.guest_time() > self.limits.time || Instant::now() > self.host_deadline()
    }

    /// When the host stops to work for the present call.
    pub(crate) fn host_deadline(&self) -> Instant {
        self.meter.started + self.limits.time.saturating_mul(HOST_TIME).min(FOREVER)
    }

    /// Writes down that a limit was reached; the first one is what the caller hears of.
    pub(crate) fn hit(&mut self, quota: Quota, limit: u64) {
        self.meter.hit.get_or_insert((quota, limit));
    }

    /// Reserves host memory for pixels.
    pub(crate) fn charge(&mut self, bytes: u64) -> Result<Charge, Quota> {
        let total = self.meter.image_bytes.clone();
        if total.load(Ordering::Relaxed).saturating_add(bytes) > self.limits.image_bytes {
            self.hit(Quota::ImageBytes, self.limits.image_bytes);
            return Err(Quota::ImageBytes);
        }
        total.fetch_add(bytes, Ordering::Relaxed);
        Ok(Charge { bytes, total })
    }

    /// Runs host work whose time is not the plugin's.
    pub(crate) fn on_host_time<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let started = Instant::now();
        let value = work(self);
        self.meter.host_time += started.elapsed();
        value
    }

    /// Counts `text` against the log's limit; answers what of it may still be said, cleaned.
    pub(crate) fn admit_log(&mut self, text: &str) -> Option<String> {
        let said = &self.log.0;
        if said.is_over.load(Ordering::Relaxed) {
            return None;
        }
        let text = shorten(text, LINE_BYTES);
        let rest = (self.limits.log_bytes).saturating_sub(said.bytes.load(Ordering::Relaxed));
        let cost = (text.len() as u64).max(LEAST_LINE_BYTES);
        if cost > rest {
            said.is_over.store(true, Ordering::Relaxed);
            let message = clean(shorten(text, usize::try_from(rest).unwrap_or(usize::MAX)));
            return Some(format!(
                "{message} [further messages of this plugin are not shown]"
            ));
        }
        said.bytes.fetch_add(cost, Ordering::Relaxed);
        Some(clean(text))
    }

    /// Whether it is time to pass progress on again: it is shown to people, and a plugin may tell of every step.
    pub(crate) fn tells_progress(&mut self) -> bool {
        let is_due = |last: Instant| last.elapsed() >= PROGRESS_EVERY;
        let due = self.meter.progress.is_none_or(is_due);
        if due {
            self.meter.progress = Some(Instant::now());
        }
        due
    }
}

/// The longest beginning of `text` that takes at most `bytes`.
pub(crate) fn shorten(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Text as it may reach a terminal: no control and no invisible characters, so no escape sequences, no forged lines
/// and nothing that reads backwards.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() || crate::names::is_invisible(c) {
            ' '
        } else {
            c
        }
    };
    text.trim_end().chars().map(shown).collect()
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl wasmtime::ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.meter.memory + (desired as u64).saturating_sub(current as u64);
        if total > self.limits.memory {
            self.hit(Quota::Memory, self.limits.memory);
            return Ok(false);
        }
        if let Err(why) = self.wait_for_turn(total) {
            self.meter.failure.get_or_insert(why);
            return Ok(false);
        }
        self.meter.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired as u64 > self.limits.table_elements() {
            self.hit(Quota::Handles, self.limits.handles);
            return Ok(false);
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        MODULES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_can_forge_nothing() {
        assert_eq!(clean("a\x1b[31mred\nerror: b\r\n"), "a [31mred error: b");
        assert_eq!(clean("a\u{202e}b\u{2028}c"), "a b c");
    }
}
