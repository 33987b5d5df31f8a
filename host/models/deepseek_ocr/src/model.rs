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
use crate::steps::PlainSteps;
use crate::taps::Tap;
use crate::tokenizer::Tokenizer;
use crate::views::{View, Views, image_tokens, views};
use crate::vision::Vision;
use candle_core::{DType, Device, Tensor};
use ocr_document::PageImage;
use ocr_engine::{Batch, Order, Said, Tenant};
use ocr_kernels::ops::vision_rows::pixel_patches;
use ocr_weights::{Checkpoint, spec};
#[cfg(feature = "cuda")]
use std::collections::BTreeMap;

/// How often a caller that waits for a token is asked whether it still wants one.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// Device memory that is left for the work of networks over candle's operations: most takes attention over a view of 1,280
/// with all its scores in f32, 12 heads and 6,400 patches.
#[cfg(feature = "cuda")]
const PLAIN_WORK_BYTES: usize = 6 << 30;

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
    /// Many at once: over CUDA kernels, or over candle's operations.
    Many(Batch<Seen>),
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

/// What a model's folder holds.
struct Files {
    config: Config,
    tokenizer: Tokenizer,
    checkpoint: Checkpoint,
}

impl Files {
    fn open(options: &Options) -> Result<Self> {
        let config = Config::read(&options.folder)?;
        let tokenizer = Tokenizer::read(&options.folder, &config)?;
        let checkpoint = Checkpoint::open(&options.folder)?;
        checkpoint.check(spec::deepseek_ocr(&config.shapes()))?;
        Ok(Self {
            config,
            tokenizer,
            checkpoint,
        })
    }

    /// A model that reads one page at a time.
    fn plain(self, options: &Options) -> Result<Model> {
        let plain = Plain::load(&self.checkpoint, &self.config, options)?;
        Ok(Model {
            config: self.config,
            tokenizer: self.tokenizer,
            road: Road::Plain(Box::new(plain)),
        })
    }

    /// A model that reads many over candle's operations.
    fn many(self, options: &Options) -> Result<Model> {
        let (config, checkpoint, options) = (self.config.clone(), self.checkpoint, options.clone());
        let batch = Batch::start(move || {
            let Plain { eyes, decoder } = Plain::load(&checkpoint, &config, &options)?;
            let tokens = room(&eyes, &config, &options)?;
            PlainSteps::new(eyes, decoder, &config.decoder, &options, tokens)
        })?;
        Ok(Model {
            config: self.config,
            tokenizer: self.tokenizer,
            road: Road::Many(batch),
        })
    }
}

/// Tokens that a cache over candle's operations has room for: as many as are wanted.
#[cfg(not(feature = "cuda"))]
fn room(_: &Eyes, _: &Config, _: &Options) -> Result<usize> {
    Ok(usize::MAX)
}

/// The same; on a GPU as many as the allowed share of its memory leaves room for.
#[cfg(feature = "cuda")]
fn room(eyes: &Eyes, config: &Config, options: &Options) -> Result<usize> {
    let Place::Cuda(_) = options.place else {
        return Ok(usize::MAX);
    };
    let (free, all) = ocr_kernels::free_memory(eyes.levels.device())?;
    let allowed = (all as f64 * f64::from(options.gpu_memory_utilization)) as usize;
    let (taken, context) = (all - free, config.decoder.max_position_embeddings);
    let each = PlainSteps::bytes_a_token(&config.decoder, eyes.levels.dtype());
    let tokens = allowed.saturating_sub(taken + PLAIN_WORK_BYTES) / each;
    match tokens < context {
        true => Err(ModelError::Memory {
            allowed,
            taken,
            needed: PLAIN_WORK_BYTES + context * each,
        }),
        false => Ok(tokens),
    }
}

impl Model {
    /// Reads the folder and puts the weights on the device. A GPU writes many pages at once: over CUDA kernels in bf16, else
    /// over candle's operations; a CPU writes one at a time.
    pub fn load(options: &Options) -> Result<Self> {
        let files = Files::open(options)?;
        #[cfg(feature = "cuda")]
        if let (Place::Cuda(ordinal), None | Some(Precision::Bf16), true) =
            (options.place, options.precision, gpu::fits(&files.config))
        {
            let (options, config, checkpoint) = (options.clone(), files.config.clone(), files.checkpoint);
            let batch = Batch::start(move || {
                let device = device(Place::Cuda(ordinal))?;
                let load = Loader::new(&checkpoint, gpu::PRECISION, &device);
                GpuModel::load(&load, &config, &options)
            })?;
            return Ok(Self {
                config: files.config,
                tokenizer: files.tokenizer,
                road: Road::Many(batch),
            });
        }
        match options.place {
            Place::Cuda(_) => files.many(options),
            Place::Cpu => files.plain(options),
        }
    }

