//! Tells while a page is written that its text runs in circles.
//!
//! The n-gram guard stops exact repetition within its window; what is left are blocks longer than the window, and
//! models that dodge it: they count upward, change one token in each round, or shuffle a few phrases. Three measures,
//! together below a microsecond a token, notice these: a block that repeats exactly; a template, of which most tokens stand
//! one period after an equal one; and stale text, few of whose n-grams are new.
//!
//! Pages repeat by nature, too: empty cells, columns of noughts, dot leaders, blank lines of a form. So exact blocks
//! with table tags may be longer, and the other two measures look at text alone: without the model's tags, without
//! boxes, and with a token that follows itself taken once. The limits are far above what pages have; a loop that they
//! notice late has cost a second, a page that they cut has lost its text.

use crate::tokenizer::Specials;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

/// Longest block that is recognised, tokens: a paragraph, or ten rows of a wide table.
const BLOCK_TOKENS: usize = 512;
/// Rounds that make a loop of a block.
const BLOCK_ROUNDS: usize = 4;
/// Tokens that a block and its repetitions take before they are a loop: above a blank form, 40 lines of 8 tokens.
const REPEATED_TOKENS: usize = 384;
/// The same for a block with table tags: above 40 rows of 12 cells that say `0.00`, which take 40 (2 + 12 * 5), and
/// above 40 empty rows of 24 columns.
const REPEATED_TABLE_TOKENS: usize = 2560;
/// Text tokens that templates and staleness are measured over: above a list of 500 numbers, each with a comma and a
/// blank, and above the text of 40 rows of 12 cells that say `0.00`.
const TEXT_WINDOW: usize = 1536;
/// Longest period of a template, text tokens: a sentence.
const TEMPLATE_TOKENS: usize = 32;
/// Of ten tokens of a template, at least so many stand one period after an equal one. With one token of three changing,
/// as in `1.`, `2.`, `3.` in lines of their own, it is 6.7; over the windows of 59 files of prose, documentation and
/// source code in DeepSeek-V3's tokens it is 1.7 at most.
const TEMPLATE_TENTHS: usize = 6;
/// Length of the n-grams that make text stale where they were there before.
const GRAM: usize = 4;
/// Of a hundred n-grams in the window, at most so many are different in stale text. In the same 59 files the fewest are
/// 88 in licences, 69 in documentation, 49 in source code.
const STALE_HUNDREDTHS: usize = 25;

/// How text runs in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopKind {
    /// The same tokens over and over.
    Block {
        /// Tokens of a round.
        period: usize,
    },
    /// The same tokens but for some that change from round to round.
    Template {
        /// Text tokens of a round.
        period: usize,
    },
    /// The same phrases in changing order.
    Stale,
}

/// A loop in an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop {
    /// Output tokens before it: the part of the text that is worth keeping. A block's first round counts as such.
    pub start: usize,
    /// What repeats.
    pub kind: LoopKind,
}

impl std::fmt::Display for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            LoopKind::Block { period } => write!(f, "the same {period} tokens repeat")?,
            LoopKind::Template { period } => write!(f, "rounds of {period} tokens repeat with changes")?,
            LoopKind::Stale => write!(f, "the same phrases repeat")?,
        }
        write!(f, " from token {} on", self.start)
    }
}

/// Watches one output.
#[derive(Debug, Clone)]
pub struct Repetition {
    blocks: Blocks,
    text: Text,
}

impl Repetition {
    /// Before the first token.
    pub fn new(specials: Specials) -> Self {
        Self {
            blocks: Blocks::new(specials.table),
            text: Text::new(specials),
        }
    }

    /// Takes the next output token; a loop if the output is in one by now.
    pub fn push(&mut self, id: u32) -> Option<Loop> {
        let block = self.blocks.push(id);
        let is_text = self.text.push(id);
        block.or_else(|| if is_text { self.text.found() } else { None })
    }
}

/// Looks for exact repetition.
#[derive(Debug, Clone)]
struct Blocks {
    table: [u32; 4],
    ids: Vec<u32>,
    /// For each period, shortest first: how many tokens in a row, up to the last, equal the one a period before.
    equal: Vec<u32>,
}

