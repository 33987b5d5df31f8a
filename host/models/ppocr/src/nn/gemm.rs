//! Dense convolution: a matrix product of pixels (rows) with packed weights (columns).
//!
//! Weights are packed once into panels of two vectors' width; the inner loop keeps 6 x 2 vectors of sums in registers
//! and, for each input channel, loads one vector pair and six scalars. A panel stays in the first-level cache while
//! a block of pixels passes over it.

use super::pointwise::{Activation, activate};
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp};

/// Pixels whose sums are held in registers: with two vectors each, 12 of AVX2's 16.
const TILE: usize = 6;
/// Pixels that share a panel before the next is fetched: 8 tiles.
pub(super) const BLOCK: usize = 8 * TILE;

/// Weights of `depth` inputs to `width` outputs.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub depth: usize,
    pub width: usize,
    /// Outputs of a panel.
    panel: usize,
    /// `[panels][depth][panel]`, padded with zeros.
    weights: Vec<f32>,
    /// `[panels][panel]`, padded.
    bias: Vec<f32>,
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
        let panel = 2 * Lanes.dispatch();
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

    /// `out = activation(pixels * weights + bias) + residual`, where `pixels` is rows of `depth` and the others are
    /// rows of `width`.
    pub fn apply(&self, pixels: &[f32], activation: Activation, residual: Option<&[f32]>, out: &mut [f32]) {
        for (n, out) in out.chunks_mut(BLOCK * self.width).enumerate() {
            let rows = out.len() / self.width;
            let pixels = &pixels[n * BLOCK * self.depth..][..rows * self.depth];
            Product {
                packed: self,
                pixels,
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
    pixels: &'a [f32],
    out: &'a mut [f32],
}

impl SimdOp for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Packed {
            depth,
            width,
            panel,
            weights,
            bias,
        } = self.packed;
        let (depth, width, panel) = (*depth, *width, *panel);
        assert!(
            panel == 2 * isa.f32().len(),
            "weights were packed for this machine"
        );
        let rows = self.out.len() / width;
        for (n, weights) in weights.chunks_exact(depth * panel).enumerate() {
            let first = n * panel;
            let bias = &bias[first..][..panel];
            let keep = panel.min(width - first);
            let mut row = 0;
            while row + TILE <= rows {
                let sums = tile::<I, TILE>(isa, &self.pixels[row * depth..], depth, weights, panel, bias);
                store(isa, &sums, &mut self.out[row * width + first..], width, keep);
                row += TILE;
            }
            while row < rows {
                let sums = tile::<I, 1>(isa, &self.pixels[row * depth..], depth, weights, panel, bias);
                store(isa, &sums, &mut self.out[row * width + first..], width, keep);
                row += 1;
            }
        }
    }
}

/// Sums of `ROWS` pixels over one panel.
#[inline(always)]
fn tile<I: Isa, const ROWS: usize>(
    isa: I,
    pixels: &[f32],
    depth: usize,
    weights: &[f32],
    panel: usize,
    bias: &[f32],
) -> [[I::F32; 2]; ROWS] {
    let ops = isa.f32();
    let half = panel / 2;
    let rows: [&[f32]; ROWS] = std::array::from_fn(|n| &pixels[n * depth..][..depth]);
    let mut sums = [[ops.load(bias), ops.load(&bias[half..])]; ROWS];
    for (k, weights) in weights.chunks_exact(panel).enumerate().take(depth) {
        let (left, right) = (ops.load(weights), ops.load(&weights[half..]));
        for n in 0..ROWS {
            let value = ops.splat(rows[n][k]);
            sums[n][0] = ops.mul_add(value, left, sums[n][0]);
            sums[n][1] = ops.mul_add(value, right, sums[n][1]);
        }
    }
    sums
}

/// Writes the first `keep` values of each pixel's sums to rows `width` apart.
#[inline(always)]
fn store<I: Isa, const ROWS: usize>(
    isa: I,
    sums: &[[I::F32; 2]; ROWS],
    out: &mut [f32],
    width: usize,
    keep: usize,
) {
    let ops = isa.f32();
    let lanes = ops.len();
    for (n, [left, right]) in sums.iter().enumerate() {
        let to = &mut out[n * width..][..keep];
        if keep == 2 * lanes {
            ops.store(*left, to);
            ops.store(*right, &mut to[lanes..]);
        } else {
            let (left, right) = (left.to_array(), right.to_array());
            let values = left.as_ref().iter().chain(right.as_ref());
            to.iter_mut().zip(values).for_each(|(to, &v)| *to = v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_formula_at_all_sizes() {
        for (rows, depth, width) in [(1, 1, 1), (6, 3, 16), (7, 5, 17), (50, 33, 40), (49, 8, 3)] {
            let pixels: Vec<f32> = (0..rows * depth).map(|n| (n * 7 % 13) as f32 - 6.0).collect();
            let weight = |k: usize, n: usize| ((k * 5 + n * 3) % 11) as f32 - 5.0;
            let bias: Vec<f32> = (0..width).map(|n| n as f32).collect();
            let residual: Vec<f32> = (0..rows * width).map(|n| (n % 3) as f32).collect();
            let mut out = vec![f32::NAN; rows * width];
            Packed::new(depth, width, &bias, weight).apply(
                &pixels,
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
}
