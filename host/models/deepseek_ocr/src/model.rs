//! The network with its weights on a device: from a page's image and a task to tokens.

use crate::config::Config;
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::generate::{self, Request, Stop, Written};
use crate::load::Loader;
use crate::mode::Mode;
use crate::ngram::NgramRule;
use crate::options::{Options, Place, Precision};
use crate::prompt::{Prompt, Task};
use crate::taps::Tap;
use crate::tokenizer::Tokenizer;
use crate::views::{View, Views, image_tokens, views};
use crate::vision::Vision;
use candle_core::{DType, Device, Tensor};
use ocr_document::PageImage;
use ocr_weights::{Checkpoint, spec};

/// Subtracted from pixels and divided by, to bring them to -1 ..= 1 (upstream's processor).
const MEAN: f32 = 0.5;

/// Both towers, the decoder and the tokenizer.
pub struct Model {
    config: Config,
    tokenizer: Tokenizer,
    vision: Vision,
    decoder: Decoder,
    /// What each of the 256 pixel values becomes.
    levels: Tensor,
    device: Device,
}

/// A page as the model sees it, and what it is asked.
pub struct Seen {
    /// Its views.
    pub views: Views,
    /// The prompt around them.
    pub prompt: Prompt,
}

type Result<T> = std::result::Result<T, ModelError>;

impl Model {
    /// Reads the folder and puts the weights on the device.
    pub fn load(options: &Options) -> Result<Self> {
        let config = Config::read(&options.folder)?;
        let tokenizer = Tokenizer::read(&options.folder, &config)?;
        let checkpoint = Checkpoint::open(&options.folder)?;
        checkpoint.check(spec::deepseek_ocr(&config.shapes()))?;
        let device = match options.place {
            Place::Cpu => Device::Cpu,
            Place::Cuda(ordinal) => Device::new_cuda(ordinal).map_err(|e| ModelError::Device { ordinal, reason: e.to_string() })?,
        };
        let weights = match options.precision {
            Some(Precision::F32) => DType::F32,
            Some(Precision::F16) => DType::F16,
            Some(Precision::Bf16) | None => DType::BF16,
        };
        let load = Loader::new(&checkpoint, weights, &device);
        let levels: Vec<f32> = (0..=255u8)
            .map(|value| (f32::from(value) / 255.0 - MEAN) / MEAN)
            .collect();
        Ok(Self {
            vision: Vision::load(&load, &config)?,
            decoder: Decoder::load(&load, &config.decoder)?,
            levels: Tensor::from_vec(levels, 256, &device)?.to_dtype(load.activations())?,
            config,
            tokenizer,
            device,
        })
    }

    /// Its dimensions.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Cuts the page into views and writes the prompt around them.
    pub fn prepare(&self, image: &PageImage, mode: Mode, max_crops: usize, task: &Task) -> Result<Seen> {
        let views = views(image, mode, max_crops);
        let tokens = image_tokens(mode, views.grid);
        Ok(Seen {
            prompt: Prompt::new(task, &self.tokenizer, tokens)?,
            views,
        })
    }

    /// A request behind a prompt, bounded by the model's context.
    pub fn request<'a>(&self, seen: &'a Seen, embeds: &'a Tensor, ngram: &'a NgramRule, most: usize, stop: Stop) -> Request<'a> {
        Request {
            embeds,
            prompt_ids: &seen.prompt.ids,
            max_new_tokens: most.min(self.room(&seen.prompt)),
            ngram,
            stop,
            end: self.tokenizer.eos(),
            specials: self.tokenizer.specials(),
        }
    }

    /// Tokens that fit behind a prompt.
    pub fn room(&self, prompt: &Prompt) -> usize {
        self.config.decoder.max_position_embeddings.saturating_sub(prompt.ids.len())
    }

    /// The embeddings of the prompt with the image in its place: `[tokens, hidden]`.
    pub fn embed(&self, seen: &Seen, tap: &mut Tap) -> Result<Tensor> {
        Ok(self.embeds(seen, tap)?)
    }

    fn embeds(&self, seen: &Seen, tap: &mut Tap) -> candle_core::Result<Tensor> {
        let Seen { views, prompt } = seen;
        let global = self.pixels(&views.global)?.unsqueeze(0)?;
        tap.take(|| "pixels.global".into(), &global)?;
        let tiles = views.tiles.iter().map(|view| self.pixels(view));
        let tiles = tiles.collect::<candle_core::Result<Vec<_>>>()?;
        let tiles = match tiles.is_empty() {
            true => None,
            false => Some(Tensor::stack(&tiles, 0)?),
        };
        if let Some(tiles) = &tiles {
            tap.take(|| "pixels.tiles".into(), tiles)?;
        }
        let grid = (views.grid.0 as usize, views.grid.1 as usize);
        let image = self.vision.image_embeds(&global, tiles.as_ref(), grid, tap)?;
        let end = prompt.image_start + prompt.image_tokens;
        let mut parts = vec![self.decoder.embed(&prompt.ids[..prompt.image_start])?, image];
        if end < prompt.ids.len() {
            parts.push(self.decoder.embed(&prompt.ids[end..])?);
        }
        let embeds = Tensor::cat(&parts, 0)?;
        tap.take(|| "inputs_embeds".into(), &embeds)?;
        Ok(embeds)
    }

    /// A view as `[3, side, side]`.
    fn pixels(&self, view: &View) -> candle_core::Result<Tensor> {
        let side = view.side as usize;
        let values = Tensor::from_slice(&view.pixels, side * side * 3, &self.device)?;
        // Widened, because candle takes the largest index of a type, here white, for "none".
        let values = self.levels.index_select(&values.to_dtype(DType::U32)?, 0)?;
        values.reshape((side, side, 3))?.permute((2, 0, 1))?.contiguous()
    }

    /// Writes the answer. `hear` gets each token and says whether to go on; `tap` the prompt's stages.
    pub fn write(&self, request: &Request, tap: &mut Tap, hear: &mut dyn FnMut(u32) -> bool) -> Result<Written> {
        Ok(generate::write(&self.decoder, request, tap, hear)?)
    }
}
