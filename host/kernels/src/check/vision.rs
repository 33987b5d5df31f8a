//! The vision towers' attention against its twin.

use super::host::{in_parallel, matrix, relative_error};
use super::{BF16_LIMIT, Comparison, normal};
use crate::error::Result;
use crate::ops::vision_attention::{HEAD_DIM, RelativePosition, attend, relative_bias, vision_attention};
use crate::ops::vision_rows::{
    Activation, Added, Norm, Product, finish, norm_rows, patches_3x3, pixel_patches,
};
use candle_core::{DType, Device, Tensor};
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
        // Half of the shapes with the linear layer's bias left to the kernel.
        let of_qkv = normal(&[3 * heads * HEAD_DIM], 0.0, 0.7, device)?;
        let of_qkv = (heads % 2 == 0).then_some(of_qkv);
        let out = vision_attention(&qkv, heads, of_qkv.as_ref(), bias)?
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let qkv = match &of_qkv {
            Some(bias) => qkv
                .to_dtype(DType::F32)?
                .broadcast_add(&bias.to_dtype(DType::F32)?)?
                .to_dtype(DType::BF16)?,
            None => qkv,
        };
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

/// What stands between the towers' products, on this device against candle's operations on the CPU in f32, over the towers'
/// shapes.
pub fn vision_rows(device: &Device) -> Result<Vec<Comparison>> {
    let cpu = Device::Cpu;
    let random = |shape: &[usize]| -> Result<[Tensor; 2]> {
        let exact = Tensor::randn(0f32, 2.0, shape, &cpu)?.to_dtype(DType::BF16)?;
        Ok([exact.to_device(device)?, exact.to_dtype(DType::F32)?])
    };
    let mut all = Vec::new();
    let mut compare = |what: &'static str, rows: usize, got: &Tensor, want: &Tensor| -> Result<()> {
        let values = |x: &Tensor| -> Result<Vec<f32>> {
            Ok(x.to_device(&cpu)?
                .to_dtype(DType::F32)?
                .flatten_all()?
                .to_vec1()?)
        };
        let error = relative_error(&values(got)?, &values(want)?);
        all.push(Comparison {
            what,
            rows,
            error,
            limit: BF16_LIMIT,
        });
        Ok(())
    };
    for (batch, side, columns) in [
        (1, 64, 768),
        (6, 40, 768),
        (2, 32, 48),
        (1, 80, 256),
        (3, 17, 1024),
    ] {
        let [x, wide_x] = random(&[batch, side, side, columns])?;
        let [one, wide_one] = random(&[1, side, side, columns])?;
        let [values, wide_values] = random(&[batch, side, side, columns])?;
        let across = side.div_ceil(14);
        let [cut, wide_cut] = random(&[batch * across * across, 14, 14, columns])?;
        let [bias, wide_bias] = random(&[columns])?;
        let [weight, wide_weight] = random(&[columns])?;
        for activation in [Activation::None, Activation::Gelu, Activation::QuickGelu] {
            let added = |bias, residual| Added {
                bias: Some(bias),
                residual: Some(residual),
            };
            let got = finish(&x, activation, added(&bias, &values))?;
            let want = finish(&wide_x, activation, added(&wide_bias, &wide_values))?;
            compare("finish_rows", side, &got, &want)?;
        }
        let norm = |weight, bias| Norm {
            weight,
            bias,
            epsilon: 1e-6,
        };
        let product = |values, bias, window| Some(Product { values, bias, window });
        let ways: [(&Tensor, &Tensor, _, _, _); 5] = [
            (&x, &wide_x, None, None, None),
            (&x, &wide_x, None, None, Some(14)),
            (
                &x,
                &wide_x,
                product(&values, &bias, None),
                product(&wide_values, &wide_bias, None),
                Some(14),
            ),
            (
                &x,
                &wide_x,
                product(&cut, &bias, Some(14)),
                product(&wide_cut, &wide_bias, Some(14)),
                None,
            ),
            (
                &one,
                &wide_one,
                product(&values, &bias, None),
                product(&wide_values, &wide_bias, None),
                None,
            ),
        ];
        for (x, wide_x, product, wide_product, window) in ways {
            let (sum, normed) = norm_rows(x, product, norm(&weight, &bias), window)?;
            let (wide_sum, wide_normed) =
                norm_rows(wide_x, wide_product, norm(&wide_weight, &wide_bias), window)?;
            compare("norm_rows sum", side, &sum, &wide_sum)?;
            compare("norm_rows", side, &normed, &wide_normed)?;
        }
        for stride in [1, 2] {
            compare(
                "patches_3x3",
                side,
                &patches_3x3(&x, stride)?,
                &patches_3x3(&wide_x, stride)?,
            )?;
        }
    }
    let bytes: Vec<u8> = (0..2 * 640 * 640 * 3)
        .map(|n: usize| ((n * 7919) >> 3) as u8)
        .collect();
    let [levels, wide_levels] = random(&[256])?;
    let on = |device: &Device| Tensor::from_slice(&bytes, (2, 640, 640, 3), device);
    let (got, want) = (
        pixel_patches(&on(device)?, &levels)?,
        pixel_patches(&on(&cpu)?, &wide_levels)?,
    );
    compare("pixel_patches", 640, &got, &want)?;
    Ok(all)
}
