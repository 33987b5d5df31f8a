//! What the sandbox costs: a fresh instance, one page through each kind of plugin, text in and text out, pages without end.
//! Run with `cargo bench --bench overhead`; it prints the machine's figures beside the goals, and
//! `host/conformance/overhead.py` keeps them with machine and commit.
//!
//! Before anything is timed, each plugin that has a goal has to write what it ought to: a fast wrong answer is none. The
//! formatters in Python and JavaScript (`interpreters/`) are built as `ocr-host plugin build` does where `componentize-py` and
//! `componentize-qjs` are to be found; otherwise their rows say so.

mod interpreters;
mod measuring;
#[path = "../tests/skeleton/mod.rs"]
mod skeleton;

use flate2::read::GzDecoder;
use interpreters::Language;
use measuring::Bench;
use ocr_document::{Page, PageBuilder, PageInfo, Rect, SpanKind};
use ocr_runtime::{
    AdapterSession, Context, DocInfo, FormatterOutput, FormatterSession, Limits, OpenOptions, Plugin,
    ProcessorSession, Runtime, Source, World,
};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

const PACKED: &[u8] = include_bytes!("../tests/misbehave/misbehave.wasm.gz");

/// Blocks of an ordinary page, and bytes of each.
const SPANS: usize = 60;
const SPAN_BYTES: usize = 50;
/// From one block's top to the next one's, px: they fill an A4 page of 150 dpi.
const SPAN_PITCH: u32 = 28;

/// Settings of the plugin that redacts.
const ALL_KINDS: &str = r#"{"kinds":"url,email,iban,card,ip,ssn,date,phone"}"#;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let measured = std::env::args().any(|a| a == "--bench");
    let mut bench = Bench::new(measured);
    let runtime = Runtime::new(None, &Limits::default()).expect("the runtime starts");
    let mut component = Vec::new();
    GzDecoder::new(PACKED)
        .read_to_end(&mut component)
        .expect("it unpacks");
    let rust = runtime
        .load("misbehave", &component)
        .expect("the component loads");
    check(&rust);
    let page = page_of(SPANS, SPAN_BYTES);

    bench.time("fresh instance, Rust", "< 30 us", || drop(open(&rust, "touch")));
    let mut session = open(&rust, "touch");
    bench.share(
        "add-page: info, text, 60 spans, Rust",
        "< 10 us, p99 < 50",
        || session.add_page(&page).expect("it behaves"),
    );
    for language in interpreters::LANGUAGES {
        interpreted(&mut bench, &runtime, &language, &page);
    }
    let reader = runtime.load("reader", &reader().build()).expect("it loads");
    processor(
        &mut bench,
        "process: text, 60 spans, one edit, WAT",
        &reader,
        "{}",
        &page,
    );

    for name in ["text-out", "markdown-out", "html-out", "json-out", "hocr-out"] {
        let plugin = first_party(&runtime, name);
        let mut session = open(&plugin, "");
        bench.share(&format!("add-page: {name}"), "-", || {
            session.add_page(&page).expect("it behaves")
        });
    }
    for (name, of, config) in [
        ("dehyphenate", "", "{}"),
        ("running-heads", "", "{}"),
        ("normalize-tables", "", "{}"),
        ("redact", "", r#"{"terms":["one of the pages","Neu\u00dfberg"]}"#),
        ("redact", ", all kinds", ALL_KINDS),
    ] {
        let plugin = first_party(&runtime, name);
        let what = format!("process: {name}{of}");
        processor(&mut bench, &what, &plugin, config, &page);
    }
    // What costs more: words that are cut, and numbers that may be something.
    for (name, of, config, text) in [
        (
            "dehyphenate",
            ", cut words",
            "{}",
            "A line of words is cut, as pages cut them at hy-\nphens.",
        ),
        (
            "redact",
            ", all kinds, numbers",
            ALL_KINDS,
            "On 3 pages of 2024 are 1,250 words at 3.50 each, Mr. X.",
        ),
    ] {
        let plugin = first_party(&runtime, name);
        let what = format!("process: {name}{of}");
        processor(&mut bench, &what, &plugin, config, &page_with(SPANS, text));
    }
    for (name, document) in [("image-in", "report.png"), ("pdf-in", "report.pdf")] {
        adapter(&mut bench, &first_party(&runtime, name), document);
    }

    let big = page_of(1024, 1024);
    let mut session = open(&rust, "read-text");
    bench.throughput("text into the plugin, 1 MiB a call", ">= 2 GB/s", || {
        session.add_page(&big).expect("it behaves")
    });
    let mut session = open(&rust, "write-text");
    bench.throughput("text out of the plugin, 1 MiB a page", ">= 1 GB/s", || {
        session.add_page(&page).expect("it behaves")
    });
    flat_memory(&mut bench, &rust, &page, if measured { 10_000 } else { 20 });
    bench.print();
}

