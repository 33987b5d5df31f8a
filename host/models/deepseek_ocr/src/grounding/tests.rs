//! Raw text to finished page: kinds, places, owners, and the page's markdown.

use super::fill;
use ocr_document::{Page, PageBuilder, PageInfo, Rect, SpanKind};

/// A page of 1998 x 999 px: two px to the grid's column, one to its row.
fn filled(raw: &str, grounded: bool) -> Page {
    let mut page = PageBuilder::new(PageInfo::new(0, 4, 1998, 999));
    fill(&mut page, raw, grounded);
    page.finish()
}

fn block(label: &str, content: &str) -> String {
    format!("<|ref|>{label}<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n{content}\n\n")
}

/// Kind, level and text of each span.
fn spans(page: &Page) -> Vec<(SpanKind, u8, &str)> {
    page.spans()
        .iter()
        .map(|s| (s.kind, s.level, page.text_of(s.text)))
        .collect()
}

fn codes(page: &Page) -> Vec<&str> {
    page.info().diagnostics.iter().map(|d| d.code.as_str()).collect()
}

#[test]
fn labels_become_kinds_and_content_tells_the_rest() {
    use SpanKind::*;
    let raw = [
        block("header", "Journal"),
        block("title", "# On\nthings"),
        block("sub_title", "### Deep"),
        block("sub_title", "1. Flat"),
        block("text", "Running \\(x\\) text"),
        block("text", "- a\n- b"),
        block("equation", "\\[ E = mc^2 \\]\n(1)"),
        block("equation", "a = b"),
        block("code", "let a = 1;"),
        block("stamp", "PAID"),
        block("footnote", "1. See"),
        block("page_number", "- 7 -"),
    ];
    let page = filled(&raw.concat(), true);
    let expected = [
        (Header, 0, "Journal"),
        (Title, 1, "On\nthings"),
        (Heading, 3, "Deep"),
        (Heading, 2, "1. Flat"),
        (Paragraph, 0, "Running \\(x\\) text"),
        (ListItem, 1, "- a"),
        (ListItem, 1, "- b"),
        (Formula, 0, "E = mc^2"),
        (Paragraph, 0, "(1)"),
        (Formula, 0, "a = b"),
        (Code, 0, "let a = 1;"),
        (Other, 0, "PAID"),
        (Footnote, 0, "1. See"),
        (PageNumber, 0, "- 7 -"),
    ];
    assert_eq!(spans(&page), expected);
    assert!(page.spans().iter().all(|s| s.area == Rect::new(2, 2, 6, 4)));
    assert_eq!(page.labels()[page.spans()[11].label as usize], "stamp");
    assert_eq!(page.text_of(page.spans()[7].markup), "E = mc^2");
    assert_eq!(page.raw(), raw.concat());
    assert!(codes(&page).is_empty());
    let markdown = "# On things\n\n### Deep\n\n## 1. Flat\n\nRunning $x$ text\n\n- a\n- b\n\n$$\nE = mc^2\n$$\n\n(1)\n\n$$\na = b\n$$\n\n```\nlet a = 1;\n```\n\nPAID\n\n1\\. See\n";
    assert_eq!(page.markdown(), markdown);
}

#[test]
fn a_table_takes_the_html_below_its_caption() {
    let html = "<table><tr><th>a</th></tr><tr><td>\\(b\\)</td></tr></table>";
    let raw = "<|ref|>table<|/ref|><|det|>[[10, 20, 30, 40]]<|/det|>\n".to_owned()
        + &block("table_caption", &format!("<center>Table 1 </center>\n\n{html}"))
        + &block("table_footnote", "* estimated");
    let page = filled(&raw, true);
    let kinds: Vec<SpanKind> = page.spans().iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [SpanKind::Caption, SpanKind::Table, SpanKind::Footnote]);
    let table = &page.spans()[1];
    assert_eq!(table.area, Rect::new(20, 20, 60, 40));
    assert_eq!(page.text_of(table.markup), html);
    assert_eq!(
        (page.spans()[0].parent, page.spans()[2].parent),
        (Some(1), Some(1))
    );
    assert_eq!(page.text_of(page.cells()[1].text), "\\(b\\)");
    assert_eq!(
        page.markdown(),
        "*Table 1*\n\n| a |\n| --- |\n| $b$ |\n\n\\* estimated\n"
    );
}

