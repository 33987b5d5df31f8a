//! Depthwise convolution, channels innermost: each channel has its own kernel, and a vector of channels shares one
//! multiply-add.
//!
//! Inside a row, eight neighbouring outputs are summed at once, so that a weight is loaded once for eight products.
//! Outputs whose kernel reaches over an edge are summed one by one.

use super::pointwise::{Activation, activate};
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

/// Outputs summed at once.
const TILE: usize = 8;

/// Where a kernel looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// Kernel height and width.
    pub kernel: (usize, usize),
    /// Steps down and right.
    pub stride: (usize, usize),
    /// Zeros above and to the left.
    pub before: (usize, usize),
    /// Zeros below and to the right.
    pub after: (usize, usize),
}

impl Window {
    /// One pixel after the other.
    pub const PLAIN: Self = Self {
        kernel: (1, 1),
        stride: (1, 1),
        before: (0, 0),
        after: (0, 0),
    };

    /// Whether each output sees its own pixel alone.
    pub fn is_plain(&self) -> bool {
        *self == Self::PLAIN
    }

    /// The kernel's rows that lie inside an input of `height` for output row `row`.
    pub fn rows_inside(&self, row: usize, height: usize) -> std::ops::Range<usize> {
        let top = row * self.stride.0;
        let first = self.before.0.saturating_sub(top);
        first
            ..self
                .kernel
                .0
                .min((height + self.before.0).saturating_sub(top))
                .max(first)
    }

    /// The outputs, of `columns`, whose kernel lies inside a row of `width`.
    pub fn columns_inside(&self, width: usize, columns: usize) -> std::ops::Range<usize> {
        let first = self.before.1.div_ceil(self.stride.1).min(columns);
        let fit = (width + self.before.1)
            .checked_sub(self.kernel.1)
            .map_or(0, |most| most / self.stride.1 + 1);
        first..fit.clamp(first, columns)
    }

    /// Height and width of the result.
    pub fn output(&self, (height, width): (usize, usize)) -> (usize, usize) {
        let of = |size: usize, kernel: usize, stride: usize, pads: usize| {
            (size + pads).saturating_sub(kernel) / stride + 1
        };
        (
            of(height, self.kernel.0, self.stride.0, self.before.0 + self.after.0),
            of(width, self.kernel.1, self.stride.1, self.before.1 + self.after.1),
        )
    }
}

/// A depthwise convolution's weights.
#[derive(Debug, Clone)]
pub(super) struct Depthwise {
    pub window: Window,
    pub channels: usize,
    /// `[kernel rows][kernel columns][channels]`.
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Depthwise {
    /// Computes output rows from `first_row` on into `out`, which holds whole rows.
    pub fn rows(
        &self,
        input: &[f32],
        size: (usize, usize),
        first_row: usize,
        activation: Activation,
        out: &mut [f32],
    ) {
        let width = self.window.output(size).1;
        for (n, out) in out.chunks_exact_mut(width * self.channels).enumerate() {
            Row {
                of: self,
                input,
                size,
                row: first_row + n,
                out,
            }
            .dispatch();
            activate(activation, out);
        }
    }
}

/// One output row.
struct Row<'a> {
    of: &'a Depthwise,
    input: &'a [f32],
    size: (usize, usize),
    row: usize,
    out: &'a mut [f32],
}

impl SimdOp for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let (height, width) = self.size;
        let channels = self.of.channels;
        let columns = self.out.len() / channels;
        let lanes = isa.f32().len();
        let top = self.row * self.of.window.stride.0;
        let kernel_rows = self.of.window.rows_inside(self.row, height);
        let inside = self.of.window.columns_inside(width, columns);
        let (first, last) = (inside.start, inside.end);
        let mut channel = 0;
        while channel + lanes <= channels {
            let sums = Sums {
                of: self.of,
                input: self.input,
                width,
                channels,
                channel,
                top,
                kernel_rows: kernel_rows.clone(),
            };
            for column in (0..first).chain(last..columns) {
                let value = sums.edge(isa, column);
                isa.f32()
                    .store(value, &mut self.out[column * channels + channel..]);
            }
            let mut column = first;
            while column + TILE <= last {
                let values = sums.inside::<I, TILE>(isa, column);
                for (n, value) in values.into_iter().enumerate() {
                    isa.f32()
                        .store(value, &mut self.out[(column + n) * channels + channel..]);
                }
                column += TILE;
            }
            while column < last {
                let [value] = sums.inside::<I, 1>(isa, column);
                isa.f32()
                    .store(value, &mut self.out[column * channels + channel..]);
                column += 1;
            }
            channel += lanes;
        }
        for channel in channel..channels {
            let sums = Sums {
                of: self.of,
                input: self.input,
                width,
                channels,
                channel,
                top,
                kernel_rows: kernel_rows.clone(),
            };
            for column in 0..columns {
                self.out[column * channels + channel] = sums.single(column);
            }
        }
    }
}

/// The sums of one vector of channels along an output row.
struct Sums<'a> {
    of: &'a Depthwise,
    input: &'a [f32],
    width: usize,
    channels: usize,
    channel: usize,
    top: usize,
    kernel_rows: std::ops::Range<usize>,
}

