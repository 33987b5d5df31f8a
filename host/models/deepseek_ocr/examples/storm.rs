//! Many pages of several tenants through one batch on a GPU, some given up on the way.
//!
//!     storm WALK_FOLDER PAGES OUT.json     the walk: every token is foretold, so each page is checked by itself
//!     storm alike FOLDER PAGES TOKENS OUT.json [DETERMINISTIC]     the same pages 1, 8 and 32 at a time
//!
//!     storm short WALK_FOLDER PAGES OUT.json     with nearly all memory of the device taken by somebody else, then
//!                                                less, then none
//!
//! The storm runs in a cache so small that sequences have to make room. `alike` says how many pages differ from what they
//! are alone.

use ocr_document::{PageImage, PixelFormat};
use ocr_engine::{Batch, Order, Said, Tenant};
use ocr_model_deepseek::{
    Config, Loader, Mode, ModelError, NgramRule, Options, Place, Precision, Seen, Task, Tokenizer, gpu,
};
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const WAIT: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [word, folder, pages, tokens, out, rest @ ..] if word == "alike" => {
            alike(folder, pages.parse()?, tokens.parse()?, out, !rest.is_empty())
        }
        [word, folder, pages, out] if word == "short" => short(folder, pages.parse()?, out),
        [folder, pages, out] => storm(folder, pages.parse()?, out),
        _ => {
            Err("usage: storm FOLDER PAGES OUT | storm alike FOLDER PAGES TOKENS OUT [DETERMINISTIC]".into())
        }
    }
}

fn options(folder: &str, share: f32, rows: usize) -> Options {
    Options {
        precision: Some(Precision::Bf16),
        gpu_memory_utilization: share,
        rows,
        ngram: NgramRule {
            size: 0,
            ..NgramRule::default()
        },
        ..Options::new(folder, Place::Cuda(0))
    }
}

fn start(options: &Options) -> Result<(Batch<Seen>, Tokenizer)> {
    let config = Config::read(&options.folder)?;
    let tokenizer = Tokenizer::read(&options.folder, &config)?;
    let options = options.clone();
    let batch = Batch::start(move || {
        let checkpoint = ocr_weights::Checkpoint::open(&options.folder)?;
        let device = ocr_kernels::open(0)?;
        let load = Loader::new(&checkpoint, gpu::PRECISION, &device);
        gpu::GpuModel::load(&load, &config, &options)
    })?;
    Ok((batch, tokenizer))
}

fn page(tokenizer: &Tokenizer, n: usize) -> Result<Seen> {
    let mode = [Mode::Tiny, Mode::Tiny, Mode::Small, Mode::Tiny, Mode::Base][n % 5];
    let (width, height) = (400 + n % 37 * 10, 500);
    let pixels = ocr_synthetic::page(width, height, n as u64);
    let image = PageImage::new(width as u32, height as u32, PixelFormat::Rgb8, pixels)?;
    Ok(Seen::new(tokenizer, &image, mode, 6, &Task::Markdown)?)
}

/// Steps of a generator; which page does what must be the same in every run.
fn random(n: usize) -> usize {
    let mut z = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (z >> 33) as usize
}

fn order(tenant: &str, most: usize) -> Order {
    Order {
        tenant: Tenant::named(tenant),
        most,
        end: None,
    }
}

