//! Which pages of a document are wanted: `1,3,5-9`, `10-`, `-4`; counted from 1.

use std::str::FromStr;

/// A selection of pages, in rising order; the default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageSelection {
    /// Inclusive ranges, sorted, not touching; `None` selects everything.
    ranges: Option<Vec<(u32, u32)>>,
}

impl PageSelection {
    /// Whether page `number` (from 1) is wanted.
    pub fn contains(&self, number: u32) -> bool {
        match &self.ranges {
            None => true,
            Some(ranges) => ranges.iter().any(|&(from, to)| (from..=to).contains(&number)),
        }
    }

    /// The first wanted page after `number`; `None` when there can be no more.
    pub fn next_after(&self, number: u32) -> Option<u32> {
        let next = number.checked_add(1)?;
        match &self.ranges {
            None => Some(next),
            Some(ranges) => ranges
                .iter()
                .find(|&&(_, to)| to >= next)
                .map(|&(from, _)| from.max(next)),
        }
    }

    /// How many of `pages` pages are wanted.
    pub fn count(&self, pages: u32) -> u32 {
        match &self.ranges {
            None => pages,
            Some(ranges) => ranges
                .iter()
                .map(|&(from, to)| to.min(pages).saturating_add(1).saturating_sub(from))
                .sum(),
        }
    }

    /// The first page asked for by number that a document of `pages` pages does not have.
    pub fn first_missing(&self, pages: u32) -> Option<u32> {
        let ranges = self.ranges.as_ref()?;
        ranges
            .iter()
            .find(|&&(from, to)| from > pages || (to > pages && to != u32::MAX))
            .map(|&(from, to)| if from > pages { from } else { to })
    }
}

impl FromStr for PageSelection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |part: &str, why: &str| {
            format!("`{part}` {why}; write pages as 1,3,5-9 (from 1) or 10- for the rest")
        };
        let number = |part: &str, digits: &str| match digits.trim().parse::<u32>() {
            Ok(0) => Err(wrong(part, "starts at page 0, pages count from 1")),
            Ok(n) => Ok(n),
            Err(_) => Err(wrong(part, "is no page range")),
        };
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (from, to) = match part.split_once('-') {
                None => (number(part, part)?, number(part, part)?),
                Some(("", to)) => (1, number(part, to)?),
                Some((from, "")) => (number(part, from)?, u32::MAX),
                Some((from, to)) => (number(part, from)?, number(part, to)?),
            };
            if from > to {
                return Err(wrong(part, "runs backwards"));
            }
            ranges.push((from, to));
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (from, to) in ranges {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Ok(Self { ranges: Some(merged) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(text: &str, of: u32) -> Vec<u32> {
        let selection: PageSelection = text.parse().unwrap();
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(next) = selection.next_after(at).filter(|&n| n <= of) {
            found.push(next);
            at = next;
        }
        assert_eq!(found.len() as u32, selection.count(of), "{text}");
        assert!(found.iter().all(|&n| selection.contains(n)));
        found
    }

    #[test]
    fn ranges_are_merged_and_walked_in_order() {
        assert_eq!(pages("5-7,1,3,6-9", 20), [1, 3, 5, 6, 7, 8, 9]);
        assert_eq!(pages("-2,19-", 20), [1, 2, 19, 20]);
        assert_eq!(pages("4", 3), [0u32; 0]);
    }

    #[test]
    fn missing_pages_are_named() {
        let missing = |text: &str, of| text.parse::<PageSelection>().unwrap().first_missing(of);
        assert_eq!(missing("1,3,5-9", 6), Some(9));
        assert_eq!(missing("8", 6), Some(8));
        assert_eq!(missing("3-", 6), None);
        assert_eq!(missing("7-", 6), Some(7));
    }

    #[test]
    fn wrong_ranges_say_why() {
        for text in ["", "0", "a", "3-1", "1,,2", "-", "1-2-3", "99999999999"] {
            assert!(
                text.parse::<PageSelection>().unwrap_err().contains("1,3,5-9"),
                "{text}"
            );
        }
    }
}
