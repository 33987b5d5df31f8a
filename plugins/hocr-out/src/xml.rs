//! Text that came from a page is data, whatever it looks like: everything goes through here on its way into XHTML.

/// Text as XML, safe in elements and in quoted attributes. What XML has no place for becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\r' => {}
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{fdd0}'..='\u{fdef}') => {
                out.push('\u{fffd}')
            }
            c => out.push(c),
        }
    }
    out
}

/// The same with a `<br />` for each end of a line.
pub fn text_with_breaks(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escape).collect();
    lines.join("<br />\n")
}
