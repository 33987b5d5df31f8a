//! One place where a line ends with a hyphen, and what to make of it.

use crate::words::{Words, is_apostrophe, is_hyphen, is_letter};

/// A line that ends with a hyphen and the one that follows.
#[derive(Debug, PartialEq)]
pub struct Cut {
    /// Letters before the hyphen, up to the beginning of the word.
    pub left: String,
    /// What follows up to the next space: letters, and the marks behind them.
    pub right: String,
    /// Where the word begins in the first line, bytes.
    pub start: usize,
    /// Bytes of `right` in the second line behind its leading space.
    pub taken: usize,
    /// Whether the hyphen is one that is only ever written where a word is cut.
    soft: bool,
    /// Whether `right` is cut again: it is its whole line and ends with a hyphen.
    cut_again: bool,
}

/// What the two parts are together.
#[derive(Debug, PartialEq)]
pub enum Joined {
    /// Nothing: they stay as they are.
    Apart,
    /// One word.
    Whole,
    /// One word with a hyphen.
    Hyphen,
}

/// Parts that are no shorter than this, and words of their own, make a compound rather than a cut word. Shorter ones are
/// words by chance (`in-form`, `be-cause`).
const OWN_WORD: usize = 4;

/// What follows a hyphen that stands for a word's other half (`Vor- und Nachteile`). Two letters are too few to be the
/// second half of a cut word in most books' rules, so little is lost.
const SUSPENDED: [&str; 9] = ["und", "oder", "bis", "sowie", "bzw", "and", "or", "to", "och"];

impl Cut {
    /// None where the first line doesn't end with a letter and a hyphen, or the second doesn't begin with a letter.
    pub fn between(first: &str, second: &str) -> Option<Cut> {
        let head = first.trim_end();
        let hyphen = head.chars().next_back().filter(|c| is_hyphen(*c))?;
        let head = &head[..head.len() - hyphen.len_utf8()];
        let word = |c: char| is_letter(c) || is_hyphen(c) || is_apostrophe(c) || c.is_numeric();
        let start = head.len()
            - head
                .chars()
                .rev()
                .take_while(|c| word(*c))
                .map(char::len_utf8)
                .sum::<usize>();
        let left = &head[start..];
        let second = second.trim_start();
        let taken = second.find(char::is_whitespace).unwrap_or(second.len());
        let right = &second[..taken];
        let sound =
            left.chars().next_back().is_some_and(is_letter) && right.chars().next().is_some_and(is_letter);
        sound.then(|| Cut {
            left: left.to_owned(),
            right: right.to_owned(),
            start,
            taken,
            soft: hyphen == '\u{ad}' || hyphen == '¬',
            cut_again: second[taken..].trim().is_empty() && right.ends_with(is_hyphen),
        })
    }

    /// Whether the hyphen belongs to the word, judged by what the document's own words are.
    pub fn decide(&self, words: &Words) -> Joined {
        let letters: String = self
            .right
            .chars()
            .take_while(|c| is_letter(*c) || is_apostrophe(*c))
            .collect();
        let behind = &self.right[letters.len()..];
        let is_cut = self.cut_again && behind.chars().count() == 1;
        let behind = behind.chars().next().filter(|_| !is_cut);
        let (left, right) = (self.left.as_str(), letters.trim_end_matches(is_apostrophe));
        if self.soft {
            return Joined::Whole;
        }
        // `2019-` and `COVID-`, `state-of-` and `the-art`: words that have a hyphen have another.
        let (first, last) = (left.chars().next(), left.chars().next_back());
        let whole = words.times(&format!("{left}{right}"));
        let hyphened = words.times(&format!("{left}-{right}"));
        if whole != hyphened {
            return if whole > hyphened {
                Joined::Whole
            } else {
                Joined::Hyphen
            };
        }
        if left.chars().any(|c| is_hyphen(c) || c.is_numeric())
            || behind.is_some_and(|c| is_hyphen(c) || c.is_numeric())
        {
            return Joined::Hyphen;
        }
        if SUSPENDED.contains(&right.to_lowercase().as_str()) {
            return Joined::Apart;
        }
        let capital = right.chars().next().is_some_and(char::is_uppercase);
        let shouted = capital
            && left.chars().count() > 1
            && left.chars().chain(right.chars()).all(|c| !c.is_lowercase())
            && first.is_some_and(char::is_uppercase)
            && last.is_some_and(char::is_uppercase);
        if capital && !shouted {
            return Joined::Hyphen;
        }
        // `e-mail`, `x-ray`: nobody cuts a word behind one letter.
        if left.chars().count() < 2 {
            return Joined::Hyphen;
        }
        let own = |part: &str| part.chars().count() >= OWN_WORD && words.times(part) > 0;
        if own(left) && own(right) {
            return Joined::Hyphen;
        }
        Joined::Whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(document: &str, first: &str, second: &str) -> String {
        let mut words = Words::default();
        words.read(document);
        words.count_unread();
        let Some(cut) = Cut::between(first, second) else {
            return "no cut".into();
        };
        match cut.decide(&words) {
            Joined::Apart => "apart".into(),
            Joined::Whole => format!("{}{}", cut.left, cut.right),
            Joined::Hyphen => format!("{}-{}", cut.left, cut.right),
        }
    }

    #[test]
    fn what_the_document_has_settles_it() {
        assert_eq!(join("", "the recog-", "nition, of"), "recognition,");
        assert_eq!(join("a self-service", "self-", "service"), "self-service");
        assert_eq!(join("his coworkers", "co-", "workers."), "coworkers.");
        assert_eq!(
            join("co-workers, co-workers, coworkers", "co-", "workers"),
            "co-workers"
        );
        assert_eq!(join("a long word, a term", "long-", "term"), "long-term");
        assert_eq!(join("in the form of", "in-", "form"), "inform");
        assert_eq!(join("major", "maj-", "or"), "major");
    }

    #[test]
    fn true_hyphens_stay() {
        for (first, second, joined) in [
            ("COVID-", "19", "no cut"),
            ("Covid19-", "related", "no cut"),
            ("Jean-", "Paul", "Jean-Paul"),
            ("state-of-", "the-art", "state-of-the-art"),
            ("up-", "to-date", "up-to-date"),
            ("e-", "mail", "e-mail"),
            ("Vor-", "und Nachteile", "apart"),
            ("a -", "b", "no cut"),
            ("wait\u{2014}", "what", "no cut"),
            ("x--", "y", "no cut"),
        ] {
            assert_eq!(join("", first, second), joined, "{first} {second}");
        }
    }

    #[test]
    fn scripts_and_marks_are_no_trouble() {
        assert_eq!(join("", "INFOR-", "MATION"), "INFORMATION");
        assert_eq!(join("", "Stra\u{ad}", "ße"), "Straße");
        assert_eq!(join("", "при-", "вет!»"), "привет!»");
        assert_eq!(join("", "l\u{2019}infor-", "mation"), "l\u{2019}information");
        assert_eq!(join("", "ge¬", "gangen"), "gegangen");
    }
}
