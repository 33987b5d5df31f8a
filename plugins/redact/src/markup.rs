//! Text without its markup: HTML of tables, LaTeX of formulas, Markdown of models that write it.
//!
//! No parser: whatever may be markup is left out, and the plain text is searched besides. A tag of a block or a cell
//! parts words, an inline one doesn't.

use crate::text::{Atom, CELL, LINE};

/// Longest entity that is decoded, with `&` and `;`.
const ENTITY: usize = 12;

/// Tags that don't part words.
const INLINE: [&str; 16] = [
    "a", "abbr", "b", "big", "code", "del", "em", "font", "i", "ins", "small", "span", "strong", "sub",
    "sup", "u",
];

/// Whether stripping `text` could change it.
pub fn has_any(text: &str) -> bool {
    const IS_MARKUP: [bool; 256] = {
        let (marks, mut is_markup) = (b"&<\\*_`${}~", [false; 256]);
        let mut at = 0;
        while at < marks.len() {
            is_markup[marks[at] as usize] = true;
            at += 1;
        }
        is_markup
    };
    text.bytes().any(|b| IS_MARKUP[usize::from(b)])
}

/// Adds the characters of `text` that are no markup; it begins at byte `start` of the arena.
pub fn strip(start: u32, text: &str, atoms: &mut Vec<Atom>) {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (len, shown) = match c {
            '<' => tag(rest),
            '&' => entity(rest),
            '\\' => command(rest),
            '*' | '`' | '$' | '{' | '}' => (1, None),
            // Emphasis stands at the edge of a word, what belongs to a name inside.
            '_' => {
                let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                let is_inner = inside(text[..at].chars().next_back()) && inside(rest[1..].chars().next());
                (1, is_inner.then_some('_'))
            }
            '~' if rest.starts_with("~~") => (2, None),
            '~' => (1, Some(' ')),
            c => (c.len_utf8(), Some(c)),
        };
        if let Some(c) = shown {
            let from = start + at as u32;
            // What is not seen can't be erased, and what it parts can.
            let to = if c == LINE || c == CELL {
                from
            } else {
                from + len as u32
            };
            atoms.push(Atom { c, from, to });
        }
        at += len;
    }
}

/// Bytes of the tag that `text` begins with, and what it shows.
fn tag(text: &str) -> (usize, Option<char>) {
    let body = &text[1..];
    let name = body.trim_start_matches('/');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
        return (1, Some('<'));
    }
    let Some(end) = body.find('>') else {
        return (1, Some('<'));
    };
    let name: String = name
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let shown = match name.as_str() {
        "td" | "th" => Some(CELL),
        name if INLINE.contains(&name) => None,
        _ => Some(LINE),
    };
    (end + 2, shown)
}

/// Bytes of the entity that `text` begins with, and its character.
fn entity(text: &str) -> (usize, Option<char>) {
    let end = text.bytes().take(ENTITY).position(|b| b == b';');
    let decoded = end.and_then(|end| {
        let name = &text[1..end];
        let c = match name.strip_prefix('#') {
            Some(number) => {
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
            None => named(name)?,
        };
        Some((end + 1, Some(c)))
    });
    decoded.unwrap_or((1, Some('&')))
}

/// The entities that stand for letters and signs in names and numbers.
fn named(name: &str) -> Option<char> {
    const LETTERS: &str = "AEIOUYaeiouy";
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" | "lsquo" | "rsquo" => '\'',
        "nbsp" | "ensp" | "emsp" | "thinsp" => ' ',
        "shy" | "zwj" | "zwnj" => '\u{ad}',
        "ndash" | "mdash" | "minus" => '-',
        "szlig" => 'ß',
        "aelig" => 'æ',
        "AElig" => 'Æ',
        "oslash" => 'ø',
        "Oslash" => 'Ø',
        "commat" => '@',
        "period" => '.',
        "lowbar" => '_',
        "sol" => '/',
        "colon" => ':',
        "hyphen" | "dash" => '-',
        _ => {
            let letter = name.chars().next()?;
            let mark = match (&name[letter.len_utf8()..], letter) {
                ("uml", _) => '\u{308}',
                ("acute", _) => '\u{301}',
                ("grave", _) => '\u{300}',
                ("circ", _) => '\u{302}',
                ("tilde", _) => '\u{303}',
                ("cedil", 'c' | 'C') => '\u{327}',
                ("ring", 'a' | 'A') => '\u{30a}',
                ("caron", _) => '\u{30c}',
                _ => return None,
            };
            if !LETTERS.contains(letter) && !"CcNnSsZzRr".contains(letter) {
                return None;
            }
            return unicode_normalization::char::compose(letter, mark);
        }
    };
    Some(c)
}

/// Bytes of what a backslash begins, and what it shows.
fn command(text: &str) -> (usize, Option<char>) {
    let Some(c) = text[1..].chars().next() else {
        return (1, Some('\\'));
    };
    match c {
        '\\' => (2, Some(LINE)),
        ',' | ';' | ':' | '!' | ' ' => (2, Some(' ')),
        '(' | ')' | '[' | ']' => (2, None),
        c if c.is_ascii_punctuation() => (2, Some(c)),
        c if c.is_ascii_alphabetic() => {
            let name = text[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
            // The space that ends a command's name belongs to it.
            let space = usize::from(text.as_bytes().get(1 + name) == Some(&b' '));
            (1 + name + space, None)
        }
        _ => (1, Some('\\')),
    }
}

#[cfg(test)]
mod tests {
    use crate::text::{Source, bytes_of};

    fn stripped(text: &str) -> String {
        let mut source = Source::default();
        source.stripped(0, text);
        source.fold(false).iter().map(|l| l.c).collect()
    }

    #[test]
    fn markup_is_left_out() {
        assert_eq!(
            stripped("<tr><td class=\"x\"><b>Jo</b>hn</td><td>Smith</td></tr>"),
            "\nJohn\tSmith\n"
        );
        assert_eq!(stripped("M&uuml;ller &amp; S&#246;hne&#x21;"), "Müller & Söhne!");
        assert_eq!(stripped("e&#769;"), "é");
        assert_eq!(stripped(r"\text{John} \mathrm{Smith}"), "John Smith");
        assert_eq!(stripped(r"**John** Smi\_th `x`"), "John Smi_th x");
        assert_eq!(stripped("1 < 2 & 3 &unknown; <"), "1 < 2 & 3 &unknown; <");
        assert_eq!(stripped("\\"), "\\");
    }

    #[test]
    fn what_is_found_leaves_the_tags() {
        let mut source = Source::default();
        source.stripped(100, "<b>Jo</b>hn");
        assert_eq!(bytes_of(&source.fold(false)), [(103, 105), (109, 111)]);
    }
}
