//! What someone may have meant: the nearest of the names that there are.

/// The candidate that is nearest to `word`, where one is near: a third of its letters may be wrong, swapped, missing or too
/// many.
pub fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let scored = candidates.iter().map(|c| (distance(word, c), *c));
    let (distance, found) = scored.min_by_key(|&(distance, _)| distance)?;
    (distance <= found.chars().count().max(3) / 3).then_some(found)
}

/// `did you mean ...?`, or all that there are where nothing is near.
pub fn among(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates) {
        Some(found) => format!("did you mean `{found}`?"),
        None => format!("there are {}", candidates.join(", ")),
    }
}

/// `; did you mean ...?`, or nothing where nothing is near.
pub fn hint<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    nearest(word, &candidates)
        .map(|found| format!("; did you mean `{found}`?"))
        .unwrap_or_default()
}

/// Letters to insert, remove, replace or swap with their neighbour. Words are names; what is longer is cut.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let letters = |s: &str| -> Vec<char> { s.chars().flat_map(char::to_lowercase).take(LONGEST).collect() };
    let (a, b) = (letters(a), letters(b));
    let (mut before, mut last) = (Vec::new(), (0..=b.len()).collect::<Vec<_>>());
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                let swapped: &Vec<usize> = &before;
                least = least.min(swapped[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["markdown-out", "html-out", "json-out", "redact"];
        assert_eq!(nearest("markdwon-out", &names), Some("markdown-out"));
        assert_eq!(nearest("Redcat", &names), Some("redact"));
        assert_eq!(nearest("thml-out", &names), Some("html-out"));
        assert_eq!(nearest("network", &names), None);
        assert_eq!(nearest("", &[]), None);
        assert_eq!(
            among("x", &names),
            "there are markdown-out, html-out, json-out, redact"
        );
    }
}
