//! The network with its weights on a device: from a page's image and a task to tokens.

use crate::config::Config;
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::generate::{self, Asked, Hear, Text, Written};
#[cfg(feature = "cuda")]
use crate::gpu::{self, GpuModel};
use crate::load::Loader;
use crate::mode::Mode;
use crate::options::{Options, Place, Precision};
use crate::prompt::{Prompt, Task};
use crate::taps::Tap;
use crate::tokenizer::Tokenizer;
use crate::views::{View, Views, image_tokens, views};
use crate::vision::Vision;
use candle_core::{DType, Device, Tensor};
use ocr_document::PageImage;
#[cfg(feature = "cuda")]
use ocr_engine::{Batch, Order, Said};
use ocr_weights::{Checkpoint, spec};

/// How often a caller that waits for a token is asked whether it still wants one.
#[cfg(feature = "cuda")]
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// Subtracted from pixels and divided by, to bring them to -1 ..= 1 (upstream's processor).
const MEAN: f32 = 0.5;

/// Both towers, the decoder and the tokenizer.
pub struct Model {
    config: Config,
    tokenizer: Tokenizer,
    road: Road,
}

/// How pages go through the networks.
enum Road {
    /// One at a time over candle's operations, on any device.
    Plain(Box<Plain>),
    /// Many at once over CUDA kernels.
    #[cfg(feature = "cuda")]
    Fast(Batch<Seen>),
}

struct Plain {
    eyes: Eyes,
    decoder: Decoder,
}

