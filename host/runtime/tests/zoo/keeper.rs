//! Runs a beast in its cage and looks at what is left afterwards.

use crate::skeleton::Skeleton;
use ocr_document::{
    Cell, CellKind, Diagnostic, Page, PageBuilder, PageImage, PageInfo, PixelFormat, Quad, Rect, Severity,
    Slice, SpanKind,
};
use ocr_runtime::World;
use ocr_runtime::{
    AdapterSession, Cause, CompileChild, Context, DocInfo, DocumentOutput, FormatterSession, Grants,
    InputItem, Limits, OpenOptions, Plugin, PluginEvents, PluginFailure, ProcessorSession, Quota, Runtime,
    Source, sniff,
};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// How this test starts itself to compile.
pub const COMPILER: [&str; 2] = ["internal", "compile"];

/// What a plugin may go on after its time is up, see [`Keeper::hold`].
const LATE: Duration = Duration::from_millis(100);

/// Resident memory that may be there after a beast and was not before: code of its own, the allocator's leftovers.
const GROWTH: u64 = 32 * MIB;

/// How a beast has to end.
#[derive(Clone, Copy)]
pub enum Ends {
    /// In one of these limits, by name.
    Limit(&'static [Quota]),
    /// In a trap whose text contains this.
    Trap(&'static str),
    /// In an error, its own or the host's, that contains this.
    Says(&'static str),
    /// Before it runs, with this in the message.
    NotLoaded(&'static str),
    /// By the user's wish.
    Cancelled,
    /// Harmlessly: it gets what everybody gets. Says why that is no harm.
    Well(&'static str),
}

impl std::fmt::Display for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ends::Limit(quotas) => {
                let names: Vec<String> = quotas.iter().map(|q| format!("`{}`", q.name())).collect();
                write!(f, "limit {}", names.join(" or "))
            }
            Ends::Trap(text) => write!(f, "trap: {text}"),
            Ends::Says(text) => write!(f, "refused: {text}"),
            Ends::NotLoaded(text) => write!(f, "not loaded: {text}"),
            Ends::Cancelled => f.write_str("cancelled"),
            Ends::Well(why) => write!(f, "harmless: {why}"),
        }
    }
}

/// How a beast did end.
pub enum Ended {
    /// Nothing went wrong.
    Well,
    /// A call failed.
    Failed(PluginFailure),
    /// Loading failed.
    NotLoaded(String),
    /// The beast's own test found something wrong.
    Wrong(String),
}

impl From<Result<(), PluginFailure>> for Ended {
    fn from(ended: Result<(), PluginFailure>) -> Self {
        match ended {
            Ok(()) => Ended::Well,
            Err(failure) => Ended::Failed(failure),
        }
    }
}

/// What a beast does.
pub enum Act {
    /// Formats a document of two pages.
    Format(Skeleton),
    /// Reads an input of these bytes.
    Read(Skeleton, Vec<u8>),
    /// Edits a document of two pages; the edits are made.
    Process(Skeleton),
    /// Is to be loaded from these bytes.
    Load(Box<dyn Fn() -> Vec<u8>>),
    /// Anything else, in the sandbox.
    Do(Box<dyn Fn(&Cage) -> Ended>),
}

pub struct Beast {
    pub number: String,
    pub name: &'static str,
    pub ends: Ends,
    pub act: Act,
    pub limits: Limits,
    pub grants: Grants,
    /// Until when its calls have to be over, where that is not the time of one call.
    pub deadline: Option<Duration>,
    /// Asks it to stop after this time.
    pub cancel: Option<Duration>,
}

impl Beast {
    pub fn new(name: &'static str, ends: Ends, act: Act) -> Self {
        Self {
            number: String::new(),
            name,
            ends,
            act,
            limits: tight(),
            grants: Grants {
                page_raster: true,
                ..Grants::default()
            },
            deadline: None,
            cancel: None,
        }
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    pub fn cancel(mut self, after: Duration) -> Self {
        self.cancel = Some(after);
        self
    }

    /// Its line in the README.
    pub fn line(&self) -> String {
        format!("| {} | {} | {} |", self.number, self.name, self.ends)
    }
}

/// Limits that are soon reached.
pub fn tight() -> Limits {
    Limits {
        memory: 32 * MIB,
        time: Duration::from_millis(200),
        handles: 200,
        call_bytes: 4 * MIB,
        host_calls: 20_000,
        output_bytes: 8 * MIB,
        output_files: 50,
        file_bytes: 6 * MIB,
        log_bytes: 4096,
        image_bytes: 64 * MIB,
        ..Limits::default()
    }
}

/// Keeps what plugins say.
#[derive(Default)]
pub struct Heard(pub Mutex<Vec<String>>);

impl PluginEvents for Heard {
    fn report(&self, _: &str, d: &Diagnostic) {
        self.0.lock().unwrap().push(format!("{}: {}", d.code, d.message));
    }
    fn log(&self, _: &str, _: Severity, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
    fn progress(&self, _: &str, done: u32, _: Option<u32>) {
        self.0.lock().unwrap().push(format!("progress {done}"));
    }
}

/// Where a beast is let loose.
pub struct Cage<'a> {
    pub runtime: &'a Runtime,
    pub tame: &'a Arc<Plugin>,
    /// The only folder that output may appear in.
    pub out: PathBuf,
    /// A folder beside it, with a file in it that nobody may touch.
    pub outside: PathBuf,
    pub limits: Limits,
    pub grants: Grants,
    pub heard: Arc<Heard>,
    pub cancel: ocr_runtime::CancelFlag,
}

impl Cage<'_> {
    pub fn context(&self) -> Context {
        Context {
            limits: self.limits.clone(),
            grants: self.grants,
            cancel: self.cancel.clone(),
            events: self.heard.clone(),
            ..Context::default()
        }
    }

    pub fn load(&self, component: &[u8]) -> Result<Arc<Plugin>, Ended> {
        self.runtime
            .load("beast.wasm", component)
            .map_err(|e| Ended::NotLoaded(e.to_string()))
    }

    /// Formats two pages and puts the files in place, as the pipeline does.
    pub fn format(&self, plugin: &Arc<Plugin>, config: &str) -> Result<(), PluginFailure> {
        self.format_pages(plugin, config, &[page(7), page(8)], || ())
    }

    /// The same with other pages; `between` happens after the first one.
    pub fn format_pages(
        &self,
        plugin: &Arc<Plugin>,
        config: &str,
        pages: &[Arc<Page>],
        mut between: impl FnMut(),
    ) -> Result<(), PluginFailure> {
        let output = DocumentOutput::begin(&self.out, "doc").expect("the folder is there");
        let place = output.formatter("bad");
        let document = DocInfo {
            name: "doc.pdf".into(),
            title: Some("A title".into()),
            ..DocInfo::default()
        };
        let session = FormatterSession::open(plugin, &self.context(), &document, config, place);
        let ended = session.and_then(|mut session| {
            for page in pages {
                session.add_page(page)?;
                between();
            }
            session.finish().map(drop)
        });
        let failed: HashSet<String> = ended.is_err().then(|| "bad".to_owned()).into_iter().collect();
        let committed = output.commit(&failed);
        match (ended, committed) {
            (Ok(()), Err(error)) => Err(PluginFailure {
                plugin: "beast".into(),
                version: String::new(),
                phase: ocr_runtime::Phase::Finish,
                cause: Cause::Host(error.to_string()),
                backtrace: Vec::new(),
            }),
            (ended, _) => ended,
        }
    }

    /// Has two pages edited and makes the edits, as the pipeline does.
    pub fn process(&self, plugin: &Arc<Plugin>) -> Result<Vec<Page>, PluginFailure> {
        let mut document = DocInfo {
            name: "doc.pdf".into(),
            title: Some("A title".into()),
            ..DocInfo::default()
        };
        let mut session = ProcessorSession::open(plugin, &self.context(), &document, "{}")?;
        session
            .edit_document()?
            .into_iter()
            .for_each(|edit| edit.apply(&mut document));
        let wrong = |page: &Page, why: String| PluginFailure {
            plugin: plugin.manifest().id.clone(),
            version: plugin.manifest().version.clone(),
            phase: ocr_runtime::Phase::Page(page.info().number),
            cause: Cause::Said(Box::new(Diagnostic::new(Severity::Error, "invalid-edit", why))),
            backtrace: Vec::new(),
        };
        let pages = [table_page(), table_page()];
        let edited = pages.iter().map(|page| {
            let edits = session.process(page)?;
            page.edited(&edits)
                .map_err(|error| wrong(page, error.to_string()))
        });
        edited.collect()
    }

    /// Reads up to three items of an input.
    pub fn read(&self, plugin: &Arc<Plugin>, bytes: &[u8]) -> Result<Vec<InputItem>, PluginFailure> {
        let context = self.context();
        sniff(plugin, &context, "input.bin", &bytes[..bytes.len().min(4096)])?;
        let source = Source::from_bytes("input.bin", bytes.to_vec());
        let mut session = AdapterSession::open(plugin, &context, &source, &OpenOptions::default())?;
        session.info()?;
        let mut items = Vec::new();
        for index in 0..3 {
            match session.read(index, 200.0)? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        Ok(items)
    }
}

/// A page as recognition leaves it.
pub fn page(number: u32) -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(number - 7, number, 1000, 800));
    let area = Rect::new(0, 0, 50, 10);
    page.push_span(SpanKind::Paragraph, "text", 0, area, None, "all is well");
    page.raster(PageImage::new(1000, 800, PixelFormat::Gray8, vec![128; 800_000]).expect("it has its size"));
    Arc::new(page.finish())
}

/// A page of two paragraphs, the first with a line and a word, and a table of two cells. Spans 0, 1 and 2.
pub fn table_page() -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(0, 7, 1000, 800));
    let area = Rect::new(10, 10, 500, 40);
    let first = page.push_span(
        SpanKind::Paragraph,
        "text",
        0,
        area,
        Some(0.9),
        "Gr\u{fc}ezi mitenand",
    );
    let line = page.push_line(first, Quad::from_rect(area), Some(0.9), "Gr\u{fc}ezi mitenand");
    page.push_word(line, 0..7, Quad::from_rect(Rect::new(10, 10, 200, 40)), None);
    page.push_span(
        SpanKind::Paragraph,
        "text",
        0,
        Rect::new(10, 50, 500, 90),
        None,
        "and goodbye",
    );
    let table = page.push_span(
        SpanKind::Table,
        "table",
        0,
        Rect::new(10, 100, 500, 300),
        None,
        "a b",
    );
    for (column, text) in [(0, "a"), (1, "b")] {
        let cell = Cell {
            table,
            kind: CellKind::Data,
            row: 0,
            column,
            row_span: 1,
            column_span: 1,
            area: None,
            confidence: None,
            text: Slice::default(),
        };
        page.push_cell(cell, text);
    }
    page.raster(PageImage::new(1000, 800, PixelFormat::Gray8, vec![128; 800_000]).expect("it has its size"));
    Arc::new(page.finish())
}

