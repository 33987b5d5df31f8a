//! SAM's image encoder (ViTDet, "Segment Anything", arXiv 2304.02643) with the two convolutions that upstream puts
//! behind its neck: an image of S x S becomes a grid of S/64 x S/64. Channels are innermost all the way.
//!
//! Reference: deepencoder.py, published beside DeepSeek-OCR's weights; fields carry the checkpoint's names.
//! DeepSeek-OCR-2 has the same tower with another width behind `net_3`.

use super::attention::{RelativePositions, attend};
use super::resample::{self, PerGrid};
use crate::config::SamConfig;
use crate::error::ModelError;
use crate::layers::{LayerNorm, Linear};
use crate::load::{Home, Loader};
use candle_core::{Result, Tensor};
use ocr_kernels::ops::vision_rows::{Activation, PATCH, norm_rows, patches_3x3};
use std::sync::Arc;

const PATCH_PX: usize = SamConfig::PATCH_PX;
const _: () = assert!(PATCH_PX == PATCH, "pixels are cut by the kernels");
const WINDOW: usize = SamConfig::WINDOW;
const TRAINED_GRID: usize = SamConfig::POSITIONS_SIDE;
const EPSILON: f32 = SamConfig::NORM_EPS as f32;

/// The tower.
pub struct Sam {
    patch_embed: Linear,
    /// `[1, grid, grid, width]`.
    pos_embed: PerGrid<Tensor>,
    /// As it was trained.
    pos_table: Vec<f32>,
    home: Home,
    blocks: Vec<Block>,
    neck_0: Linear,
    neck_1: LayerNorm,
    neck_2: Convolution,
    neck_3: LayerNorm,
    net_2: Convolution,
    net_3: Convolution,
}

/// 3 x 3, with a border of one and no bias.
struct Convolution {
    /// `[out, 9 * in]`, place by place.
    linear: Linear,
    stride: usize,
}

struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    /// For the grid that is attended over.
    positions: PerGrid<Arc<RelativePositions>>,
    rel_pos: [Vec<f32>; 2],
    home: Home,
    norm2: LayerNorm,
    lin1: Linear,
    lin2: Linear,
    heads: usize,
    is_global: bool,
}

impl Sam {
    /// Takes the tensors `model.sam_model.*`.
    pub fn load(load: &Loader, config: &SamConfig) -> std::result::Result<Self, ModelError> {
        let load = load.under("model.sam_model");
        let width = config.width;
        let patch = load.matrix("patch_embed.proj.weight", &[width, 3, PATCH_PX, PATCH_PX])?;
        let blocks = (0..config.layers)
            .map(|n| Block::load(&load.under(&format!("blocks.{n}")), config, n))
            .collect::<std::result::Result<_, _>>()?;
        let [down_2, down_3] = config.downsample_channels;
        let neck = config.neck_channels;
        Ok(Self {
            patch_embed: Linear {
                weight: patch.reshape((width, 3 * PATCH_PX * PATCH_PX))?,
                bias: Some(load.vector("patch_embed.proj.bias", &[width])?),
            },
            pos_embed: PerGrid::new(),
            pos_table: load.plain("pos_embed", &[1, TRAINED_GRID, TRAINED_GRID, width])?,
            home: load.home(),
            blocks,
            neck_0: Linear::new(
                load.matrix("neck.0.weight", &[neck, width, 1, 1])?
                    .reshape((neck, width))?,
            ),
            neck_1: load.layer_norm("neck.1", neck, EPSILON)?,
            neck_2: Convolution::load(&load, "neck.2", [neck, neck], 1)?,
            neck_3: load.layer_norm("neck.3", neck, EPSILON)?,
            net_2: Convolution::load(&load, "net_2", [down_2, neck], 2)?,
            net_3: Convolution::load(&load, "net_3", [down_3, down_2], 2)?,
        })
    }

    fn positions(&self, grid: usize) -> Result<Tensor> {
        self.pos_embed.get(grid, || {
            let width = self.pos_table.len() / (TRAINED_GRID * TRAINED_GRID);
            let values = resample::bicubic(&self.pos_table, TRAINED_GRID, width, grid);
            self.home.place(values, &[1, grid, grid, width])
        })
    }

