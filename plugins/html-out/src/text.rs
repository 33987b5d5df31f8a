//! Text that came from a page is data, whatever it looks like: everything goes through here on its way into HTML.

use ocr_plugin::text;
use std::borrow::Cow;

/// Text as HTML, safe in elements and in quoted attributes. Characters that HTML forbids become U+FFFD.
pub fn escape(text: &str) -> Cow<'_, str> {
    text::mapped(text, stays, |out, c| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        '\r' => {}
        // Direction overrides would let a page rewrite how its surroundings read.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
        c if c.is_control() || matches!(c, '\u{fdd0}'..='\u{fdef}') => out.push('\u{fffd}'),
        c => out.push(c),
    })
}

/// Whether a character that begins with this byte is written as it is; behind 0xc2 are controls, behind 0xe2 direction
/// overrides, behind 0xef what HTML forbids.
fn stays(b: u8) -> bool {
    let is_markup = (b == b'&') | (b == b'<') | (b == b'>') | (b == b'"') | (b == b'\'');
    let is_layout = (b == b'\n') | (b == b'\t');
    is_layout | ((b >= b' ') & !is_markup & (b != 0x7f) & (b != 0xc2) & (b != 0xe2) & (b != 0xef))
}

/// A relative path as the value of `src` or `href`.
pub fn link(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte.into())
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    // `a:b` would be read as a scheme; colons are escaped above, and a leading slash would leave the folder.
    out.trim_start_matches('/').to_owned()
}

/// A language tag, if it looks like one.
pub fn language(tag: Option<&str>) -> Option<&str> {
    let is_tag =
        |t: &&str| (2..=35).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    tag.filter(is_tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_html_reads_gets_through() {
        assert_eq!(
            escape("<img src=x onerror='a(\"b\")'>&"),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;"
        );
        assert_eq!(escape("a\0b\u{7f}\r\n\u{202e}c"), "a\u{fffd}b\u{fffd}\nc");
    }

    #[test]
    fn links_stay_relative() {
        assert_eq!(link("a b.html.files/fig\"1.png"), "a%20b.html.files/fig%221.png");
        assert_eq!(link("javascript:alert(1)"), "javascript%3Aalert%281%29");
        assert_eq!(link("//host/x"), "host/x");
    }

    #[test]
    fn languages_are_tags() {
        assert_eq!(language(Some("de-CH")), Some("de-CH"));
        assert_eq!(language(Some("\" onload=")), None);
    }
}
