//! Every limit, held against a component that wants to break it. After each, the host formats the same page with a
//! plugin that behaves.

mod common;

use ocr_document::{Page, PageBuilder, PageImage, PageInfo, PixelFormat, Rect, SpanKind};
use ocr_runtime::{
    Capability, Cause, Context, DocInfo, DocumentOutput, FormatterSession, Grants, Limits, Plugin,
    PluginFailure, Quota, Runtime,
};
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

static MISBEHAVE: LazyLock<Vec<u8>> =
    LazyLock::new(|| common::unpacked(include_bytes!("misbehave/misbehave.wasm.gz")));

static PLUGIN: LazyLock<(Runtime, Arc<Plugin>)> = LazyLock::new(|| {
    let runtime = Runtime::new(None, &Limits::default()).unwrap();
    let asks = [Capability::PageRaster, Capability::ImageRows];
    let plugin = runtime
        .load("misbehave", &common::asking(&MISBEHAVE, &asks))
        .unwrap();
    (runtime, plugin)
});

fn page() -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(0, 7, 1000, 800));
    page.push_span(
        SpanKind::Paragraph,
        "text",
        0,
        Rect::new(0, 0, 50, 10),
        None,
        "all is well",
    );
    page.raster(PageImage::new(1000, 800, PixelFormat::Gray8, vec![128; 800_000]).unwrap());
    Arc::new(page.finish())
}

fn tight() -> Limits {
    let mib = 1 << 20;
    Limits {
        stack: 512 << 10,
        memory: 32 * mib,
        time: Duration::from_millis(300),
        handles: 200,
        call_bytes: 4 * mib,
        host_calls: 200_000,
        output_bytes: 8 * mib,
        output_files: 50,
        file_bytes: 6 * mib,
        log_bytes: 4096,
        image_bytes: 64 * mib,
        gpu: 5,
        ..Limits::default()
    }
}

