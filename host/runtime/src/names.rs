//! Checks the names that plugins give to output files.
//!
//! A name is a relative path with forward slashes. What is refused would leave the folder, hide, collide on another
//! file system, or fool a reader: `..`, absolute paths, drive letters, backslashes, control, bidirectional and invisible
//! characters, trailing dots and spaces, Windows device names, names over 200 bytes. Two names that any file system takes
//! for one collide on all of them, so that a folder can be moved from one to the other.

use unicode_normalization::UnicodeNormalization;

/// Longest name; file systems stop at 255 bytes, and the host adds to it.
const NAME_BYTES: usize = 200;

/// Deepest path.
const DEPTH: usize = 8;

/// Checks a name and answers the form under which it collides with others: composed, and without case.
pub fn check(name: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("output name {name:?} {why}"));
    if name.is_empty() {
        return wrong("is empty");
    }
    if name.len() > NAME_BYTES {
        return Err(format!(
            "an output name of {} bytes is over the limit of {NAME_BYTES}",
            name.len()
        ));
    }
    if name.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) {
        return wrong("has a character that not every file system can store (\\ : * ? \" < > |)");
    }
    if name.chars().any(|c| c.is_control() || is_invisible(c)) {
        return wrong("has control, bidirectional or zero-width characters");
    }
    if name.split('/').count() > DEPTH {
        return wrong("is nested too deeply");
    }
    for part in name.split('/') {
        match part {
            "" => return wrong("has an empty part or starts with a slash"),
            "." | ".." => return wrong("leaves the output folder"),
            _ if part.starts_with('.') => return wrong("is hidden"),
            _ if part.ends_with(['.', ' ']) || part.starts_with(' ') => {
                return wrong("has a part that begins with a space or ends in a dot or a space");
            }
            _ if is_device(part) => return wrong("is the name of a device"),
            _ => {}
        }
    }
    Ok(folded(name))
}

/// One form for all names that some file system takes for one: however composed (macOS), and in whatever case, where
/// `ẞ`, `ß`, `SS` and `ss` are one (macOS), `ς` and `σ` too (Windows).
fn folded(name: &str) -> String {
    // The capital of a small letter may be two, and the small one of a capital may have a capital of its own.
    let small = name.nfd().flat_map(char::to_lowercase);
    let capital = small.flat_map(char::to_uppercase);
    capital.flat_map(char::to_lowercase).nfc().collect()
}

/// Characters that show nothing (Unicode's default-ignorable ones, and its line and paragraph separators): zero-width and
/// bidirectional controls, fillers, variation selectors, tags. They make two names look alike, one read backwards, or one
/// line two.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Names that Windows keeps for devices, with or without an extension; the raised digits count as digits there.
fn is_device(part: &str) -> bool {
    let stem = part
        .split('.')
        .next()
        .unwrap_or(part)
        .trim_end()
        .to_ascii_uppercase();
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³');
    let numbered = |p: &str| {
        let number = stem.strip_prefix(p).map(|n| n.chars().collect::<Vec<_>>());
        number.is_some_and(|n| n.len() == 1 && is_number(n[0]))
    };
    let named = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str());
    named || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "a.png",
            "images/page 3-1.png",
            "Ünïcode/図.svg",
            "a..b",
            "console.txt",
        ] {
            assert!(check(name).is_ok(), "{name}");
        }
        for (one, other) in [
            ("A.PNG", "a.png"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("\u{1e9e}", "ss"),
            ("Stra\u{df}e", "STRASSE"),
            ("\u{3c2}", "\u{3a3}"),
            ("\u{212b}", "a\u{30a}"),
            ("\u{212a}", "k"),
        ] {
            assert_eq!(check(one).unwrap(), check(other).unwrap(), "{one} and {other}");
        }
        assert_ne!(check("cafe"), check("caf\u{e9}"));
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "x".repeat(5000);
        let deep = "a/".repeat(20) + "b";
        for name in [
            "",
            "..",
            "../x",
            "/etc/x",
            "a/../../b",
            "a//b",
            "C:\\x",
            "C:x",
            "\\\\srv\\x",
            "CON",
            "nul.txt",
            "com1.a",
            "COM\u{b9}",
            "conin$",
            "aux .txt",
            "a\0b",
            "a\nb",
            "dot.",
            "space ",
            " lead",
            ".hidden",
            "a/.git/x",
            "\u{202e}gpj.exe",
            "a\u{200b}b",
            "a\u{61c}b",
            "a\u{2028}b",
            "a\u{e0041}b",
            "a\u{3164}b",
            "a\u{fe0f}b",
            &long,
            &deep,
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
