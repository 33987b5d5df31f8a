//! Attention of one query a row over its context in the paged cache.

use crate::math::{round, softmax};
use half::bf16;

/// softmax(q . k / sqrt(head)) v for every head. `keys` and `values` are [tokens, heads, head], `q` [heads, head].
pub fn attention(q: &[f32], keys: &[bf16], values: &[bf16], head_dim: usize) -> Vec<f32> {
    let width = q.len();
    let mut out = vec![0.0; width];
    for start in (0..width).step_by(head_dim) {
        let head = start..start + head_dim;
        let scores: Vec<f32> = keys
            .chunks_exact(width)
            .map(|key| crate::math::dot(&key[head.clone()], &q[head.clone()]) / (head_dim as f32).sqrt())
            .collect();
        for (p, value) in softmax(&scores).iter().zip(values.chunks_exact(width)) {
            out[head.clone()]
                .iter_mut()
                .zip(&value[head.clone()])
                .for_each(|(sum, v)| *sum += p * v.to_f32());
        }
    }
    out.into_iter().map(round).collect()
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::{HEAD_DIM, HEADS};
    use crate::error::Result;
    use crate::ffi::{Shape, arguments};
    use crate::step::{Rows, Step};
    use crate::tiles::{ATTENTION_SHARED, attention_rows};

    impl Step {
        /// `attended` from `q` and the cache, by the plan of `begin`.
        pub(crate) fn attention(&self, tokens: usize, number: usize, rows: &Rows) -> Result<()> {
            let s = &self.scratch;
            let scale_log2 = (HEAD_DIM as f32).powf(-0.5) * std::f32::consts::LOG2_E;
            let arguments = arguments![
                s.q.address,
                self.keys[number].address,
                self.values[number].address,
                rows.table,
                self.cache_layout(rows.table_pitch),
                s.items.address,
                s.plan.address,
                s.partials.address,
                s.attention_counters.address,
                s.attended.address,
                scale_log2,
            ];
            let grid = [HEADS as u32, attention_rows(tokens), 1];
            let shape = Shape::new(grid, 128).shared(ATTENTION_SHARED);
            // SAFETY: the plan was made for these rows; every table entry is a page of the cache; `partials` has a place
            // for every item the plan may hold.
            unsafe { self.gpu.launch("paged_attention", shape, arguments) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::{assert_close, tensor, values, weights};
    use candle_core::{D, Device, Tensor};

    #[test]
    fn attention_is_candles() {
        let (heads, head_dim, tokens) = (3, 8, 13);
        let q = values(1, heads * head_dim, 2.0);
        let (keys, contents) = (
            weights(2, tokens * q.len(), 1.0),
            weights(3, tokens * q.len(), 1.0),
        );
        let by_head = |all: &[bf16]| {
            tensor(all, &[tokens, heads, head_dim])
                .transpose(0, 1)
                .unwrap()
                .contiguous()
                .unwrap()
        };
        let query = Tensor::from_vec(q.clone(), (heads, 1, head_dim), &Device::Cpu).unwrap();
        let scores = query.matmul(&by_head(&keys).t().unwrap()).unwrap();
        let scores = (scores / (head_dim as f64).sqrt()).unwrap().exp().unwrap();
        let total = scores.sum_keepdim(D::Minus1).unwrap();
        let want = scores
            .broadcast_div(&total)
            .unwrap()
            .matmul(&by_head(&contents))
            .unwrap();
        let want: Vec<f32> = want.flatten_all().unwrap().to_vec1().unwrap();
        assert_close(&attention(&q, &keys, &contents, head_dim), &want, 4e-3);
    }
}