    /// Patches `[N, grid, grid, 3 * 16 * 16]` of images to features `[N, grid/4, grid/4, channels]`.
    pub fn forward(&self, patches: &Tensor) -> Result<Tensor> {
        let grid = patches.dim(1)?;
        let Some(first) = self.blocks.first() else {
            return Err(candle_core::Error::Msg("SAM has no blocks".into()));
        };
        let product = self.patch_embed.product(patches)?;
        let product = self.patch_embed.to_add(&product, None);
        let (mut x, mut normed) = norm_rows(
            &self.positions(grid)?,
            Some(product),
            first.norm1.rows(),
            first.window(),
        )?;
        for (n, block) in self.blocks.iter().enumerate() {
            (x, normed) = block.forward(&x, &normed, self.blocks.get(n + 1))?;
        }
        let x = self.neck_1.forward(&self.neck_0.forward(&x)?)?;
        let x = self.neck_3.forward(&self.neck_2.forward(&x)?)?;
        self.net_3.forward(&self.net_2.forward(&x)?)
    }
}

impl Convolution {
    fn load(
        load: &Loader,
        name: &str,
        [outputs, inputs]: [usize; 2],
        stride: usize,
    ) -> std::result::Result<Self, ModelError> {
        let weight = load.vector(&format!("{name}.weight"), &[outputs, inputs, 3, 3])?;
        let by_place = weight.permute((0, 2, 3, 1))?.contiguous()?;
        Ok(Self {
            linear: Linear::new(by_place.reshape((outputs, 9 * inputs))?),
            stride,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.linear.product(&patches_3x3(x, self.stride)?)
    }
}

impl Block {
    fn load(load: &Loader, config: &SamConfig, n: usize) -> std::result::Result<Self, ModelError> {
        let (width, head) = (config.width, config.head_dim());
        let is_global = config.global_attn_indexes.contains(&n);
        let rows = 2 * if is_global { TRAINED_GRID } else { WINDOW } - 1;
        Ok(Self {
            norm1: load.layer_norm("norm1", width, EPSILON)?,
            qkv: load.linear("attn.qkv", 3 * width, width)?,
            proj: load.linear("attn.proj", width, width)?,
            positions: PerGrid::new(),
            rel_pos: [
                load.plain("attn.rel_pos_h", &[rows, head])?,
                load.plain("attn.rel_pos_w", &[rows, head])?,
            ],
            home: load.home(),
            norm2: load.layer_norm("norm2", width, EPSILON)?,
            lin1: load.linear("mlp.lin1", SamConfig::MLP_RATIO * width, width)?,
            lin2: load.linear("mlp.lin2", width, SamConfig::MLP_RATIO * width)?,
            heads: config.heads,
            is_global,
        })
    }

    /// Side of the windows that attention keeps to.
    fn window(&self) -> Option<usize> {
        (!self.is_global).then_some(WINDOW)
    }

    /// From the residual stream `[N, grid, grid, width]` and its norm, cut into windows where this block wants them, to
    /// those of the `next` block; behind the last the stream twice.
    fn forward(&self, x: &Tensor, normed: &Tensor, next: Option<&Block>) -> Result<(Tensor, Tensor)> {
        // Windows are padded, which upstream does not mask: the padding takes part, as the bias alone.
        let product = self.proj.product(&self.attend(normed)?)?;
        let product = self.proj.to_add(&product, self.window());
        let (x, normed) = norm_rows(x, Some(product), self.norm2.rows(), None)?;
        let inner = self.lin1.forward_into(&normed, Activation::Gelu, None)?;
        match next {
            Some(next) => {
                let product = self.lin2.product(&inner)?;
                let product = self.lin2.to_add(&product, None);
                norm_rows(&x, Some(product), next.norm1.rows(), next.window())
            }
            None => {
                let x = self.lin2.forward_into(&inner, Activation::None, Some(&x))?;
                Ok((x.clone(), x))
            }
        }
    }

    /// Attention over whole grids `[N, side, side, width]`, without the projection behind it.
    fn attend(&self, grids: &Tensor) -> Result<Tensor> {
        let (count, side, _, width) = grids.dims4()?;
        let qkv = self
            .qkv
            .product(grids)?
            .reshape((count, side * side, 3 * width))?;
        let positions = self.positions(side)?;
        let attended = attend(&qkv, self.qkv.bias.as_ref(), self.heads, Some(&*positions))?;
        attended.reshape((count, side, side, width))
    }

    fn positions(&self, side: usize) -> Result<Arc<RelativePositions>> {
        self.positions.get(side, || {
            let trained = 2 * if self.is_global { TRAINED_GRID } else { WINDOW } - 1;
            let wanted = 2 * side - 1;
            let table = |values: &[f32]| {
                let head = values.len() / trained;
                let values = resample::linear(values, trained, head, wanted);
                self.home.place(values, &[wanted, head])
            };
            let [rows, columns] = &self.rel_pos;
            Ok(Arc::new(RelativePositions::new(
                &table(rows)?,
                &table(columns)?,
                side,
            )?))
        })
    }
}
