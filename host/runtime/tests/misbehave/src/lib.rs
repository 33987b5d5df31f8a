//! A formatter that does on its first page what its option `act` says. The runtime's tests hold their limits
//! against it.

#![forbid(unsafe_code)]

use ocr_plugin::source::Source;
use ocr_plugin::{
    Config, Diagnostic, DocInfo, Formatter, Page, Result, Severity, image::Encoding, log, output,
};
use serde::Deserialize;
use std::hint::black_box;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    act: String,
}

struct Misbehave {
    out: output::File,
    act: String,
    payload: String,
}

/// What a formatter asks for at least: the description, the text and the blocks.
fn touch(page: &Page) -> Result<()> {
    black_box((page.info().number, page.text().len(), page.spans().len()));
    Ok(())
}

/// A name that no output file may have, for each `name-N`.
const NAMES: [&str; 12] = [
    "../escape.txt",
    "/tmp/escape.txt",
    "a/../../escape.txt",
    "C:\\escape.txt",
    "\\\\server\\escape",
    "CON",
    "a\0b",
    "trailing.",
    "trailing ",
    ".hidden",
    "\u{202e}txt.exe",
    "",
];

impl Formatter for Misbehave {
    fn open(_: &DocInfo, config: Config) -> Result<Self> {
        let Settings { act } = config.parse()?;
        if act == "loop-in-open" {
            spin();
        }
        let payload = if act == "write-text" {
            "x".repeat(1 << 20)
        } else {
            String::new()
        };
        Ok(Self {
            out: output::main()?,
            act,
            payload,
        })
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        match self.act.as_str() {
            // Three that behave, for the benchmark.
            "touch" => return touch(page),
            "read-text" => {
                black_box(page.text().len());
                return Ok(());
            }
            "write-text" => return Ok(self.out.write_text(&self.payload)?),
            _ => self.out.write_text("begun\n")?,
        }
        match self.act.as_str() {
            "report" => {
                let said = |text: &str| Diagnostic::new(Severity::Warning, "said", text);
                match page.info().number {
                    1 => log::report(&said("of the document")),
                    number => log::report(&said("on a page").on_page(number)),
                }
            }
            "behave" => self.out.write_text(page.text())?,
            "loop" => spin(),
            "grow" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(black_box(vec![1u8; 1 << 20]));
                }
            }
            "recurse" => {
                black_box(descend(0));
            }
            "panic" => panic!("out of ideas"),
            "flood-log" => (0..100_000)
                .for_each(|n| log::write(Severity::Warning, &format!("line {n}\x1b[2J\nforged: line"))),
            "flood-calls" => (0..100_000_000u64).for_each(|_| {
                black_box(self.out.len());
            }),
            "flood-output" => loop {
                self.out.write(&[b'x'; 1 << 16])?;
            },
            // Swallows the host's errors: the host has to notice by itself.
            "flood-output-silently" => (0..200_000).for_each(|_| {
                let _ = self.out.write(&[b'x'; 1 << 16]);
            }),
            "flood-files" => {
                for n in 0..1_000_000 {
                    output::create(&format!("{n}.txt"), "text/plain")?;
                }
            }
            "hoard-handles" => {
                let raster = page.raster()?;
                let mut hoard = Vec::new();
                loop {
                    hoard.push(raster.resize(1, 1)?);
                }
            }
            "hoard-rasters" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(page.raster()?);
                }
            }
            "hoard-bytes" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(Source::from_bytes("bytes", &vec![7; 1 << 20])?);
                }
            }
            "hoard-files" => {
                let mut hoard = Vec::new();
                for n in 0..1000 {
                    hoard.push(output::create(&format!("{n}.txt"), "text/plain")?);
                }
            }
            "giant-bytes" => drop(Source::from_bytes("bytes", &vec![7; 5 << 20])?),
            "giant-read" => drop(Source::from_bytes("bytes", &vec![7; 1 << 20])?.read_at(0, 5 << 20)?),
            "hoard-images" => {
                let raster = page.raster()?;
                let mut hoard = Vec::new();
                loop {
                    hoard.push(raster.resize(4000, 4000)?);
                }
            }
            "giant-image" => drop(page.raster()?.resize(60_000, 60_000)?),
            "giant-write" => self.out.write_text(&"x".repeat(64 << 20))?,
            "read-rows" => drop(
                page.raster()?
                    .read_rows(0, 1, ocr_plugin::image::PixelFormat::Rgb8)?,
            ),
            "image-to-main" => drop(self.out.write_image(&page.raster()?, Encoding::Png, 90)?),
            act => {
                let name = act
                    .strip_prefix("name-")
                    .and_then(|n| NAMES.get(n.parse::<usize>().ok()?));
                output::create(name.expect("a known act"), "text/plain")?.write_text("escaped")?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

fn spin() {
    let mut n = 0u64;
    while black_box(n) != u64::MAX {
        n = n.wrapping_add(2);
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn descend(depth: u64) -> u64 {
    black_box(descend(black_box(depth + 1)) + 1)
}

ocr_plugin::export_formatter!(Misbehave);
