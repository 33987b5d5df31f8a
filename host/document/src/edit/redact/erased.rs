//! What redactions have erased of the arena and where they have painted.

use super::super::{REDACTED, paint};
use super::find::bare;
use crate::{Page, Rect, Slice};
use std::collections::HashSet;
use std::ops::Range;

/// Erased words shorter than this are not looked for in labels and messages.
const SHORTEST_WORD: usize = 3;

/// What stands in place of a message that holds redacted words.
const WITHHELD: &str = "(withheld: the message holds redacted words)";

/// Ranges of the arena, in order, without touching each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges(Vec<Range<usize>>);

impl Ranges {
    pub(super) fn of(mut ranges: Vec<Range<usize>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<usize>> {
        self.0.iter()
    }

    /// Both together.
    pub(super) fn and(self, other: &Ranges) -> Self {
        let mut all = self.0;
        all.extend_from_slice(&other.0);
        Self::of(all)
    }

    /// The parts of `whole` that are among them.
    pub(super) fn within(&self, whole: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        let from = self.0.partition_point(|range| range.end <= whole.start);
        let parts = self.0[from..].iter().take_while({
            let end = whole.end;
            move |range| range.start < end
        });
        parts.map(move |range| range.start.max(whole.start)..range.end.min(whole.end))
    }

    /// The parts of `whole` that are not.
    pub(super) fn outside(&self, whole: Range<usize>) -> Vec<Range<usize>> {
        let mut left = Vec::new();
        let mut at = whole.start;
        for part in self.within(whole.clone()) {
            if part.start > at {
                left.push(at..part.start);
            }
            at = part.end;
        }
        if at < whole.end {
            left.push(at..whole.end);
        }
        left
    }
}

pub(super) fn range(slice: Slice) -> Range<usize> {
    slice.start as usize..slice.start as usize + slice.len as usize
}

/// Where bytes of a text have gone when runs of it became marks: each run with the mark's place.
#[derive(Debug, Default)]
pub(in super::super) struct Moves(Vec<(Range<u32>, u32)>);

impl Moves {
    /// Where the byte at `at` has gone.
    pub(in super::super) fn to(&self, at: u32) -> u32 {
        let before = self.0.partition_point(|(run, _)| run.start < at);
        match self.0[..before].last() {
            None => at,
            Some((run, mark)) => mark + REDACTED.len() as u32 + at.saturating_sub(run.end),
        }
    }
}

/// What is erased of a page.
pub(in super::super) struct Erased {
    pub(super) text: String,
    pub(super) ranges: Ranges,
    pub(super) areas: Vec<Rect>,
}

impl Erased {
    /// What is left of a text, each erased run as a mark, and where its bytes have gone. Blanks between runs go with them.
    pub(in super::super) fn left_of(&self, slice: Slice) -> (String, Moves) {
        let whole = range(slice);
        let mut runs: Vec<Range<usize>> = Vec::new();
        for part in self.ranges.within(whole.clone()) {
            match runs.last_mut() {
                Some(last) if self.text[last.end..part.start].trim().is_empty() => last.end = part.end,
                _ => runs.push(part),
            }
        }
        let (mut left, mut moves, mut at) = (String::new(), Vec::new(), whole.start);
        for run in runs {
            left.push_str(&self.text[at..run.start]);
            let relative = (run.start - whole.start) as u32..(run.end - whole.start) as u32;
            moves.push((relative, left.len() as u32));
            left.push_str(REDACTED);
            at = run.end;
        }
        left.push_str(&self.text[at..whole.end]);
        (left, Moves(moves))
    }

    /// Whether nothing is left of a text.
    pub(in super::super) fn is_gone(&self, slice: Slice) -> bool {
        slice.len > 0
            && self
                .ranges
                .outside(range(slice))
                .iter()
                .all(|r| self.text[r.clone()].trim().is_empty())
    }

    /// Whether one of the erased areas holds another whole.
    fn covers(&self, area: Rect) -> bool {
        self.areas.iter().any(|erased| erased.intersect(&area) == area)
    }

    /// Erases what a page holds besides its text: pixels, raw output, and words in names and messages.
    pub(in super::super) fn clean(&self, page: &mut Page) {
        page.raw = String::new();
        page.raster = page
            .raster
            .take()
            .map(|raster| paint::blacken(&raster, &self.areas));
        let words: HashSet<String> = self
            .ranges
            .iter()
            .flat_map(|range| self.text[range.clone()].split_whitespace())
            .flat_map(parts)
            .collect();
        let holds = |text: &str| {
            text.split_whitespace()
                .flat_map(parts)
                .any(|part| words.contains(&part))
        };
        // A block that is erased as a whole has no name either.
        let mut is_used = vec![false; page.labels.len()];
        let whole = Rect::new(0, 0, page.info.width, page.info.height);
        for span in &page.spans {
            is_used[span.label as usize] |= !self.covers(span.area.intersect(&whole));
        }
        for (label, is_used) in page.labels.iter_mut().zip(is_used) {
            let is_name = label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
            if !is_name || !is_used || holds(label) {
                label.clear();
            }
        }
        for said in page
            .info
            .diagnostics
            .iter_mut()
            .filter(|said| holds(&said.message))
        {
            said.message = WITHHELD.to_owned();
        }
    }
}

/// A word as it may be met elsewhere: bare, and the parts that punctuation divides; in small letters.
fn parts(word: &str) -> Vec<String> {
    let word = bare(word);
    let inner = word
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| *part != word);
    let all = std::iter::once(word).chain(inner);
    all.filter(|part| part.len() >= SHORTEST_WORD)
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_become_marks_and_bytes_are_found_again() {
        let erased = Erased {
            text: "one two three four".into(),
            ranges: Ranges::of(vec![4..7, 8..10, 14..15]),
            areas: Vec::new(),
        };
        let (left, moves) = erased.left_of(Slice { start: 0, len: 18 });
        assert_eq!(left, "one █ree █our");
        let word = |start: u32, end: u32| &left[moves.to(start) as usize..moves.to(end) as usize];
        assert_eq!((word(0, 3), word(8, 13), word(14, 18)), ("one", "ree", "█our"));
        assert!(erased.is_gone(Slice { start: 4, len: 3 }));
        assert!(!erased.is_gone(Slice { start: 8, len: 5 }));
        assert_eq!(erased.ranges.outside(3..12), [3..4, 7..8, 10..12]);
    }
}
