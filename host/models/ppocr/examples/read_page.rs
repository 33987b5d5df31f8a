//! Reads images and prints their markdown, or their plain lines with `--lines`; timings go to stderr.
//!
//! `cargo run --release -p ocr-model-ppocr --example read_page -- [--lines] [--repeat N] [--threads N] [--plain]
//! [--rescue FILE] [--turn N] IMAGE…`; `--plain` leaves out layout and tables.

use ocr_document::{PageImage, PixelFormat};
use ocr_engine::{Control, PageJob, Recognizer};
use ocr_model_ppocr::{Options, Ppocr};
use std::time::{Duration, Instant};

/// The program's allocator, so that times and memory are the program's too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    let (mut repeat, mut turn, mut lines, mut boxes, mut images) = (1, 0, false, false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--lines" => lines = true,
            "--boxes" => boxes = true,
            "--plain" => options.layout = false,
            "--repeat" => repeat = value()?.parse()?,
            "--threads" => options.threads = value()?.parse()?,
            "--turn" => turn = value()?.parse()?,
            "--rescue" => options.rescue = Some(value()?.into()),
            "--rescue-below" => options.rescue_below = value()?.parse()?,
            _ => images.push(argument),
        }
    }
    let engine = Ppocr::new(options)?;
    for path in images {
        let image = load(&path)?.rotate(turn);
        let job = PageJob {
            index: 0,
            number: 1,
            dpi: 72.0,
            size_points: (image.width() as f32, image.height() as f32),
            image,
            text_layer: None,
            trust: Default::default(),
            diagnostics: Vec::new(),
            time_limit: Duration::from_secs(60),
            tenant: Default::default(),
        };
        let mut walls = Vec::new();
        let mut last = None;
        for _ in 0..repeat.max(1) {
            let started = Instant::now();
            last = Some(engine.recognize(&job, &Control::new(job.time_limit))?);
            walls.push(started.elapsed().as_millis());
        }
        let page = last.expect("at least one run");
        walls.sort();
        let stages: Vec<String> = page
            .timings()
            .iter()
            .map(|(stage, spent)| format!("{stage} {}", spent.as_millis()))
            .collect();
        eprintln!(
            "{path}: {} ms ({}), {} lines {:?}",
            walls[walls.len() / 2],
            stages.join(", "),
            page.lines().len(),
            page.info()
                .diagnostics
                .iter()
                .map(|d| &d.message)
                .collect::<Vec<_>>()
        );
        println!("=== {path}");
        if boxes {
            for span in page.reading_order().iter().map(|&n| &page.spans()[n]) {
                let text: String = page.text_of(span.text).chars().take(70).collect();
                println!(
                    "{:?} {} {:?} {text:?}",
                    span.kind,
                    page.labels()[span.label as usize],
                    span.area
                );
            }
        } else if lines {
            for line in page.lines() {
                println!("{}", page.text_of(line.text));
            }
        } else {
            println!("{}", page.markdown());
        }
    }
    Ok(())
}

fn load(path: &str) -> Result<PageImage, Box<dyn std::error::Error>> {
    let decoded = image::ImageReader::open(path)?.with_guessed_format()?.decode()?;
    let (width, height) = (decoded.width(), decoded.height());
    Ok(match decoded {
        image::DynamicImage::ImageLuma8(gray) => {
            PageImage::new(width, height, PixelFormat::Gray8, gray.into_raw())?
        }
        other => PageImage::new(width, height, PixelFormat::Rgb8, other.to_rgb8().into_raw())?,
    })
}
