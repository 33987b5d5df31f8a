//! What stands before a list item's text.

/// Splits a list item into its marker, whether that counts (`3.` does, `•` does not), and its text. Items without a
/// visible marker get none.
///
/// ```
/// assert_eq!(ocr_plugin::list::split_marker("b) pears"), (Some("b)"), true, "pears"));
/// ```
pub fn split_marker(item: &str) -> (Option<&str>, bool, &str) {
    let trimmed = item.trim_start();
    let Some(end) = trimmed.find(char::is_whitespace) else {
        return (None, false, item);
    };
    let (marker, text) = (&trimmed[..end], trimmed[end..].trim_start());
    if is_bullet(marker) {
        (Some(marker), false, text)
    } else if is_number(marker) {
        (Some(marker), true, text)
    } else {
        (None, false, item)
    }
}

fn is_bullet(marker: &str) -> bool {
    const BULLETS: &str = "-*+•◦▪▫●○■□◆◇►▸‣⁃–—·";
    let mut chars = marker.chars();
    chars.next().is_some_and(|c| BULLETS.contains(c)) && chars.next().is_none()
}

/// `3.`, `(b)`, `iv)`, `2.1.`: up to three characters a step, and punctuation at the end.
fn is_number(marker: &str) -> bool {
    let Some(body) = marker.strip_suffix(['.', ')']) else {
        return false;
    };
    let body = body.strip_prefix('(').unwrap_or(body);
    let mut steps = body.split('.');
    let is_step = |s: &str| {
        let digits = (1..=3).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        let letter = s.len() == 1 && s.bytes().all(|b| b.is_ascii_alphabetic());
        let roman = (1..=4).contains(&s.len()) && s.bytes().all(|b| b"ivxIVX".contains(&b));
        digits || letter || roman
    };
    !body.is_empty() && steps.all(is_step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_from_text() {
        assert_eq!(split_marker("• apples"), (Some("•"), false, "apples"));
        assert_eq!(split_marker("2.1. pears"), (Some("2.1."), true, "pears"));
        assert_eq!(split_marker("(iv) plums"), (Some("(iv)"), true, "plums"));
        assert_eq!(split_marker("etc. and so on"), (None, false, "etc. and so on"));
        assert_eq!(split_marker("plain"), (None, false, "plain"));
        assert_eq!(split_marker("2026. was"), (None, false, "2026. was"));
    }
}