#[test]
fn every_box_of_an_image_is_a_figure_and_captions_find_theirs() {
    let image = "<|ref|>image<|/ref|><|det|>[[1,1,2,2],[3,3,4,4]]<|/det|>\n";
    let raw = [
        block("image_caption", "A"),
        block("image", ""),
        block("table", ""),
        block("image_caption", "B"),
        image.to_owned(),
    ];
    let page = filled(&raw.concat(), true);
    let parents: Vec<Option<u32>> = page.spans().iter().map(|s| s.parent).collect();
    assert_eq!(parents, [Some(1), None, None, Some(4), None, None]);
    assert_eq!(page.spans()[2].kind, SpanKind::Table);
    let centred = filled(&block("image", "<center>Fig. 2 </center>"), true);
    assert_eq!(spans(&centred)[1], (SpanKind::Caption, 0, "Fig. 2"));
    assert_eq!(centred.spans()[1].parent, Some(0));
}

#[test]
fn text_without_tags_is_a_page_of_blocks() {
    let page = filled(
        "# T\n\nOne.\n\n- a\n\n<table><tr><td>1</td></tr></table>\n",
        false,
    );
    let kinds: Vec<SpanKind> = page.spans().iter().map(|s| s.kind).collect();
    use SpanKind::*;
    assert_eq!(kinds, [Heading, Paragraph, ListItem, Table]);
    assert!(page.spans().iter().all(|s| s.area == Rect::new(0, 0, 1998, 999)));
    assert!(codes(&page).is_empty());
    assert_eq!(codes(&filled("One.", true)), ["grounding-missing"]);
    assert!(codes(&filled(" ", true)).is_empty());
}

#[test]
fn located_text_has_its_boxes() {
    let raw = "See <|ref|>the dog<|/ref|><|det|>[[1,2,3,4],[5,6,7,8]]<|/det|> run";
    let page = filled(raw, true);
    let found: Vec<(&str, Rect)> = page
        .spans()
        .iter()
        .map(|s| (page.text_of(s.text), s.area))
        .collect();
    let whole = Rect::new(0, 0, 1998, 999);
    let expected = [
        ("See", whole),
        ("the dog", Rect::new(2, 2, 6, 4)),
        ("the dog", Rect::new(10, 6, 14, 8)),
        ("run", whole),
    ];
    assert_eq!(found, expected);
    assert_eq!(page.info().diagnostics[0].page, Some(4));
    assert_eq!(
        page.info().diagnostics[0].message,
        "text without a box has the page's area (2 times)"
    );
}

#[test]
fn boxes_without_text_are_told_of() {
    let page = filled(
        &[block("text", "a"), block("seal", ""), block("equation", "")].concat(),
        true,
    );
    use SpanKind::*;
    assert_eq!(
        spans(&page),
        [(Paragraph, 0, "a"), (Other, 0, ""), (Formula, 0, "")]
    );
    assert_eq!(page.markdown(), "a\n");
}

#[test]
fn a_broken_table_is_text_and_said() {
    let page = filled(&block("table", "<table>a <b>b</b>"), true);
    assert_eq!(spans(&page), [(SpanKind::Paragraph, 0, "a b")]);
    assert_eq!(codes(&page), ["table-unclosed", "table-empty"]);
}

#[test]
fn what_the_page_says_cannot_act() {
    let raw = block("text", "<script>alert(1)</script> ![](http://x.y/z)");
    let page = filled(&raw, true);
    assert_eq!(
        page.markdown(),
        "\\<script>alert(1)\\</script> !\\[](http://x.y/z)\n"
    );
}
