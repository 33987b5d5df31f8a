//! Text that came from a page is data, whatever it looks like: everything goes through here on its way into XHTML.

use ocr_plugin::{push, text};
use std::borrow::Cow;

/// Text as XML, safe in elements and in quoted attributes. What XML has no place for becomes U+FFFD.
pub fn escape(text: &str) -> Cow<'_, str> {
    text::mapped(text, stays, |out, c| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        '\r' => {}
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{fdd0}'..='\u{fdef}') => {
            out.push('\u{fffd}')
        }
        c => out.push(c),
    })
}

/// Whether a character that begins with this byte is written as it is; behind 0xc2 are controls, behind 0xe2 marks that
/// turn the direction, behind 0xef what XML has no place for.
fn stays(b: u8) -> bool {
    let is_markup = (b == b'&') | (b == b'<') | (b == b'>') | (b == b'"') | (b == b'\'');
    let is_layout = (b == b'\n') | (b == b'\t');
    is_layout | ((b >= b' ') & !is_markup & (b != 0x7f) & (b != 0xc2) & (b != 0xe2) & (b != 0xef))
}

/// Appends the same with a `<br />` for each end of a line.
pub fn push_with_breaks(out: &mut String, text: &str) {
    for (at, line) in text.lines().enumerate() {
        push!(out, if at > 0 { "<br />\n" } else { "" }, escape(line));
    }
}
