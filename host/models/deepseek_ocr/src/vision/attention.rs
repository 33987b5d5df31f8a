//! Attention of the two towers: every token sees every other, with or without decomposed relative positions.

use crate::layers::softmax;
use candle_core::{DType, Result, Tensor};

/// Bytes of scores that are held at a time; more heads than fit are taken one after the other.
const SCORE_BYTES: usize = 256 << 20;

/// Relative positions of a grid (MViTv2's decomposition, as in SAM): the bias of a score is
/// `q . rows[yq, yk] + q . columns[xq, xk]`, with the unscaled query.
#[derive(Debug, Clone)]
pub struct RelativePositions {
    /// Side of the grid.
    pub side: usize,
    /// The tables, `[2 * side - 1, head]`, by rows and by columns: what the kernel takes.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code))]
    tables: [Tensor; 2],
    /// `[side, side, head]`, by row of the query and row of the key.
    pub rows: Tensor,
    /// The same by columns.
    pub columns: Tensor,
    /// `[side * side, 2 * side]`: which row and which column a key lies in.
    pub places: Tensor,
}

impl RelativePositions {
    /// From tables of `[2 * side - 1, head]`: entry `i - j + side - 1` is for query `i` and key `j`.
    pub fn new(rows: &Tensor, columns: &Tensor, side: usize) -> Result<Self> {
        let device = rows.device();
        let index: Vec<u32> = (0..side)
            .flat_map(|i| (0..side).map(move |j| (i + side - 1 - j) as u32))
            .collect();
        let index = Tensor::from_vec(index, side * side, device)?;
        let square = |table: &Tensor| {
            let head = table.dim(1)?;
            table.index_select(&index, 0)?.reshape((side, side, head))
        };
        let mut places = vec![0f32; side * side * 2 * side];
        for (key, place) in places.chunks_exact_mut(2 * side).enumerate() {
            place[key / side] = 1.0;
            place[side + key % side] = 1.0;
        }
        let places = Tensor::from_vec(places, (side * side, 2 * side), device)?.to_dtype(rows.dtype())?;
        Ok(Self {
            side,
            tables: [rows.clone(), columns.clone()],
            rows: square(rows)?,
            columns: square(columns)?,
            places,
        })
    }

    /// For each query its bias by row and by column of the key: `[batch * heads, side * side, 2 * side]`.
    fn biases(&self, q: &Tensor) -> Result<Tensor> {
        let (outer, tokens, head) = q.dims3()?;
        let s = self.side;
        let q = q.reshape((outer, s, s, head))?;
        // All queries of a row of the grid share one matrix, and all of a column another.
        let by_row = q.transpose(0, 1)?.contiguous()?.reshape((s, outer * s, head))?;
        let by_row = by_row.matmul(&self.rows.transpose(1, 2)?)?;
        let by_row = by_row.reshape((s, outer, s, s))?.transpose(0, 1)?;
        let by_column = q
            .permute((2, 0, 1, 3))?
            .contiguous()?
            .reshape((s, outer * s, head))?;
        let by_column = by_column.matmul(&self.columns.transpose(1, 2)?)?;
        let by_column = by_column.reshape((s, outer, s, s))?.permute((1, 2, 0, 3))?;
        Tensor::cat(&[by_row, by_column], 3)?.reshape((outer, tokens, 2 * s))
    }
}

