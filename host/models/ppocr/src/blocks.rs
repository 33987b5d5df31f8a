//! From regions and lines to blocks: which regions hold, and which lines are theirs.
//!
//! The layout network is a witness, not a judge. A figure full of text is a form or a letter and is dissolved; a
//! table without rows is text; a running head in the middle of the page is text. Each line belongs to one block or
//! to none.

use crate::frame::{Bounds, Frame, Placed};
use crate::layout::{Region, RegionKind};
use crate::recognize::TextLine;

/// A line belongs to the region that covers this share of it.
const COVERED: f32 = 0.5;
/// A figure is text when lines fill this share of it, or when it covers this share of the page, and it has so many
/// lines.
const TEXT_SHARE: f32 = 0.22;
const PAGE_SHARE: f32 = 0.5;
const TEXT_LINES: usize = 6;
/// Running heads lie in this share of the page at its top, running feet at its bottom.
const FURNITURE_ZONE: f32 = 0.18;
/// Fewer lines are no table.
const TABLE_LINES: usize = 3;

/// A region that holds, with its lines.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    pub kind: RegionKind,
    pub confidence: f32,
    /// Index among the layout's regions.
    pub region: usize,
    /// Its place on the page, raster px: the region's, grown over its lines.
    pub area: Bounds,
    /// Its place in the level frame: around its lines, or the region where it has none.
    pub level: Bounds,
    pub lines: Vec<Placed>,
}

/// Blocks, and the lines that belong to none.
pub(crate) struct Assigned {
    pub blocks: Vec<Block>,
    pub loose: Vec<Placed>,
}

/// Gives each line to a region that holds; `size` is the page's, px.
pub(crate) fn assign(
    regions: &[Region],
    placed: &[Placed],
    lines: &[TextLine],
    frame: &Frame,
    size: (f32, f32),
) -> Assigned {
    let boxes: Vec<Bounds> = lines.iter().map(|l| raster_bounds(l, size)).collect();
    let mut kinds: Vec<Option<RegionKind>> = regions.iter().map(|r| holding_kind(r, size)).collect();
    // Dissolving one region may give its lines to another, so the owners are found again after each round.
    let mut owners = owners(regions, &kinds, &boxes);
    for _ in 0..3 {
        let mut changed = false;
        for n in 0..regions.len() {
            let own: Vec<&Bounds> = owners
                .iter()
                .zip(&boxes)
                .filter(|(o, _)| **o == Some(n))
                .map(|(_, b)| b)
                .collect();
            if !holds(kinds[n], &regions[n], &own, size) {
                changed |= kinds[n].take().is_some();
            }
        }
        if !changed {
            break;
        }
        owners = self::owners(regions, &kinds, &boxes);
    }
    let mut blocks: Vec<Block> = Vec::new();
    for (n, region) in regions.iter().enumerate() {
        let Some(kind) = kinds[n] else { continue };
        let own: Vec<Placed> = placed
            .iter()
            .copied()
            .filter(|p| owners[p.line] == Some(n))
            .collect();
        if own.is_empty() && kind != RegionKind::Figure {
            continue;
        }
        let around = Bounds::around(own.iter().map(|p| &boxes[p.line]));
        let region_box = Bounds::from(region.area);
        let is_drawn = matches!(kind, RegionKind::Figure | RegionKind::Table);
        let area = match around {
            Some(around) if is_drawn => region_box.union(&around),
            Some(around) => around,
            None => region_box,
        };
        let level = match Bounds::around(own.iter().map(|p| &p.bounds)) {
            Some(level) if is_drawn => level.union(&frame.area(region_box)),
            Some(level) => level,
            None => frame.area(region_box),
        };
        blocks.push(Block {
            kind,
            confidence: region.confidence,
            region: n,
            area,
            level,
            lines: own,
        });
    }
    let loose = placed
        .iter()
        .copied()
        .filter(|p| owners[p.line].is_none())
        .collect();
    Assigned { blocks, loose }
}

/// A line's box on the page.
pub(crate) fn raster_bounds(line: &TextLine, (width, height): (f32, f32)) -> Bounds {
    Bounds::from(line.quad.bounds(width as u32, height as u32))
}

