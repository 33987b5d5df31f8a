//! CLIP-L's vision transformer (arXiv 2103.00020) over SAM's features in place of its own patches.
//!
//! Reference: deepencoder.py beside DeepSeek-OCR's weights. There is no norm behind the last layer, and the class
//! token is dropped from the answer.

use super::attention::attend;
use super::resample::{self, PerGrid};
use crate::config::ClipConfig;
use crate::error::ModelError;
use crate::layers::{LayerNorm, Linear};
use crate::load::{Home, Loader};
use candle_core::{Result, Tensor};
use ocr_kernels::ops::vision_rows::{Activation, norm_rows};

const TRAINED_GRID: usize = ClipConfig::POSITIONS_SIDE;
const EPSILON: f32 = ClipConfig::NORM_EPS as f32;

/// The tower.
pub struct Clip {
    class_embedding: Tensor,
    /// `[1, grid * grid + 1, width]`.
    positions: PerGrid<Tensor>,
    home: Home,
    position_embedding: Vec<f32>,
    pre_layrnorm: LayerNorm,
    layers: Vec<Layer>,
}

struct Layer {
    layer_norm1: LayerNorm,
    qkv_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl Clip {
    /// Takes the tensors `model.vision_model.*`.
    pub fn load(load: &Loader, config: &ClipConfig) -> std::result::Result<Self, ModelError> {
        let load = load.under("model.vision_model");
        let width = config.width;
        Ok(Self {
            class_embedding: load
                .vector("embeddings.class_embedding", &[width])?
                .reshape((1, 1, width))?,
            positions: PerGrid::new(),
            home: load.home(),
            position_embedding: load.plain(
                "embeddings.position_embedding.weight",
                &[TRAINED_GRID * TRAINED_GRID + 1, width],
            )?,
            pre_layrnorm: load.layer_norm("pre_layrnorm", width, EPSILON)?,
            layers: (0..config.layers)
                .map(|n| Layer::load(&load.under(&format!("transformer.layers.{n}")), config))
                .collect::<std::result::Result<_, _>>()?,
        })
    }

    /// Features `[N, g, g, width]` to tokens `[N, g * g, width]`.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let (count, grid, _, width) = features.dims4()?;
        let tokens = features.reshape((count, grid * grid, width))?;
        let class = self.class_embedding.broadcast_as((count, 1, width))?;
        let x = Tensor::cat(&[class, tokens], 1)?.broadcast_add(&self.positions(grid)?)?;
        // `norm_rows` knows grids; these are columns of tokens.
        let mut x = self.pre_layrnorm.forward(&x)?;
        let mut normed = match self.layers.first() {
            Some(first) => first.layer_norm1.forward(&x)?,
            None => x.clone(),
        };
        for (n, layer) in self.layers.iter().enumerate() {
            (x, normed) = layer.forward(&x, &normed, self.layers.get(n + 1))?;
        }
        x.narrow(1, 1, grid * grid)?.contiguous()
    }

    fn positions(&self, grid: usize) -> Result<Tensor> {
        self.positions.get(grid, || {
            let width = self.class_embedding.dim(2)?;
            let (class, square) = self.position_embedding.split_at(width);
            let square = resample::bicubic(square, TRAINED_GRID, width, grid);
            self.home
                .place([class, &square].concat(), &[1, grid * grid + 1, width])
        })
    }
}

impl Layer {
    fn load(load: &Loader, config: &ClipConfig) -> std::result::Result<Self, ModelError> {
        let width = config.width;
        Ok(Self {
            layer_norm1: load.layer_norm("layer_norm1", width, EPSILON)?,
            qkv_proj: load.linear("self_attn.qkv_proj", 3 * width, width)?,
            out_proj: load.linear("self_attn.out_proj", width, width)?,
            layer_norm2: load.layer_norm("layer_norm2", width, EPSILON)?,
            fc1: load.linear("mlp.fc1", ClipConfig::MLP_RATIO * width, width)?,
            fc2: load.linear("mlp.fc2", width, ClipConfig::MLP_RATIO * width)?,
            heads: config.heads,
        })
    }

    /// From the residual stream and its norm to those of the `next` layer.
    fn forward(&self, x: &Tensor, normed: &Tensor, next: Option<&Layer>) -> Result<(Tensor, Tensor)> {
        let qkv = self.qkv_proj.product(normed)?;
        let attended = attend(&qkv, self.qkv_proj.bias.as_ref(), self.heads, None)?;
        let (x, normed) = add(x, &self.out_proj, &attended, Some(&self.layer_norm2))?;
        let inner = self.fc1.forward_into(&normed, Activation::QuickGelu, None)?;
        add(&x, &self.fc2, &inner, next.map(|next| &next.layer_norm1))
    }
}

/// `x + linear(values)` and its norm, of `[N, tokens, width]`; without a norm the sum twice.
fn add(x: &Tensor, linear: &Linear, values: &Tensor, norm: Option<&LayerNorm>) -> Result<(Tensor, Tensor)> {
    let Some(norm) = norm else {
        let sum = linear.forward_into(values, Activation::None, Some(x))?;
        return Ok((sum.clone(), sum));
    };
    // Each token is a grid of its own.
    let tokens = |x: &Tensor| {
        let (count, tokens, width) = x.dims3()?;
        x.reshape((count * tokens, 1, 1, width))
    };
    let product = tokens(&linear.product(values)?)?;
    let (sum, normed) = norm_rows(
        &tokens(x)?,
        Some(linear.to_add(&product, None)),
        norm.rows(),
        None,
    )?;
    Ok((sum.reshape(x.shape())?, normed.reshape(x.shape())?))
}
