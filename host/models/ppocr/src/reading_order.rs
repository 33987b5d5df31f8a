//! The order in which a page's blocks and loose lines are read.
//!
//! A recursive XY cut: what a gutter parts is read column by column, else what a horizontal gap parts is read from
//! top to bottom. Neighbouring strips that share a gutter are one run of columns, not a table of cells, unless they
//! hold single lines only (a form's labels and values are read row by row).

use crate::frame::{Bounds, Placed, median, overlap};

/// Something that has a place in the order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Item {
    /// A region with its lines, by index.
    Block {
        block: usize,
        bounds: Bounds,
        lines: usize,
        /// A figure, a table or a caption: text may run around it.
        floats: bool,
        /// A heading at the end of a column opens what comes below.
        heading: bool,
    },
    /// A line that belongs to no region.
    Line(Placed),
}

/// A step of the reading order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leaf {
    Block(usize),
    /// Loose lines that are read row by row.
    Lines(Vec<Placed>),
}

impl Item {
    fn bounds(&self) -> Bounds {
        match self {
            Item::Block { bounds, .. } => *bounds,
            Item::Line(placed) => placed.bounds,
        }
    }

    fn lines(&self) -> usize {
        match self {
            Item::Block { lines, .. } => *lines,
            Item::Line(_) => 1,
        }
    }
}

/// A gutter is at least this wide, in text heights: the detector grows boxes by about a quarter of one on each side,
/// into the gutter.
const GUTTER: f32 = 0.1;
/// Between loose lines it must be wider.
const LOOSE_GUTTER: f32 = 1.0;
/// Boxes are grown beyond their ink and overlap a little: each gives up this share of a text height above and below.
const SHRINK: f32 = 0.25;
/// A column of loose lines has this many lines at least, as long as this in text heights: prose, not prices.
const COLUMN_LINES: usize = 4;
const COLUMN_LENGTH: f32 = 8.0;
/// Text runs around a figure narrower than this share of its width.
const FLOAT_WIDTH: f32 = 0.75;
/// A column with a block has this many lines at least; a figure or table counts as that many.
const BLOCK_LINES: usize = 3;

/// Puts items in reading order; `text_height` is the page's usual one, px.
pub(crate) fn order(items: &[Item], text_height: f32) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    cut(items.to_vec(), text_height.max(1.0), &mut leaves, 0);
    merge_lines(leaves)
}

/// Looking for runs of columns takes time with the cube of the items; a page with more lines is noise.
const MOST_FOR_RUNS: usize = 500;
/// Deep nesting is no layout but noise; each level cuts at least one item off.
const DEEPEST: usize = 40;

fn cut(items: Vec<Item>, height: f32, leaves: &mut Vec<Leaf>, depth: usize) {
    if items.len() < 2 || depth > DEEPEST {
        return emit(items, leaves);
    }
    if let Some((left, right)) = columns(&items, height) {
        cut(left, height, leaves, depth + 1);
        return cut(right, height, leaves, depth + 1);
    }
    let many = items.len() > MOST_FOR_RUNS;
    let mut strips = strips(items, height);
    if !many {
        strips = runs_of_columns(strips, height);
    }
    if let [_] = strips[..] {
        return emit(strips.into_iter().flatten().collect(), leaves);
    }
    for strip in strips {
        cut(strip, height, leaves, depth + 1);
    }
}

/// What no cut parts: by the middle of its upper edge, loose lines together.
fn emit(mut items: Vec<Item>, leaves: &mut Vec<Leaf>) {
    items.sort_by(|a, b| {
        a.bounds()
            .y0
            .total_cmp(&b.bounds().y0)
            .then(a.bounds().x0.total_cmp(&b.bounds().x0))
    });
    leaves.extend(items.into_iter().map(|item| match item {
        Item::Block { block, .. } => Leaf::Block(block),
        Item::Line(line) => Leaf::Lines(vec![line]),
    }));
}

