//! Text as it is searched: normal forms on both sides, and for each letter the bytes that it came from.
//!
//! What a page says can be spelt in many ways: letters with accents composed or not, ligatures, full-width forms,
//! dashes of all lengths, spaces that don't break, entities of HTML. Sources are read as [`Atom`]s, folded to
//! [`Letter`]s, and every letter knows its range in the arena, so whatever is found there can be erased here.

use crate::markup;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, decompose_compatible};
use unicode_normalization::{IsNormalized, is_nfc_quick};

/// A character of a source with the bytes it stands for.
#[derive(Debug, Clone, Copy)]
pub struct Atom {
    pub c: char,
    pub from: u32,
    pub to: u32,
}

/// A character of folded text with the bytes it came from; none for what parts two pieces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letter {
    pub c: char,
    pub from: u32,
    pub to: u32,
}

/// What stands between two pieces of a source.
pub const LINE: char = '\n';
/// What stands between two cells: a phrase may go on behind it, a number does not.
pub const CELL: char = '\t';

/// Pieces of the arena in the order in which they are read.
#[derive(Debug, Default)]
pub struct Source {
    atoms: Vec<Atom>,
}

impl Source {
    /// Adds plain text that begins at byte `start` of the arena.
    pub fn plain(&mut self, start: u32, text: &str) {
        let atom = |(at, c): (usize, char)| Atom {
            c,
            from: start + at as u32,
            to: start + (at + c.len_utf8()) as u32,
        };
        if text.is_ascii() {
            let characters = text.bytes().map(char::from).enumerate();
            self.atoms.extend(characters.map(atom));
        } else {
            self.atoms.extend(text.char_indices().map(atom));
        }
    }

    /// Adds text without the markup in it.
    pub fn stripped(&mut self, start: u32, text: &str) {
        markup::strip(start, text, &mut self.atoms);
    }

    /// Parts what was added from what comes.
    pub fn part(&mut self, by: char) {
        let at = self.atoms.last().map_or(0, |a| a.to);
        self.atoms.push(Atom {
            c: by,
            from: at,
            to: at,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.atoms.is_empty()
    }

    /// The text to search; `small` turns capitals into small letters.
    pub fn fold(&self, small: bool) -> Vec<Letter> {
        let mut letters: Vec<Letter> = Vec::with_capacity(self.atoms.len());
        let mut at = 0;
        while at < self.atoms.len() {
            let Atom { c, from, to } = self.atoms[at];
            // Nearly all of most texts: what goes with nothing around it and stays what it is.
            let parts_words = || c == ' ' && letters.last().is_none_or(|last| !is_space(last.c));
            if (c.is_ascii_graphic() || parts_words())
                && self.atoms.get(at + 1).is_none_or(|next| next.c.is_ascii())
            {
                let c = if small { c.to_ascii_lowercase() } else { c };
                letters.push(Letter { c, from, to });
                at += 1;
                continue;
            }
            let mut end = at + 1;
            while end < self.atoms.len() && joins(self.atoms[end].c) {
                end += 1;
            }
            let cluster = &self.atoms[at..end];
            let (from, to) = (cluster[0].from, cluster[cluster.len() - 1].to);
            let mut push = |c: char| push(&mut letters, Letter { c, from, to });
            if let [Atom { c, .. }] = cluster
                && c.is_ascii()
            {
                push(if small { c.to_ascii_lowercase() } else { *c });
            } else {
                for c in cluster.iter().map(|a| a.c).nfkc().filter_map(plain) {
                    match small {
                        false => push(c),
                        true => lower(c, &mut push),
                    }
                }
            }
            at = end;
        }
        letters
    }
}

/// Whether a character goes on with the one before it in some normal form.
fn joins(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let mut first = c;
    let mut seen = false;
    decompose_compatible(c, |d| {
        if !std::mem::replace(&mut seen, true) {
            first = d;
        }
    });
    canonical_combining_class(first) != 0 || is_nfc_quick(std::iter::once(first)) == IsNormalized::Maybe
}

/// One character for all that look alike and mean the same; none for what is not seen.
pub fn plain(c: char) -> Option<char> {
    Some(match c {
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => {
            return None;
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2043}' | '\u{fe58}' | '\u{fe63}' => '-',
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2032}' | '\u{00b4}' | '\u{02bc}' => '\'',
        '\u{201c}'..='\u{201e}' | '\u{2033}' => '"',
        '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{0b}' | '\u{0c}' => LINE,
        c if c.is_ascii() => c,
        c => match digit(c) {
            Some(d) => d,
            None => c,
        },
    })
}

/// The ASCII digit that a decimal digit of another script stands for.
fn digit(c: char) -> Option<char> {
    const ZEROS: [u32; 12] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xe50, 0x17e0,
    ];
    let zero = ZEROS.into_iter().find(|z| (*z..z + 10).contains(&u32::from(c)))?;
    char::from_digit(u32::from(c) - zero, 10)
}