    /// The same one page at a time over candle's operations, whatever the device: what the others are held to.
    pub fn load_plain(options: &Options) -> Result<Self> {
        Files::open(options)?.plain(options)
    }

    /// The same many pages at once over candle's operations, whatever the device.
    pub fn load_many(options: &Options) -> Result<Self> {
        Files::open(options)?.many(options)
    }

    /// Its dimensions.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Pages that are best read at a time: on a road of many as many as its batch has rows, and some that are got ready.
    pub(crate) fn pages_at_a_time(&self, options: &Options) -> usize {
        match &self.road {
            Road::Plain(_) => 1,
            Road::Many(_) => options.rows + options.rows.div_ceil(4),
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

    /// Writes the answer to a page. `hear` gets each token and says whether to go on. A road of many has one n-gram rule for
    /// all pages, the one that it was loaded with.
    pub fn write(&self, seen: Seen, asked: &Asked, hear: Hear) -> Result<Written> {
        self.write_for(&Tenant::default(), seen, asked, hear)
    }

    /// The same for a tenant; on a road of many, tenants share the batch. A plain road writes one page at a time.
    pub fn write_for(&self, tenant: &Tenant, seen: Seen, asked: &Asked, hear: Hear) -> Result<Written> {
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
            Road::Many(batch) => self.write_among_many(batch, tenant, seen, asked, hear),
        }
    }

    /// The same on a plain road, with every stage of the prompt handed to `tap`; the others have none to show.
    pub fn write_tapped(&self, seen: &Seen, asked: &Asked, tap: &mut Tap) -> Result<Option<Written>> {
        match &self.road {
            Road::Plain(plain) => plain
                .write(&self.tokenizer, seen, asked, tap, &mut |_| true)
                .map(Some),
            Road::Many(_) => Ok(None),
        }
    }

    /// What a plain road thinks of a text, token by token: the logits `[tokens, vocabulary]`, f32 on the host, of what comes
    /// behind the prompt and all tokens before each. The others have none to show.
    pub fn logits_behind(&self, seen: &Seen, tokens: &[u32]) -> Result<Option<Tensor>> {
        match &self.road {
            Road::Plain(plain) => Ok(Some(plain.logits_behind(seen, tokens)?)),
            Road::Many(_) => Ok(None),
        }
    }

    fn write_among_many(
        &self,
        batch: &Batch<Seen>,
        tenant: &Tenant,
        seen: Seen,
        asked: &Asked,
        hear: Hear,
    ) -> Result<Written> {
        let order = Order {
            tenant: tenant.clone(),
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
    fn load(checkpoint: &Checkpoint, config: &Config, options: &Options) -> Result<Self> {
        let device = device(options.place)?;
        let weights = match options.precision {
            Some(Precision::F32) => DType::F32,
            Some(Precision::F16) => DType::F16,
            Some(Precision::Bf16) | None => DType::BF16,
        };
        let load = Loader::new(checkpoint, weights, &device);
        Ok(Self {
            eyes: Eyes::load(&load, config)?,
            decoder: Decoder::load(&load, &config.decoder)?,
        })
    }

    fn logits_behind(&self, seen: &Seen, tokens: &[u32]) -> candle_core::Result<Tensor> {
        let mut tap = Tap::off();
        let prompt = self.eyes.embeds(seen, |ids| self.decoder.embed(ids), &mut tap)?;
        let before = prompt.dim(0)? - 1;
        let known = &tokens[..tokens.len().saturating_sub(1)];
        let x = match known.is_empty() {
            true => prompt,
            false => Tensor::cat(&[prompt, self.decoder.embed(known)?], 0)?,
        };
        let hidden = self.decoder.forward(&x, &mut self.decoder.cache(), &mut tap)?;
        let logits = |n: usize| self.decoder.logits(&hidden.narrow(0, before + n, 1)?);
        let rows = (0..tokens.len())
            .map(logits)
            .collect::<candle_core::Result<Vec<_>>>()?;
        Tensor::stack(&rows, 0)?.to_device(&Device::Cpu)
    }

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
        let Views { global, tiles, grid } = &seen.views;
        let global = self.encode(&[global], "global", tap)?;
        let tiles = match tiles.is_empty() {
            true => None,
            false => Some(self.encode(&tiles.iter().collect::<Vec<_>>(), "tiles", tap)?),
        };
        let grid = (grid.0 as usize, grid.1 as usize);
        let image = self.vision.image_embeds(&global, tiles.as_ref(), grid, tap)?;
        let embeds = around(&seen.prompt, image, embed)?;
        tap.take(|| "inputs_embeds".into(), &embeds)?;
        Ok(embeds)
    }

    /// Views of one size through both towers: `[N, g, g, hidden]`.
    fn encode(&self, views: &[&View], part: &str, tap: &mut Tap) -> candle_core::Result<Tensor> {
        let side = views[0].side as usize;
        let bytes: Vec<&[u8]> = views.iter().map(|view| &view.pixels[..]).collect();
        let pixels = Tensor::from_vec(bytes.concat(), (views.len(), side, side, 3), self.levels.device())?;
        tap.take_made(|| format!("pixels.{part}"), || self.values(&pixels))?;
        self.vision
            .encode(&pixel_patches(&pixels, &self.levels)?, part, tap)
    }

    /// Pixels `[N, S, S, 3]` of 8 bits as the towers' `[N, 3, S, S]`.
    fn values(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        // Widened, because candle takes the largest index of a type, here white, for "none".
        let values = pixels.flatten_all()?.to_dtype(DType::U32)?;
        let values = self.levels.index_select(&values, 0)?.reshape(pixels.shape())?;
        values.permute((0, 3, 1, 2))?.contiguous()
    }

    /// The embeddings of several prompts, whose views go through the towers together, as many at a time as `upload` takes:
    /// it puts the pixels of views onto the device, one behind the other.
    #[cfg(feature = "cuda")]
    pub fn embeds_of_all(
        &self,
        pages: &[&Seen],
        mut upload: impl FnMut(&[&View]) -> candle_core::Result<Tensor>,
        views_at_a_time: impl Fn(u32) -> usize,
        embed: impl Fn(&[u32]) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Vec<Tensor>> {
        // All views by their side: (page, place among the page's, which counts the global one first).
        let mut by_side: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
        let view = |(page, at): (usize, usize)| match at {
            0 => &pages[page].views.global,
            at => &pages[page].views.tiles[at - 1],
        };
        for (page, seen) in pages.iter().enumerate() {
            for at in 0..=seen.views.tiles.len() {
                by_side.entry(view((page, at)).side).or_default().push((page, at));
            }
        }
        let mut encoded: BTreeMap<(usize, usize), Tensor> = BTreeMap::new();
        for (side, places) in by_side {
            for places in places.chunks(views_at_a_time(side).max(1)) {
                let views: Vec<&View> = places.iter().map(|&place| view(place)).collect();
                let side = side as usize;
                let pixels = upload(&views)?.reshape((views.len(), side, side, 3))?;
                let patches = pixel_patches(&pixels, &self.levels)?;
                let features = self.vision.encode(&patches, "", &mut Tap::off())?;
                for (n, &place) in places.iter().enumerate() {
                    encoded.insert(place, features.narrow(0, n, 1)?);
                }
            }
        }
        let page = |(page, seen): (usize, &&Seen)| {
            let take = |at: usize| encoded[&(page, at)].clone();
            let tiles: Vec<Tensor> = (1..=seen.views.tiles.len()).map(take).collect();
            let tiles = match tiles.is_empty() {
                true => None,
                false => Some(Tensor::cat(&tiles, 0)?),
            };
            let grid = (seen.views.grid.0 as usize, seen.views.grid.1 as usize);
            let image = self
                .vision
                .image_embeds(&take(0), tiles.as_ref(), grid, &mut Tap::off())?;
            around(&seen.prompt, image, &embed)
        };
        pages.iter().enumerate().map(page).collect()
    }
}

/// An image's embeddings with those of the text around it.
fn around(
    prompt: &Prompt,
    image: Tensor,
    embed: impl Fn(&[u32]) -> candle_core::Result<Tensor>,
) -> candle_core::Result<Tensor> {
    let end = prompt.image_start + prompt.image_tokens;
    let mut parts = vec![embed(&prompt.ids[..prompt.image_start])?, image];
    if end < prompt.ids.len() {
        parts.push(embed(&prompt.ids[end..])?);
    }
    Tensor::cat(&parts, 0)
}
