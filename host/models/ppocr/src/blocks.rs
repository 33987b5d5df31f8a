//! From regions and lines to blocks: which regions hold, and which lines are theirs.
//!
//! The layout network is a witness, not a judge. A figure full of text is a form or a letter and is dissolved; a
//! table without rows is text; a running head in the middle of the page is text. Each line belongs to one block or
//! to none.

use crate::frame::{Bounds, Frame, Placed, median, overlap, rows};
use crate::furniture::EDGE_ZONE;
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
/// The next row of a caption is at most this far below it, and begins at most this far beside, in text heights.
const CAPTION_GAP: f32 = 0.8;
const CAPTION_SHIFT: f32 = 1.0;
/// Rows that a caption's continuation has at most: more is a paragraph.
const CAPTION_ROWS: usize = 2;
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
    complete_furniture(&mut blocks, size.1);
    complete_captions(&mut blocks, lines);
    let loose = placed
        .iter()
        .copied()
        .filter(|p| owners[p.line].is_none())
        .collect();
    Assigned { blocks, loose }
}

/// Makes furniture of what stands at the page's edge in one row with furniture: the layout often knows the page number
/// and takes the name beside it for text.
fn complete_furniture(blocks: &mut [Block], height: f32) {
    let of = |b: &Block| matches!(b.kind, RegionKind::Header | RegionKind::Footer);
    let known: Vec<(RegionKind, Bounds)> = blocks
        .iter()
        .filter(|b| of(b))
        .map(|b| (b.kind, b.level))
        .collect();
    for block in blocks.iter_mut().filter(|b| is_text(b.kind)) {
        let (middle, area) = (block.level.middle().1, block.area);
        let at_edge = area.y1 < EDGE_ZONE * height || area.y0 > (1.0 - EDGE_ZONE) * height;
        let beside = known.iter().find(|(_, b)| b.y0 < middle && middle < b.y1);
        if let (true, 1, Some(&(kind, _))) = (at_edge, rows(&block.lines).len(), beside) {
            block.kind = kind;
        }
    }
}

/// Gives captions that the layout has cut off the rows that follow them.
fn complete_captions(blocks: &mut Vec<Block>, lines: &[TextLine]) {
    let is_caption = |b: &Block| matches!(b.kind, RegionKind::FigureCaption | RegionKind::TableCaption);
    for n in (0..blocks.len()).rev() {
        let Some(row) = blocks[n].lines.first().filter(|_| is_text(blocks[n].kind)) else {
            continue;
        };
        let (height, level) = (row.bounds.height(), blocks[n].level);
        let goes_on = |caption: &Block| {
            let last = rows(&caption.lines).pop();
            let ends = last.is_none_or(|last| last.text(lines).ends_with(['.', '!', '?', '。']));
            let usual = median(caption.lines.iter().map(|l| l.bounds.height()));
            is_caption(caption)
                && !ends
                && (level.y0 - caption.level.y1).abs() < CAPTION_GAP * usual
                && (level.x0 - caption.level.x0).abs() < CAPTION_SHIFT * usual
                && overlap((level.x0, level.x1), (caption.level.x0, caption.level.x1)) > 0.0
                && (0.8..1.25).contains(&(height / usual.max(1.0)))
        };
        if rows(&blocks[n].lines).len() > CAPTION_ROWS {
            continue;
        }
        if let Some(caption) = (0..blocks.len()).find(|&m| m != n && goes_on(&blocks[m])) {
            let rest = blocks[n].clone();
            let caption = &mut blocks[caption];
            caption.lines.extend(rest.lines);
            caption.area = caption.area.union(&rest.area);
            caption.level = caption.level.union(&rest.level);
            blocks.remove(n);
        }
    }
}

fn is_text(kind: RegionKind) -> bool {
    matches!(kind, RegionKind::Text | RegionKind::Reference | RegionKind::Title)
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

    #[test]
    fn a_name_beside_a_page_number_is_furniture() {
        let regions = [
            (RegionKind::Footer, Rect::new(800, 960, 950, 985)),
            (RegionKind::Text, Rect::new(50, 960, 200, 985)),
            (RegionKind::Text, Rect::new(50, 400, 900, 425)),
        ];
        let lines = regions.map(|(_, r)| Rect::new(r.x0 + 5, r.y0 + 2, r.x1 - 5, r.y1 - 2));
        let kinds: Vec<RegionKind> = assigned(&regions, &lines).blocks.iter().map(|b| b.kind).collect();
        assert_eq!(kinds, [RegionKind::Footer, RegionKind::Footer, RegionKind::Text]);
    }

    #[test]
    fn a_caption_keeps_its_second_row() {
        let regions = |gap: u32| {
            [
                (RegionKind::FigureCaption, Rect::new(50, 400, 900, 424)),
                (RegionKind::Reference, Rect::new(50, 424 + gap, 300, 448 + gap)),
            ]
        };
        let lines = |gap: u32| {
            [
                Rect::new(52, 402, 890, 422),
                Rect::new(52, 426 + gap, 290, 446 + gap),
            ]
        };
        let near = assigned(&regions(0), &lines(0)).blocks;
        assert_eq!(
            (near.len(), near[0].kind, near[0].lines.len()),
            (1, RegionKind::FigureCaption, 2)
        );
        assert_eq!(assigned(&regions(30), &lines(30)).blocks.len(), 2);
    }
}