/// Attention over `qkv` of `[batch, tokens, 3 * heads * head]`, as one matrix gives it before its `bias` is added; answers
/// `[batch, tokens, heads * head]`.
pub fn attend(
    qkv: &Tensor,
    bias: Option<&Tensor>,
    heads: usize,
    positions: Option<&RelativePositions>,
) -> Result<Tensor> {
    let (batch, tokens, width) = qkv.dims3()?;
    let head = width / 3 / heads;
    #[cfg(feature = "cuda")]
    if qkv.device().is_cuda()
        && qkv.dtype() == DType::BF16
        && head == ocr_kernels::ops::vision_attention::HEAD_DIM
    {
        let relative = positions.map(|positions| ocr_kernels::RelativePosition {
            height: &positions.tables[0],
            width: &positions.tables[1],
        });
        return ocr_kernels::vision_attention(&qkv.contiguous()?, heads, bias, relative)
            .map_err(candle_core::Error::wrap);
    }
    let qkv = match bias {
        Some(bias) => qkv.broadcast_add(bias)?,
        None => qkv.clone(),
    };
    let qkv = qkv
        .reshape((batch, tokens, 3, heads, head))?
        .permute((2, 0, 3, 1, 4))?;
    let part = |n: usize| {
        let part = qkv.get(n)?.contiguous()?;
        part.reshape((batch * heads, tokens, head))
    };
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let scale = 1.0 / (head as f64).sqrt();
    let (q, k) = match positions {
        // The biases ride along as further dimensions of queries and keys, so that one product makes the scores.
        Some(positions) => {
            let biases = positions.biases(&q)?;
            let places = positions.places.broadcast_left(batch * heads)?;
            (
                Tensor::cat(&[(q * scale)?, biases], 2)?,
                Tensor::cat(&[k, places.contiguous()?], 2)?,
            )
        }
        None => ((q * scale)?, k),
    };
    // Scores of 16 bits would be off by more than a softmax forgives.
    let wide = |x: &Tensor| x.to_dtype(DType::F32);
    let at_a_time = (SCORE_BYTES / (4 * tokens * tokens)).clamp(1, batch * heads);
    let parts = (0..batch * heads)
        .step_by(at_a_time)
        .map(|first| {
            let count = at_a_time.min(batch * heads - first);
            let part = |x: &Tensor| x.narrow(0, first, count);
            let scores = wide(&part(&q)?)?.matmul(&wide(&part(&k)?)?.transpose(1, 2)?)?;
            softmax(&scores)?.matmul(&wide(&part(&v)?)?)?.to_dtype(v.dtype())
        })
        .collect::<Result<Vec<_>>>()?;
    let out = Tensor::cat(&parts, 0)?.reshape((batch, heads, tokens, head))?;
    out.transpose(1, 2)?.reshape((batch, tokens, heads * head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// The formula, one score at a time.
    fn plain(qkv: &Tensor, heads: usize, tables: Option<(&Tensor, &Tensor, usize)>) -> Vec<f32> {
        let (batch, tokens, width) = qkv.dims3().unwrap();
        let head = width / 3 / heads;
        let x = qkv.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let at = |b: usize, t: usize, part: usize, h: usize| {
            &x[(b * tokens + t) * width + part * heads * head + h * head..][..head]
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let row = |table: &Tensor, n: usize| table.get(n).unwrap().to_vec1::<f32>().unwrap();
        let mut out = vec![0f32; batch * tokens * heads * head];
        for (b, i, h) in
            (0..batch).flat_map(|b| (0..tokens).flat_map(move |i| (0..heads).map(move |h| (b, i, h))))
        {
            let q = at(b, i, 0, h);
            let scores: Vec<f32> = (0..tokens)
                .map(|j| {
                    let score = dot(q, at(b, j, 1, h)) / (head as f32).sqrt();
                    let bias = tables.map_or(0.0, |(rows, columns, s)| {
                        dot(q, &row(rows, i / s + s - 1 - j / s))
                            + dot(q, &row(columns, i % s + s - 1 - j % s))
                    });
                    (score + bias).exp()
                })
                .collect();
            let sum: f32 = scores.iter().sum();
            let to = &mut out[(b * tokens + i) * heads * head + h * head..][..head];
            for (j, score) in scores.iter().enumerate() {
                to.iter_mut()
                    .zip(at(b, j, 2, h))
                    .for_each(|(o, v)| *o += score / sum * v);
            }
        }
        out
    }

    #[test]
    fn attention_follows_the_formula_with_and_without_positions() -> Result<()> {
        let (device, side, heads, head) = (Device::Cpu, 5, 2, 4);
        let qkv = Tensor::randn(0f32, 1., (2, side * side, 3 * heads * head), &device)?;
        let rows = Tensor::randn(0f32, 0.5, (2 * side - 1, head), &device)?;
        let columns = Tensor::randn(0f32, 0.5, (2 * side - 1, head), &device)?;
        let positions = RelativePositions::new(&rows, &columns, side)?;
        for (positions, tables) in [(None, None), (Some(&positions), Some((&rows, &columns, side)))] {
            let ours = attend(&qkv, None, heads, positions)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            for (ours, plain) in ours.iter().zip(plain(&qkv, heads, tables)) {
                assert!((ours - plain).abs() < 1e-5, "{ours} {plain}");
            }
        }
        Ok(())
    }
}
