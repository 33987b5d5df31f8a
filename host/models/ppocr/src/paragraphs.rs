//! From rows of text to paragraphs and list items.
//!
//! A paragraph ends where the rows part, where the text changes its size, before a list item, before a row that is
//! indented, and after a row that stops short of the edge with a full stop.

use crate::frame::{Bounds, Placed, Row, median, rows};
use crate::lists::{Marker, marker};
use crate::recognize::TextLine;
use std::collections::HashSet;

/// Rows further apart than this many usual distances belong to two paragraphs.
const PARTED: f32 = 1.45;
/// Text this much larger or smaller than the row before is another paragraph.
const RESIZED: f32 = 1.35;
/// Indents, in text heights: less is unevenness, more is another column.
const INDENT: std::ops::Range<f32> = 0.6..6.0;
/// A row that leaves this share of the width free, and more than these text heights, stops short.
const SHORT: (f32, f32) = (0.12, 2.5);
/// A row of prose is at least this wide, in text heights; a line of an address is not.
const PROSE_WIDTH: f32 = 20.0;
/// Paragraphs hang when this share of the rows is indented and the first is not.
const HANGING: f32 = 0.4;
/// Rows are prose when this share of them, the last row aside, reaches the right edge.
const FILLED: f32 = 0.6;

/// A paragraph or list item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Paragraph {
    pub rows: Vec<Row>,
    /// Nesting from 1 of a list item; 0 for a paragraph.
    pub list_level: u8,
    /// Rows are lines of a verse, an address or a form, each to stay on its own.
    pub keeps_rows: bool,
}

impl Paragraph {
    /// The text: rows of prose joined by a space (by nothing between ideographs), others by a line feed.
    pub fn text(&self, lines: &[TextLine]) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let row = row.text(lines);
            match (text.chars().next_back(), row.chars().next()) {
                (Some(_), _) if self.keeps_rows => text.push('\n'),
                (Some(a), Some(b)) if !(is_ideograph(a) && is_ideograph(b)) => text.push(' '),
                _ => {}
            }
            text.push_str(&row);
        }
        text
    }

    /// All lines in order.
    pub fn lines(&self) -> impl Iterator<Item = &Placed> {
        self.rows.iter().flat_map(|row| &row.lines)
    }
}

/// Scripts that write no spaces between words.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}')
}

/// Cuts the lines of one block into paragraphs; `ordinals` are the numbers that count as list items on this page.
pub(crate) fn paragraphs(block: &[Placed], lines: &[TextLine], ordinals: &HashSet<Marker>) -> Vec<Paragraph> {
    let rows = rows(block);
    let Some(edges) = Bounds::around(rows.iter().map(|r| &r.bounds)) else {
        return Vec::new();
    };
    let shape = Shape::of(&rows, edges);
    let mut out: Vec<Paragraph> = Vec::new();
    let texts: Vec<String> = rows.iter().map(|row| row.text(lines)).collect();
    for (n, row) in rows.iter().enumerate() {
        let opens = marker(&texts[n]).filter(|m| ordinals.contains(m));
        let item = out.last().filter(|p| p.list_level > 0).map(|p| &p.rows[0]);
        let starts = n == 0
            || opens.is_some()
            || shape.parted(&rows[n - 1], row)
            || shape.breaks(n, &rows, &texts, item);
        if starts {
            let list_level = u8::from(opens.is_some());
            out.push(Paragraph {
                rows: Vec::new(),
                list_level,
                keeps_rows: false,
            });
        }
        out.last_mut()
            .expect("the first row starts")
            .rows
            .push(row.clone());
    }
    for paragraph in &mut out {
        paragraph.keeps_rows = paragraph.list_level == 0 && shape.keeps_rows(&paragraph.rows);
    }
    nest(&mut out, shape.height);
    out
}

/// What is usual in a block.
struct Shape {
    edges: Bounds,
    /// Left edge of most rows.
    left: f32,
    /// From middle to middle of neighbouring rows.
    pitch: f32,
    height: f32,
    /// Paragraphs start at the left edge and hang from there, as in lists of references.
    hangs: bool,
}

impl Shape {
    fn of(rows: &[Row], edges: Bounds) -> Self {
        let pitches = rows
            .windows(2)
            .map(|w| w[1].bounds.middle().1 - w[0].bounds.middle().1);
        let height = median(rows.iter().map(Row::text_height)).max(1.0);
        let pitch = median(pitches).clamp(0.7 * height, 2.0 * height);
        let mut lefts: Vec<f32> = rows.iter().map(|r| r.bounds.x0).collect();
        lefts.sort_by(f32::total_cmp);
        let left = lefts[lefts.len() / 4];
        let is_indented = |r: &Row| INDENT.contains(&((r.bounds.x0 - left) / height));
        let indented = rows.iter().filter(|r| is_indented(r)).count();
        let hangs = !rows.first().is_some_and(is_indented) && indented as f32 >= HANGING * rows.len() as f32;
        Self {
            edges,
            left,
            pitch,
            height,
            hangs,
        }
    }

