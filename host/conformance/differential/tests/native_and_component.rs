//! Each formatter's native build and its component write the same bytes of the same pages, pictures among them.

use image::codecs::{jpeg::JpegEncoder, png, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder};
use ocr_differential::{doc_info, document, page, page_data};
use ocr_document::Page;
use ocr_plugin::image::{Encoding, PixelFormat};
use ocr_plugin::{DocInfo, PageData, Raster, testing};
use ocr_runtime::{
    Capability, Context, DocumentOutput, FormatterSession, Limits, Plugin, PluginEvents, Runtime,
};
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Documents that each formatter writes, each with up to four pages.
const DOCUMENTS: u64 = 30;

type Files = BTreeMap<String, Vec<u8>>;
type Native = fn(&DocInfo, &str, Vec<PageData>) -> testing::Run;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3);
    root.expect("the crate lies three folders deep").into()
}

fn component(runtime: &Runtime, name: &str) -> Arc<Plugin> {
    let packed = std::fs::read(root().join(format!("plugins/{name}/{name}.wasm.gz"))).unwrap();
    let mut component = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut component)
        .unwrap();
    runtime.load(name, &component).unwrap()
}

/// Encodes as the host does (`runtime/src/pixels.rs`).
fn encode(raster: &Raster, encoding: Encoding, quality: u8) -> Vec<u8> {
    let color = match raster.format {
        PixelFormat::Gray8 => ExtendedColorType::L8,
        PixelFormat::Rgb8 => ExtendedColorType::Rgb8,
        PixelFormat::Rgba8 => unreachable!("pages have no transparency"),
    };
    let mut bytes = Vec::new();
    let Raster {
        width,
        height,
        pixels,
        ..
    } = raster;
    let encoded = match encoding {
        Encoding::Png => {
            let (level, filter) = (png::CompressionType::Fast, png::FilterType::Adaptive);
            png::PngEncoder::new_with_quality(&mut bytes, level, filter)
                .write_image(pixels, *width, *height, color)
        }
        Encoding::Jpeg => {
            JpegEncoder::new_with_quality(&mut bytes, quality).write_image(pixels, *width, *height, color)
        }
        Encoding::Webp => WebPEncoder::new_lossless(&mut bytes).write_image(pixels, *width, *height, color),
    };
    encoded.unwrap();
    bytes
}

/// Byte for byte; of a PNG, pixel for pixel: it is the host that writes it, some rows at a time.
fn is_same(ours: &[u8], theirs: &[u8]) -> bool {
    let pixels = |bytes| image::load_from_memory_with_format(bytes, image::ImageFormat::Png);
    ours == theirs
        || matches!((pixels(ours), pixels(theirs)), (Ok(ours), Ok(theirs)) if ours.color() == theirs.color() && ours == theirs)
}

/// Keeps the codes of what a plugin reports; messages may quote a host.
#[derive(Default)]
struct Reports(Mutex<Vec<String>>);

impl PluginEvents for Reports {
    fn report(&self, _: &str, said: &ocr_document::Diagnostic) {
        self.0.lock().unwrap().push(said.code.clone());
    }
    fn log(&self, _: &str, _: ocr_document::Severity, _: &str) {}
    fn progress(&self, _: &str, _: u32, _: Option<u32>) {}
}

/// What the component writes and reports, its files named as the native host names them.
fn by_component(plugin: &Arc<Plugin>, doc: &DocInfo, config: &str, pages: &[Page]) -> (Files, Vec<String>) {
    let reports = Arc::new(Reports::default());
    let context = Context {
        events: reports.clone(),
        grants: [Capability::PageRaster].into_iter().collect(),
        ..Context::default()
    };
    let extension = plugin.manifest().extensions[0].clone();
    let folder = tempfile::tempdir().unwrap();
    let output = DocumentOutput::begin(folder.path(), "main").unwrap();
    let told = ocr_runtime::DocInfo {
        name: doc.name.clone(),
        media_type: doc.media_type.clone(),
        pages: doc.pages,
        selected: doc.selected,
        sha256: None,
        title: doc.title.clone(),
    };
    let mut session =
        FormatterSession::open(plugin, &context, &told, config, output.formatter(&extension)).unwrap();
    for page in pages {
        session.add_page(&Arc::new(page.clone())).unwrap();
    }
    session.finish().unwrap();
    output.commit(&HashSet::new()).unwrap();
    let main = format!("main.{extension}");
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for inner in std::fs::read_dir(&path).unwrap() {
                let inner = inner.unwrap();
                let name = format!("main.files/{}", inner.file_name().to_str().unwrap());
                files.insert(name, std::fs::read(inner.path()).unwrap());
            }
        } else {
            files.insert("main".into(), std::fs::read(path).unwrap());
        }
    }
    // Links carry the name that the user's file has.
    let text = String::from_utf8(files["main"].clone()).unwrap();
    files.insert(
        "main".into(),
        text.replace(&format!("{main}.files/"), "main.files/")
            .into_bytes(),
    );
    let reports = std::mem::take(&mut *reports.0.lock().unwrap());
    (files, reports)
}

