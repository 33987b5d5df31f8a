//! Pillow's bicubic resize, bit for bit.
//!
//! The model was trained on views that Pillow made, and its 8-bit result is a definite one: the kernel (a = -0.5) is
//! widened by the scale where the image shrinks, its weights are rounded to fixed point with 22 fractional bits, and
//! between the passes over rows and columns values are rounded to 8 bits (`Resample.c`, Pillow 13). `fast_image_resize`
//! 6.1 keeps fewer bits of a weight and always takes the rows first: of three pages 0.3 to 19 % of its bytes differ.
//!
//! Whole numbers make the order of additions free, so both passes are laid out for vectors: the horizontal one takes
//! sixteen rows at once, so that 48 neighbouring bytes share a weight; the vertical one takes 64 bytes of a row. `pulp`
//! compiles the loops for AVX2 as well and picks at run time. The result is made in bands of rows, each on its own, which
//! rayon spreads over cores; what lies between the passes stays in a core's cache.

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use std::ops::Range;

/// Fractional bits of a weight: 32 less 8 for the byte and 2 for what the kernel overshoots.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// One half, so that the final shift rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// Bytes of an RGB pixel.
const CHANNELS: usize = 3;
/// Rows that the horizontal pass takes at once.
const ROWS: usize = 16;
/// Bytes of such a column of pixels: six AVX2 registers of sums.
const COLUMN: usize = ROWS * CHANNELS;
/// Bytes that the vertical pass takes at once: eight AVX2 registers of sums, half of those there are.
const RUN: usize = 64;
/// Rows of the result that are made together. Each band needs some source rows of its neighbours, 4 where an image
/// grows; at 64 rows that costs a sixteenth of the horizontal pass, and 2,000 px of width take 0.4 MB between the passes.
const BAND: usize = 64;
/// Reach of the kernel either side, in pixels of the smaller image.
const REACH: f64 = 2.0;

/// An RGB image, 3 bytes a pixel, rows from the top without padding.
#[derive(Clone, Copy)]
pub(crate) struct Rgb<'a> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: &'a [u8],
}

/// An image stretched to another size, any part of which can be drawn.
pub(crate) struct Resized<'a> {
    image: Rgb<'a>,
    columns: Axis,
    rows: Axis,
    columns_first: bool,
}

impl<'a> Resized<'a> {
    /// `image` at `width` x `height` px; none of the four sides is 0.
    pub(crate) fn new(image: Rgb<'a>, width: usize, height: usize) -> Self {
        assert!(
            width > 0 && height > 0 && image.width > 0 && image.height > 0,
            "images have pixels"
        );
        assert_eq!(
            image.pixels.len(),
            image.width * image.height * CHANNELS,
            "pixels fill the image"
        );
        let lost = |from: usize, to: usize| from as i64 - to as i64;
        let rows_lost = lost(image.height, height);
        Self {
            image,
            columns: Axis::new(image.width, width),
            rows: Axis::new(image.height, height),
            // Pillow 13's choice (12.3 and before always took the rows first); it shows, as bytes are rounded between.
            columns_first: rows_lost > 0 && rows_lost > 2 * lost(image.width, width),
        }
    }

    /// Draws the part from `columns.start`, `top` on onto `canvas`, whose rows are `stride` bytes: its first pixel at
    /// byte `left` of the first row, as wide as `columns`, down to the end of the canvas.
    pub(crate) fn draw(
        &self,
        columns: Range<usize>,
        top: usize,
        canvas: &mut [u8],
        stride: usize,
        left: usize,
    ) {
        let arch = Arch::new();
        let bands = canvas.par_chunks_mut(BAND * stride).enumerate();
        bands.for_each_init(Scratch::default, |scratch, (n, canvas)| {
            let start = top + n * BAND;
            let band = Band {
                columns: columns.clone(),
                rows: start..start + canvas.len() / stride,
                canvas: &mut canvas[left..],
                stride,
            };
            match self.columns_first {
                true => self.draw_columns_first(arch, band, scratch),
                false => self.draw_rows_first(arch, band, scratch),
            }
        });
    }

