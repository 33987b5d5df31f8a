//! What makes two blocks the same head: their place in points, and their words without their numbers.

use ocr_plugin::{Page, Span};

/// Which edge a block stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    Top,
    Bottom,
}

/// How far a head may stand from where it stood before, points: scans are fed askew, and a page of other size has
/// another margin.
const MOVED: f64 = 18.0;

/// How much alike two heads' letters are, where an engine read one wrongly: two of a word of ten may differ.
const ALIKE: f64 = 0.8;

/// A block at the edge of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub place: Place,
    /// Small letters and signs, a `#` for each number.
    pub words: Vec<char>,
    /// The numbers, in their order; roman ones too where they stand alone.
    pub numbers: Vec<u32>,
    /// The page's number in its source.
    pub page: u32,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub edge: Edge,
    /// From the page's edge to its middle, points.
    pub distance: f64,
}

impl Place {
    /// None where the block is not inside the edge.
    pub fn of(page: &Page, span: &Span, edge: f64) -> Option<Self> {
        let info = page.info();
        let height = f64::from(info.height);
        let (top, bottom) = (f64::from(span.area.y0) / height, f64::from(span.area.y1) / height);
        let middle = (top + bottom) / 2.0;
        let points = f64::from(info.height_points);
        let (edge, distance) = if bottom <= edge {
            (Edge::Top, middle * points)
        } else if top >= 1.0 - edge {
            (Edge::Bottom, (1.0 - middle) * points)
        } else {
            return None;
        };
        distance.is_finite().then_some(Self { edge, distance })
    }
}

impl Head {
    pub fn new(page: &Page, span: &Span, place: Place) -> Self {
        let (words, numbers) = fold(span.text(page));
        Self {
            place,
            words,
            numbers,
            page: page.info().number,
        }
    }

    /// Whether it holds a number and no letters: `- 12 -`, `12 / 30`, `xiv`; or the word for page with a number.
    pub fn is_bare_number(&self) -> bool {
        const PAGE: [&str; 8] = ["page", "seite", "pagina", "página", "pag", "p", "s", "стр"];
        let letters: String = self.words.iter().filter(|c| c.is_alphabetic()).collect();
        let of = letters
            .strip_suffix("of")
            .or(letters.strip_suffix("von"))
            .or(letters.strip_suffix("de"));
        let is_page = |l: &str| l.is_empty() || PAGE.contains(&l);
        (1..=2).contains(&self.numbers.len()) && (is_page(&letters) || of.is_some_and(is_page))
    }

    /// Whether the two stand at the same place.
    pub fn stands_where(&self, other: &Head) -> bool {
        let (here, there) = (self.place, other.place);
        here.edge == there.edge && (here.distance - there.distance).abs() <= MOVED
    }

    /// Whether the two say the same but for numbers that count with the pages.
    pub fn says_what(&self, other: &Head) -> bool {
        self.numbers.len() == other.numbers.len()
            && self.numbers_go_with(other)
            && alike(&self.words, &other.words)
    }

    /// Whether each number is the same on both pages, or as much larger as the page is.
    fn numbers_go_with(&self, other: &Head) -> bool {
        let pages = i64::from(self.page) - i64::from(other.page);
        let goes = |(a, b): (&u32, &u32)| {
            let step = i64::from(*a) - i64::from(*b);
            step == 0 || step == pages
        };
        self.numbers.iter().zip(&other.numbers).all(goes)
    }
}

/// Letters in small, spaces left out, numbers as `#` and by themselves.
fn fold(text: &str) -> (Vec<char>, Vec<u32>) {
    let mut words = Vec::new();
    let mut numbers = Vec::new();
    for token in text.split_whitespace() {
        let bare = token.trim_matches(|c: char| !c.is_alphanumeric());
        if let Some(value) = roman(bare) {
            words.push('#');
            numbers.push(value);
            continue;
        }
        let mut digits = String::new();
        for c in token.chars().chain([' ']) {
            if let Some(digit) = c.to_digit(10) {
                digits.extend(char::from_digit(digit, 10));
                continue;
            }
            if !digits.is_empty() {
                words.push('#');
                // A number too long to count is a word.
                numbers.push(digits.parse().unwrap_or(u32::MAX));
                digits.clear();
            }
            words.extend(c.to_lowercase().filter(|c| !c.is_whitespace()));
        }
    }
    (words, numbers)
}

