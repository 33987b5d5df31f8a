//! Finding a piece of text in another.

use std::ops::Range;

/// Whether erasing it means anything: more than blanks and plain punctuation.
pub(super) fn is_meaningful(text: &str) -> bool {
    text.chars()
        .any(|c| !c.is_whitespace() && !c.is_ascii_punctuation())
}

/// Where `phrase` stands in `text`, preferably not inside of longer words; where it does not stand as such, where each of
/// its words does. `None` where a part of it is nowhere.
pub(super) fn occurrences(text: &str, phrase: &str) -> Option<Vec<Range<usize>>> {
    let phrase = phrase.trim();
    if !is_meaningful(phrase) {
        return Some(Vec::new());
    }
    let whole = exact(text, phrase);
    if !whole.is_empty() {
        return Some(whole);
    }
    let words = phrase.split_whitespace().filter(|word| is_meaningful(word));
    let mut found = Vec::new();
    let mut several = false;
    for word in words {
        if word == phrase {
            return None;
        }
        let places = exact(text, word);
        if places.is_empty() {
            return None;
        }
        several = true;
        found.extend(places);
    }
    several.then_some(found)
}

/// Where `phrase` stands by itself; where it never does, where it is a part of words.
fn exact(text: &str, phrase: &str) -> Vec<Range<usize>> {
    let all: Vec<Range<usize>> = text
        .match_indices(phrase)
        .map(|(at, found)| at..at + found.len())
        .collect();
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let alone = |range: &&Range<usize>| {
        !letter(text[..range.start].chars().next_back()) && !letter(text[range.end..].chars().next())
    };
    let by_itself: Vec<Range<usize>> = all.iter().filter(alone).cloned().collect();
    if by_itself.is_empty() { all } else { by_itself }
}

/// A word without the punctuation around it.
pub(super) fn bare(word: &str) -> &str {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    if bare.is_empty() { word } else { bare }
}

/// The text of a piece of HTML, which may begin or end inside of a tag.
pub(super) fn without_tags(html: &str) -> String {
    let inside = match (html.find('>'), html.find('<')) {
        (Some(end), Some(start)) if end < start => &html[end + 1..],
        (Some(end), None) => &html[end + 1..],
        _ => html,
    };
    let mut text = String::new();
    let mut rest = inside;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        text.push('\n');
        rest = rest[start..].find('>').map_or("", |end| &rest[start + end + 1..]);
    }
    text.push_str(rest);
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_whole_then_by_their_words() {
        let text = "Johnson met John\nSmith, and John Smith left";
        let found = |phrase: &str| -> Option<Vec<&str>> {
            occurrences(text, phrase).map(|places| places.into_iter().map(|at| &text[at]).collect())
        };
        assert_eq!(found("John Smith"), Some(vec!["John Smith"]));
        assert_eq!(found("John").unwrap().len(), 2, "not the one in Johnson");
        assert_eq!(found("ohns"), Some(vec!["ohns"]));
        assert_eq!(found("met Smith").unwrap(), ["met", "Smith", "Smith"]);
        assert_eq!(found("met nobody"), None);
        assert_eq!(found("nobody"), None);
        assert_eq!(found(" ,. "), Some(vec![]));
        assert_eq!(bare("(Smith),"), "Smith");
    }

    #[test]
    fn tags_leave_their_text() {
        assert_eq!(without_tags("d>a &amp; b</td><td>c</t"), "a & b\n\nc\n");
        assert_eq!(without_tags("plain"), "plain");
    }
}
