//! The structure of a table: SLANet-plus writes HTML tokens and points at each cell.
//!
//! Network and vocabulary: <https://arxiv.org/abs/2210.05391>. The tokens become a grid of cells without overlaps;
//! what is not a grid is refused, and the caller takes the geometric one.

use crate::EngineError;
use crate::net::{Net, Output};
use crate::resize::{IMAGENET, resize};
use ocr_document::{PageImage, Point, Rect};
use rten::ThreadPool;
use std::sync::Arc;

/// Side of the square input, px.
const INPUT: usize = 488;
/// A grid wider or taller than this is a runaway decoder: a page does not hold more.
const MOST_ROWS_OR_COLUMNS: u32 = 200;

/// One cell of a grid; rows and columns count from 0, spans from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GridCell {
    pub row: u32,
    pub column: u32,
    pub row_span: u32,
    pub column_span: u32,
    /// Whether it lies in the table's head.
    pub head: bool,
    /// Raster px.
    pub area: Rect,
}

/// A table's cells, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grid {
    pub rows: u32,
    pub columns: u32,
    pub cells: Vec<GridCell>,
    /// Mean score of the tokens, 0 ..= 1; `None` for a grid won from geometry.
    pub confidence: Option<f32>,
}

/// SLANet-plus with its vocabulary.
pub(crate) struct TableReader {
    net: Net,
    vocabulary: Vec<String>,
}

impl TableReader {
    /// Takes the network; its vocabulary is in its metadata.
    pub fn new(net: Net) -> Result<Self, EngineError> {
        let listed = net.metadata("character").ok_or_else(|| EngineError::Load {
            name: "slanet-plus.onnx".into(),
            reason: "it has no metadata `character` with its vocabulary".into(),
        })?;
        Ok(Self {
            vocabulary: vocabulary(listed),
            net,
        })
    }

    /// The grid of the table in `area`; `None` when the network's answer is no table.
    pub fn read(
        &self,
        image: &PageImage,
        area: Rect,
        pool: &Arc<ThreadPool>,
    ) -> Result<Option<Grid>, EngineError> {
        let longest = area.width().max(area.height()).max(1);
        let ratio = INPUT as f32 / longest as f32;
        let side = |px: u32| ((px as f32 * ratio) as usize).clamp(1, INPUT);
        let size = (side(area.width()), side(area.height()));
        let input = resize(image, area, size, (INPUT, INPUT), IMAGENET);
        let outputs = self.net.run([1, 3, INPUT, INPUT], input, pool)?;
        let Some((scores, quads)) = by_width(&outputs, self.vocabulary.len()) else {
            let reason = format!(
                "it answers {:?}",
                outputs.iter().map(|o| &o.shape).collect::<Vec<_>>()
            );
            return Err(EngineError::Run {
                name: "slanet-plus.onnx".into(),
                reason,
            });
        };
        let (tokens, confidence) = self.tokens(scores);
        let place = |step: usize| cell_area(&quads[step * 8..][..8], area, longest as f32, image);
        Ok(grid(&tokens, place).map(|g| Grid {
            confidence: Some(confidence),
            ..g
        }))
    }

    /// Tokens up to the end, each with its step, and their mean score.
    fn tokens(&self, scores: &[f32]) -> (Vec<(&str, usize)>, f32) {
        let (mut tokens, mut sum) = (Vec::new(), 0.0);
        for (step, row) in scores.chunks_exact(self.vocabulary.len()).enumerate() {
            let (class, &score) = row
                .iter()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .expect("the vocabulary has words");
            let token = self.vocabulary[class].as_str();
            if token == "eos" && step > 0 {
                break;
            }
            if token != "sos" && token != "eos" {
                tokens.push((token, step));
                sum += score;
            }
        }
        let confidence = sum / tokens.len().max(1) as f32;
        (tokens, confidence)
    }
}

/// The list of the metadata with start and end; a bare `<td>` makes room for `<td></td>`.
fn vocabulary(listed: &str) -> Vec<String> {
    let mut words: Vec<String> = listed.lines().map(str::to_owned).collect();
    if words.iter().any(|w| w == "<td></td>") {
        words.retain(|w| w != "<td>");
    } else {
        words.push("<td></td>".into());
    }
    words.insert(0, "sos".into());
    words.push("eos".into());
    words
}

/// Scores and quads of as many steps, told apart by their innermost extent.
fn by_width(outputs: &[Output], words: usize) -> Option<(&[f32], &[f32])> {
    let of = |width: usize| outputs.iter().find(|o| o.shape.last() == Some(&width));
    let (scores, quads) = (of(words)?, of(8)?);
    (quads.data.len() / 8 >= scores.data.len() / words).then_some((&scores.data, &quads.data))
}

