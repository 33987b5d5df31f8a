//! Residual sum and RMSNorm: `x <- x + sum of slots`, `normed <- norm(x) * weight`.

use crate::dimensions::NORM_EPS;
use crate::math::round;
use half::bf16;

/// RMSNorm of one row. The normalised value is rounded to bf16 before its weight, as in the reference implementation.
pub fn rms_norm(x: &[f32], weight: &[bf16]) -> Vec<f32> {
    let mean = x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32;
    let scale = 1.0 / (mean + NORM_EPS).sqrt();
    x.iter()
        .zip(weight)
        .map(|(v, w)| round(round(v * scale) * w.to_f32()))
        .collect()
}

/// One row and its slots, each with its weight.
pub fn add_slots<'a>(x: &[f32], slots: impl IntoIterator<Item = (f32, &'a [f32])>) -> Vec<f32> {
    let mut added = vec![0.0; x.len()];
    for (weight, slot) in slots {
        added
            .iter_mut()
            .zip(slot)
            .for_each(|(sum, value)| *sum += weight * value);
    }
    x.iter().zip(added).map(|(v, sum)| round(v + sum)).collect()
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::SLOTS;
    use crate::error::Result;
    use crate::ffi::{Address, Shape, arguments};
    use crate::step::Step;

    impl Step {
        /// Adds the splits of the output projection to `x` and norms it (9 tokens and more).
        pub(crate) fn add_projection(&self, tokens: usize, norm: Address) -> Result<()> {
            self.norm(tokens, self.o_splits(tokens) as usize, Address::NULL, norm)
        }

        /// Adds the eight outputs of the MLP to `x`, by the router's weights or as they are, and norms it.
        pub(crate) fn add_slots(&self, tokens: usize, weighted: bool, norm: Address) -> Result<()> {
            let weights = if weighted {
                self.scratch.top_weights.address
            } else {
                Address::NULL
            };
            self.norm(tokens, SLOTS, weights, norm)
        }

        fn norm(&self, tokens: usize, slots: usize, slot_weights: Address, norm: Address) -> Result<()> {
            let s = &self.scratch;
            let arguments = arguments![
                s.x.address,
                s.slots.address,
                slot_weights,
                slots as i32,
                norm,
                s.normed.address
            ];
            // SAFETY: scratch has 256 rows and 8 slots a row.
            unsafe {
                self.gpu
                    .launch("rms_norm", Shape::new([tokens as u32, 1, 1], 160), arguments)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::assert_close;

    #[test]
    fn a_norm_by_hand() {
        // Mean square (9 + 16) / 2 = 12.5: 3 and 4 become 0.8485 and 1.1314, in bf16 0.84766 and 1.1328.
        let weight = [bf16::from_f32(1.0), bf16::from_f32(2.0)];
        assert_close(&rms_norm(&[3.0, 4.0], &weight), &[0.847_656, 2.265_625], 1e-6);
    }

    #[test]
    fn slots_are_weighted_and_the_sum_is_rounded() {
        let (first, second) = ([1.0, 0.0], [0.0, 0.003]);
        let sum = add_slots(&[1.0, 1.0], [(0.5, &first[..]), (1.0, &second[..])]);
        assert_eq!(sum, [1.5, 1.0]);
    }
}
