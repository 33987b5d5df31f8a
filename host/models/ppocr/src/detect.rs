//! Where the lines of text are: a probability map from the detector, and one quad a region of it.
//!
//! Method and constants are PP-OCR's differentiable binarisation (<https://arxiv.org/abs/1911.08947>): the map marks
//! shrunken lines, so each region's smallest rectangle is grown again by `area * ratio / perimeter`.

use crate::EngineError;
use crate::components::{TiltedRect, regions, smallest_rectangle};
use crate::net::Net;
use crate::resize::{IMAGENET, resize};
use ocr_document::{PageImage, Point, Quad};
use rten::ThreadPool;
use std::sync::Arc;

/// The page's longest side as the network sees it, px: 960 loses small print, 1600 gains nothing (measured).
const LONGEST_SIDE_PX: f32 = 1280.0;
/// The network halves its input five times.
const STRIDE: f32 = 32.0;
/// Text is where the map is above this.
const PIXEL_THRESHOLD: f32 = 0.3;
/// A region counts when the map's mean inside its rectangle is above this.
const BOX_THRESHOLD: f32 = 0.45;
/// How far rectangles are grown, times area over perimeter.
const UNCLIP_RATIO: f32 = 1.6;
/// Smallest short side of a region before and after growing, map px.
const SHORTEST_SIDE_PX: (f32, f32) = (3.0, 5.0);
/// Regions looked at; a page of noise has more, a page of text never.
const MOST_REGIONS: usize = 3000;
/// A box this much taller than wide holds a line turned by a quarter.
pub(crate) const TALL: f32 = 1.5;

/// The quads of all lines, in raster px, clockwise from the text's presumed top left: boxes much taller than wide
/// are presumed to be read downwards.
pub(crate) fn detect(net: &Net, image: &PageImage, pool: &Arc<ThreadPool>) -> Result<Vec<Quad>, EngineError> {
    let (width, height) = (image.width() as f32, image.height() as f32);
    let scale = (LONGEST_SIDE_PX / width.max(height)).min(1.0);
    let side = |px: f32| ((px * scale / STRIDE).round() * STRIDE).max(STRIDE) as usize;
    let (w, h) = (side(width), side(height));
    let input = resize(image, image.bounds(), (w, h), (w, h), IMAGENET);
    let map = net.run([1, 3, h, w], input, pool)?.swap_remove(0);
    if map.data.len() != w * h {
        return Err(EngineError::Run {
            name: "det.onnx".into(),
            reason: format!("its map is {:?}", map.shape),
        });
    }
    let found = boxes(&map.data, w, h);
    let (sx, sy) = (width / w as f32, height / h as f32);
    Ok(found
        .iter()
        .filter_map(|r| to_page(r, (sx, sy), (width, height)))
        .collect())
}

/// Where text is, every pixel of it grown by one to the right and down, which keeps letters of a line together: word
/// F1 on 40 receipts is 0.914 with it and 0.908 without.
fn mask(map: &[f32], width: usize) -> Vec<bool> {
    let mut mask = vec![false; map.len()];
    for (y, row) in map.chunks_exact(width).enumerate() {
        for x in (0..width).filter(|&x| row[x] > PIXEL_THRESHOLD) {
            for at in [y * width + x, (y + 1) * width + x] {
                let last = (x + 1 < width) as usize;
                if let Some(square) = mask.get_mut(at..=at + last) {
                    square.fill(true);
                }
            }
        }
    }
    mask
}

/// Rectangles of the lines in a probability map.
fn boxes(map: &[f32], width: usize, height: usize) -> Vec<TiltedRect> {
    let found = regions(&mask(map, width), width);
    found
        .into_iter()
        .take(MOST_REGIONS)
        .filter_map(|mut points| {
            let rect = smallest_rectangle(&mut points)?;
            if rect.width.min(rect.height) < SHORTEST_SIDE_PX.0 {
                return None;
            }
            if mean_inside(map, width, height, &rect) < BOX_THRESHOLD {
                return None;
            }
            let grow = rect.width * rect.height * UNCLIP_RATIO / (2.0 * (rect.width + rect.height));
            Some(rect.grown(grow)).filter(|r| r.width.min(r.height) >= SHORTEST_SIDE_PX.1)
        })
        .collect()
}

/// The map's mean over the pixels inside a rectangle.
fn mean_inside(map: &[f32], width: usize, height: usize, rect: &TiltedRect) -> f32 {
    let corners = rect.corners();
    let fold = |f: fn(f32, f32) -> f32, pick: fn(&(f32, f32)) -> f32| {
        corners.iter().map(pick).reduce(f).unwrap_or(0.0)
    };
    let clip = |v: f32, most: usize| (v.max(0.0) as usize).min(most - 1);
    let (x0, x1) = (
        clip(fold(f32::min, |c| c.0).floor(), width),
        clip(fold(f32::max, |c| c.0).ceil(), width),
    );
    let (y0, y1) = (
        clip(fold(f32::min, |c| c.1).floor(), height),
        clip(fold(f32::max, |c| c.1).ceil(), height),
    );
    let (half_width, half_height) = (rect.width / 2.0 + 0.5, rect.height / 2.0 + 0.5);
    let (mut sum, mut count) = (0.0, 0u32);
    for y in y0..=y1 {
        for x in x0..=x1 {
            let (dx, dy) = (x as f32 - rect.cx, y as f32 - rect.cy);
            let (u, v) = (
                dx * rect.along.0 + dy * rect.along.1,
                dy * rect.along.0 - dx * rect.along.1,
            );
            if u.abs() <= half_width && v.abs() <= half_height {
                sum += map[y * width + x];
                count += 1;
            }
        }
    }
    sum / count.max(1) as f32
}