/// A page as the model sees it, and what it is asked.
#[derive(Debug, Clone)]
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
        #[cfg(feature = "cuda")]
        if let (Place::Cuda(ordinal), None | Some(Precision::Bf16), true) =
            (options.place, options.precision, gpu::fits(&config))
        {
            let (options, of_model) = (options.clone(), config.clone());
            let batch = Batch::start(move || {
                let device = device(Place::Cuda(ordinal))?;
                let load = Loader::new(&checkpoint, gpu::PRECISION, &device);
                GpuModel::load(&load, &of_model, &options)
            })?;
            let road = Road::Fast(batch);
            return Ok(Self {
                config,
                tokenizer,
                road,
            });
        }
        let device = device(options.place)?;
        let weights = match options.precision {
            Some(Precision::F32) => DType::F32,
            Some(Precision::F16) => DType::F16,
            Some(Precision::Bf16) | None => DType::BF16,
        };
        let load = Loader::new(&checkpoint, weights, &device);
        let plain = Plain {
            eyes: Eyes::load(&load, &config)?,
            decoder: Decoder::load(&load, &config.decoder)?,
        };
        let road = Road::Plain(Box::new(plain));
        Ok(Self {
            config,
            tokenizer,
            road,
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

    /// Pages that are best read at a time: on a fast road as many as its batch has rows, and some that are got ready.
    #[cfg_attr(not(feature = "cuda"), expect(unused_variables))]
    pub(crate) fn pages_at_a_time(&self, options: &Options) -> usize {
        match &self.road {
            Road::Plain(_) => 1,
            #[cfg(feature = "cuda")]
            Road::Fast(_) => options.rows + options.rows.div_ceil(4),
        }
    }

    /// Fails where a prompt's text alone fills half of the context: the largest page takes a fifth.
    pub(crate) fn check_room(&self, prompt: &Prompt) -> Result<()> {
        let (text, context) = (prompt.ids.len(), self.config.decoder.max_position_embeddings);
        match text > context / 2 {
            true => Err(ModelError::LongPrompt { text, context }),
            false => Ok(()),
        }
    }

    /// Tokens that fit behind a prompt.
    fn room(&self, prompt: &Prompt) -> usize {
        self.config
            .decoder
            .max_position_embeddings
            .saturating_sub(prompt.ids.len())
    }

    /// Writes the answer to a page. `hear` gets each token and says whether to go on. A fast road has one n-gram rule for
    /// all pages, the one that it was loaded with.
    pub fn write(&self, seen: Seen, asked: &Asked, hear: Hear) -> Result<Written> {
        let asked = &Asked {
            max_new_tokens: asked.max_new_tokens.min(self.room(&seen.prompt)),
            ..asked.clone()
        };
        if asked.max_new_tokens == 0 {
            return Err(ModelError::NoRoom {
                tokens: seen.prompt.ids.len(),
                text: seen.prompt.ids.len() - seen.prompt.image_tokens,
            });
        }
        match &self.road {
            Road::Plain(plain) => plain.write(&self.tokenizer, &seen, asked, &mut Tap::off(), hear),
            #[cfg(feature = "cuda")]
            Road::Fast(batch) => self.write_fast(batch, seen, asked, hear),
        }
    }

    /// The same on a plain road, with every stage of the prompt handed to `tap`; a fast road has none to show.
    pub fn write_tapped(&self, seen: &Seen, asked: &Asked, tap: &mut Tap) -> Result<Option<Written>> {
        match &self.road {
            Road::Plain(plain) => plain
                .write(&self.tokenizer, seen, asked, tap, &mut |_| true)
                .map(Some),
            #[cfg(feature = "cuda")]
            Road::Fast(_) => Ok(None),
        }
    }

    #[cfg(feature = "cuda")]
    fn write_fast(&self, batch: &Batch<Seen>, seen: Seen, asked: &Asked, hear: Hear) -> Result<Written> {
        let order = Order {
            tenant: String::new(),
            priority: 0,
            most: asked.max_new_tokens,
            end: (asked.stop != generate::Stop::Never).then_some(self.tokenizer.eos()),
        };
        let mut text = Text::new(asked, &self.tokenizer);
        let writing = batch.handle().submit(seen, order);
        loop {
            match writing.next(LOOK) {
                None if !hear(None) => return Ok(text.ended(generate::Finish::Stopped)),
                None => {}
                Some(Said::Token(token)) => {
                    if text.is_empty() {
                        text.lap("prefill");
                    }
                    if let Some(finish) = text.push(token, hear) {
                        return Ok(text.ended(finish));
                    }
                }
                // Its own bound is never above ours.
                Some(Said::End) => return Ok(text.ended(generate::Finish::Length)),
                Some(Said::Failed(why)) => return Err(ModelError::Failed(why)),
            }
        }
    }
}

/// Opens the device, with one stream for all threads.
fn device(place: Place) -> Result<Device> {
    match place {
        Place::Cpu => Ok(Device::Cpu),
        Place::Cuda(ordinal) => open(ordinal).map_err(|reason| ModelError::Device { ordinal, reason }),
    }
}

#[cfg(feature = "cuda")]
fn open(ordinal: usize) -> std::result::Result<Device, String> {
    ocr_kernels::open(ordinal).map_err(|e| e.to_string())
}

#[cfg(not(feature = "cuda"))]
fn open(_: usize) -> std::result::Result<Device, String> {
    Err("this build has no CUDA".into())
}

impl Seen {
    /// Cuts a page into views and writes the prompt around them.
    pub fn new(
        tokenizer: &Tokenizer,
        image: &PageImage,
        mode: Mode,
        max_crops: usize,
        task: &Task,
    ) -> Result<Self> {
        let views = views(image, mode, max_crops);
        let tokens = image_tokens(mode, views.grid);
        Ok(Self {
            prompt: Prompt::new(task, tokenizer, tokens)?,
            views,
        })
    }
}

impl Plain {
    fn write(
        &self,
        tokenizer: &Tokenizer,
        seen: &Seen,
        asked: &Asked,
        tap: &mut Tap,
        hear: Hear,
    ) -> Result<Written> {
        let mut text = Text::new(asked, tokenizer);
        let embeds = self.eyes.embeds(seen, |ids| self.decoder.embed(ids), tap)?;
        embeds.device().synchronize()?;
        text.lap("vision");
        Ok(generate::write(
            &self.decoder,
            &embeds,
            &seen.prompt.ids,
            asked,
            text,
            tap,
            hear,
        )?)
    }
}

/// Both towers, and what turns pixels into what they take.
pub(crate) struct Eyes {
    vision: Vision,
    /// What each of the 256 pixel values becomes.
    levels: Tensor,
}

impl Eyes {
    /// Takes the tensors of the towers.
    pub fn load(load: &Loader, config: &Config) -> Result<Self> {
        let levels: Vec<f32> = (0..=255u8)
            .map(|value| (f32::from(value) / 255.0 - MEAN) / MEAN)
            .collect();
        Ok(Self {
            vision: Vision::load(load, config)?,
            levels: Tensor::from_vec(levels, 256, load.device())?.to_dtype(load.activations())?,
        })
    }

    /// The embeddings `[tokens, hidden]` of a prompt with the image in its place; `embed` has those of its text.
    pub fn embeds(
        &self,
        seen: &Seen,
        embed: impl Fn(&[u32]) -> candle_core::Result<Tensor>,
        tap: &mut Tap,
    ) -> candle_core::Result<Tensor> {
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
        let mut parts = vec![embed(&prompt.ids[..prompt.image_start])?, image];
        if end < prompt.ids.len() {
            parts.push(embed(&prompt.ids[end..])?);
        }
        let embeds = Tensor::cat(&parts, 0)?;
        tap.take(|| "inputs_embeds".into(), &embeds)?;
        Ok(embeds)
    }

    /// A view as `[3, side, side]`.
    fn pixels(&self, view: &View) -> candle_core::Result<Tensor> {
        let side = view.side as usize;
        let values = Tensor::from_slice(&view.pixels, side * side * 3, self.levels.device())?;
        // Widened, because candle takes the largest index of a type, here white, for "none".
        let values = self.levels.index_select(&values.to_dtype(DType::U32)?, 0)?;
        values.reshape((side, side, 3))?.permute((2, 0, 1))?.contiguous()
    }
}
