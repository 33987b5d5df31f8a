use super::*;
use ocr_plugin::testing::{self, PageBuilder};
use ocr_plugin::{CellKind, NewCell};

use CellKind::{ColumnHeader, Data, RowHeader};

type Given<'t> = (CellKind, (u32, u32, u32, u32), &'t str);

fn run(config: &str, cells: &[Given]) -> Vec<Edit> {
    let mut page = PageBuilder::new(1)
        .span(BlockKind::Paragraph, "x")
        .span(BlockKind::Table, "");
    for (kind, place, text) in cells {
        page = page.cell(*kind, *place, text);
    }
    let doc = DocInfo::new("a.pdf", "application/pdf");
    let mut run = testing::process::<NormalizeTables>(&doc, config, vec![page.build()]);
    run.pages.remove(0).unwrap()
}

/// The table as rows of `text`, a cell's further places as `<` and `^`, header cells with `*`.
fn drawn(cells: &[NewCell]) -> Vec<String> {
    let rows = cells.iter().map(|c| c.row + c.row_span).max().unwrap_or(0);
    let columns = cells.iter().map(|c| c.column + c.column_span).max().unwrap_or(0);
    let mut grid = vec![vec![String::from("?"); columns as usize]; rows as usize];
    for cell in cells {
        for i in 0..cell.row_span {
            for j in 0..cell.column_span {
                let place = &mut grid[(cell.row + i) as usize][(cell.column + j) as usize];
                assert_eq!(place, "?", "cells overlap");
                let mark = if cell.kind == Data { "" } else { "*" };
                *place = match (i, j) {
                    (0, 0) => format!("{mark}{}", cell.text),
                    (0, _) => "<".into(),
                    _ => "^".into(),
                };
            }
        }
    }
    grid.into_iter().map(|row| row.join("|")).collect()
}

fn table(config: &str, cells: &[Given]) -> Vec<String> {
    match &run(config, cells)[..] {
        [Edit::SetCells((1, cells))] => drawn(cells),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_in_order_is_left_alone() {
    let cells = [
        (ColumnHeader, (0, 0, 1, 2), "Sums"),
        (Data, (1, 0, 1, 1), "1,234.50"),
        (Data, (1, 1, 1, 1), "1.234,50"),
    ];
    assert_eq!(run("{}", &cells), []);
    assert_eq!(run("{}", &[]), []);
    assert_eq!(run("{}", &[(Data, (0, 0, 1, 1), "")]), []);
}

#[test]
fn empty_rows_and_columns_go_and_spans_shrink() {
    let cells = [
        (ColumnHeader, (0, 0, 1, 4), "Wide"),
        (Data, (1, 0, 1, 1), " "),
        (Data, (1, 3, 1, 1), ""),
        (Data, (2, 0, 1, 1), "a"),
        (Data, (2, 3, 2, 1), "b"),
        (Data, (5, 0, 1, 1), "c"),
    ];
    assert_eq!(table("{}", &cells), ["*Wide|<", "a|b", "c|"]);
    let kept = table(r#"{"empty": "keep"}"#, &cells);
    assert_eq!(kept, ["*Wide|<|<|<", "|||", "a|||b", "|||^", "|||", "c|||"]);
}

#[test]
fn ragged_rows_are_filled() {
    let cells = [
        (Data, (0, 0, 1, 1), "a"),
        (Data, (0, 1, 1, 1), "b"),
        (Data, (0, 2, 1, 1), "c"),
        (Data, (1, 0, 1, 1), "d"),
    ];
    assert_eq!(table("{}", &cells), ["a|b|c", "d||"]);
}

#[test]
fn cells_on_top_of_each_other_are_parted() {
    // Two with the same place, a copy of a span, and a span over its neighbour.
    let cells = [
        (Data, (0, 0, 1, 1), "a"),
        (Data, (0, 0, 1, 1), "b"),
        (Data, (0, 2, 1, 1), "c"),
        (Data, (1, 0, 1, 3), "wide"),
        (Data, (1, 1, 1, 1), "inner"),
        (Data, (2, 0, 1, 2), "copy"),
        (Data, (2, 0, 1, 1), "copy"),
        (Data, (2, 2, 9, 9), "end"),
    ];
    assert_eq!(table("{}", &cells), ["a|b|c", "wide|inner|", "copy|<|end"]);
}

#[test]
fn header_rows_are_found_over_numbers() {
    let cells = [
        (Data, (0, 0, 1, 1), ""),
        (Data, (0, 1, 1, 1), "2023"),
        (Data, (0, 2, 1, 1), "Change"),
        (Data, (1, 0, 1, 1), "Sales"),
        (Data, (1, 1, 1, 1), "1,200"),
        (Data, (1, 2, 1, 1), "4 %"),
        (Data, (2, 0, 1, 1), "Costs"),
        (Data, (2, 1, 1, 1), "(900)"),
        (Data, (2, 2, 1, 1), "–"),
    ];
    assert_eq!(
        table("{}", &cells),
        ["*|*2023|*Change", "*Sales|1,200|4 %", "*Costs|(900)|–"]
    );
    assert_eq!(run(r#"{"headers": "keep"}"#, &cells), []);
    let words = [
        (Data, (0, 0, 1, 1), "Name"),
        (Data, (0, 1, 1, 1), "Town"),
        (Data, (1, 0, 1, 1), "Anna"),
        (Data, (1, 1, 1, 1), "Bern"),
    ];
    assert_eq!(run("{}", &words), []);
    let numbers = [
        (Data, (0, 0, 1, 1), "Total"),
        (Data, (0, 1, 1, 1), "12.50"),
        (Data, (1, 0, 1, 1), "Tax"),
        (Data, (1, 1, 1, 1), "1.10"),
    ];
    assert_eq!(run("{}", &numbers), []);
    let marked = [
        (RowHeader, (0, 0, 1, 1), "Kind"),
        (Data, (0, 1, 1, 1), "Sum"),
        (Data, (1, 0, 1, 1), "a"),
        (Data, (1, 1, 1, 1), "1"),
    ];
    assert_eq!(run("{}", &marked), []);
}

#[test]
fn nonsense_is_no_trouble() {
    let far = [
        (Data, (u32::MAX, u32::MAX, u32::MAX, u32::MAX), "a"),
        (Data, (0, 0, u32::MAX, 1), "b"),
        (Data, (7, 0, 0, 0), "c"),
    ];
    assert_eq!(table("{}", &far), ["b|", "c|", "|a"]);
    let many: Vec<Given> = (0..70_000)
        .map(|i| (Data, (i / 300, i % 300, 1, 1), "x"))
        .collect();
    assert_eq!(run("{}", &many), []);
    let piled: Vec<Given> = (0..3_000).map(|_| (Data, (0, 0, 1, 1), "x")).collect();
    assert_eq!(table("{}", &piled), ["x"]);
}