/// Loose lines that follow each other are one leaf where the later ones lie below or beside the earlier, not in
/// another column.
fn merge_lines(leaves: Vec<Leaf>) -> Vec<Leaf> {
    let mut out: Vec<Leaf> = Vec::new();
    for leaf in leaves {
        match (out.last_mut(), leaf) {
            (Some(Leaf::Lines(before)), Leaf::Lines(more)) if continues(before, &more) => before.extend(more),
            (_, leaf) => out.push(leaf),
        }
    }
    out
}

fn continues(before: &[Placed], more: &[Placed]) -> bool {
    let (Some(a), Some(b)) = (
        Bounds::around(before.iter().map(|l| &l.bounds)),
        Bounds::around(more.iter().map(|l| &l.bounds)),
    ) else {
        return true;
    };
    // The next column starts far above the end of this one.
    b.y1 > a.y0 + 0.5 * a.height().min(3.0 * b.height()) && !(b.x0 > a.x1 && b.y0 + b.height() < a.y1)
}

/// The items on both sides of the widest gutter that parts columns.
fn columns(items: &[Item], height: f32) -> Option<(Vec<Item>, Vec<Item>)> {
    if let Some((left, right, _)) = plain_columns(items, height) {
        return Some((left, right));
    }
    let (floats, text) = surrounded(items, height);
    if floats.is_empty() {
        return None;
    }
    let (mut left, mut right, gutter) = plain_columns(&text, height)?;
    for float in floats {
        let side = if float.bounds().x0 > gutter {
            &mut right
        } else {
            &mut left
        };
        side.push(float);
    }
    Some((left, right))
}

/// Parts off what text runs around: figures and the like that are narrower than the text and have it above and below.
fn surrounded(items: &[Item], height: f32) -> (Vec<Item>, Vec<Item>) {
    let is_float = |item: &Item| matches!(item, Item::Block { floats: true, .. });
    let text: Vec<Bounds> = items.iter().filter(|i| !is_float(i)).map(Item::bounds).collect();
    let Some(text) = Bounds::around(&text) else {
        return (Vec::new(), items.to_vec());
    };
    items.iter().partition(|item| {
        let b = item.bounds();
        let amid = b.y0 > text.y0 + 2.0 * height && b.y1 < text.y1 - 2.0 * height;
        is_float(item) && amid && b.width() < FLOAT_WIDTH * text.width()
    })
}

/// The same, nothing being transparent; and where the gutter's middle is.
fn plain_columns(items: &[Item], height: f32) -> Option<(Vec<Item>, Vec<Item>, f32)> {
    let loose = items.iter().all(|i| matches!(i, Item::Line(_)));
    let least = if loose { LOOSE_GUTTER } else { GUTTER } * height;
    let mut sorted = items.to_vec();
    sorted.sort_by(|a, b| a.bounds().x0.total_cmp(&b.bounds().x0));
    let mut best: Option<(f32, usize, f32)> = None;
    let mut reach = sorted.first()?.bounds().x1;
    for (n, item) in sorted.iter().enumerate().skip(1) {
        let gap = item.bounds().x0 - reach;
        if gap >= least && best.is_none_or(|(widest, ..)| gap > widest) {
            let (left, right) = sorted.split_at(n);
            if are_columns(left, right, height) {
                best = Some((gap, n, reach + gap / 2.0));
            }
        }
        reach = reach.max(item.bounds().x1);
    }
    best.map(|(_, n, gutter)| {
        let right = sorted.split_off(n);
        (sorted, right, gutter)
    })
}

/// Whether two groups side by side are columns to be read one after the other.
fn are_columns(left: &[Item], right: &[Item], height: f32) -> bool {
    let lines = |side: &[Item]| side.iter().map(Item::lines).sum::<usize>();
    let spread = |side: &[Item]| {
        let all: Vec<Bounds> = side.iter().map(Item::bounds).collect();
        Bounds::around(&all).unwrap_or_default()
    };
    let (l, r) = (spread(left), spread(right));
    let common = overlap((l.y0, l.y1), (r.y0, r.y1));
    let beside = common > 0.3 * l.height().min(r.height());
    // Loose lines make a column only where they are prose, not the prices beside a block.
    let long = |side: &[Item]| median(side.iter().map(|i| i.bounds().width())) >= COLUMN_LENGTH * height;
    let is_column = |side: &[Item]| match side.iter().any(|i| matches!(i, Item::Block { .. })) {
        true => lines(side) >= BLOCK_LINES,
        false => lines(side) >= COLUMN_LINES && long(side),
    };
    beside && is_column(left) && is_column(right)
}

