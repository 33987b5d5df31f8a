//! Which region of a page is what: PicoDet trained on CDLA, ten classes.
//!
//! The network answers class scores and, for each side of a box, a distribution over eight distances (generalised
//! focal loss, <https://arxiv.org/abs/2006.04388>), on four grids of cells.

use crate::EngineError;
use crate::net::{Net, Output};
use crate::resize::{IMAGENET, resize};
use ocr_document::{PageImage, Point, Rect};
use rten::ThreadPool;
use std::sync::Arc;

/// Input size, px; the page's aspect is not kept.
const INPUT: (usize, usize) = (608, 800);
/// Cell sizes of the four grids, px of the input.
const STRIDES: [usize; 4] = [8, 16, 32, 64];
/// Distances a side's distribution ranges over.
const BINS: usize = 8;
/// Boxes below this score are no regions.
const SCORE: f32 = 0.4;
/// Boxes of one class that overlap more than this (intersection over union) are one region.
const SAME_CLASS_OVERLAP: f32 = 0.5;
/// A region of which this share lies in a better one of another class says nothing new.
const OTHER_CLASS_COVER: f32 = 0.8;

/// What a region is; the order is the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegionKind {
    Text,
    Title,
    Figure,
    FigureCaption,
    Table,
    TableCaption,
    Header,
    Footer,
    Reference,
    Equation,
}

impl RegionKind {
    const ALL: [Self; 10] = [
        Self::Text,
        Self::Title,
        Self::Figure,
        Self::FigureCaption,
        Self::Table,
        Self::TableCaption,
        Self::Header,
        Self::Footer,
        Self::Reference,
        Self::Equation,
    ];

    /// The network's name for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Title => "title",
            Self::Figure => "figure",
            Self::FigureCaption => "figure_caption",
            Self::Table => "table",
            Self::TableCaption => "table_caption",
            Self::Header => "header",
            Self::Footer => "footer",
            Self::Reference => "reference",
            Self::Equation => "equation",
        }
    }
}

/// One region of a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Region {
    pub kind: RegionKind,
    /// Raster px.
    pub area: Rect,
    /// 0 ..= 1.
    pub confidence: f32,
}

/// The page's regions, best first.
pub(crate) fn regions(
    net: &Net,
    image: &PageImage,
    pool: &Arc<ThreadPool>,
) -> Result<Vec<Region>, EngineError> {
    let input = resize(image, image.bounds(), INPUT, INPUT, IMAGENET);
    let outputs = net.run([1, 3, INPUT.1, INPUT.0], input, pool)?;
    let found = decode(&outputs).ok_or_else(|| EngineError::Run {
        name: "layout_cdla.onnx".into(),
        reason: "unknown outputs".into(),
    })?;
    let scale = (
        image.width() as f32 / INPUT.0 as f32,
        image.height() as f32 / INPUT.1 as f32,
    );
    let regions = suppress(found).into_iter().map(|b| Region {
        kind: b.kind,
        area: Rect::around(
            &[
                Point {
                    x: b.x0 * scale.0,
                    y: b.y0 * scale.1,
                },
                Point {
                    x: b.x1 * scale.0,
                    y: b.y1 * scale.1,
                },
            ],
            image.width(),
            image.height(),
        ),
        confidence: b.score,
    });
    Ok(without_covered(regions.filter(|r| !r.area.is_empty()).collect()))
}

/// A box in input px.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    kind: RegionKind,
    score: f32,
    x0: f32,
    y0: f32,
    x1: f32,
    y1: f32,
}

impl Candidate {
    fn overlap(&self, other: &Self) -> f32 {
        let side = |a0: f32, a1: f32, b0: f32, b1: f32| (a1.min(b1) - a0.max(b0)).max(0.0);
        let both = side(self.x0, self.x1, other.x0, other.x1) * side(self.y0, self.y1, other.y0, other.y1);
        let area = |c: &Self| (c.x1 - c.x0).max(0.0) * (c.y1 - c.y0).max(0.0);
        both / (area(self) + area(other) - both).max(1e-6)
    }
}