fn run_in(folder: &Path, act: &str, grants: Grants, limits: Limits) -> Result<(), PluginFailure> {
    let context = Context {
        limits,
        grants,
        ..Context::default()
    };
    let output = DocumentOutput::begin(folder, "doc").unwrap();
    let config = format!(r#"{{"act":"{act}"}}"#);
    let place = output.formatter("bad");
    let session = FormatterSession::open(&PLUGIN.1, &context, &DocInfo::default(), &config, place);
    let ended = session.and_then(|mut session| {
        session.add_page(&page())?;
        session.finish().map(drop)
    });
    let failed = if ended.is_err() {
        HashSet::from(["bad".to_owned()])
    } else {
        HashSet::new()
    };
    output.commit(&failed).unwrap();
    ended
}

fn run(act: &str) -> Result<(), PluginFailure> {
    run_within(act, tight())
}

/// Runs an act, checks that the next document is fine, and answers how the act ended.
fn run_within(act: &str, limits: Limits) -> Result<(), PluginFailure> {
    let folder = tempfile::tempdir().unwrap();
    let grants = Grants {
        page_raster: true,
        ..Grants::default()
    };
    let ended = run_in(folder.path(), act, grants, limits);
    let beside: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    // Of a failed formatter nothing appears under the name that was asked for.
    let expected = |n: &std::ffi::OsString| match ended.is_err() {
        true => n == "doc.partial",
        false => n == "doc.bad" || n == "doc.bad.files",
    };
    assert!(beside.iter().all(expected), "{act}: {beside:?}");
    let next = tempfile::tempdir().unwrap();
    run_in(next.path(), "behave", grants, tight()).unwrap();
    assert_eq!(
        std::fs::read_to_string(next.path().join("doc.bad")).unwrap(),
        "begun\nall is well"
    );
    ended
}

fn limit_hit(act: &str) -> (Quota, String) {
    limit_hit_within(act, tight())
}

fn limit_hit_within(act: &str, limits: Limits) -> (Quota, String) {
    let failure = run_within(act, limits).unwrap_err();
    match failure.cause {
        Cause::Limit { quota, .. } => (quota, failure.to_string()),
        ref other => panic!("{act} ended with {other:?}"),
    }
}

#[test]
fn an_endless_loop_ends_soon_after_its_time() {
    for act in ["loop", "loop-in-open"] {
        let started = Instant::now();
        let (quota, message) = limit_hit(act);
        assert_eq!(quota, Quota::Time);
        assert!(message.contains("--plugin-limit time="), "{message}");
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn memory_stops_at_its_limit() {
    let (quota, message) = limit_hit("grow");
    assert_eq!(quota, Quota::Memory);
    assert!(
        message.starts_with("plugin `misbehave` 0.1.0 on page 7: it reached its limit `memory`"),
        "{message}"
    );
}

#[test]
fn deep_recursion_ends_in_the_stack_limit() {
    assert_eq!(limit_hit("recurse").0, Quota::Stack);
}

#[test]
fn floods_end_in_their_limits() {
    for (act, quota) in [
        ("flood-calls", Quota::HostCalls),
        ("flood-output", Quota::FileBytes),
        ("flood-output-silently", Quota::FileBytes),
        ("flood-files", Quota::OutputFiles),
        ("hoard-handles", Quota::Handles),
        ("hoard-rasters", Quota::ImageBytes),
        ("hoard-bytes", Quota::ImageBytes),
        ("hoard-images", Quota::ImageBytes),
        ("giant-image", Quota::ImageBytes),
    ] {
        let hit = limit_hit(act).0;
        // Small images reach the handles' limit or the host calls' first; both are limits of the host.
        assert!(
            hit == quota || (act == "flood-calls" && hit == Quota::Time),
            "{act}: {hit:?}"
        );
    }
}

#[test]
fn too_much_in_one_call_is_refused() {
    for act in ["giant-bytes", "giant-read"] {
        let (quota, message) = limit_hit(act);
        assert_eq!(quota, Quota::CallBytes, "{act}: {message}");
        // Four times as much would be the usual limit, which counts as not set.
        assert!(message.contains("--plugin-limit call-bytes=32MiB"), "{message}");
    }
    // The SDK writes in small pieces, so that the file's limit is the one to be met.
    let limits = |memory| Limits { memory, ..tight() };
    assert_eq!(
        limit_hit_within("giant-write", limits(256 << 20)).0,
        Quota::FileBytes
    );
    assert_eq!(limit_hit_within("giant-write", limits(32 << 20)).0, Quota::Memory);
}

#[test]
fn open_files_are_few() {
    let limits = Limits {
        output_files: 10_000,
        handles: 4096,
        ..tight()
    };
    let failure = run_within("hoard-files", limits).unwrap_err();
    assert!(
        failure.to_string().contains("256 output files are open"),
        "{failure}"
    );
}

#[test]
fn the_stack_is_as_large_as_the_operator_says() {
    let limits = Limits {
        stack: 128 << 10,
        ..tight()
    };
    let runtime = Runtime::new(None, &limits).unwrap();
    let plugin = runtime.load("misbehave", &MISBEHAVE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let context = Context {
        limits,
        ..Context::default()
    };
    let output = DocumentOutput::begin(folder.path(), "doc").unwrap();
    let place = output.formatter("bad");
    let config = r#"{"act":"recurse"}"#;
    let mut session = FormatterSession::open(&plugin, &context, &DocInfo::default(), config, place).unwrap();
    let message = session.add_page(&page()).unwrap_err().to_string();
    assert!(
        message.contains("limit `stack` of 128 KiB; raise it with --plugin-limit stack=1024KiB"),
        "{message}"
    );
}

#[test]
fn a_panic_is_a_trap_of_this_document_alone() {
    let failure = run("panic").unwrap_err();
    assert!(matches!(failure.cause, Cause::Trap(_)), "{failure}");
    assert_eq!(failure.code(), "plugin-trap");
    // What the plugin said when it panicked is part of the failure, and no line of its own.
    assert!(failure.to_string().contains("trap: panicked at"), "{failure}");
}

#[test]
fn log_floods_are_cut_and_cleaned() {
    use ocr_document::{Diagnostic, Severity};
    use ocr_runtime::PluginEvents;
    use std::sync::Mutex;
    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);
    impl PluginEvents for Lines {
        fn report(&self, _: &str, _: &Diagnostic) {}
        fn log(&self, _: &str, _: Severity, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
        fn progress(&self, _: &str, _: u32, _: Option<u32>) {}
    }
    let lines = Arc::new(Lines::default());
    let limits = Limits {
        time: Duration::from_secs(20),
        ..tight()
    };
    let context = Context {
        limits,
        events: lines.clone(),
        ..Context::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let output = DocumentOutput::begin(folder.path(), "doc").unwrap();
    let config = r#"{"act":"flood-log"}"#;
    let place = output.formatter("bad");
    let mut session =
        FormatterSession::open(&PLUGIN.1, &context, &DocInfo::default(), config, place).unwrap();
    session.add_page(&page()).unwrap();
    let lines = lines.0.lock().unwrap();
    assert!(lines.iter().map(String::len).sum::<usize>() < 8192);
    assert!(lines.iter().all(|l| !l.contains(['\x1b', '\n'])));
    assert!(lines.last().unwrap().contains("further messages"));
}

#[test]
fn hostile_names_reach_no_file_system() {
    for n in 0..12 {
        let failure = run(&format!("name-{n}")).unwrap_err();
        assert!(matches!(failure.cause, Cause::Said(_)), "name-{n}: {failure}");
        assert!(failure.to_string().contains("output name"), "name-{n}: {failure}");
    }
    assert!(!Path::new("/tmp/escape.txt").exists());
}

#[test]
fn compiled_code_and_core_modules_are_no_plugins() {
    let runtime = &PLUGIN.0;
    let core = wat::parse_str("(module)").unwrap();
    let refused = runtime.load("core.wasm", &core).unwrap_err().to_string();
    assert!(refused.contains("core WASM module"), "{refused}");
    let elf = runtime
        .load("x.cwasm", b"\x7fELF\x02\x01\x01\0\0\0\0\0")
        .unwrap_err()
        .to_string();
    assert!(elf.contains("native code"), "{elf}");
    let cut = runtime
        .load("cut.wasm", &MISBEHAVE[..MISBEHAVE.len() / 2])
        .unwrap_err()
        .to_string();
    assert!(cut.starts_with("plugin `cut.wasm`"), "{cut}");
}
