//! Edits of small pages, of random pages by random edits, and of large pages by hostile ones.

use super::*;
use crate::*;
use std::time::{Duration, Instant};

fn rect(x0: u32, y0: u32, x1: u32, y1: u32) -> Rect {
    Rect::new(x0, y0, x1, y1)
}

fn builder() -> PageBuilder {
    let mut page = PageBuilder::new(PageInfo::new(0, 1, 600, 800));
    page.raster(PageImage::new(600, 800, PixelFormat::Gray8, vec![255; 480_000]).unwrap());
    page.raw("<|ref|>text<|/ref|> everything that the model wrote");
    page
}

/// A block whose text is its lines, each word with a box of 8 px a letter; lines are 20 px high from `y` down.
fn block(page: &mut PageBuilder, kind: SpanKind, y: u32, lines: &[&str], joined: &str) -> u32 {
    let area = rect(10, y, 590, y + 20 * lines.len() as u32);
    let span = page.push_span(kind, "text", 1, area, Some(0.9), joined);
    for (n, text) in lines.iter().enumerate() {
        let top = y + 20 * n as u32;
        let outline = Quad::from_rect(rect(10, top, 10 + 8 * text.len() as u32, top + 16));
        let line = page.push_line(span, outline, Some(0.9), text);
        let mut at = 0;
        for word in text.split(' ') {
            let x = 10 + 8 * at as u32;
            let outline = Quad::from_rect(rect(x, top, x + 8 * word.len() as u32, top + 16));
            page.push_word(line, at..at + word.len(), outline, Some(0.9));
            at += word.len() + 1;
        }
    }
    span
}

fn plain(page: &mut PageBuilder, y: u32, lines: &[&str]) -> u32 {
    block(page, SpanKind::Paragraph, y, lines, &lines.join("\n"))
}

fn cell(page: &mut PageBuilder, table: u32, row: u32, column: u32, area: Option<Rect>, text: &str) {
    let cell = Cell {
        table,
        kind: CellKind::Data,
        row,
        column,
        row_span: 1,
        column_span: 1,
        area,
        confidence: None,
        text: Slice::default(),
    };
    page.push_cell(cell, text);
}

/// Where `text` stands in the arena, the `n`th time.
fn place(page: &Page, text: &str, n: usize) -> (u32, u32) {
    let at = page.text().match_indices(text).nth(n).expect(text).0;
    (at as u32, text.len() as u32)
}

fn redact(page: &Page, text: &str, n: usize) -> Edit {
    let (start, len) = place(page, text, n);
    Edit::RedactText(start, len)
}

/// Everything of a page that can be read, in one text.
fn everything(page: &Page) -> String {
    let mut all = format!(
        "{}\n{}\n{}\n{:?}\n",
        page.text(),
        page.markdown(),
        page.raw(),
        page.labels()
    );
    for span in page.spans() {
        all += &format!("{}\n{}\n", page.text_of(span.text), page.text_of(span.markup));
    }
    for slice in page
        .lines()
        .iter()
        .map(|l| l.text)
        .chain(page.words().iter().map(|w| w.text))
    {
        all += page.text_of(slice);
        all.push('\n');
    }
    for cell in page.cells() {
        all += page.text_of(cell.text);
        all.push('\n');
    }
    all + &format!("{:?}", page.info().diagnostics)
}

/// Whether all of an area is black.
fn is_black(page: &Page, area: Rect) -> bool {
    let part = page.raster().unwrap().crop(area).unwrap();
    part.pixels().iter().all(|&v| v == 0)
}

fn check_invariants(page: &Page) {
    let inside = |slice: Slice| {
        page.text
            .get(slice.start as usize..(slice.start + slice.len) as usize)
            .is_some()
    };
    let count = page.spans.len() as u32;
    let mut orders: Vec<u32> = page.spans.iter().map(|s| s.order).collect();
    orders.sort_unstable();
    assert_eq!(orders, (0..count).collect::<Vec<_>>());
    for (at, span) in page.spans.iter().enumerate() {
        assert!(inside(span.text) && inside(span.markup));
        assert!(page.labels.is_empty() || (span.label as usize) < page.labels.len());
        let (mut above, mut steps) = (span.parent, 0);
        while let Some(next) = above {
            assert!(next < count && steps <= count, "span {at}");
            above = page.spans[next as usize].parent;
            steps += 1;
        }
    }
    assert!(page.lines.iter().all(|l| l.span < count && inside(l.text)));
    for word in &page.words {
        let line = page.lines[word.line as usize].text;
        assert!(inside(word.text));
        assert!(word.text.start >= line.start && word.text.start + word.text.len <= line.start + line.len);
    }
    assert!(page.cells.iter().all(|c| c.table < count && inside(c.text)));
    for anchor in &page.anchors {
        let end = (anchor.start + anchor.len) as usize;
        assert!(anchor.span < count && page.markdown.get(anchor.start as usize..end).is_some());
    }
}