/// What was seen of a beast.
pub struct Kept {
    pub ended: String,
    pub over: Option<Duration>,
    pub took: Duration,
    pub grown: i64,
    pub escaped: Vec<String>,
}

impl Kept {
    pub const HEAD: &'static str =
        "| # | beast | after | over | MiB | how it ended |\n|---|---|---|---|---|---|";

    pub fn line(&self, beast: &Beast) -> String {
        let shown = |text: &str| {
            text.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect::<String>()
        };
        let over = self
            .over
            .map_or(String::new(), |o| format!("{} ms", o.as_millis()));
        format!(
            "| {} | {} | {} ms | {over} | {:+} | {}{} |",
            beast.number,
            beast.name,
            self.took.as_millis(),
            self.grown / MIB as i64,
            if self.escaped.is_empty() { "" } else { "ESCAPED " },
            shown(&self.ended)
        )
    }
}

pub struct Keeper {
    runtime: Runtime,
    tame: Arc<Plugin>,
    lateness: Lateness,
}

impl Keeper {
    pub fn new() -> Self {
        let runtime = runtime(None, &tight());
        let plugin = runtime
            .load("tame", &tame().build())
            .expect("a tame plugin loads");
        let mut keeper = Self {
            runtime,
            tame: plugin,
            lateness: Lateness::watch(),
        };
        // What the first use of anything makes and keeps is no beast's growth.
        for skeleton in [tame(), crate::beasts::sleeper()] {
            keeper.hold(&Beast::new(
                "tame",
                Ends::Well("it is tame"),
                Act::Format(skeleton),
            ));
        }
        keeper
    }

