//! The little HTML that the model writes: tags, character references, and the text between them.
//!
//! A tag begins with `<` and a letter, `/` or `!` and ends at the next `>` before any other `<`; everything else is text.

/// A tag of the text.
pub(super) struct HtmlTag<'t> {
    /// As it is written.
    pub name: &'t str,
    attributes: &'t str,
    /// Whether it is an end tag.
    pub closes: bool,
    /// Byte of its `<`.
    pub start: usize,
    /// Byte behind its `>`.
    pub end: usize,
}

impl HtmlTag<'_> {
    /// Whether this opens `name`.
    pub fn opens(&self, name: &str) -> bool {
        !self.closes && self.name.eq_ignore_ascii_case(name)
    }

    /// The value of a numeric attribute, 1 where there is none.
    pub fn number(&self, name: &str) -> u32 {
        let lower = self.attributes.to_ascii_lowercase();
        let value = lower.match_indices(name).find_map(|(at, _)| {
            let value = lower[at + name.len()..].trim_start().strip_prefix('=')?;
            let value = value.trim_start().trim_start_matches(['"', '\'']).trim_start();
            let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            // What is too long for a number is more than any bound.
            (digits > 0).then(|| value[..digits].parse().unwrap_or(u32::MAX))
        });
        value.unwrap_or(1).max(1)
    }
}

/// All tags of `text`, in order.
pub(super) fn tags(text: &str) -> impl Iterator<Item = HtmlTag<'_>> {
    text.match_indices('<').filter_map(|(start, _)| {
        let inside = &text[start + 1..];
        let closes = inside.starts_with('/');
        let begin = &inside[usize::from(closes)..];
        if !begin.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
            return None;
        }
        let length = begin
            .find(['<', '>'])
            .filter(|&at| begin[at..].starts_with('>'))?;
        let begin = &begin[..length];
        let name = begin
            .find(|c: char| c.is_whitespace() || c == '/')
            .unwrap_or(length);
        Some(HtmlTag {
            name: &begin[..name],
            attributes: &begin[name..],
            closes,
            start,
            end: start + 1 + usize::from(closes) + length + 1,
        })
    })
}

/// Lines trimmed, empty ones left out.
pub(super) fn squeezed(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// HTML's text without its tags.
pub(super) fn plain(html: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for tag in tags(html) {
        out.push_str(&html[at..tag.start]);
        at = tag.end;
        let breaks = ["tr", "br", "p", "table"]
            .iter()
            .any(|n| tag.name.eq_ignore_ascii_case(n));
        let cell = ["td", "th"].iter().any(|n| tag.name.eq_ignore_ascii_case(n));
        out.push_str(if breaks {
            "\n"
        } else if cell {
            " "
        } else {
            ""
        });
    }
    out.push_str(&html[at..]);
    squeezed(&decoded(&out))
}

/// Longest name of a character reference that is looked up.
const LONGEST_REFERENCE: usize = 10;

/// Text with its character references replaced; unknown ones stay as they are.
pub(super) fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let window = rest.bytes().take(LONGEST_REFERENCE + 2).position(|b| b == b';');
        match window.and_then(|end| Some((end, reference(&rest[1..end])?))) {
            Some((end, c)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control());
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "times" => '×',
        "deg" => '°',
        "plusmn" => '±',
        "micro" => 'µ',
        "middot" => '·',
        "bull" => '•',
        "euro" => '€',
        "pound" => '£',
        "copy" => '©',
        "reg" => '®',
        "le" => '≤',
        "ge" => '≥',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_text() {
        let found: Vec<(&str, bool)> = tags("1 < 2 <td a='1'>x</TD><br/><!-- c --> <b <i>")
            .map(|t| (t.name, t.closes))
            .collect();
        let expected = [
            ("td", false),
            ("TD", true),
            ("br", false),
            ("!--", false),
            ("i", false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_are_read_in_every_spelling() {
        let number = |tag: &str| tags(tag).next().unwrap().number("rowspan");
        for (tag, expected) in [
            ("<td ROWSPAN = ' 3'>", 3),
            ("<td rowspan=2>", 2),
            ("<td rowspan=\"0\">", 1),
            ("<td rowspan=-4>", 1),
            ("<td rowspan=99999999999>", u32::MAX),
            ("<td>", 1),
        ] {
            assert_eq!(number(tag), expected, "{tag}");
        }
    }

    #[test]
    fn references_are_decoded_once() {
        assert_eq!(
            decoded("&amp;lt; &#x41;&#66;&bogus; & &#0;&#xD800; &euro"),
            "&lt; AB&bogus; & &#0;&#xD800; &euro"
        );
    }
}
