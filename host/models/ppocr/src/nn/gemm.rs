//! Dense convolution: a matrix product of pixels (rows) with packed weights (columns).
//!
//! Weights are packed once into panels one or two vectors wide; the inner loop keeps up to 12 x 2 vectors of sums in
//! registers and, for each input channel, loads one or two vectors and a scalar a pixel. A panel stays in the
//! first-level cache while a block of pixels passes over it. Pixels are read where they lie: a kernel row of a
//! convolution is one stretch of its input, so nothing is copied first.

use super::pointwise::{Activation, activate};
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp};

/// Pixels that share a panel before the next is fetched: whole tiles of 12 and of 6.
pub(super) const BLOCK: usize = 48;

/// Weights of `depth` inputs to `width` outputs.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub depth: usize,
    pub width: usize,
    /// Outputs of a panel: the lanes of one or two vectors.
    panel: usize,
    /// `[panels][depth][panel]`, padded with zeros.
    weights: Vec<f32>,
    /// `[panels][panel]`, padded.
    bias: Vec<f32>,
}

/// Where the inputs of a row of pixels lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub data: &'a [f32],
    /// From one pixel to the next.
    pub step: usize,
    /// From one stretch to the next: the kernel's rows.
    pub stride: usize,
    /// Stretches of each pixel.
    pub stretches: usize,
    /// Values of a stretch.
    pub length: usize,
    /// The first input of the weights that these are for.
    pub first_input: usize,
}

impl<'a> Source<'a> {
    /// Pixels one after the other, each with all its inputs.
    pub fn rows(data: &'a [f32], depth: usize) -> Self {
        Self {
            data,
            step: depth,
            stride: 0,
            stretches: 1,
            length: depth,
            first_input: 0,
        }
    }
}

struct Lanes;

impl SimdOp for Lanes {
    type Output = usize;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> usize {
        isa.f32().len()
    }
}

impl Packed {
    /// Packs `weight(input, output)`.
    pub fn new(depth: usize, width: usize, bias: &[f32], weight: impl Fn(usize, usize) -> f32) -> Self {
        let lanes = Lanes.dispatch();
        // Two vectors need fewer loads a product, unless half of the last panel would be padding.
        let one = width <= lanes || ((1..=lanes).contains(&(width % (2 * lanes))) && width < 8 * lanes);
        let panel = if one { lanes } else { 2 * lanes };
        let panels = width.div_ceil(panel);
        let mut weights = vec![0.0; panels * depth * panel];
        for (n, row) in weights.chunks_exact_mut(panel).enumerate() {
            let (first, input) = (n / depth.max(1) * panel, n % depth.max(1));
            for (lane, to) in row.iter_mut().enumerate().take(width - first.min(width)) {
                *to = weight(input, first + lane);
            }
        }
        let mut padded = vec![0.0; panels * panel];
        padded[..width].copy_from_slice(bias);
        Self {
            depth,
            width,
            panel,
            weights,
            bias: padded,
        }
    }

    /// `out = activation(pixels * weights + bias) + residual`, where `out` and `residual` are rows of `width`.
    pub fn apply(&self, source: Source, activation: Activation, residual: Option<&[f32]>, out: &mut [f32]) {
        for (n, out) in out.chunks_mut(BLOCK * self.width).enumerate() {
            let source = Source {
                data: &source.data[n * BLOCK * source.step..],
                ..source
            };
            Product {
                packed: self,
                source,
                out,
            }
            .dispatch();
            activate(activation, out);
            if let Some(residual) = residual {
                let residual = &residual[n * BLOCK * self.width..][..out.len()];
                out.iter_mut().zip(residual).for_each(|(o, r)| *o += r);
            }
        }
    }
}

/// One block of pixels.
struct Product<'a> {
    packed: &'a Packed,
    source: Source<'a>,
    out: &'a mut [f32],
}

impl SimdOp for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let lanes = isa.f32().len();
        // AVX-512 has registers for 24 sums, the others for 12.
        match (self.packed.panel / lanes, lanes) {
            (1, _) => self.panels::<I, 12, 1>(isa),
            (2, 16) => self.panels::<I, 12, 2>(isa),
            (2, _) => self.panels::<I, 6, 2>(isa),
            _ => unreachable!("weights were packed for this machine"),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn panels<I: Isa, const ROWS: usize, const VECTORS: usize>(self, isa: I) {
        let Packed {
            depth,
            width,
            panel,
            weights,
            bias,
        } = self.packed;
        let (depth, width, panel) = (*depth, *width, *panel);
        let rows = self.out.len() / width;
        for (n, weights) in weights.chunks_exact(depth * panel).enumerate() {
            let first = n * panel;
            let panel = Panel {
                weights,
                bias: &bias[first..][..panel],
                first,
                keep: panel.min(width - first),
                width,
            };
            let mut row = 0;
            while row + ROWS <= rows {
                panel.tile::<I, ROWS, VECTORS>(isa, &self.source, row, self.out);
                row += ROWS;
            }
            while row + 3 <= rows {
                panel.tile::<I, 3, VECTORS>(isa, &self.source, row, self.out);
                row += 3;
            }
            while row < rows {
                panel.tile::<I, 1, VECTORS>(isa, &self.source, row, self.out);
                row += 1;
            }
        }
    }
}