    /// Lets a beast loose and looks whether all is as it was.
    ///
    /// Its calls have to be over [`LATE`] after their time is up. Where the machine is busy, the time in which this
    /// thread was ready and did not get a processor (`/proc/thread-self/schedstat`), and the most that a thread which
    /// only sleeps was woken late, are allowed on top.
    pub fn hold(&mut self, beast: &Beast) -> Kept {
        let mut kept = self.hold_once(beast);
        // Memory may be kept warm for the next one, it may not grow with each.
        let mut before = resident();
        for _ in 0..4 {
            if kept.grown <= GROWTH as i64 {
                return kept;
            }
            self.hold_once(beast);
            let now = resident();
            kept.grown = now as i64 - before as i64;
            before = now;
        }
        let why = format!("memory grows by {} MiB with each run", kept.grown / MIB as i64);
        kept.escaped.push(why);
        kept
    }

    fn hold_once(&mut self, beast: &Beast) -> Kept {
        let sandbox = tempfile::tempdir().expect("there is room for a folder");
        let cage = Cage {
            runtime: &self.runtime,
            tame: &self.tame,
            out: sandbox.path().join("out"),
            outside: sandbox.path().join("outside"),
            limits: beast.limits.clone(),
            grants: beast.grants,
            heard: Arc::default(),
            cancel: ocr_runtime::CancelFlag::default(),
        };
        for folder in [&cage.out, &cage.outside] {
            fs::create_dir(folder).expect("the sandbox is ours");
        }
        fs::write(cage.outside.join("secret.txt"), "nobody's business").expect("the sandbox is ours");
        let (outside, descriptors, memory) = (look(&cage.outside), descriptors(), resident());
        self.lateness.start();
        if let Some(after) = beast.cancel {
            let cancel = cage.cancel.clone();
            std::thread::spawn(move || {
                std::thread::sleep(after);
                cancel.cancel();
            });
        }
        let waited = run_delay();
        let started = Instant::now();
        let (ended, took) = self.let_loose(beast, &cage, started);
        let allowed = LATE + run_delay().saturating_sub(waited) + self.lateness.worst();
        let mut escaped = Vec::new();
        let (shown, fits) = judge(&ended, &beast.ends);
        if !fits {
            escaped.push(format!("ended with: {shown}"));
        }
        // Only what ends by the clock has a deadline to be held to; the others are done when they are done, but within
        // the time of a call as well.
        let deadline = beast.deadline.or(beast.cancel).unwrap_or(beast.limits.time);
        let over = took.saturating_sub(deadline);
        if !matches!(beast.act, Act::Load(_) | Act::Do(_)) && over > allowed {
            escaped.push(format!("{over:?} after its time, {allowed:?} is allowed"));
        }
        if look(&cage.outside) != outside {
            escaped.push("something changed outside of the output folder".into());
        }
        let foreign: Vec<String> = (look(&cage.out).keys())
            .filter(|name| !["doc.bad", "doc.partial"].iter().any(|own| name.starts_with(own)))
            .cloned()
            .collect();
        if !foreign.is_empty() {
            escaped.push(format!("left {foreign:?} in the output folder"));
        }
        let beside = look_shallow(sandbox.path());
        if beside != ["out", "outside"] {
            escaped.push(format!("left {beside:?} beside the output folder"));
        }
        let _ = fs::remove_dir_all(&cage.out);
        let next = Cage {
            limits: Limits {
                time: Duration::from_secs(20),
                ..tight()
            },
            cancel: ocr_runtime::CancelFlag::default(),
            ..cage
        };
        if let Err(why) = self.next_document(&next) {
            escaped.push(format!("the next document: {why}"));
        }
        drop(next);
        drop(sandbox);
        let now = self::descriptors();
        if now != descriptors {
            escaped.push(format!("{now} descriptors are open, {descriptors} were"));
        }
        Kept {
            ended: shown,
            over: matches!(beast.ends, Ends::Limit([Quota::Time]) | Ends::Cancelled).then_some(over),
            took,
            grown: resident() as i64 - memory as i64,
            escaped,
        }
    }