impl Blocks {
    fn new(table: [u32; 4]) -> Self {
        Self {
            table,
            ids: Vec::new(),
            equal: vec![0; BLOCK_TOKENS],
        }
    }

    fn push(&mut self, id: u32) -> Option<Loop> {
        // Of a loop all rounds but one are repetition: at least three quarters of the tokens it takes.
        let mut most = 0;
        for (equal, &before) in self.equal.iter_mut().zip(self.ids.iter().rev()) {
            *equal = if before == id { *equal + 1 } else { 0 };
            most = most.max(*equal);
        }
        self.ids.push(id);
        if (most as usize) < REPEATED_TOKENS - REPEATED_TOKENS / BLOCK_ROUNDS {
            return None;
        }
        (1..)
            .zip(&self.equal)
            .find(|&(period, &equal)| self.is_loop(period, equal as usize))
            .map(|(period, &equal)| Loop {
                start: self.ids.len() - equal as usize,
                kind: LoopKind::Block { period },
            })
    }

    fn is_loop(&self, period: usize, equal: usize) -> bool {
        let total = period + equal;
        if equal == 0 || total < REPEATED_TOKENS.max(BLOCK_ROUNDS * period) {
            return false;
        }
        let has_table = self.ids[self.ids.len() - period..]
            .iter()
            .any(|id| self.table.contains(id));
        !has_table || total >= REPEATED_TABLE_TOKENS
    }
}

/// The text of an output without tags and boxes, and how it repeats within the window.
#[derive(Debug, Clone)]
struct Text {
    tags: RangeInclusive<u32>,
    box_start: u32,
    box_end: u32,
    in_box: bool,
    ids: Vec<u32>,
    /// Where each of `ids` stands in the output.
    places: Vec<usize>,
    /// Output tokens so far.
    output: usize,
    /// For each period of a template: how many tokens of the window equal the one a period before.
    equal: [u32; TEMPLATE_TOKENS],
    /// The n-grams that begin in the window, with their counts.
    grams: HashMap<[u32; GRAM], u32>,
}

impl Text {
    fn new(specials: Specials) -> Self {
        Self {
            tags: specials.range(),
            box_start: specials.det_start,
            box_end: specials.det_end,
            in_box: false,
            ids: Vec::new(),
            places: Vec::new(),
            output: 0,
            equal: [0; TEMPLATE_TOKENS],
            grams: HashMap::new(),
        }
    }

    /// Takes the next output token; whether it is one of text.
    fn push(&mut self, id: u32) -> bool {
        let place = self.output;
        self.output += 1;
        if self.tags.contains(&id) {
            self.in_box = id == self.box_start || (self.in_box && id != self.box_end);
            return false;
        }
        if self.in_box || self.ids.last() == Some(&id) {
            return false;
        }
        self.ids.push(id);
        self.places.push(place);
        self.count(self.ids.len() - 1, true);
        if let Some(leaving) = (self.ids.len() - 1).checked_sub(TEXT_WINDOW) {
            self.count(leaving, false);
        }
        true
    }

    /// Adds what token `at` repeats and the n-gram that ends there to the counts, or takes them away.
    fn count(&mut self, at: usize, enters: bool) {
        for (equal, &before) in self.equal.iter_mut().zip(self.ids[..at].iter().rev()) {
            let repeats = u32::from(before == self.ids[at]);
            *equal = if enters {
                *equal + repeats
            } else {
                *equal - repeats
            };
        }
        let Some(&gram) = self.ids[..=at].last_chunk::<GRAM>() else {
            return;
        };
        let count = self.grams.entry(gram).or_insert(0);
        *count = if enters { *count + 1 } else { *count - 1 };
        if *count == 0 {
            self.grams.remove(&gram);
        }
    }

