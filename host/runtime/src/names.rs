//! Checks the names that plugins give to output files.
//!
//! A name is a relative path with forward slashes. What is refused would leave the folder, hide, collide on another
//! file system, or fool a reader: `..`, absolute paths, drive letters, backslashes, control and bidirectional
//! characters, trailing dots and spaces, Windows device names, names over 200 bytes.

/// Longest name; file systems stop at 255 bytes, and the host adds to it.
const NAME_BYTES: usize = 200;

/// Deepest path.
const DEPTH: usize = 8;

/// Checks a name and answers the form under which it collides with others (case folded).
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
    Ok(name.to_lowercase())
}

/// Zero-width and bidirectional controls, line and paragraph separators and tags: they make two names look alike, one
/// read backwards, or one line two.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Names that Windows keeps for devices, with or without an extension.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).to_ascii_uppercase();
    let numbered = |p: &str| {
        stem.strip_prefix(p)
            .is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
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
        assert_eq!(check("A.PNG"), check("a.png"));
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
            &long,
            &deep,
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
