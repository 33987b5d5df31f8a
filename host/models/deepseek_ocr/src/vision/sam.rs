//! SAM's image encoder (ViTDet, "Segment Anything", arXiv 2304.02643) with the two convolutions that upstream puts
//! behind its neck: an image of S x S becomes a grid of S/64 x S/64.
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
use ocr_kernels::ops::vision_rows::{Activation, Added, cut_windows, join_windows};
use std::sync::Arc;

const PATCH_PX: usize = SamConfig::PATCH_PX;
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
    neck_2: Tensor,
    neck_3: LayerNorm,
    net_2: Tensor,
    net_3: Tensor,
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
            neck_2: load.vector("neck.2.weight", &[neck, neck, 3, 3])?,
            neck_3: load.layer_norm("neck.3", neck, EPSILON)?,
            net_2: load.vector("net_2.weight", &[down_2, neck, 3, 3])?,
            net_3: load.vector("net_3.weight", &[down_3, down_2, 3, 3])?,
        })
    }

    fn positions(&self, grid: usize) -> Result<Tensor> {
        self.pos_embed.get(grid, || {
            let width = self.pos_table.len() / (TRAINED_GRID * TRAINED_GRID);
            let values = resample::bicubic(&self.pos_table, TRAINED_GRID, width, grid);
            self.home.place(values, &[1, grid, grid, width])
        })
    }

    /// Images `[N, 3, S, S]` in -1 ..= 1 to features `[N, channels, S/64, S/64]`.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (count, _, side, _) = pixels.dims4()?;
        let grid = side / PATCH_PX;
        let patches = pixels.reshape(&[count, 3, grid, PATCH_PX, grid, PATCH_PX][..])?;
        let patches = patches.permute(vec![0, 2, 4, 1, 3, 5])?.contiguous()?;
        let patches = patches.reshape((count, grid, grid, 3 * PATCH_PX * PATCH_PX))?;
        let mut x = self
            .patch_embed
            .forward(&patches)?
            .broadcast_add(&self.positions(grid)?)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let x = self.neck_1.forward(&self.neck_0.forward(&x)?)?;
        let x = channels_first(&x)?.conv2d(&self.neck_2, 1, 1, 1, 1)?;
        let x = self.neck_3.forward(&channels_last(&x)?)?;
        channels_first(&x)?
            .conv2d(&self.net_2, 1, 2, 1, 1)?
            .conv2d(&self.net_3, 1, 2, 1, 1)
    }
}

fn channels_first(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 3, 1, 2))?.contiguous()
}

fn channels_last(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 2, 3, 1))?.contiguous()
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

    /// `[N, grid, grid, width]` to the same.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (count, side, _, _) = x.dims4()?;
        let normed = self.norm1.forward(x)?;
        let x = &match self.is_global {
            true => self
                .proj
                .forward_into(&self.attend(&normed)?, Activation::None, Some(x))?,
            // Windows are padded, which upstream does not mask: the padding takes part.
            false => {
                let attended = self.attend(&cut_windows(&normed, WINDOW)?)?;
                let added = Added {
                    bias: self.proj.bias.as_ref(),
                    residual: Some(x),
                };
                join_windows(&self.proj.product(&attended)?, count, side, added)?
            }
        };
        let inner = self
            .lin1
            .forward_into(&self.norm2.forward(x)?, Activation::Gelu, None)?;
        self.lin2.forward_into(&inner, Activation::None, Some(x))
    }

    /// Attention over whole grids `[N, side, side, width]`, without the projection behind it.
    fn attend(&self, grids: &Tensor) -> Result<Tensor> {
        let (count, side, _, width) = grids.dims4()?;
        let qkv = self
            .qkv
            .forward(grids)?
            .reshape((count, side * side, 3 * width))?;
        let attended = attend(&qkv, self.heads, Some(&*self.positions(side)?))?;
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