    /// Whether rows lie apart or differ in size.
    fn parted(&self, before: &Row, row: &Row) -> bool {
        let pitch = row.bounds.middle().1 - before.bounds.middle().1;
        let (a, b) = (before.text_height(), row.text_height());
        pitch > PARTED * self.pitch.max(0.8 * a.max(b)) || a.max(b) > RESIZED * a.min(b)
    }

    fn is_short(&self, row: &Row) -> bool {
        let free = self.edges.x1 - row.bounds.x1;
        free > SHORT.0 * self.edges.width() && free > SHORT.1 * self.height
    }

    /// Whether a paragraph ends before row `n`, which lies at the usual distance from the row before it; `item` is the
    /// first row of the list item under way.
    fn breaks(&self, n: usize, rows: &[Row], texts: &[String], item: Option<&Row>) -> bool {
        let (before, row, said) = (&rows[n - 1], &rows[n], texts[n - 1].as_str());
        let indented = |r: &Row| INDENT.contains(&((r.bounds.x0 - self.left) / self.height));
        if let Some(item) = item {
            // An item goes on while its rows hang below its text, or while they are full.
            return row.bounds.x0 < item.bounds.x0 + INDENT.start * self.height && self.is_short(before);
        }
        if self.hangs {
            return !indented(row) && (indented(before) || self.is_short(before));
        }
        let ends = said.ends_with(['.', '!', '?', ':', '。', '”', '"']) && !is_abbreviation(said);
        let next_is_level = rows.get(n + 1).is_none_or(|next| !indented(next));
        let short = self.is_short(before);
        let opens_indented = indented(row) && !indented(before) && next_is_level && (ends || short);
        // In prose only a last row stops short; where rows stop short one after the other it is no prose.
        let full = |r: &Row| r.lines.len() == 1 && !self.is_short(r);
        let prose = row.bounds.width() > PROSE_WIDTH * self.height || rows.get(n + 1).is_some_and(full);
        let opens_full = full(row) && prose && opens_sentence(&texts[n]);
        opens_indented || (short && (opens_full || (ends && !indented(row))))
    }

    /// Whether rows are not filled: a verse, an address, a receipt.
    fn keeps_rows(&self, rows: &[Row]) -> bool {
        let Some((_, body)) = rows.split_last().filter(|(_, body)| !body.is_empty()) else {
            return false;
        };
        let spaced = rows.iter().filter(|row| self.is_spaced(row)).count();
        if 2 * spaced >= rows.len() {
            return true;
        }
        // Against the widest row of the paragraph itself: a quotation is set narrower than its block.
        let right = rows.iter().map(|r| r.bounds.x1).fold(f32::MIN, f32::max);
        let left = rows.iter().map(|r| r.bounds.x0).fold(f32::MAX, f32::min);
        let filled = body
            .iter()
            .filter(|r| right - r.bounds.x1 <= (SHORT.0 * (right - left)).max(SHORT.1 * self.height));
        (filled.count() as f32) < FILLED * body.len() as f32
    }

    /// Whether a row has holes wide enough to be a label and its value.
    fn is_spaced(&self, row: &Row) -> bool {
        row.lines
            .windows(2)
            .any(|w| w[1].bounds.x0 - w[0].bounds.x1 > 2.0 * self.height)
    }
}

/// Whether a row starts as a sentence does.
fn opens_sentence(text: &str) -> bool {
    text.chars()
        .next()
        .is_some_and(|c| c.is_uppercase() || c.is_ascii_digit() || "“\"'(".contains(c))
}

/// Whether a row ends in an initial's or an abbreviation's stop: it goes on.
fn is_abbreviation(said: &str) -> bool {
    let last = said.rsplit(' ').next().unwrap_or_default();
    last.chars().filter(|c| c.is_alphanumeric()).count() <= 1
}

