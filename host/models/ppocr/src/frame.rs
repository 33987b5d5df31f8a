//! The page as if its text lay level: each line as an upright box, and boxes gathered into visual rows.
//!
//! A scan that is skewed by two degrees puts the two ends of a row 40 px apart; all questions of order are asked
//! in a frame turned by the text's own angle.

use crate::detect::{length, thickness};
use crate::recognize::TextLine;
use ocr_document::{Quad, Rect};

/// An upright box in the level frame, px.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Bounds {
    pub x0: f32,
    pub y0: f32,
    pub x1: f32,
    pub y1: f32,
}

impl Bounds {
    pub fn width(&self) -> f32 {
        self.x1 - self.x0
    }

    pub fn height(&self) -> f32 {
        self.y1 - self.y0
    }

    pub fn middle(&self) -> (f32, f32) {
        ((self.x0 + self.x1) / 2.0, (self.y0 + self.y1) / 2.0)
    }

    pub fn union(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// Area of the common part, px².
    pub fn common(&self, other: &Self) -> f32 {
        overlap((self.x0, self.x1), (other.x0, other.x1)) * overlap((self.y0, self.y1), (other.y0, other.y1))
    }

    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// The box around all; `None` for none.
    pub fn around<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        all.into_iter().copied().reduce(|a, b| a.union(&b))
    }
}

impl From<Rect> for Bounds {
    fn from(r: Rect) -> Self {
        Self {
            x0: r.x0 as f32,
            y0: r.y0 as f32,
            x1: r.x1 as f32,
            y1: r.y1 as f32,
        }
    }
}

/// Length of the common part of two ranges.
pub(crate) fn overlap(a: (f32, f32), b: (f32, f32)) -> f32 {
    (a.1.min(b.1) - a.0.max(b.0)).max(0.0)
}

/// The middle value; 0 for none.
pub(crate) fn median(values: impl IntoIterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.into_iter().collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The turn that levels a page's text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    cos: f32,
    sin: f32,
}

/// Text tilted more than this is no skew of the page, radians (15 degrees).
const STEEPEST: f32 = 0.26;

impl Frame {
    /// The frame in which most of the text is level: the median angle of its long lines.
    pub fn of<'a>(quads: impl IntoIterator<Item = &'a Quad>) -> Self {
        let angle = |q: &Quad| (q.b.y - q.a.y).atan2(q.b.x - q.a.x);
        let long = quads.into_iter().filter(|q| length(q) > 4.0 * thickness(q));
        let tilt = median(long.map(angle).filter(|a| a.abs() < STEEPEST));
        Self {
            cos: tilt.cos(),
            sin: tilt.sin(),
        }
    }

    fn level(&self, x: f32, y: f32) -> (f32, f32) {
        (x * self.cos + y * self.sin, y * self.cos - x * self.sin)
    }

    /// A line's box: its middle moved into the frame, its own length and height.
    pub fn line(&self, quad: &Quad) -> Bounds {
        let corners = quad.corners();
        let middle = corners
            .iter()
            .fold((0.0, 0.0), |m, p| (m.0 + p.x / 4.0, m.1 + p.y / 4.0));
        let (x, y) = self.level(middle.0, middle.1);
        let vertical = (quad.b.y - quad.a.y).abs() > (quad.b.x - quad.a.x).abs();
        let (long, high) = (length(quad), thickness(quad));
        let (w, h) = if vertical { (high, long) } else { (long, high) };
        Bounds {
            x0: x - w / 2.0,
            y0: y - h / 2.0,
            x1: x + w / 2.0,
            y1: y + h / 2.0,
        }
    }

    /// An upright area of the page: its middle moved into the frame, its own size.
    pub fn area(&self, area: Bounds) -> Bounds {
        let (mx, my) = area.middle();
        let (x, y) = self.level(mx, my);
        let (w, h) = (area.width() / 2.0, area.height() / 2.0);
        Bounds {
            x0: x - w,
            y0: y - h,
            x1: x + w,
            y1: y + h,
        }
    }
}

/// A line of the page with its level box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placed {
    /// Index of the line.
    pub line: usize,
    pub bounds: Bounds,
}

/// All lines, placed.
pub(crate) fn place(lines: &[TextLine], frame: &Frame) -> Vec<Placed> {
    lines
        .iter()
        .enumerate()
        .map(|(line, l)| Placed {
            line,
            bounds: frame.line(&l.quad),
        })
        .collect()
}

/// Lines side by side, from left to right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub lines: Vec<Placed>,
    pub bounds: Bounds,
}

impl Row {
    /// Height of its text, px: the median of its lines.
    pub fn text_height(&self) -> f32 {
        median(self.lines.iter().map(|l| l.bounds.height()))
    }

    /// The row's text, lines parted by one space.
    pub fn text(&self, lines: &[TextLine]) -> String {
        let texts: Vec<&str> = self.lines.iter().map(|l| lines[l.line].text.as_str()).collect();
        texts.join(" ")
    }
}