fn storm(folder: &str, pages: usize, out: &str) -> Result<()> {
    const TENANTS: [&str; 3] = ["north", "south", "west"];
    const ROWS: usize = 64;
    // The cache holds little more than one sequence of 8,192 tokens: what is needed at least is said by asking for too
    // little.
    const TOO_LITTLE: f32 = 0.01;
    const MORE: usize = 200 << 20;
    let error = start(&options(folder, TOO_LITTLE, ROWS))
        .err()
        .ok_or("a hundredth is enough?")?;
    let Some(&ModelError::Memory {
        allowed,
        taken,
        needed,
    }) = error.downcast_ref()
    else {
        return Err(error);
    };
    let share = (taken + needed + MORE) as f64 / (allowed as f64 / f64::from(TOO_LITTLE));
    let (batch, tokenizer) = start(&options(folder, share as f32, ROWS))?;
    let vocabulary = Config::read(folder.as_ref())?.decoder.vocab_size as u64;
    let follow = |token: u32| follow(vocabulary, token);
    let seen: Vec<Seen> = (0..20).map(|n| page(&tokenizer, n)).collect::<Result<_>>()?;
    let before = ocr_kernels::free_memory(&ocr_kernels::open(0)?)?.0;
    let (next, wrong, given_up) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let tokens = AtomicUsize::new(0);
    let ended: Mutex<[usize; 3]> = Mutex::default();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..ROWS + 32 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= pages {
                        return;
                    }
                    let (seen, most) = (&seen[n % seen.len()], 150 + random(n) % 500);
                    // Every fifth is given up, somewhere between its submission and its end.
                    let until = (random(n + 7919).is_multiple_of(5)).then(|| random(n + 104_729) % most);
                    let tenant = random(n + 31) % TENANTS.len();
                    let writing = batch.handle().submit(seen.clone(), order(TENANTS[tenant], most));
                    let mut token = *seen.prompt.ids.last().expect("a prompt has ids");
                    let mut count = 0;
                    let is_right = loop {
                        if until == Some(count) {
                            given_up.fetch_add(1, Ordering::Relaxed);
                            break true;
                        }
                        match writing.next(WAIT) {
                            Some(Said::Token(got)) => {
                                token = follow(token);
                                count += 1;
                                if got != token {
                                    break false;
                                }
                            }
                            Some(Said::End) => break count == most,
                            Some(Said::Failed(why)) => {
                                eprintln!("page {n}: {why}");
                                break false;
                            }
                            None => break false,
                        }
                    };
                    tokens.fetch_add(count, Ordering::Relaxed);
                    match is_right {
                        true => ended.lock().expect("no panic")[tenant] += 1,
                        false => {
                            wrong.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    // A page given up is noticed between two steps.
    std::thread::sleep(Duration::from_millis(300));
    let census = batch.handle().census().ok_or("the model's thread has ended")?;
    let after = ocr_kernels::free_memory(&ocr_kernels::open(0)?)?.0;
    let report = json!({
        "pages": pages, "given_up": given_up.into_inner(), "wrong": wrong.into_inner(), "seconds": seconds,
        "tokens": tokens.into_inner(), "by_tenant": ended.into_inner()?, "sequences_left": census.sequences,
        "free_blocks": census.free_blocks, "blocks": census.blocks, "preempted": census.preempted,
        "free_memory_before": before, "free_memory_after": after,
    });
    eprintln!("{report}");
    std::fs::write(out, report.to_string())?;
    Ok(())
}

/// What the walk writes behind a token.
fn follow(vocabulary: u64, token: u32) -> u32 {
    ((34_341 * u64::from(token) + 12_347) % vocabulary) as u32
}

fn short(folder: &str, pages: usize, out: &str) -> Result<()> {
    const TOKENS: usize = 40;
    const PIECE: usize = 64 << 20;
    let (batch, tokenizer) = start(&options(folder, 0.3, 32))?;
    let vocabulary = Config::read(folder.as_ref())?.decoder.vocab_size as u64;
    let pixels = ocr_synthetic::page(1240, 1754, 5);
    let image = PageImage::new(1240, 1754, PixelFormat::Rgb8, pixels)?;
    let seen = Seen::new(&tokenizer, &image, Mode::Gundam, 9, &Task::Markdown)?;
    let device = ocr_kernels::open(0)?;
    let mut taken = Vec::new();
    // What is freed comes back to the pool in pieces, so it is taken again and again.
    for _ in 0..4 {
        ocr_kernels::free_memory(&device)?;
        while let Ok(tensor) = candle_core::Tensor::zeros(PIECE, candle_core::DType::U8, &device) {
            taken.push(tensor);
        }
    }
    let mut rounds = Vec::new();
    // Some is given back for a few views, then more, then all.
    for pieces in [4, 8, usize::MAX] {
        taken.truncate(taken.len().saturating_sub(pieces));
        let left = ocr_kernels::free_memory(&device)?.0;
        let before = gpu::times_shrunk();
        let writings: Vec<_> = (0..pages)
            .map(|_| batch.handle().submit(seen.clone(), order("a", TOKENS)))
            .collect();
        let (mut right, mut failed) = (0, Vec::new());
        for writing in &writings {
            let mut token = *seen.prompt.ids.last().expect("a prompt has ids");
            let mut count = 0;
            loop {
                match writing.next(WAIT) {
                    Some(Said::Token(got)) => {
                        token = follow(vocabulary, token);
                        count += usize::from(got == token);
                    }
                    Some(Said::Failed(why)) => {
                        failed.push(why);
                        break;
                    }
                    Some(Said::End) | None => break,
                }
            }
            right += usize::from(count == TOKENS);
        }
        let count = failed.len();
        failed.dedup();
        rounds.push(
            json!({"left_bytes": left, "right": right, "failed": count, "said": failed,
            "times_shrunk": gpu::times_shrunk() - before}),
        );
    }
    let report = json!({"pages": pages, "rounds": rounds});
    eprintln!("{report}");
    std::fs::write(out, report.to_string())?;
    Ok(())
}

fn alike(folder: &str, pages: usize, tokens: usize, out: &str, deterministic: bool) -> Result<()> {
    let options = Options {
        deterministic,
        ..options(folder, 0.6, 32)
    };
    let (batch, tokenizer) = start(&options)?;
    let seen: Vec<Seen> = (0..pages).map(|n| page(&tokenizer, n)).collect::<Result<_>>()?;
    let mut texts = Vec::new();
    for at_a_time in [1, 8, 32] {
        let next = AtomicUsize::new(0);
        let written: Vec<Mutex<Vec<u32>>> = seen.iter().map(|_| Mutex::default()).collect();
        std::thread::scope(|scope| {
            for _ in 0..at_a_time {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        let Some(page) = seen.get(n) else { return };
                        // Mixed lengths, so that batches change.
                        let most = tokens / 2 + random(n) % (tokens / 2 + 1);
                        let writing = batch.handle().submit(page.clone(), order("a", most));
                        while let Some(Said::Token(token)) = writing.next(WAIT) {
                            written[n].lock().expect("no panic").push(token);
                        }
                    }
                });
            }
        });
        let written: std::result::Result<Vec<_>, _> = written.into_iter().map(Mutex::into_inner).collect();
        texts.push((at_a_time, written.map_err(|_| "a page's thread panicked")?));
    }
    let alone = texts[0].1.clone();
    let empty = alone.iter().filter(|text| text.is_empty()).count();
    let differ: Vec<_> = texts
        .iter()
        .map(|(at_a_time, texts)| {
            let count = texts
                .iter()
                .zip(&alone)
                .filter(|(text, alone)| text != alone)
                .count();
            json!({"at_a_time": at_a_time, "differ_from_alone": count})
        })
        .collect();
    let report = json!({"pages": pages, "deterministic": deterministic, "empty": empty, "batches": differ,
        "tokens": alone.iter().map(Vec::len).sum::<usize>()});
    eprintln!("{report}");
    std::fs::write(out, report.to_string())?;
    Ok(())
}
