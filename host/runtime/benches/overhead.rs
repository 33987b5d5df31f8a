//! What the sandbox costs: a fresh instance, one `add-page`, text in and text out, pages without end. Run with
//! `cargo bench --bench overhead`; it prints the machine's figures beside the goals, and
//! `host/conformance/overhead.py` keeps them with machine and commit.
//!
//! Before anything is timed, each plugin has to write what it ought to: a fast wrong answer is none. The formatters in
//! Python and JavaScript (`formatters/`) are built where `componentize-py` and `jco` are to be found; otherwise their rows
//! say so.

mod interpreters;
#[path = "../tests/skeleton/mod.rs"]
mod skeleton;

use ocr_document::{Page, PageBuilder, PageInfo, Rect, SpanKind};
use ocr_runtime::{
    Context, DocInfo, FormatterOutput, FormatterSession, Limits, Plugin, ProcessorSession, Runtime, World,
};
use std::hint::black_box;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const COMPONENT: &[u8] = include_bytes!("../tests/misbehave/misbehave.wasm");

/// A page of DeepSeek-OCR's Base mode on one H100, 128 rows at a time: 23.7 pages a second.
const GPU_PAGE: Duration = Duration::from_millis(42);

/// Blocks of an ordinary page, and bytes of each.
const SPANS: usize = 60;
const SPAN_BYTES: usize = 50;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let measured = std::env::args().any(|a| a == "--bench");
    let rounds = if measured { 4000 } else { 2 };
    let runtime = Runtime::new(None, &Limits::default()).expect("the runtime starts");
    let rust = runtime.load("misbehave", COMPONENT).expect("the component loads");
    check(&rust);
    println!("{:<44} {:>12} {:>12} {:>16}", "", "median", "p99", "goal");

    let fresh = measure(rounds, || drop(black_box(open(&rust, "touch"))));
    row("fresh instance, Rust", &fresh, "< 30 us");
    let page = page_of(SPANS, SPAN_BYTES);
    let add_page = add_pages(&rust, &page, rounds);
    row(
        "add-page: info, text, 60 spans, Rust",
        &add_page,
        "< 10 us, p99 < 50",
    );
    share("add-page of a 42 ms GPU page", &add_page);

    for language in interpreters::LANGUAGES {
        let (fresh_row, page_row) = (
            format!("fresh instance, {}", language.name),
            format!("add-page, {}", language.name),
        );
        let built = match measured {
            true => language.build(),
            false => Err("not measured".into()),
        };
        let plugin =
            built.and_then(|component| runtime.load(language.name, &component).map_err(|e| e.to_string()));
        match plugin {
            Ok(plugin) => {
                let fresh = measure(rounds / 10, || drop(black_box(open(&plugin, ""))));
                row(&fresh_row, &fresh, language.goal);
                // componentize-qjs alone gives a page back too late; `ocr-host plugin build` mends that, this bench does not.
                if let Err(why) = check_interpreted(&plugin) {
                    println!("{page_row:<44} not run: {why}");
                    continue;
                }
                let pages = add_pages(&plugin, &page, rounds / 4);
                row(&page_row, &pages, "-");
                share(
                    &format!("add-page of a 42 ms GPU page, {}", language.name),
                    &pages,
                );
            }
            Err(why) => println!("{fresh_row:<44} not built: {why}"),
        }
    }

    let processor = runtime.load("processor", &reader().build()).expect("it loads");
    let edit = edit_pages(&processor, &page, rounds);
    row("process: text, 60 spans, one edit", &edit, "-");
    share("process of a 42 ms GPU page", &edit);

    let big = page_of(1024, 1024);
    let mut session = open(&rust, "read-text");
    let read = measure(rounds / 4 + 1, || session.add_page(&big).expect("it behaves"));
    throughput("text into the plugin, 1 MiB a call", &read, ">= 2 GB/s");
    let mut session = open(&rust, "write-text");
    let write = measure(rounds / 4 + 1, || session.add_page(&page).expect("it behaves"));
    throughput("text out of the plugin, 1 MiB a page", &write, ">= 1 GB/s");

    flat_memory(&rust, &page, if measured { 10_000 } else { 20 });
}

/// Opens with the act; the interpreters' formatters have none and take any.
fn open(plugin: &Arc<Plugin>, act: &str) -> FormatterSession {
    open_into(plugin, act, Box::new(std::io::sink()))
}

