//! Attention over a cache in pages, for many sequences at once, over candle's operations.
//!
//! A layer's keys and values lie in one pool of pages; a sequence has some of them, in any order. Where every sequence
//! brings one token, all are attended to together, as wide as the longest needs; longer stretches go one by one. So what is
//! beside a sequence changes the order of its sums, and nothing else.

use super::attention::{Attention, Rotary, causal_mask, weighed};
use crate::layers::times_transposed;
use candle_core::{DType, Device, Result, Tensor};

/// Keys and values of one layer, `[pages * tokens of a page, heads, head]` each.
pub struct Pool {
    keys: Tensor,
    values: Tensor,
    page_tokens: usize,
}

/// Tokens of a sequence on their way through the decoder.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// The first one's position.
    pub start: usize,
    /// How many.
    pub count: usize,
    /// The sequence's pages, enough for all tokens up to these.
    pub pages: Vec<u32>,
}

impl Stretch {
    fn end(&self) -> usize {
        self.start + self.count
    }
}

impl Pool {
    pub fn new(
        (pages, page_tokens): (usize, usize),
        (heads, head): (usize, usize),
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let new = || Tensor::zeros((pages * page_tokens, heads, head), dtype, device);
        Ok(Self {
            keys: new()?,
            values: new()?,
            page_tokens,
        })
    }

    /// Writes keys and values `[tokens, heads, head]` of a stretch into its pages.
    fn write(&self, keys: &Tensor, values: &Tensor, stretch: &Stretch) -> Result<()> {
        let mut done = 0;
        while done < stretch.count {
            let at = stretch.start + done;
            let (page, within) = (at / self.page_tokens, at % self.page_tokens);
            let count = (self.page_tokens - within).min(stretch.count - done);
            let place = stretch.pages[page] as usize * self.page_tokens + within;
            let part = |all: &Tensor| all.narrow(0, done, count)?.contiguous();
            self.keys.slice_set(&part(keys)?, 0, place)?;
            self.values.slice_set(&part(values)?, 0, place)?;
            done += count;
        }
        Ok(())
    }

    /// Keys and values `[sequences, heads, tokens, head]` of the first `tokens` places of each sequence's pages; a page that
    /// a sequence has not is its first.
    fn read(&self, stretches: &[Stretch], tokens: usize) -> Result<(Tensor, Tensor)> {
        let (_, heads, head) = self.keys.dims3()?;
        let (pages, count) = (tokens.div_ceil(self.page_tokens), stretches.len());
        let page = |stretch: &Stretch, n: usize| *stretch.pages.get(n).unwrap_or(&stretch.pages[0]);
        let ids: Vec<u32> = stretches
            .iter()
            .flat_map(|stretch| (0..pages).map(move |n| page(stretch, n)))
            .collect();
        let ids = Tensor::from_vec(ids, count * pages, self.keys.device())?;
        let gather = |pool: &Tensor| {
            pool.reshape(((), self.page_tokens, heads, head))?
                .index_select(&ids, 0)?
                .reshape((count, pages * self.page_tokens, heads, head))?
                .narrow(1, 0, tokens)?
                .transpose(1, 2)
        };
        Ok((gather(&self.keys)?, gather(&self.values)?))
    }
}

impl Attention {
    /// `x` of `[tokens, hidden]`: the stretches one behind the other.
    pub fn forward_paged(
        &self,
        x: &Tensor,
        rotary: &Rotary,
        pool: &Pool,
        stretches: &[Stretch],
    ) -> Result<Tensor> {
        let (tokens, hidden) = x.dims2()?;
        let head = hidden / self.heads;
        let qkv = times_transposed(x, &self.qkv)?.reshape((tokens, 3, self.heads, head))?;
        let part = |n: usize| qkv.narrow(1, n, 1)?.squeeze(1);
        let (q, k, v) = (
            rotary.turn_each(&part(0)?, stretches)?,
            rotary.turn_each(&part(1)?, stretches)?,
            part(2)?,
        );
        let mut at = 0;
        for stretch in stretches {
            let own = |all: &Tensor| all.narrow(0, at, stretch.count);
            pool.write(&own(&k)?, &own(&v)?, stretch)?;
            at += stretch.count;
        }
        let attended = match stretches.iter().all(|stretch| stretch.count == 1) {
            true => attend_to_one_each(&q, pool, stretches)?,
            false => attend_in_turn(&q, pool, stretches)?,
        };
        times_transposed(
            &attended.reshape((tokens, hidden))?.to_dtype(x.dtype())?,
            &self.o_proj,
        )
    }
}

/// `q` of `[sequences, heads, head]` to the same: one token each.
fn attend_to_one_each(q: &Tensor, pool: &Pool, stretches: &[Stretch]) -> Result<Tensor> {
    let longest = stretches.iter().map(Stretch::end).max().unwrap_or(0);
    let (keys, values) = pool.read(stretches, longest)?;
    let mask: Vec<f32> = stretches
        .iter()
        .flat_map(|stretch| {
            (0..longest).map(|at| {
                if at < stretch.end() {
                    0.0
                } else {
                    f32::NEG_INFINITY
                }
            })
        })
        .collect();
    let mask = Tensor::from_vec(mask, (stretches.len(), 1, 1, longest), q.device())?;
    weighed(&q.unsqueeze(2)?, &keys, &values, Some(&mask))?.squeeze(2)
}

fn attend_in_turn(q: &Tensor, pool: &Pool, stretches: &[Stretch]) -> Result<Tensor> {
    let mut at = 0;
    let mut parts = Vec::new();
    for stretch in stretches {
        let (keys, values) = pool.read(std::slice::from_ref(stretch), stretch.end())?;
        let own = q.narrow(0, at, stretch.count)?.unsqueeze(0)?.transpose(1, 2)?;
        let mask = causal_mask(stretch.count, stretch.end(), q.device())?;
        let attended = weighed(&own, &keys, &values, Some(&mask))?;
        parts.push(attended.transpose(1, 2)?.squeeze(0)?);
        at += stretch.count;
    }
    Tensor::cat(&parts, 0)
}

impl Rotary {
    /// Turns `[tokens, heads, head]`, each token by its own position.
    fn turn_each(&self, x: &Tensor, stretches: &[Stretch]) -> Result<Tensor> {
        let positions: Vec<u32> = stretches
            .iter()
            .flat_map(|stretch| stretch.start as u32..stretch.end() as u32)
            .collect();
        let positions = Tensor::new(positions, x.device())?;
        let x = x.transpose(0, 1)?.unsqueeze(0)?;
        self.turn_at(&x, &positions)?.squeeze(0)?.transpose(0, 1)
    }
}
