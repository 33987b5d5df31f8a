//! Text that is markdown already, as models write it: emphasis and the like are kept, LaTeX gets the delimiters that
//! markdown readers know, and what could act on a reader's machine (HTML, links, images) is made plain.

/// Tags without attributes that only change how text looks.
const HARMLESS: [&str; 11] = [
    "sup", "sub", "b", "i", "u", "s", "em", "strong", "small", "mark", "br",
];

/// Text inside a line.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let has_link = text.contains("](");
    // An opener without its end is looked for once.
    let mut unclosed: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((open, latex, dollars)) = math(rest, &mut unclosed) {
            out.extend([dollars, &spaced(latex.trim()), dollars]);
            rest = &rest[2 * open.len() + latex.len()..];
            continue;
        }
        let after = &rest[c.len_utf8()..];
        let meant = match c {
            '\\' => after.starts_with(['(', ')', '[', ']']),
            '<' => begins_tag(after) && !is_harmless(after),
            '[' => has_link,
            _ => false,
        };
        if meant {
            out.push('\\');
        }
        out.push(c);
        rest = after;
        if c == '\\' && !meant && after.starts_with(|e: char| e.is_ascii_punctuation()) {
            // What the text's own backslash escapes must not be escaped again, for that would set it free.
            out.push_str(&after[..1]);
            rest = &after[1..];
        }
    }
    out
}

/// LaTeX between `\(` and `\)` or `\[` and `\]` at the start of `text`: the opener, the LaTeX, and markdown's delimiter.
fn math<'t>(
    text: &'t str,
    unclosed: &mut Vec<&'static str>,
) -> Option<(&'static str, &'t str, &'static str)> {
    let kinds = [("\\(", "\\)", "$"), ("\\[", "\\]", "$$")];
    let (open, close, dollars) = kinds.into_iter().find(|(open, ..)| text.starts_with(open))?;
    if unclosed.contains(&open) {
        return None;
    }
    let Some(end) = text[open.len()..].find(close) else {
        unclosed.push(open);
        return None;
    };
    let latex = &text[open.len()..][..end];
    (!latex.trim().is_empty() && !latex.contains('$')).then_some((open, latex, dollars))
}

/// LaTeX in which no `<` can begin a tag and no `](` a link; a space changes nothing there.
pub(super) fn spaced(latex: &str) -> String {
    let mut out = String::with_capacity(latex.len());
    for (at, c) in latex.char_indices() {
        out.push(c);
        let after = &latex[at + c.len_utf8()..];
        if (c == '<' && begins_tag(after)) || (c == ']' && after.starts_with('(')) {
            out.push(' ');
        }
    }
    out
}

/// Whether what follows a `<` makes it the start of HTML or of a link.
fn begins_tag(after: &str) -> bool {
    after.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c))
}

fn is_harmless(after: &str) -> bool {
    let name = after.strip_prefix('/').unwrap_or(after);
    let Some(end) = name.bytes().take(8).position(|b| b == b'>') else {
        return false;
    };
    let name = name[..end].trim_end_matches('/').trim_end();
    HARMLESS.iter().any(|tag| tag.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_and_latex_pass() {
        assert_eq!(
            inline("**a** `b` \\(x_i \\)\\* 5 < 6"),
            "**a** `b` $x_i$\\* 5 < 6"
        );
        assert_eq!(
            inline("so \\[ y<z \\] x<sup>2</sup>"),
            "so $$y< z$$ x<sup>2</sup>"
        );
        assert_eq!(inline("C:\\dir \\rightarrow"), "C:\\dir \\rightarrow");
    }

    #[test]
    fn what_could_act_is_made_plain() {
        assert_eq!(inline("<script>x</script>"), "\\<script>x\\</script>");
        assert_eq!(inline("<b onclick=x>"), "\\<b onclick=x>");
        assert_eq!(
            inline("![](http://x/y) [a](javascript:b)"),
            "!\\[](http://x/y) \\[a](javascript:b)"
        );
        assert_eq!(inline("\\(<img src=x> [a](b)\\)"), "$< img src=x> [a] (b)$");
        assert_eq!(inline("\\<script> \\\\<script>"), "\\<script> \\\\\\<script>");
    }

    #[test]
    fn delimiters_without_latex_stay_visible() {
        assert_eq!(inline("\\( open \\[ \\)"), "$open \\[$");
        assert_eq!(inline("\\( open, \\(\\) \\] \\\\("), "$open, \\($ \\\\] \\\\(");
        assert_eq!(inline("\\(a $ b\\)"), "\\\\(a $ b\\\\)");
    }
}
