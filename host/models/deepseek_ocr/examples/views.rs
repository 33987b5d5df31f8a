//! How long a page takes to become views: for each mode, or the one that is named, the median of 31 runs in ms.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p ocr-model-deepseek --example views -- 1240 1754 gundam`

use ocr_document::{ImageError, PageImage, PixelFormat};
use ocr_model_deepseek::{Mode, views};
use std::time::{Duration, Instant};

const RUNS: usize = 31;

fn main() -> Result<(), ImageError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let side = |n: usize, default: u32| {
        arguments
            .get(n)
            .and_then(|side| side.parse().ok())
            .unwrap_or(default)
    };
    let (width, height) = (side(0, 1240), side(1, 1754));
    let only: Option<Mode> = arguments.get(2).and_then(|name| name.parse().ok());
    let bytes = width as usize * height as usize * 3;
    let pixels = (0..bytes).map(|i| ((i * i) >> 7) as u8).collect();
    let page = PageImage::new(width, height, PixelFormat::Rgb8, pixels)?;
    for mode in Mode::ALL
        .into_iter()
        .filter(|&mode| only.is_none_or(|only| only == mode))
    {
        let mut times: Vec<Duration> = (0..RUNS)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(views(std::hint::black_box(&page), mode, 9));
                start.elapsed()
            })
            .collect();
        times.sort();
        let ms = |n: usize| times[n].as_secs_f64() * 1e3;
        println!(
            "{:7} {:6.1} ms, {:.1} to {:.1}",
            mode.name(),
            ms(RUNS / 2),
            ms(RUNS / 10),
            ms(RUNS - 1 - RUNS / 10)
        );
    }
    Ok(())
}
