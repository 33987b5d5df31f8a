//! From page pixels to a network's input: bilinear resize, normalise, planes in the order blue, green, red.

use ocr_document::{PageImage, PixelFormat, Rect};

/// Mean and standard deviation a plane is normalised with, in the order of the planes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normal {
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// The constants of ImageNet, which the detector, the layout and the table network were trained with.
pub(crate) const IMAGENET: Normal = Normal {
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};
/// The recogniser's.
pub(crate) const HALF: Normal = Normal {
    mean: [0.5; 3],
    std: [0.5; 3],
};

/// Averages this many source samples at most on each axis for one target pixel: enough for a 16-fold reduction.
const MOST_SAMPLES: usize = 16;

/// The part `area` of `image` at `width` x `height`, in the top left of a zeroed canvas of `canvas` (width, height).
/// Answers a CHW tensor of `3 * canvas.0 * canvas.1` values.
pub(crate) fn resize(
    image: &PageImage,
    area: Rect,
    (width, height): (usize, usize),
    canvas: (usize, usize),
    normal: Normal,
) -> Vec<f32> {
    let area = area.intersect(&image.bounds());
    let plane = canvas.0 * canvas.1;
    let mut out = vec![0.0; plane * 3];
    if area.is_empty() {
        return out;
    }
    let columns = taps(area.x0, area.width(), width);
    let rows = taps(area.y0, area.height(), height);
    let table = normal_table(normal);
    let bytes = image.format().bytes();
    let mut mixed = vec![0u32; area.width() as usize * bytes];
    for (y, row) in rows.iter().enumerate() {
        mix_rows(image, area, row, &mut mixed);
        for (x, column) in columns.iter().enumerate() {
            let at = y * canvas.0 + x;
            for channel in 0..3 {
                // Source channels are red, green, blue; the planes run the other way.
                let from = if image.format() == PixelFormat::Gray8 {
                    0
                } else {
                    2 - channel
                };
                let mut sum = 0u64;
                for &(sx, weight) in column {
                    sum += u64::from(mixed[(sx - area.x0) as usize * bytes + from]) * u64::from(weight);
                }
                out[channel * plane + at] =
                    table[channel][(((sum >> 12) + (1 << 11)) >> 12).min(255) as usize];
            }
        }
    }
    out
}

/// The weighted sum of the rows of one tap list, 12 fractional bits.
fn mix_rows(image: &PageImage, area: Rect, row: &[(u32, u32)], mixed: &mut [u32]) {
    let bytes = image.format().bytes();
    let span = area.x0 as usize * bytes..area.x1 as usize * bytes;
    mixed.fill(0);
    for &(sy, weight) in row {
        for (to, &from) in mixed.iter_mut().zip(&image.row(sy)[span.clone()]) {
            *to += u32::from(from) * weight;
        }
    }
}

/// For each of `to` target pixels, the source pixels from `start` and their weights, which sum to 4096. Enlarging
/// is plain bilinear with pixel centres aligned; reducing averages several bilinear samples, against aliasing.
fn taps(start: u32, from: u32, to: usize) -> Vec<Vec<(u32, u32)>> {
    let scale = from as f32 / to as f32;
    let samples = (scale.round() as usize).clamp(1, MOST_SAMPLES);
    (0..to)
        .map(|i| {
            let mut list: Vec<(u32, f32)> = Vec::with_capacity(samples + 1);
            let mut add = |at: u32, weight: f32| match list.iter_mut().find(|(x, _)| *x == start + at) {
                Some((_, sum)) => *sum += weight,
                None => list.push((start + at, weight)),
            };
            for s in 0..samples {
                let centre = (i as f32 + (s as f32 + 0.5) / samples as f32) * scale - 0.5;
                let centre = centre.clamp(0.0, (from - 1) as f32);
                let (low, part) = (centre as u32, centre.fract());
                add(low, 1.0 - part);
                if part > 0.0 {
                    add((low + 1).min(from - 1), part);
                }
            }
            whole(&list, samples as f32)
        })
        .collect()
}

/// Weights as 12-bit integers that sum to exactly 4096.
fn whole(list: &[(u32, f32)], total: f32) -> Vec<(u32, u32)> {
    let mut left = 4096;
    let mut out: Vec<(u32, u32)> = Vec::with_capacity(list.len());
    for (n, &(at, weight)) in list.iter().enumerate() {
        let share = if n + 1 == list.len() {
            left
        } else {
            ((weight / total * 4096.0).round() as u32).min(left)
        };
        left -= share;
        out.push((at, share));
    }
    out
}

/// The 256 normalised values of each plane.
pub(crate) fn normal_table(normal: Normal) -> [[f32; 256]; 3] {
    std::array::from_fn(|c| std::array::from_fn(|v| (v as f32 / 255.0 - normal.mean[c]) / normal.std[c]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: Normal = Normal {
        mean: [0.0; 3],
        std: [1.0 / 255.0; 3],
    };

    fn gray(width: u32, height: u32, pixels: &[u8]) -> PageImage {
        PageImage::new(width, height, PixelFormat::Gray8, pixels.to_vec()).unwrap()
    }

    #[test]
    fn same_size_changes_nothing_but_the_order_of_planes() {
        let image = PageImage::new(2, 1, PixelFormat::Rgb8, vec![10, 20, 30, 40, 50, 60]).unwrap();
        let out = resize(&image, image.bounds(), (2, 1), (2, 1), RAW);
        let out: Vec<i32> = out.iter().map(|v| v.round() as i32).collect();
        assert_eq!(out, [30, 60, 20, 50, 10, 40]);
    }

    #[test]
    fn halving_averages() {
        let image = gray(4, 2, &[0, 100, 10, 30, 0, 100, 30, 50]);
        let out = resize(&image, image.bounds(), (2, 1), (2, 1), RAW);
        assert!(
            (out[0] - 50.0).abs() <= 1.0 && (out[1] - 30.0).abs() <= 1.0,
            "{out:?}"
        );
    }

    #[test]
    fn the_canvas_outside_the_picture_stays_zero() {
        let image = gray(1, 1, &[200]);
        let out = resize(&image, image.bounds(), (1, 2), (2, 3), RAW);
        assert_eq!(
            out[..6].iter().map(|v| v.round() as i32).collect::<Vec<_>>(),
            [200, 0, 200, 0, 0, 0]
        );
    }

    #[test]
    fn tap_weights_sum_to_one() {
        for (from, to) in [(1, 7), (7, 1), (1000, 33), (20_000, 32), (33, 1000)] {
            for list in taps(0, from, to) {
                assert_eq!(list.iter().map(|t| t.1).sum::<u32>(), 4096, "{from} to {to}");
                assert!(list.iter().all(|t| t.0 < from));
            }
        }
    }
}