/// A map rectangle as a quad of the page, clipped; `None` when it is too small to hold text.
fn to_page(rect: &TiltedRect, (sx, sy): (f32, f32), (width, height): (f32, f32)) -> Option<Quad> {
    let mut corners = rect.corners().map(|(x, y)| Point {
        x: (x * sx).round().clamp(0.0, width - 1.0),
        y: (y * sy).round().clamp(0.0, height - 1.0),
    });
    corners.sort_by(|a, b| a.x.total_cmp(&b.x));
    let by_height = |p: Point, q: Point| if p.y <= q.y { (p, q) } else { (q, p) };
    let (top_left, bottom_left) = by_height(corners[0], corners[1]);
    let (top_right, bottom_right) = by_height(corners[2], corners[3]);
    let quad = Quad {
        a: top_left,
        b: top_right,
        c: bottom_right,
        d: bottom_left,
    };
    let (long, short) = (length(&quad), thickness(&quad));
    if long <= 3.0 || short <= 3.0 {
        return None;
    }
    Some(if short >= TALL * long {
        turned(&quad, 1)
    } else {
        quad
    })
}

/// Length of the text's baseline, px.
pub(crate) fn length(q: &Quad) -> f32 {
    distance(q.a, q.b).max(distance(q.d, q.c))
}

/// Height of the text, px.
pub(crate) fn thickness(q: &Quad) -> f32 {
    distance(q.a, q.d).max(distance(q.b, q.c))
}

fn distance(p: Point, q: Point) -> f32 {
    (p.x - q.x).hypot(p.y - q.y)
}

/// The same area with the text's top left `quarters` corners further clockwise.
pub(crate) fn turned(q: &Quad, quarters: usize) -> Quad {
    let mut corners = q.corners();
    corners.rotate_left(quarters % 4);
    let [a, b, c, d] = corners;
    Quad { a, b, c, d }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map with one bar of probability 0.9.
    fn bar(width: usize, height: usize, (x0, y0): (usize, usize), (x1, y1): (usize, usize)) -> Vec<f32> {
        let inside = |x, y| (x0..x1).contains(&x) && (y0..y1).contains(&y);
        (0..width * height)
            .map(|i| if inside(i % width, i / width) { 0.9 } else { 0.05 })
            .collect()
    }

    #[test]
    fn a_bar_is_grown_by_area_over_perimeter() {
        let found = boxes(&bar(100, 50, (20, 20), (81, 29)), 100, 50);
        let [r] = found[..] else { panic!("{found:?}") };
        let (width, height) = (61.0, 9.0); // with the mask's extra pixel
        let grow = width * height * UNCLIP_RATIO / (2.0 * (width + height));
        let (long, short) = (r.width.max(r.height), r.width.min(r.height));
        assert!(
            (long - width - 2.0 * grow).abs() < 0.1 && (short - height - 2.0 * grow).abs() < 0.1,
            "{r:?}"
        );
    }

    #[test]
    fn specks_and_faint_regions_are_dropped() {
        assert!(boxes(&bar(100, 50, (20, 20), (22, 22)), 100, 50).is_empty());
        let faint: Vec<f32> = bar(100, 50, (20, 20), (81, 29)).iter().map(|p| p * 0.4).collect();
        assert!(boxes(&faint, 100, 50).is_empty());
    }

    #[test]
    fn the_mask_grows_right_and_down_inside_the_map() {
        let grown = mask(&[0.9, 0.0, 0.0, 0.0, 0.0, 0.9], 3);
        assert_eq!(grown, [true, true, false, true, true, true]);
    }

    #[test]
    fn corners_run_clockwise_from_the_top_left() {
        let flat = TiltedRect {
            cx: 50.0,
            cy: 20.0,
            along: (0.0, 1.0),
            width: 10.0,
            height: 60.0,
        };
        let q = to_page(&flat, (1.0, 1.0), (100.0, 50.0)).unwrap();
        assert_eq!((q.a.x, q.a.y, q.c.x, q.c.y), (20.0, 15.0, 80.0, 25.0));
    }

    #[test]
    fn tall_boxes_are_presumed_to_read_downwards() {
        let tall = TiltedRect {
            cx: 20.0,
            cy: 50.0,
            along: (1.0, 0.0),
            width: 10.0,
            height: 60.0,
        };
        let q = to_page(&tall, (1.0, 1.0), (50.0, 100.0)).unwrap();
        assert_eq!(
            (q.a.x, q.a.y),
            (25.0, 20.0),
            "the text's top left is the box's top right"
        );
        assert!(length(&q) > thickness(&q));
    }
}
