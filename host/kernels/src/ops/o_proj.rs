//! The attention's output projection, added to the residual.

use crate::math::{multiply, round};
use half::bf16;

/// `x + weight * attended`.
pub fn o_proj(x: &[f32], weight: &[bf16], attended: &[f32]) -> Vec<f32> {
    multiply(weight, attended)
        .iter()
        .zip(x)
        .map(|(product, x)| round(x + product))
        .collect()
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::HIDDEN;
    use crate::error::Result;
    use crate::ffi::{Shape, arguments};
    use crate::step::{Layer, Step};
    use crate::tiles::{O_PROJ, choose};

    impl Step {
        /// Up to 8 tokens added to `x`; from 9 on the splits of K lie in `slots`, and the next kernel adds them.
        pub(crate) fn o_proj(&self, tokens: usize, layer: &Layer) -> Result<()> {
            let s = &self.scratch;
            if self.streams(tokens) {
                let arguments = arguments![s.attended.address, layer.o, s.x.address, tokens as i32];
                // SAFETY: scratch has 256 rows.
                return unsafe {
                    self.gpu
                        .launch("o_proj_stream", Shape::new([80, 1, 1], 256), arguments)
                };
            }
            let tile = choose(&O_PROJ, tokens, self.gpu.most_shared());
            let grid = [
                HIDDEN as u32 / tile.rows,
                tile.columns_for(tokens),
                self.o_splits(tokens),
            ];
            let shape = Shape::new(grid, tile.threads()).shared(tile.shared_bytes());
            let arguments = arguments![s.attended.address, layer.o, s.slots.address, tokens as i32];
            // SAFETY: as above, with 8 slots a row.
            unsafe { self.gpu.launch(tile.name, shape, arguments) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_added() {
        let weight = [1.0, 2.0, 0.0, -1.0].map(bf16::from_f32);
        assert_eq!(o_proj(&[10.0, 20.0], &weight, &[3.0, 4.0]), [21.0, 16.0]);
    }
}
