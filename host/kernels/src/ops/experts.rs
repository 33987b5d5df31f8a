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
    use crate::ffi::{Argument, Shape, arguments};
    use crate::step::{Experts, Step};
    use crate::tiles::{DOWN_CLUSTER, expert_down, expert_gate_up, expert_shared, expert_widest};

    /// The kernel for weights of 8 bits beside each for bf16.
    pub(crate) const OF_BYTES: [(&str, &str); 8] = [
        ("expert_gate_up_stream", "expert_gate_up_stream_q"),
        ("expert_down_stream", "expert_down_stream_q"),
        ("expert_gate_up_m64", "expert_gate_up_m64_q"),
        ("expert_down_m64", "expert_down_m64_q"),
        ("expert_gate_up_m128", "expert_gate_up_m128_q"),
        ("expert_down_m128", "expert_down_m128_q"),
        ("expert_gate_up_prompt", "expert_gate_up_prompt_q"),
        ("expert_down_prompt", "expert_down_prompt_q"),
    ];

    impl Experts {
        /// A kernel's name for these weights, and its arguments: what it reads, both matrices, their scales, the rest.
        fn call<'a>(
            &self,
            name: &'static str,
            reads: Argument<'a>,
            is_up: bool,
            rest: &[Argument<'a>],
        ) -> (&'static str, Vec<Argument<'a>>) {
            let (routed, shared) = match is_up {
                true => (self.gate_up, self.shared_gate_up),
                false => (self.down, self.shared_down),
            };
            let mut arguments = vec![reads, routed.into(), shared.into()];
            let mut name = name;
            if let Some(scales) = &self.scales {
                arguments.extend::<[Argument<'_>; 2]>(match is_up {
                    true => [scales.gate_up.into(), scales.shared_gate_up.into()],
                    false => [scales.down.into(), scales.shared_down.into()],
                });
                let of_bytes = OF_BYTES.iter().find(|(of_bf16, _)| *of_bf16 == name);
                name = of_bytes.expect("every kernel of experts has one for bytes").1;
            }
            arguments.extend_from_slice(rest);
            (name, arguments)
        }

        /// `inter` from normed rows.
        pub(crate) fn up<'a>(
            &self,
            name: &'static str,
            normed: Argument<'a>,
            rest: &[Argument<'a>],
        ) -> (&'static str, Vec<Argument<'a>>) {
            self.call(name, normed, true, rest)
        }

        /// Outputs from `inter`.
        pub(crate) fn down<'a>(
            &self,
            name: &'static str,
            inter: Argument<'a>,
            rest: &[Argument<'a>],
        ) -> (&'static str, Vec<Argument<'a>>) {
            self.call(name, inter, false, rest)
        }
    }

    impl Step {
        /// `inter` from `normed`.
        pub(crate) fn expert_gate_up(&self, tokens: usize, number: usize, weights: &Experts) -> Result<()> {
            let s = &self.scratch;
            if self.streams(tokens) {
                let rest = arguments![s.top_experts.address, s.inter.address, tokens as i32];
                let (name, arguments) = weights.up("expert_gate_up_stream", s.normed.address.into(), rest);
                // Two blocks a multiprocessor, and one for each row tile of the shared experts at least.
                let blocks = (2 * self.gpu.processors()).max(SHARED_INTER as u32 / 8);
                let shape = Shape::new([blocks, 1, 1], 256);
                // SAFETY: scratch has 256 rows; the router chose experts that there are.
                return unsafe { self.gpu.launch(name, shape, &arguments) };
            }
            let (rows, name) = expert_gate_up(tokens);
            let (counts, buckets) = self.buckets(number);
            let rest = arguments![
                counts,
                buckets,
                MAX_ROWS as i32,
                s.inter.address,
                tokens as i32,
                expert_widest(tokens) as i32,
            ];
            let (name, arguments) = weights.up(name, s.normed.address.into(), rest);
            // SAFETY: as above; the router filled the buckets of this layer.
            unsafe { (self.gpu).launch(name, batched(tokens, rows, 2 * EXPERT_INTER), &arguments) }
        }

        /// Up to 8 tokens weighted and added to `x`; from 9 on each slot's output lies in `slots`.
        pub(crate) fn expert_down(&self, tokens: usize, number: usize, weights: &Experts) -> Result<()> {
            let s = &self.scratch;
            if self.streams(tokens) {
                let rest = arguments![
                    s.top_experts.address,
                    s.top_weights.address,
                    s.x.address,
                    s.tile_partials.address,
                    s.tile_counters.address,
                    tokens as i32,
                ];
                let (name, arguments) = weights.down("expert_down_stream", s.inter.address.into(), rest);
                let shape = Shape::new([80, DOWN_CLUSTER, 1], 256).cluster(DOWN_CLUSTER);
                // SAFETY: as above; the split sums of 80 tiles by 2 blocks fit into `tile_partials`.
                return unsafe { self.gpu.launch(name, shape, &arguments) };
            }
            let (rows, name) = expert_down(tokens);
            let (counts, buckets) = self.buckets(number);
            let rest = arguments![
                counts,
                buckets,
                MAX_ROWS as i32,
                s.slots.address,
                tokens as i32,
                expert_widest(tokens) as i32,
            ];
            let (name, arguments) = weights.down(name, s.inter.address.into(), rest);
            // SAFETY: as above.
            unsafe { (self.gpu).launch(name, batched(tokens, rows, HIDDEN), &arguments) }
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

#[cfg(feature = "cuda")]
pub(crate) use cuda::OF_BYTES;

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
