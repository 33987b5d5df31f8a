//! Docling's DeepSeek-OCR fixtures through our pipeline to a `DoclingDocument`: what the model wrote goes in where the
//! model would write it, an image adapter and the JSON formatter are the program's own components, and what comes out
//! must hold docling's items: the same labels, texts, order, captions, table cells and boxes.
//!
//! What differs is what `host/models/deepseek_ocr/tests/docling.rs` lists, as JSON shows it:
//!
//! - Text before the first tag comes first, on the page's whole area.
//! - A picture's caption follows the picture.
//! - Captions have no `<center>` tags, and a line that begins with a bullet is an item of a list: its bullet is its
//!   `marker`, and `orig` is the whole line.
//! - The level of a heading is its number of `#`, one more than docling's, which counts from the title.
//! - All cells that the model wrote as `th` are column headers, not only the first row's.
//! - Coordinates are divided by 999 and cut to whole px.

use ocr_document::{Page, PageBuilder};
use ocr_engine::{Control, Engine, PageJob, RecognizeError, Recognizer};
use ocr_model_deepseek::grounding::fill;
use ocr_pipeline::{
    AdapterPlan, Destination, DocumentStatus, FormatterPlan, NoEvents, PageBudget, PageSelection, Plan,
    convert,
};
use ocr_runtime::{CancelFlag, Context, Limits, Plugin, Runtime, Source};
use serde_json::Value;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Px to the point: 144 dpi, as the model's scripts draw PDFs.
const SCALE: u32 = 2;

/// What docling rounds its coordinates to, points.
const DOCLING_STEP: f64 = 0.01;

/// The model's second row of column names, which docling takes for data.
const SECOND_HEADER_ROW: u64 = 1;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("the crate lies two folders deep").into()
}

fn fixture(name: &str) -> String {
    let path = root()
        .join("host/models/deepseek_ocr/tests/data/docling")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Docling's items, with pictures before their captions.
fn truth(name: &str) -> Value {
    let mut truth: Value = serde_json::from_str(&fixture(&format!("{name}.json"))).unwrap();
    let items = truth["items"].as_array_mut().unwrap();
    for at in 1..items.len() {
        if items[at]["label"] == "picture" && items[at - 1]["label"] == "caption" {
            items.swap(at - 1, at);
        }
    }
    truth
}

/// "Reads" every page as the same raw text.
struct Written(String);

impl Recognizer for Written {
    fn name(&self) -> String {
        "written".into()
    }

    fn recognize(&self, job: &PageJob, _: &Control) -> Result<Page, RecognizeError> {
        let mut page = PageBuilder::new(job.info());
        fill(&mut page, &self.0, true);
        page.raster(job.image.clone());
        Ok(page.finish())
    }
}

fn component(runtime: &Runtime, name: &str) -> Arc<Plugin> {
    let packed = std::fs::read(root().join(format!("plugins/{name}/{name}.wasm.gz"))).unwrap();
    let mut component = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut component)
        .unwrap();
    runtime.load(name, &component).unwrap()
}

fn blank_png(width: u32, height: u32) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    let blank = image::GrayImage::from_pixel(width, height, image::Luma([255]));
    blank.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

