//! Times pages from image files to tokens: many at once, then one alone.
//!
//!     page_bench FOLDER DEVICE DTYPE MODE,MODE.. PAGES TOKENS WIDTHxHEIGHT [ROWS] [deterministic] [int8]
//!
//! Writes PAGES different pages by formula as PNG, then reads them: decode the file, cut it into views, see, prefill,
//! and write exactly TOKENS tokens each, without the n-gram rule. Prints one JSON object a mode. With PAUSE set in the
//! environment it waits a second between its parts, so that gpu_busy.cpp can tell them apart.

use image::{ExtendedColorType, ImageEncoder};
use ocr_model_deepseek::generate::{Asked, Stop};
use ocr_model_deepseek::{
    ExpertWeights, Mode, Model, NgramRule, Options, Place, Precision, Seen, Task, Turns,
};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How often a first token is timed, and a whole page.
const ALONE: usize = 9;
const WHOLE: usize = 3;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, place, precision, modes, pages, tokens, size, rest @ ..] = &words[..] else {
        return Err(
            "usage: page_bench FOLDER DEVICE DTYPE MODES PAGES TOKENS WIDTHxHEIGHT [ROWS] [deterministic]"
                .into(),
        );
    };
    let place = match place.split_once(':') {
        None if place == "cpu" => Place::Cpu,
        Some(("cuda", number)) => Place::Cuda(number.parse()?),
        _ => return Err(format!("there is no device `{place}`").into()),
    };
    let modes: Vec<Mode> = modes
        .split(',')
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    let (pages, tokens): (usize, usize) = (pages.parse()?, tokens.parse()?);
    let (width, height) = size.split_once('x').ok_or("a size is WIDTHxHEIGHT")?;
    let mut options = Options::new(folder, place);
    options.precision = Some(match precision.as_str() {
        "f32" => Precision::F32,
        "f16" => Precision::F16,
        _ => Precision::Bf16,
    });
    options.ngram.size = 0;
    if let Some(rows) = rest.first() {
        options.rows = rows.parse()?;
    }
    options.deterministic = rest.iter().any(|word| word == "deterministic");
    if rest.iter().any(|word| word == "int8") {
        options.experts = ExpertWeights::Int8;
    }
    let drawn = std::env::temp_dir().join(format!("page-bench-{}", std::process::id()));
    std::fs::create_dir_all(&drawn)?;
    let files = draw(&drawn, pages.max(1), width.parse()?, height.parse()?)?;

    let started = Instant::now();
    let model = Model::load(&options)?;
    let load_s = started.elapsed().as_secs_f64();
    for mode in modes {
        let read = |file: &Path, tokens: usize| read(&model, &options, mode, file, tokens);
        // Everything that is made at first use; then the sizes of a full batch.
        read(&files[0], 2)?;
        let threads = options.rows + options.rows / 4;
        together(&files[..files.len().min(16)], 16, |file| read(file, 1).map(drop))?;
        pause();
        let many = together(&files, threads, |file| read(file, tokens).map(drop))?;
        pause();
        let seen = together(&files, threads, |file| read(file, 1).map(drop))?;
        pause();
        let (mut first, mut whole, mut prepared) = (Vec::new(), Vec::new(), Vec::new());
        for file in files.iter().cycle().take(ALONE) {
            let started = Instant::now();
            prepare(&model, &options, mode, file)?;
            prepared.push(started.elapsed());
            let started = Instant::now();
            read(file, 1)?;
            first.push(started.elapsed());
        }
        for file in files.iter().cycle().take(WHOLE) {
            let started = Instant::now();
            read(file, tokens)?;
            whole.push(started.elapsed());
        }
        pause();
        let median = |times: &mut [Duration]| {
            times.sort();
            times[times.len() / 2].as_secs_f64() * 1e3
        };
        println!(
            "{}",
            serde_json::json!({
                "mode": mode.name(), "precision": precision, "pages": pages, "tokens": tokens, "size": size,
                "rows": options.rows, "threads": threads, "deterministic": options.deterministic,
                "experts": format!("{:?}", options.experts), "load_s": load_s,
                "together": {"seconds": many.as_secs_f64(), "pages_per_s": pages as f64 / many.as_secs_f64(),
                    "tokens_per_s": (pages * tokens) as f64 / many.as_secs_f64()},
                "first_token_of_all": {"seconds": seen.as_secs_f64(), "ms_per_page": seen.as_secs_f64() * 1e3 / pages as f64},
                "alone": {"first_token_ms": median(&mut first), "of_that_file_and_views_ms": median(&mut prepared),
                    "whole_ms": median(&mut whole)},
            })
        );
    }
    std::fs::remove_dir_all(&drawn)?;
    Ok(())
}

/// A second without work, where it is asked for.
fn pause() {
    if std::env::var_os("PAUSE").is_some() {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Pages as PNG files.
fn draw(folder: &Path, pages: usize, width: usize, height: usize) -> Result<Vec<PathBuf>> {
    let files: Vec<PathBuf> = (0..pages).map(|n| folder.join(format!("{n}.png"))).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    together(&files, threads, |path| {
        let pixels = ocr_synthetic::page(width, height, next.fetch_add(1, Ordering::Relaxed) as u64);
        let file = std::io::BufWriter::new(std::fs::File::create(path)?);
        image::codecs::png::PngEncoder::new(file).write_image(
            &pixels,
            width as u32,
            height as u32,
            ExtendedColorType::Rgb8,
        )?;
        Ok(())
    })?;
    Ok(files)
}

/// A page's file as the model sees it; as many at a time as there are cores.
fn prepare(model: &Model, options: &Options, mode: Mode, file: &Path) -> Result<Seen> {
    static TURNS: LazyLock<Turns> = LazyLock::new(Turns::of_cores);
    let _turn = TURNS.take();
    let image = ocr_png::read(&std::fs::read(file)?, u64::MAX).ok_or("the files are RGB")?;
    Ok(Seen::new(
        model.tokenizer(),
        &image,
        mode,
        options.max_crops,
        &Task::Markdown,
    )?)
}

/// One page from its file to its tokens.
fn read(model: &Model, options: &Options, mode: Mode, file: &Path, tokens: usize) -> Result<()> {
    let seen = prepare(model, options, mode, file)?;
    let asked = Asked {
        max_new_tokens: tokens,
        ngram: NgramRule {
            size: 0,
            ..NgramRule::default()
        },
        stop: Stop::Never,
    };
    let written = model.write(seen, &asked, &mut |_| true)?;
    match written.tokens.len() == tokens {
        true => Ok(()),
        false => Err(format!("{} tokens were written, not {tokens}", written.tokens.len()).into()),
    }
}

/// Reads all files on so many threads; answers the wall time.
fn together(
    files: &[PathBuf],
    threads: usize,
    read: impl Fn(&Path) -> Result<()> + Sync,
) -> Result<Duration> {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = read(file) {
                        eprintln!("{}: {error}", file.display());
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    match failed.into_inner() {
        0 => Ok(started.elapsed()),
        failed => Err(format!("{failed} pages failed").into()),
    }
}
