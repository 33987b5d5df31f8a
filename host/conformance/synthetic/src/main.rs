//! `synthetic KIND FOLDER [SEED]` writes a checkpoint; `synthetic page WIDTH HEIGHT SEED FILE.ppm` a page.

use ocr_synthetic::Kind;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: synthetic tiny|full|walk|tiny-walk FOLDER [SEED]
       synthetic page|picture WIDTH HEIGHT SEED FILE.ppm";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [what @ ("page" | "picture"), width, height, seed, file] => {
            let (width, height, seed) = (width.parse()?, height.parse()?, seed.parse()?);
            let pixels = match what {
                "page" => ocr_synthetic::page(width, height, seed),
                _ => ocr_synthetic::picture(width, height, seed),
            };
            let mut image = format!("P6\n{width} {height}\n255\n").into_bytes();
            image.extend(pixels);
            Ok(std::fs::write(file, image)?)
        }
        [name, folder, ref rest @ ..] => {
            let kind = Kind::ALL.iter().find(|(of, _)| *of == name).ok_or(USAGE)?.1;
            let seed = rest.first().map_or(Ok(1), |seed| seed.parse())?;
            Ok(ocr_synthetic::write(Path::new(folder), kind, seed)?)
        }
        _ => Err(USAGE.into()),
    }
}
