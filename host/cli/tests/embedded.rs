//! Documents inside documents: archives of pictures and of archives go through the pipeline with the program's own
//! adapters, and every page comes out in its place, under its number, with what it came from.

use ocr_document::{Outcome, Page, PageBuilder};
use ocr_engine::{Control, Engine, PageJob, RecognizeError, Recognizer};
use ocr_pipeline::{
    AdapterPlan, Destination, DocumentReport, Failure, NoEvents, PageBudget, PageSelection, PageSink, Plan,
    SinkPlan, convert,
};
use ocr_runtime::{CancelFlag, Context, DocInfo, Limits, Plugin, Runtime, Source, TreeOutput};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What a page was when it came out: number, part, width in px, and the code of what went wrong with it.
type Seen = (u32, Option<String>, u32, Option<String>);

/// Reads nothing; the page's size tells which picture it was.
struct Blind;

impl Recognizer for Blind {
    fn name(&self) -> String {
        "blind".into()
    }

    fn recognize(&self, job: &PageJob, _: &Control) -> Result<Page, RecognizeError> {
        Ok(PageBuilder::new(job.info()).finish())
    }
}

/// Keeps what it sees of pages.
#[derive(Clone, Default)]
struct Eyes(Arc<Mutex<Vec<Seen>>>);

impl SinkPlan for Eyes {
    fn id(&self) -> &str {
        "eyes"
    }

    fn open(&self, _: &DocInfo, _: &str, _: TreeOutput) -> Result<Box<dyn PageSink>, Failure> {
        Ok(Box::new(self.clone()))
    }
}

impl PageSink for Eyes {
    fn page(&mut self, page: &Page) -> Result<(), Failure> {
        let info = page.info();
        let mut seen = self.0.lock().unwrap();
        assert_eq!(info.index as usize, seen.len(), "pages come without gaps");
        let failed = info.outcome == Outcome::Failed;
        let code = failed.then(|| {
            info.diagnostics
                .last()
                .expect("a failed page says why")
                .code
                .clone()
        });
        let width = if failed { 0 } else { info.width };
        seen.push((info.number, info.part.clone(), width, code));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

fn component(runtime: &Runtime, name: &str) -> Arc<Plugin> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let root: PathBuf = root.expect("the crate lies two folders deep").into();
    let packed = std::fs::read(root.join(format!("plugins/{name}/{name}.wasm.gz"))).unwrap();
    let mut component = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut component)
        .unwrap();
    runtime.load(name, &component).unwrap()
}

fn png(width: u32) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    let blank = image::GrayImage::from_pixel(width, 10, image::Luma([255]));
    blank.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