/// The document that the pipeline writes of a blank page of the fixture's size on which `raw` was read.
fn document(raw: String, truth: &Value) -> Value {
    let limits = Limits::default();
    let stack = limits.thread_stack();
    let size = |key: &str| truth[key].as_u64().unwrap() as u32 * SCALE;
    let png = blank_png(size("width"), size("height"));
    let run = move || {
        let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/code");
        let runtime = Runtime::new(Some(cache.into()), &limits).unwrap();
        let engine = Engine::start(Arc::new(Written(raw)), 1).unwrap();
        let dpi = 72 * SCALE;
        let plan = Plan {
            adapters: vec![AdapterPlan {
                plugin: component(&runtime, "image-in"),
                config: format!(r#"{{"dpi": {dpi}}}"#),
                context: Context::default(),
            }],
            processors: Vec::new(),
            formatters: vec![FormatterPlan {
                plugin: component(&runtime, "json-out"),
                config: "{}".into(),
                context: Context::default(),
            }],
            sinks: Vec::new(),
            engine: engine.handle(),
            pages: PageSelection::default(),
            dpi: dpi as f32,
            password: None,
            text_layer: Default::default(),
            page_timeout: Duration::from_secs(60),
            budget: PageBudget::new(1),
            tenant: Default::default(),
            gate: Arc::new(ocr_pipeline::NoGate),
            cancel: CancelFlag::default(),
            events: Arc::new(NoEvents),
        };
        let folder = tempfile::tempdir().unwrap();
        let destination = Destination::Folder {
            folder: folder.path().into(),
            name: "page".into(),
        };
        let report = convert(
            &plan,
            "page.png",
            &Source::from_bytes("page.png", png),
            destination,
        );
        assert_eq!(report.status, DocumentStatus::Success, "{:?}", report.errors);
        serde_json::from_slice(&std::fs::read(folder.path().join("page.json")).unwrap()).unwrap()
    };
    // Components run on the caller's stack, which is larger than a test's.
    let thread = std::thread::Builder::new().stack_size(stack).spawn(run);
    thread.unwrap().join().unwrap()
}

/// The item that `{"$ref": "#/texts/3"}` means.
fn resolve<'d>(document: &'d Value, reference: &Value) -> &'d Value {
    let pointer = reference["$ref"].as_str().expect("a reference");
    let item = document.pointer(pointer.trim_start_matches('#')).expect(pointer);
    assert_eq!(item["self_ref"], pointer);
    item
}

/// The items below `node` in reading order; groups are seen through.
fn items_below<'d>(document: &'d Value, node: &'d Value) -> Vec<&'d Value> {
    let mut items = Vec::new();
    for child in node["children"].as_array().unwrap() {
        let item = resolve(document, child);
        assert_eq!(item["parent"]["$ref"], node["self_ref"]);
        if item["label"] != "list" {
            items.push(item);
        }
        items.extend(items_below(document, item));
    }
    items
}

fn without_center(text: &Value) -> String {
    let text = text.as_str().expect("a text");
    text.replace("<center>", "")
        .replace("</center>", "")
        .trim()
        .to_owned()
}

fn check_text(ours: &Value, item: &Value) {
    let expected = without_center(&item["text"]);
    assert_eq!(ours["orig"], *expected);
    match expected.strip_prefix("- ") {
        Some(behind) => {
            assert_eq!(
                (&ours["label"], &item["label"]),
                (&"list_item".into(), &"text".into())
            );
            assert_eq!((&ours["marker"], &ours["text"]), (&"-".into(), &behind.into()));
        }
        None => {
            assert_eq!(ours["label"], item["label"], "{expected}");
            assert_eq!(ours["text"], *expected);
        }
    }
    if item["label"] == "section_header" {
        let level = item["level"].as_u64().unwrap() + 1;
        assert_eq!(ours["level"], level, "{expected}");
    }
}

