//! Boxes on the model's grid of 0 ..= 999, read without evaluating anything.
//!
//! A pixel is `int(c / 999 * size)`, as in the model's own scripts (`run_dpsk_ocr_pdf.py`). Docling divides by 1,000
//! instead, so its boxes lie up to 0.1 % of the page further to the top left.

use super::flaws::{Flaw, Flaws};
use ocr_document::Rect;

/// Boxes that one element may have. A box takes at least nine of a page's 8,192 tokens; real elements have a handful.
pub const MAX_BOXES: usize = 1024;
/// The grid's last line.
const LAST: f64 = 999.0;

/// A rectangle on the model's grid: 0 <= x0 <= x1 <= 999, the same for y; the origin is the page's top left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridBox {
    x0: f64,
    y0: f64,
    x1: f64,
    y1: f64,
}

impl GridBox {
    /// The box between two corners; `None` where a number is none. What lies outside is cut, what is inverted turned.
    fn new(corners: [f64; 4], flaws: &mut Flaws) -> Option<Self> {
        if corners.iter().any(|c| !c.is_finite()) {
            return None;
        }
        let [x0, y0, x1, y1] = corners.map(|c| c.clamp(0.0, LAST));
        if [x0, y0, x1, y1] != corners {
            flaws.note(Flaw::BoxOutside);
        }
        if x0 > x1 || y0 > y1 {
            flaws.note(Flaw::BoxInverted);
        }
        Some(Self {
            x0: x0.min(x1),
            y0: y0.min(y1),
            x1: x0.max(x1),
            y1: y0.max(y1),
        })
    }

    /// Left, top, right and bottom on the grid.
    pub fn corners(&self) -> [f64; 4] {
        [self.x0, self.y0, self.x1, self.y1]
    }

    /// The box in px of a page of `width` x `height` px.
    pub fn to_pixels(&self, width: u32, height: u32) -> Rect {
        let pixel = |c: f64, size: u32| (c / LAST * f64::from(size)) as u32;
        Rect::new(
            pixel(self.x0, width),
            pixel(self.y0, height),
            pixel(self.x1, width),
            pixel(self.y1, height),
        )
    }
}

/// Reads the inside of a `<|det|>`: the boxes, and where in `body` text begins that is no part of their list.
pub(super) fn read(body: &str, flaws: &mut Flaws) -> (Vec<GridBox>, usize) {
    let start = body.len() - body.trim_start().len();
    let Some(end) = list_end(&body[start..]).map(|end| start + end) else {
        if start < body.len() {
            flaws.note(Flaw::DetUnreadable);
        } else {
            flaws.note(Flaw::BoxMissing);
        }
        return (Vec::new(), start);
    };
    let boxes = groups(&body[start..end], flaws);
    if body[end..].trim().is_empty() {
        return (boxes, body.len());
    }
    flaws.note(Flaw::DetUnreadable);
    (boxes, end)
}

/// Where the bracketed list at the start of `text` ends; `None` where there is none or it holds anything but numbers.
/// A list that is cut off ends with the text.
fn list_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            _ if depth == 0 => return None,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'0'..=b'9' | b',' | b'.' | b'-' | b'+' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => return None,
        }
    }
    (depth > 0).then_some(text.len())
}

/// The innermost groups of a list that are boxes.
fn groups(list: &str, flaws: &mut Flaws) -> Vec<GridBox> {
    let mut boxes = Vec::new();
    for piece in list.split('[').skip(1) {
        let (inside, closed) = match piece.find(']') {
            Some(end) => (&piece[..end], true),
            None => (piece, false),
        };
        if inside.trim().is_empty() {
            continue;
        }
        if boxes.len() == MAX_BOXES {
            flaws.note(Flaw::BoxesTooMany);
            break;
        }
        match numbers(inside)
            .filter(|_| closed)
            .and_then(|n| GridBox::new(n, flaws))
        {
            Some(found) => boxes.push(found),
            None => flaws.note(Flaw::BoxUnreadable),
        }
    }
    if boxes.is_empty() {
        flaws.note(Flaw::BoxMissing);
    }
    boxes
}

fn numbers(text: &str) -> Option<[f64; 4]> {
    let mut found = [0.0; 4];
    let mut pieces = text.split(',');
    for number in &mut found {
        *number = pieces.next()?.trim().parse().ok()?;
    }
    // Python allows a comma behind the last.
    pieces.all(|rest| rest.trim().is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(flaws: &Flaws) -> Vec<String> {
        flaws.diagnostics().into_iter().map(|d| d.code).collect()
    }

    fn corners(body: &str) -> (Vec<[f64; 4]>, usize, Vec<String>) {
        let mut flaws = Flaws::default();
        let (boxes, rest) = read(body, &mut flaws);
        (boxes.iter().map(GridBox::corners).collect(), rest, codes(&flaws))
    }

    #[test]
    fn lists_of_boxes_are_read_in_every_spelling() {
        let two = vec![[1.0, 2.0, 3.0, 4.0], [5.0, 6.5, 7.0, 8.0]];
        assert_eq!(corners("[[1, 2, 3, 4], [5, 6.5, 7, 8]]"), (two, 30, vec![]));
        assert_eq!(corners(" [1,2,3,4]\n").0, [[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(corners("[[1,2,3,4,]]").2, Vec::<String>::new());
    }

    #[test]
    fn wild_numbers_are_cut_and_put_in_order() {
        let (boxes, _, codes) = corners("[[-5, 900, 1200, 100]]");
        assert_eq!(boxes, [[0.0, 100.0, 999.0, 900.0]]);
        assert_eq!(codes, ["box-outside", "box-inverted"]);
    }

    #[test]
    fn what_is_no_box_is_left_out_and_said() {
        assert_eq!(
            corners("[[1,2,3],[1,2,3,4,5],[1,2,3,4]]").0,
            [[1.0, 2.0, 3.0, 4.0]]
        );
        assert_eq!(corners("[[1,2,3,4],[5,6").0, [[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(corners("[]").2, ["box-missing"]);
        assert_eq!(corners("[[.,.,.,.]]").2, ["box-missing", "box-unreadable"]);
        assert_eq!(corners("[[1--2,3,4,5]]").0.len(), 0);
    }

    #[test]
    fn what_is_no_list_is_text() {
        for body in [
            "open('/etc/passwd')",
            "[[__import__('os')]]",
            "12. Results",
            "nan",
        ] {
            assert_eq!(
                corners(body),
                (vec![], 0, vec!["det-unreadable".to_owned()]),
                "{body}"
            );
        }
        let (boxes, rest, _) = corners("[[1,2,3,4]]\n12. Results");
        assert_eq!((boxes.len(), rest), (1, 11));
    }

    #[test]
    fn pixels_are_the_scripts_own() {
        let mut flaws = Flaws::default();
        let whole = GridBox::new([0.0, 0.0, 999.0, 999.0], &mut flaws).unwrap();
        assert_eq!(whole.to_pixels(1241, 1754), Rect::new(0, 0, 1241, 1754));
        // int(217 / 999 * 1224), int(209 / 999 * 1584), ... by Python.
        let some = GridBox::new([217.0, 209.0, 520.0, 225.0], &mut flaws).unwrap();
        assert_eq!(some.to_pixels(1224, 1584), Rect::new(265, 331, 637, 356));
    }
}
