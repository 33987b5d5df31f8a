//! A table from its cells: pipes where they can carry it, HTML where cells span or hold several lines.

use super::Inline;
use crate::{Cell, CellKind, Page};
use std::collections::HashMap;

/// A grid larger than this, in cells, is written as HTML whatever it holds: pipes need every place filled.
const MOST_PLACES: u64 = 20_000;

/// Which cells belong to which table, found once for a page.
pub(super) struct Tables(HashMap<u32, Vec<usize>>);

impl Tables {
    pub(super) fn of(page: &Page) -> Self {
        let mut cells: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, cell) in page.cells().iter().enumerate() {
            cells.entry(cell.table).or_default().push(at);
        }
        Self(cells)
    }

    /// The table of span `index`; `None` where it has no cells.
    pub(super) fn render(&self, page: &Page, index: u32, inline: Inline) -> Option<String> {
        let cells = self.0.get(&index)?.iter().map(|&at| &page.cells()[at]);
        let cells = cells.map(|c| (c, page.text_of(c.text).trim()));
        render(&cells.collect::<Vec<_>>(), inline)
    }
}

fn render(cells: &[(&Cell, &str)], inline: Inline) -> Option<String> {
    let rows = cells.iter().map(|(c, _)| u64::from(c.row) + 1).max()?;
    let columns = cells.iter().map(|(c, _)| u64::from(c.column) + 1).max()?;
    let plain = cells
        .iter()
        .all(|(c, text)| c.row_span <= 1 && c.column_span <= 1 && !text.contains('\n'));
    Some(if plain && rows * columns <= MOST_PLACES {
        pipes(cells, rows as usize, columns as usize, inline)
    } else {
        html(cells)
    })
}

/// The first row is the head, for pipes can't do without one.
fn pipes(cells: &[(&Cell, &str)], rows: usize, columns: usize, inline: Inline) -> String {
    let mut grid = vec![vec![String::new(); columns]; rows];
    for (cell, text) in cells {
        grid[cell.row as usize][cell.column as usize] = inline(text).replace('|', "\\|");
    }
    let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![row(&grid[0]), format!("|{}", " --- |".repeat(columns))];
    lines.extend(grid[1..].iter().map(|cells| row(cells)));
    lines.join("\n")
}

fn html(cells: &[(&Cell, &str)]) -> String {
    let mut sorted: Vec<&(&Cell, &str)> = cells.iter().collect();
    sorted.sort_by_key(|(c, _)| (c.row, c.column));
    let mut out = String::from("<table>\n");
    let mut row = None;
    for (cell, text) in sorted {
        if row != Some(cell.row) {
            out.push_str(if row.is_some() { "</tr>\n<tr>" } else { "<tr>" });
            row = Some(cell.row);
        }
        let tag = if cell.kind == CellKind::Data { "td" } else { "th" };
        out.push_str(&format!("<{tag}"));
        for (name, span) in [("rowspan", cell.row_span), ("colspan", cell.column_span)] {
            if span > 1 {
                out.push_str(&format!(" {name}=\"{span}\""));
            }
        }
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('\n', "<br>");
        out.push_str(&format!(">{text}</{tag}>"));
    }
    out.push_str("</tr>\n</table>");
    out
}

#[cfg(test)]
mod tests {
    use crate::{Cell, CellKind, PageBuilder, PageInfo, Rect, Slice, SpanKind};

    fn table(cells: &[(u32, u32, u32, &str)]) -> String {
        let mut page = PageBuilder::new(PageInfo::new(0, 1, 9, 9));
        let table = page.push_span(SpanKind::Table, "table", 0, Rect::default(), None, "");
        for &(row, column, column_span, text) in cells {
            let kind = if row == 0 {
                CellKind::ColumnHeader
            } else {
                CellKind::Data
            };
            let cell = Cell {
                table,
                kind,
                row,
                column,
                row_span: 1,
                column_span,
                area: None,
                confidence: None,
                text: Slice::default(),
            };
            page.push_cell(cell, text);
        }
        page.finish().markdown().to_owned()
    }

    #[test]
    fn plain_tables_are_pipes_with_every_place_filled() {
        let found = table(&[(0, 0, 1, "a|b"), (0, 1, 1, "c"), (1, 1, 1, "*d*")]);
        assert_eq!(found, "| a\\|b | c |\n| --- | --- |\n|  | \\*d\\* |\n");
    }

    #[test]
    fn spans_and_lines_need_html() {
        let found = table(&[(0, 0, 2, "a<b"), (1, 0, 1, "c\nd"), (1, 1, 1, "")]);
        let expected =
            "<table>\n<tr><th colspan=\"2\">a&lt;b</th></tr>\n<tr><td>c<br>d</td><td></td></tr>\n</table>\n";
        assert_eq!(found, expected);
    }
}
