//! The routed and shared experts.
//!
//! The shared experts (one SwiGLU of 1,792) count as two of 896 that every row takes with weight 1: slots 6 and 7.

use crate::math::multiply;
use crate::ops::dense_mlp::swiglu;
use half::bf16;

/// A layer's experts: `[experts, 2 * inter, hidden]`, `[experts, hidden, inter]`, and the shared ones, `[4 * inter, hidden]`
/// and `[hidden, 2 * inter]`.
#[derive(Debug, Clone, Copy)]
pub struct ExpertWeights<'a> {
    /// Gate rows before up rows, expert by expert.
    pub gate_up: &'a [bf16],
    /// Expert by expert.
    pub down: &'a [bf16],
    /// All gate rows before all up rows.
    pub shared_gate_up: &'a [bf16],
    /// Both halves side by side.
    pub shared_down: &'a [bf16],
    /// Intermediate values of one expert.
    pub inter: usize,
}

/// Intermediate values of a row: one stretch for each chosen expert, then the two halves of the shared.
pub fn gate_up(normed: &[f32], weights: &ExpertWeights<'_>, chosen: &[usize]) -> Vec<Vec<f32>> {
    let size = 2 * weights.inter * normed.len();
    let routed = chosen
        .iter()
        .map(|expert| swiglu(normed, &weights.gate_up[expert * size..][..size]));
    let mut inter: Vec<Vec<f32>> = routed.collect();
    let shared = swiglu(normed, weights.shared_gate_up);
    inter.extend(shared.chunks_exact(weights.inter).map(<[f32]>::to_vec));
    inter
}