/// Parts items at every horizontal gap, from top to bottom.
fn strips(mut items: Vec<Item>, height: f32) -> Vec<Vec<Item>> {
    let upright = |item: &Item| {
        let b = item.bounds();
        let give = (SHRINK * height).min(b.height() * SHRINK);
        (b.y0 + give, b.y1 - give)
    };
    items.sort_by(|a, b| upright(a).0.total_cmp(&upright(b).0));
    let mut strips: Vec<Vec<Item>> = Vec::new();
    let mut reach = f32::MIN;
    for item in items {
        let (top, bottom) = upright(&item);
        match strips.last_mut() {
            Some(strip) if top < reach => strip.push(item),
            _ => strips.push(vec![item]),
        }
        reach = reach.max(bottom);
    }
    strips
}

/// Joins neighbouring strips that a common gutter parts into columns of several lines.
fn runs_of_columns(strips: Vec<Vec<Item>>, height: f32) -> Vec<Vec<Item>> {
    let mut out: Vec<Vec<Item>> = Vec::new();
    let mut n = 0;
    while n < strips.len() {
        // The longest run that starts here and still has its gutter.
        let mut run = strips[n].clone();
        let mut best = 1;
        for (m, strip) in strips.iter().enumerate().skip(n + 1) {
            run.extend(strip.iter().copied());
            match columns(&run, height) {
                Some(_) => best = m - n + 1,
                // A run may start with strips of one side only; one that crosses every gutter ends it.
                None if has_gutter(&run, height) => {}
                None => break,
            }
        }
        while best > 1 && opens_below(&strips[n + best - 1]) {
            best -= 1;
        }
        out.push(strips[n..n + best].concat());
        n += best;
    }
    out
}

/// Whether a strip is nothing but a heading: at the end of columns it belongs to what comes below them.
fn opens_below(strip: &[Item]) -> bool {
    matches!(strip, [Item::Block { heading: true, .. }])
}

