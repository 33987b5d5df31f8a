//! How deep a heading is, from its number or its size, and which block is the document's title.

use crate::frame::Bounds;

/// The title stands in this share of the first page, from the top.
const TITLE_ZONE: f32 = 0.5;
/// A title is this much larger than the text around it.
const TITLE_SIZE: f32 = 1.25;
/// Sizes, relative to the usual text, from which a heading without a number is of level 1 and 2.
const LEVELS: [f32; 2] = [1.9, 1.35];

/// A block the layout takes for a heading.
pub(crate) struct Candidate {
    /// Index of its block.
    pub block: usize,
    /// Text height over the page's usual one.
    pub size: f32,
    /// Raster px.
    pub area: Bounds,
}

/// The block that titles the document: the largest heading near the top of its first page.
pub(crate) fn title(candidates: &[Candidate], page_number: u32, page_height: f32) -> Option<usize> {
    if page_number != 1 {
        return None;
    }
    let near_top = candidates
        .iter()
        .filter(|c| c.area.y1 < TITLE_ZONE * page_height && c.size >= TITLE_SIZE);
    near_top.max_by(|a, b| a.size.total_cmp(&b.size)).map(|c| c.block)
}

/// Level 1 ..= 6 of a heading: `2.1 Method` tells it by its number, others by their size.
pub(crate) fn level(text: &str, size: f32) -> u8 {
    if let Some(depth) = numbering(text) {
        return (depth + 1).min(6);
    }
    let by_size = LEVELS
        .iter()
        .position(|&least| size >= least)
        .unwrap_or(LEVELS.len());
    by_size as u8 + 1
}

/// Parts of a leading section number: 2 for `2.1 Method`; `None` for a heading without one, or with a year.
fn numbering(text: &str) -> Option<u8> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let number = text[..end].trim_end_matches('.');
    let parts: Vec<&str> = number.split('.').collect();
    let counts = |p: &&str| (1..=2).contains(&p.len());
    let parted = text[end..].starts_with(' ') || text[end..].starts_with(char::is_alphabetic);
    (parted && !number.is_empty() && parts.iter().all(counts)).then_some(parts.len() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_the_depth() {
        assert_eq!(level("1 Introduction", 3.0), 2);
        assert_eq!(level("2.1 Method", 1.0), 3);
        assert_eq!(level("3.2.1. Detail", 1.0), 4);
        assert_eq!(level("2024 in review", 1.0), 3, "a year is no number");
    }

    #[test]
    fn size_tells_the_depth_of_others() {
        assert_eq!(
            (level("Big", 2.0), level("Middle", 1.5), level("Small", 1.0)),
            (1, 2, 3)
        );
    }

    #[test]
    fn only_the_first_page_has_a_title() {
        let at = |block, size, y1| Candidate {
            block,
            size,
            area: Bounds {
                x0: 0.0,
                y0: 0.0,
                x1: 9.0,
                y1,
            },
        };
        let found = [at(4, 1.3, 100.0), at(7, 1.8, 200.0), at(9, 2.5, 900.0)];
        assert_eq!(title(&found, 1, 1000.0), Some(7));
        assert_eq!(title(&found, 2, 1000.0), None);
        assert_eq!(title(&[at(4, 1.0, 100.0)], 1, 1000.0), None);
    }
}
