//! Words and phrases: found wherever their letters follow each other, however the lines were cut.

use crate::text::{CELL, LINE, Letter, Source};
use std::ops::Range;

/// A word or phrase to find, folded like the text.
#[derive(Debug)]
pub struct Term {
    letters: Vec<char>,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | LINE | CELL)
}

impl Term {
    /// None where nothing of it can be seen.
    pub fn new(text: &str, small: bool) -> Option<Self> {
        let mut source = Source::default();
        source.plain(0, text.trim());
        let mut letters: Vec<char> = source
            .fold(small)
            .iter()
            .map(|l| if is_space(l.c) { ' ' } else { l.c })
            .collect();
        while letters.last() == Some(&' ') {
            letters.pop();
        }
        (!letters.is_empty()).then_some(Self { letters })
    }

    pub fn first(&self) -> char {
        self.letters[0]
    }

    /// The letters of `text` from `at` on that are this term.
    pub fn matches(&self, text: &[Letter], at: usize, whole_words: bool) -> Option<Range<usize>> {
        let mut end = at;
        for (i, &wanted) in self.letters.iter().enumerate() {
            if wanted == ' ' {
                let spaces = text[end..].iter().take_while(|l| is_space(l.c)).count();
                if spaces == 0 {
                    return None;
                }
                end += spaces;
                continue;
            }
            loop {
                let c = text.get(end)?.c;
                if c == wanted {
                    end += 1;
                    break;
                }
                let ends_line = |at: usize| text.get(at).is_some_and(|l| l.c == LINE);
                end += match c {
                    '-' if i > 0 && ends_line(end + 1) => 2,
                    LINE if i > 0 => 1,
                    _ => return None,
                };
            }
        }
        let range = at..end;
        (!whole_words || is_whole(text, &range)).then_some(range)
    }
}

/// Whether a range neither begins nor ends inside a word. Scripts without spaces have no words to begin in.
fn is_whole(text: &[Letter], range: &Range<usize>) -> bool {
    let inside = |a: Option<&Letter>, b: Option<&Letter>| match (a, b) {
        (Some(a), Some(b)) => parts_words(a.c) && parts_words(b.c),
        _ => false,
    };
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    !inside(before, text.get(range.start)) && !inside(text.get(range.end - 1), text.get(range.end))
}

fn parts_words(c: char) -> bool {
    let spaceless = matches!(u32::from(c), 0xe00..=0xeff | 0xf00..=0xfff | 0x1000..=0x109f | 0x1780..=0x17ff
        | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff);
    c.is_alphanumeric() && !spaceless
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(term: &str, text: &str) -> Option<String> {
        let term = Term::new(term, true).unwrap();
        let mut source = Source::default();
        source.plain(0, text);
        let letters = source.fold(true);
        let found = (0..letters.len()).find_map(|at| term.matches(&letters, at, true))?;
        Some(letters[found].iter().map(|l| l.c).collect())
    }

    #[test]
    fn cut_lines_don_t_hide_a_term() {
        for text in [
            "Anna Muster",
            "ANNA\nMUSTER",
            "An-\nna Mus-\nter",
            "An\nna  Muster",
            "anna\tmuster",
            "Anna\u{a0}Mu\u{ad}ster",
        ] {
            assert!(finds("Anna  Muster", text).is_some(), "{text:?}");
        }
        assert_eq!(
            finds("Müller-Lüden", "Mu\u{308}ller-\nLüden!").as_deref(),
            Some("müller-\nlüden")
        );
        assert!(finds("Müller-Lüden", "Mül-\nler-\nLü-\nden").is_some());
        assert!(finds("Straße", "STRASSE").is_some());
    }

    #[test]
    fn a_term_is_whole_words() {
        assert_eq!(finds("Ann", "Annual, Joann, ann-arbor").as_deref(), Some("ann"));
        assert_eq!(finds("Ann", "Annual Joann"), None);
        assert!(finds("田中", "は田中さん").is_some());
        assert!(finds("C++", "in C++ and").is_some());
        assert_eq!(finds("Anna Muster", "AnnaMuster"), None);
        assert_eq!(finds("a b", "a -b"), None);
    }
}
