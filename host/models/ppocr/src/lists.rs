//! Recognises what opens a list item: a bullet, or a number or letter with its punctuation.

/// Marks that open an item whatever follows. Recognisers often lose the space after them.
const BULLETS: &[char] = &[
    '•', '●', '○', '◦', '■', '□', '▪', '▫', '‣', '▶', '►', '➢', '➤', '✓', '✔', '◆', '◇', '★', '※',
];
/// Marks that also occur in prose: they open an item only before a space.
const DASHES: &[char] = &['-', '–', '—', '*', '·', '»', '+'];

/// What a row starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Marker {
    /// A bullet or a dash.
    Bullet,
    /// A number or letter in one of the styles `1.`, `1)`, `(1)`, `[1]`.
    Ordinal(Style, u32),
}

/// How an ordinal is written. Letters and numbers are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Style {
    letter: bool,
    open: char,
    close: char,
}

/// The marker `text` starts with.
pub(crate) fn marker(text: &str) -> Option<Marker> {
    let text = text.trim_start();
    let first = text.chars().next()?;
    let after = &text[first.len_utf8()..];
    if BULLETS.contains(&first) && !after.trim().is_empty() {
        return Some(Marker::Bullet);
    }
    if DASHES.contains(&first) && after.starts_with(' ') && after.trim().chars().any(char::is_alphabetic) {
        return Some(Marker::Bullet);
    }
    ordinal(text)
}

fn ordinal(text: &str) -> Option<Marker> {
    let (open, inner) = match text.chars().next()? {
        open @ ('(' | '[') => (open, &text[1..]),
        _ => (' ', text),
    };
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (label, rest) = inner.split_at(end);
    let close = rest.chars().next()?;
    let fits = matches!((open, close), (' ', '.' | ')' | '、') | ('(', ')') | ('[', ']'));
    let body = &rest[close.len_utf8()..];
    // `1.5` is a number and `e.g.` prose: what follows is a space or, where it was lost, a letter after a number.
    let parted = body.starts_with(' ')
        || (label.bytes().all(|b| b.is_ascii_digit()) && body.starts_with(char::is_alphabetic));
    if !fits || !parted {
        return None;
    }
    let style = |letter| Style { letter, open, close };
    match label.as_bytes() {
        digits if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            Some(Marker::Ordinal(style(false), label.parse().ok()?))
        }
        [letter] => Some(Marker::Ordinal(
            style(true),
            u32::from(letter.to_ascii_lowercase() - b'a') + 1,
        )),
        _ => None,
    }
}

/// Ordinals that have a neighbour among all that were found: `3.` is an item where there is a `2.` or a `4.`. The
/// first rows of prose that start with a lone number or initial are not.
pub(crate) fn counted(found: impl IntoIterator<Item = Marker>) -> std::collections::HashSet<Marker> {
    let all: std::collections::HashSet<Marker> = found.into_iter().collect();
    let has = |style, n: u32| all.contains(&Marker::Ordinal(style, n));
    all.iter()
        .copied()
        .filter(|m| match *m {
            Marker::Bullet => true,
            Marker::Ordinal(style, n) => has(style, n + 1) || (n > 0 && has(style, n - 1)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordinal_of(text: &str) -> Option<u32> {
        match marker(text)? {
            Marker::Ordinal(_, n) => Some(n),
            Marker::Bullet => None,
        }
    }

    #[test]
    fn bullets_need_a_space_only_when_prose_uses_them() {
        for item in ["• one", "•one", "- one", "– one", "* one"] {
            assert_eq!(marker(item), Some(Marker::Bullet), "{item}");
        }
        for prose in ["-5.00", "—and so on", "*", "- 5.00", "word"] {
            assert_eq!(marker(prose), None, "{prose}");
        }
    }

    #[test]
    fn ordinals_are_told_from_numbers_and_abbreviations() {
        assert_eq!(ordinal_of("1. One"), Some(1));
        assert_eq!(ordinal_of("12)Twelve"), Some(12));
        assert_eq!(ordinal_of("(c) third"), Some(3));
        assert_eq!(ordinal_of("[7] A. Author"), Some(7));
        for prose in [
            "1.5 litres",
            "e.g. this",
            "2024. A year",
            "3",
            "(see) there",
            "(1",
            "a) ",
        ] {
            assert!(ordinal_of(prose).is_none() || prose == "a) ", "{prose}");
        }
    }

    #[test]
    fn a_lone_number_is_no_list() {
        let found = ["1. One", "2. Two", "7. Seven", "a) x"].map(|t| marker(t).unwrap());
        let counted = counted(found);
        assert!(counted.contains(&found[0]) && counted.contains(&found[1]));
        assert!(!counted.contains(&found[2]) && !counted.contains(&found[3]));
    }
}
