use super::*;
use ocr_plugin::testing::{self, Grants, PageBuilder, Run};
use ocr_plugin::{BlockKind, CellKind, Outcome, PageData, Rect};
use serde_json::{Value, json};

fn doc() -> DocInfo {
    let sha256 = Some("00000000000000000000000000000000000000000000000000000000000000ff".to_owned());
    DocInfo {
        sha256,
        ..DocInfo::new("report.v2.pdf", "application/pdf")
    }
}

fn run(config: &str, pages: Vec<PageData>) -> (Run, Value) {
    let run = testing::format::<Docling>(&doc(), config, pages);
    assert_eq!(run.result, Ok(()));
    let value = serde_json::from_str(&run.main()).unwrap_or_else(|e| panic!("{e}\n{}", run.main()));
    (run, value)
}

fn full_page() -> PageData {
    PageBuilder::new(3)
        .span(BlockKind::Header, "ACME")
        .span(BlockKind::Title, "A \"title\" </script>\u{1}")
        .span(BlockKind::Heading, "Methods")
        .with(|s| s.level = 2)
        .line(
            Rect {
                x0: 50,
                y0: 80,
                x1: 545,
                y1: 100,
            },
            Some(0.5),
            "Methods used",
        )
        .span(BlockKind::ListItem, "• one")
        .with(|s| s.level = 1)
        .span(BlockKind::ListItem, "a) inner")
        .with(|s| s.level = 2)
        .span(BlockKind::ListItem, "• two")
        .with(|s| s.level = 1)
        .span(BlockKind::Table, "")
        .cell(CellKind::ColumnHeader, (0, 0, 1, 2), "wide")
        .cell(CellKind::Data, (1, 0, 1, 1), "x")
        .cell(CellKind::Data, (1, 1, 1, 1), "y")
        .span(BlockKind::Caption, "Table 1")
        .with(|s| s.parent = Some(6))
        .span(BlockKind::Figure, "in the picture")
        .span(BlockKind::Formula, "x squared")
        .markup("x^2")
        .span(BlockKind::PageNumber, "3")
        .with(|s| (s.area.y0, s.area.y1) = (800, 820))
        .build()
}

/// A second page 3, as a document inside a document may have.
fn failed_page() -> PageData {
    PageBuilder::new(3)
        .info(|i| {
            i.outcome = Outcome::Failed;
            i.diagnostics
                .push(Diagnostic::new(Severity::Error, "x", "out of time"));
        })
        .build()
}

