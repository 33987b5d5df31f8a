//! Holds the fast road against the plain one on a GPU, with the checkpoint in which every stage matters.
//!
//!     roads FOLDER TOKENS OUT.json [deterministic] [int8]
//!     roads f32 FOLDER TOKENS OUT.json
//!
//! Stages: the relative error of each against the plain road in f32, beside the plain road's own in bf16. Tokens: 32 pages
//! of mixed modes, written 1, 8 and 32 at a time on the fast road; each token is weighed by the plain road in f32 behind
//! the same text: how far its logit lies below the best one's. What bf16 costs by itself stands beside it: the same of what
//! the plain road in bf16 would have written there.
//!
//! `f32`: the same pages in f32 over candle's operations, some of them shorter than others, written 1, 8 and 32 at a time
//! and, by the plain road, one after the other: with `deterministic` each token must be the same. Without it, where two texts
//! part, the plain road says how near the two tokens were.

use candle_core::{DType, Device, Tensor};
use ocr_document::{PageImage, PixelFormat};
use ocr_model_deepseek::generate::{Asked, Stop};
use ocr_model_deepseek::{
    Config, ExpertWeights, Loader, Mode, Model, NgramRule, Options, Place, Precision, Seen, Tap, Task,
    Tokenizer, gpu,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
type Stages = BTreeMap<String, Vec<f32>>;

/// Pages written at a time, and how many of them are weighed.
const BATCHES: [(usize, usize); 3] = [(1, 4), (8, 16), (32, 32)];
/// Pages whose stages are compared, and whose tokens are weighed for bf16 by itself.
const STAGED: [usize; 4] = [0, 20, 26, 30];
const PAGES: usize = 32;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder, tokens, out] = &words[..]
        && word == "f32"
    {
        return in_f32(folder, tokens.parse()?, out);
    }
    let [folder, tokens, out, rest @ ..] = &words[..] else {
        return Err("usage: roads [f32] FOLDER TOKENS OUT.json [deterministic] [int8]".into());
    };
    let tokens: usize = tokens.parse()?;
    let options = |precision| Options {
        precision: Some(precision),
        gpu_memory_utilization: 0.75,
        deterministic: rest.iter().any(|word| word == "deterministic"),
        ngram: NgramRule {
            size: 0,
            ..NgramRule::default()
        },
        rows: 32,
        experts: match rest.iter().any(|word| word == "int8") {
            true => ExpertWeights::Int8,
            false => ExpertWeights::Bf16,
        },
        ..Options::new(folder, Place::Cuda(0))
    };
    let tokenizer = Tokenizer::read(folder.as_ref(), &Config::read(folder.as_ref())?)?;
    let pages: Vec<Seen> = (0..PAGES).map(|n| page(&tokenizer, n)).collect::<Result<_>>()?;
    let exact = Model::load_plain(&options(Precision::F32))?;
    let rounded = Model::load_plain(&options(Precision::Bf16))?;
    let mut report = json!({"tokens": tokens, "deterministic": options(Precision::Bf16).deterministic,
        "experts": format!("{:?}", options(Precision::Bf16).experts)});
    report["stages"] = stages(&pages, &exact, &rounded, &options(Precision::Bf16))?;
    eprintln!("stages are compared");
    let fast = Model::load(&options(Precision::Bf16))?;
    let mut batches = Vec::new();
    for (at_a_time, weighed) in BATCHES {
        let texts = written(&fast, &pages[..weighed], |_| tokens, at_a_time)?;
        let mut scale = Weighed::default();
        for (seen, text) in pages.iter().zip(&texts) {
            let logits = exact
                .logits_behind(seen, text)?
                .ok_or("a plain road")?
                .to_vec2::<f32>()?;
            scale.add(&logits, text);
        }
        eprintln!("{at_a_time} at a time: {}", scale.json());
        batches.push(json!({"at_a_time": at_a_time, "pages": weighed, "fast": scale.json()}));
        if at_a_time == 32 {
            let mut own = Weighed::default();
            for n in STAGED {
                let texts = &texts[n];
                let exact = exact
                    .logits_behind(&pages[n], texts)?
                    .ok_or("a plain road")?
                    .to_vec2::<f32>()?;
                let rounded = rounded.logits_behind(&pages[n], texts)?.ok_or("a plain road")?;
                own.add(&exact, &rounded.argmax(1)?.to_vec1::<u32>()?);
            }
            eprintln!("the plain road in bf16: {}", own.json());
            report["plain_bf16"] = own.json();
        }
    }
    report["batches"] = json!(batches);
    std::fs::write(out, report.to_string())?;
    Ok(())
}

