//! Which things of a page stand near a place.

use super::super::EditError;
use super::super::work::Work;
use crate::{Rect, Word};

/// Buckets along each side of the page.
const BUCKETS: u32 = 64;

/// From this share on, an area that covers a cell or a block means all of it.
pub(super) const MOST: f64 = 0.5;

/// Something with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Word(u32),
    /// A line without words.
    Line(u32),
    Cell(u32),
    /// A span without lines and cells.
    Span(u32),
}

/// Things by their places.
pub(super) struct Grid {
    step: (u32, u32),
    buckets: Vec<Vec<(Thing, Rect)>>,
}

impl Grid {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self {
            step: (width.div_ceil(BUCKETS).max(1), height.div_ceil(BUCKETS).max(1)),
            buckets: vec![Vec::new(); (BUCKETS * BUCKETS) as usize],
        }
    }

    fn over(&self, area: Rect) -> impl Iterator<Item = usize> + use<> {
        let last = BUCKETS - 1;
        let (x, y) = self.step;
        let columns = (area.x0 / x).min(last)..=(area.x1.saturating_sub(1) / x).min(last);
        let rows = (area.y0 / y).min(last)..=(area.y1.saturating_sub(1) / y).min(last);
        rows.flat_map(move |row| {
            columns
                .clone()
                .map(move |column| (row * BUCKETS + column) as usize)
        })
    }

    pub(super) fn add(&mut self, thing: Thing, area: Rect, work: &mut Work) -> Result<(), EditError> {
        if area.is_empty() {
            return Ok(());
        }
        for bucket in self.over(area) {
            work.take(4)?;
            self.buckets[bucket].push((thing, area));
        }
        Ok(())
    }

    /// Things that share a pixel with `area`, each once.
    pub(super) fn near(&self, area: Rect, work: &mut Work) -> Result<Vec<(Thing, Rect)>, EditError> {
        let mut found = Vec::new();
        if area.is_empty() {
            return Ok(found);
        }
        for bucket in self.over(area).map(|at| &self.buckets[at]) {
            work.take(2 + 2 * bucket.len())?;
            found.extend(bucket.iter().filter(|(_, at)| !at.intersect(&area).is_empty()));
        }
        work.take(8 * found.len())?;
        found.sort_unstable_by_key(|(thing, _)| *thing);
        found.dedup_by_key(|(thing, _)| *thing);
        Ok(found)
    }
}

/// How much of `of` lies in `area`, 0 ..= 1.
pub(super) fn share(of: Rect, area: Rect) -> f64 {
    match of.area() {
        0 => 0.0,
        all => of.intersect(&area).area() as f64 / all as f64,
    }
}

/// Whether an area touches a word, more than boxes touch that were drawn a little too large.
pub(super) fn touches(area: Rect, word: Rect) -> bool {
    let common = area.intersect(&word);
    let enough =
        |part: u32, whole: u32, percent: u64| u64::from(part) * 100 >= u64::from(whole) * percent && part > 0;
    enough(common.width(), word.width(), 12) && enough(common.height(), word.height(), 25)
}

/// Whether an area reaches into a block, more than boxes of neighbours do.
pub(super) fn is_over(area: Rect, block: Rect) -> bool {
    let common = area.intersect(&block);
    let reaches = common.width() > 3 && common.height() > 3;
    !common.is_empty() && (reaches || common == area || common == block)
}

/// Whether two boxes hold the same print: most of the smaller lies in the other.
pub(super) fn is_same_print(a: Rect, b: Rect) -> bool {
    a.intersect(&b).area() * 2 > a.area().min(b.area())
}

/// The box of a word with what may stick out of it.
pub(super) fn padded(area: Rect, width: u32, height: u32) -> Rect {
    let pad = 2 + area.height().min(area.width()) / 8;
    Rect::new(
        area.x0.saturating_sub(pad),
        area.y0.saturating_sub(pad),
        area.x1.saturating_add(pad),
        area.y1.saturating_add(pad),
    )
    .intersect(&Rect::new(0, 0, width, height))
}

pub(super) fn has_centre_in(word: Rect, area: Rect) -> bool {
    area.contains(word.x0 + word.width() / 2, word.y0 + word.height() / 2)
}

/// A word's box.
pub(super) fn box_of(word: &Word, width: u32, height: u32) -> Rect {
    word.outline.bounds(width, height)
}
