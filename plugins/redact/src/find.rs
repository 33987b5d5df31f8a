//! Searching one source: shapes and patterns in every reading of its lines, terms letter by letter.

use crate::kinds::{Kind, Signs};
use crate::settings::Wanted;
use crate::text::{LINE, Letter, Reading, Source, View, bytes_of, has_cuts};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// How many were found, by the name of their kind.
pub type Counts = BTreeMap<&'static str, u32>;

/// What kind a found text is of, where it was no kind of its own.
const TERM: &str = "term";
const PATTERN: &str = "pattern";

/// Finds what is wanted.
#[derive(Debug)]
pub struct Finder {
    wanted: Wanted,
    /// Which terms and which patterns were met in any source so far.
    met: RefCell<[Vec<bool>; 2]>,
    /// Terms by their first letter; those that begin with one of ASCII are looked up at every letter of every page.
    ascii_terms: [Vec<usize>; 128],
    other_terms: HashMap<char, Vec<usize>>,
}

/// What a source holds, as ranges of letters.
#[derive(Default)]
struct Hits {
    found: Vec<(&'static str, Range<usize>)>,
    /// Further letters to erase, of hits that are counted already.
    more: Vec<Range<usize>>,
}

impl Hits {
    fn overlaps(&self, letters: &Range<usize>) -> bool {
        self.found
            .iter()
            .any(|(_, hit)| hit.start < letters.end && letters.start < hit.end)
    }

    fn add(&mut self, name: &'static str, letters: Range<usize>) {
        match self.overlaps(&letters) {
            true => self.more.push(letters),
            false => self.found.push((name, letters)),
        }
    }
}

impl Finder {
    pub fn new(wanted: Wanted) -> Self {
        let mut ascii_terms = [const { Vec::new() }; 128];
        let mut other_terms: HashMap<char, Vec<usize>> = HashMap::new();
        for (at, term) in wanted.terms.iter().enumerate() {
            let first = term.first();
            match ascii_terms.get_mut(first as usize) {
                Some(terms) => terms.push(at),
                None => other_terms.entry(first).or_default().push(at),
            }
        }
        let met = [
            vec![false; wanted.terms.len()],
            vec![false; wanted.patterns.len()],
        ];
        Self {
            wanted,
            met: RefCell::new(met),
            ascii_terms,
            other_terms,
        }
    }

    /// For terms and for patterns: their number, and the positions, from 1, of those that were never met.
    pub fn never_met(&self) -> [(&'static str, usize, Vec<usize>); 2] {
        let met = self.met.borrow();
        let missed = |met: &[bool]| {
            (1..)
                .zip(met)
                .filter(|(_, met)| !**met)
                .map(|(at, _)| at)
                .collect()
        };
        [
            (TERM, met[0].len(), missed(&met[0])),
            (PATTERN, met[1].len(), missed(&met[1])),
        ]
    }

    /// Adds the bytes of the arena that are to be erased to `ranges`, and answers how many texts they are.
    pub fn search(&self, source: &Source, ranges: &mut Vec<(u32, u32)>) -> Counts {
        let mut counts = Counts::new();
        if source.is_empty() {
            return counts;
        }
        let mut keep = |letters: &[Letter], hits: Hits| {
            for (name, range) in hits.found {
                *counts.entry(name).or_default() += 1;
                ranges.extend(bytes_of(&letters[range]));
            }
            for range in hits.more {
                ranges.extend(bytes_of(&letters[range]));
            }
        };
        if !self.wanted.shapes.is_empty() || !self.wanted.patterns.is_empty() {
            let letters = source.fold(false);
            keep(&letters, self.by_shape(&letters));
        }
        if !self.wanted.terms.is_empty() {
            let letters = source.fold(self.wanted.folds_case);
            keep(&letters, self.by_term(&letters));
        }
        counts
    }

    fn by_shape(&self, letters: &[Letter]) -> Hits {
        let (cuts, lines) = has_cuts(letters);
        let mut hits = Hits::default();
        for (reading, makes_a_difference) in [
            (Reading::Joined, true),
            (Reading::Kept, cuts),
            (Reading::Tight, lines),
        ] {
            if !makes_a_difference {
                continue;
            }
            let view = View::new(letters, reading);
            let signs = Signs::of(&view.text);
            let tight = reading == Reading::Tight;
            let mut add = |name, kind: Option<Kind>, bytes: Range<usize>| {
                let found = view.letters(&bytes);
                if !tight || belongs_together(letters, &found, kind, &hits) {
                    hits.add(name, found);
                }
            };
            for shape in &self.wanted.shapes {
                if !tight || shape.kind.survives_tight_lines() {
                    for bytes in shape.find(&view.text, &signs) {
                        add(shape.kind.name(), Some(shape.kind), bytes);
                    }
                }
            }
            for (at, pattern) in self.wanted.patterns.iter().enumerate() {
                for found in pattern.find_iter(&view.text).filter(|m| !m.is_empty()) {
                    self.met.borrow_mut()[1][at] = true;
                    add(PATTERN, None, found.range());
                }
            }
        }
        hits
    }

    fn by_term(&self, letters: &[Letter]) -> Hits {
        let mut hits = Hits::default();
        for (at, letter) in letters.iter().enumerate() {
            let first = letter.c;
            let terms = match self.ascii_terms.get(first as usize) {
                Some(terms) => terms.as_slice(),
                None => self.other_terms.get(&first).map_or(&[][..], Vec::as_slice),
            };
            for &term in terms {
                let found = self.wanted.terms[term].matches(letters, at, self.wanted.whole_words);
                if let Some(found) = found {
                    self.met.borrow_mut()[0][term] = true;
                    hits.add(TERM, found);
                }
            }
        }
        hits
    }
}

/// Whether what was found over the end of a line, as if there were none, is one: the parts alone are nothing, or the mark
/// at which the line was cut says that it goes on.
fn belongs_together(letters: &[Letter], found: &Range<usize>, kind: Option<Kind>, hits: &Hits) -> bool {
    let mut ends = found.clone().filter(|&at| letters[at].c == LINE).peekable();
    if ends.peek().is_none() {
        return false;
    }
    let goes_on = |at: usize| {
        let (before, after) = (letters[at - 1].c, letters[at + 1].c);
        match kind {
            Some(Kind::Email) => "._-@+".contains(before) || "._@".contains(after),
            Some(Kind::Url) => "/._-?&=%#".contains(before) || "/?&=%#".contains(after),
            _ => false,
        }
    };
    !hits.overlaps(found) || ends.all(goes_on)
}
