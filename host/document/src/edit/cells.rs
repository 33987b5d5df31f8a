//! New cells of a table: whether they fit each other, and the table's text and markup that follow from cells.

use crate::{CellKind, NewCell};
use std::collections::BTreeMap;

/// Most cells of a table.
const MAX_CELLS: usize = 65_536;

/// Rows and columns lie below this.
const MAX_PLACES: u32 = 65_536;

/// What is wrong with a table's new cells.
pub(super) fn check(cells: &[NewCell]) -> Result<(), String> {
    if cells.len() > MAX_CELLS {
        return Err(format!(
            "{} cells are more than {MAX_CELLS} of a table",
            cells.len()
        ));
    }
    let end = |first: u32, span: u32| first.checked_add(span).filter(|&end| end <= MAX_PLACES);
    let mut starts: Vec<(u32, u32, u32, u32)> = Vec::with_capacity(cells.len());
    for cell in cells {
        let place = format!("the cell at row {}, column {}", cell.row, cell.column);
        if cell.row_span == 0 || cell.column_span == 0 {
            return Err(format!("{place} covers no row or no column"));
        }
        let ends = (end(cell.row, cell.row_span), end(cell.column, cell.column_span));
        let (Some(bottom), Some(right)) = ends else {
            return Err(format!("{place} reaches past row or column {MAX_PLACES}"));
        };
        starts.push((cell.row, cell.column, bottom, right));
    }
    starts.sort_unstable();
    // From top to bottom, the columns that are covered from above: first column to (end, row below the last).
    let mut open: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    let mut ends: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (row, column, bottom, right) in starts {
        while let Some(entry) = ends.first_entry().filter(|entry| *entry.key() <= row) {
            for first in entry.remove() {
                open.remove(&first);
            }
        }
        let before = open.range(..=column).next_back();
        let behind = open.range(column..).next();
        let meets = before.is_some_and(|(_, (end, _))| *end > column)
            || behind.is_some_and(|(&first, _)| first < right);
        if meets {
            return Err(format!(
                "the cell at row {row}, column {column} covers a place of another"
            ));
        }
        open.insert(column, (right, bottom));
        ends.entry(bottom).or_default().push(column);
    }
    Ok(())
}

/// A cell as far as text and markup need it.
pub(super) struct Written<'c> {
    pub kind: CellKind,
    pub row: u32,
    pub column: u32,
    pub row_span: u32,
    pub column_span: u32,
    pub text: &'c str,
}

/// Cells parted by tabs, rows by line feeds; and the same as HTML.
pub(super) fn text_and_markup(mut cells: Vec<Written<'_>>) -> (String, String) {
    cells.sort_by_key(|c| (c.row, c.column));
    let (mut text, mut html) = (String::new(), String::from("<table>"));
    for (at, row) in cells.chunk_by(|a, b| a.row == b.row).enumerate() {
        if at > 0 {
            text.push('\n');
        }
        html.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                text.push('\t');
            }
            text.push_str(cell.text);
            write(cell, &mut html);
        }
        html.push_str("</tr>");
    }
    html.push_str("</table>");
    (text, html)
}

fn write(cell: &Written<'_>, html: &mut String) {
    let tag = if cell.kind == CellKind::Data { "td" } else { "th" };
    html.push('<');
    html.push_str(tag);
    for (name, span) in [("rowspan", cell.row_span), ("colspan", cell.column_span)] {
        if span > 1 {
            html.push_str(&format!(" {name}=\"{span}\""));
        }
    }
    html.push('>');
    for c in cell.text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '\n' => html.push_str("<br>"),
            c => html.push(c),
        }
    }
    html.push_str("</");
    html.push_str(tag);
    html.push('>');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(row: u32, column: u32, row_span: u32, column_span: u32) -> NewCell {
        NewCell {
            kind: CellKind::Data,
            row,
            column,
            row_span,
            column_span,
            area: None,
            text: String::new(),
        }
    }

    #[test]
    fn cells_that_meet_are_found() {
        assert_eq!(
            check(&[
                cell(0, 0, 2, 1),
                cell(0, 1, 1, 2),
                cell(1, 1, 1, 1),
                cell(2, 0, 1, 3)
            ]),
            Ok(())
        );
        for wrong in [
            vec![cell(0, 0, 1, 1), cell(0, 0, 1, 1)],
            vec![cell(0, 0, 3, 1), cell(2, 0, 1, 1)],
            vec![cell(0, 1, 1, 2), cell(0, 0, 1, 2)],
            vec![cell(0, 0, 65_536, 65_536), cell(65_535, 65_535, 1, 1)],
            vec![cell(0, 5, 9, 1), cell(1, 2, 1, 9)],
        ] {
            assert!(check(&wrong).unwrap_err().contains("covers a place"), "{wrong:?}");
        }
        assert!(check(&[cell(0, 0, 0, 1)]).unwrap_err().contains("no row"));
        assert!(check(&[cell(65_535, 0, 2, 1)]).unwrap_err().contains("past row"));
        assert!(
            check(&[cell(u32::MAX, 0, 2, 1)])
                .unwrap_err()
                .contains("past row")
        );
    }
}
