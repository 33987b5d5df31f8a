//! Cells on a grid on which each place belongs to one.

use ocr_plugin::{Cell, CellKind, NewCell, Page};
use std::collections::BTreeSet;

/// Most places of a grid that is put in order, as the contract bounds the cells of a table.
const MOST_PLACES: usize = 65_536;

/// How far to the right of a table cells may be pushed by others on their places.
const MOST_PUSHED: u32 = 64;

/// A table whose cells do not overlap.
#[derive(Debug)]
pub struct Grid {
    cells: Vec<NewCell>,
    rows: u32,
    columns: u32,
}

/// A page's cell as one that is written anew.
pub fn new_cell(page: &Page, cell: &Cell) -> NewCell {
    NewCell {
        kind: cell.kind,
        row: cell.row,
        column: cell.column,
        row_span: cell.row_span,
        column_span: cell.column_span,
        area: cell.area,
        text: cell.text(page).to_owned(),
    }
}

/// Whether two lists hold the same cells, in whatever order.
pub fn same(a: &[NewCell], b: &[NewCell]) -> bool {
    let sorted = |cells: &[NewCell]| {
        let mut cells = cells.to_vec();
        cells.sort_by_key(|c| (c.row, c.column));
        cells
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

impl Grid {
    /// Places cells row by row: one whose place is taken goes to the next free one of its row, one that spans what is taken
    /// covers less. None where the table is too large or says nonsense about its size.
    pub fn place(mut cells: Vec<NewCell>) -> Option<Self> {
        if cells.is_empty() || cells.len() > MOST_PLACES {
            return None;
        }
        // Places are counted without gaps, so that a lonely cell at row four billion is in the next row.
        close_gaps(&mut cells, |c| &mut c.row);
        close_gaps(&mut cells, |c| &mut c.column);
        let rows = cells.iter().map(|c| c.row).max()? + 1;
        let columns = cells.iter().map(|c| c.column).max()? + 1;
        if rows as usize * columns as usize > MOST_PLACES {
            return None;
        }
        for cell in &mut cells {
            cell.text = cell.text.trim().to_owned();
            cell.row_span = cell.row_span.clamp(1, rows - cell.row);
            // A span over columns that nobody else names is one of the columns there are.
            cell.column_span = cell.column_span.clamp(1, columns - cell.column);
        }
        cells.sort_by_key(|c| (c.row, c.column));
        let mut grid = Grid {
            cells: Vec::with_capacity(cells.len()),
            rows,
            columns,
        };
        let mut taken: BTreeSet<(u32, u32)> = BTreeSet::new();
        // Where others begin is theirs, before spans are given.
        let begins: BTreeSet<(u32, u32)> = cells.iter().map(|c| (c.row, c.column)).collect();
        for mut cell in cells {
            let mut moved = false;
            while taken.contains(&(cell.row, cell.column))
                || moved && begins.contains(&(cell.row, cell.column))
            {
                // What says what stands there already is a copy, as some engines make of spans.
                let there = grid.at(cell.row, cell.column);
                if !moved && there.is_some_and(|c| c.text == cell.text || cell.text.is_empty()) {
                    break;
                }
                cell.column += 1;
                (cell.column_span, moved) = (1, true);
            }
            if taken.contains(&(cell.row, cell.column)) {
                continue;
            }
            if cell.column > columns.saturating_add(MOST_PUSHED) {
                return None;
            }
            let own = |row: u32, column: u32| (row, column) == (cell.row, cell.column);
            let is_free = |row: u32, column: u32| {
                own(row, column) || !(taken.contains(&(row, column)) || begins.contains(&(row, column)))
            };
            let wide = (1..cell.column_span)
                .take_while(|i| is_free(cell.row, cell.column + i))
                .count() as u32
                + 1;
            let row_is_free = |i: &u32| (0..wide).all(|j| is_free(cell.row + i, cell.column + j));
            let high = (1..cell.row_span).take_while(row_is_free).count() as u32 + 1;
            (cell.column_span, cell.row_span) = (wide, high);
            for row in cell.row..cell.row + high {
                taken.extend((cell.column..cell.column + wide).map(|column| (row, column)));
            }
            grid.columns = grid.columns.max(cell.column + wide);
            grid.cells.push(cell);
        }
        Some(grid)
    }

    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(|c| c.text.is_empty())
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub fn columns(&self) -> u32 {
        self.columns
    }

    pub fn cells(&self) -> &[NewCell] {
        &self.cells
    }

    pub fn cells_mut(&mut self) -> &mut [NewCell] {
        &mut self.cells
    }

    /// The cell that covers a place.
    pub fn at(&self, row: u32, column: u32) -> Option<&NewCell> {
        let covers = |c: &&NewCell| {
            (c.row..c.row + c.row_span).contains(&row)
                && (c.column..c.column + c.column_span).contains(&column)
        };
        self.cells.iter().find(covers)
    }

    /// Takes out rows and columns in which no text begins and that no text needs: a span covers fewer of them then.
    pub fn drop_empty(&mut self) {
        let full = |cell: &&NewCell| !cell.text.is_empty();
        let rows: BTreeSet<u32> = self.cells.iter().filter(full).map(|c| c.row).collect();
        let columns: BTreeSet<u32> = self.cells.iter().filter(full).map(|c| c.column).collect();
        if rows.is_empty() {
            return;
        }
        let kept = |all: &BTreeSet<u32>, from: u32, to: u32| all.range(from..to).count() as u32;
        self.cells.retain_mut(|cell| {
            let (row_span, column_span) = (
                kept(&rows, cell.row, cell.row + cell.row_span),
                kept(&columns, cell.column, cell.column + cell.column_span),
            );
            (cell.row, cell.column) = (kept(&rows, 0, cell.row), kept(&columns, 0, cell.column));
            (cell.row_span, cell.column_span) = (row_span, column_span);
            row_span > 0 && column_span > 0
        });
        (self.rows, self.columns) = (rows.len() as u32, columns.len() as u32);
    }

    /// Gives every place that belongs to nobody an empty cell.
    pub fn fill(&mut self) {
        let mut taken = vec![false; self.rows as usize * self.columns as usize];
        for cell in &self.cells {
            for row in cell.row..cell.row + cell.row_span {
                for column in cell.column..cell.column + cell.column_span {
                    taken[row as usize * self.columns as usize + column as usize] = true;
                }
            }
        }
        for (place, _) in taken.iter().enumerate().filter(|(_, taken)| !**taken) {
            self.cells.push(NewCell {
                kind: CellKind::Data,
                row: place as u32 / self.columns,
                column: place as u32 % self.columns,
                row_span: 1,
                column_span: 1,
                area: None,
                text: String::new(),
            });
        }
        self.cells.sort_by_key(|c| (c.row, c.column));
    }

    pub fn into_cells(self) -> Vec<NewCell> {
        self.cells
    }
}

/// Renumbers rows or columns so that each in which a cell begins follows the one before; those that only a span reaches
/// are not there. A table in order is not changed: its rows and columns all begin a cell.
fn close_gaps(cells: &mut [NewCell], of: fn(&mut NewCell) -> &mut u32) {
    let used: BTreeSet<u32> = cells.iter_mut().map(|c| *of(c)).collect();
    let used: Vec<u32> = used.into_iter().collect();
    // A few gaps are empty rows; a table that is mostly gaps has lost its count.
    let most = used.last().copied().unwrap_or_default() as usize;
    if most < 4 * used.len() + 16 {
        return;
    }
    for cell in cells {
        let place = of(cell);
        *place = used.partition_point(|u| u < place) as u32;
    }
}
