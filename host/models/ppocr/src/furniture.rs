//! What is printed on every page: running heads, running feet, page numbers.

/// A page number stands in this share of the page at its top or bottom.
pub(crate) const EDGE_ZONE: f32 = 0.09;

/// Whether a line is nothing but a page number: `12`, `- 12 -`, `Page 3 of 7`, `iv`, `3/7`.
pub(crate) fn is_page_number(text: &str) -> bool {
    let text = text
        .trim_matches(|c: char| c.is_whitespace() || "-–—·•|[]().".contains(c))
        .to_lowercase();
    let mut words = text
        .split(|c: char| c.is_whitespace() || c == '/')
        .filter(|w| !w.is_empty())
        .peekable();
    if words.peek().is_none() {
        return false;
    }
    let is_word = |w: &str| {
        matches!(
            w,
            "page" | "p" | "p." | "pg" | "of" | "seite" | "von" | "de" | "sur"
        )
    };
    let mut numbers = 0;
    for word in words {
        if is_number(word) {
            numbers += 1;
        } else if !is_word(word) {
            return false;
        }
    }
    (1..=2).contains(&numbers)
}

fn is_number(word: &str) -> bool {
    let roman = word.len() <= 7 && word.bytes().all(|b| b"ivxlc".contains(&b));
    roman || (word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_numbers_are_told_from_text() {
        for number in ["12", "- 12 -", "Page 3 of 7", "iv", "3/7", "p. 4", "[9]"] {
            assert!(is_page_number(number), "{number}");
        }
        for text in ["", "12345", "Chapter 3", "Page", "3 4 5", "mix of 7 things", "--"] {
            assert!(!is_page_number(text), "{text}");
        }
    }
}
