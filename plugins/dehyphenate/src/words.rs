//! The words of a document: how often each was read in one piece.

use std::borrow::Cow;
use std::collections::HashMap;

/// Most words that are remembered; a thick book has some 50,000 different ones. What comes later is not counted.
const MOST: usize = 200_000;

/// Most bytes that wait to be counted, about: a thick book.
const MOST_UNREAD: usize = 4 << 20;

/// Longest word that is remembered, characters; longer ones are noise.
const LONGEST: usize = 64;

/// How often words were read, in small letters: with their hyphens, and the parts of those that have any.
#[derive(Debug, Default)]
pub struct Words {
    counts: HashMap<String, u32>,
    /// Texts that are not counted yet, each with an empty line behind it.
    unread: String,
}

impl Words {
    /// Takes the words of a text, except those that a line's end cuts. They are counted when a count is asked for: most
    /// documents have no word that is cut.
    pub fn read(&mut self, text: &str) {
        self.unread.push_str(text);
        self.unread.push_str("\n\n");
        if self.unread.len() > MOST_UNREAD {
            self.count_unread();
        }
    }

    /// Counts what was read.
    pub fn count_unread(&mut self) {
        let mut text = std::mem::take(&mut self.unread);
        // Most words are folded by it.
        text.make_ascii_lowercase();
        let mut cut = false;
        for line in text.lines() {
            let mut words = words(line).peekable();
            // What was cut is no word.
            if cut {
                words.next();
            }
            cut = line.trim_end().ends_with(is_hyphen);
            while let Some(word) = words.next() {
                if !(cut && words.peek().is_none()) {
                    self.count(word);
                }
            }
        }
    }

    fn count(&mut self, word: &str) {
        // No text has more characters than bytes.
        if word.len() > LONGEST && word.chars().count() > LONGEST {
            return;
        }
        let word = fold(word);
        if word.contains('-') {
            for part in word.split('-').filter(|p| !p.is_empty()) {
                self.add(part);
            }
        }
        self.add(&word);
    }

    fn add(&mut self, word: &str) {
        if let Some(times) = self.counts.get_mut(word) {
            *times += 1;
        } else if self.counts.len() < MOST {
            self.counts.insert(word.to_owned(), 1);
        }
    }

    /// How often a word was read, as far as it is counted.
    pub fn times(&self, word: &str) -> u32 {
        self.counts.get(&*fold(word)).copied().unwrap_or_default()
    }
}

/// A word in small letters, with one kind of hyphen.
fn fold(word: &str) -> Cow<'_, str> {
    if word
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'\'')
    {
        return Cow::Borrowed(word);
    }
    let kept = word.chars().filter(|c| *c != '\u{ad}');
    let folded = kept.flat_map(|c| match is_hyphen(c) {
        true => '-'.to_lowercase(),
        false => c.to_lowercase(),
    });
    Cow::Owned(folded.collect())
}

/// Runs of letters, with hyphens and apostrophes inside.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c| !is_inside(c))
        .map(|w| w.trim_matches(|c| is_hyphen(c) || is_apostrophe(c)))
        .filter(|w| !w.is_empty())
}

fn is_inside(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '-' | '\'' => true,
        c => !c.is_ascii() && (is_letter(c) || is_hyphen(c) || is_apostrophe(c)),
    }
}

pub fn is_letter(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '\u{300}'..='\u{36f}' | '\u{200c}' | '\u{200d}')
}

pub fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

/// Hyphens as printers and engines write them; dashes are none.
pub fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{ad}' | '\u{2010}' | '\u{2011}' | '¬')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_one_piece_are_counted() {
        let mut words = Words::default();
        words.read("A self-service shop, the shop's recog-\nnition. Self\u{2010}Service don't");
        words.read("a further text, not cut-");
        words.read("off");
        words.count_unread();
        for (word, times) in [
            ("shop", 1),
            ("self-service", 2),
            ("self", 2),
            ("recog", 0),
            ("nition", 0),
            ("don't", 1),
            ("shop's", 1),
            ("not", 1),
            ("cut", 0),
            ("off", 1),
        ] {
            assert_eq!(words.times(word), times, "{word}");
        }
    }
}
