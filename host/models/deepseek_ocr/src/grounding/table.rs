//! Tables: from the model's HTML, or from rows of pipes, to a grid of cells.
//!
//! The reader knows rows, cells, spans, heads and line breaks, and drops every other tag but not the text around it.
//! Tables inside cells become the cell's text. The HTML that is handed on is written anew from the cells.
//!
//! Invariants of a [`Grid`]: cells lie inside it, do not overlap, and stand row by row.

use super::flaws::{Flaw, Flaws};
use super::html::{HtmlTag, decoded, plain, squeezed, tags};
use ocr_document::CellKind;

/// Rows that a table may have. A page's 8,192 tokens write fewer.
pub const MAX_ROWS: usize = 4096;
/// Columns that a table may have, spans included; printed tables have some dozens.
pub const MAX_COLUMNS: usize = 512;
/// Cells that a table may have. A cell takes two of a page's 8,192 tokens.
pub const MAX_CELLS: usize = 4096;

/// A cell; rows and columns count from 0, spans from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GridCell {
    pub row: u32,
    pub column: u32,
    pub row_span: u32,
    pub column_span: u32,
    pub kind: CellKind,
    pub text: String,
}

/// A table; see the module's invariants.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Grid {
    pub cells: Vec<GridCell>,
}

/// What a table's HTML holds.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    /// `None`: no table within the bounds; all text is in `stray`.
    pub grid: Option<Grid>,
    /// Text outside the cells.
    pub stray: String,
}

/// Where the first `<table` of `text` starts and where its end tag ends; the text's end where it has none.
pub(super) fn find(text: &str, flaws: &mut Flaws) -> Option<(usize, usize)> {
    let start = tags(text).find(|tag| tag.opens("table"))?.start;
    let mut depth = 0;
    for tag in tags(&text[start..]).filter(|tag| tag.name.eq_ignore_ascii_case("table")) {
        depth += if tag.closes { -1 } else { 1 };
        if depth == 0 {
            return Some((start, start + tag.end));
        }
    }
    flaws.note(Flaw::TableUnclosed);
    Some((start, text.len()))
}

/// Reads one table's HTML.
pub(super) fn read_html(html: &str, flaws: &mut Flaws) -> Read {
    let mut reader = Reader::default();
    let mut at = 0;
    for tag in tags(html) {
        reader.text(&html[at..tag.start]);
        at = tag.end;
        reader.tag(&tag);
    }
    reader.text(&html[at..]);
    reader.end_cell();
    let stray = decoded(&reader.stray).trim().to_owned();
    let flaw = match place(reader.rows, flaws) {
        Ok(grid) => {
            if !stray.is_empty() {
                flaws.note(Flaw::TableStrayText);
            }
            return Read {
                grid: Some(grid),
                stray,
            };
        }
        Err(flaw) => flaw,
    };
    flaws.note(flaw);
    Read {
        grid: None,
        stray: plain(html),
    }
}

/// A table of rows of pipes: the head, the line below it, and rows. `None` where it is beyond the bounds.
pub(super) fn read_pipes(rows: &[&str], flaws: &mut Flaws) -> Option<Grid> {
    let split = |(n, row): (usize, &&str)| {
        let kind = if n == 0 {
            CellKind::ColumnHeader
        } else {
            CellKind::Data
        };
        let cell = |text| RawCell {
            kind,
            row_span: 1,
            column_span: 1,
            text,
        };
        pipes(row).into_iter().map(cell).collect()
    };
    match place(rows.iter().enumerate().map(split).collect(), flaws) {
        Ok(grid) => Some(grid),
        Err(flaw) => {
            flaws.note(flaw);
            None
        }
    }
}

