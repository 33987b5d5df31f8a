//! The arithmetic that the twins on the CPU share.

use half::bf16;

/// To bf16 and back.
pub(crate) fn round(value: f32) -> f32 {
    bf16::from_f32(value).to_f32()
}

/// x * sigmoid(x).
pub(crate) fn silu(value: f32) -> f32 {
    value / (1.0 + (-value).exp())
}

/// Sum of products, in eight partial sums so that the compiler may use vectors.
pub(crate) fn dot(weights: &[bf16], values: &[f32]) -> f32 {
    assert_eq!(weights.len(), values.len(), "a weight for every value");
    let mut sums = [0.0; 8];
    let (weights, weights_left) = weights.as_chunks::<8>();
    let (values, values_left) = values.as_chunks::<8>();
    for (weights, values) in weights.iter().zip(values) {
        for lane in 0..8 {
            sums[lane] += weights[lane].to_f32() * values[lane];
        }
    }
    let left: f32 = weights_left
        .iter()
        .zip(values_left)
        .map(|(w, v)| w.to_f32() * v)
        .sum();
    sums.iter().sum::<f32>() + left
}

/// A matrix [out, in] times a vector [in].
pub(crate) fn multiply(matrix: &[bf16], vector: &[f32]) -> Vec<f32> {
    matrix
        .chunks_exact(vector.len())
        .map(|row| dot(row, vector))
        .collect()
}

/// softmax(values).
pub(crate) fn softmax(values: &[f32]) -> Vec<f32> {
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = values.iter().map(|value| (value - highest).exp()).collect();
    let total: f32 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    //! Values for tests: the same on every machine.

    use candle_core::{Device, Tensor};
    use half::bf16;

    /// `count` values in [-scale, scale), from a linear congruential generator.
    pub(crate) fn values(seed: u64, count: usize, scale: f32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            scale * (((state >> 40) as f32) / 8_388_608.0 - 1.0)
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    pub(crate) fn weights(seed: u64, count: usize, scale: f32) -> Vec<bf16> {
        values(seed, count, scale)
            .into_iter()
            .map(bf16::from_f32)
            .collect()
    }

    /// As an f32 tensor on the CPU, for candle's own operations.
    pub(crate) fn tensor(weights: &[bf16], shape: &[usize]) -> Tensor {
        let wide: Vec<f32> = weights.iter().map(|w| w.to_f32()).collect();
        Tensor::from_vec(wide, shape, &Device::Cpu).unwrap()
    }

    pub(crate) fn assert_close(got: &[f32], want: &[f32], limit: f32) {
        assert_eq!(got.len(), want.len());
        for (at, (got, want)) in got.iter().zip(want).enumerate() {
            assert!((got - want).abs() <= limit, "value {at} is {got}, not {want}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{assert_close, tensor, values, weights};
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn products_are_candles() {
        let (matrix, vector) = (weights(1, 5 * 19, 1.0), values(2, 19, 1.0));
        let column = Tensor::from_vec(vector.clone(), (19, 1), &Device::Cpu).unwrap();
        let want = tensor(&matrix, &[5, 19])
            .matmul(&column)
            .unwrap()
            .flatten_all()
            .unwrap();
        assert_close(&multiply(&matrix, &vector), &want.to_vec1().unwrap(), 1e-5);
    }

    #[test]
    fn rounding_and_softmax_by_hand() {
        assert_eq!(round(1.0 + 1.0 / 256.0), 1.0); // halfway between 1 and the next bf16: to the even one
        assert_close(
            &softmax(&[0.0, 2.0_f32.ln(), 5.0_f32.ln()]),
            &[0.125, 0.25, 0.625],
            1e-6,
        );
        assert_close(&[silu(0.0), silu(1.0)], &[0.0, 0.731_058_6], 1e-6);
    }
}
