//! A table's cells as rows of HTML.

use crate::text::escape;
use ocr_plugin::{Cell, CellKind, Page, push};

/// Rows and columns that are taken at their word; engines that loop count further.
const LONGEST: u32 = 2_000;
/// Places of a table beyond which holes are not filled.
const PLACES: u64 = 200_000;

/// The rows of the table whose span is `table`; none where it has no cells.
pub fn rows(page: &Page, table: usize) -> Option<String> {
    let mut cells: Vec<&Cell> = page
        .cells_of(table)
        .filter(|c| c.row < LONGEST && c.column < LONGEST)
        .collect();
    if cells.is_empty() {
        return None;
    }
    cells.sort_by_key(|c| (c.row, c.column));
    let end = |start: u32, span: u32| start.saturating_add(span.max(1)).min(LONGEST);
    let rows = cells.iter().map(|c| end(c.row, c.row_span)).max().unwrap_or(0);
    let columns = cells
        .iter()
        .map(|c| end(c.column, c.column_span))
        .max()
        .unwrap_or(0);
    let fill = u64::from(rows) * u64::from(columns) <= PLACES;
    let mut taken = vec![false; if fill { rows as usize * columns as usize } else { 0 }];

    let mut out = String::new();
    let mut next = cells.into_iter().peekable();
    let head = head_rows(page, table);
    for row in 0..rows {
        if row == 0 && head > 0 {
            out.push_str("<thead>");
        }
        if row == head {
            out.push_str(if head > 0 { "</thead><tbody>" } else { "<tbody>" });
        }
        out.push_str("<tr>");
        let mut column = 0;
        while let Some(cell) = next.next_if(|c| c.row == row) {
            if fill {
                holes(&mut out, &taken, row, columns, column..cell.column);
            }
            let (row_end, column_end) = (end(cell.row, cell.row_span), end(cell.column, cell.column_span));
            if fill {
                for r in row..row_end {
                    let at = r as usize * columns as usize;
                    taken[at + cell.column as usize..at + column_end as usize].fill(true);
                }
            }
            write_cell(&mut out, page, cell, row_end - cell.row, column_end - cell.column);
            column = column_end;
        }
        if fill {
            holes(&mut out, &taken, row, columns, column..columns);
        }
        out.push_str("</tr>\n");
    }
    out.push_str(if head >= rows { "</thead>" } else { "</tbody>" });
    Some(out)
}

/// How many rows from the top hold column headers and nothing else.
fn head_rows(page: &Page, table: usize) -> u32 {
    let of_row = |row: u32| page.cells_of(table).filter(move |c| c.row == row);
    let is_head =
        |row: &u32| of_row(*row).next().is_some() && of_row(*row).all(|c| c.kind == CellKind::ColumnHeader);
    (0..8).take_while(is_head).count() as u32
}

fn holes(out: &mut String, taken: &[bool], row: u32, columns: u32, range: std::ops::Range<u32>) {
    for column in range {
        if !taken[row as usize * columns as usize + column as usize] {
            out.push_str("<td></td>");
        }
    }
}

fn write_cell(out: &mut String, page: &Page, cell: &Cell, rows: u32, columns: u32) {
    let (name, scope) = match cell.kind {
        CellKind::Data => ("td", ""),
        CellKind::ColumnHeader => ("th", " scope=\"col\""),
        CellKind::RowHeader => ("th", " scope=\"row\""),
        CellKind::RowSection => ("th", " scope=\"rowgroup\""),
    };
    push!(out, "<", name, scope);
    if rows > 1 {
        push!(out, " rowspan=\"", rows, "\"");
    }
    if columns > 1 {
        push!(out, " colspan=\"", columns, "\"");
    }
    push!(out, ">", escape(cell.text(page)), "</", name, ">");
}