/// Nests runs of list items by their indents.
fn nest(paragraphs: &mut [Paragraph], height: f32) {
    let mut indents: Vec<f32> = Vec::new();
    for paragraph in paragraphs {
        if paragraph.list_level == 0 {
            indents.clear();
            continue;
        }
        let x = paragraph.rows.first().map_or(0.0, |r| r.bounds.x0);
        while indents
            .last()
            .is_some_and(|&outer| x < outer - INDENT.start * height)
        {
            indents.pop();
        }
        if indents
            .last()
            .is_none_or(|&outer| x > outer + INDENT.start * height)
        {
            indents.push(x);
        }
        paragraph.list_level = indents.len().clamp(1, 9) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::placed;
    use ocr_document::Quad;

    /// Rows of 20 px at a pitch of 25, `(left, right, text)`.
    fn cut(rows: &[(f32, f32, &str)]) -> (Vec<Paragraph>, Vec<TextLine>) {
        let boxes: Vec<(f32, f32, f32, f32)> = rows
            .iter()
            .enumerate()
            .map(|(n, r)| (r.0, n as f32 * 25.0, r.1, n as f32 * 25.0 + 20.0))
            .collect();
        let lines: Vec<TextLine> = rows
            .iter()
            .map(|r| TextLine {
                quad: Quad::default(),
                text: r.2.into(),
                confidence: 0.9,
                words: Vec::new(),
            })
            .collect();
        let ordinals = crate::lists::counted(rows.iter().filter_map(|r| marker(r.2)));
        (paragraphs(&placed(&boxes), &lines, &ordinals), lines)
    }

    fn texts(rows: &[(f32, f32, &str)]) -> Vec<String> {
        let (paragraphs, lines) = cut(rows);
        paragraphs.iter().map(|p| p.text(&lines)).collect()
    }

    #[test]
    fn prose_is_joined_and_parted_at_indents() {
        let found = texts(&[
            (30.0, 500.0, "It was a dark"),
            (0.0, 500.0, "and stormy"),
            (0.0, 200.0, "night."),
            (30.0, 500.0, "The rain"),
            (0.0, 480.0, "fell in torrents"),
        ]);
        assert_eq!(
            found,
            ["It was a dark and stormy night.", "The rain fell in torrents"]
        );
    }

    #[test]
    fn short_last_rows_end_a_paragraph() {
        let found = texts(&[
            (0.0, 500.0, "One goes"),
            (0.0, 200.0, "here."),
            (0.0, 500.0, "Two goes"),
            (0.0, 490.0, "there"),
        ]);
        assert_eq!(found, ["One goes here.", "Two goes there"]);
    }

    #[test]
    fn unfilled_rows_stay_on_their_own() {
        let found = texts(&[
            (0.0, 200.0, "Ms Smith"),
            (0.0, 320.0, "1 High Street"),
            (0.0, 90.0, "London"),
            (0.0, 100.0, "England"),
        ]);
        assert_eq!(found, ["Ms Smith\n1 High Street\nLondon\nEngland"]);
    }

    #[test]
    fn items_hang_and_nest() {
        let (found, lines) = cut(&[
            (0.0, 500.0, "• first goes on"),
            (20.0, 300.0, "and on"),
            (40.0, 300.0, "- inner one"),
            (0.0, 300.0, "• second"),
        ]);
        let items: Vec<(u8, String)> = found.iter().map(|p| (p.list_level, p.text(&lines))).collect();
        let item = |level, text: &str| (level, text.to_owned());
        assert_eq!(
            items,
            [
                item(1, "• first goes on and on"),
                item(2, "- inner one"),
                item(1, "• second")
            ]
        );
    }

    #[test]
    fn a_paragraph_after_a_list_is_no_part_of_its_last_item() {
        let found = texts(&[
            (5.0, 300.0, "• first"),
            (5.0, 320.0, "• second"),
            (0.0, 500.0, "The parish map shows"),
            (0.0, 490.0, "ponds"),
        ]);
        assert_eq!(found, ["• first", "• second", "The parish map shows ponds"]);
        // Items that do not hang go on below their marker while their rows are full.
        let flush = texts(&[
            (0.0, 500.0, "• first goes"),
            (0.0, 480.0, "on and"),
            (0.0, 90.0, "on"),
        ]);
        assert_eq!(flush, ["• first goes on and on"]);
    }

    #[test]
    fn hanging_references_are_parted_at_the_left_edge() {
        let found = texts(&[
            (0.0, 500.0, "4 Ethical Corporation"),
            (20.0, 200.0, "www.ethicalcorp.com"),
            (0.0, 500.0, "5 Chapman S"),
            (20.0, 480.0, "corporate"),
            (20.0, 300.0, "petition"),
        ]);
        assert_eq!(
            found,
            [
                "4 Ethical Corporation www.ethicalcorp.com",
                "5 Chapman S corporate petition"
            ]
        );
    }

    #[test]
    fn a_short_row_before_full_ones_is_a_heading_of_its_own() {
        let found = texts(&[
            (0.0, 150.0, "Recent pronouncements"),
            (0.0, 500.0, "In November the board"),
            (0.0, 490.0, "issued a standard"),
        ]);
        assert_eq!(
            found,
            ["Recent pronouncements", "In November the board issued a standard"]
        );
    }

    #[test]
    fn ideographs_are_joined_without_spaces() {
        assert_eq!(
            texts(&[(0.0, 500.0, "白日依山尽"), (0.0, 490.0, "黄河入海流")]),
            ["白日依山尽黄河入海流"]
        );
    }
}