impl Sums<'_> {
    /// `N` outputs from `column` on whose kernels lie inside the row.
    #[inline(always)]
    fn inside<I: Isa, const N: usize>(&self, isa: I, column: usize) -> [I::F32; N] {
        let ops = isa.f32();
        let Window {
            kernel,
            stride,
            before,
            ..
        } = self.of.window;
        let mut sums = [ops.load(&self.of.bias[self.channel..]); N];
        let left = column * stride.1 - before.1;
        let step = stride.1 * self.channels;
        for ky in self.kernel_rows.clone() {
            let y = self.top + ky - before.0;
            let row = &self.input[(y * self.width + left) * self.channels + self.channel..];
            let weights = &self.of.weights[ky * kernel.1 * self.channels + self.channel..];
            for kx in 0..kernel.1 {
                let weight = ops.load(&weights[kx * self.channels..]);
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum = ops.mul_add(ops.load(&row[kx * self.channels + n * step..]), weight, *sum);
                }
            }
        }
        sums
    }

    /// The kernel columns that lie inside the row for an output, and the input column of the first.
    #[inline(always)]
    fn columns(&self, column: usize) -> (std::ops::Range<usize>, usize) {
        let Window {
            kernel,
            stride,
            before,
            ..
        } = self.of.window;
        let left = column * stride.1;
        let first = before.1.saturating_sub(left);
        (
            first
                ..kernel
                    .1
                    .min((self.width + before.1).saturating_sub(left))
                    .max(first),
            (left + first).saturating_sub(before.1),
        )
    }

    /// One output whose kernel reaches over an edge.
    #[inline(always)]
    fn edge<I: Isa>(&self, isa: I, column: usize) -> I::F32 {
        let ops = isa.f32();
        let (kernel, before) = (self.of.window.kernel, self.of.window.before);
        let mut sum = ops.load(&self.of.bias[self.channel..]);
        let (columns, left) = self.columns(column);
        for ky in self.kernel_rows.clone() {
            let y = self.top + ky - before.0;
            for (n, kx) in columns.clone().enumerate() {
                let value =
                    ops.load(&self.input[(y * self.width + left + n) * self.channels + self.channel..]);
                let weight =
                    ops.load(&self.of.weights[(ky * kernel.1 + kx) * self.channels + self.channel..]);
                sum = ops.mul_add(value, weight, sum);
            }
        }
        sum
    }

    /// One output of one channel.
    fn single(&self, column: usize) -> f32 {
        let (kernel, before) = (self.of.window.kernel, self.of.window.before);
        let mut sum = self.of.bias[self.channel];
        let (columns, left) = self.columns(column);
        for ky in self.kernel_rows.clone() {
            let y = self.top + ky - before.0;
            for (n, kx) in columns.clone().enumerate() {
                sum += self.input[(y * self.width + left + n) * self.channels + self.channel]
                    * self.of.weights[(ky * kernel.1 + kx) * self.channels + self.channel];
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula, one sum at a time.
    fn plain(of: &Depthwise, input: &[f32], (height, width): (usize, usize)) -> Vec<f32> {
        let Window {
            kernel,
            stride,
            before,
            ..
        } = of.window;
        let (rows, columns) = of.window.output((height, width));
        let mut out = Vec::new();
        for (y, x, c) in (0..rows * columns * of.channels).map(|n| {
            (
                n / of.channels / columns,
                n / of.channels % columns,
                n % of.channels,
            )
        }) {
            let mut sum = of.bias[c];
            for (ky, kx) in (0..kernel.0 * kernel.1).map(|n| (n / kernel.1, n % kernel.1)) {
                let (iy, ix) = (
                    (y * stride.0 + ky) as isize - before.0 as isize,
                    (x * stride.1 + kx) as isize - before.1 as isize,
                );
                if (0..height as isize).contains(&iy) && (0..width as isize).contains(&ix) {
                    sum += input[(iy as usize * width + ix as usize) * of.channels + c]
                        * of.weights[(ky * kernel.1 + kx) * of.channels + c];
                }
            }
            out.push(sum);
        }
        out
    }

    #[test]
    fn rows_agree_with_the_formula() {
        for (size, kernel, stride, pad, channels) in [
            ((9, 30), (3, 3), (1, 1), (1, 1), 16),
            ((9, 31), (5, 5), (2, 2), (2, 2), 19),
            ((3, 40), (3, 3), (2, 1), (1, 1), 8),
            ((1, 3), (1, 5), (1, 1), (0, 2), 33),
            ((2, 2), (7, 7), (1, 1), (3, 3), 8),
        ] {
            let window = Window {
                kernel,
                stride,
                before: pad,
                after: pad,
            };
            let of = Depthwise {
                window,
                channels,
                weights: (0..kernel.0 * kernel.1 * channels)
                    .map(|n| (n * 5 % 7) as f32 - 3.0)
                    .collect(),
                bias: (0..channels).map(|n| n as f32).collect(),
            };
            let input: Vec<f32> = (0..size.0 * size.1 * channels)
                .map(|n| (n * 3 % 11) as f32 - 5.0)
                .collect();
            let expected = plain(&of, &input, size);
            let mut out = vec![f32::NAN; expected.len()];
            let (top, bottom) = out.split_at_mut(of.window.output(size).1 * channels);
            of.rows(&input, size, 0, Activation::None, top);
            of.rows(&input, size, 1, Activation::None, bottom);
            assert_eq!(out, expected, "{size:?} {kernel:?} {stride:?}");
        }
    }
}
