//! The host lowers a page's long lists itself. Here a plugin writes out the bytes that it was given, and they are held
//! against the layout that the contract's records have in memory.

use crate::skeleton::Skeleton;
use ocr_document::{Cell, CellKind, Page, PageBuilder, PageInfo, Quad, Rect, Slice, SpanKind};
use ocr_runtime::{Context, DocInfo, FormatterOutput, FormatterSession, Runtime, World};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// The memory of one list as words of four bytes, little end first; bytes are words as well, for what follows is aligned.
fn list(runtime: &Runtime, page: &Arc<Page>, name: &str, record_bytes: u32) -> Vec<u32> {
    let body = format!(
        "(call $page.{name} (local.get $page) RET)
         (call $file.write (global.get $out) (i32.load RET)
           (i32.mul (i32.load (i32.const 1028)) (i32.const {record_bytes})) RET) CHECK (i32.const 0)"
    );
    let component = Skeleton::new(name, World::OutputFormatter)
        .fields("(global $out (mut i32) (i32.const 0))")
        .body(
            "open",
            "(call $output.main RET) CHECK (global.set $out HANDLE) (i32.const 0)",
        )
        .body("page", &body)
        .build();
    let plugin = runtime.load(name, &component).unwrap();
    let written = Written::default();
    let output = FormatterOutput::stream("x", Box::new(written.clone()));
    let mut session =
        FormatterSession::open(&plugin, &Context::default(), &DocInfo::default(), "{}", output).unwrap();
    session.add_page(page).unwrap();
    session.finish().unwrap();
    let bytes = written.0.lock().unwrap().clone();
    assert_eq!(bytes.len() % record_bytes as usize, 0, "whole records");
    bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A heading whose parent is known, and a table without confidence; each option is there once and once it is not.
fn page() -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(0, 1, 100, 200));
    let title = page.push_span(
        SpanKind::Heading,
        "title",
        2,
        Rect::new(1, 2, 3, 4),
        Some(0.5),
        "ab",
    );
    let table = page.push_span(SpanKind::Other, "table", 0, Rect::new(5, 6, 7, 8), None, "cde");
    page.set_parent(title, table);
    page.set_markup(table, "<t>");
    let outline = Quad::from_rect(Rect::new(1, 2, 3, 4));
    let line = page.push_line(table, outline, Some(0.25), "fg hi");
    page.push_line(title, outline, None, "j");
    page.push_word(line, 0..2, outline, None);
    page.push_word(line, 3..5, outline, Some(1.0));
    let cell = Cell {
        table,
        kind: CellKind::RowSection,
        row: 11,
        column: 12,
        row_span: 13,
        column_span: 14,
        area: Some(Rect::new(21, 22, 23, 24)),
        confidence: None,
        text: Slice::default(),
    };
    page.push_cell(cell.clone(), "k");
    let unplaced = Cell {
        kind: CellKind::ColumnHeader,
        area: None,
        confidence: Some(0.75),
        ..cell
    };
    page.push_cell(unplaced, "l");
    Arc::new(page.finish())
}

#[test]
fn lists_lie_in_memory_as_the_contract_says() {
    let runtime = Runtime::new(None, &Default::default()).unwrap();
    let page = page();
    let f = f32::to_bits;
    // kind, label, level, order, parent?, area, confidence?, text, markup
    let [title, table] = [&page.spans()[0], &page.spans()[1]];
    #[rustfmt::skip]
    let spans = [
        1, 0, 2, 0,  1, 1,  1, 2, 3, 4,  1, f(0.5),  title.text.start, 2, title.markup.start, 0,
        13, 1, 0, 1,  0, 0,  5, 6, 7, 8,  0, 0,  table.text.start, 3, table.markup.start, 3,
    ];
    assert_eq!(list(&runtime, &page, "spans", 64), spans);

    // span, four corners, confidence?, text
    let corners = [1.0, 2.0, 3.0, 2.0, 3.0, 4.0, 1.0, 4.0].map(f);
    let starts: Vec<u32> = page.lines().iter().map(|line| line.text.start).collect();
    let lines = [
        &[1][..],
        &corners,
        &[1, f(0.25), starts[0], 5],
        &[0],
        &corners,
        &[0, 0, starts[1], 1],
    ];
    assert_eq!(list(&runtime, &page, "lines", 52), lines.concat());

    let words = [
        &[0][..],
        &corners,
        &[0, 0, starts[0], 2],
        &[0],
        &corners,
        &[1, f(1.0), starts[0] + 3, 2],
    ];
    assert_eq!(list(&runtime, &page, "words", 52), words.concat());

    // table, kind, row, column, spans, area?, confidence?, text
    let [first, second] = [page.cells()[0].text.start, page.cells()[1].text.start];
    #[rustfmt::skip]
    let cells = [
        1, 3, 11, 12, 13, 14,  1, 21, 22, 23, 24,  0, 0,  first, 1,
        1, 1, 11, 12, 13, 14,  0, 0, 0, 0, 0,  1, f(0.75),  second, 1,
    ];
    assert_eq!(list(&runtime, &page, "cells", 60), cells);
}
