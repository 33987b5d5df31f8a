//! Fills a table's grid with words, and wins a grid from the words alone where the network has none.
//!
//! Each word goes to the cell it lies in most; a line that the detector drew across two cells is parted on the way.
//! No word is left out: what lies in no cell goes to the nearest.

use crate::frame::{Bounds, Placed, median, overlap, rows};
use crate::recognize::TextLine;
use crate::structure::{Grid, GridCell};
use ocr_document::{Quad, Rect};

/// The network's grid is refused when more than this share of the words lies in none of its cells.
const MOST_OUTSIDE: f32 = 0.3;
/// Words of a row closer than this many text heights belong to one cell.
const WORD_GAP: f32 = 0.9;
/// A gutter between columns is crossed by at most this share of the rows.
const CROSSED: f32 = 0.12;

/// A word with its place on the page.
#[derive(Debug, Clone)]
struct Piece {
    text: String,
    bounds: Bounds,
    /// Index of its line's row, for the order inside a cell.
    row: usize,
    confidence: f32,
}

/// A grid with the text of its cells and their confidence.
pub(crate) struct Filled {
    pub grid: Grid,
    pub texts: Vec<String>,
    pub confidences: Vec<Option<f32>>,
    /// Whether the network's grid was refused or missing.
    pub geometric: bool,
}

/// Fills `grid` with the words of `inside`; takes a geometric grid when there is none or it doesn't fit.
pub(crate) fn fill(grid: Option<Grid>, inside: &[Placed], lines: &[TextLine]) -> Option<Filled> {
    let pieces = pieces(inside, lines);
    if pieces.is_empty() {
        return None;
    }
    let (grid, geometric) = match grid.filter(|grid| fits(grid, &pieces)) {
        Some(grid) => (grid, false),
        None => (geometric_grid(&pieces)?, true),
    };
    let mut cells: Vec<Vec<&Piece>> = vec![Vec::new(); grid.cells.len()];
    for piece in &pieces {
        cells[home(piece, &grid)].push(piece);
    }
    let texts = cells.iter().map(|pieces| cell_text(pieces)).collect();
    let confidences = cells.iter().map(|pieces| mean(pieces)).collect();
    Some(Filled {
        grid,
        texts,
        confidences,
        geometric,
    })
}

fn pieces(inside: &[Placed], lines: &[TextLine]) -> Vec<Piece> {
    let mut out = Vec::new();
    for (row, of) in rows(inside).iter().enumerate() {
        for line in of.lines.iter().map(|l| &lines[l.line]) {
            out.extend(line.words.iter().map(|w| Piece {
                text: line.text[w.range.clone()].to_owned(),
                bounds: around(&w.quad),
                row,
                confidence: w.confidence,
            }));
        }
    }
    out
}

fn around(quad: &Quad) -> Bounds {
    let [a, b, c, d] = quad.corners();
    let least = |f: fn(f32, f32) -> f32, v: [f32; 4]| v.into_iter().reduce(f).unwrap_or_default();
    let (xs, ys) = ([a.x, b.x, c.x, d.x], [a.y, b.y, c.y, d.y]);
    Bounds {
        x0: least(f32::min, xs),
        y0: least(f32::min, ys),
        x1: least(f32::max, xs),
        y1: least(f32::max, ys),
    }
}

/// Whether the network saw this table: its cells hold the words, and it found more than one.
fn fits(grid: &Grid, pieces: &[Piece]) -> bool {
    let outside = pieces.iter().filter(|p| {
        let (x, y) = p.bounds.middle();
        !grid.cells.iter().any(|c| {
            let b = Bounds::from(c.area);
            let slack = p.bounds.height() / 2.0;
            (b.x0 - slack..b.x1 + slack).contains(&x) && (b.y0 - slack..b.y1 + slack).contains(&y)
        })
    });
    grid.cells.len() > 1 && outside.count() as f32 <= MOST_OUTSIDE * pieces.len() as f32
}

/// The cell a word lies in most, else the nearest; rows count more than columns, for cells are wider than high.
fn home(piece: &Piece, grid: &Grid) -> usize {
    let (x, y) = piece.bounds.middle();
    let away = |cell: &GridCell| {
        let b = Bounds::from(cell.area);
        let common = b.common(&piece.bounds) / piece.bounds.area().max(1.0);
        let dx = (b.x0 - x).max(x - b.x1).max(0.0);
        let dy = (b.y0 - y).max(y - b.y1).max(0.0);
        dx + 4.0 * dy - common * piece.bounds.height()
    };
    let nearest =
        (0..grid.cells.len()).min_by(|&a, &b| away(&grid.cells[a]).total_cmp(&away(&grid.cells[b])));
    nearest.expect("a grid has cells")
}