fn lower(c: char, push: &mut impl FnMut(char)) {
    match c {
        'ß' | 'ẞ' => ['s', 's'].into_iter().for_each(push),
        'ς' => push('σ'),
        // The dot of a Turkish İ would part it from i.
        'İ' => push('i'),
        c => c.to_lowercase().for_each(push),
    }
}

/// Whether a letter of folded text is white space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | LINE | CELL)
}

/// Adds a letter; runs of white space become one letter, the widest of them.
fn push(letters: &mut Vec<Letter>, letter: Letter) {
    let rank = |c: char| match c {
        LINE => 2,
        CELL => 1,
        _ => 0,
    };
    let c = match letter.c {
        '\r' => LINE,
        c if rank(c) == 0 && c.is_whitespace() => ' ',
        c => c,
    };
    match letters.last_mut() {
        Some(last) if is_space(c) && is_space(last.c) => {
            if rank(c) > rank(last.c) {
                last.c = c;
            }
            last.to = letter.to.max(last.to);
        }
        _ => letters.push(Letter { c, ..letter }),
    }
}

/// How cut lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A hyphen at a line's end belongs to the cut: `recog-` and `nition` are `recognition`.
    Joined,
    /// It belongs to the word: `self-` and `service` are `self-service`.
    Kept,
    /// Lines are cut anywhere: `exam` and `ple.com` are `example.com`.
    Tight,
}

/// Folded text as one string, read in one way.
#[derive(Debug)]
pub struct View {
    pub text: String,
    /// The letter that each byte belongs to.
    letters: Vec<u32>,
}

impl View {
    pub fn new(letters: &[Letter], reading: Reading) -> Self {
        let mut view = View {
            text: String::with_capacity(letters.len()),
            letters: Vec::with_capacity(letters.len()),
        };
        let mut push = |at: usize, c: char| {
            view.text.push(c);
            view.letters.resize(view.text.len(), at as u32);
        };
        for (at, letter) in letters.iter().enumerate() {
            match (letter.c, reading) {
                ('-', Reading::Joined | Reading::Tight) if is_cut(letters, at) => {}
                (LINE, _) if at > 0 && is_cut(letters, at - 1) => {}
                (LINE, Reading::Tight) => {}
                (LINE, _) => push(at, ' '),
                (c, _) => push(at, c),
            }
        }
        view
    }

    /// The letters that bytes of the view come from, with those between them that it leaves out.
    pub fn letters(&self, bytes: &Range<usize>) -> Range<usize> {
        self.letters[bytes.start] as usize..self.letters[bytes.end - 1] as usize + 1
    }
}

/// Whether the letter at `at` is a hyphen that ends a line in the middle of a word.
fn is_cut(letters: &[Letter], at: usize) -> bool {
    letters[at].c == '-'
        && letters.get(at + 1).is_some_and(|l| l.c == LINE)
        && at > 0
        && letters[at - 1].c.is_alphanumeric()
        && letters.get(at + 2).is_some_and(|l| l.c.is_alphanumeric())
}

/// Whether reading makes a difference: whether there is a cut word, and whether there is a second line.
pub fn has_cuts(letters: &[Letter]) -> (bool, bool) {
    let cut = (0..letters.len()).any(|at| is_cut(letters, at));
    (cut, letters.iter().any(|l| l.c == LINE))
}