fn by_native(native: Native, doc: &DocInfo, config: &str, pages: &[Page]) -> (Files, Vec<String>) {
    testing::encode_with(encode);
    let run = native(doc, config, pages.iter().map(page_data).collect());
    assert_eq!(run.result, Ok(()));
    let reports = run.diagnostics.into_iter().map(|d| d.code).collect();
    (run.files.into_iter().collect(), reports)
}

fn compare(name: &'static str, native: Native, configs: &'static [&'static str]) {
    let limits = Limits::default();
    let stack = limits.thread_stack();
    let run = move || {
        let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/code");
        let runtime = Runtime::new(Some(cache.into()), &limits).unwrap();
        let plugin = component(&runtime, name);
        let mut pictures = 0;
        for seed in 0..DOCUMENTS {
            let pages: Vec<Page> = (0..1 + seed as u32 % 4).map(|index| page(seed, index)).collect();
            let (file, title) = document(seed);
            let doc = doc_info(&file, title.as_deref(), pages.len() as u32);
            let config = configs[seed as usize % configs.len()];
            let ours = by_component(&plugin, &doc, config, &pages);
            let theirs = by_native(native, &doc, config, &pages);
            assert_eq!(ours.1, theirs.1, "{name}, document {seed}: reports");
            let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&ours.0), names(&theirs.0), "{name}, document {seed}: files");
            pictures += ours.0.len() - 1;
            for (file, bytes) in &ours.0 {
                if !is_same(bytes, &theirs.0[file]) {
                    let at = bytes
                        .iter()
                        .zip(&theirs.0[file])
                        .take_while(|(a, b)| a == b)
                        .count();
                    let end = |bytes: &[u8]| {
                        String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 80)]).into_owned()
                    };
                    panic!(
                        "{name}, document {seed}, {file} differs at byte {at}: component {:?}, native {:?}",
                        end(bytes),
                        end(&theirs.0[file])
                    );
                }
            }
        }
        pictures
    };
    // Components run on the caller's stack, which is larger than a test's.
    let thread = std::thread::Builder::new().stack_size(stack).spawn(run).unwrap();
    let pictures = thread.join().unwrap();
    let refers = configs.iter().any(|config| config.contains("referenced"));
    assert_eq!(pictures > 0, refers, "{name} wrote {pictures} pictures");
}

#[test]
fn markdown() {
    compare(
        "markdown-out",
        markdown_out::format_natively,
        &[
            r#"{"images": "referenced", "page-break": "<!-- page {number} -->"}"#,
            r#"{"images": "embedded"}"#,
        ],
    );
}

#[test]
fn html() {
    compare(
        "html-out",
        html_out::format_natively,
        &[
            r#"{"page-images": "referenced", "images": "referenced"}"#,
            r#"{"page-images": "embedded"}"#,
        ],
    );
}

#[test]
fn json() {
    compare(
        "json-out",
        json_out::format_natively,
        &[
            r#"{"images": "referenced", "words": true}"#,
            r#"{"indent": false}"#,
        ],
    );
}

#[test]
fn text() {
    compare(
        "text-out",
        text_out::format_natively,
        &[
            "{}",
            r#"{"lines": "join", "furniture": true, "page-break": "\\f"}"#,
        ],
    );
}

#[test]
fn hocr() {
    compare(
        "hocr-out",
        hocr_out::format_natively,
        &["{}", r#"{"words": false}"#],
    );
}