/// The same in an interpreter: the least formatter, on its SDK.
fn interpreted(bench: &mut Bench, runtime: &Runtime, language: &Language, page: &Arc<Page>) {
    let component = match bench.measured {
        true => language.build(),
        false => Err("not measured".into()),
    };
    let plugin = component.and_then(|c| runtime.load(language.name, &c).map_err(|e| e.to_string()));
    let plugin = match plugin {
        Ok(plugin) => plugin,
        Err(why) => return bench.missing(&format!("{}: {why}", language.name)),
    };
    let expected = format!("{}{} {}", page.text(), page.text(), 2 * SPANS);
    let wrote = written(&plugin, "", &[page.clone(), page.clone()]);
    assert_eq!(wrote, expected.as_bytes(), "the text goes in and comes out");
    bench.time(
        &format!("fresh instance, {}", language.name),
        language.goal,
        || drop(open(&plugin, "")),
    );
    let mut session = open(&plugin, "");
    bench.share(&format!("add-page: the same, {}", language.name), "-", || {
        session.add_page(page).expect("it behaves")
    });
}

/// One call and the edits made, as the pipeline does.
fn processor(bench: &mut Bench, what: &str, plugin: &Arc<Plugin>, config: &str, page: &Arc<Page>) {
    let mut session =
        ProcessorSession::open(plugin, &Context::default(), &DocInfo::default(), config).expect("it opens");
    bench.share(what, "-", || {
        let edits = session.process(page).expect("it behaves");
        black_box(page.edited(&edits).expect("the edits are sound"));
    });
}

/// A page of an example, with opening the document: most of it is decoding and drawing.
fn adapter(bench: &mut Bench, plugin: &Arc<Plugin>, document: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(document);
    let bytes = std::fs::read(&path).expect("the example is there");
    let options = OpenOptions {
        config: "{}".into(),
        password: None,
    };
    bench.time(
        &format!("open and read a page: {}, {document}", plugin.manifest().id),
        "-",
        || {
            let source = Source::from_bytes(document, bytes.clone());
            let mut session =
                AdapterSession::open(plugin, &Context::default(), &source, &options).expect("it opens");
            black_box(session.read(0, 144.0).expect("it reads"));
        },
    );
}

/// A component as the program embeds it.
fn first_party(runtime: &Runtime, name: &str) -> Arc<Plugin> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins")
        .join(name)
        .join(format!("{name}.wasm.gz"));
    let mut component = Vec::new();
    let packed = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    GzDecoder::new(packed)
        .read_to_end(&mut component)
        .expect("it unpacks");
    runtime.load(name, &component).expect("it loads")
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

/// A processor that asks for text and blocks and sets the first block's text to 100 letters.
fn reader() -> skeleton::Skeleton {
    let process = "
        (call $page.text (local.get $page) RET) (call $page.spans (local.get $page) RET)
        (memory.fill (i32.const 3000) (i32.const 97) (i32.const 100))
        (i32.store (i32.const 3208) (i32.const 3000)) (i32.store (i32.const 3212) (i32.const 100))
        (call $empty) (i32.store (i32.const 2056) (i32.const 3200)) (i32.store (i32.const 2060) (i32.const 1)) AREA";
    skeleton::Skeleton::new("reader", World::PageProcessor).body("process", process)
}

/// A page of `spans` paragraphs of `bytes` bytes each.
fn page_of(spans: usize, bytes: usize) -> Arc<Page> {
    let text: String = "A line of words, as pages have them. "
        .chars()
        .cycle()
        .take(bytes)
        .collect();
    page_with(spans, &text)
}

/// A page of `spans` paragraphs of one text, one below the other.
fn page_with(spans: usize, text: &str) -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(0, 1, 1240, 1754));
    for at in 0..spans as u32 {
        let top = 40 + at * SPAN_PITCH;
        let area = Rect::new(100, top, 1140, top + 20);
        page.push_span(SpanKind::Paragraph, "text", 0, area, Some(0.9), text);
    }
    Arc::new(page.finish())
}

/// Documents of 100 pages, each in an instance of its own; memory is looked at after the first tenth and at the end.
fn flat_memory(bench: &mut Bench, plugin: &Arc<Plugin>, page: &Arc<Page>, pages: usize) {
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
    bench.row(&what, grown(last), grown(most), "< 16 MiB");
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|n| n.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0 / 1048576.0
}