/// The weights of some neighbouring outputs.
struct Panel<'a> {
    weights: &'a [f32],
    bias: &'a [f32],
    /// The first output.
    first: usize,
    /// Outputs that are no padding.
    keep: usize,
    /// Outputs of all panels.
    width: usize,
}

impl Panel<'_> {
    /// Sums `ROWS` pixels from `row` on and writes them.
    #[inline(always)]
    fn tile<I: Isa, const ROWS: usize, const VECTORS: usize>(
        &self,
        isa: I,
        source: &Source,
        row: usize,
        out: &mut [f32],
    ) {
        let ops = isa.f32();
        let lanes = ops.len();
        let panel = lanes * VECTORS;
        // Loops, not closures: a closure is compiled without the instruction set of its caller.
        let mut sums = [[ops.zero(); VECTORS]; ROWS];
        for v in 0..VECTORS {
            let bias = ops.load(&self.bias[v * lanes..]);
            for row in &mut sums {
                row[v] = bias;
            }
        }
        for stretch in 0..source.stretches {
            let pixels: [&[f32]; ROWS] = std::array::from_fn(|n| {
                &source.data[(row + n) * source.step + stretch * source.stride..][..source.length]
            });
            let weights = &self.weights[(source.first_input + stretch * source.length) * panel..];
            for (k, weights) in weights.chunks_exact(panel).enumerate().take(source.length) {
                let mut loaded = [ops.zero(); VECTORS];
                for (v, to) in loaded.iter_mut().enumerate() {
                    *to = ops.load(&weights[v * lanes..]);
                }
                for n in 0..ROWS {
                    let value = ops.splat(pixels[n][k]);
                    for v in 0..VECTORS {
                        sums[n][v] = ops.mul_add(value, loaded[v], sums[n][v]);
                    }
                }
            }
        }
        if self.keep < panel {
            return self.store_some::<I, ROWS, VECTORS>(lanes, sums, row, out);
        }
        for n in 0..ROWS {
            let to = &mut out[(row + n) * self.width + self.first..][..panel];
            for v in 0..VECTORS {
                ops.store(sums[n][v], &mut to[v * lanes..]);
            }
        }
    }

    /// Writes the first `keep` of a panel's sums. A function of its own, so that the sums of the others stay in
    /// registers.
    #[inline(never)]
    fn store_some<I: Isa, const ROWS: usize, const VECTORS: usize>(
        &self,
        lanes: usize,
        sums: [[I::F32; VECTORS]; ROWS],
        row: usize,
        out: &mut [f32],
    ) {
        for (n, sums) in sums.iter().enumerate() {
            let to = &mut out[(row + n) * self.width + self.first..][..self.keep];
            for (to, sum) in to.chunks_mut(lanes).zip(sums) {
                let length = to.len();
                to.copy_from_slice(&sum.to_array().as_ref()[..length]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_formula_at_all_sizes() {
        for (rows, depth, width) in [
            (1, 1, 1),
            (6, 3, 16),
            (7, 5, 17),
            (50, 33, 40),
            (49, 8, 3),
            (13, 4, 96),
        ] {
            let pixels: Vec<f32> = (0..rows * depth).map(|n| (n * 7 % 13) as f32 - 6.0).collect();
            let weight = |k: usize, n: usize| ((k * 5 + n * 3) % 11) as f32 - 5.0;
            let bias: Vec<f32> = (0..width).map(|n| n as f32).collect();
            let residual: Vec<f32> = (0..rows * width).map(|n| (n % 3) as f32).collect();
            let mut out = vec![f32::NAN; rows * width];
            let packed = Packed::new(depth, width, &bias, weight);
            packed.apply(
                Source::rows(&pixels, depth),
                Activation::Relu,
                Some(&residual),
                &mut out,
            );
            for (n, &value) in out.iter().enumerate() {
                let (row, column) = (n / width, n % width);
                let sum: f32 = (0..depth)
                    .map(|k| pixels[row * depth + k] * weight(k, column))
                    .sum();
                let expected = (sum + bias[column]).max(0.0) + residual[n];
                assert!(
                    (value - expected).abs() < 1e-3,
                    "{rows}x{depth}x{width} at {n}: {value} {expected}"
                );
            }
        }
    }

    #[test]
    fn stretches_are_read_where_they_lie() {
        // Two stretches of two values, 10 apart, against inputs 1 ..= 4 of 5.
        let data: Vec<f32> = (0..16).map(|n| n as f32).collect();
        let source = Source {
            data: &data,
            step: 1,
            stride: 10,
            stretches: 2,
            length: 2,
            first_input: 1,
        };
        let mut out = [0.0; 2];
        Packed::new(5, 1, &[0.5], |k, _| [99.0, 1.0, 2.0, 3.0, 4.0][k]).apply(
            source,
            Activation::None,
            None,
            &mut out,
        );
        let sum = |n: f32| n + 2.0 * (n + 1.0) + 3.0 * (n + 10.0) + 4.0 * (n + 11.0) + 0.5;
        assert_eq!(out, [sum(0.0), sum(1.0)]);
    }
}