/// The value of a roman number below 400 in one case, as prefaces count; a lone `I`, `C` or `D` may be anything.
fn roman(text: &str) -> Option<u32> {
    let one_case = text.chars().all(char::is_lowercase) || text.chars().all(char::is_uppercase);
    if text.is_empty() || !one_case || ["I", "c", "C", "L", "l", "X"].contains(&text) {
        return None;
    }
    let values: Option<Vec<u32>> = text
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            'i' => Some(1),
            'v' => Some(5),
            'x' => Some(10),
            'l' => Some(50),
            'c' => Some(100),
            _ => None,
        })
        .collect();
    let values = values?;
    // What stands before a larger one is taken away.
    let smaller: u32 = values.windows(2).filter(|w| w[0] < w[1]).map(|w| w[0]).sum();
    let total = values.iter().sum::<u32>().checked_sub(2 * smaller)?;
    (written(total) == text.to_ascii_lowercase()).then_some(total)
}

/// A number as Romans wrote it.
fn written(mut value: u32) -> String {
    const STEPS: [(u32, &str); 9] = [
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    let mut out = String::new();
    for (step, letters) in STEPS {
        while value >= step {
            out.push_str(letters);
            value -= step;
        }
    }
    out
}

/// Whether two texts differ in few letters: one minus edit distance over length.
fn alike(a: &[char], b: &[char]) -> bool {
    let longest = a.len().max(b.len());
    if a == b {
        return true;
    }
    // Short ones are the same or they are not.
    if longest < 6 {
        return false;
    }
    let allowed = ((1.0 - ALIKE) * longest as f64) as usize;
    a.len().abs_diff(b.len()) <= allowed && edits(a, b, allowed).is_some()
}

/// How many edits make one of the other, where `most` are enough.
fn edits(a: &[char], b: &[char], most: usize) -> Option<usize> {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            let same = diagonal + usize::from(x != y);
            row[j + 1] = same.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
        // What is to come costs no less.
        if row.iter().all(|&so_far| so_far > most) {
            return None;
        }
    }
    Some(row[b.len()]).filter(|&edits| edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_out() {
        let folded = |text: &str| {
            let (words, numbers) = fold(text);
            (words.into_iter().collect::<String>(), numbers)
        };
        assert_eq!(
            folded("Annual  Report 2024 | 7"),
            ("annualreport#|#".into(), vec![2024, 7])
        );
        assert_eq!(folded("xiv Preface"), ("#preface".into(), vec![14]));
        assert_eq!(folded("- 12 -"), ("-#-".into(), vec![12]));
        assert_eq!(folded("I mix civil"), ("imixcivil".into(), vec![]));
    }

    #[test]
    fn romans_are_read() {
        for (text, value) in [("i", 1), ("iv", 4), ("IX", 9), ("xlii", 42), ("xc", 90)] {
            assert_eq!(roman(text), Some(value), "{text}");
        }
        for text in ["", "iiii", "Iv", "vx", "mix", "I", "ic"] {
            assert_eq!(roman(text), None, "{text}");
        }
    }

    #[test]
    fn few_wrong_letters_are_forgiven() {
        let chars = |t: &str| t.chars().collect::<Vec<_>>();
        assert!(alike(&chars("theannualreport"), &chars("thc annualrcport")));
        assert!(!alike(&chars("chapterone"), &chars("chaptertwo")));
        assert!(!alike(&chars("one"), &chars("ona")));
        assert_eq!(edits(&chars("kitten"), &chars("sitting"), 3), Some(3));
        assert_eq!(edits(&chars("kitten"), &chars("sitting"), 2), None);
        assert_eq!(edits(&chars("abcdef"), &chars("ghijkl"), 5), None);
        assert_eq!(edits(&chars("abcdef"), &chars("ghijkl"), 6), Some(6));
        // Where most are enough, all are counted.
        for (a, b) in [
            ("", ""),
            ("a", ""),
            ("abcabc", "bcabca"),
            ("head 1 of", "a head of 10"),
            ("aaaa", "aab"),
        ] {
            let (a, b) = (chars(a), chars(b));
            let all = edits(&a, &b, usize::MAX).unwrap();
            for most in 0..15 {
                assert_eq!(edits(&a, &b, most), (all <= most).then_some(all));
            }
        }
    }
}
