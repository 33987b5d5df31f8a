//! Keeps plain text plain: a backslash before what CommonMark would read as markup, and before nothing else.

use super::Inline;

/// Text of a block: each line escaped, lines parted by hard breaks.
pub(super) fn block_text(text: &str, inline: Inline) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(|l| line(l, inline))
        .collect();
    lines.join("  \n")
}

/// Text as one emphasised run.
pub(super) fn emphasised(text: &str, inline: Inline) -> String {
    let text = inline(text.replace('\n', " ").trim());
    if text.is_empty() {
        text
    } else {
        format!("*{text}*")
    }
}

/// One line at the start of a block.
fn line(text: &str, inline: Inline) -> String {
    let escaped = inline(text);
    match block_marker(text) {
        // Inline escaping has already put a backslash before a leading `*` or `_`.
        Some(at) if !escaped[at.min(escaped.len())..].starts_with('\\') => {
            format!("{}\\{}", &escaped[..at], &escaped[at..])
        }
        _ => escaped,
    }
}

/// Where a backslash must go so that the line opens no heading, quotation, list, fence or rule.
fn block_marker(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let run = text.len() - text.trim_start_matches(first).len();
    let ends = |at: usize| text[at..].is_empty() || text[at..].starts_with([' ', '\t']);
    let is_rule =
        text.chars().all(|c| c == first || c == ' ') && text.chars().filter(|&c| c == first).count() > 1;
    match first {
        '#' if run <= 6 && ends(run) => Some(0),
        '>' => Some(0),
        '-' | '+' | '*' if ends(1) => Some(0),
        '-' | '=' if is_rule => Some(0),
        '~' if run >= 3 => Some(0),
        '|' => Some(0),
        c if c.is_ascii_digit() => {
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let marks = text[digits..].starts_with(['.', ')']);
            (digits <= 9 && marks && ends(digits + 1)).then_some(digits)
        }
        _ => None,
    }
}

/// Text inside a line.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let has_link = text.contains("](");
    let mut before = ' ';
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let after = rest.clone().next().unwrap_or(' ');
        let between_spaces = before.is_whitespace() && after.is_whitespace();
        let inside_word = before.is_alphanumeric() && after.is_alphanumeric();
        let meant = match c {
            '\\' => after.is_ascii_punctuation(),
            '`' => true,
            '*' => !between_spaces,
            '_' => !between_spaces && !inside_word,
            '~' => after == '~' || before == '~',
            '<' => after.is_ascii_alphabetic() || matches!(after, '/' | '!' | '?'),
            '&' => is_entity(rest.as_str()),
            '[' => has_link,
            _ => false,
        };
        if meant {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// Whether what follows an ampersand makes it a character reference.
fn is_entity(after: &str) -> bool {
    let Some(end) = after.find(';') else { return false };
    let name = after[..end].strip_prefix('#').unwrap_or(&after[..end]);
    !name.is_empty() && name.len() <= 31 && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_prose_is_left_alone() {
        for prose in [
            "A&B Ltd. (1997) - 5 < 6, file_name.txt, $3.50 & more; #1 of 3",
            "2 * 3 = 6 [sic] C:\\dir 50% ~ half",
            "1.5 litres",
            "-5.00",
        ] {
            assert_eq!(block_text(prose, inline), prose);
        }
    }

    #[test]
    fn what_would_open_a_block_is_escaped() {
        for (text, expected) in [
            ("# no heading", "\\# no heading"),
            ("- no item", "\\- no item"),
            ("+ no item", "\\+ no item"),
            ("* no item", "\\* no item"),
            ("12. no item", "12\\. no item"),
            ("> no quotation", "\\> no quotation"),
            ("---", "\\---"),
            ("===", "\\==="),
            ("***", "\\*\\*\\*"),
            ("| no table |", "\\| no table |"),
            ("~~~", "\\~\\~\\~"),
        ] {
            assert_eq!(block_text(text, inline), expected);
        }
    }

    #[test]
    fn what_would_be_markup_inside_a_line_is_escaped() {
        assert_eq!(
            inline("*a* _b_ `c` <d> &amp; ~~e~~"),
            "\\*a\\* \\_b\\_ \\`c\\` \\<d> \\&amp; \\~\\~e\\~\\~"
        );
        assert_eq!(inline("[a](b) \\*"), "\\[a](b) \\\\\\*");
    }

    #[test]
    fn lines_of_a_block_are_kept_apart_and_each_escaped() {
        assert_eq!(block_text("one\n\n # two", inline), "one  \n\\# two");
    }
}