/// Each slot's output from its intermediate values, unweighted.
pub fn down(
    inter: &[Vec<f32>],
    weights: &ExpertWeights<'_>,
    chosen: &[usize],
    hidden: usize,
) -> Vec<Vec<f32>> {
    let size = hidden * weights.inter;
    let routed = chosen
        .iter()
        .zip(inter)
        .map(|(expert, values)| multiply(&weights.down[expert * size..][..size], values));
    let mut out: Vec<Vec<f32>> = routed.collect();
    for (half, values) in inter[chosen.len()..].iter().enumerate() {
        let rows = weights.shared_down.chunks_exact(2 * weights.inter);
        let row = |row: &[bf16]| crate::math::dot(&row[half * weights.inter..][..weights.inter], values);
        out.push(rows.map(row).collect());
    }
    out
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::{EXPERT_INTER, EXPERTS, HIDDEN, MAX_ROWS, SHARED_INTER};
    use crate::error::Result;
    use crate::ffi::{Shape, arguments};
    use crate::step::{Experts, Step};
    use crate::tiles::{
        DOWN_CLUSTER, STREAM_TOKENS, expert_down, expert_gate_up, expert_shared, expert_widest,
    };

    impl Step {
        /// `inter` from `normed`.
        pub(crate) fn expert_gate_up(&self, tokens: usize, number: usize, weights: &Experts) -> Result<()> {
            let s = &self.scratch;
            if tokens <= STREAM_TOKENS {
                let arguments = arguments![
                    s.normed.address,
                    weights.gate_up,
                    weights.shared_gate_up,
                    s.top_experts.address,
                    s.inter.address,
                    tokens as i32,
                ];
                // Two blocks a multiprocessor, and one for each row tile of the shared experts at least.
                let blocks = (2 * self.gpu.processors()).max(SHARED_INTER as u32 / 8);
                // SAFETY: scratch has 256 rows; the router chose experts that there are.
                return unsafe {
                    self.gpu.launch(
                        "expert_gate_up_stream",
                        Shape::new([blocks, 1, 1], 256),
                        arguments,
                    )
                };
            }
            let (rows, name) = expert_gate_up(tokens);
            let (counts, buckets) = self.buckets(number);
            let arguments = arguments![
                s.normed.address,
                weights.gate_up,
                weights.shared_gate_up,
                counts,
                buckets,
                MAX_ROWS as i32,
                s.inter.address,
                tokens as i32,
                expert_widest(tokens) as i32,
            ];
            // SAFETY: as above; the router filled the buckets of this layer.
            unsafe {
                self.gpu
                    .launch(name, batched(tokens, rows, 2 * EXPERT_INTER), arguments)
            }
        }

        /// Up to 8 tokens weighted and added to `x`; from 9 on each slot's output lies in `slots`.
        pub(crate) fn expert_down(&self, tokens: usize, number: usize, weights: &Experts) -> Result<()> {
            let s = &self.scratch;
            if tokens <= STREAM_TOKENS {
                let arguments = arguments![
                    s.inter.address,
                    weights.down,
                    weights.shared_down,
                    s.top_experts.address,
                    s.top_weights.address,
                    s.x.address,
                    s.tile_partials.address,
                    s.tile_counters.address,
                    tokens as i32,
                ];
                let shape = Shape::new([80, DOWN_CLUSTER, 1], 256).cluster(DOWN_CLUSTER);
                // SAFETY: as above; the split sums of 80 tiles by 2 blocks fit into `tile_partials`.
                return unsafe { self.gpu.launch("expert_down_stream", shape, arguments) };
            }
            let (rows, name) = expert_down(tokens);
            let (counts, buckets) = self.buckets(number);
            let arguments = arguments![
                s.inter.address,
                weights.down,
                weights.shared_down,
                counts,
                buckets,
                MAX_ROWS as i32,
                s.slots.address,
                tokens as i32,
                expert_widest(tokens) as i32,
            ];
            // SAFETY: as above.
            unsafe { self.gpu.launch(name, batched(tokens, rows, HIDDEN), arguments) }
        }
    }

    /// A block for each row tile of each expert, and of each stretch of tokens for the two halves of the shared.
    fn batched(tokens: usize, rows: u32, of: usize) -> Shape {
        let widest = expert_widest(tokens);
        let shared_items = 2 * (tokens as u32).div_ceil(widest);
        let grid = [of as u32 / rows, shared_items + EXPERTS as u32, 1];
        Shape::new(grid, 2 * rows).shared(expert_shared(rows, widest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::{assert_close, values, weights};
    use crate::ops::dense_mlp::dense_mlp;

    const INTER: usize = 4;
    const HIDDEN: usize = 6;

    /// The chosen experts' own SwiGLUs and the shared one as a whole are what the slots add up to.
    #[test]
    fn slots_add_up_to_the_experts() {
        let (routed_up, routed_down) = (
            weights(1, 3 * 2 * INTER * HIDDEN, 1.0),
            weights(2, 3 * HIDDEN * INTER, 1.0),
        );
        let (shared_up, shared_down) = (
            weights(3, 4 * INTER * HIDDEN, 1.0),
            weights(4, HIDDEN * 2 * INTER, 1.0),
        );
        let all = ExpertWeights {
            gate_up: &routed_up,
            down: &routed_down,
            shared_gate_up: &shared_up,
            shared_down: &shared_down,
            inter: INTER,
        };
        let x = values(5, HIDDEN, 1.0);
        let chosen = [2, 0];
        let slots = down(&gate_up(&x, &all, &chosen), &all, &chosen, HIDDEN);
        let got: Vec<f32> = (0..HIDDEN)
            .map(|i| slots.iter().map(|slot| slot[i]).sum())
            .collect();
        let zero = [0.0; HIDDEN];
        let mut want = dense_mlp(&zero, &x, &shared_up, &shared_down);
        for expert in chosen {
            let (up, down) = (2 * INTER * HIDDEN, HIDDEN * INTER);
            let part = dense_mlp(
                &zero,
                &x,
                &routed_up[expert * up..][..up],
                &routed_down[expert * down..][..down],
            );
            want.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        assert_close(&got, &want, 2e-2);
    }
}