/// Ways to write in f32: whether pages go through the decoder one by one, pages at a time, and pages.
const IN_F32: [(bool, usize, usize); 4] = [(true, 1, 4), (true, 8, 16), (true, 32, 32), (false, 32, 32)];

fn in_f32(folder: &str, tokens: usize, out: &str) -> Result<()> {
    let options = |deterministic| Options {
        precision: Some(Precision::F32),
        gpu_memory_utilization: 0.75,
        ngram: asked(tokens).ngram,
        rows: 32,
        deterministic,
        ..Options::new(folder, Place::Cuda(0))
    };
    let plain = Model::load_plain(&options(true))?;
    let pages: Vec<Seen> = (0..PAGES)
        .map(|n| page(plain.tokenizer(), n))
        .collect::<Result<_>>()?;
    // Every fourth ends early, and another page takes its row.
    let count = |n: usize| if n % 4 == 3 { tokens / 4 + n } else { tokens };
    let wanted = written(&plain, &pages, count, 1)?;
    eprintln!("the plain road has written");
    let mut batches = Vec::new();
    let mut many = None;
    for (deterministic, at_a_time, count_of_pages) in IN_F32 {
        // Two sets of weights fit beside those of the plain road only where the GPU is large.
        if many.as_ref().is_none_or(|(of, _)| *of != deterministic) {
            drop(many.take());
            many = Some((deterministic, Model::load(&options(deterministic))?));
        }
        let model = &many.as_ref().ok_or("it was loaded")?.1;
        let started = std::time::Instant::now();
        let texts = written(model, &pages[..count_of_pages], count, at_a_time)?;
        let seconds = started.elapsed().as_secs_f64();
        let mut parted = Vec::new();
        for (n, (text, wanted)) in texts.iter().zip(&wanted).enumerate() {
            let Some(at) = (0..text.len()).find(|&at| text[at] != wanted[at]) else {
                continue;
            };
            let logits = plain.logits_behind(&pages[n], &wanted[..=at])?;
            let logits = logits.ok_or("a plain road")?.get(at)?.to_vec1::<f32>()?;
            let gap = logits[wanted[at] as usize] - logits[text[at] as usize];
            parted.push(json!({"page": n, "token": at, "gap": gap}));
        }
        eprintln!(
            "f32, {at_a_time} at a time, {seconds:.1} s: {} pages part",
            parted.len()
        );
        let tokens: usize = texts.iter().map(Vec::len).sum();
        batches.push(json!({"deterministic": deterministic, "at_a_time": at_a_time, "pages": count_of_pages, "tokens": tokens,
            "seconds": seconds, "parted": parted}));
    }
    std::fs::write(out, json!({"batches": batches}).to_string())?;
    Ok(())
}

/// Mostly small views, so that all of it takes seconds.
fn page(tokenizer: &Tokenizer, n: usize) -> Result<Seen> {
    let (mode, width, height) = match n {
        0..20 => (Mode::Tiny, 400 + 20 * n, 500),
        20..26 => (Mode::Small, 640, 500 + 10 * n),
        26..30 => (Mode::Base, 850, 1100),
        _ => (Mode::Gundam, 1275, 1650),
    };
    let pixels = ocr_synthetic::page(width, height, 100 + n as u64);
    let image = PageImage::new(width as u32, height as u32, PixelFormat::Rgb8, pixels)?;
    Ok(Seen::new(tokenizer, &image, mode, 6, &Task::Markdown)?)
}

fn asked(tokens: usize) -> Asked {
    Asked {
        max_new_tokens: tokens,
        ngram: NgramRule {
            size: 0,
            ..NgramRule::default()
        },
        stop: Stop::Never,
    }
}

/// Keeps every stage on the host, in f32.
fn tapped(work: impl FnOnce(&mut Tap) -> Result<()>) -> Result<Stages> {
    let mut stages = Stages::new();
    let mut hear = |name: &str, value: &Tensor| {
        let value = value.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        stages.insert(name.to_owned(), value.flatten_all()?.to_vec1()?);
        Ok(())
    };
    work(&mut Tap::on(&mut hear))?;
    Ok(stages)
}

