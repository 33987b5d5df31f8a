//! Tensors of a checkpoint by name, in the types that the layers want.

use crate::error::ModelError;
use crate::layers::{LayerNorm, Linear, activation_type};
use candle_core::{DType, Device, Tensor};
use ocr_weights::Checkpoint;

/// A part of a checkpoint, seen from a prefix.
#[derive(Clone)]
pub struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    prefix: String,
    weights: DType,
    device: &'a Device,
}

type Result<T> = std::result::Result<T, ModelError>;

impl<'a> Loader<'a> {
    /// The whole checkpoint; matrices are kept as `weights`.
    pub fn new(checkpoint: &'a Checkpoint, weights: DType, device: &'a Device) -> Self {
        Self {
            checkpoint,
            prefix: String::new(),
            weights,
            device,
        }
    }

    /// The part under `name`.
    pub fn under(&self, name: &str) -> Self {
        Self {
            prefix: self.name(name) + ".",
            ..self.clone()
        }
    }

    /// Where tensors go.
    pub fn device(&self) -> &'a Device {
        self.device
    }

    /// The type of activations.
    pub fn activations(&self) -> DType {
        activation_type(self.weights, self.device)
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn take(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.checkpoint.tensor_as(&self.name(name), dtype, device)?;
        // Shapes were checked when the checkpoint was opened.
        Ok(tensor.reshape(shape)?)
    }

    /// A matrix, as weights are kept.
    pub fn matrix(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.take(name, shape, self.weights, self.device)
    }

    /// A small tensor (bias, norm, convolution), as activations are kept.
    pub fn vector(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.take(name, shape, self.activations(), self.device)
    }

    /// A table on the host, f32.
    pub fn plain(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let table = self.take(name, shape, DType::F32, &Device::Cpu)?;
        Ok(table.flatten_all()?.to_vec1()?)
    }

    /// `NAME.weight` and `NAME.bias`.
    pub fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        Ok(Linear {
            weight: self.matrix(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: Some(self.vector(&format!("{name}.bias"), &[outputs])?),
        })
    }

    /// `NAME.weight` and `NAME.bias` of a norm.
    pub fn layer_norm(&self, name: &str, width: usize, epsilon: f32) -> Result<LayerNorm> {
        Ok(LayerNorm {
            weight: self.vector(&format!("{name}.weight"), &[width])?,
            bias: self.vector(&format!("{name}.bias"), &[width])?,
            epsilon,
        })
    }

    /// Matrices of `[rows, columns]` each, one below the other.
    pub fn stacked(&self, names: &[String], rows: usize, columns: usize) -> Result<Tensor> {
        let count = names.len();
        let names: Vec<String> = names.iter().map(|name| self.name(name)).collect();
        let stack = self.checkpoint.stacked(&names, self.weights, self.device)?;
        Ok(stack.reshape((count * rows, columns))?)
    }

    /// Where tables that are made later go.
    pub(crate) fn home(&self) -> Home {
        Home {
            dtype: self.activations(),
            device: self.device.clone(),
        }
    }
}

/// Where activations live, and as what.
pub(crate) struct Home {
    dtype: DType,
    device: Device,
}

impl Home {
    /// Values of the host as a tensor there.
    pub fn place(&self, values: Vec<f32>, shape: &[usize]) -> candle_core::Result<Tensor> {
        let table = Tensor::from_vec(values, shape, &Device::Cpu)?;
        table.to_dtype(self.dtype)?.to_device(&self.device)
    }
}