    /// Answers how it ended and how long its calls took; making the component is not its time.
    fn let_loose(&self, beast: &Beast, cage: &Cage, started: Instant) -> (Ended, Duration) {
        let loaded = |skeleton: &Skeleton| {
            let component = skeleton.build();
            cage.load(&component)
        };
        match &beast.act {
            Act::Format(skeleton) => match loaded(skeleton) {
                Ok(plugin) => {
                    let started = Instant::now();
                    let ended = cage.format(&plugin, r#"{"some":"text"}"#);
                    (ended.into(), started.elapsed())
                }
                Err(ended) => (ended, started.elapsed()),
            },
            Act::Read(skeleton, bytes) => match loaded(skeleton) {
                Ok(plugin) => {
                    let started = Instant::now();
                    let ended = cage.read(&plugin, bytes).map(drop);
                    (ended.into(), started.elapsed())
                }
                Err(ended) => (ended, started.elapsed()),
            },
            Act::Process(skeleton) => match loaded(skeleton) {
                Ok(plugin) => {
                    let started = Instant::now();
                    let ended = cage.process(&plugin).map(drop);
                    (ended.into(), started.elapsed())
                }
                Err(ended) => (ended, started.elapsed()),
            },
            Act::Load(bytes) => {
                let bytes = bytes();
                let started = Instant::now();
                let ended = cage.load(&bytes).map_or_else(|ended| ended, |_| Ended::Well);
                (ended, started.elapsed())
            }
            Act::Do(act) => (act(cage), started.elapsed()),
        }
    }

    fn next_document(&self, cage: &Cage) -> Result<(), String> {
        cage.format(&self.tame, "{}").map_err(|e| e.to_string())?;
        let written = fs::read_to_string(cage.out.join("doc.bad")).map_err(|e| e.to_string())?;
        match written == "all is wellall is well" {
            true => Ok(()),
            false => Err(format!("reads {written:?}")),
        }
    }
}

/// A runtime that compiles in a process of its own.
pub fn runtime(cache: Option<PathBuf>, limits: &Limits) -> Runtime {
    let child = CompileChild::this_program(COMPILER).expect("this program has a file");
    Runtime::new(cache, limits)
        .expect("the runtime starts")
        .compile_in(child)
}

/// Writes the text of each page.
fn tame() -> Skeleton {
    Skeleton::new("tame", World::OutputFormatter)
        .body(
            "open",
            "(call $output.main RET) CHECK (global.set $out HANDLE) (i32.const 0)",
        )
        .body(
            "page",
            "(call $page.text (local.get $page) RET)
             (call $file.write-text (global.get $out) (i32.load RET) (i32.load (i32.const 1028)) RET) CHECK (i32.const 0)",
        )
        .fields("(global $out (mut i32) (i32.const 0))")
}

fn judge(ended: &Ended, expected: &Ends) -> (String, bool) {
    match (ended, expected) {
        (Ended::Well, Ends::Well(_)) => ("well".into(), true),
        (Ended::Well, _) => ("well".into(), false),
        (Ended::Wrong(why), _) => (why.clone(), false),
        (Ended::NotLoaded(why), Ends::NotLoaded(text)) => (why.clone(), why.contains(text)),
        (Ended::NotLoaded(why), _) => (why.clone(), false),
        (Ended::Failed(failure), expected) => {
            let shown = failure.to_string();
            let named = shown.contains(&format!("plugin `{}`", failure.plugin));
            let fits = match (&failure.cause, expected) {
                (Cause::Limit { quota, .. }, Ends::Limit(quotas)) => {
                    quotas.contains(quota) && shown.contains(&format!("`{}`", quota.name()))
                }
                (Cause::Trap(_), Ends::Trap(text)) => shown.contains(text),
                (Cause::Said(_) | Cause::Host(_), Ends::Says(text)) => shown.contains(text),
                (Cause::Cancelled, Ends::Cancelled) => true,
                _ => false,
            };
            (shown, named && fits)
        }
    }
}

/// Every file and folder below `folder`, with what is in it.
fn look(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut seen = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path
                .strip_prefix(folder)
                .expect("it is below")
                .display()
                .to_string();
            let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
            seen.insert(
                name,
                if is_folder {
                    Vec::new()
                } else {
                    fs::read(&path).unwrap_or_default()
                },
            );
            if is_folder {
                folders.push(path);
            }
        }
    }
    seen
}

fn look_shallow(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = (fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count())
}

/// Resident memory, bytes.
pub fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// How long this thread was ready to run and did not.
fn run_delay() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').nth(1).and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// How late a thread is woken that only sleeps, as the plugins' clock does.
struct Lateness(Arc<AtomicU64>);

impl Lateness {
    fn watch() -> Self {
        let worst = Arc::new(AtomicU64::new(0));
        let seen = worst.clone();
        std::thread::spawn(move || {
            loop {
                let started = Instant::now();
                std::thread::sleep(Duration::from_millis(5));
                let late = started.elapsed().saturating_sub(Duration::from_millis(5));
                seen.fetch_max(
                    u64::try_from(late.as_nanos()).unwrap_or(u64::MAX),
                    Ordering::Relaxed,
                );
            }
        });
        Self(worst)
    }

    fn start(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn worst(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}