#[test]
fn layout_changes_nothing() {
    let (_, pretty) = run("{}", vec![full_page()]);
    let (compact, value) = run(r#"{"indent": false}"#, vec![full_page()]);
    assert_eq!(pretty, value);
    assert_eq!(compact.main().lines().count(), 1);
    let (_, empty) = run("{}", vec![]);
    assert_eq!(empty["texts"], json!([]));
}

#[test]
fn blocks_become_items_in_reading_order() {
    let (_, v) = run("{}", vec![full_page()]);
    assert_eq!(v["schema_name"], "DoclingDocument");
    assert_eq!(
        (&v["name"], &v["origin"]["binary_hash"]),
        (&json!("report.v2"), &json!(255))
    );
    let labels: Vec<_> = v["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["label"].as_str().unwrap())
        .collect();
    let expected = [
        "page_header",
        "title",
        "section_header",
        "list_item",
        "list_item",
        "list_item",
        "caption",
        "text",
        "formula",
        "page_footer",
    ];
    assert_eq!(labels, expected);
    let children: Vec<_> = v["body"]["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["$ref"].as_str().unwrap())
        .collect();
    let expected = [
        "#/texts/0",
        "#/texts/1",
        "#/texts/2",
        "#/groups/0",
        "#/tables/0",
        "#/texts/6",
        "#/pictures/0",
        "#/texts/8",
        "#/texts/9",
    ];
    assert_eq!(children, expected);
    assert_eq!(v["texts"][1]["text"], "A \"title\" </script>\u{1}");
    assert_eq!(v["texts"][2]["level"], 2);
    assert_eq!(v["texts"][8]["text"], "x^2");
    assert_eq!(v["tables"][0]["captions"], json!([{"$ref": "#/texts/6"}]));
    assert_eq!(v["pictures"][0]["children"], json!([{"$ref": "#/texts/7"}]));
}

#[test]
fn lists_nest_below_their_items() {
    let (_, v) = run("{}", vec![full_page()]);
    assert_eq!(
        v["groups"][0]["children"],
        json!([{"$ref": "#/texts/3"}, {"$ref": "#/texts/5"}])
    );
    assert_eq!(v["texts"][3]["children"], json!([{"$ref": "#/groups/1"}]));
    assert_eq!(v["groups"][1]["parent"], json!({"$ref": "#/texts/3"}));
    let inner = &v["texts"][4];
    assert_eq!(
        (&inner["text"], &inner["orig"], &inner["marker"]),
        (&json!("inner"), &json!("a) inner"), &json!("a)"))
    );
    assert_eq!(inner["enumerated"], true);
}

#[test]
fn places_are_points_from_the_bottom_left() {
    let page = PageBuilder::new(1)
        .info(|i| {
            (i.width_points, i.height_points) = (297.5, 421.0);
            i.to_source = (0.5, 0.0, 0.0, -0.5, 0.0, 421.0);
        })
        .span(BlockKind::Paragraph, "x")
        .with(|s| {
            s.area = Rect {
                x0: 10,
                y0: 20,
                x1: 110,
                y1: 40,
            }
        })
        .build();
    let (_, v) = run("{}", vec![page]);
    let expected = json!({"l": 5.0, "t": 411.0, "r": 55.0, "b": 401.0, "coord_origin": "BOTTOMLEFT"});
    assert_eq!(v["texts"][0]["prov"][0]["bbox"], expected);
    assert_eq!(v["pages"]["1"]["size"], json!({"width": 297.5, "height": 421.0}));
}

#[test]
fn spanning_cells_fill_the_grid() {
    let (_, v) = run("{}", vec![full_page()]);
    let data = &v["tables"][0]["data"];
    assert_eq!((&data["num_rows"], &data["num_cols"]), (&json!(2), &json!(2)));
    assert_eq!(data["grid"][0][1]["text"], "wide");
    assert_eq!(data["table_cells"][0]["column_header"], true);
}

#[test]
fn absurd_tables_stay_small() {
    let page = PageBuilder::new(1)
        .span(BlockKind::Table, "")
        .cell(CellKind::Data, (u32::MAX, 0, 1, 1), "lost")
        .cell(CellKind::Data, (5, 5, u32::MAX, u32::MAX), "kept")
        .span(BlockKind::Table, "only text")
        .build();
    let (_, v) = run("{}", vec![page]);
    assert_eq!(v["tables"][0]["data"]["table_cells"].as_array().unwrap().len(), 1);
    assert_eq!(v["tables"][0]["data"]["grid"], json!([]));
    assert_eq!(v["tables"][1]["data"]["grid"][0][0]["text"], "only text");
}

#[test]
fn words_go_beside() {
    let (run, _) = run(r#"{"words": true}"#, vec![full_page()]);
    let line: Value = serde_json::from_str(&run.file("main.files/words.jsonl").unwrap()).unwrap();
    assert_eq!(line["lines"][0]["item"], "#/texts/2");
    assert_eq!(line["lines"][0]["words"][1]["text"], "used");
    assert_eq!(line["lines"][0]["confidence"], 0.5);
    assert_eq!(
        line["blocks"][2],
        json!({"item": "#/texts/2", "label": "heading", "confidence": 0.9})
    );
    let no_files = Grants {
        files: false,
        ..Grants::default()
    };
    let run = testing::format_with::<Docling>(no_files, &doc(), r#"{"words": true}"#, vec![]);
    assert_eq!(
        (run.result, run.diagnostics[0].code.as_str()),
        (Ok(()), "words-omitted")
    );
}

#[test]
fn pictures_are_cut_out_on_request() {
    let (run, v) = run(r#"{"images": "referenced"}"#, vec![full_page()]);
    assert_eq!(
        v["pictures"][0]["image"]["uri"],
        "main.files/page-3-picture-1.png"
    );
    assert_eq!(
        run.file("main.files/page-3-picture-1.png").as_deref(),
        Some("<png 495x20>")
    );
}

#[test]
fn failed_pages_are_listed() {
    let (_, v) = run("{}", vec![full_page(), failed_page()]);
    let expected = json!([{"page_no": 4, "outcome": "failed", "messages": ["out of time"]}]);
    assert_eq!(v["furniture"]["meta"]["ocr_host__pages"], expected);
    assert!(v["pages"]["4"].is_object(), "a number that repeats is counted on");
}

/// `UPDATE_GOLDENS=1 cargo test -p json-out` writes the file anew; docling-core must read it.
#[test]
fn golden() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/goldens/full-page.json");
    let (run, _) = run("{}", vec![full_page(), failed_page()]);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, run.main()).unwrap();
    }
    assert_eq!(run.main(), std::fs::read_to_string(path).unwrap());
}