/// The kind a region keeps by its place alone; `None` for one that says nothing.
fn holding_kind(region: &Region, (_, height): (f32, f32)) -> Option<RegionKind> {
    let area = Bounds::from(region.area);
    match region.kind {
        RegionKind::Header if area.y1 > FURNITURE_ZONE * height => Some(RegionKind::Text),
        RegionKind::Footer if area.y0 < (1.0 - FURNITURE_ZONE) * height => Some(RegionKind::Text),
        kind => Some(kind),
    }
}

/// Whether a region is what it claims, given the boxes of its lines.
fn holds(kind: Option<RegionKind>, region: &Region, own: &[&Bounds], (width, height): (f32, f32)) -> bool {
    let area = Bounds::from(region.area).area();
    match kind {
        None => true,
        Some(RegionKind::Figure) => {
            let text: f32 = own.iter().map(|b| b.area()).sum();
            let is_text = text > TEXT_SHARE * area || area > PAGE_SHARE * width * height;
            !(is_text && own.len() >= TEXT_LINES)
        }
        Some(RegionKind::Table) => own.len() >= TABLE_LINES,
        _ => true,
    }
}

/// For each line the region that covers most of it; of several, the smallest.
fn owners(regions: &[Region], kinds: &[Option<RegionKind>], boxes: &[Bounds]) -> Vec<Option<usize>> {
    let covering = |b: &Bounds| {
        let covers = |n: &usize| {
            let share = Bounds::from(regions[*n].area).common(b) / b.area().max(1.0);
            kinds[*n].is_some() && share >= COVERED
        };
        // A table keeps its words from the texts found inside it.
        let rank = |n: &usize| (kinds[*n] != Some(RegionKind::Table), regions[*n].area.area());
        (0..regions.len()).filter(covers).min_by_key(rank)
    };
    boxes.iter().map(covering).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::place;
    use ocr_document::{Quad, Rect};

    fn assigned(regions: &[(RegionKind, Rect)], lines: &[Rect]) -> Assigned {
        let regions: Vec<Region> = regions
            .iter()
            .map(|&(kind, area)| Region {
                kind,
                area,
                confidence: 0.9,
            })
            .collect();
        let lines: Vec<TextLine> = lines
            .iter()
            .map(|&r| TextLine {
                quad: Quad::from_rect(r),
                text: "x".into(),
                confidence: 0.9,
                words: Vec::new(),
            })
            .collect();
        let frame = Frame::of(lines.iter().map(|l| &l.quad));
        assign(&regions, &place(&lines, &frame), &lines, &frame, (1000.0, 1000.0))
    }

    fn rows(count: u32, x1: u32) -> Vec<Rect> {
        (0..count)
            .map(|n| Rect::new(10, n * 30 + 200, x1, n * 30 + 220))
            .collect()
    }

    #[test]
    fn the_smallest_region_that_covers_a_line_gets_it() {
        let text = Rect::new(0, 190, 900, 600);
        let title = Rect::new(0, 190, 900, 225);
        let found = assigned(
            &[(RegionKind::Text, text), (RegionKind::Title, title)],
            &rows(3, 800),
        );
        let counts: Vec<(RegionKind, usize)> = found.blocks.iter().map(|b| (b.kind, b.lines.len())).collect();
        assert_eq!(counts, [(RegionKind::Text, 2), (RegionKind::Title, 1)]);
        assert!(found.loose.is_empty());
    }

    #[test]
    fn a_figure_full_of_text_is_dissolved() {
        let figure = (RegionKind::Figure, Rect::new(0, 190, 900, 600));
        let found = assigned(&[figure], &rows(12, 800));
        assert!(found.blocks.is_empty() && found.loose.len() == 12);
        let labelled = assigned(&[figure], &rows(3, 60));
        assert_eq!((labelled.blocks.len(), labelled.loose.len()), (1, 0));
    }

    #[test]
    fn empty_figures_stay_and_empty_texts_go() {
        let place = Rect::new(0, 190, 900, 600);
        assert_eq!(assigned(&[(RegionKind::Figure, place)], &[]).blocks.len(), 1);
        assert_eq!(assigned(&[(RegionKind::Text, place)], &[]).blocks.len(), 0);
    }

    #[test]
    fn a_running_head_in_the_middle_is_text() {
        let found = assigned(
            &[(RegionKind::Header, Rect::new(0, 190, 900, 600))],
            &rows(2, 800),
        );
        assert_eq!(found.blocks[0].kind, RegionKind::Text);
    }
}
