//! What the sandbox costs: a fresh instance, one `add-page`, text in and text out. Run with
//! `cargo bench --bench overhead`; it prints the machine's figures beside the goals.

use ocr_document::{Page, PageBuilder, PageInfo, Rect, SpanKind};
use ocr_runtime::{Context, DocInfo, FormatterOutput, FormatterSession, Limits, Plugin, Runtime};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const COMPONENT: &[u8] = include_bytes!("../tests/misbehave/misbehave.wasm");

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let rounds = if std::env::args().any(|a| a == "--bench") {
        2000
    } else {
        2
    };
    let runtime = Runtime::new(None, &Limits::default()).expect("the runtime starts");
    let plugin = runtime.load("misbehave", COMPONENT).expect("the component loads");
    println!("{:<44} {:>12} {:>12} {:>16}", "", "median", "p99", "goal");

    let fresh = measure(rounds, || drop(black_box(open(&plugin, "touch"))));
    row("fresh instance, opened with a document", &fresh, None, "< 30 us");

    let page = page_of(60, 50);
    let mut session = open(&plugin, "touch");
    let touch = measure(rounds, || session.add_page(&page).expect("it behaves"));
    row(
        "add-page: info, text, 60 spans",
        &touch,
        None,
        "< 10 us, p99 < 50",
    );

    let big = page_of(1024, 1024);
    let mut session = open(&plugin, "read-text");
    let read = measure(rounds / 4 + 1, || session.add_page(&big).expect("it behaves"));
    row(
        "text into the plugin, 1 MiB a call",
        &read,
        Some(1 << 20),
        ">= 2 GB/s",
    );

    let mut session = open(&plugin, "write-text");
    let write = measure(rounds / 4 + 1, || session.add_page(&page).expect("it behaves"));
    row(
        "text out of the plugin, 1 MiB a page",
        &write,
        Some(1 << 20),
        ">= 1 GB/s",
    );
}

fn open(plugin: &Arc<Plugin>, act: &str) -> FormatterSession {
    let limits = Limits {
        output_bytes: u64::MAX / 2,
        file_bytes: u64::MAX / 2,
        ..Limits::default()
    };
    let context = Context {
        limits,
        ..Context::default()
    };
    let config = format!(r#"{{"act":"{act}"}}"#);
    let output = FormatterOutput::stream("bench", Box::new(std::io::sink()));
    FormatterSession::open(plugin, &context, &DocInfo::default(), &config, output).expect("it opens")
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
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let started = Instant::now();
            call();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

fn row(what: &str, times: &[Duration], bytes: Option<u64>, goal: &str) {
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let shown = |time: Duration| match bytes {
        Some(bytes) => format!("{:.2} GB/s", bytes as f64 / time.as_secs_f64() / 1e9),
        None => format!("{:.1} us", time.as_secs_f64() * 1e6),
    };
    println!("{what:<44} {:>12} {:>12} {goal:>16}", shown(median), shown(p99));
}
