//! Feed-forward layers: one dense SwiGLU, and a mixture of routed experts beside shared ones (DeepSeekMoE,
//! arXiv 2401.06066).

use crate::layers::times_transposed;
use candle_core::{D, DType, Result, Tensor};

/// Tokens up to which a GPU gathers the chosen experts' matrices; above, every expert sees every token. Neither road
/// tells the host which experts were chosen.
const GATHERED_TOKENS: usize = 4;

/// `down (silu(gate x) * up x)`.
pub struct SwiGlu {
    /// `[2 * inner, hidden]`: `gate_proj`, then `up_proj`.
    pub gate_up: Tensor,
    /// `[hidden, inner]`.
    pub down: Tensor,
}

impl SwiGlu {
    /// `[tokens, hidden]` to the same.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        times_transposed(&swiglu(&times_transposed(x, &self.gate_up)?)?, &self.down)
    }
}

/// `silu` of the first half times the second half, in f32, rounded once.
fn swiglu(gate_up: &Tensor) -> Result<Tensor> {
    let halves = gate_up.to_dtype(DType::F32)?.chunk(2, D::Minus1)?;
    (halves[0].silu()? * &halves[1])?.to_dtype(gate_up.dtype())
}

/// Routed experts beside shared ones; the routed weights are the softmax's own, not made to sum to one.
pub struct MixtureOfExperts {
    /// `[experts, hidden]`.
    pub gate: Tensor,
    /// `[experts, 2 * inner, hidden]`.
    pub gate_up: Tensor,
    /// `[experts, hidden, inner]`.
    pub down: Tensor,
    /// The shared experts as one.
    pub shared: SwiGlu,
    /// Experts that each token goes through.
    pub per_token: usize,
}

impl MixtureOfExperts {
    /// `[tokens, hidden]` to the same. The routed experts are summed in f32 and rounded before the shared ones are added.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let logits = x
            .to_dtype(DType::F32)?
            .matmul(&self.gate.to_dtype(DType::F32)?.t()?)?;
        let weights = candle_nn::ops::softmax_last_dim(&logits)?;
        let routed = match x.device().is_cpu() {
            true => self.routed_by_host(x, &weights)?,
            false if x.dim(0)? <= GATHERED_TOKENS => self.gathered(x, &weights)?,
            false => self.by_every_expert(x, &weights)?,
        };
        routed.to_dtype(x.dtype())? + self.shared.forward(x)?
    }

    fn expert(&self, n: usize) -> Result<SwiGlu> {
        Ok(SwiGlu {
            gate_up: self.gate_up.get(n)?,
            down: self.down.get(n)?,
        })
    }

    /// The experts in turn, each with the tokens that chose it.
    fn routed_by_host(&self, x: &Tensor, weights: &Tensor) -> Result<Tensor> {
        let mut chosen: Vec<(Vec<u32>, Vec<f32>)> = vec![Default::default(); self.gate.dim(0)?];
        for (token, weights) in weights.to_vec2::<f32>()?.into_iter().enumerate() {
            for expert in best(&weights, self.per_token) {
                chosen[expert].0.push(token as u32);
                chosen[expert].1.push(weights[expert]);
            }
        }
        let mut sum = Tensor::zeros(x.dims(), DType::F32, x.device())?;
        for (n, (tokens, weights)) in chosen.into_iter().enumerate() {
            if tokens.is_empty() {
                continue;
            }
            let count = tokens.len();
            let tokens = Tensor::from_vec(tokens, count, x.device())?;
            let weights = Tensor::from_vec(weights, (count, 1), x.device())?;
            let made = self.expert(n)?.forward(&x.index_select(&tokens, 0)?)?;
            sum = sum.index_add(&tokens, &made.to_dtype(DType::F32)?.broadcast_mul(&weights)?, 0)?;
        }
        Ok(sum)
    }

    /// The indices `[tokens, per_token]` of the chosen experts.
    fn choose(&self, weights: &Tensor) -> Result<Tensor> {
        let order = weights.arg_sort_last_dim(false)?;
        order.narrow(1, 0, self.per_token)?.contiguous()
    }

    /// Few tokens: the matrices of their experts, side by side.
    fn gathered(&self, x: &Tensor, weights: &Tensor) -> Result<Tensor> {
        let (tokens, hidden) = x.dims2()?;
        let chosen = self.choose(weights)?;
        let weights = weights.gather(&chosen, 1)?.reshape((tokens, self.per_token, 1))?;
        let chosen = chosen.flatten_all()?;
        let x = x.unsqueeze(1)?.broadcast_as((tokens, self.per_token, hidden))?;
        let x = x.contiguous()?.reshape((tokens * self.per_token, 1, hidden))?;
        let inner = swiglu(&x.matmul(&self.gate_up.index_select(&chosen, 0)?.transpose(1, 2)?)?)?;
        let made = inner.matmul(&self.down.index_select(&chosen, 0)?.transpose(1, 2)?)?;
        let made = made
            .reshape((tokens, self.per_token, hidden))?
            .to_dtype(DType::F32)?;
        made.broadcast_mul(&weights)?.sum(1)
    }

    /// Many tokens: each expert sees all, and counts where it was chosen.
    fn by_every_expert(&self, x: &Tensor, weights: &Tensor) -> Result<Tensor> {
        let chosen = self.choose(weights)?;
        let share = Tensor::zeros(weights.dims(), DType::F32, x.device())?;
        let share = share.scatter_add(&chosen, &weights.gather(&chosen, 1)?, 1)?;
        let mut sum = Tensor::zeros(x.dims(), DType::F32, x.device())?;
        for n in 0..self.gate.dim(0)? {
            let made = self.expert(n)?.forward(x)?.to_dtype(DType::F32)?;
            sum = (sum + made.broadcast_mul(&share.narrow(1, n, 1)?)?)?;
        }
        Ok(sum)
    }
}

/// The `count` largest, in order; of equals the first.
fn best(weights: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_three_roads_through_the_experts_agree() -> Result<()> {
        let device = Device::Cpu;
        let random = |shape: &[usize]| Tensor::randn(0f32, 0.3, shape, &device);
        let (experts, hidden, inner) = (8, 16, 12);
        let moe = MixtureOfExperts {
            gate: random(&[experts, hidden])?,
            gate_up: random(&[experts, 2 * inner, hidden])?,
            down: random(&[experts, hidden, inner])?,
            shared: SwiGlu {
                gate_up: random(&[4 * inner, hidden])?,
                down: random(&[hidden, 2 * inner])?,
            },
            per_token: 3,
        };
        let x = random(&[7, hidden])?;
        let weights = candle_nn::ops::softmax_last_dim(&x.matmul(&moe.gate.t()?)?)?;
        let by_host = moe.routed_by_host(&x, &weights)?;
        assert!(by_host.abs()?.max_all()?.to_scalar::<f32>()? > 1e-3);
        for other in [moe.gathered(&x, &weights)?, moe.by_every_expert(&x, &weights)?] {
            let difference = (&by_host - other)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(difference < 1e-6, "{difference}");
        }
        Ok(())
    }
}
