//! Writes every stage of pages made by formula, for host/conformance/deepseek_ocr/compare.py, and says what they took.
//!
//!     dump_stages FOLDER cpu|cuda:N f32|f16|bf16 OUT TOKENS NAME:page|picture:WIDTHxHEIGHT:SEED:MODE:TASK:CROPS...

use candle_core::{DType, Device, Tensor};
use ocr_document::{PageImage, PixelFormat};
use ocr_model_deepseek::generate::{Asked, Stop};
use ocr_model_deepseek::{Model, NgramRule, Options, Place, Precision, Seen, Tap, Tokenizer};
use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
type Stages = HashMap<String, Tensor>;

/// A page and what is asked of it.
struct Input {
    name: String,
    image: PageImage,
    options: Options,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, place, precision, out, tokens, inputs @ ..] = &words[..] else {
        return Err("usage: dump_stages FOLDER DEVICE DTYPE OUT TOKENS INPUT...".into());
    };
    let place = match place.split_once(':') {
        None if place == "cpu" => Place::Cpu,
        Some(("cuda", number)) => Place::Cuda(number.parse()?),
        _ => return Err(format!("there is no device `{place}`").into()),
    };
    let precision = match precision.as_str() {
        "f32" => Precision::F32,
        "f16" => Precision::F16,
        "bf16" => Precision::Bf16,
        _ => return Err(format!("there is no type `{precision}`").into()),
    };
    let mut options = Options::new(folder, place);
    options.precision = Some(precision);
    options.ngram.size = 0;
    let inputs: Vec<Input> = inputs
        .iter()
        .map(|text| input(text, &options))
        .collect::<Result<_>>()?;
    let tokens: usize = tokens.parse()?;
    let started = Instant::now();
    let mut road = Road::load(&options)?;
    println!("loaded in {:.1} s", started.elapsed().as_secs_f64());
    std::fs::create_dir_all(out)?;
    for input in &inputs {
        let (tokenizer, made_by) = road.tokenizer();
        let Options {
            mode,
            max_crops,
            task,
            ..
        } = &input.options;
        let started = Instant::now();
        let seen = Seen::new(tokenizer, &input.image, *mode, *max_crops, task)?;
        let prepared = started.elapsed();
        let started = Instant::now();
        let (mut stages, written) = road.stages(&seen, tokens)?;
        println!(
            "{} ({made_by}): {} prompt tokens, prepared in {:.1} ms, dumped with {} tokens in {:.2} s",
            input.name,
            seen.prompt.ids.len(),
            prepared.as_secs_f64() * 1e3,
            written.len(),
            started.elapsed().as_secs_f64()
        );
        let ids = |ids: &[u32]| Tensor::new(ids, &Device::Cpu);
        stages.insert("tokens".into(), ids(&written)?);
        stages.insert("prompt_ids".into(), ids(&seen.prompt.ids)?);
        let path = Path::new(out).join(format!("{}.safetensors", input.name));
        candle_core::safetensors::save(&stages, path)?;
    }
    Ok(())
}

fn input(text: &str, options: &Options) -> Result<Input> {
    let parts: Vec<&str> = text.split(':').collect();
    let [name, kind, size, seed, mode, task, crops] = parts[..] else {
        return Err(format!("`{text}` is not NAME:KIND:WIDTHxHEIGHT:SEED:MODE:TASK:CROPS").into());
    };
    let (width, height) = size.split_once('x').ok_or("a size is WIDTHxHEIGHT")?;
    let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
    let pixels = match kind {
        "page" => ocr_synthetic::page(width, height, seed.parse()?),
        "picture" => ocr_synthetic::picture(width, height, seed.parse()?),
        _ => return Err(format!("there is no kind `{kind}`").into()),
    };
    Ok(Input {
        name: name.into(),
        image: PageImage::new(width as u32, height as u32, PixelFormat::Rgb8, pixels)?,
        options: Options {
            mode: mode.parse()?,
            max_crops: crops.parse()?,
            task: task.parse()?,
            ..options.clone()
        },
    })
}

/// Keeps a stage on the host, in f32.
fn keep(stages: &mut Stages, name: &str, value: &Tensor) -> candle_core::Result<()> {
    let value = value.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    stages.insert(name.to_owned(), value);
    Ok(())
}

/// How stages are made.
enum Road {
    Plain(Box<Model>),
    #[cfg(feature = "cuda")]
    Fast(Box<Tokenizer>, Box<ocr_model_deepseek::gpu::GpuModel>),
}

impl Road {
    fn load(options: &Options) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let (Place::Cuda(ordinal), Some(Precision::Bf16)) = (options.place, options.precision) {
            return Self::fast(options, ordinal);
        }
        Ok(Self::Plain(Box::new(Model::load(options)?)))
    }

    /// The network on the GPU without the thread around it, which shows no stages.
    #[cfg(feature = "cuda")]
    fn fast(options: &Options, ordinal: usize) -> Result<Self> {
        use ocr_model_deepseek::{Config, Loader, gpu};
        let config = Config::read(&options.folder)?;
        let checkpoint = ocr_weights::Checkpoint::open(&options.folder)?;
        let device = ocr_kernels::open(ordinal)?;
        let load = Loader::new(&checkpoint, gpu::PRECISION, &device);
        let gpu = gpu::GpuModel::load(&load, &config, options)?;
        Ok(Self::Fast(
            Box::new(Tokenizer::read(&options.folder, &config)?),
            Box::new(gpu),
        ))
    }

    fn tokenizer(&self) -> (&Tokenizer, &'static str) {
        match self {
            Self::Plain(model) => (model.tokenizer(), "plain"),
            #[cfg(feature = "cuda")]
            Self::Fast(tokenizer, _) => (tokenizer, "kernels"),
        }
    }

    fn stages(&mut self, seen: &Seen, tokens: usize) -> Result<(Stages, Vec<u32>)> {
        let mut stages = Stages::new();
        let mut hear = |name: &str, value: &Tensor| keep(&mut stages, name, value);
        let mut tap = Tap::on(&mut hear);
        let written = match self {
            Self::Plain(model) => {
                let asked = Asked {
                    max_new_tokens: tokens,
                    ngram: NgramRule {
                        size: 0,
                        ..NgramRule::default()
                    },
                    stop: Stop::Never,
                };
                let written = model.write_tapped(seen, &asked, &mut tap)?;
                written.ok_or("a fast road shows no stages")?.tokens
            }
            #[cfg(feature = "cuda")]
            Self::Fast(_, gpu) => gpu.read_tapped(seen, tokens, &mut tap)?,
        };
        Ok((stages, written))
    }
}