fn pack(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Converts `bytes` and answers what came out and the report.
fn run(bytes: Vec<u8>, pages: &'static str, limits: Limits) -> (Vec<Seen>, DocumentReport) {
    let stack = limits.thread_stack();
    let run = move || {
        let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/code");
        let runtime = Runtime::new(Some(cache.into()), &limits).unwrap();
        let engine = Engine::start(Arc::new(Blind), 1).unwrap();
        let context = Context {
            limits,
            ..Context::default()
        };
        let adapter = |name: &str| {
            let plugin = component(&runtime, name);
            AdapterPlan {
                config: plugin.manifest().default_config(),
                plugin,
                context: context.clone(),
            }
        };
        let eyes = Eyes::default();
        let plan = Plan {
            adapters: vec![adapter("image-in"), adapter("archive-in")],
            processors: Vec::new(),
            formatters: Vec::new(),
            sinks: vec![Arc::new(eyes.clone())],
            engine: engine.handle(),
            pages: match pages {
                "" => PageSelection::default(),
                pages => pages.parse().unwrap(),
            },
            dpi: 72.0,
            password: None,
            page_timeout: Duration::from_secs(60),
            budget: PageBudget::new(1),
            tenant: Default::default(),
            gate: Arc::new(ocr_pipeline::NoGate),
            text_layer: ocr_pipeline::TextLayerMode::Ignore,
            cancel: CancelFlag::default(),
            events: Arc::new(NoEvents),
        };
        let folder = tempfile::tempdir().unwrap();
        let destination = Destination::Folder {
            folder: folder.path().into(),
            name: "out".into(),
        };
        let report = convert(&plan, "a.zip", &Source::from_bytes("a.zip", bytes), destination);
        let seen = eyes.0.lock().unwrap().clone();
        (seen, report)
    };
    // Components run on the caller's stack, which is larger than a test's.
    let thread = std::thread::Builder::new().stack_size(stack).spawn(run);
    thread.unwrap().join().unwrap()
}

fn page(number: u32, part: &str, width: u32) -> Seen {
    (number, Some(part.into()), width, None)
}

fn lost(number: u32, part: &str, code: &str) -> Seen {
    (number, Some(part.into()), 0, Some(code.into()))
}

/// Two pictures, an archive of two more between them, and what can't be read.
fn mixed() -> Vec<u8> {
    let inner = pack(&[("10.png", &png(13)), ("9.png", &png(12))]);
    pack(&[
        ("1.png", &png(11)),
        ("2.zip", &inner),
        ("3.pdf", b"nothing that these adapters read"),
        ("4.png", b"\x89PNG\r\n\x1a\n but broken"),
        ("5.png", &png(14)),
    ])
}

#[test]
fn pages_take_their_item_s_place_and_are_counted_on() {
    let (seen, report) = run(mixed(), "", Limits::default());
    assert_eq!(
        seen,
        [
            page(1, "1.png", 11),
            page(2, "2.zip/9.png", 12),
            page(3, "2.zip/10.png", 13),
            lost(4, "3.pdf", "unsupported"),
            lost(5, "4.png", "invalid-input"),
            page(6, "5.png", 14),
        ]
    );
    assert_eq!(report.errors, []);
    let numbers: Vec<u32> = report.pages.iter().map(|p| p.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    // Messages name a document by the way to it. (Behind a processor that withholds they name nothing: `processors.rs`.)
    let said: Vec<_> = report.pages.iter().map(|p| &p.diagnostics).collect();
    let told = format!("{said:?} {:?}", report.diagnostics);
    assert!(told.contains("no adapter can read it"), "{told}");
    assert!(told.contains("a.zip/4.png") && !told.contains("part-"), "{told}");
}

#[test]
fn pages_are_chosen_by_their_number_in_the_whole() {
    let (seen, report) = run(mixed(), "3,5-6", Limits::default());
    assert_eq!(
        seen,
        [
            page(3, "2.zip/10.png", 13),
            lost(5, "4.png", "invalid-input"),
            page(6, "5.png", 14)
        ]
    );
    assert_eq!(report.errors, []);
    let (seen, report) = run(mixed(), "2,9", Limits::default());
    assert_eq!(seen, [page(2, "2.zip/9.png", 12)]);
    assert_eq!(report.errors[0].code, "no-such-page");
    assert_eq!(
        report.errors[0].message,
        "page 9 was asked for, but the document has 6 pages"
    );
}

#[test]
fn four_documents_deep_and_no_deeper() {
    // Five archives around the innermost picture, which is a document of its own: one too many.
    let mut archive = pack(&[("deep.png", &png(20))]);
    for level in (1..5).rev() {
        archive = pack(&[(&format!("{level}.zip"), &archive), ("z.png", &png(10 + level))]);
    }
    let (seen, _) = run(archive, "", Limits::default());
    assert_eq!(
        seen,
        [
            lost(1, "1.zip/2.zip/3.zip/4.zip/deep.png", "too-deep"),
            page(2, "1.zip/2.zip/3.zip/z.png", 14),
            page(3, "1.zip/2.zip/z.png", 13),
            page(4, "1.zip/z.png", 12),
            page(5, "z.png", 11),
        ]
    );
}

#[test]
fn a_limit_inside_costs_its_item_alone() {
    // Six MiB that pack well and pass no call of a plugin that carries one.
    let big = [b"\x89PNG\r\n\x1a\n".to_vec(), vec![0; 6 << 20]].concat();
    let inner = pack(&[("1.png", &png(11)), ("2.png", &big), ("3.png", &png(12))]);
    let outer = pack(&[("a.zip", &inner), ("b.png", &png(13))]);
    let limits = Limits {
        call_bytes: 1 << 20,
        ..Limits::default()
    };
    let (seen, report) = run(outer, "", limits);
    assert_eq!(
        seen,
        [
            page(1, "a.zip/1.png", 11),
            lost(2, "a.zip", "plugin-limit"),
            page(3, "a.zip/3.png", 12),
            page(4, "b.png", 13),
        ]
    );
    assert!(
        report.pages[1]
            .diagnostics
            .iter()
            .any(|d| d.message.contains("call-bytes")),
        "{:?}",
        report.pages[1]
    );
}

#[test]
fn an_archive_of_nothing_but_lost_items_ends() {
    let names: Vec<String> = (0..50).map(|n| format!("{n}.pdf")).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b"x"[..])).collect();
    let (seen, report) = run(pack(&entries), "", Limits::default());
    assert_eq!(seen.len(), 50);
    assert!(report.pages.iter().all(|p| p.diagnostics.len() == 1));
}
