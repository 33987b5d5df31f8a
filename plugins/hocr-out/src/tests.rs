use super::*;
use ocr_plugin::testing::{self, PageBuilder};
use ocr_plugin::{CellKind, Diagnostic, Outcome, PageData, Point, Quad, Rect, Severity};

const HOSTILE: &str =
    "</title><script>alert(1)</script>]]>--><p title=\"x\" onload='y'>&amp; {{7*7}} \u{0}\u{ffff}\u{202e}";

fn rect(x0: u32, y0: u32, x1: u32, y1: u32) -> Rect {
    Rect { x0, y0, x1, y1 }
}

fn doc() -> DocInfo {
    DocInfo {
        title: Some("A <title>".into()),
        ..DocInfo::new("a \"b\"; c.pdf", "application/pdf")
    }
}

fn run(config: &str, pages: Vec<PageData>) -> String {
    let run = testing::format::<Hocr>(&doc(), config, pages);
    assert_eq!(run.result, Ok(()));
    run.main()
}

fn full_page() -> PageData {
    PageBuilder::new(3)
        .info(|i| {
            (i.language, i.width, i.height) = (Some("de-CH".into()), 1190, 1684);
        })
        .span(BlockKind::Header, "ACME annual report")
        .span(BlockKind::Title, "The title")
        .line(rect(50, 50, 545, 70), Some(0.984), "The title")
        .span(BlockKind::Paragraph, "First line\nsecond & last")
        .line(rect(50, 110, 545, 130), Some(0.61), "First line")
        .line(rect(50, 130, 545, 150), None, "second & last")
        .span(BlockKind::Table, "")
        .cell(CellKind::ColumnHeader, (0, 0, 1, 2), "wide")
        .cell(CellKind::Data, (1, 1, 1, 1), "y")
        .span(BlockKind::Figure, "")
        .span(BlockKind::Paragraph, "a block\nwithout lines")
        .build()
}

fn hostile_page() -> PageData {
    let mut page = PageBuilder::new(4).info(|i| {
        (i.language, i.engine) = (Some(HOSTILE.into()), HOSTILE.into());
        (i.width_points, i.height_points) = (f32::NAN, 0.0);
        i.outcome = Outcome::Failed;
        i.diagnostics.push(Diagnostic::new(Severity::Error, "x", HOSTILE));
    });
    use BlockKind::*;
    for kind in [Title, Paragraph, ListItem, Formula, Figure, Code, Other, Table] {
        page = page
            .span(kind, HOSTILE)
            .line(rect(1, 1, 9999, 9999), Some(f32::NAN), HOSTILE)
            .span(kind, HOSTILE);
    }
    let mut page = page.cell(CellKind::Data, (0, 0, 1, 1), HOSTILE).build();
    let nowhere = Point {
        x: f32::NAN,
        y: f32::INFINITY,
    };
    page.lines[0].outline = Quad {
        a: nowhere,
        b: nowhere,
        c: nowhere,
        d: nowhere,
    };
    page
}

/// The elements' names as they open and close, in order; panics over what is no XML.
fn structure(xhtml: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    let mut all = Vec::new();
    let body = xhtml
        .split_once("<html")
        .map(|(_, b)| format!("<html{b}"))
        .unwrap();
    let mut rest = body.as_str();
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a stray bracket in {:?}", &rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            let end = comment.find("--").unwrap();
            assert!(comment[end..].starts_with("-->"));
            rest = &comment[end + 3..];
            continue;
        }
        let end = rest.find('>').unwrap();
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric())
            .collect();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()));
        } else if !tag.ends_with('/') {
            open.push(name.clone());
        }
        all.push(tag.to_owned());
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

#[test]
fn model_output_stays_text() {
    let html = run("{}", vec![hostile_page(), full_page()]);
    for tag in structure(&html) {
        assert!(!tag.contains("script") && !tag.contains("onload"), "{tag}");
    }
    assert!(!html.contains(['\u{0}', '\u{ffff}', '\u{202e}']));
    assert!(html.contains("<!-- page 4: it could not be read -->"));
}

#[test]
fn text_that_may_be_wrong_is_told_to_be() {
    let page = PageBuilder::new(2).info(|i| {
        i.outcome = Outcome::Truncated;
        i.diagnostics.push(Diagnostic::new(
            Severity::Error,
            "letters-lost",
            "a font --> is missing",
        ));
    });
    let html = run("{}", vec![page.build()]);
    let notes = html.matches("<!--").count();
    assert!(
        notes == 1
            && html
                .contains("<!-- page 2: fonts of it are lost, so its text may be wrong or incomplete -->\n"),
        "{html}"
    );
}

#[test]
fn places_are_told() {
    let html = run("{}", vec![full_page()]);
    for expected in [
        "<div class=\"ocr_page\" id=\"page_1\" lang=\"de-CH\" xml:lang=\"de-CH\" title=\"image &quot;a b; c.pdf&quot;; bbox 0 0 1190 1684; ppageno 2; scan_res 144 144\">",
        "<span class=\"ocr_line\" id=\"line_1_2\" title=\"bbox 50 110 545 130; baseline 0 0; x_conf 61\"><span class=\"ocrx_word\" id=\"word_1_3\" title=\"bbox 50 110 297 130; x_wconf 61\">First</span> <span",
        "<div class=\"ocr_image\" id=\"block_1_5\" title=\"bbox 50 140 545 160; x_kind figure\"></div>",
        "a block<br />\nwithout lines</p>",
    ] {
        assert!(html.contains(expected), "{expected}\nis missing in\n{html}");
    }
    let lines = run(r#"{"words": false}"#, vec![full_page()]);
    assert!(
        !lines.contains("ocrx_word\"") && lines.contains("x_conf 61\">First line</span>"),
        "{lines}"
    );
}

#[test]
fn turned_text_tells_its_angle_and_skewed_text_its_slope() {
    let mut page = full_page();
    let p = |x: f32, y: f32| Point { x, y };
    page.lines[0].outline = Quad {
        a: p(100.0, 500.0),
        b: p(100.0, 100.0),
        c: p(120.0, 100.0),
        d: p(120.0, 500.0),
    };
    page.lines[1].outline = Quad {
        a: p(100.0, 100.0),
        b: p(300.0, 110.0),
        c: p(299.0, 130.0),
        d: p(99.0, 120.0),
    };
    let html = run("{}", vec![page]);
    assert!(
        html.contains("title=\"bbox 100 100 120 500; textangle 90; x_conf 98\""),
        "{html}"
    );
    assert!(
        html.contains("title=\"bbox 99 100 300 130; baseline 0.05 -10; x_conf 61\""),
        "{html}"
    );
}

/// `UPDATE_GOLDENS=1 cargo test` writes the file anew; an XML parser has to read it.
#[test]
fn golden() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/goldens/two-pages.hocr");
    let html = run("{}", vec![full_page(), hostile_page()]);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &html).unwrap();
    }
    assert_eq!(html, std::fs::read_to_string(path).unwrap());
}