/// The bytes of the arena that letters stand for, without the ends of lines and cells, as few ranges as there can be.
pub fn bytes_of(letters: &[Letter]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut parted = true;
    for letter in letters {
        if letter.c == LINE || letter.c == CELL {
            parted = true;
        } else if letter.from < letter.to {
            match ranges.last_mut() {
                Some((from, to)) if !parted && (*from..=*to).contains(&letter.from) => {
                    *to = letter.to.max(*to)
                }
                _ => ranges.push((letter.from, letter.to)),
            }
            parted = false;
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str, small: bool) -> String {
        let mut source = Source::default();
        source.plain(0, text);
        source.fold(small).iter().map(|l| l.c).collect()
    }

    #[test]
    fn spellings_of_one_text_become_one() {
        assert_eq!(folded("Mu\u{308}ller", false), "M\u{fc}ller");
        assert_eq!(folded("o\u{fb03}ce \u{fb01}t", false), "office fit");
        assert_eq!(folded("\u{ff21}\u{ff22}\u{ff23}\u{3000}\u{ff11}", false), "ABC 1");
        assert_eq!(
            folded("a\u{2011}b\u{ad}c\u{200b}d\u{a0}\u{a0}e", false),
            "a-bcd e"
        );
        assert_eq!(folded("STRASSE Straße ΣΑΣ", true), "strasse strasse σασ");
        assert_eq!(folded("\u{661}\u{662}", false), "12");
        assert_eq!(folded("\u{1112}\u{1161}\u{11ab}", false), "한");
        assert_eq!(folded("a \r\n\t b", false), "a\nb");
    }

    /// Folding without the short way.
    fn folded_slowly(source: &Source, small: bool) -> Vec<Letter> {
        let mut letters = Vec::new();
        let clusters = source.atoms.chunk_by(|_, next| joins(next.c));
        for cluster in clusters {
            let (from, to) = (cluster[0].from, cluster[cluster.len() - 1].to);
            let mut push = |c: char| push(&mut letters, Letter { c, from, to });
            let alone = (cluster.len() == 1 && cluster[0].c.is_ascii()).then_some(cluster[0].c);
            let folded: Vec<char> = match alone {
                Some(c) => vec![c],
                None => cluster.iter().map(|a| a.c).nfkc().filter_map(plain).collect(),
            };
            for c in folded {
                match (small, alone) {
                    (false, _) => push(c),
                    (true, Some(c)) => push(c.to_ascii_lowercase()),
                    (true, None) => lower(c, &mut push),
                }
            }
        }
        letters
    }

    #[test]
    fn the_short_way_folds_alike() {
        let signs: Vec<char> =
            "aB1-. \n\t\r\u{0}\u{b}\u{7f}\u{85}\u{a0}\u{ad}\u{200b}\u{301}\u{308}\u{df}\u{e9}\u{130}\u{3a3}\
            \u{3c2}\u{661}\u{1112}\u{1161}\u{11ab}\u{2011}\u{2028}\u{fb03}\u{ff21}\u{3000}\u{1f600}"
                .chars()
                .chain("aaaaaabcXYZ      ".chars())
                .collect();
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let text: String = (0..12)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    signs[(state >> 33) as usize % signs.len()]
                })
                .collect();
            let mut source = Source::default();
            source.plain(5, &text);
            source.part(CELL);
            source.stripped(40, &text);
            for small in [false, true] {
                assert_eq!(source.fold(small), folded_slowly(&source, small), "{text:?}");
            }
        }
    }

    #[test]
    fn letters_know_their_bytes() {
        let mut source = Source::default();
        source.plain(10, "xo\u{fb03}e\u{301}");
        let letters = source.fold(true);
        let ranges: Vec<_> = letters.iter().map(|l| (l.c, l.from, l.to)).collect();
        assert_eq!(
            ranges,
            [
                ('x', 10, 11),
                ('o', 11, 12),
                ('f', 12, 15),
                ('f', 12, 15),
                ('i', 12, 15),
                ('é', 15, 18)
            ]
        );
        assert_eq!(bytes_of(&letters[1..4]), [(11, 15)]);
    }

    #[test]
    fn cut_words_are_read_in_three_ways() {
        let mut source = Source::default();
        source.plain(0, "self-\nserv\nice - \n x");
        let letters = source.fold(false);
        let read = |reading| View::new(&letters, reading).text;
        assert_eq!(read(Reading::Joined), "selfserv ice - x");
        assert_eq!(read(Reading::Kept), "self-serv ice - x");
        assert_eq!(read(Reading::Tight), "selfservice -x");
        let view = View::new(&letters, Reading::Joined);
        assert_eq!(bytes_of(&letters[view.letters(&(0..8))]), [(0, 5), (6, 10)]);
    }
}
