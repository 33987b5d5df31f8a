//! A table's cells as Docling wants them: a list, and the same as a grid in which a cell fills every place it spans.

use crate::schema::{BBox, TableCell, TableData};
use ocr_plugin::{CellKind, Page, Rect};

/// Rows and columns that are taken at their word; engines that loop count further.
const LONGEST: u32 = 10_000;
/// Places of a grid. A sparse table with more is written without one.
const GRID_PLACES: u64 = 250_000;

/// The data of the table whose span is `table`. A table without cells becomes one cell with the table's text.
pub fn data<'p>(
    page: &'p Page<'_>,
    table: usize,
    text: &'p str,
    bbox: impl Fn(Rect) -> BBox,
) -> TableData<'p> {
    let mut cells: Vec<TableCell<'p>> = Vec::new();
    for cell in page.cells_of(table) {
        if cell.row >= LONGEST || cell.column >= LONGEST {
            continue;
        }
        let row_span = cell.row_span.clamp(1, LONGEST - cell.row);
        let col_span = cell.column_span.clamp(1, LONGEST - cell.column);
        cells.push(TableCell {
            bbox: cell.area.map(&bbox),
            row_span,
            col_span,
            start_row_offset_idx: cell.row,
            end_row_offset_idx: cell.row + row_span,
            start_col_offset_idx: cell.column,
            end_col_offset_idx: cell.column + col_span,
            text: cell.text(page),
            column_header: cell.kind == CellKind::ColumnHeader,
            row_header: cell.kind == CellKind::RowHeader,
            row_section: cell.kind == CellKind::RowSection,
            fillable: false,
        });
    }
    if cells.is_empty() && !text.is_empty() {
        cells.push(TableCell { text, ..empty(0, 0) });
    }
    let num_rows = cells.iter().map(|c| c.end_row_offset_idx).max().unwrap_or(0);
    let num_cols = cells.iter().map(|c| c.end_col_offset_idx).max().unwrap_or(0);
    let grid = grid(&cells, num_rows, num_cols);
    TableData {
        table_cells: cells,
        num_rows,
        num_cols,
        orientation: "rot_0",
        grid,
    }
}

fn grid<'p>(cells: &[TableCell<'p>], rows: u32, columns: u32) -> Vec<Vec<TableCell<'p>>> {
    if u64::from(rows) * u64::from(columns) > GRID_PLACES {
        return Vec::new();
    }
    let mut grid: Vec<Vec<TableCell<'p>>> = (0..rows)
        .map(|r| (0..columns).map(|c| empty(r, c)).collect())
        .collect();
    for cell in cells {
        for row in &mut grid[cell.start_row_offset_idx as usize..cell.end_row_offset_idx as usize] {
            let (from, to) = (
                cell.start_col_offset_idx as usize,
                cell.end_col_offset_idx as usize,
            );
            row[from..to].fill(cell.clone());
        }
    }
    grid
}

fn empty(row: u32, column: u32) -> TableCell<'static> {
    TableCell {
        bbox: None,
        row_span: 1,
        col_span: 1,
        start_row_offset_idx: row,
        end_row_offset_idx: row + 1,
        start_col_offset_idx: column,
        end_col_offset_idx: column + 1,
        text: "",
        column_header: false,
        row_header: false,
        row_section: false,
        fillable: false,
    }
}