/// The cells of a row of pipes; `\|` is a pipe inside one.
fn pipes(row: &str) -> Vec<String> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for c in row.chars() {
        let cell = cells.last_mut().expect("a row has a cell");
        match c {
            '|' if escaped => {
                cell.pop();
                cell.push(c);
            }
            '|' => cells.push(String::new()),
            c => cell.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    if cells.len() > 1 && cells.last().is_some_and(|last| last.trim().is_empty()) {
        cells.pop();
    }
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}

impl Grid {
    /// The table as HTML: rows, cells, spans and escaped text, nothing else.
    pub fn html(&self) -> String {
        let mut out = String::from("<table>");
        for row in self.cells.chunk_by(|a, b| a.row == b.row) {
            out.push_str("<tr>");
            for cell in row {
                let tag = if cell.kind == CellKind::Data { "td" } else { "th" };
                out.push_str(&format!("<{tag}"));
                for (name, span) in [("rowspan", cell.row_span), ("colspan", cell.column_span)] {
                    if span > 1 {
                        out.push_str(&format!(" {name}=\"{span}\""));
                    }
                }
                out.push('>');
                for c in cell.text.chars() {
                    match c {
                        '&' => out.push_str("&amp;"),
                        '<' => out.push_str("&lt;"),
                        '>' => out.push_str("&gt;"),
                        '\n' => out.push_str("<br>"),
                        c => out.push(c),
                    }
                }
                out.push_str(&format!("</{tag}>"));
            }
            out.push_str("</tr>");
        }
        out + "</table>"
    }

    /// Cells parted by tabs, rows by line feeds.
    pub fn text(&self) -> String {
        let rows = self.cells.chunk_by(|a, b| a.row == b.row);
        let row = |cells: &[GridCell]| {
            let texts: Vec<&str> = cells.iter().map(|c| c.text.as_str()).collect();
            texts.join("\t")
        };
        rows.map(row).collect::<Vec<_>>().join("\n")
    }
}

struct RawCell {
    kind: CellKind,
    row_span: u32,
    column_span: u32,
    text: String,
}

#[derive(Default)]
struct Reader {
    /// Tables that are open.
    depth: u32,
    in_head: bool,
    rows: Vec<Vec<RawCell>>,
    cell: Option<RawCell>,
    stray: String,
}

impl Reader {
    fn text(&mut self, text: &str) {
        match &mut self.cell {
            Some(cell) => cell.text.push_str(text),
            None => self.stray.push_str(text),
        }
    }

    fn tag(&mut self, tag: &HtmlTag) {
        let name = tag.name.to_ascii_lowercase();
        if name == "table" {
            self.depth = if tag.closes {
                self.depth.saturating_sub(1)
            } else {
                self.depth + 1
            };
        }
        if self.depth > 1 || name == "table" {
            // Cells of a table inside are parted by spaces.
            return self.text(" ");
        }
        match (name.as_str(), tag.closes) {
            ("tr", false) => {
                self.end_cell();
                self.rows.push(Vec::new());
            }
            ("td" | "th", false) => {
                self.end_cell();
                let header = name == "th" || self.in_head;
                self.cell = Some(RawCell {
                    kind: if header {
                        CellKind::ColumnHeader
                    } else {
                        CellKind::Data
                    },
                    row_span: tag.number("rowspan"),
                    column_span: tag.number("colspan"),
                    text: String::new(),
                });
            }
            ("tr" | "td" | "th", true) => self.end_cell(),
            ("thead" | "tbody" | "tfoot", _) => {
                self.end_cell();
                self.in_head = name == "thead" && !tag.closes;
            }
            ("br" | "p" | "div" | "li", _) => self.text("\n"),
            _ => {}
        }
    }

    fn end_cell(&mut self) {
        let Some(mut cell) = self.cell.take() else { return };
        cell.text = squeezed(&decoded(&cell.text));
        if self.rows.is_empty() {
            self.rows.push(Vec::new());
        }
        let row = self.rows.len() - 1;
        self.rows[row].push(cell);
        self.stray.push('\n');
    }
}

/// Gives each cell its place, as HTML does: the next one in its row that no cell from above holds.
fn place(rows: Vec<Vec<RawCell>>, flaws: &mut Flaws) -> Result<Grid, Flaw> {
    let count: usize = rows.iter().map(Vec::len).sum();
    if count == 0 {
        return Err(Flaw::TableEmpty);
    }
    let last = rows.len() as u32;
    if rows.len() > MAX_ROWS || count > MAX_CELLS {
        return Err(Flaw::TableTooLarge);
    }
    // The row from which each column is free again.
    let mut free_from = vec![0_u32; MAX_COLUMNS];
    let mut cells = Vec::with_capacity(count);
    for (row, of_row) in (0_u32..).zip(rows) {
        let header_row = of_row.iter().all(|c| c.kind == CellKind::ColumnHeader);
        let mut column = 0;
        for cell in of_row {
            while column < MAX_COLUMNS && free_from[column] > row {
                column += 1;
            }
            let room = free_from[column..]
                .iter()
                .take_while(|&&free| free <= row)
                .count();
            if room == 0 {
                return Err(Flaw::TableTooLarge);
            }
            let column_span = cell.column_span.min(room as u32);
            let row_span = cell.row_span.min(last - row);
            if (row_span, column_span) != (cell.row_span, cell.column_span) {
                flaws.note(Flaw::TableSpanCut);
            }
            free_from[column..column + column_span as usize].fill(row + row_span);
            cells.push(GridCell {
                row,
                column: column as u32,
                row_span,
                column_span,
                kind: match cell.kind {
                    CellKind::ColumnHeader if !header_row => CellKind::RowHeader,
                    kind => kind,
                },
                text: cell.text,
            });
            column += column_span as usize;
        }
    }
    Ok(Grid { cells })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row, column, rows, columns and text.
    type Found = (u32, u32, u32, u32, String);

    /// The cells, the text outside of them, and the codes of the diagnostics.
    fn cells(html: &str) -> (Vec<Found>, String, Vec<String>) {
        let mut flaws = Flaws::default();
        let read = read_html(html, &mut flaws);
        let cells = read.grid.unwrap_or_default().cells.into_iter();
        let codes = flaws.diagnostics().into_iter().map(|d| d.code).collect();
        let cells = cells.map(|c| (c.row, c.column, c.row_span, c.column_span, c.text));
        (cells.collect(), read.stray, codes)
    }

    fn grid(html: &str) -> Grid {
        read_html(html, &mut Flaws::default()).grid.unwrap()
    }

    #[test]
    fn spans_push_the_cells_beside_and_below() {
        let html = "<table><tr><td rowspan=\"2\">a</td><td colspan='2'>b</td></tr><tr><td>c</td><td>d</td></tr></table>";
        let (found, stray, codes) = cells(html);
        let expected = [
            (0, 0, 2, 1, "a"),
            (0, 1, 1, 2, "b"),
            (1, 1, 1, 1, "c"),
            (1, 2, 1, 1, "d"),
        ];
        let found: Vec<_> = found.iter().map(|c| (c.0, c.1, c.2, c.3, c.4.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!((stray.as_str(), codes.len()), ("", 0));
        assert_eq!(grid(html).html(), html.replace('\'', "\""));
        assert_eq!(grid(html).text(), "a\tb\nc\td");
    }

    #[test]
    fn heads_name_columns_and_rows() {
        let html = "<TABLE><thead><tr><td>h</td></tr></thead><tr><th>r</th><td>1</td></tr><tr><th>s</th><th>t</th></tr></TABLE>";
        let kinds: Vec<CellKind> = grid(html).cells.iter().map(|c| c.kind).collect();
        use CellKind::{ColumnHeader, Data, RowHeader};
        assert_eq!(kinds, [ColumnHeader, RowHeader, Data, ColumnHeader, ColumnHeader]);
    }

    #[test]
    fn entities_are_decoded_once_and_tags_inside_dropped() {
        let (found, ..) =
            cells("<table><tr><td><b>a</b> &amp;lt; &#x41;&#66;&bogus; 1 < 2<br>c</td></tr></table>");
        assert_eq!(found[0].4, "a &lt; AB&bogus; 1 < 2\nc");
        let html = grid("<table><tr><td>&lt;script&gt;</td></tr></table>").html();
        assert_eq!(html, "<table><tr><td>&lt;script&gt;</td></tr></table>");
    }

    #[test]
    fn tables_inside_cells_are_text() {
        let (found, ..) = cells(
            "<table><tr><td>a<table><tr><td>b</td><td>c</td></tr></table>d</td><td>e</td></tr></table>",
        );
        let texts: Vec<&str> = found.iter().map(|c| c.4.as_str()).collect();
        assert_eq!(
            texts
                .iter()
                .map(|t| t.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>(),
            ["a b c d", "e"]
        );
    }

    #[test]
    fn what_is_cut_off_or_astray_is_kept_and_said() {
        let mut flaws = Flaws::default();
        let text = "x <table><tr><td>a</td><td>b";
        assert_eq!(find(text, &mut flaws), Some((2, text.len())));
        assert_eq!(flaws.diagnostics()[0].code, "table-unclosed");
        let (found, stray, codes) = cells("<table>note<tr><td>a</td>b<td>c");
        assert_eq!(found.len(), 2);
        assert_eq!(
            (stray.as_str(), codes[0].as_str()),
            ("note\nb", "table-stray-text")
        );
        let (found, stray, codes) = cells("<table>only <i>text</i></table>");
        assert_eq!(
            (found.len(), stray.as_str(), codes[0].as_str()),
            (0, "only text", "table-empty")
        );
    }

    #[test]
    fn bounds_hold() {
        let (found, _, codes) =
            cells("<table><tr><td rowspan=\"99999999999\" colspan=\"0\">a</td></tr></table>");
        assert_eq!((found[0].2, found[0].3), (1, 1));
        assert_eq!(codes, ["table-span-cut"]);
        let wide = format!("<table><tr>{}</tr></table>", "<td>x</td>".repeat(MAX_COLUMNS + 1));
        assert_eq!(cells(&wide).2, ["table-too-large"]);
        let long = format!("<table>{}</table>", "<tr><td>x</td></tr>".repeat(MAX_ROWS + 1));
        let (found, stray, codes) = cells(&long);
        assert_eq!((found.len(), stray.lines().count()), (0, MAX_ROWS + 1));
        assert_eq!(codes, ["table-too-large"]);
    }

    #[test]
    fn a_span_stops_at_a_cell_from_above() {
        let (found, _, codes) = cells(
            "<table><tr><td>a</td><td rowspan=2>b</td></tr><tr><td colspan=2>c</td><td>d</td></tr></table>",
        );
        assert_eq!((found[2].1, found[2].3, found[3].1), (0, 1, 2));
        assert_eq!(codes, ["table-span-cut"]);
    }

    #[test]
    fn pipes_become_cells() {
        assert_eq!(pipes("| a \\| b | | c |"), ["a | b", "", "c"]);
        let grid = read_pipes(&["a | b", "1 | 2 | 3"], &mut Flaws::default()).unwrap();
        assert_eq!((grid.cells.len(), grid.cells[4].column), (5, 2));
        assert_eq!(
            (grid.cells[1].kind, grid.cells[2].kind),
            (CellKind::ColumnHeader, CellKind::Data)
        );
    }
}