/// Words parted by a space: rows of a cell are wrapped text far more often than lines of their own.
fn cell_text(pieces: &[&Piece]) -> String {
    pieces
        .iter()
        .map(|p| p.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn mean(pieces: &[&Piece]) -> Option<f32> {
    let sum: f32 = pieces.iter().map(|p| p.confidence).sum();
    (!pieces.is_empty()).then(|| sum / pieces.len() as f32)
}

/// A grid won from the places of words: a row for each row of text, columns between the gutters that few rows cross.
fn geometric_grid(pieces: &[Piece]) -> Option<Grid> {
    let height = median(pieces.iter().map(|p| p.bounds.height())).max(1.0);
    let row_count = pieces.iter().map(|p| p.row).max()? + 1;
    let segments = segments(pieces, WORD_GAP * height);
    let gutters = gutters(&segments, row_count);
    let columns = gutters.len() + 1;
    if row_count < 2 || columns < 2 {
        return None;
    }
    let column_of = |x: f32| gutters.iter().filter(|&&g| g < x).count();
    let mut cells: Vec<GridCell> = Vec::new();
    for row in 0..row_count {
        let mut next = 0;
        let of_row = segments.iter().filter(|s| s.row == row);
        let mut spans: Vec<(usize, usize, Bounds)> = Vec::new();
        for s in of_row {
            let (first, last) = (column_of(s.bounds.x0 + 1.0), column_of(s.bounds.x1 - 1.0));
            match spans.last_mut().filter(|(_, end, _)| *end >= first) {
                Some((_, end, bounds)) => (*end, *bounds) = (last.max(*end), bounds.union(&s.bounds)),
                None => spans.push((first, last, s.bounds)),
            }
        }
        let mut push = |first: usize, last: usize, bounds: Bounds| {
            cells.push(GridCell {
                row: row as u32,
                column: first as u32,
                row_span: 1,
                column_span: (last - first + 1) as u32,
                head: false,
                area: Rect::new(
                    bounds.x0 as u32,
                    bounds.y0 as u32,
                    bounds.x1 as u32,
                    bounds.y1 as u32,
                ),
            });
        };
        for (first, last, bounds) in spans {
            (next..first).for_each(|c| push(c, c, Bounds::default()));
            push(first, last, bounds);
            next = last + 1;
        }
        (next..columns).for_each(|c| push(c, c, Bounds::default()));
    }
    Some(Grid {
        rows: row_count as u32,
        columns: columns as u32,
        cells,
        confidence: None,
    })
}

struct Segment {
    row: usize,
    bounds: Bounds,
}

/// Words of a row that lie close together, as one.
fn segments(pieces: &[Piece], gap: f32) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for piece in pieces {
        match out
            .last_mut()
            .filter(|s| s.row == piece.row && piece.bounds.x0 - s.bounds.x1 < gap)
        {
            Some(segment) => segment.bounds = segment.bounds.union(&piece.bounds),
            None => out.push(Segment {
                row: piece.row,
                bounds: piece.bounds,
            }),
        }
    }
    out
}

/// The middles of the vertical bands that few segments cross.
fn gutters(segments: &[Segment], rows: usize) -> Vec<f32> {
    let most = (rows as f32 * CROSSED).floor() as usize;
    let mut edges: Vec<f32> = segments.iter().flat_map(|s| [s.bounds.x0, s.bounds.x1]).collect();
    edges.sort_by(f32::total_cmp);
    edges.dedup();
    let free = |a: f32, b: f32| {
        segments
            .iter()
            .filter(|s| overlap((s.bounds.x0, s.bounds.x1), (a, b)) > 0.5 * (b - a))
            .count()
            <= most
    };
    let mut bands: Vec<(f32, f32)> = Vec::new();
    for w in edges.windows(2).filter(|w| free(w[0], w[1])) {
        match bands.last_mut().filter(|band| band.1 >= w[0]) {
            Some(band) => band.1 = w[1],
            None => bands.push((w[0], w[1])),
        }
    }
    let middles: Vec<f32> = bands.iter().map(|(a, b)| (a + b) / 2.0).collect();
    // The tail of one long segment is no column: something must start behind each gutter, and end before the first.
    let ends = |g: f32| segments.iter().any(|s| s.bounds.x1 <= g);
    let starts = |from: f32, to: f32| segments.iter().any(|s| (from..to).contains(&s.bounds.x0));
    (0..middles.len())
        .filter(|&n| {
            let next = middles.get(n + 1).copied().unwrap_or(f32::MAX);
            ends(middles[n]) && starts(middles[n], next)
        })
        .map(|n| middles[n])
        .collect()
}

/// The table as HTML, cells escaped.
pub(crate) fn html(filled: &Filled) -> String {
    let mut out = String::from("<table>");
    for row in 0..filled.grid.rows {
        out.push_str("<tr>");
        for (cell, text) in filled
            .grid
            .cells
            .iter()
            .zip(&filled.texts)
            .filter(|(c, _)| c.row == row)
        {
            let tag = if cell.head { "th" } else { "td" };
            out.push('<');
            out.push_str(tag);
            for (name, span) in [("rowspan", cell.row_span), ("colspan", cell.column_span)] {
                if span > 1 {
                    out.push_str(&format!(" {name}=\"{span}\""));
                }
            }
            out.push('>');
            for c in text.chars() {
                match c {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    c => out.push(c),
                }
            }
            out.push_str(&format!("</{tag}>"));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognize::TextWord;

    /// Lines of one word each, 8 px a character, 20 px high.
    fn page(words: &[(f32, f32, &str)]) -> (Vec<Placed>, Vec<TextLine>) {
        let quad = |w: &(f32, f32, &str)| {
            let right = w.0 + 8.0 * w.2.len() as f32;
            Quad::from_rect(Rect::new(w.0 as u32, w.1 as u32, right as u32, w.1 as u32 + 20))
        };
        let lines: Vec<TextLine> = words
            .iter()
            .map(|w| TextLine {
                quad: quad(w),
                text: w.2.into(),
                confidence: 0.9,
                words: vec![TextWord {
                    range: 0..w.2.len(),
                    quad: quad(w),
                    confidence: 0.9,
                }],
            })
            .collect();
        let placed = lines
            .iter()
            .enumerate()
            .map(|(line, l)| Placed {
                line,
                bounds: around(&l.quad),
            })
            .collect();
        (placed, lines)
    }

    fn two_by_two() -> Grid {
        let cell = |row, column, area| GridCell {
            row,
            column,
            row_span: 1,
            column_span: 1,
            head: row == 0,
            area,
        };
        let cells = vec![
            cell(0, 0, Rect::new(0, 0, 100, 30)),
            cell(0, 1, Rect::new(100, 0, 200, 30)),
            cell(1, 0, Rect::new(0, 30, 100, 90)),
            cell(1, 1, Rect::new(100, 30, 200, 90)),
        ];
        Grid {
            rows: 2,
            columns: 2,
            cells,
            confidence: Some(0.9),
        }
    }

    #[test]
    fn words_go_to_their_cells_and_strays_to_the_nearest() {
        let (placed, lines) = page(&[
            (5.0, 5.0, "name"),
            (110.0, 5.0, "sum"),
            (5.0, 35.0, "a&b"),
            (5.0, 60.0, "c"),
            (110.0, 95.0, "9"),
        ]);
        let filled = fill(Some(two_by_two()), &placed, &lines).unwrap();
        assert_eq!(filled.texts, ["name", "sum", "a&b c", "9"]);
        assert!(!filled.geometric);
        let expected =
            "<table><tr><th>name</th><th>sum</th></tr><tr><td>a&amp;b c</td><td>9</td></tr></table>";
        assert_eq!(html(&filled), expected);
    }

    #[test]
    fn a_grid_elsewhere_gives_way_to_geometry() {
        let (placed, lines) = page(&[
            (500.0, 505.0, "name"),
            (700.0, 505.0, "sum"),
            (500.0, 535.0, "apples"),
            (700.0, 535.0, "12"),
            (700.0, 565.0, "13"),
        ]);
        let filled = fill(Some(two_by_two()), &placed, &lines).unwrap();
        assert!(filled.geometric);
        assert_eq!((filled.grid.rows, filled.grid.columns), (3, 2));
        assert_eq!(filled.texts, ["name", "sum", "apples", "12", "", "13"]);
    }

    #[test]
    fn one_column_is_no_table() {
        let (placed, lines) = page(&[(0.0, 0.0, "one"), (0.0, 30.0, "two")]);
        assert!(fill(None, &placed, &lines).is_none());
        assert!(fill(None, &[], &[]).is_none());
    }

    #[test]
    fn a_heading_across_columns_spans_them() {
        let mut words = vec![(0.0, 0.0, "a_rather_long_heading_over_all_of_it")];
        for n in 1..10 {
            words.extend([(0.0, n as f32 * 30.0, "left"), (200.0, n as f32 * 30.0, "right")]);
        }
        let (placed, lines) = page(&words);
        let filled = fill(None, &placed, &lines).unwrap();
        assert_eq!(filled.grid.cells[0].column_span, 2);
        assert_eq!(filled.grid.cells.len(), 1 + 18);
    }
}