/// Lines of one row reach each other's middle; one above the other by more than this share of width are two rows.
const STACKED: f32 = 0.3;

/// Gathers lines into rows from top to bottom.
pub(crate) fn rows(lines: &[Placed]) -> Vec<Row> {
    let mut sorted = lines.to_vec();
    sorted.sort_by(|a, b| a.bounds.middle().1.total_cmp(&b.bounds.middle().1));
    let mut rows: Vec<Row> = Vec::new();
    for line in sorted {
        // The row may not be the last one: a tall line opens a row that ends below the next.
        let fit = rows.iter_mut().rev().take(3).find(|row| joins(row, &line.bounds));
        match fit {
            Some(row) => {
                row.bounds = row.bounds.union(&line.bounds);
                row.lines.push(line);
            }
            None => rows.push(Row {
                lines: vec![line],
                bounds: line.bounds,
            }),
        }
    }
    for row in &mut rows {
        row.lines.sort_by(|a, b| a.bounds.x0.total_cmp(&b.bounds.x0));
    }
    rows.sort_by(|a, b| a.bounds.middle().1.total_cmp(&b.bounds.middle().1));
    rows
}

/// Whether a line lies in a row: level with its nearest neighbour, and not above or below any.
fn joins(row: &Row, line: &Bounds) -> bool {
    let gap = |other: &Bounds| (line.x0 - other.x1).max(other.x0 - line.x1);
    let nearest = row
        .lines
        .iter()
        .min_by(|a, b| gap(&a.bounds).total_cmp(&gap(&b.bounds)));
    let Some(nearest) = nearest.map(|l| l.bounds) else {
        return false;
    };
    let away = (line.middle().1 - nearest.middle().1).abs();
    let level = away < 0.5 * line.height().min(nearest.height());
    let beside = row.lines.iter().all(|other| {
        let common = overlap((line.x0, line.x1), (other.bounds.x0, other.bounds.x1));
        common <= STACKED * line.width().min(other.bounds.width())
    });
    level && beside
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ocr_document::Point;

    pub fn bounds(x0: f32, y0: f32, x1: f32, y1: f32) -> Bounds {
        Bounds { x0, y0, x1, y1 }
    }

    pub fn placed(boxes: &[(f32, f32, f32, f32)]) -> Vec<Placed> {
        boxes
            .iter()
            .enumerate()
            .map(|(line, b)| Placed {
                line,
                bounds: bounds(b.0, b.1, b.2, b.3),
            })
            .collect()
    }

    fn order(rows: &[Row]) -> Vec<Vec<usize>> {
        rows.iter()
            .map(|r| r.lines.iter().map(|l| l.line).collect())
            .collect()
    }

    #[test]
    fn labels_and_prices_share_rows() {
        let lines = placed(&[
            (400.0, 12.0, 450.0, 32.0),
            (10.0, 10.0, 200.0, 30.0),
            (10.0, 36.0, 180.0, 56.0),
            (400.0, 40.0, 450.0, 58.0),
        ]);
        assert_eq!(order(&rows(&lines)), [[1, 0], [2, 3]]);
    }

    #[test]
    fn tight_lines_one_above_the_other_stay_two_rows() {
        let lines = placed(&[(0.0, 0.0, 100.0, 30.0), (0.0, 14.0, 100.0, 44.0)]);
        assert_eq!(order(&rows(&lines)).len(), 2);
    }

    #[test]
    fn skewed_rows_are_level_in_their_frame() {
        let tilt = 0.04f32;
        let quad = |x: f32, y: f32| {
            let at = |u: f32, v: f32| Point {
                x: (x + u) * tilt.cos() - (y + v) * tilt.sin(),
                y: (x + u) * tilt.sin() + (y + v) * tilt.cos(),
            };
            Quad {
                a: at(0.0, 0.0),
                b: at(200.0, 0.0),
                c: at(200.0, 20.0),
                d: at(0.0, 20.0),
            }
        };
        let quads = [
            quad(10.0, 50.0),
            quad(900.0, 50.0),
            quad(10.0, 76.0),
            quad(900.0, 76.0),
        ];
        let frame = Frame::of(&quads);
        let lines: Vec<Placed> = quads
            .iter()
            .enumerate()
            .map(|(line, q)| Placed {
                line,
                bounds: frame.line(q),
            })
            .collect();
        assert_eq!(order(&rows(&lines)), [[0, 1], [2, 3]]);
        assert!((lines[0].bounds.y0 - 50.0).abs() < 0.5 && (lines[0].bounds.x0 - 10.0).abs() < 0.5);
    }

    #[test]
    fn nothing_has_no_rows() {
        assert!(rows(&[]).is_empty());
        assert_eq!(Frame::of(&[]), Frame { cos: 1.0, sin: 0.0 });
    }
}