/// All boxes above the score; `None` when the outputs are not what this network answers.
fn decode(outputs: &[Output]) -> Option<Vec<Candidate>> {
    let classes = RegionKind::ALL.len();
    let mut found = Vec::new();
    for (level, stride) in STRIDES.into_iter().enumerate() {
        let (scores, sides) = (
            &outputs.get(level)?.data,
            &outputs.get(level + STRIDES.len())?.data,
        );
        let (columns, rows) = (INPUT.0.div_ceil(stride), INPUT.1.div_ceil(stride));
        if scores.len() != columns * rows * classes || sides.len() != columns * rows * 4 * BINS {
            return None;
        }
        for cell in 0..columns * rows {
            for (kind, &score) in RegionKind::ALL
                .into_iter()
                .zip(&scores[cell * classes..][..classes])
            {
                if score <= SCORE {
                    continue;
                }
                let side = |n: usize| expectation(&sides[(cell * 4 + n) * BINS..][..BINS]) * stride as f32;
                let x = ((cell % columns) as f32 + 0.5) * stride as f32;
                let y = ((cell / columns) as f32 + 0.5) * stride as f32;
                found.push(Candidate {
                    kind,
                    score,
                    x0: x - side(0),
                    y0: y - side(1),
                    x1: x + side(2),
                    y1: y + side(3),
                });
            }
        }
    }
    Some(found)
}

/// The mean of a softmax distribution over 0, 1, 2 …
fn expectation(logits: &[f32]) -> f32 {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for (n, logit) in logits.iter().enumerate() {
        let p = (logit - most).exp();
        sum += p;
        weighted += p * n as f32;
    }
    weighted / sum
}

/// Non-maximum suppression within each class; best first.
fn suppress(mut found: Vec<Candidate>) -> Vec<Candidate> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in found {
        if kept
            .iter()
            .all(|k| k.kind != candidate.kind || k.overlap(&candidate) <= SAME_CLASS_OVERLAP)
        {
            kept.push(candidate);
        }
    }
    kept
}

/// Drops regions that lie mostly inside a better one, such as a table also tagged as an equation. A title inside a
/// text region and a text inside a figure are real and stay.
fn without_covered(regions: Vec<Region>) -> Vec<Region> {
    let mut kept: Vec<Region> = Vec::new();
    for region in regions {
        let doubled = kept.iter().any(|k| {
            let common = k.area.intersect(&region.area).area() as f32;
            let covered = common / region.area.area() as f32;
            let mutual = common / k.area.area().max(region.area.area()) as f32;
            let redundant = k.kind == region.kind || (k.kind == RegionKind::Table);
            mutual > OTHER_CLASS_COVER || (redundant && covered > OTHER_CLASS_COVER)
        });
        if !doubled {
            kept.push(region);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(kind: RegionKind, score: f32, x0: f32, x1: f32) -> Candidate {
        Candidate {
            kind,
            score,
            x0,
            y0: 0.0,
            x1,
            y1: 10.0,
        }
    }

    #[test]
    fn weaker_doubles_of_a_class_go_and_other_classes_stay() {
        let kept = suppress(vec![
            candidate(RegionKind::Text, 0.6, 1.0, 11.0),
            candidate(RegionKind::Text, 0.9, 0.0, 10.0),
            candidate(RegionKind::Title, 0.5, 0.0, 10.0),
            candidate(RegionKind::Text, 0.5, 20.0, 30.0),
        ]);
        let found: Vec<(RegionKind, f32)> = kept.iter().map(|c| (c.kind, c.score)).collect();
        assert_eq!(
            found,
            [
                (RegionKind::Text, 0.9),
                (RegionKind::Title, 0.5),
                (RegionKind::Text, 0.5)
            ]
        );
    }

    #[test]
    fn a_table_tagged_twice_is_one_table() {
        let region = |kind, confidence, x1| Region {
            kind,
            area: Rect::new(0, 0, x1, 100),
            confidence,
        };
        let kept = without_covered(vec![
            region(RegionKind::Table, 0.9, 100),
            region(RegionKind::Equation, 0.6, 95),
            region(RegionKind::Title, 0.5, 300),
        ]);
        assert_eq!(
            kept.iter().map(|r| r.kind).collect::<Vec<_>>(),
            [RegionKind::Table, RegionKind::Title]
        );
    }

    #[test]
    fn boxes_reach_the_expected_distance_from_their_cell() {
        let mut outputs: Vec<Output> = Vec::new();
        for per_cell in [10, 4 * BINS] {
            for stride in STRIDES {
                let cells = INPUT.0.div_ceil(stride) * INPUT.1.div_ceil(stride);
                outputs.push(Output {
                    shape: vec![1, cells, per_cell],
                    data: vec![0.0; cells * per_cell],
                });
            }
        }
        outputs[3].data[4] = 0.8; // class `table` of the first cell of the coarsest grid
        for side in 0..4 {
            outputs[7].data[side * BINS + 2] = 50.0; // two cells far
        }
        let found = decode(&outputs).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].kind, found[0].x0, found[0].x1),
            (RegionKind::Table, 32.0 - 128.0, 32.0 + 128.0)
        );
        assert!(decode(&outputs[..7]).is_none());
    }
}
