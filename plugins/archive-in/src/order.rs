//! The order in which people number their files.

use std::cmp::Ordering;

/// Compares names folder by folder, numbers by their value and letters without their case; what is equal then by its
/// bytes, so that the order is always the same.
pub fn natural(a: &str, b: &str) -> Ordering {
    let mut left = a.split(['/', '\\']);
    let mut right = b.split(['/', '\\']);
    loop {
        match (left.next(), right.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => match part(x, y) {
                Ordering::Equal => {}
                other => return other,
            },
        }
    }
}

fn part(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, rest_left) = number(left);
            let (n, rest_right) = number(right);
            (left, right) = (rest_left, rest_right);
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
            x.to_lowercase().cmp(y.to_lowercase())
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

/// The digits that a text begins with, without leading zeros, and what follows.
fn number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.trim_start_matches('0'), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count() {
        let mut names = [
            "p10.png",
            "P2.png",
            "p1.png",
            "a/9.png",
            "a/b/1.png",
            "p02b.png",
            "cover.png",
            "p1",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "a/9.png",
                "a/b/1.png",
                "cover.png",
                "p1",
                "p1.png",
                "P2.png",
                "p02b.png",
                "p10.png"
            ]
        );
        let huge = "9".repeat(400);
        assert_eq!(natural(&huge, &format!("1{huge}")), Ordering::Less);
    }
}