    fn draw_rows_first(&self, arch: Arch, band: Band, scratch: &mut Scratch) {
        let source = self.rows.source(&band.rows);
        let (from, between) = (self.image.width * CHANNELS, band.columns.len() * CHANNELS);
        scratch.between.resize(source.len() * between, 0);
        let blocks = scratch.between.chunks_mut(ROWS * between);
        for (out, pixels) in blocks.zip(self.image.pixels[source.start * from..].chunks(ROWS * from)) {
            arch.dispatch(RowsPass {
                axis: &self.columns,
                columns: band.columns.clone(),
                pixels,
                stride: from,
                first: 0,
                block: &mut scratch.block,
                out,
                out_stride: between,
            });
        }
        for (y, out) in band.rows.zip(band.canvas.chunks_mut(band.stride)) {
            let (first, weights) = self.rows.taps(y);
            arch.dispatch(ColumnsPass {
                weights,
                pixels: &scratch.between[(first - source.start) * between..],
                stride: between,
                out: &mut out[..between],
            });
        }
    }

    fn draw_columns_first(&self, arch: Arch, band: Band, scratch: &mut Scratch) {
        let source = self.columns.source(&band.columns);
        let (from, between) = (self.image.width * CHANNELS, source.len() * CHANNELS);
        scratch.between.resize(band.rows.len() * between, 0);
        for (y, out) in band.rows.zip(scratch.between.chunks_exact_mut(between)) {
            let (first, weights) = self.rows.taps(y);
            arch.dispatch(ColumnsPass {
                weights,
                pixels: &self.image.pixels[first * from + source.start * CHANNELS..],
                stride: from,
                out,
            });
        }
        let blocks = band.canvas.chunks_mut(ROWS * band.stride);
        for (out, pixels) in blocks.zip(scratch.between.chunks(ROWS * between)) {
            arch.dispatch(RowsPass {
                axis: &self.columns,
                columns: band.columns.clone(),
                pixels,
                stride: between,
                first: source.start,
                block: &mut scratch.block,
                out,
                out_stride: band.stride,
            });
        }
    }
}

/// Rows of the result and where they go.
struct Band<'a> {
    columns: Range<usize>,
    rows: Range<usize>,
    /// From the first pixel on; the last row may end early.
    canvas: &'a mut [u8],
    stride: usize,
}

/// What a thread reuses from band to band.
#[derive(Default)]
struct Scratch {
    /// The band after one pass.
    between: Vec<u8>,
    /// For each source column the pixels of all rows of a block there, one after the other.
    block: Vec<[u8; COLUMN]>,
}

/// Where each pixel of a resized side comes from.
struct Axis {
    /// First source pixel and count of source pixels, for each pixel.
    spans: Vec<(usize, usize)>,
    /// Fixed-point weights, `most` for each pixel; those after its count are not used.
    weights: Vec<i32>,
    most: usize,
}

impl Axis {
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let reach = REACH * widening;
        let most = reach.ceil() as usize * 2 + 1;
        let mut axis = Self {
            spans: Vec::with_capacity(to),
            weights: vec![0; to * most],
            most,
        };
        let mut exact = Vec::with_capacity(most);
        for (n, weights) in axis.weights.chunks_exact_mut(most).enumerate() {
            let centre = (n as f64 + 0.5) * scale;
            // A cast to a whole number cuts towards zero and negative ones to zero, as Pillow's does.
            let first = (centre - reach + 0.5) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            exact.clear();
            exact.extend((first..end).map(|x| kernel((x as f64 - centre + 0.5) * (1.0 / widening))));
            let sum: f64 = exact.iter().sum();
            for (weight, exact) in weights.iter_mut().zip(&exact) {
                let share = if sum == 0.0 { *exact } else { exact / sum };
                let scaled = share * f64::from(1 << PRECISION_BITS);
                *weight = if share < 0.0 { scaled - 0.5 } else { scaled + 0.5 } as i32;
            }
            axis.spans.push((first, end - first));
        }
        axis
    }

    /// The source pixels that pixels `range`, not none, come from.
    fn source(&self, range: &Range<usize>) -> Range<usize> {
        let (last, count) = self.spans[range.end - 1];
        self.spans[range.start].0..last + count
    }

    /// First source pixel of pixel `n`, and the weights from there on.
    #[inline(always)]
    fn taps(&self, n: usize) -> (usize, &[i32]) {
        let (first, count) = self.spans[n];
        (first, &self.weights[n * self.most..][..count])
    }
}

