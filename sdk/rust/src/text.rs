//! Text on its way out: what a formatter does to every character, done to runs of characters.
//!
//! A component pays some nanoseconds for each character that it looks at and some dozens for each number that `format!`
//! writes; a page has thousands of the one and hundreds of the other. [`mapped`] looks at sixteen bytes at a time and
//! copies nothing where nothing changes, [`push!`](crate::push) writes numbers and texts one after another.
//!
//! ```
//! use ocr_plugin::{push, text};
//! use std::borrow::Cow;
//!
//! fn escape(text: &str) -> Cow<'_, str> {
//!     text::mapped(text, |b| (b != b'&') & (b != b'<'), |out, c| out.push_str(if c == '&' { "&amp;" } else { "&lt;" }))
//! }
//!
//! let mut out = String::new();
//! push!(out, "<p id=\"p", 7_u32, "\">", escape("a < b"), "</p>");
//! assert_eq!(out, "<p id=\"p7\">a &lt; b</p>");
//! ```

use std::borrow::Cow;

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// `text` with what `write` makes of its characters, but for those that stay as they are.
///
/// `stays` is asked about a character's first byte: a character of ASCII is its one byte, and the others begin with a byte
/// from `0xc2` on, which many of them share. Where it says no, `write` is given the character and writes what is to stand
/// there, which may be the character itself. `stays` is fast where it is free of branches: `&` rather than `&&`.
pub fn mapped<'t>(
    text: &'t str,
    stays: impl Fn(u8) -> bool,
    mut write: impl FnMut(&mut String, char),
) -> Cow<'t, str> {
    // A byte inside a character goes with its first one.
    let stays = |b: u8| stays(b) | (0x80..0xc0).contains(&b);
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        let block = bytes[at..].first_chunk::<BLOCK>();
        if block.is_some_and(|block| block.iter().fold(true, |all, &b| all & stays(b))) {
            at += BLOCK;
            continue;
        }
        let end = bytes.len().min(at + BLOCK);
        while at < end {
            if stays(bytes[at]) {
                at += 1;
                continue;
            }
            if copied == 0 {
                out.reserve(text.len() + text.len() / 8 + BLOCK);
            }
            out.push_str(&text[copied..at]);
            let Some(c) = text[at..].chars().next() else { break };
            write(&mut out, c);
            at += c.len_utf8();
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// What [`push!`](crate::push) writes; a plugin's own types may be written by it too.
pub trait Part {
    /// Appends it to `out`.
    fn push_to(&self, out: &mut String);
}

impl<T: Part + ?Sized> Part for &T {
    #[inline]
    fn push_to(&self, out: &mut String) {
        (**self).push_to(out);
    }
}

impl Part for str {
    #[inline]
    fn push_to(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl Part for String {
    #[inline]
    fn push_to(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl Part for Cow<'_, str> {
    #[inline]
    fn push_to(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl Part for u64 {
    fn push_to(&self, out: &mut String) {
        // `u64::MAX` has 20 digits.
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut digit = |digit: u8| {
            at -= 1;
            digits[at] = b'0' + digit;
        };
        let mut large = *self;
        while large > u64::from(u32::MAX) {
            digit((large % 10) as u8);
            large /= 10;
        }
        // The rest in half the width: there a component divides by multiplying.
        let mut rest = large as u32;
        while rest > 9 {
            digit((rest % 10) as u8);
            rest /= 10;
        }
        digit(rest as u8);
        out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl Part for $number {
            #[inline]
            fn push_to(&self, out: &mut String) {
                (*self as u64).push_to(out);
            }
        })+
    };
}

numbers!(u8, u16, u32, usize);

/// A `String`, or what leads to one, as the target of [`push!`](crate::push).
#[doc(hidden)]
pub trait Target {
    fn string(&mut self) -> &mut String;
}

impl Target for String {
    #[inline]
    fn string(&mut self) -> &mut String {
        self
    }
}

/// Appends texts and numbers to a `String` one after another, at a fraction of what `write!` costs.
///
/// ```
/// let mut out = String::new();
/// ocr_plugin::push!(out, "bbox ", 3_u32, " ", 4_usize);
/// assert_eq!(out, "bbox 3 4");
/// ```
#[macro_export]
macro_rules! push {
    ($out:expr, $($part:expr),+ $(,)?) => {{
        use $crate::text::Target as _;
        $($crate::text::Part::push_to(&$part, $out.string());)+
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks what is not to stay.
    fn marked(text: &str) -> Cow<'_, str> {
        mapped(
            text,
            |b| (b != b'x') & (b != 0xc3),
            |out, c| push!(out, "[", c.to_string(), "]"),
        )
    }

    #[test]
    fn what_stays_is_not_copied() {
        for text in [
            "",
            "a",
            "0123456789abcdef",
            "0123456789abcdefg",
            "\u{4e00}\u{1f600} long enough",
        ] {
            assert!(
                matches!(marked(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn each_character_is_found_wherever_it_stands() {
        for before in 0..40 {
            for behind in 0..40 {
                let (before, behind) = ("\u{4e00}".repeat(before), "b".repeat(behind));
                for odd in ["x", "\u{e9}", "x\u{e9}", "\u{e9}ax"] {
                    let expected: String = odd
                        .chars()
                        .map(|c| {
                            if c == 'a' {
                                "a".to_owned()
                            } else {
                                format!("[{c}]")
                            }
                        })
                        .collect();
                    let text = format!("{before}{odd}{behind}");
                    assert_eq!(marked(&text), format!("{before}{expected}{behind}"));
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_as_format_does() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX] {
            let mut out = String::new();
            push!(
                out,
                number,
                " ",
                number as u32,
                " ",
                number as u8,
                " ",
                number as usize
            );
            let expected = format!("{number} {} {} {}", number as u32, number as u8, number as usize);
            assert_eq!(out, expected);
        }
    }
}
