//! Query, key and value of a row, rotated, the latter two written straight to the cache.

use crate::math::{multiply, round};
use half::bf16;

/// A row's query, key and value, bf16 values, heads side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Qkv {
    /// Rotated.
    pub q: Vec<f32>,
    /// Rotated.
    pub k: Vec<f32>,
    /// As projected.
    pub v: Vec<f32>,
}

/// `weight` is q_proj, k_proj, v_proj stacked; `turns` are the (cos, sin) of the row's position, half a head of them.
pub fn qkv_rope(normed: &[f32], weight: &[bf16], turns: &[(f32, f32)]) -> Qkv {
    let projected = multiply(weight, normed);
    let width = projected.len() / 3;
    let rounded = |values: &[f32]| values.iter().copied().map(round).collect();
    Qkv {
        q: rounded(&rotate(&projected[..width], turns)),
        k: rounded(&rotate(&projected[width..2 * width], turns)),
        v: rounded(&projected[2 * width..]),
    }
}

/// Turns each pair (d, d + half) of every head by its angle.
fn rotate(heads: &[f32], turns: &[(f32, f32)]) -> Vec<f32> {
    let half = turns.len();
    let mut out = heads.to_vec();
    for head in out.chunks_exact_mut(2 * half) {
        for (d, (cos, sin)) in turns.iter().enumerate() {
            let (first, second) = (head[d], head[d + half]);
            head[d] = first * cos - second * sin;
            head[d + half] = second * cos + first * sin;
        }
    }
    out
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::HIDDEN;
    use crate::error::Result;
    use crate::ffi::{Rotary, Shape, arguments};
    use crate::step::{Rows, Step};
    use crate::tiles::{QKV, choose};

    impl Step {
        /// `q`, and each row's key and value to its place in the cache. Reads `x` up to 8 tokens, else `normed`.
        pub(crate) fn qkv_rope(&self, tokens: usize, number: usize, rows: &Rows) -> Result<()> {
            let (s, layer) = (&self.scratch, &self.layers[number]);
            let rotary = Rotary {
                cos_sin: self.cos_sin.address,
                sequence_lengths: rows.lengths,
                block_table: rows.table,
                q: s.q.address,
                k_cache: self.keys[number].address,
                v_cache: self.values[number].address,
                cache: self.cache_layout(rows.table_pitch),
            };
            if self.streams(tokens) {
                let arguments = arguments![s.x.address, layer.input_norm, layer.qkv, tokens as i32, rotary];
                // SAFETY: lengths never pass `max_context`, for which there are angles and table entries, and every table
                // entry is a page of the cache.
                return unsafe {
                    self.gpu
                        .launch("qkv_rope_stream", Shape::new([240, 1, 1], 256), arguments)
                };
            }
            let tile = choose(&QKV, tokens, self.gpu.most_shared());
            let grid = [3 * HIDDEN as u32 / tile.rows, tile.columns_for(tokens), 1];
            let shape = Shape::new(grid, tile.threads()).shared(tile.shared_bytes());
            let arguments = arguments![s.normed.address, layer.qkv, tokens as i32, rotary];
            // SAFETY: as above.
            unsafe { self.gpu.launch(tile.name, shape, arguments) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::assert_close;

    #[test]
    fn pairs_turn_by_their_angle() {
        // A quarter turn takes (1, 0) to (0, 1); no turn leaves (2, 3).
        let turned = rotate(&[1.0, 2.0, 0.0, 3.0], &[(0.0, 1.0), (1.0, 0.0)]);
        assert_close(&turned, &[0.0, 2.0, 1.0, 3.0], 1e-6);
    }

    #[test]
    fn a_value_is_not_turned() {
        let one = bf16::ONE;
        let zero = bf16::ZERO;
        // One head of two values, identity for all three.
        let weight = [one, zero, zero, one, one, zero, zero, one, one, zero, zero, one];
        let qkv = qkv_rope(&[1.0, 0.0], &weight, &[(0.0, 1.0)]);
        assert_eq!(
            qkv,
            Qkv {
                q: vec![0.0, 1.0],
                k: vec![0.0, 1.0],
                v: vec![1.0, 0.0]
            }
        );
    }
}