#[test]
fn text_is_replaced_and_markdown_follows() {
    let mut page = builder();
    block(
        &mut page,
        SpanKind::Heading,
        0,
        &["recog-", "nition"],
        "recog-\nnition",
    );
    plain(&mut page, 100, &["one two"]);
    let page = page.finish();
    let edited = page
        .edited(&[
            Edit::ReflowText(0, "recognition".into()),
            Edit::SetText(1, "three".into()),
            Edit::SetLevel(0, 2),
        ])
        .unwrap();
    check_invariants(&edited);
    assert_eq!(edited.markdown(), "## recognition\n\nthree\n");
    // Reflown text keeps what is printed, new text does not.
    let lines: Vec<&str> = edited.lines().iter().map(|l| edited.text_of(l.text)).collect();
    assert_eq!(lines, ["recog-", "nition"]);
    assert_eq!(edited.words().len(), 2);
    assert_eq!(edited.text_of(edited.words()[1].text), "nition");
    assert!(!edited.text().contains("one two"), "nothing is left behind");
    assert!(edited.is_edited() && !edited.raw().is_empty() && edited.raster().is_some());
}

#[test]
fn order_parents_and_drops_speak_of_the_page_as_it_was() {
    let mut page = builder();
    for (n, text) in ["a", "b", "c", "d"].into_iter().enumerate() {
        plain(&mut page, 100 * n as u32, &[text]);
    }
    let page = page.finish();
    let edited = page
        .edited(&[
            Edit::SetParent(2, Some(1)),
            Edit::SetParent(3, Some(2)),
            Edit::SetOrder(0, 3),
            Edit::DropSpan(1),
            Edit::SetText(1, "dropped already".into()),
            Edit::Insert(2, SpanKind::Footnote, rect(0, 0, 9, 9), "first".into()),
            Edit::Insert(2, SpanKind::Footnote, rect(0, 0, 9, 9), "second".into()),
            Edit::Insert(99, SpanKind::Other, rect(0, 0, 9000, 9), "last".into()),
        ])
        .unwrap();
    check_invariants(&edited);
    assert_eq!(edited.markdown(), "c\n\nfirst\n\nsecond\n\nd\n\na\n\nlast\n");
    let of = |text: &str| {
        edited
            .spans()
            .iter()
            .position(|s| edited.text_of(s.text) == text)
            .unwrap()
    };
    assert_eq!(edited.spans()[of("c")].parent, None, "its parent was dropped");
    assert_eq!(edited.spans()[of("d")].parent, Some(of("c") as u32));
    assert_eq!(edited.spans()[of("last")].area, rect(0, 0, 600, 9));
    assert_eq!(
        edited.labels()[edited.spans()[of("last")].label as usize],
        "edited"
    );
    assert_eq!(edited.lines().len(), 3);
}

#[test]
fn tables_are_written_anew_from_their_cells() {
    let mut page = builder();
    let table = page.push_span(SpanKind::Table, "table", 0, rect(0, 0, 90, 90), None, "a\tb");
    page.set_markup(table, "<table><tr><td>a</td><td>b</td></tr></table>");
    cell(&mut page, table, 0, 0, None, "a");
    cell(&mut page, table, 0, 1, None, "b");
    let page = page.finish();
    let edited = page.edited(&[Edit::SetCell(1, "x < y".into())]).unwrap();
    let span = &edited.spans()[0];
    assert_eq!(edited.text_of(span.text), "a\tx < y");
    assert_eq!(
        edited.text_of(span.markup),
        "<table><tr><td>a</td><td>x &lt; y</td></tr></table>"
    );
    let new = |row, column, text: &str| NewCell {
        kind: CellKind::ColumnHeader,
        row,
        column,
        row_span: 1,
        column_span: 1,
        area: None,
        text: text.into(),
    };
    let edited = page
        .edited(&[Edit::SetCells(0, vec![new(0, 0, "k"), new(1, 0, "v")])])
        .unwrap();
    check_invariants(&edited);
    assert_eq!(edited.markdown(), "| k |\n| --- |\n| v |\n");
    assert_eq!(edited.text_of(edited.spans()[0].text), "k\nv");
    assert_eq!(edited.cells().len(), 2);
    // What is no table any more has no cells.
    let edited = page.edited(&[Edit::SetKind(0, SpanKind::Paragraph)]).unwrap();
    assert!(edited.cells().is_empty());
}

