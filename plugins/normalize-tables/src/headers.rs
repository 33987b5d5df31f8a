//! Which rows name the columns, where nobody has said so.

use crate::grid::Grid;
use ocr_plugin::CellKind;

/// Share of a column's cells that have to be numbers before it is one of numbers.
const MOSTLY: f64 = 0.6;

/// Marks the first row as column headers where it has words over columns of numbers, and all cells of the first column as
/// row headers where the corner above them is empty besides.
pub fn detect(grid: &mut Grid) {
    let is_marked = |kind: CellKind| kind != CellKind::Data;
    if grid.rows() < 2 || grid.columns() < 2 || grid.cells().iter().any(|c| is_marked(c.kind)) {
        return;
    }
    let mut named = 0;
    for column in 0..grid.columns() {
        let Some(head) = grid.at(0, column) else { return };
        // A number at the head may be a year; over a column of numbers nobody knows.
        if !head.text.is_empty() && is_number(&head.text) && !is_year(&head.text) {
            return;
        }
        named += u32::from(!head.text.is_empty() && is_numeric(grid, column));
    }
    if named == 0 {
        return;
    }
    let corner_is_empty = grid.at(0, 0).is_some_and(|c| c.text.is_empty());
    let names_rows = corner_is_empty && !is_numeric(grid, 0);
    for cell in grid.cells_mut() {
        if cell.row == 0 {
            cell.kind = CellKind::ColumnHeader;
        } else if names_rows && cell.column == 0 && !cell.text.is_empty() {
            cell.kind = CellKind::RowHeader;
        }
    }
}

/// Whether most of what stands below a column's head are numbers.
fn is_numeric(grid: &Grid, column: u32) -> bool {
    let below = grid
        .cells()
        .iter()
        .filter(|c| c.row > 0 && c.column == column && !c.text.is_empty());
    let (mut all, mut numbers) = (0, 0);
    for cell in below {
        all += 1;
        numbers += u32::from(is_number(&cell.text));
    }
    all > 0 && f64::from(numbers) >= MOSTLY * f64::from(all)
}

/// Whether a text is a number with its marks: `1,234.50`, `(12)`, `€ 3.-`, `12 %`, `-`.
pub fn is_number(text: &str) -> bool {
    let digits = text.chars().filter(|c| c.is_numeric()).count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    match digits {
        0 => text.chars().all(|c| matches!(c, '-' | '\u{2013}' | '\u{2014}')) && !text.is_empty(),
        // Units and currencies have up to three letters.
        _ => letters <= 3 && letters <= digits,
    }
}

fn is_year(text: &str) -> bool {
    let text = text.trim();
    text.len() == 4 && text.parse::<u32>().is_ok_and(|n| (1500..2200).contains(&n))
}
