//! The dense SwiGLU of the first layer.

use crate::math::{multiply, round, silu};
use half::bf16;

/// `silu(gate x) * (up x)`, rounded to bf16; `gate_up` has the gate's rows first.
pub fn swiglu(normed: &[f32], gate_up: &[bf16]) -> Vec<f32> {
    let products = multiply(gate_up, normed);
    let (gate, up) = products.split_at(products.len() / 2);
    gate.iter()
        .zip(up)
        .map(|(gate, up)| round(silu(*gate) * up))
        .collect()
}

/// `x + down * swiglu(normed)`.
pub fn dense_mlp(x: &[f32], normed: &[f32], gate_up: &[bf16], down: &[bf16]) -> Vec<f32> {
    let product = multiply(down, &swiglu(normed, gate_up));
    x.iter()
        .zip(product)
        .map(|(x, product)| round(x + product))
        .collect()
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::{DENSE_INTER, HIDDEN};
    use crate::error::Result;
    use crate::ffi::{Address, Shape, arguments};
    use crate::step::{Dense, Step};
    use crate::tiles::{DENSE_DOWN, DENSE_DOWN_SPLITS, DENSE_UP, DOWN_CLUSTER, choose};

    impl Step {
        /// `inter`, the first 6,848 of a row's 7,168. Reads `x` up to 8 tokens, else `normed`.
        pub(crate) fn dense_gate_up(&self, tokens: usize, norm: Address, weights: &Dense) -> Result<()> {
            let s = &self.scratch;
            if self.streams(tokens) {
                let arguments =
                    arguments![s.x.address, norm, weights.gate_up, s.inter.address, tokens as i32];
                let shape = Shape::new([DENSE_INTER as u32 / 8, 1, 1], 256);
                // SAFETY: scratch has 256 rows.
                return unsafe { self.gpu.launch("dense_gate_up_stream", shape, arguments) };
            }
            let tile = choose(&DENSE_UP, tokens, self.gpu.most_shared());
            let grid = [2 * DENSE_INTER as u32 / tile.rows, tile.columns_for(tokens), 1];
            let shape = Shape::new(grid, tile.threads()).shared(tile.shared_bytes());
            let arguments = arguments![s.normed.address, weights.gate_up, s.inter.address, tokens as i32];
            // SAFETY: as above.
            unsafe { self.gpu.launch(tile.name, shape, arguments) }
        }

        /// Up to 8 tokens added to `x`; from 9 on eight splits of K lie in `slots`.
        pub(crate) fn dense_down(&self, tokens: usize, weights: &Dense) -> Result<()> {
            let s = &self.scratch;
            if self.streams(tokens) {
                let arguments = arguments![
                    s.inter.address,
                    weights.down,
                    s.x.address,
                    s.tile_partials.address,
                    s.tile_counters.address,
                    tokens as i32,
                ];
                let shape = Shape::new([80, DOWN_CLUSTER, 1], 256).cluster(DOWN_CLUSTER);
                // SAFETY: as above; the split sums of 80 tiles by 2 blocks fit into `tile_partials`.
                return unsafe { self.gpu.launch("dense_down_stream", shape, arguments) };
            }
            let tile = choose(&DENSE_DOWN, tokens, self.gpu.most_shared());
            let grid = [
                HIDDEN as u32 / tile.rows,
                tile.columns_for(tokens),
                DENSE_DOWN_SPLITS,
            ];
            let shape = Shape::new(grid, tile.threads()).shared(tile.shared_bytes());
            let arguments = arguments![s.inter.address, weights.down, s.slots.address, tokens as i32];
            // SAFETY: as above, with 8 slots a row.
            unsafe { self.gpu.launch(tile.name, shape, arguments) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::{assert_close, tensor, values, weights};
    use candle_core::{Device, Tensor};

    #[test]
    fn swiglu_is_candles() {
        let (gate_up, x) = (weights(1, 2 * 6 * 10, 1.0), values(2, 10, 1.0));
        let column = Tensor::from_vec(x.clone(), (10, 1), &Device::Cpu).unwrap();
        let products = tensor(&gate_up, &[12, 10]).matmul(&column).unwrap();
        let (gate, up) = (
            products.narrow(0, 0, 6).unwrap(),
            products.narrow(0, 6, 6).unwrap(),
        );
        let want = (gate.silu().unwrap() * up).unwrap().flatten_all().unwrap();
        assert_close(&swiglu(&x, &gate_up), &want.to_vec1().unwrap(), 1e-2);
    }

    #[test]
    fn the_result_is_added() {
        let one = bf16::ONE;
        // gate = up = x = 1: silu(1) = 0.7311, in bf16 0.73047; down 1; added to 2 and rounded.
        let sum = dense_mlp(&[2.0], &[1.0], &[one, one], &[one]);
        assert_close(&sum, &[2.734_375], 1e-6);
    }
}