/// A cell's place: its quad is given in fractions of the padded square.
fn cell_area(quad: &[f32], table: Rect, longest: f32, image: &PageImage) -> Rect {
    let corner = |n: usize| Point {
        x: table.x0 as f32 + quad[n * 2] * longest,
        y: table.y0 as f32 + quad[n * 2 + 1] * longest,
    };
    Rect::around(
        &[corner(0), corner(1), corner(2), corner(3)],
        image.width(),
        image.height(),
    )
}

/// Walks the tokens and lays cells into a grid; `None` when no rows or no cells come of it.
fn grid(tokens: &[(&str, usize)], place: impl Fn(usize) -> Rect) -> Option<Grid> {
    let mut cells: Vec<GridCell> = Vec::new();
    let (mut rows, mut columns, mut column, mut head) = (0u32, 0u32, 0u32, false);
    let mut taken = std::collections::HashSet::new();
    let mut open: Option<GridCell> = None;
    for &(token, step) in tokens {
        match token {
            "<thead>" => head = true,
            "</thead>" => head = false,
            "<tr>" => {
                rows += 1;
                column = 0;
            }
            "<td></td>" | "<td>" | "<td" if rows > 0 => {
                let cell = GridCell {
                    row: rows - 1,
                    column,
                    row_span: 1,
                    column_span: 1,
                    head,
                    area: place(step),
                };
                if token == "<td" {
                    open = Some(cell);
                } else {
                    lay(cell, &mut cells, &mut taken, &mut column);
                }
            }
            ">" => {
                if let Some(cell) = open.take() {
                    lay(cell, &mut cells, &mut taken, &mut column);
                }
            }
            other => {
                if let (Some(cell), Some((name, count))) = (open.as_mut(), attribute(other)) {
                    match name {
                        "colspan" => cell.column_span = count,
                        _ => cell.row_span = count,
                    }
                }
            }
        }
        columns = columns.max(column);
        if rows > MOST_ROWS_OR_COLUMNS || columns > MOST_ROWS_OR_COLUMNS {
            return None;
        }
    }
    for cell in &mut cells {
        cell.row_span = cell.row_span.min(rows - cell.row);
    }
    (!cells.is_empty()).then_some(Grid {
        rows,
        columns,
        cells,
        confidence: None,
    })
}

/// Puts a cell at the next free place of its row.
fn lay(
    mut cell: GridCell,
    cells: &mut Vec<GridCell>,
    taken: &mut std::collections::HashSet<(u32, u32)>,
    column: &mut u32,
) {
    while taken.contains(&(cell.row, *column)) {
        *column += 1;
    }
    cell.column = *column;
    for row in cell.row..cell.row + cell.row_span {
        taken.extend((cell.column..cell.column + cell.column_span).map(|c| (row, c)));
    }
    *column += cell.column_span;
    cells.push(cell);
}

/// ` colspan="3"` as name and number.
fn attribute(token: &str) -> Option<(&str, u32)> {
    let (name, value) = token.trim().split_once('=')?;
    let count: u32 = value.trim_matches('"').parse().ok()?;
    (name == "colspan" || name == "rowspan").then_some((name, count.clamp(1, MOST_ROWS_OR_COLUMNS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(html: &[&str]) -> Vec<(u32, u32, u32, u32)> {
        let tokens: Vec<(&str, usize)> = html.iter().enumerate().map(|(n, &t)| (t, n)).collect();
        let grid = grid(&tokens, |_| Rect::default()).unwrap();
        grid.cells
            .iter()
            .map(|c| (c.row, c.column, c.row_span, c.column_span))
            .collect()
    }

    #[test]
    fn spans_push_later_cells_aside() {
        let cells = laid(&[
            "<thead>",
            "<tr>",
            "<td",
            " rowspan=\"2\"",
            ">",
            "</td>",
            "<td",
            " colspan=\"2\"",
            ">",
            "</td>",
            "</tr>",
            "</thead>",
            "<tr>",
            "<td></td>",
            "<td></td>",
            "</tr>",
        ]);
        assert_eq!(cells, [(0, 0, 2, 1), (0, 1, 1, 2), (1, 1, 1, 1), (1, 2, 1, 1)]);
    }

    #[test]
    fn row_spans_end_with_the_table() {
        assert_eq!(
            laid(&["<tr>", "<td", " rowspan=\"9\"", ">", "</td>", "</tr>"]),
            [(0, 0, 1, 1)]
        );
    }

    #[test]
    fn nonsense_is_no_table() {
        let runaway: Vec<(&str, usize)> = (0..500).map(|n| ("<tr>", n)).collect();
        assert!(grid(&runaway, |_| Rect::default()).is_none());
        assert!(grid(&[("<td></td>", 0), ("</tr>", 1)], |_| Rect::default()).is_none());
    }

    #[test]
    fn vocabulary_has_one_empty_cell_and_both_ends() {
        let words = vocabulary("<thead>\n<td>\n<td></td>");
        assert_eq!(words, ["sos", "<thead>", "<td></td>", "eos"]);
        assert_eq!(super::vocabulary("<td>").last().map(String::as_str), Some("eos"));
    }
}
