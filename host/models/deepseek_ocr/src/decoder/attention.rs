//! Causal self-attention with rotary positions and a cache of keys and values.

use crate::layers::{softmax, times_transposed};
use candle_core::{DType, Device, Result, Tensor};

/// Positions that a cache grows by.
const GROWTH: usize = 1024;

/// Rotary angles (RoFormer, arXiv 2104.09864; halves rotated against each other, as in LLaMA).
pub struct Rotary {
    /// `[positions, head / 2]`, f32.
    cos: Tensor,
    /// The same.
    sin: Tensor,
}

impl Rotary {
    /// Angles for `positions` positions.
    pub fn new(theta: f64, head: usize, positions: usize, device: &Device) -> Result<Self> {
        let half = head / 2;
        let angles: Vec<f32> = (0..positions)
            .flat_map(|position| {
                (0..half).map(move |n| {
                    let frequency = 1.0 / (theta as f32).powf((2 * n) as f32 / head as f32);
                    position as f32 * frequency
                })
            })
            .collect();
        let angles = Tensor::from_vec(angles, (positions, half), device)?;
        Ok(Self {
            cos: angles.cos()?,
            sin: angles.sin()?,
        })
    }

    /// Turns `[1, heads, tokens, head]`, whose first token stands at `start`; in f32, answered in `x`'s type.
    fn turn(&self, x: &Tensor, start: usize) -> Result<Tensor> {
        let tokens = x.dim(2)?;
        let angles = |table: &Tensor| table.narrow(0, start, tokens)?.contiguous();
        turned(x, &angles(&self.cos)?, &angles(&self.sin)?)
    }

    /// The same with each token at its own one of `positions`.
    pub(super) fn turn_at(&self, x: &Tensor, positions: &Tensor) -> Result<Tensor> {
        let angles = |table: &Tensor| table.index_select(positions, 0);
        turned(x, &angles(&self.cos)?, &angles(&self.sin)?)
    }
}

fn turned(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?.contiguous()?;
    candle_nn::rotary_emb::rope(&wide, cos, sin)?.to_dtype(x.dtype())
}

/// Keys and values of one layer, `[1, heads, capacity, head]` each.
#[derive(Default)]
pub struct LayerCache {
    kept: Option<(Tensor, Tensor)>,
}

impl LayerCache {
    /// Writes keys and values of `[1, heads, tokens, head]` from position `start` on and answers all up to there.
    fn append(&mut self, k: &Tensor, v: &Tensor, start: usize) -> Result<(Tensor, Tensor)> {
        let (_, heads, tokens, head) = k.dims4()?;
        let end = start + tokens;
        let capacity = self.kept.as_ref().map_or(0, |(k, _)| k.dims()[2]);
        if end > capacity {
            let room = end.div_ceil(GROWTH) * GROWTH;
            let grown = |old: Option<&Tensor>| {
                let new = Tensor::zeros((1, heads, room, head), k.dtype(), k.device())?;
                if let Some(old) = old.filter(|_| start > 0) {
                    new.slice_set(&old.narrow(2, 0, start)?.contiguous()?, 2, 0)?;
                }
                Ok::<_, candle_core::Error>(new)
            };
            let old = self.kept.take();
            self.kept = Some((
                grown(old.as_ref().map(|o| &o.0))?,
                grown(old.as_ref().map(|o| &o.1))?,
            ));
        }
        let (keys, values) = self.kept.as_ref().expect("there is room now");
        keys.slice_set(&k.contiguous()?, 2, start)?;
        values.slice_set(&v.contiguous()?, 2, start)?;
        Ok((keys.narrow(2, 0, end)?, values.narrow(2, 0, end)?))
    }
}

/// The four matrices.
pub struct Attention {
    /// `[3 * hidden, hidden]`: `q_proj`, `k_proj`, `v_proj`.
    pub qkv: Tensor,
    /// `[hidden, hidden]`.
    pub o_proj: Tensor,
    /// Heads; keys and values have as many.
    pub heads: usize,
}

impl Attention {
    /// `x` of `[tokens, hidden]`, the first at position `start`.
    pub fn forward(
        &self,
        x: &Tensor,
        rotary: &Rotary,
        cache: &mut LayerCache,
        start: usize,
    ) -> Result<Tensor> {
        let (tokens, hidden) = x.dims2()?;
        let head = hidden / self.heads;
        let qkv = times_transposed(x, &self.qkv)?.reshape((1, tokens, 3, self.heads, head))?;
        let part = |n: usize| qkv.narrow(2, n, 1)?.squeeze(2)?.transpose(1, 2);
        let q = rotary.turn(&part(0)?, start)?;
        let (k, v) = cache.append(&rotary.turn(&part(1)?, start)?, &part(2)?, start)?;
        let mask = match tokens {
            1 => None,
            _ => Some(causal_mask(tokens, start + tokens, x.device())?),
        };
        let attended = weighed(&q, &k, &v, mask.as_ref())?.to_dtype(x.dtype())?;
        times_transposed(
            &attended.squeeze(0)?.transpose(0, 1)?.reshape((tokens, hidden))?,
            &self.o_proj,
        )
    }
}

/// Values weighed by how well their keys fit the queries, in f32: all `[sequences, heads, tokens, head]`, to the same as `q`.
/// The mask is added to the scores.
pub(super) fn weighed(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let wide = |x: &Tensor| x.to_dtype(DType::F32)?.contiguous();
    let scale = 1.0 / (q.dim(3)? as f64).sqrt();
    let scores = (wide(q)?.matmul(&wide(k)?.transpose(2, 3)?)? * scale)?;
    let scores = match mask {
        None => scores,
        Some(mask) => scores.broadcast_add(mask)?,
    };
    softmax(&scores)?.matmul(&wide(v)?)
}

/// Minus infinity where a key lies behind its query; the last `tokens` of `length` positions are the queries.
pub(super) fn causal_mask(tokens: usize, length: usize, device: &Device) -> Result<Tensor> {
    let start = length - tokens;
    let mask: Vec<f32> = (0..tokens)
        .flat_map(|i| (0..length).map(move |j| if j > start + i { f32::NEG_INFINITY } else { 0.0 }))
        .collect();
    Tensor::from_vec(mask, (1, tokens, length), device)
}
