//! Reads one line: warp, network, text, and the boxes of its words.

use crate::EngineError;
pub(crate) use crate::ctc::Dictionary;
use crate::ctc::{Character, confidence, decode};
use crate::net::Net;
use crate::warp::{LINE_HEIGHT_PX, line_tensor, place};
use ocr_document::{PageImage, Point, Quad};
use rten::ThreadPool;
use std::ops::Range;
use std::sync::Arc;

/// One line as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextLine {
    /// Raster px, clockwise from the text's own top left.
    pub quad: Quad,
    /// Words parted by one space.
    pub text: String,
    /// Mean of its characters', 0 ..= 1.
    pub confidence: f32,
    pub words: Vec<TextWord>,
}

/// One word of a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextWord {
    /// Bytes of the line's text.
    pub range: Range<usize>,
    /// Raster px.
    pub quad: Quad,
    /// Mean of its characters', 0 ..= 1.
    pub confidence: f32,
}

/// A recogniser with its dictionary.
pub(crate) struct LineReader {
    net: Net,
    dictionary: Dictionary,
}

impl LineReader {
    pub fn new(net: Net, dictionary: Dictionary) -> Self {
        Self { net, dictionary }
    }

    /// Reads the text inside `quad`, which lies from `a` to `b`.
    pub fn read(
        &self,
        image: &PageImage,
        quad: &Quad,
        pool: &Arc<ThreadPool>,
    ) -> Result<TextLine, EngineError> {
        let (tensor, width) = line_tensor(image, quad);
        let scores = self
            .net
            .run([1, 3, LINE_HEIGHT_PX, width], tensor, pool)?
            .swap_remove(0);
        let classes = self.dictionary.classes();
        if scores.shape.last() != Some(&classes) {
            let reason = format!(
                "it answers {:?}, its dictionary has {classes} classes",
                scores.shape
            );
            return Err(EngineError::Run {
                name: "line recogniser".into(),
                reason,
            });
        }
        let steps = scores.data.len() / classes;
        Ok(line(*quad, &decode(&scores.data, &self.dictionary), steps))
    }
}

/// Puts decoded characters together: words, their places along the quad, confidences.
fn line(quad: Quad, characters: &[Character], steps: usize) -> TextLine {
    let mut text = String::new();
    let mut words = Vec::new();
    let groups = characters.split(|c| c.text.chars().all(char::is_whitespace));
    let groups: Vec<&[Character]> = groups.filter(|group| !group.is_empty()).collect();
    for (n, group) in groups.iter().enumerate() {
        if n > 0 {
            text.push(' ');
        }
        let start = text.len();
        text.extend(group.iter().map(|c| c.text));
        let before = n.checked_sub(1).map(|n| groups[n]);
        let (from, to) = extent(group, before, groups.get(n + 1).copied(), steps);
        words.push(TextWord {
            range: start..text.len(),
            quad: part(&quad, from, to),
            confidence: confidence(group),
        });
    }
    let confidence = if words.is_empty() {
        0.0
    } else {
        confidence(characters)
    };
    TextLine {
        quad,
        text,
        confidence,
        words,
    }
}

/// Where a word starts and ends, as fractions of the line. A step marks a character's middle, so a word reaches half
/// a character further on both sides, yet never past the middle of the gap to its neighbour.
fn extent(
    word: &[Character],
    before: Option<&[Character]>,
    after: Option<&[Character]>,
    steps: usize,
) -> (f32, f32) {
    let middle = |c: &Character| c.step as f32 + 0.5;
    let (first, last) = (middle(&word[0]), middle(&word[word.len() - 1]));
    let pitch = if word.len() > 1 {
        (last - first) / (word.len() - 1) as f32
    } else {
        1.6
    };
    let half = (pitch / 2.0).clamp(0.5, 4.0);
    let left = before.map_or(0.0, |w| (middle(&w[w.len() - 1]) + first) / 2.0);
    let right = after.map_or(steps as f32, |w| (middle(&w[0]) + last) / 2.0);
    let steps = steps.max(1) as f32;
    ((first - half).max(left) / steps, (last + half).min(right) / steps)
}

/// The part of a line's quad between two fractions of its length.
fn part(quad: &Quad, from: f32, to: f32) -> Quad {
    let at = |u: f32, v: f32| {
        let (x, y) = place(quad, u, v);
        Point { x, y }
    };
    Quad {
        a: at(from, 0.0),
        b: at(to, 0.0),
        c: at(to, 1.0),
        d: at(from, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::Rect;

    fn characters(text: &'static str, step: usize) -> Vec<Character<'static>> {
        text.char_indices()
            .map(|(n, c)| Character {
                text: &text[n..n + c.len_utf8()],
                step: n * step + 1,
                confidence: 0.8,
            })
            .collect()
    }

    #[test]
    fn words_are_parted_at_spaces_and_lie_in_order() {
        let quad = Quad::from_rect(Rect::new(100, 10, 300, 40));
        let read = line(quad, &characters("ab  cde ", 2), 20);
        assert_eq!(read.text, "ab cde");
        let texts: Vec<&str> = read.words.iter().map(|w| &read.text[w.range.clone()]).collect();
        assert_eq!(texts, ["ab", "cde"]);
        let (first, second) = (&read.words[0].quad, &read.words[1].quad);
        assert!(
            first.a.x >= 100.0 && first.b.x < second.a.x && second.b.x <= 300.0,
            "{first:?} {second:?}"
        );
        assert_eq!((first.a.y, first.d.y), (10.0, 40.0));
    }

    #[test]
    fn a_line_of_spaces_has_no_text_and_no_confidence() {
        let read = line(Quad::default(), &characters("  ", 1), 4);
        assert_eq!((read.text.as_str(), read.confidence), ("", 0.0));
    }

    #[test]
    fn word_places_follow_a_tilted_line() {
        let p = |x, y| Point { x, y };
        let quad = Quad {
            a: p(0.0, 0.0),
            b: p(100.0, 50.0),
            c: p(90.0, 70.0),
            d: p(-10.0, 20.0),
        };
        let read = line(quad, &characters("a b", 9), 20);
        let slope = (read.words[1].quad.a.y - read.words[0].quad.a.y)
            / (read.words[1].quad.a.x - read.words[0].quad.a.x);
        assert!((slope - 0.5).abs() < 1e-3, "{slope}");
    }
}
