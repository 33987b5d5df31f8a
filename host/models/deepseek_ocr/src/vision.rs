//! The deep encoder: an image's views become the tokens that stand for it in the prompt.
//!
//! Every view goes through SAM, then CLIP over SAM's features; both side by side are projected to the decoder's
//! width. The tiles' grids are stitched to one raster; each raster's row ends with `image_newline`, and
//! `view_seperator` (sic, as in the checkpoint) ends the whole: tiles, global view, separator.

mod attention;
mod clip;
mod resample;
mod sam;

use crate::config::Config;
use crate::error::ModelError;
use crate::layers::Linear;
use crate::load::Loader;
use crate::taps::Tap;
use candle_core::{Result, Tensor};
use clip::Clip;
use sam::Sam;

/// Both towers and the projector.
pub struct Vision {
    sam: Sam,
    clip: Clip,
    projector: Linear,
    image_newline: Tensor,
    view_seperator: Tensor,
}

impl Vision {
    /// Takes the tensors of both towers and the projector.
    pub fn load(load: &Loader, config: &Config) -> std::result::Result<Self, ModelError> {
        let hidden = config.decoder.hidden_size;
        Ok(Self {
            sam: Sam::load(load, &config.sam)?,
            clip: Clip::load(load, &config.clip)?,
            projector: load.linear("model.projector.layers", hidden, config.projector_input)?,
            image_newline: load.vector("model.image_newline", &[hidden])?,
            view_seperator: load.vector("model.view_seperator", &[hidden])?,
        })
    }

    /// Patches of views `[N, grid, grid, 768]` to `[N, g, g, hidden]`; stages are tapped as `sam.PART` and so on.
    pub fn encode(&self, patches: &Tensor, part: &str, tap: &mut Tap) -> Result<Tensor> {
        let features = self.sam.forward(patches)?;
        tap.take_made(
            || format!("sam.{part}"),
            || features.permute((0, 3, 1, 2))?.contiguous(),
        )?;
        let deeper = self.clip.forward(&features)?;
        tap.take(|| format!("clip.{part}"), &deeper)?;
        let (count, grid, _, channels) = features.dims4()?;
        let both = Tensor::cat(&[deeper, features.reshape((count, grid * grid, channels))?], 2)?;
        let projected = self.projector.forward(&both.contiguous()?)?;
        tap.take(|| format!("projected.{part}"), &projected)?;
        let hidden = projected.dim(2)?;
        projected.reshape((count, grid, grid, hidden))
    }

    /// The tokens `[n, hidden]` of an image: its encoded `global` view `[1, g, g, hidden]` and tiles
    /// `[columns * rows, g, g, hidden]` of `grid` (columns, rows), if it was cut.
    pub fn image_embeds(
        &self,
        global: &Tensor,
        tiles: Option<&Tensor>,
        grid: (usize, usize),
        tap: &mut Tap,
    ) -> Result<Tensor> {
        let mut parts = Vec::new();
        if let Some(local) = tiles {
            let (columns, rows) = grid;
            let (_, side, _, hidden) = local.dims4()?;
            let local = local.reshape(&[rows, columns, side, side, hidden][..])?;
            let local = local.permute((0, 2, 1, 3, 4))?.contiguous()?;
            parts.push(self.raster(&local.reshape((rows * side, columns * side, hidden))?)?);
        }
        parts.push(self.raster(&global.get(0)?)?);
        parts.push(self.view_seperator.unsqueeze(0)?);
        let embeds = Tensor::cat(&parts, 0)?;
        tap.take(|| "image_embeds".into(), &embeds)?;
        Ok(embeds)
    }

    /// A raster `[rows, columns, hidden]` as tokens, a newline behind every row.
    fn raster(&self, raster: &Tensor) -> Result<Tensor> {
        let (rows, columns, hidden) = raster.dims3()?;
        let ends = self.image_newline.broadcast_as((rows, 1, hidden))?;
        Tensor::cat(&[raster, &ends.contiguous()?], 1)?.reshape((rows * (columns + 1), hidden))
    }
}
