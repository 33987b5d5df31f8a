//! The layers that all towers share: matrices and norms, over whatever the weights are kept in.
//!
//! On CUDA everything is in the weights' type. On the CPU activations are f32, and weights in 16 bits are widened a
//! few rows at a time where they are used: a checkpoint in bf16 gives the same numbers as its f32 copy, in half the
//! memory.

use candle_core::{D, DType, Device, Result, Tensor};
use ocr_kernels::ops::vision_rows::{Activation, Added, Norm, Product, finish};

/// Rows of a 16-bit matrix that are widened at a time on the CPU: with 1,280 columns 1.3 MB, which stays in cache.
const WIDENED_ROWS: usize = 256;

/// `x W^T + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Tensor,
    /// `[out]`, in the activations' type.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// A matrix without bias, `[out, in]`.
    pub fn new(weight: Tensor) -> Self {
        Self { weight, bias: None }
    }

    /// `x` of `[.., in]` to `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_into(x, Activation::None, None)
    }

    /// The same through an activation, and added to a residual.
    pub fn forward_into(
        &self,
        x: &Tensor,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let bias = self.bias.as_ref();
        finish(&self.product(x)?, activation, Added { bias, residual })
    }

    /// A product of this layer without its bias, as `norm_rows` adds it to a residual; in windows or not.
    pub fn to_add<'a>(&'a self, values: &'a Tensor, window: Option<usize>) -> Product<'a> {
        Product {
            values,
            bias: self
                .bias
                .as_ref()
                .expect("layers of the towers that are added have a bias"),
            window,
        }
    }

    /// The product alone, without the bias.
    pub fn product(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let inputs = shape.pop().expect("a matrix multiplies rows");
        shape.push(self.weight.dim(0)?);
        times_transposed(&x.reshape(((), inputs))?, &self.weight)?.reshape(shape)
    }
}

/// `x W^T` for `x` of `[rows, in]` and `weight` of `[out, in]`.
pub fn times_transposed(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if x.dtype() == weight.dtype() {
        return x.matmul(&weight.t()?);
    }
    let outputs = weight.dim(0)?;
    let parts = (0..outputs)
        .step_by(WIDENED_ROWS)
        .map(|row| {
            let rows = weight.narrow(0, row, WIDENED_ROWS.min(outputs - row))?;
            x.matmul(&rows.to_dtype(x.dtype())?.t()?)
        })
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&parts, 1)
}

/// Layer norm over the last dimension.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// `[width]`.
    pub weight: Tensor,
    /// `[width]`.
    pub bias: Tensor,
    /// Added to the variance.
    pub epsilon: f32,
}

impl LayerNorm {
    /// `x` of `[.., width]`, contiguous.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }

    /// The same as `norm_rows` takes it.
    pub fn rows(&self) -> Norm<'_> {
        Norm {
            weight: &self.weight,
            bias: &self.bias,
            epsilon: self.epsilon,
        }
    }
}

/// The type of activations: f32 on the CPU, the weights' own on CUDA.
pub fn activation_type(weights: DType, device: &Device) -> DType {
    if device.is_cpu() { DType::F32 } else { weights }
}

/// Softmax over the last dimension, in f32 whatever comes in; answers in `x`'s type.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::softmax_last_dim(&x.contiguous()?)
}

/// `x` divided by the root of its mean square over the last dimension, rounded to its type, times `weight`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let mean = wide.sqr()?.mean_keepdim(D::Minus1)?;
    let scaled = wide.broadcast_div(&(mean + epsilon)?.sqrt()?)?;
    scaled.to_dtype(x.dtype())?.broadcast_mul(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_in_16_bits_counts_as_its_f32_copy() -> Result<()> {
        let device = Device::Cpu;
        let weight = Tensor::randn(0f32, 1., (WIDENED_ROWS + 44, 24), &device)?.to_dtype(DType::BF16)?;
        let x = Tensor::randn(0f32, 1., (2, 3, 24), &device)?;
        let narrow = Linear::new(weight.clone()).forward(&x)?;
        let wide = Linear::new(weight.to_dtype(DType::F32)?).forward(&x)?;
        assert_eq!(narrow.dims(), [2, 3, WIDENED_ROWS + 44]);
        let difference = (narrow - wide)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(difference < 1e-4, "{difference}");
        Ok(())
    }

    #[test]
    fn norms_follow_their_formulas() -> Result<()> {
        let x = Tensor::new(&[[3f32, -4., 0., 5.]], &Device::Cpu)?;
        let weight = Tensor::new(&[1f32, 1., 1., 2.], &Device::Cpu)?;
        // The mean square is 12.5.
        let y = rms_norm(&x, &weight, 0.)?.to_vec2::<f32>()?;
        let root = 12.5f32.sqrt();
        for (got, expected) in y[0].iter().zip([3. / root, -4. / root, 0., 10. / root]) {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
        Ok(())
    }
}