fn stages(pages: &[Seen], exact: &Model, rounded: &Model, options: &Options) -> Result<Value> {
    let checkpoint = ocr_weights::Checkpoint::open(&options.folder)?;
    let device = ocr_kernels::open(0)?;
    let load = Loader::new(&checkpoint, gpu::PRECISION, &device);
    let mut fast = gpu::GpuModel::load(&load, &Config::read(&options.folder)?, options)?;
    let mut all = serde_json::Map::new();
    for n in STAGED {
        let seen = &pages[n];
        let plain = |model: &Model| {
            tapped(|tap| {
                model.write_tapped(seen, &asked(1), tap)?;
                Ok(())
            })
        };
        let (want, rounded) = (plain(exact)?, plain(rounded)?);
        let got = tapped(|tap| {
            fast.read_tapped(seen, 1, tap)?;
            Ok(())
        })?;
        let errors = want.iter().map(|(name, want)| {
            let of = |stages: &Stages| stages.get(name).map_or(f64::INFINITY, |got| error(got, want));
            (name.clone(), json!([of(&got), of(&rounded)]))
        });
        let errors: serde_json::Map<String, Value> = errors.collect();
        for name in [
            "sam.global",
            "projected.global",
            "layer.0",
            "layer.5",
            "layer.11",
            "logits",
        ] {
            eprintln!("  page {n} {name:18} fast and plain bf16: {}", errors[name]);
        }
        all.insert(format!("page {n}"), Value::Object(errors));
    }
    Ok(Value::Object(all))
}

/// |got - want| / |want|.
fn error(got: &[f32], want: &[f32]) -> f64 {
    if got.len() != want.len() {
        return f64::MAX;
    }
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = square(&mut got.iter().zip(want).map(|(g, w)| f64::from(g - w)));
    difference / square(&mut want.iter().map(|w| f64::from(*w)))
}

/// The pages' texts, so many written at a time, each of as many tokens as `tokens` says of its number.
fn written(
    model: &Model,
    pages: &[Seen],
    tokens: impl Fn(usize) -> usize + Sync,
    at_a_time: usize,
) -> Result<Vec<Vec<u32>>> {
    let next = AtomicUsize::new(0);
    let texts: Vec<std::sync::Mutex<Vec<u32>>> = pages.iter().map(|_| Default::default()).collect();
    std::thread::scope(|scope| {
        let work = || {
            while let Some(seen) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                let at = pages
                    .iter()
                    .position(|page| std::ptr::eq(page, seen))
                    .expect("it is one");
                let text = model.write(seen.clone(), &asked(tokens(at)), &mut |_| true);
                match text {
                    Ok(text) => *texts[at].lock().expect("one writer") = text.tokens,
                    Err(error) => eprintln!("page {at}: {error}"),
                }
            }
        };
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join())
    })
    .map_err(|_| "a page's thread panicked")?;
    let texts: Vec<Vec<u32>> = texts
        .into_iter()
        .map(|text| text.into_inner().expect("one writer"))
        .collect();
    let is_short = |(n, text): (usize, &Vec<u32>)| (text.len() != tokens(n)).then_some(n);
    match texts.iter().enumerate().find_map(is_short) {
        None => Ok(texts),
        Some(page) => Err(format!("page {page} was not written").into()),
    }
}

/// How far below the best logit what was written lies.
#[derive(Default)]
struct Weighed {
    tokens: usize,
    /// Of those that were not the best, ascending: (how far, and how far the second best is).
    behind: Vec<(f32, f32)>,
}

impl Weighed {
    fn add(&mut self, logits: &[Vec<f32>], text: &[u32]) {
        for (logits, &token) in logits.iter().zip(text) {
            self.tokens += 1;
            let (mut best, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
            for &logit in logits {
                if logit > best {
                    (best, second) = (logit, best);
                } else if logit > second {
                    second = logit;
                }
            }
            let gap = best - logits[token as usize];
            if gap > 0.0 {
                self.behind.push((gap, best - second));
            }
        }
        self.behind.sort_by(|a, b| a.0.total_cmp(&b.0));
    }

    fn json(&self) -> Value {
        let at = |share: f64| {
            self.behind
                .get((self.behind.len() as f64 * share) as usize)
                .map(|gap| gap.0)
        };
        json!({"tokens": self.tokens, "not_the_best": self.behind.len(), "median_gap": at(0.5),
            "most": self.behind.last().map(|gap| gap.0), "second_was": self.behind.iter().filter(|(gap, second)| gap == second).count()})
    }
}
