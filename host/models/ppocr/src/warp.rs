//! Cuts a tilted line out of a page, straight into the recogniser's 48-pixel tensor: only what is needed is read,
//! and a large heading is averaged down instead of aliased.

use crate::detect::{length, thickness};
use crate::resize::{HALF, normal_table};
use ocr_document::{PageImage, PixelFormat, Quad};

/// Height the recognisers were trained at, px.
pub(crate) const LINE_HEIGHT_PX: usize = 48;
/// Widest tensor; longer lines are squeezed.
const WIDEST_PX: usize = 3200;
/// Narrowest tensor: two steps of the network.
const NARROWEST_PX: usize = 16;
/// Averages this many samples at most on each axis for one target pixel.
const MOST_SAMPLES: usize = 8;

/// The text inside `quad`, upright, as a CHW tensor `3 x 48 x width`, and its width.
pub(crate) fn line_tensor(image: &PageImage, quad: &Quad) -> (Vec<f32>, usize) {
    let (long, high) = (length(quad).max(1.0), thickness(quad).max(1.0));
    let width = ((LINE_HEIGHT_PX as f32 * long / high).ceil() as usize).clamp(NARROWEST_PX, WIDEST_PX);
    let samples_y = samples(high / LINE_HEIGHT_PX as f32);
    let samples_x = samples(long / width as f32);
    let share = 1.0 / (samples_x * samples_y) as f32;
    let table = normal_table(HALF);
    let (offset, scale) = (table[0][0], table[0][255] - table[0][0]);
    let plane = width * LINE_HEIGHT_PX;
    let mut out = vec![0.0; plane * 3];
    let gray = image.format() == PixelFormat::Gray8;
    for y in 0..LINE_HEIGHT_PX {
        for x in 0..width {
            let mut sum = [0.0f32; 3];
            for sy in 0..samples_y {
                let v = (y as f32 + (sy as f32 + 0.5) / samples_y as f32) / LINE_HEIGHT_PX as f32;
                for sx in 0..samples_x {
                    let u = (x as f32 + (sx as f32 + 0.5) / samples_x as f32) / width as f32;
                    add_sample(image, gray, place(quad, u, v), &mut sum);
                }
            }
            let at = y * width + x;
            for channel in 0..3 {
                // Source channels are red, green, blue; the planes run the other way.
                let value = if gray { sum[0] } else { sum[2 - channel] };
                out[channel * plane + at] = offset + value * share / 255.0 * scale;
            }
        }
    }
    (out, width)
}

fn samples(scale: f32) -> usize {
    (scale.round() as usize).clamp(1, MOST_SAMPLES)
}

/// The page position at fraction `u` along and `v` down the text.
pub(crate) fn place(quad: &Quad, u: f32, v: f32) -> (f32, f32) {
    // In this form equal corners give exactly their value.
    let between = |from: f32, to: f32, share: f32| from + (to - from) * share;
    let mix = |a: f32, b: f32, c: f32, d: f32| between(between(a, b, u), between(d, c, u), v);
    (
        mix(quad.a.x, quad.b.x, quad.c.x, quad.d.x),
        mix(quad.a.y, quad.b.y, quad.c.y, quad.d.y),
    )
}

/// Adds the page's colour at a position (pixel centres at .5), bilinear, the border repeated.
fn add_sample(image: &PageImage, gray: bool, (x, y): (f32, f32), sum: &mut [f32; 3]) {
    let x = (x - 0.5).clamp(0.0, (image.width() - 1) as f32);
    let y = (y - 0.5).clamp(0.0, (image.height() - 1) as f32);
    let (x0, y0, fx, fy) = (x as usize, y as usize, x.fract(), y.fract());
    let x1 = (x0 + 1).min(image.width() as usize - 1);
    let y1 = (y0 + 1).min(image.height() as usize - 1);
    let (upper, lower) = (image.row(y0 as u32), image.row(y1 as u32));
    let (bytes, channels) = if gray { (1, 1) } else { (3, 3) };
    for (c, to) in sum.iter_mut().enumerate().take(channels) {
        let at = |row: &[u8], x: usize| f32::from(row[x * bytes + c]);
        let top = at(upper, x0) + (at(upper, x1) - at(upper, x0)) * fx;
        let bottom = at(lower, x0) + (at(lower, x1) - at(lower, x0)) * fx;
        *to += top + (bottom - top) * fy;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::turned;
    use ocr_document::{Point, Rect};

    /// 96 x 48 px: black on the left half, white on the right.
    fn halves() -> PageImage {
        let pixels = (0..96 * 48).map(|i| if i % 96 < 48 { 0 } else { 255 }).collect();
        PageImage::new(96, 48, PixelFormat::Gray8, pixels).unwrap()
    }

    #[test]
    fn an_upright_line_keeps_its_sides_and_a_turned_one_swaps_them() {
        let quad = Quad::from_rect(Rect::new(0, 0, 96, 48));
        let (tensor, width) = line_tensor(&halves(), &quad);
        assert_eq!(width, 96);
        assert!(tensor[10] < -0.99 && tensor[80] > 0.99);
        let (tensor, _) = line_tensor(&halves(), &turned(&quad, 2));
        assert!(tensor[10] > 0.99 && tensor[80] < -0.99);
    }

    #[test]
    fn colours_become_planes_in_reverse() {
        let red = PageImage::new(1, 1, PixelFormat::Rgb8, vec![255, 0, 0]).unwrap();
        let (tensor, width) = line_tensor(&red, &Quad::from_rect(Rect::new(0, 0, 1, 1)));
        let plane = width * LINE_HEIGHT_PX;
        assert!(tensor[0] < -0.99 && tensor[plane] < -0.99 && tensor[2 * plane] > 0.99);
    }

    #[test]
    fn wild_quads_are_bounded() {
        let p = |x, y| Point { x, y };
        let long = Quad {
            a: p(0.0, 0.0),
            b: p(1e6, 0.0),
            c: p(1e6, 1.0),
            d: p(0.0, 1.0),
        };
        assert_eq!(line_tensor(&halves(), &long).1, WIDEST_PX);
        let flat = Quad {
            a: p(5.0, 5.0),
            b: p(5.0, 5.0),
            c: p(5.0, 5.0),
            d: p(5.0, 5.0),
        };
        assert!(line_tensor(&halves(), &flat).1 >= NARROWEST_PX);
    }
}
