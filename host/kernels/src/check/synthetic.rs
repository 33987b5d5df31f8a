//! Weights for checks, made on the device.

use crate::dimensions::{DENSE_INTER, EXPERT_INTER, EXPERTS, HIDDEN, SHARED_INTER, VOCAB};
use crate::error::Result;
use crate::weights::{DecoderWeights, LayerWeights, MlpWeights};
use candle_core::{DType, Device, Tensor};

/// Normally distributed bf16 values.
pub fn normal(shape: &[usize], mean: f32, deviation: f32, device: &Device) -> Result<Tensor> {
    Ok(Tensor::randn(mean, deviation, shape, device)?.to_dtype(DType::BF16)?)
}

/// The token that a walk puts behind `token`.
pub fn walk(token: u32) -> u32 {
    ((34_341 * u64::from(token) + 12_347) % VOCAB as u64) as u32
}

/// Weights whose greedy output is known: norms 1, embedding N(0, 1), all else N(0, 0.02), and row `walk(t)` of the head is
/// row t of the embedding, so that token t is followed by `walk(t)`.
pub fn walk_weights(layers: usize, device: &Device) -> Result<DecoderWeights> {
    let embed_tokens = normal(&[VOCAB, HIDDEN], 0.0, 1.0, device)?;
    let mut source = vec![0; VOCAB];
    for token in 0..VOCAB as u32 {
        source[walk(token) as usize] = token;
    }
    let lm_head = embed_tokens.index_select(&Tensor::from_vec(source, VOCAB, device)?, 0)?;
    let recipe = Recipe {
        norm: 0.0,
        projection: 0.02,
        gate: 0.02,
        other: 0.02,
    };
    weights(embed_tokens, lm_head, layers, &recipe, device)
}

/// Weights at which every part shows: norms around 1, sharper projections and router.
pub(super) fn telling_weights(layers: usize, device: &Device) -> Result<DecoderWeights> {
    let embed_tokens = normal(&[VOCAB, HIDDEN], 0.0, 1.0, device)?;
    let lm_head = normal(&[VOCAB, HIDDEN], 0.0, 0.05, device)?;
    let recipe = Recipe {
        norm: 0.3,
        projection: 0.05,
        gate: 0.05,
        other: 0.02,
    };
    weights(embed_tokens, lm_head, layers, &recipe, device)
}

/// Standard deviations.
struct Recipe {
    norm: f32,
    projection: f32,
    gate: f32,
    other: f32,
}

fn weights(
    embed_tokens: Tensor,
    lm_head: Tensor,
    layers: usize,
    recipe: &Recipe,
    device: &Device,
) -> Result<DecoderWeights> {
    let draw = |shape: &[usize], deviation| normal(shape, 0.0, deviation, device);
    let norm = || match recipe.norm {
        0.0 => Ok(Tensor::ones(HIDDEN, DType::BF16, device)?),
        deviation => normal(&[HIDDEN], 1.0, deviation, device),
    };
    let mlp = |number| -> Result<MlpWeights> {
        let other = recipe.other;
        if number == 0 {
            let gate_up = draw(&[2 * DENSE_INTER, HIDDEN], other)?;
            return Ok(MlpWeights::Dense {
                gate_up,
                down: draw(&[HIDDEN, DENSE_INTER], other)?,
            });
        }
        Ok(MlpWeights::Experts {
            gate: draw(&[EXPERTS, HIDDEN], recipe.gate)?,
            gate_up: draw(&[EXPERTS, 2 * EXPERT_INTER, HIDDEN], other)?,
            down: draw(&[EXPERTS, HIDDEN, EXPERT_INTER], other)?,
            shared_gate_up: draw(&[2 * SHARED_INTER, HIDDEN], other)?,
            shared_down: draw(&[HIDDEN, SHARED_INTER], other)?,
            scales: None,
        })
    };
    let layer = |number| -> Result<LayerWeights> {
        Ok(LayerWeights {
            input_norm: norm()?,
            qkv: draw(&[3 * HIDDEN, HIDDEN], recipe.projection)?,
            o: draw(&[HIDDEN, HIDDEN], recipe.projection)?,
            post_norm: norm()?,
            mlp: mlp(number)?,
        })
    };
    let layers = (0..layers).map(layer).collect::<Result<Vec<_>>>()?;
    Ok(DecoderWeights {
        embed_tokens,
        norm: norm()?,
        lm_head,
        layers,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_walk_goes_through_all_ids() {
        let mut seen = vec![false; super::VOCAB];
        let mut token = 0;
        while !std::mem::replace(&mut seen[token as usize], true) {
            token = super::walk(token);
        }
        assert!(seen.iter().all(|seen| *seen));
    }
}