fn open_into(plugin: &Arc<Plugin>, act: &str, writer: Box<dyn Write + Send>) -> FormatterSession {
    let limits = Limits {
        output_bytes: u64::MAX / 2,
        file_bytes: u64::MAX / 2,
        ..Limits::default()
    };
    let context = Context {
        limits,
        ..Context::default()
    };
    let config = if act.is_empty() {
        "{}".to_owned()
    } else {
        format!(r#"{{"act":"{act}"}}"#)
    };
    let output = FormatterOutput::stream("bench", writer);
    FormatterSession::open(plugin, &context, &DocInfo::default(), &config, output).expect("it opens")
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panics with it")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn written(plugin: &Arc<Plugin>, act: &str, pages: &[Arc<Page>]) -> Vec<u8> {
    let kept = Written::default();
    let mut session = open_into(plugin, act, Box::new(kept.clone()));
    pages
        .iter()
        .for_each(|page| session.add_page(page).expect("it behaves"));
    session.finish().expect("it behaves");
    kept.0.lock().expect("nobody panics with it").clone()
}

/// The measured plugin does what it is measured at.
fn check(plugin: &Arc<Plugin>) {
    let page = page_of(SPANS, SPAN_BYTES);
    let behaved = written(plugin, "behave", std::slice::from_ref(&page));
    assert_eq!(
        behaved,
        format!("begun\n{}", page.text()).as_bytes(),
        "the text goes in and comes out"
    );
    assert_eq!(
        written(plugin, "write-text", &[page]),
        vec![b'x'; 1 << 20],
        "a megabyte comes out"
    );
}

fn check_interpreted(plugin: &Arc<Plugin>) -> Result<(), String> {
    let page = page_of(SPANS, SPAN_BYTES);
    open(plugin, "").add_page(&page).map_err(|e| e.to_string())?;
    let expected = format!("{}{} {}", page.text(), page.text(), 2 * SPANS);
    assert_eq!(written(plugin, "", &[page.clone(), page]), expected.as_bytes());
    Ok(())
}

fn add_pages(plugin: &Arc<Plugin>, page: &Arc<Page>, rounds: usize) -> Vec<Duration> {
    let act = if plugin.manifest().id == "misbehave" {
        "touch"
    } else {
        ""
    };
    let mut session = open(plugin, act);
    measure(rounds, || session.add_page(page).expect("it behaves"))
}

/// A processor that asks for text and blocks and sets the first block's text to 100 letters.
fn reader() -> skeleton::Skeleton {
    let process = "
        (call $page.text (local.get $page) RET) (call $page.spans (local.get $page) RET)
        (memory.fill (i32.const 3000) (i32.const 97) (i32.const 100))
        (i32.store (i32.const 3208) (i32.const 3000)) (i32.store (i32.const 3212) (i32.const 100))
        (call $empty) (i32.store (i32.const 2056) (i32.const 3200)) (i32.store (i32.const 2060) (i32.const 1)) AREA";
    skeleton::Skeleton::new("reader", World::PageProcessor).body("process", process)
}

/// One call and the edit made, as the pipeline does.
fn edit_pages(plugin: &Arc<Plugin>, page: &Arc<Page>, rounds: usize) -> Vec<Duration> {
    let mut session =
        ProcessorSession::open(plugin, &Context::default(), &DocInfo::default(), "{}").expect("it opens");
    let mut process = || {
        let edits = session.process(page).expect("it behaves");
        page.edited(&edits).expect("the edit is sound")
    };
    let edited = process();
    assert_eq!(
        edited.text_of(edited.spans()[0].text),
        "a".repeat(100),
        "the edit is made"
    );
    measure(rounds, || drop(black_box(process())))
}

/// A page of `spans` paragraphs of `bytes` bytes each.
fn page_of(spans: usize, bytes: usize) -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(0, 1, 1240, 1754));
    let text = "x".repeat(bytes);
    for _ in 0..spans {
        page.push_span(
            SpanKind::Paragraph,
            "text",
            0,
            Rect::new(0, 0, 100, 20),
            Some(0.9),
            &text,
        );
    }
    Arc::new(page.finish())
}

fn measure(rounds: usize, mut call: impl FnMut()) -> Vec<Duration> {
    (0..rounds / 10 + 1).for_each(|_| call());
    let mut times: Vec<Duration> = (0..rounds.max(1))
        .map(|_| {
            let started = Instant::now();
            call();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

fn median_and_p99(times: &[Duration]) -> (f64, f64) {
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64();
    (at(50), at(99))
}

fn print(what: &str, median: String, p99: String, goal: &str) {
    println!("{what:<44} {median:>12} {p99:>12} {goal:>16}");
}

fn row(what: &str, times: &[Duration], goal: &str) {
    let (median, p99) = median_and_p99(times);
    let shown = |seconds: f64| match seconds < 1e-3 {
        true => format!("{:.1} us", seconds * 1e6),
        false => format!("{:.2} ms", seconds * 1e3),
    };
    print(what, shown(median), shown(p99), goal);
}

/// 1 MiB a call.
fn throughput(what: &str, times: &[Duration], goal: &str) {
    let (median, p99) = median_and_p99(times);
    let shown = |seconds: f64| format!("{:.2} GB/s", f64::from(1 << 20) / seconds / 1e9);
    print(what, shown(median), shown(p99), goal);
}

fn share(what: &str, times: &[Duration]) {
    let (median, p99) = median_and_p99(times);
    let shown = |seconds: f64| format!("{:.4} %", 100.0 * seconds / GPU_PAGE.as_secs_f64());
    print(what, shown(median), shown(p99), "< 0.1 %");
}

/// Documents of 100 pages, each in an instance of its own; memory is looked at after the first tenth and at the end.
fn flat_memory(plugin: &Arc<Plugin>, page: &Arc<Page>, pages: usize) {
    const DOCUMENT: usize = 100;
    let mut marks = Vec::new();
    for document in 0..pages.div_ceil(DOCUMENT) {
        let mut session = open(plugin, "behave");
        (0..DOCUMENT.min(pages)).for_each(|_| session.add_page(page).expect("it behaves"));
        session.finish().expect("it behaves");
        if (document + 1) * DOCUMENT >= pages / 10 {
            marks.push(resident_mib());
        }
    }
    let (first, last) = (marks[0], marks[marks.len() - 1]);
    let most = marks.iter().copied().fold(f64::MIN, f64::max);
    let grown = |to: f64| format!("{:+.1} MiB", to - first);
    let what = format!("memory over {pages} pages: end, most");
    print(&what, grown(last), grown(most), "< 16 MiB");
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|n| n.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0 / 1048576.0
}
