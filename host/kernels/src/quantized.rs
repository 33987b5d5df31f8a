//! Weights of 8 bits: each row of a matrix as signed bytes and one scale, in the order that the kernels read.

use crate::error::{KernelError, Result};
use candle_core::{D, DType, Tensor};

/// How each 16 of a row lie, so that what one lane of a tensor-core fragment needs are neighbours (`cuda/gemm_tile.cuh`).
pub const ORDER: [u32; 16] = [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15];

/// The largest byte.
const MOST: f64 = 127.0;
/// Rows that are worked on at a time: their f32 copies take 84 MB at 1,280 columns.
const ROWS: usize = 16_384;

/// A matrix `[.., columns]` as bytes of the same shape (u8, two's complement) and f32 scales `[..]`: a value is its byte
/// times its row's scale, the largest of a row 127 times it. `columns` is a multiple of 16.
pub fn quantize(matrix: &Tensor) -> Result<(Tensor, Tensor)> {
    let columns = matrix.dim(D::Minus1)?;
    if columns == 0 || !columns.is_multiple_of(ORDER.len()) {
        let text = format!("{columns} columns are no multiple of 16, which 8-bit weights need");
        return Err(KernelError::argument(text));
    }
    let rows = matrix.elem_count() / columns;
    let flat = matrix.reshape((rows, columns))?;
    let order = Tensor::new(&ORDER, matrix.device())?;
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for first in (0..rows).step_by(ROWS) {
        let wide = flat
            .narrow(0, first, ROWS.min(rows - first))?
            .to_dtype(DType::F32)?;
        // A row of zeros has any scale.
        let scale = (wide.abs()?.max_keepdim(1)? / MOST)?.maximum(f64::from(f32::MIN_POSITIVE))?;
        let values = wide.broadcast_div(&scale)?.round()?;
        let below = (values.lt(0f32)?.to_dtype(DType::F32)? * 256.0)?;
        let count = values.dim(0)?;
        let unsigned = (values + below)?.reshape((count * columns / ORDER.len(), ORDER.len()))?;
        let ordered = unsigned.index_select(&order, 1)?.reshape((count, columns))?;
        bytes.push(ordered.to_dtype(DType::U8)?);
        scales.push(scale.squeeze(1)?);
    }
    let mut shape = matrix.dims().to_vec();
    let bytes = Tensor::cat(&bytes, 0)?.reshape(&shape[..])?;
    shape.pop();
    Ok((bytes, Tensor::cat(&scales, 0)?.reshape(&shape[..])?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn bytes_stand_for_what_was_there_to_half_a_step() {
        let (rows, columns) = (5, 48);
        let matrix = Tensor::randn(0f32, 0.05, (rows, columns), &Device::Cpu).unwrap();
        let zeros = Tensor::zeros((1, columns), DType::F32, &Device::Cpu).unwrap();
        let matrix = Tensor::cat(&[&matrix, &zeros], 0).unwrap();
        let (bytes, scales) = quantize(&matrix).unwrap();
        let (want, bytes) = (matrix.to_vec2::<f32>().unwrap(), bytes.to_vec2::<u8>().unwrap());
        let scales = scales.to_vec1::<f32>().unwrap();
        for row in 0..=rows {
            let mut most = 0;
            for (at, &byte) in bytes[row].iter().enumerate() {
                let column = at / 16 * 16 + ORDER[at % 16] as usize;
                let error = (f32::from(byte as i8) * scales[row] - want[row][column]).abs();
                assert!(
                    error <= 0.501 * scales[row],
                    "row {row}, column {column}: {error}"
                );
                most = most.max((byte as i8).unsigned_abs());
            }
            assert_eq!(most, if row == rows { 0 } else { 127 });
        }
    }

    #[test]
    fn columns_come_by_sixteens() {
        let matrix = Tensor::zeros((2, 24), DType::F32, &Device::Cpu).unwrap();
        assert!(quantize(&matrix).unwrap_err().to_string().contains("24 columns"));
    }
}