/// Cubic convolution with a = -0.5, its terms in Pillow's order.
fn kernel(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < REACH {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// The horizontal pass over up to [`ROWS`] rows.
struct RowsPass<'a> {
    axis: &'a Axis,
    /// Those of the result that are made.
    columns: Range<usize>,
    pixels: &'a [u8],
    /// Bytes of a row of `pixels`.
    stride: usize,
    /// The source column that `pixels` begins with.
    first: usize,
    block: &'a mut Vec<[u8; COLUMN]>,
    out: &'a mut [u8],
    /// Bytes from one row of `out` to the next.
    out_stride: usize,
}

impl NullaryFnOnce for RowsPass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let source = self.axis.source(&self.columns);
        self.block.resize(source.len(), [0; COLUMN]);
        let skipped = (source.start - self.first) * CHANNELS;
        for (n, row) in self.pixels.chunks_exact(self.stride).take(ROWS).enumerate() {
            for (column, pixel) in self
                .block
                .iter_mut()
                .zip(row[skipped..].as_chunks::<CHANNELS>().0)
            {
                column[n * CHANNELS..][..CHANNELS].copy_from_slice(pixel);
            }
        }
        for (n, x) in self.columns.enumerate() {
            let (first, weights) = self.axis.taps(x);
            let bytes = weighted(weights, |tap| &self.block[first - source.start + tap]);
            for (row, pixel) in self
                .out
                .chunks_mut(self.out_stride)
                .zip(bytes.as_chunks::<CHANNELS>().0)
            {
                row[n * CHANNELS..][..CHANNELS].copy_from_slice(pixel);
            }
        }
    }
}

/// The vertical pass over one row of the result.
struct ColumnsPass<'a> {
    weights: &'a [i32],
    /// The source from the first row on that has a weight.
    pixels: &'a [u8],
    /// Bytes from one row of `pixels` to the next.
    stride: usize,
    out: &'a mut [u8],
}

impl NullaryFnOnce for ColumnsPass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (runs, rest) = self.out.as_chunks_mut::<RUN>();
        let tail = runs.len() * RUN;
        for (n, out) in runs.iter_mut().enumerate() {
            let run = |tap: usize| self.pixels[tap * self.stride + n * RUN..].first_chunk();
            *out = weighted(self.weights, |tap| run(tap).expect("a run lies inside its row"));
        }
        for (x, out) in rest.iter_mut().enumerate() {
            let byte = |tap: usize| self.pixels[tap * self.stride + tail + x..].first_chunk();
            [*out] = weighted(self.weights, |tap| byte(tap).expect("a byte lies inside its row"));
        }
    }
}

