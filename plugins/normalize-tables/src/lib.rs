//! Puts tables in order, so that every row has every column once.
//!
//! Engines read tables with ragged rows, cells on top of each other, spans that reach past the end, rows and columns
//! that hold nothing, and header rows that nobody marked. A table in which nothing is wrong is left as it is. The text of
//! a cell is never changed, but for the white space around it: what a number's marks mean is not this plugin's business.

#![forbid(unsafe_code)]

mod grid;
mod headers;

use grid::Grid;
use ocr_plugin::{BlockKind, Config, DocInfo, Edit, Page, Processor, Result};
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Empty {
    #[default]
    Drop,
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Headers {
    #[default]
    Detect,
    Keep,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    empty: Empty,
    headers: Headers,
}

struct NormalizeTables(Settings);

impl Processor for NormalizeTables {
    fn open(_: &DocInfo, config: Config) -> Result<Self> {
        Ok(Self(config.parse()?))
    }

    fn process(&mut self, page: &Page) -> Result<Vec<Edit>> {
        let tables = page
            .spans()
            .iter()
            .enumerate()
            .filter(|(_, s)| s.kind == BlockKind::Table);
        Ok(tables.filter_map(|(index, _)| self.table(page, index)).collect())
    }
}

impl NormalizeTables {
    /// The table's cells anew; none where they are in order, or where they make no sense.
    fn table(&self, page: &Page, index: usize) -> Option<Edit> {
        let before: Vec<_> = page
            .cells_of(index)
            .map(|cell| grid::new_cell(page, cell))
            .collect();
        let mut grid = Grid::place(before.clone())?;
        if self.0.empty == Empty::Drop {
            grid.drop_empty();
        }
        if grid.is_empty() {
            return None;
        }
        grid.fill();
        if self.0.headers == Headers::Detect {
            headers::detect(&mut grid);
        }
        let after = grid.into_cells();
        (!grid::same(&before, &after)).then_some(Edit::SetCells((index as u32, after)))
    }
}

ocr_plugin::export_processor!(NormalizeTables);

#[cfg(test)]
mod tests;