/// Whether some vertical line parts the text, whatever floats beside it: what text runs around may only show as such
/// when more strips have joined the run.
fn has_gutter(items: &[Item], height: f32) -> bool {
    let text = items
        .iter()
        .filter(|item| !matches!(item, Item::Block { floats: true, .. }));
    let mut sorted: Vec<Bounds> = text.map(Item::bounds).collect();
    sorted.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    sorted
        .iter()
        .scan(f32::MIN, |reach, b| {
            let gap = b.x0 - *reach;
            let first = *reach == f32::MIN;
            *reach = reach.max(b.x1);
            Some(!first && gap >= GUTTER * height)
        })
        .any(|parted| parted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::{bounds, placed};

    fn blocks(boxes: &[(f32, f32, f32, f32)]) -> Vec<Item> {
        let block = |(block, b): (usize, &(f32, f32, f32, f32))| Item::Block {
            block,
            bounds: bounds(b.0, b.1, b.2, b.3),
            lines: ((b.3 - b.1) / 20.0) as usize,
            floats: false,
            heading: false,
        };
        boxes.iter().enumerate().map(block).collect()
    }

    fn sequence(leaves: &[Leaf]) -> Vec<usize> {
        leaves
            .iter()
            .map(|leaf| match leaf {
                Leaf::Block(n) => *n,
                Leaf::Lines(lines) => panic!("loose lines {lines:?}"),
            })
            .collect()
    }

    #[test]
    fn columns_below_a_spanning_title_are_read_one_by_one() {
        // Title, left 1, left 2, right 1, right 2 with aligned paragraph gaps, spanning footer.
        let items = blocks(&[
            (500.0, 100.0, 900.0, 300.0),
            (50.0, 320.0, 450.0, 600.0),
            (50.0, 10.0, 900.0, 60.0),
            (500.0, 320.0, 900.0, 600.0),
            (50.0, 100.0, 450.0, 300.0),
            (50.0, 640.0, 900.0, 700.0),
        ]);
        assert_eq!(sequence(&order(&items, 20.0)), [2, 4, 1, 0, 3, 5]);
    }

    #[test]
    fn three_columns_nest() {
        let items = blocks(&[
            (700.0, 0.0, 990.0, 500.0),
            (0.0, 0.0, 300.0, 500.0),
            (350.0, 0.0, 650.0, 500.0),
        ]);
        assert_eq!(sequence(&order(&items, 20.0)), [1, 2, 0]);
    }

    #[test]
    fn a_columns_figure_stays_in_its_column() {
        let items = blocks(&[
            (0.0, 0.0, 400.0, 300.0),
            (0.0, 320.0, 400.0, 700.0),
            (450.0, 0.0, 850.0, 180.0),
            (450.0, 200.0, 850.0, 700.0),
        ]);
        assert_eq!(sequence(&order(&items, 20.0)), [0, 1, 2, 3]);
    }

    #[test]
    fn labels_and_prices_are_no_columns() {
        let lines: Vec<(f32, f32, f32, f32)> = (0..8)
            .flat_map(|n| {
                let y = n as f32 * 25.0;
                [(10.0, y, 260.0, y + 20.0), (400.0, y, 450.0, y + 20.0)]
            })
            .collect();
        let items: Vec<Item> = placed(&lines).into_iter().map(Item::Line).collect();
        assert_eq!(order(&items, 20.0).len(), 1, "one leaf, to be read row by row");
    }

    #[test]
    fn columns_of_loose_prose_are_read_one_by_one() {
        let lines: Vec<(f32, f32, f32, f32)> = (0..8)
            .flat_map(|n| {
                let y = n as f32 * 25.0;
                [(10.0, y, 410.0, y + 20.0), (450.0, y, 850.0, y + 20.0)]
            })
            .collect();
        let items: Vec<Item> = placed(&lines).into_iter().map(Item::Line).collect();
        let leaves = order(&items, 20.0);
        let [Leaf::Lines(left), Leaf::Lines(right)] = &leaves[..] else {
            panic!("{leaves:?}")
        };
        assert!(left.iter().all(|l| l.line % 2 == 0) && right.iter().all(|l| l.line % 2 == 1));
    }

    #[test]
    fn columns_run_around_a_figure_in_their_midst() {
        let mut items = blocks(&[
            (0.0, 0.0, 400.0, 200.0),
            (0.0, 210.0, 250.0, 500.0),
            (0.0, 510.0, 400.0, 700.0),
            (430.0, 0.0, 850.0, 200.0),
            (580.0, 210.0, 850.0, 500.0),
            (430.0, 510.0, 850.0, 700.0),
            (270.0, 220.0, 560.0, 490.0),
        ]);
        let Some(Item::Block { floats, .. }) = items.last_mut() else {
            panic!()
        };
        *floats = true;
        assert_eq!(sequence(&order(&items, 20.0)), [0, 1, 6, 2, 3, 4, 5]);
    }

    #[test]
    fn a_heading_below_columns_is_read_after_both() {
        let mut items = blocks(&[
            (0.0, 0.0, 400.0, 300.0),
            (450.0, 0.0, 850.0, 300.0),
            (0.0, 340.0, 200.0, 370.0),
            (0.0, 390.0, 850.0, 700.0),
        ]);
        if let Item::Block { heading, .. } = &mut items[2] {
            *heading = true;
        }
        assert_eq!(sequence(&order(&items, 20.0)), [0, 1, 2, 3]);
    }

    #[test]
    fn every_item_comes_out_once() {
        // Boxes that overlap in every way.
        let boxes: Vec<(f32, f32, f32, f32)> = (0..60)
            .map(|n| {
                let (x, y) = ((n * 37 % 101) as f32 * 7.0, (n * 53 % 97) as f32 * 9.0);
                (
                    x,
                    y,
                    x + 40.0 + (n % 7) as f32 * 60.0,
                    y + 15.0 + (n % 5) as f32 * 40.0,
                )
            })
            .collect();
        let mut seen = sequence(&order(&blocks(&boxes), 20.0));
        seen.sort_unstable();
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
    }
}
