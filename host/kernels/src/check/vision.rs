//! The vision towers' attention against its twin.

use super::host::{in_parallel, matrix, relative_error};
use super::{BF16_LIMIT, Comparison, normal};
use crate::error::Result;
use crate::ops::vision_attention::{HEAD_DIM, RelativePosition, attend, relative_bias, vision_attention};
use candle_core::{DType, Device};
use half::bf16;

/// Batch, tokens, heads, and whether there is a bias: SAM's windows and grids, CLIP's views with their class token.
const SHAPES: [(usize, usize, usize, bool); 9] = [
    (3, 196, 12, true),
    (1, 1024, 3, true),
    (2, 1600, 2, true),
    (1, 4096, 2, true),
    (1, 6400, 1, true),
    (2, 257, 16, false),
    (1, 401, 3, false),
    (3, 101, 2, false),
    (2, 65, 16, false),
];
/// Of long sequences every such query is compared; no side divides by it.
const STRIDE: usize = 37;

/// Compares each shape and shows it; `rows` of a comparison are its tokens.
pub fn vision(device: &Device, show: &mut dyn FnMut(&Comparison)) -> Result<()> {
    for (batch, tokens, heads, biased) in SHAPES {
        let side = tokens.isqrt();
        let qkv = normal(&[batch, tokens, 3 * heads * HEAD_DIM], 0.0, 1.0, device)?;
        let table = || normal(&[2 * side - 1, HEAD_DIM], 0.0, 0.3, device);
        let (height, width) = (table()?, table()?);
        let bias = biased.then_some(RelativePosition {
            height: &height,
            width: &width,
        });
        let out = vision_attention(&qkv, heads, bias)?
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let (qkv, height, width) = (matrix(&qkv)?, matrix(&height)?, matrix(&width)?);
        let at = |sequence: usize, token: usize, matrix: usize, head: usize| -> &[bf16] {
            let from = (((sequence * tokens + token) * 3 + matrix) * heads + head) * HEAD_DIM;
            &qkv[from..][..HEAD_DIM]
        };
        let stride = if tokens > 500 { STRIDE } else { 1 };
        let compared: Vec<usize> = (0..tokens).step_by(stride).collect();
        let rows = in_parallel(batch * heads * compared.len(), |index| {
            let (token, rest) = (compared[index % compared.len()], index / compared.len());
            let (sequence, head) = (rest / heads, rest % heads);
            let all = |matrix| {
                (0..tokens)
                    .map(|token| at(sequence, token, matrix, head))
                    .collect::<Vec<_>>()
            };
            let q: Vec<f32> = at(sequence, token, 0, head).iter().map(|v| v.to_f32()).collect();
            let bias = match biased {
                true => relative_bias(&q, (token / side, token % side), side, &height, &width),
                false => Vec::new(),
            };
            let got = out[((sequence * tokens + token) * heads + head) * HEAD_DIM..][..HEAD_DIM].to_vec();
            (got, attend(&q, &all(1), &all(2), &bias))
        });
        let (got, want): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let what = if biased {
            "vision_attention biased"
        } else {
            "vision_attention plain"
        };
        let error = relative_error(&got.concat(), &want.concat());
        show(&Comparison {
            what,
            rows: tokens,
            error,
            limit: BF16_LIMIT,
        });
    }
    Ok(())
}
