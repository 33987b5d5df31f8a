//! Reads gray images in the format PGM: `P5`, width, height and 255 in words, then a byte for each pixel.

#![forbid(unsafe_code)]

use ocr_plugin::adapter::{InputPage, Item, OpenOptions};
use ocr_plugin::image::{Canvas, PixelFormat};
use ocr_plugin::source::Source;
use ocr_plugin::{Adapter, DocInfo, Error, Result};
use serde::Deserialize;

/// The settings. Cargo.toml describes them; the host fills defaults in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    dpi: f32,
}

struct MyPlugin {
    source: Source,
    settings: Settings,
    width: u32,
    height: u32,
    /// Where the pixels begin.
    pixels: u64,
}

/// Width, height and length of a header.
fn header(head: &[u8]) -> Option<(u32, u32, u64)> {
    let mut at = 0;
    let mut word = || {
        while head.get(at)?.is_ascii_whitespace() {
            at += 1;
        }
        let start = at;
        while !head.get(at)?.is_ascii_whitespace() {
            at += 1;
        }
        Some((std::str::from_utf8(&head[start..at]).ok()?, at as u64 + 1))
    };
    let (magic, _) = word()?;
    let (width, height) = (word()?.0.parse().ok()?, word()?.0.parse().ok()?);
    let (most, end) = word()?;
    (magic == "P5" && most == "255" && width > 0 && height > 0).then_some((width, height, end))
}

impl Adapter for MyPlugin {
    fn sniff(_name: &str, head: &[u8]) -> u8 {
        if header(head).is_some() { 80 } else { 0 }
    }

    fn open(source: Source, options: OpenOptions) -> Result<Self> {
        let head = source.read_at(0, 4096)?;
        let (width, height, pixels) =
            header(&head).ok_or_else(|| Error::invalid_input("its header is no PGM header"))?;
        let settings = options.config.parse()?;
        Ok(Self { source, settings, width, height, pixels })
    }

    fn info(&self) -> DocInfo {
        DocInfo {
            pages: Some(1),
            ..DocInfo::new(self.source.name(), "image/x-portable-graymap")
        }
    }

    fn read(&mut self, index: u32, _dpi: f32) -> Result<Option<Item>> {
        if index > 0 {
            return Ok(None);
        }
        let mut canvas = Canvas::new(self.width, self.height, PixelFormat::Gray8)?;
        for row in 0..self.height {
            let start = self.pixels + u64::from(row) * u64::from(self.width);
            let pixels = self.source.read_at(start, self.width)?;
            if pixels.len() < self.width as usize {
                return Err(Error::invalid_input(format!("it ends in row {row} of {}", self.height)));
            }
            canvas.write_rows(row, &pixels)?;
        }
        let dpi = self.settings.dpi;
        Ok(Some(Item::Page(InputPage {
            image: canvas.finish()?,
            dpi,
            width_points: self.width as f32 * 72.0 / dpi,
            height_points: self.height as f32 * 72.0 / dpi,
            text_layer: None,
        })))
    }
}

ocr_plugin::export_adapter!(MyPlugin);

#[test]
fn an_image_is_read() {
    use ocr_plugin::testing;
    let bytes = b"P5 2 1 255\n\x00\xff".to_vec();
    assert_eq!(MyPlugin::sniff("a.pgm", &bytes), 80);
    let mut plugin = testing::open::<MyPlugin>("a.pgm", bytes, r#"{"dpi": 96}"#, None).unwrap();
    let page = testing::page_of(plugin.read(0, 96.0).unwrap()).unwrap();
    assert_eq!(testing::rgb(&page.image), (2, 1, vec![0, 0, 0, 255, 255, 255]));
    assert!(plugin.read(1, 96.0).unwrap().is_none());
}