    /// The loop in the window, if it is full.
    fn found(&self) -> Option<Loop> {
        if self.ids.len() < TEXT_WINDOW {
            return None;
        }
        let is_template = |&equal: &u32| equal as usize * 10 >= TEXT_WINDOW * TEMPLATE_TENTHS;
        if let Some(n) = self.equal.iter().position(is_template) {
            let period = n + 1;
            let repeats = (0..self.ids.len()).map(|at| at >= period && self.ids[at] == self.ids[at - period]);
            return Some(Loop {
                start: self.places[mostly_true_from(repeats, 3, 2)],
                kind: LoopKind::Template { period },
            });
        }
        if self.grams.len() * 100 > TEXT_WINDOW * STALE_HUNDREDTHS {
            return None;
        }
        let mut seen = HashSet::new();
        let repeats = (0..self.ids.len()).map(|at| {
            let gram = self.ids[..=at].last_chunk::<GRAM>();
            gram.is_some_and(|gram| !seen.insert(*gram))
        });
        Some(Loop {
            start: self.places[mostly_true_from(repeats, 1, 1)],
            kind: LoopKind::Stale,
        })
    }
}

/// Where the tail begins in which truths, at `gain` each, most outweigh untruths, at `loss` each.
fn mostly_true_from(truths: impl Iterator<Item = bool>, gain: i64, loss: i64) -> usize {
    // The best tail begins after the lowest sum of what goes before it.
    let (mut sum, mut lowest, mut start) = (0, 0, 0);
    for (at, truth) in truths.enumerate() {
        sum += if truth { gain } else { -loss };
        if sum < lowest {
            (lowest, start) = (sum, at + 1);
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: u32 = 1000;
    const TD: [u32; 2] = [IMAGE + 6, IMAGE + 7];
    const TR: [u32; 2] = [IMAGE + 8, IMAGE + 9];

    /// Where a loop is first noticed, and which.
    fn noticed(ids: impl IntoIterator<Item = u32>) -> Option<(usize, Loop)> {
        let mut repetition = Repetition::new(Specials::new(IMAGE));
        ids.into_iter()
            .enumerate()
            .find_map(|(n, id)| repetition.push(id).map(|found| (n + 1, found)))
    }

    /// Words as prose has them: few often, many seldom.
    fn prose(count: usize, seed: u64) -> Vec<u32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64;
                2000 + (4000.0_f64.powf(uniform) as u32)
            })
            .collect()
    }

    fn random(count: usize, below: u32, seed: u64) -> impl Iterator<Item = u32> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32 % below
        })
        .take(count)
    }

    /// A row of cells.
    fn row(cells: impl IntoIterator<Item = Vec<u32>>) -> Vec<u32> {
        let cells = cells
            .into_iter()
            .flat_map(|cell| [vec![TD[0]], cell, vec![TD[1]]].concat());
        [vec![TR[0]], cells.collect(), vec![TR[1]]].concat()
    }

    #[test]
    fn a_repeated_paragraph_is_noticed_in_its_fourth_round() {
        for period in [100, 300, 512] {
            let paragraph = prose(period, 5);
            let ids = [prose(700, 1), paragraph.repeat(12)].concat();
            let (at, found) = noticed(ids).unwrap();
            assert_eq!(found.kind, LoopKind::Block { period });
            assert_eq!(found.start, 700 + period, "the first round is kept");
            assert_eq!(at, 700 + 4 * period);
        }
    }

    #[test]
    fn one_token_for_ever_is_noticed() {
        let (at, found) = noticed([prose(50, 1), vec![7; 1000]].concat()).unwrap();
        assert_eq!((at, found.start), (50 + REPEATED_TOKENS, 51));
        assert_eq!(found.to_string(), "the same 1 tokens repeat from token 51 on");
    }

    #[test]
    fn an_endless_table_is_noticed() {
        let rows = row(vec![vec![]; 6]).repeat(400);
        let (at, found) = noticed([prose(100, 2), rows].concat()).unwrap();
        assert_eq!((at, found.start), (100 + REPEATED_TABLE_TOKENS, 100 + 14));
        assert_eq!(found.kind, LoopKind::Block { period: 14 });
    }

    #[test]
    fn counting_upward_is_noticed() {
        // `1.` `2.` `3.`, a line each.
        let counting = (0..2000).flat_map(|n| [10_000 + n, 5, 6]);
        let (at, found) = noticed(prose(400, 3).into_iter().chain(counting)).unwrap();
        assert_eq!(found.kind, LoopKind::Template { period: 3 });
        assert!((400..410).contains(&found.start), "{}", found.start);
        assert!(at < 400 + TEXT_WINDOW + 10);
    }

    #[test]
    fn a_sentence_with_one_changing_word_is_noticed() {
        let sentence: Vec<u32> = (3000..3020).collect();
        let rounds = (0..200).flat_map(|n| [sentence.clone(), vec![20_000 + n]].concat());
        let (at, found) = noticed(prose(900, 5).into_iter().chain(rounds)).unwrap();
        assert_eq!(found.kind, LoopKind::Template { period: 21 });
        assert!((900..=921).contains(&found.start), "{}", found.start);
        assert!(at < 900 + TEXT_WINDOW);
    }

    #[test]
    fn shuffled_phrases_are_noticed() {
        let phrases: Vec<_> = (0..12).map(|n| prose(5 + n, 40 + n as u64)).collect();
        let shuffled = random(400, 12, 9).flat_map(|n| phrases[n as usize].clone());
        let (_, found) = noticed(prose(600, 6).into_iter().chain(shuffled)).unwrap();
        assert_eq!(found.kind, LoopKind::Stale);
        assert!((600..1000).contains(&found.start), "{}", found.start);
    }

    #[test]
    fn pages_are_left_alone() {
        let cell = |id: u32| vec![10_000 + id];
        let pages: [(&str, Vec<u32>); 9] = [
            ("prose", prose(8000, 11)),
            ("an empty table", row(vec![vec![]; 24]).repeat(40)),
            ("a table of noughts", row(vec![vec![5, 6, 7]; 12]).repeat(40)),
            (
                "a table of numbers",
                random(1500, 1000, 12)
                    .map(cell)
                    .flat_map(|cell| row([cell]))
                    .collect(),
            ),
            (
                "a list of numbers",
                random(500, 1000, 13).flat_map(|n| [10_000 + n, 5, 6]).collect(),
            ),
            (
                "numbered lines",
                (0..120)
                    .flat_map(|n| [vec![10_000 + n, 5], prose(12, n.into())].concat())
                    .collect(),
            ),
            ("a blank form", prose(8, 14).repeat(40)),
            (
                "dot leaders",
                (0..60)
                    .flat_map(|n| [prose(4, n.into()), vec![5; 70], vec![10_000 + n, 6]].concat())
                    .collect(),
            ),
            (
                "lines with boxes",
                random(2400, 1000, 15)
                    .collect::<Vec<_>>()
                    .chunks(12)
                    .flat_map(|n| {
                        let text = [
                            vec![IMAGE + 1],
                            n[..8].iter().map(|n| 2000 + n).collect(),
                            vec![IMAGE + 2],
                        ];
                        let place = n[8..].iter().flat_map(|n| [10_000 + n, 5]);
                        [
                            text.concat(),
                            vec![IMAGE + 3, 8],
                            place.collect(),
                            vec![9, IMAGE + 4, 6],
                        ]
                        .concat()
                    })
                    .collect(),
            ),
        ];
        for (name, ids) in pages {
            assert_eq!(noticed(ids), None, "{name}");
        }
    }

    #[test]
    fn counts_are_those_of_the_window() {
        let mut text = Text::new(Specials::new(IMAGE));
        for id in random(4000, 6, 16) {
            text.push(id);
        }
        let window = text.ids.len() - TEXT_WINDOW..text.ids.len();
        for (n, &equal) in text.equal.iter().enumerate() {
            let counted = window
                .clone()
                .filter(|&at| text.ids[at] == text.ids[at - n - 1])
                .count();
            assert_eq!(equal as usize, counted, "period {}", n + 1);
        }
        let grams: HashSet<_> = window.map(|at| &text.ids[at + 1 - GRAM..=at]).collect();
        assert_eq!(text.grams.len(), grams.len());
    }
}