#[test]
fn edits_are_made_all_or_none() {
    let mut page = builder();
    let a = plain(&mut page, 0, &["größe"]);
    plain(&mut page, 100, &["b"]);
    let page = page.finish();
    let _ = a;
    for (wrong, why) in [
        (Edit::SetText(2, String::new()), "no span 2; the page has 2"),
        (Edit::SetCell(0, String::new()), "no cell 0"),
        (Edit::SetOrder(0, 2), "no place 2"),
        (Edit::SetParent(0, Some(0)), "belong to itself"),
        (Edit::SetParent(0, Some(7)), "no span 7"),
        (Edit::SetCells(0, Vec::new()), "no table"),
        (Edit::RedactText(0, 9999), "not all in"),
        (Edit::RedactText(3, 1), "cut a character"),
        (Edit::RedactText(u32::MAX, u32::MAX), "not all in"),
    ] {
        let edits = [Edit::SetText(1, "x".into()), wrong];
        let error = page.edited(&edits).unwrap_err();
        assert!(matches!(error, EditError::Invalid { edit: 1, .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let cycle = [Edit::SetParent(0, Some(1)), Edit::SetParent(1, Some(0))];
    assert!(
        page.edited(&cycle)
            .unwrap_err()
            .to_string()
            .contains("belong to itself")
    );
    let many = vec![Edit::SetLevel(0, 1); MAX_EDITS + 1];
    assert_eq!(page.edited(&many).unwrap_err(), EditError::TooMany(MAX_EDITS + 1));
    let long = Edit::SetText(0, "x".repeat(MAX_TEXT + 1));
    assert_eq!(page.edited(&[long]).unwrap_err(), EditError::TooLong);
    assert_eq!(page.edited(&[]).unwrap().markdown(), page.markdown());
}

#[test]
fn a_range_is_erased_wherever_it_is_shown() {
    let mut page = builder();
    plain(&mut page, 100, &["Call Jane Roe at", "555-1234, Jane"]);
    plain(&mut page, 300, &["Jane is elsewhere"]);
    let page = page.finish();
    let edited = page
        .edited(&[redact(&page, "Jane Roe", 0), redact(&page, "555-1234", 0)])
        .unwrap();
    check_invariants(&edited);
    let text = |at: usize| edited.text_of(edited.spans()[at].text).to_owned();
    assert_eq!(text(0), "Call █ at\n█, Jane");
    assert_eq!(text(1), "Jane is elsewhere");
    let lines: Vec<&str> = edited.lines().iter().map(|l| edited.text_of(l.text)).collect();
    assert_eq!(lines, ["Call █ at", "█, Jane", "Jane is elsewhere"]);
    assert!(!everything(&edited).contains("555") && !everything(&edited).contains("Roe"));
    assert_eq!(edited.raw(), "");
    assert_eq!(edited.markdown(), "Call █ at  \n█, Jane\n\nJane is elsewhere\n");
    assert!(is_black(&edited, rect(50, 100, 82, 116)), "Jane");
    assert!(is_black(&edited, rect(90, 100, 114, 116)), "Roe");
    assert!(is_black(&edited, rect(10, 120, 74, 136)), "555-1234");
    let white = edited.raster().unwrap().crop(rect(0, 200, 600, 800)).unwrap();
    assert!(white.pixels().iter().all(|&v| v == 255));
    let white = edited.raster().unwrap().crop(rect(10, 98, 40, 114)).unwrap();
    assert!(white.pixels().iter().all(|&v| v == 255), "Call stays");
}

#[test]
fn a_second_reading_of_the_same_print_goes_too() {
    let mut page = builder();
    plain(&mut page, 100, &["secret word"]);
    // The same place read again, as a figure's text and as a line of another block that reads it otherwise.
    page.push_span(
        SpanKind::Figure,
        "figure",
        0,
        rect(0, 90, 200, 130),
        None,
        "a secret in a picture",
    );
    plain(&mut page, 101, &["sccrct"]);
    let page = page.finish();
    let edited = page.edited(&[redact(&page, "secret", 1)]).unwrap();
    let all = everything(&edited);
    assert!(!all.contains("secret") && !all.contains("sccrct"), "{all}");
    assert!(all.contains("word") && all.contains("in a picture"), "{all}");
}

#[test]
fn where_words_have_no_boxes_more_is_blackened() {
    let info = || PageInfo::new(0, 1, 600, 800);
    let raster = || PageImage::new(600, 800, PixelFormat::Gray8, vec![255; 480_000]).unwrap();
    let nowhere = Quad::default();
    // A word without a box takes its line; a line without words and a box its span; a span alone itself.
    let mut page = PageBuilder::new(info());
    page.raster(raster());
    let span = page.push_span(
        SpanKind::Paragraph,
        "t",
        0,
        rect(0, 0, 300, 60),
        None,
        "its secret\nand more",
    );
    let line = page.push_line(span, Quad::from_rect(rect(0, 0, 100, 20)), None, "its secret");
    page.push_word(line, 4..10, nowhere, None);
    page.push_line(span, nowhere, None, "and more");
    page.push_span(
        SpanKind::Paragraph,
        "t",
        0,
        rect(0, 100, 300, 160),
        None,
        "a hidden thing",
    );
    let page = page.finish();
    let edited = page.edited(&[redact(&page, "secret", 1)]).unwrap();
    assert!(is_black(&edited, rect(0, 0, 100, 20)) && !is_black(&edited, rect(0, 20, 300, 60)));
    let edited = page.edited(&[redact(&page, "more", 0)]).unwrap();
    assert!(is_black(&edited, rect(0, 0, 300, 60)) && !is_black(&edited, rect(0, 100, 300, 160)));
    let edited = page.edited(&[redact(&page, "hidden", 0)]).unwrap();
    assert!(is_black(&edited, rect(0, 100, 300, 160)) && !is_black(&edited, rect(0, 0, 300, 60)));
    assert_eq!(edited.text_of(edited.spans()[1].text), "a █ thing");
}

#[test]
fn tables_lose_a_word_in_cells_markup_text_and_picture() {
    let mut page = builder();
    let table = block(
        &mut page,
        SpanKind::Table,
        0,
        &["Name Roe", "Born 1980"],
        "Name\tRoe\nBorn\t1980",
    );
    page.set_markup(
        table,
        "<table><tr><td>Name</td><td>Roe</td></tr><tr><td>Born</td><td>1980</td></tr></table>",
    );
    cell(&mut page, table, 0, 0, Some(rect(0, 0, 48, 20)), "Name");
    cell(&mut page, table, 0, 1, Some(rect(48, 0, 200, 20)), "Roe");
    cell(&mut page, table, 1, 0, Some(rect(0, 20, 48, 40)), "Born");
    cell(&mut page, table, 1, 1, Some(rect(48, 20, 200, 40)), "1980");
    let page = page.finish();
    // However it is named: in the text, in the line, in the cell, in the markup.
    for n in 0..4 {
        let edited = page.edited(&[redact(&page, "Roe", n)]).unwrap();
        check_invariants(&edited);
        assert!(
            !everything(&edited).contains("Roe"),
            "{n}: {}",
            everything(&edited)
        );
        assert!(is_black(&edited, rect(50, 0, 74, 16)), "{n}");
        let span = &edited.spans()[0];
        assert_eq!(edited.text_of(span.text), "Name\t█\nBorn\t1980", "{n}");
        assert!(
            edited
                .text_of(span.markup)
                .contains("<td>█</td></tr><tr><td>Born"),
            "{n}"
        );
        assert!(edited.markdown().contains("1980") && !is_black(&edited, rect(0, 20, 48, 40)));
    }
}

#[test]
fn an_area_is_erased_with_all_that_is_in_it() {
    let mut page = builder();
    plain(&mut page, 100, &["keep this", "hide that"]);
    let alone = page.push_span(SpanKind::Formula, "f", 0, rect(10, 200, 300, 240), None, "x = y");
    page.set_markup(alone, "x = \\gamma");
    page.push_span(
        SpanKind::Paragraph,
        "t",
        0,
        rect(10, 242, 300, 280),
        None,
        "below",
    );
    let page = page.finish();
    let edited = page
        .edited(&[
            Edit::RedactArea(rect(50, 118, 600, 138)),
            Edit::RedactArea(rect(0, 190, 600, 241)),
        ])
        .unwrap();
    check_invariants(&edited);
    let all = everything(&edited);
    assert!(
        !all.contains("that") && !all.contains("gamma") && !all.contains("x = y"),
        "{all}"
    );
    assert_eq!(edited.markdown(), "keep this  \nhide █\n\n█\n\nbelow\n");
    assert!(is_black(&edited, rect(50, 118, 600, 138)));
    // What is written behind a redaction is the processor's own answer to it.
    let edited = page
        .edited(&[
            Edit::SetText(2, "written before".into()),
            Edit::RedactArea(rect(0, 190, 600, 280)),
            Edit::SetText(1, "written behind".into()),
        ])
        .unwrap();
    assert!(edited.markdown().ends_with("█\n") && edited.markdown().contains("written behind"));
}

#[test]
fn edits_of_the_same_call_bring_nothing_back() {
    let mut page = builder();
    block(
        &mut page,
        SpanKind::Paragraph,
        0,
        &["the pass-", "word is xyzzy"],
        "the pass-\nword is xyzzy",
    );
    let page = page.finish();
    let secret = redact(&page, "xyzzy", 0);
    for edits in [
        vec![
            Edit::ReflowText(0, "the password is xyzzy".into()),
            secret.clone(),
        ],
        vec![
            secret.clone(),
            Edit::ReflowText(0, "the password is xyzzy".into()),
        ],
        vec![secret.clone(), Edit::SetMarkup(0, "<b>xyzzy</b>".into())],
        vec![
            secret.clone(),
            Edit::Insert(0, SpanKind::Footnote, rect(0, 0, 9, 9), "a (xyzzy)".into()),
        ],
        vec![Edit::DropSpan(0), secret],
    ] {
        let edited = page.edited(&edits).unwrap();
        check_invariants(&edited);
        assert!(!everything(&edited).contains("xyzzy"), "{edits:?}");
        assert!(is_black(&edited, rect(74, 20, 114, 36)), "{edits:?}");
    }
    // Joined text that can't be told apart goes whole.
    let broken = redact(&page, "pass-\nword", 0);
    let edited = page
        .edited(&[Edit::ReflowText(0, "the password is xyzzy".into()), broken])
        .unwrap();
    assert_eq!(edited.text_of(edited.spans()[0].text), REDACTED);
}

/// A page with a block that has lines, one that has none, and tables: with lines and cells that have places, with cells that
/// have none, and without cells.
fn page_of_each() -> Page {
    let mut page = builder();
    plain(&mut page, 0, &["called Jane Roe", "by all"]);
    let area = |y: u32| rect(10, y, 590, y + 40);
    page.push_span(SpanKind::Paragraph, "t", 0, area(100), None, "called Jane Roe");
    let placed = block(
        &mut page,
        SpanKind::Table,
        200,
        &["Name Jane Roe"],
        "Name\tJane Roe",
    );
    cell(&mut page, placed, 0, 0, Some(rect(10, 200, 46, 240)), "Name");
    cell(&mut page, placed, 0, 1, Some(rect(46, 200, 300, 240)), "Jane Roe");
    let table = page.push_span(SpanKind::Table, "t", 0, area(300), None, "Name\tJane Roe");
    cell(&mut page, table, 0, 0, None, "Name");
    cell(&mut page, table, 0, 1, None, "Jane Roe");
    cell(&mut page, table, 0, 2, None, "");
    let bare = block(
        &mut page,
        SpanKind::Table,
        400,
        &["Name Jane Roe"],
        "Name\tJane Roe",
    );
    page.set_markup(bare, "<table><tr><td>Name</td><td>Jane Roe</td></tr></table>");
    page.finish()
}

fn cells(texts: &[&str]) -> Vec<NewCell> {
    let new = |(column, text): (usize, &&str)| NewCell {
        kind: CellKind::Data,
        row: 0,
        column: column as u32,
        row_span: 1,
        column_span: 1,
        area: None,
        text: (*text).to_owned(),
    };
    texts.iter().enumerate().map(new).collect()
}

/// Every edit that writes words, with the place that they stand in.
fn writers(words: &str) -> Vec<(Edit, Rect)> {
    let text = || words.to_owned();
    let place = |y: u32| rect(0, y.saturating_sub(2), 600, y + 42);
    let placed = NewCell {
        area: Some(rect(46, 400, 300, 420)),
        ..cells(&[words]).remove(0)
    };
    vec![
        (Edit::SetText(0, text()), place(0)),
        (Edit::ReflowText(0, text()), place(0)),
        (Edit::SetMarkup(0, text()), place(0)),
        (Edit::SetText(1, text()), place(100)),
        (Edit::ReflowText(1, text()), place(100)),
        (Edit::SetMarkup(1, text()), place(100)),
        (Edit::SetCell(1, text()), rect(46, 200, 300, 240)),
        (Edit::SetCell(3, text()), place(300)),
        (Edit::SetCell(4, text()), place(300)),
        (Edit::SetCells(2, cells(&["Name", words])), place(200)),
        (Edit::SetCells(4, cells(&["Name", words])), place(400)),
        (Edit::SetCells(4, vec![placed]), rect(46, 400, 300, 420)),
        (Edit::SetText(4, text()), place(400)),
        (Edit::SetMarkup(4, text()), place(400)),
        (
            Edit::Insert(0, SpanKind::Footnote, rect(0, 600, 90, 620), text()),
            place(600),
        ),
        (
            Edit::Insert(9, SpanKind::Other, Rect::default(), text()),
            rect(0, 0, 600, 800),
        ),
    ]
}

#[test]
fn an_area_takes_what_was_written_into_it_before() {
    let page = page_of_each();
    for (edit, place) in writers("xyzzy") {
        let made = |edits: &[Edit]| everything(&page.edited(edits).unwrap()).contains("xyzzy");
        let whole = Edit::RedactArea(rect(0, 0, 600, 800));
        assert!(made(std::slice::from_ref(&edit)), "{edit:?}");
        assert!(!made(&[edit.clone(), Edit::RedactArea(place)]), "{edit:?}");
        assert!(!made(&[edit.clone(), whole]), "{edit:?}");
        // Nor does a block that moves take it along.
        if let Edit::SetText(span, _) | Edit::ReflowText(span, _) | Edit::SetCells(span, _) = edit {
            let away = Edit::SetArea(span, rect(0, 700, 90, 720));
            assert!(!made(&[edit.clone(), away, Edit::RedactArea(place)]), "{edit:?}");
        }
        // What is elsewhere stays, and so does an answer to the redaction.
        assert!(
            made(&[edit.clone(), Edit::RedactArea(rect(0, 760, 600, 790))]),
            "{edit:?}"
        );
        assert!(made(&[Edit::RedactArea(place), edit.clone()]), "{edit:?}");
    }
}

#[test]
fn words_that_were_written_otherwise_before_they_are_erased_go_whole() {
    let page = page_of_each();
    let count = page.text().matches("Jane Roe").count();
    let secrets: Vec<Edit> = (0..count).map(|n| redact(&page, "Jane Roe", n)).collect();
    for (edit, _) in writers("J. R0e") {
        // What is new has nothing that could be written otherwise.
        if matches!(edit, Edit::Insert(..) | Edit::SetCell(4, _)) {
            continue;
        }
        let edited = page.edited(&[&[edit.clone()][..], &secrets].concat()).unwrap();
        let all = everything(&edited);
        assert!(!all.contains("R0e") && !all.contains("Roe"), "{edit:?}: {all}");
    }
    // What is left of a table stays where each word is found, wherever it has gone.
    for (texts, left) in [
        (["Name", "Jane Roe"], "Name\t█"),
        (["Roe, Jane", "Name"], "█, █\tName"),
        (["Jane", "Roe"], "█\t█"),
    ] {
        let edits = [&[Edit::SetCells(4, cells(&texts))][..], &secrets].concat();
        let edited = page.edited(&edits).unwrap();
        assert_eq!(edited.text_of(edited.spans()[4].text), left);
    }
    // Where nothing of a block is left, neither is what was joined to its words.
    let edits = [
        Edit::ReflowText(0, "called Jane Roe by all, xyzzy".into()),
        Edit::RedactArea(rect(0, 0, 600, 42)),
    ];
    assert!(!everything(&page.edited(&edits).unwrap()).contains("xyzzy"));
    let row = redact(&page, "Name\tJane Roe", 2);
    let edited = page
        .edited(&[Edit::SetCells(4, cells(&["Name", "Jane Roe"])), row])
        .unwrap();
    assert_eq!(edited.text_of(edited.spans()[4].text), "█\t█ █");
}

#[test]
fn labels_and_messages_do_not_quote_what_was_erased() {
    let mut page = builder();
    page.push_span(
        SpanKind::Paragraph,
        "Jane Roe",
        0,
        rect(0, 0, 90, 20),
        None,
        "Jane Roe",
    );
    page.push_span(SpanKind::Paragraph, "text", 0, rect(0, 40, 90, 60), None, "else");
    let said = Diagnostic::new(Severity::Warning, "doubtful", "read `Roe,` twice");
    let plain = Diagnostic::new(Severity::Note, "plain", "two lines were dropped");
    page.info_mut().diagnostics.extend([said, plain.clone()]);
    let page = page.finish();
    let edited = page.edited(&[redact(&page, "Jane Roe", 0)]).unwrap();
    assert!(!everything(&edited).contains("Roe"));
    assert_eq!(edited.labels(), ["", "text"]);
    assert_eq!(edited.info().diagnostics[0].code, "doubtful");
    assert_eq!(edited.info().diagnostics[1], plain);
}

#[test]
fn a_block_that_is_erased_whole_loses_its_name() {
    let mut page = builder();
    page.push_span(SpanKind::Figure, "jane-roe", 0, rect(0, 0, 90, 20), None, "");
    page.push_span(SpanKind::Figure, "jane-roe", 0, rect(0, 40, 90, 60), None, "");
    page.push_span(SpanKind::Paragraph, "text", 0, rect(0, 80, 90, 99), None, "else");
    let page = page.finish();
    let erase = |y: u32| Edit::RedactArea(rect(0, y, 90, y + 20));
    assert_eq!(page.edited(&[erase(0)]).unwrap().labels(), ["jane-roe", "text"]);
    assert_eq!(
        page.edited(&[erase(0), erase(40)]).unwrap().labels(),
        ["", "text"]
    );
}

/// A small generator, so that a failure can be had again from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(limit.max(1))) as u32
    }

    fn rect(&mut self) -> Rect {
        rect(self.below(650), self.below(850), self.below(650), self.below(850))
    }

    /// A word that stands nowhere else.
    fn word(&mut self, n: u32) -> String {
        let tail = ["", "ß", "-x", "é", ",", "中文"][self.below(6) as usize];
        format!("w{n:04}{tail}")
    }

    fn kind(&mut self) -> SpanKind {
        use SpanKind::*;
        [
            Title, Heading, Paragraph, ListItem, Table, Formula, Figure, Caption, Header, Code, Other,
        ][self.below(11) as usize]
    }
}

/// A page of blocks with and without lines, words, boxes, cells and markup. Its words stand nowhere else.
fn random_page(random: &mut Random) -> Page {
    let mut page = builder();
    let mut words = 0;
    for n in 0..1 + random.below(7) {
        let lines: Vec<String> = (0..random.below(4))
            .map(|_| {
                let count = 1 + random.below(4);
                let of_line: Vec<String> = (0..count)
                    .map(|_| {
                        words += 1;
                        random.word(words)
                    })
                    .collect();
                of_line.join(" ")
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let separator = ["\n", " ", "-\n"][random.below(3) as usize];
        let kind = random.kind();
        let span = match random.below(4) {
            0 => page.push_span(kind, "text", 1, random.rect(), None, &lines.join(separator)),
            _ => block(&mut page, kind, 100 * n, &lines, &lines.join(separator)),
        };
        if random.below(3) == 0 {
            let markup = format!("<td>{}</td>", lines.join("</td><td>"));
            page.set_markup(span, &markup);
        }
        if kind == SpanKind::Table {
            for (row, line) in lines.iter().enumerate() {
                let area = (random.below(2) == 0).then(|| rect(10, 100 * n, 590, 100 * n + 60));
                cell(&mut page, span, row as u32, 0, area, line);
            }
        }
    }
    page.finish()
}

/// `n` tells what it writes from what others write.
fn random_edit(random: &mut Random, page: &Page, n: u32) -> Edit {
    let spans = page.spans().len() as u32;
    let span = random.below(spans);
    let text = format!("new {n} words");
    match random.below(11) {
        0 => Edit::SetText(span, text),
        1 => Edit::ReflowText(
            span,
            page.text_of(page.spans()[span as usize].text).replace("-\n", ""),
        ),
        2 => Edit::SetMarkup(span, format!("<b>{text}</b>")),
        3 => Edit::SetKind(span, random.kind()),
        4 => Edit::SetOrder(span, random.below(spans)),
        5 => Edit::SetArea(span, random.rect()),
        6 if !page.cells().is_empty() => Edit::SetCell(random.below(page.cells().len() as u32), text),
        7 => Edit::DropSpan(span),
        8 => Edit::Insert(random.below(9), random.kind(), random.rect(), text),
        9 => Edit::SetParent(span, None),
        _ => Edit::SetLevel(span, random.below(9) as u8),
    }
}

#[test]
fn random_edits_keep_the_invariants_and_redactions_hold() {
    for seed in 1..2500u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let page = random_page(&mut random);
        check_invariants(&page);
        let mut edits: Vec<Edit> = (0..random.below(6))
            .map(|n| random_edit(&mut random, &page, n))
            .collect();
        // Whole words out of any of the places in which they are shown.
        let mut secrets = Vec::new();
        let words: Vec<&str> = page
            .text()
            .split(|c: char| c.is_whitespace() || c == '<')
            .filter(|w| w.contains('w'))
            .collect();
        for _ in 0..random.below(3) {
            let Some(at) = page
                .text()
                .match_indices('w')
                .nth(random.below(words.len() as u32) as usize)
            else {
                continue;
            };
            // Each is `w` and four digits, whatever follows.
            let word = &page.text()[at.0..at.0 + 5];
            secrets.push(word.to_owned());
            let edit = Edit::RedactText(at.0 as u32, 5);
            edits.insert(random.below(edits.len() as u32 + 1) as usize, edit);
        }
        let area = (random.below(3) == 0).then(|| random.rect());
        edits.extend(area.map(Edit::RedactArea));
        let edited = match page.edited(&edits) {
            Ok(edited) => edited,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        check_invariants(&edited);
        let all = everything(&edited);
        for secret in &secrets {
            assert!(
                !all.contains(secret.as_str()),
                "seed {seed}: {secret} in {all}\n{edits:?}"
            );
            // Where its word has a box, the box is black.
            for word in page
                .words()
                .iter()
                .filter(|w| page.text_of(w.text).starts_with(secret.as_str()))
            {
                let place = word.outline.bounds(600, 800);
                assert!(
                    place.is_empty() || is_black(&edited, place),
                    "seed {seed}: {secret}"
                );
            }
        }
        if let Some(area) = area
            .map(|a| a.intersect(&rect(0, 0, 600, 800)))
            .filter(|a| !a.is_empty())
        {
            assert!(is_black(&edited, area), "seed {seed}");
            for edit in &edits {
                let (place, text) = match edit {
                    Edit::SetText(span, text) | Edit::SetMarkup(span, text) => {
                        (page.spans()[*span as usize].area, text)
                    }
                    Edit::SetCell(cell, text) => {
                        (page.cells()[*cell as usize].area.unwrap_or_default(), text)
                    }
                    Edit::Insert(_, _, place, text) => (place.intersect(&rect(0, 0, 600, 800)), text),
                    _ => continue,
                };
                let is_inside = !place.is_empty() && place.intersect(&area) == place;
                assert!(
                    !is_inside || !all.contains(text.as_str()),
                    "seed {seed}: {text} in {all}\n{edits:?}"
                );
            }
            for word in page.words() {
                let place = word.outline.bounds(600, 800);
                if place.intersect(&area) == place && !place.is_empty() {
                    let text = page.text_of(word.text);
                    assert!(
                        !all.contains(&text[..5]),
                        "seed {seed}: {text} in {all}\n{edits:?}"
                    );
                }
            }
        }
        if !secrets.is_empty() || area.is_some_and(|a| !a.intersect(&rect(0, 0, 600, 800)).is_empty()) {
            assert_eq!(edited.raw(), "");
        }
    }
}

/// A page of 4,000 blocks of eight words each.
fn large_page() -> Page {
    let mut page = PageBuilder::new(PageInfo::new(0, 1, 6000, 6000));
    page.raster(PageImage::new(6000, 6000, PixelFormat::Gray8, vec![255; 36_000_000]).unwrap());
    for n in 0..4000u32 {
        let (x, y) = (10 + 590 * (n % 10), 14 * (n / 10));
        let text = format!("alpha beta gamma delta eps zeta eta t{n:04}");
        let span = page.push_span(
            SpanKind::Paragraph,
            "t",
            0,
            rect(x, y, x + 580, y + 13),
            None,
            &text,
        );
        let line = page.push_line(span, Quad::from_rect(rect(x, y, x + 580, y + 13)), None, &text);
        let mut at = 0;
        for word in text.split(' ') {
            let left = x + 14 * at as u32;
            let outline = Quad::from_rect(rect(left, y, left + 13 * word.len() as u32, y + 12));
            page.push_word(line, at..at + word.len(), outline, None);
            at += word.len() + 1;
        }
    }
    page.finish()
}

#[test]
fn hostile_edits_end_soon() {
    let page = large_page();
    let bytes = page.text().len() as u32;
    let mut random = Random(7);
    let mut many = |edit: &mut dyn FnMut(&mut Random) -> Edit| -> Vec<Edit> {
        (0..MAX_EDITS).map(|_| edit(&mut random)).collect()
    };
    let floods: Vec<(&str, Vec<Edit>)> = vec![
        (
            "set-order",
            many(&mut |r| Edit::SetOrder(r.below(4000), r.below(4000))),
        ),
        (
            "set-parent",
            many(&mut |r| {
                let n = 1 + r.below(3999);
                Edit::SetParent(n, Some(n - 1))
            }),
        ),
        (
            "insert",
            many(&mut |_| Edit::Insert(0, SpanKind::Table, rect(0, 0, 9, 9), "x".into())),
        ),
        (
            "whole pages",
            many(&mut |r| Edit::RedactArea(rect(r.below(99), r.below(99), 6000, 6000))),
        ),
        (
            "specks",
            many(&mut |r| {
                let (x, y) = (r.below(5990), r.below(5990));
                Edit::RedactArea(rect(x, y, x + 9, y + 9))
            }),
        ),
        (
            "ranges",
            many(&mut |r| Edit::RedactText(r.below(bytes - 9), 1 + r.below(8))),
        ),
        ("everything", vec![Edit::RedactText(0, bytes); 1000]),
        (
            "words",
            many(&mut |r| Edit::RedactText(r.below(bytes / 50) * 50 % (bytes - 5), 4)),
        ),
    ];
    for (what, edits) in floods {
        let started = Instant::now();
        let made = page.edited(&edits);
        let spent = started.elapsed();
        eprintln!(
            "{what}: {spent:?}, {:?}",
            made.as_ref().map(|_| ()).map_err(EditError::to_string)
        );
        if let Ok(page) = made {
            check_invariants(&page);
        }
        assert!(spent < Duration::from_secs(20), "{what} took {spent:?}");
    }
}