fn check_captions(document: &Value, ours: &Value, item: &Value) {
    let captions: Vec<&Value> = ours["captions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &resolve(document, c)["text"])
        .collect();
    let expected: Vec<String> = item["captions"]
        .as_array()
        .unwrap()
        .iter()
        .map(without_center)
        .collect();
    assert_eq!(captions, expected.iter().collect::<Vec<_>>());
}

/// Checks a table's cells, and answers how many there are.
fn check_cells(table: &Value, cells: &Value) -> usize {
    let (ours, cells) = (&table["data"]["table_cells"], cells.as_array().unwrap());
    assert_eq!(ours.as_array().unwrap().len(), cells.len());
    let (mut rows, mut columns) = (0, 0);
    for (our, cell) in ours.as_array().unwrap().iter().zip(cells) {
        let at = |n: usize| cell[n].as_u64().unwrap();
        let place = [at(0), at(0) + at(2), at(1), at(1) + at(3), at(2), at(3)];
        let given = [
            "start_row_offset_idx",
            "end_row_offset_idx",
            "start_col_offset_idx",
            "end_col_offset_idx",
            "row_span",
            "col_span",
        ];
        assert_eq!(given.map(|key| our[key].as_u64().unwrap()), place, "{our}");
        assert_eq!(our["text"], cell[5]);
        let heads = cell[4] == true || at(0) == SECOND_HEADER_ROW;
        assert_eq!(our["column_header"], heads, "{our}");
        for row in at(0)..place[1] {
            for column in at(1)..place[3] {
                let shown = &table["data"]["grid"][row as usize][column as usize];
                assert_eq!(shown, our, "row {row}, column {column}");
            }
        }
        (rows, columns) = (rows.max(place[1]), columns.max(place[3]));
    }
    assert_eq!(
        (&table["data"]["num_rows"], &table["data"]["num_cols"]),
        (&rows.into(), &columns.into())
    );
    cells.len()
}

/// An item's left, top, right and bottom in points from the page's top left, as the fixtures count.
fn edges(item: &Value, height: f64) -> [f64; 4] {
    let [place] = &item["prov"].as_array().unwrap()[..] else {
        panic!("one place each: {item}")
    };
    assert_eq!(
        (&place["page_no"], &place["bbox"]["coord_origin"]),
        (&1.into(), &"BOTTOMLEFT".into())
    );
    let at = |edge: &str| place["bbox"][edge].as_f64().unwrap();
    [at("l"), height - at("t"), at("r"), height - at("b")]
}

/// Checks a box, and answers the largest difference of an edge, points. A 999th of a coordinate is what dividing by 999
/// instead of 1,000 adds to it, and cutting to whole px takes less than one away.
fn check_box(ours: [f64; 4], item: &Value) -> f64 {
    let mut worst = 0.0_f64;
    for (n, our) in ours.iter().enumerate() {
        let doclings = item["bbox"][n].as_f64().unwrap();
        let away = (our - doclings).abs();
        let most = doclings / 999.0 + 1.0 / f64::from(SCALE) + DOCLING_STEP / 2.0;
        assert!(away <= most, "edge {n} is {away} pt away, at most {most}: {item}");
        worst = worst.max(away);
    }
    worst
}

/// Checks one fixture; `loose` says whether it has text before the first tag.
fn check(name: &str, loose: bool) {
    let truth = truth(name);
    let document = document(fixture(&format!("{name}.md")), &truth);
    let size = ["width", "height"].map(|key| truth[key].as_f64().unwrap());
    assert_eq!(document["schema_name"], "DoclingDocument");
    let shown = ["width", "height"].map(|key| document["pages"]["1"]["size"][key].as_f64().unwrap());
    assert_eq!(shown, size);

    let mut ours = items_below(&document, &document["body"]);
    let written = ["texts", "tables", "pictures"].map(|key| document[key].as_array().unwrap().len());
    assert_eq!(
        ours.len(),
        written.iter().sum::<usize>(),
        "the tree holds every item once"
    );
    if loose {
        let first = ours.remove(0);
        let start = fixture(&format!("{name}.md"));
        let start = start.split("<|ref|>").next().unwrap().trim();
        assert_eq!((&first["label"], &first["text"]), (&"text".into(), &start.into()));
        assert_eq!(edges(first, size[1]), [0.0, 0.0, size[0], size[1]]);
    }
    let items = truth["items"].as_array().unwrap();
    assert_eq!(ours.len(), items.len());
    let (mut worst, mut cells) = (0.0_f64, 0);
    for (our, item) in ours.into_iter().zip(items) {
        match item["label"].as_str().unwrap() {
            floating @ ("table" | "picture") => {
                assert_eq!(our["label"], floating);
                check_captions(&document, our, item);
                if floating == "table" {
                    cells += check_cells(our, &item["cells"]);
                }
            }
            _ => check_text(our, item),
        }
        worst = worst.max(check_box(edges(our, size[1]), item));
    }
    println!(
        "{name}: {} items, {cells} cells, boxes at most {worst:.3} pt away",
        items.len()
    );
}

#[test]
fn headings_and_texts_become_doclings_items() {
    check("deepseek_simple", true);
}

#[test]
fn a_table_with_its_caption_becomes_doclings_items() {
    check("deepseek_example", true);
}

#[test]
fn a_title_page_with_a_picture_becomes_doclings_items() {
    check("deepseek_title", false);
}