/// The weighted sums of `N` bytes side by side, as bytes; `bytes` gives those that a weight counts for.
///
/// The loop over the bytes is the inner one, so that it becomes vectors, and it takes four weights at once, so that the
/// sums are seldom loaded and stored.
#[inline(always)]
fn weighted<'a, const N: usize>(weights: &[i32], bytes: impl Fn(usize) -> &'a [u8; N]) -> [u8; N] {
    let mut sums = [HALF; N];
    let (fours, rest) = weights.as_chunks::<4>();
    for (n, four) in fours.iter().enumerate() {
        add(&mut sums, four, [0, 1, 2, 3].map(|tap| bytes(4 * n + tap)));
    }
    let (twos, rest) = rest.as_chunks::<2>();
    for two in twos {
        add(&mut sums, two, [0, 1].map(|tap| bytes(4 * fours.len() + tap)));
    }
    for one in rest.as_chunks::<1>().0 {
        add(&mut sums, one, [bytes(weights.len() - 1)]);
    }
    // `sums.map` would be a call that the caller's vector instructions do not reach into.
    let mut bytes = [0; N];
    for (byte, sum) in bytes.iter_mut().zip(sums) {
        *byte = (sum >> PRECISION_BITS).clamp(0, 255) as u8;
    }
    bytes
}

#[inline(always)]
fn add<const N: usize, const T: usize>(sums: &mut [i32; N], weights: &[i32; T], bytes: [&[u8; N]; T]) {
    for n in 0..N {
        for tap in 0..T {
            sums[n] += weights[tap] * i32::from(bytes[tap][n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resize(image: Rgb, width: usize, height: usize) -> Vec<u8> {
        let mut canvas = vec![0; width * height * CHANNELS];
        Resized::new(image, width, height).draw(0..width, 0, &mut canvas, width * CHANNELS, 0);
        canvas
    }

    fn noise(width: usize, height: usize) -> Vec<u8> {
        (0..width * height * CHANNELS)
            .map(|i| ((i * i) >> 5) as u8)
            .collect()
    }

    #[test]
    fn a_flat_image_stays_flat() {
        let pixels = [7, 130, 255].repeat(13 * 21);
        let image = Rgb {
            width: 13,
            height: 21,
            pixels: &pixels,
        };
        for (width, height) in [(1, 1), (5, 50), (200, 3), (13, 40), (40, 21)] {
            assert_eq!(resize(image, width, height), [7, 130, 255].repeat(width * height));
        }
    }

    #[test]
    fn its_own_size_is_a_copy() {
        let pixels = noise(50, 100);
        let image = Rgb {
            width: 50,
            height: 100,
            pixels: &pixels,
        };
        assert_eq!(resize(image, 50, 100), pixels);
    }

    #[test]
    fn parts_are_parts_of_the_whole_in_both_orders() {
        for (width, height) in [(70, 130), (90, 300)] {
            let pixels = noise(width, height);
            let image = Rgb {
                width,
                height,
                pixels: &pixels,
            };
            let (to, whole) = (80, resize(image, 80, 140));
            let resized = Resized::new(image, to, 140);
            assert_eq!(resized.columns_first, height == 300);
            let (columns, top, stride, left) = (23..61, 45, 200, 30);
            let mut canvas = vec![9; stride * 90];
            resized.draw(columns.clone(), top, &mut canvas, stride, left);
            for (n, row) in canvas.chunks(stride).enumerate() {
                let part =
                    &whole[(top + n) * to * CHANNELS..][columns.start * CHANNELS..columns.end * CHANNELS];
                assert_eq!(row[left..][..part.len()], *part, "row {n}");
                assert!(
                    row[..left]
                        .iter()
                        .chain(&row[left + part.len()..])
                        .all(|&byte| byte == 9),
                    "row {n}"
                );
            }
        }
    }

    #[test]
    fn weights_add_up_to_one() {
        for (from, to) in [(1, 640), (97, 1024), (5003, 640), (640, 641), (3, 2)] {
            let axis = Axis::new(from, to);
            for n in 0..to {
                let (first, weights) = axis.taps(n);
                assert!(first + weights.len() <= from && weights.len() <= axis.most);
                let sum: i32 = weights.iter().sum();
                // Each weight is rounded by at most one half.
                assert!((sum - (1 << PRECISION_BITS)).unsigned_abs() as usize <= weights.len() / 2 + 1);
            }
        }
    }
}
