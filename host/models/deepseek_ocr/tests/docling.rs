//! Docling reads DeepSeek-OCR's raw output too. Its fixtures, read by us, must give its items: the same labels, texts,
//! order, captions, table cells and boxes, apart from what is listed here.
//!
//! - Docling drops text before the first tag; we keep it, on the page's whole area.
//! - Docling puts a picture's caption before the picture; we keep the model's order.
//! - Docling keeps `<center>` tags in captions, and calls a line that begins with a bullet a text.
//! - Docling counts headings below the title from 1; we keep the number of `#`.
//! - Docling lets only a table's first row head its columns; we follow the `th` tags.
//! - Docling divides coordinates by 1,000, the model's scripts and we by 999 (and cut to whole px).

use ocr_document::{CellKind, Page, PageBuilder, PageInfo, Span, SpanKind};
use ocr_model_deepseek::grounding::{elements, fill};
use serde_json::Value;
use std::path::Path;

/// Px to the point: 144 dpi, as the model's scripts draw PDFs.
const SCALE: u32 = 2;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/docling")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

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

fn read(name: &str, truth: &Value) -> (String, Page) {
    let raw = fixture(&format!("{name}.md"));
    let size = |key: &str| truth[key].as_u64().unwrap() as u32 * SCALE;
    let mut page = PageBuilder::new(PageInfo::new(0, 1, size("width"), size("height")));
    fill(&mut page, &raw, true);
    (raw, page.finish())
}

fn label(span: &Span) -> &'static str {
    match span.kind {
        SpanKind::Title => "title",
        SpanKind::Heading => "section_header",
        SpanKind::Caption => "caption",
        SpanKind::Table => "table",
        SpanKind::Figure => "picture",
        _ => "text",
    }
}

fn check_cells(page: &Page, table: usize, cells: &Value) {
    let ours: Vec<_> = page
        .cells()
        .iter()
        .filter(|c| c.table as usize == table)
        .collect();
    let cells = cells.as_array().unwrap();
    assert_eq!(ours.len(), cells.len());
    for (our, cell) in ours.iter().zip(cells) {
        let place = [our.row, our.column, our.row_span, our.column_span].map(Value::from);
        assert_eq!(place, cell.as_array().unwrap()[..4]);
        assert_eq!(page.text_of(our.text), cell[5]);
        let named = our.kind == CellKind::ColumnHeader;
        assert_eq!(
            named,
            cell[4] == true || ["simple", "complex", "all"].contains(&page.text_of(our.text))
        );
    }
}

/// Checks one fixture and answers the largest difference of a box's edge from docling's: on the model's grid before
/// anything is scaled, and on the page as a share of its size.
fn check(name: &str, loose: usize) -> (f64, f64) {
    let truth = truth(name);
    let (raw, page) = read(name, &truth);
    let items = truth["items"].as_array().unwrap();
    assert_eq!(page.spans().len(), items.len() + loose, "{name}");
    let mut given = elements(&raw).elements.into_iter().flat_map(|e| e.boxes);
    let mut grid_boxes: Vec<[f64; 4]> = given.by_ref().map(|b| b.corners()).collect();
    let mut worst = (0.0_f64, 0.0_f64);
    for ((index, span), item) in page.spans().iter().enumerate().skip(loose).zip(items) {
        let text = page.text_of(span.text);
        assert_eq!(label(span), item["label"], "{text}");
        if !matches!(span.kind, SpanKind::Table | SpanKind::Figure) {
            let expected = item["text"].as_str().unwrap();
            assert_eq!(
                text,
                expected.replace("<center>", "").replace("</center>", "").trim()
            );
        }
        if span.kind == SpanKind::Heading {
            assert_eq!(
                u64::from(span.level),
                item["level"].as_u64().unwrap() + 1,
                "{text}"
            );
        }
        if span.kind == SpanKind::Table {
            check_cells(&page, index, &item["cells"]);
        }
        if item["captions"].is_array() {
            let caption = page
                .spans()
                .iter()
                .find(|s| s.parent == Some(index as u32))
                .expect("it has a caption");
            assert!(
                item["captions"][0]
                    .as_str()
                    .unwrap()
                    .contains(page.text_of(caption.text))
            );
        }
        let edges = [span.area.x0, span.area.y0, span.area.x1, span.area.y1].map(f64::from);
        let expected: Vec<f64> = item["bbox"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        let (width, height) = (f64::from(page.info().width), f64::from(page.info().height));
        let sizes = [width, height, width, height];
        let shares: Vec<f64> = (0..4)
            .map(|n| expected[n] * f64::from(SCALE) / sizes[n])
            .collect();
        let away = |corners: &[f64; 4]| {
            (0..4)
                .map(|n| (corners[n] - 1000.0 * shares[n]).abs())
                .fold(0.0, f64::max)
        };
        let nearest = (0..grid_boxes.len())
            .min_by(|&a, &b| away(&grid_boxes[a]).total_cmp(&away(&grid_boxes[b])))
            .expect("each item has a box of its own");
        worst.0 = worst.0.max(away(&grid_boxes.swap_remove(nearest)));
        let on_page = (0..4)
            .map(|n| (edges[n] / sizes[n] - shares[n]).abs())
            .fold(0.0, f64::max);
        worst.1 = worst.1.max(on_page);
    }
    assert!(grid_boxes.is_empty(), "{name}: boxes that no item has");
    println!(
        "{name}: {:.4} of the grid's steps, {:.5} of the page",
        worst.0, worst.1
    );
    worst
}

/// Docling rounds to a hundredth of a point, which is at most 0.0082 of a step; 1/999 - 1/1000 is 0.1 % of a coordinate,
/// and cutting to whole px adds at most one (1/1224).
fn assert_close((grid, page): (f64, f64)) {
    assert!(grid < 0.009, "{grid}");
    assert!(page < 0.001 + 1.0 / 1224.0, "{page}");
}

#[test]
fn headings_and_texts_are_doclings() {
    assert_close(check("deepseek_simple", 1));
}

#[test]
fn a_table_with_its_caption_is_doclings() {
    assert_close(check("deepseek_example", 1));
    let (_, page) = read("deepseek_example", &truth("deepseek_example"));
    assert!(
        page.text_of(page.spans()[0].text)
            .starts_with("order to compute the TED score.")
    );
    let codes: Vec<&str> = page.info().diagnostics.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["text-unplaced"]);
    assert!(page.markdown().contains("a $2x$ speed up"));
    assert!(page.markdown().contains("<th colspan=\"3\">TEDs</th>"));
}

#[test]
fn a_title_page_with_a_picture_is_doclings() {
    assert_close(check("deepseek_title", 0));
    let (_, page) = read("deepseek_title", &truth("deepseek_title"));
    let items: Vec<&Span> = page
        .spans()
        .iter()
        .filter(|s| s.kind == SpanKind::ListItem)
        .collect();
    assert_eq!(items.len(), 1);
    assert!(
        page.text_of(items[0].text)
            .starts_with("- Information systems \\(\\rightarrow\\)")
    );
    assert!(
        page.markdown()
            .contains("- Information systems $\\rightarrow$ Document structure")
    );
}
