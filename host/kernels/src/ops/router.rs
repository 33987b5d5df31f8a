//! Which six experts a row takes, and with what weights.

use crate::dimensions::TOP_K;
use crate::math::{multiply, round, softmax};
use half::bf16;

/// The experts of the highest softmax over all gate logits, with those values, not renormalised; of equal logits the
/// lower expert's comes first. `round_logits` rounds logits to bf16 first.
pub fn router(normed: &[f32], gate: &[bf16], round_logits: bool) -> Vec<(usize, f32)> {
    let mut logits = multiply(gate, normed);
    if round_logits {
        logits.iter_mut().for_each(|logit| *logit = round(*logit));
    }
    let weights = softmax(&logits);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    order
        .into_iter()
        .take(TOP_K)
        .map(|expert| (expert, weights[expert]))
        .collect()
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::{EXPERTS, MAX_ROWS};
    use crate::error::Result;
    use crate::ffi::{Address, Shape, arguments};
    use crate::step::{Experts, Rows, Step};

    impl Step {
        /// `normed`, `top_experts`, `top_weights`; from 9 tokens on also the residual's sum and each expert's bucket.
        pub(crate) fn router(
            &self,
            tokens: usize,
            number: usize,
            weights: &Experts,
            rows: &Rows,
        ) -> Result<()> {
            let (s, norm) = (&self.scratch, self.layers[number].post_norm);
            let rounds = i32::from(self.options.round_router_logits);
            if self.streams(tokens) {
                let arguments = arguments![
                    s.x.address,
                    norm,
                    weights.gate,
                    s.normed.address,
                    s.top_experts.address,
                    s.top_weights.address,
                    rounds,
                ];
                let shape = Shape::new([tokens as u32, 1, 1], 512);
                // SAFETY: scratch has 256 rows.
                return unsafe { self.gpu.launch("router_top6_stream", shape, arguments) };
            }
            let (counts, buckets) = self.buckets(number);
            let arguments = arguments![
                s.x.address,
                s.slots.address,
                self.o_splits(tokens) as i32,
                norm,
                weights.gate,
                s.normed.address,
                s.top_experts.address,
                s.top_weights.address,
                counts,
                buckets,
                MAX_ROWS as i32,
                rows.lengths,
                tokens as i32,
                rounds,
            ];
            let shape = Shape::new([self.gpu.processors().min(tokens as u32), 1, 1], 1024);
            // SAFETY: as above; a bucket has room for every row.
            unsafe { self.gpu.launch("router_top6", shape, arguments) }
        }

        /// How many rows chose each expert of a layer, and which.
        pub(crate) fn buckets(&self, number: usize) -> (Address, Address) {
            let counts = self.scratch.expert_counts.address.at::<i32>(number * EXPERTS);
            let buckets = self
                .scratch
                .expert_tokens
                .address
                .at::<i32>(number * EXPERTS * MAX_ROWS);
            (counts, buckets)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::assert_close;

    #[test]
    fn six_are_taken_in_order_and_equals_by_number() {
        // The logits are the gate's values: 8 experts, one input.
        let gate = [0.0, 2.0, 1.0, 2.0, -1.0, 3.0, 0.5, 0.25].map(bf16::from_f32);
        let chosen = router(&[1.0], &gate, false);
        let experts: Vec<usize> = chosen.iter().map(|(expert, _)| *expert).collect();
        assert_eq!(experts, [5, 1, 3, 2, 6, 7]);
        let total: f32 = [0.0_f32, 2.0, 1.0, 2.0, -1.0, 3.0, 0.5, 0.25]
            .iter()
            .map(|v| v.exp())
            .sum();
        assert_close(
            &[chosen[0].1, chosen[5].1],
            &[3.0_f32.exp() / total, 0.25_f32.exp() / total],
            1e-6,
        );
    }

    #[test]
    fn rounded_logits_can_tie() {
        let gate = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0].map(bf16::from_f32);
        // 1.001 rounds to 1: with a second input the last expert leads by less than bf16 holds.
        let two = |expert: usize| [gate[expert], bf16::from_f32(if expert == 7 { 1.0 } else { 0.0 })];
        let gate: Vec<bf16> = (0..8).flat_map(two).collect();
        assert_eq!(router(&[1.0, 0.001], &gate, false)[0].0, 7);
        assert_eq!(router(&[1.0, 0.001], &gate, true)[0].0, 0);
    }
}
