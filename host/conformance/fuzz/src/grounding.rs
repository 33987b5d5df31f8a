//! The model's raw text is a stranger's page in the model's words: any text must give a page, and lose nothing.

use ocr_document::{Page, PageBuilder, PageInfo};
use ocr_model_deepseek::compat::{self, Script};
use ocr_model_deepseek::grounding::{
    MAX_BOXES, MAX_CELLS, MAX_COLUMNS, MAX_ELEMENTS, MAX_ROWS, Parsed, elements, fill,
};
use std::collections::BTreeMap;

/// More kinds of diagnostics than there are would mean that one is told twice.
const MOST_DIAGNOSTICS: usize = 18;

/// The first byte is the page's size and whether tables are read, the rest is the text.
pub fn run(data: &[u8]) {
    let (&first, text) = data.split_first().unwrap_or((&0, &[]));
    let raw = String::from_utf8_lossy(text);
    let (width, height) = (1 + 37 * u32::from(first >> 1), 1 + 53 * u32::from(first >> 2));
    let parsed = elements(&raw);
    nothing_is_lost_in_parsing(&raw, &parsed);
    counts_are_bounded(&parsed);

    let mut builder = PageBuilder::new(PageInfo::new(0, 1, width, height));
    fill(&mut builder, &raw, first & 1 == 1);
    let page = builder.finish();
    page_is_sound(&page, width, height);
    no_letter_is_lost(&parsed, &page);
    for script in [Script::Transformers, Script::Image, Script::Pdf, Script::Batch] {
        let files = compat::page(script, &raw, 7, width, height);
        for crop in &files.crops {
            assert!(!crop.area.is_empty() && crop.area.x1 <= width && crop.area.y1 <= height);
            assert!(
                files.text.contains(&format!("![]({})", crop.file)),
                "{} has no link",
                crop.file
            );
        }
        assert!(
            files
                .outlines
                .iter()
                .all(|o| o.area.x1 <= width && o.area.y1 <= height)
        );
    }
}

/// Tags stand in order, and what they leave is the content.
fn nothing_is_lost_in_parsing(raw: &str, parsed: &Parsed) {
    if parsed.elements.len() == MAX_ELEMENTS {
        return;
    }
    let (mut outside, mut at) = (String::new(), 0);
    for tag in parsed.elements.iter().flat_map(|e| &e.tags) {
        outside.push_str(&raw[at..tag.start]);
        at = tag.end;
    }
    outside.push_str(&raw[at..]);
    let contents: String = parsed.elements.iter().map(|e| e.content.as_str()).collect();
    assert_eq!(outside, contents);
}

fn counts_are_bounded(parsed: &Parsed) {
    assert!(parsed.elements.len() <= MAX_ELEMENTS);
    assert!(parsed.diagnostics().len() <= MOST_DIAGNOSTICS);
    for element in &parsed.elements {
        assert!(element.boxes.len() <= MAX_BOXES);
        for [x0, y0, x1, y1] in element.boxes.iter().map(|b| b.corners()) {
            assert!(0.0 <= x0 && x0 <= x1 && x1 <= 999.0 && 0.0 <= y0 && y0 <= y1 && y1 <= 999.0);
        }
    }
}

fn page_is_sound(page: &Page, width: u32, height: u32) {
    assert!(page.info().diagnostics.len() <= MOST_DIAGNOSTICS);
    for span in page.spans() {
        assert!(span.area.x1 <= width && span.area.y1 <= height);
        let _ = (page.text_of(span.text), page.text_of(span.markup));
    }
    for anchor in page.anchors() {
        let _ = &page.markdown()[anchor.start as usize..][..anchor.len as usize];
    }
    for cells in page.cells().chunk_by(|a, b| a.table == b.table) {
        assert!(cells.len() <= MAX_CELLS);
        // The row from which each column is free again; cells come row by row.
        let mut free_from = [0; MAX_COLUMNS];
        for cell in cells {
            assert!(cell.row_span > 0 && cell.column_span > 0);
            assert!((cell.row + cell.row_span) as usize <= MAX_ROWS);
            for column in cell.column..cell.column + cell.column_span {
                assert!(free_from[column as usize] <= cell.row, "cells overlap");
                free_from[column as usize] = cell.row + cell.row_span;
            }
        }
    }
}

/// Letters and digits outside of tags are on the page as often as in the content. Character references are decoded and
/// a fence's language is dropped, so texts with either are left to the other checks.
fn no_letter_is_lost(parsed: &Parsed, page: &Page) {
    let contents = || parsed.elements.iter().map(|e| e.content.as_str());
    if contents().any(|c| c.contains('&') || c.contains("```")) {
        return;
    }
    let mut wanted = Letters::default();
    contents().for_each(|content| wanted.add(&untagged(content)));
    let located = parsed.elements.iter().filter(|e| e.located);
    located.for_each(|element| wanted.add(&element.label));
    let mut found = Letters::default();
    page.spans()
        .iter()
        .for_each(|span| found.add(page.text_of(span.text)));
    for (letter, count) in wanted.0 {
        let has = found.0.get(&letter).copied().unwrap_or(0);
        assert!(
            has >= count,
            "{letter:?} is on the page {has} times, in the text {count} times"
        );
    }
}

#[derive(Default)]
struct Letters(BTreeMap<char, usize>);

impl Letters {
    fn add(&mut self, text: &str) {
        for letter in text.chars().filter(|c| c.is_alphanumeric()) {
            *self.0.entry(letter).or_default() += 1;
        }
    }
}

/// Text without HTML tags: `<`, a letter, `/` or `!`, up to the next `>` before any other `<`.
pub(crate) fn untagged(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let inside = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
        let begins = inside.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!');
        let end = rest[1..]
            .find(['<', '>'])
            .map(|end| end + 1)
            .filter(|&end| rest[end..].starts_with('>'));
        match end.filter(|_| begins) {
            Some(end) => rest = &rest[end + 1..],
            None => {
                out.push('<');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}
