//! Images as documents: each image of the file is a page.
//!
//! The host decodes; the file's bytes never enter this component, only its first few for telling the format.
//! Formats that the host cannot decode are claimed weakly, so that the user reads which format it is instead of
//! "no adapter".

#![forbid(unsafe_code)]

mod format;
mod resolution;

use format::Format;
use ocr_plugin::adapter::{Item, OpenOptions};
use ocr_plugin::image::Decoder;
use ocr_plugin::source::Source;
use ocr_plugin::{Adapter, DocInfo, Error, HostError, Result, adapter::InputPage};
use serde::Deserialize;

/// Bytes that tell a format.
const HEAD_BYTES: u32 = 64;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    dpi: Option<f32>,
}

struct Images {
    name: String,
    media_type: &'static str,
    decoder: Decoder,
    settings: Settings,
}

impl Adapter for Images {
    fn sniff(name: &str, head: &[u8]) -> u8 {
        match format::of(head) {
            Some(Format::Known(_)) => 95,
            Some(Format::Foreign(_)) => 3,
            None if format::name_suggests_image(name) => 2,
            None => 0,
        }
    }

    fn open(source: Source, options: OpenOptions) -> Result<Self> {
        let settings: Settings = options.config.parse()?;
        let name = source.name();
        let media_type = match format::of(&source.read_at(0, HEAD_BYTES)?) {
            Some(Format::Known(media_type)) => media_type,
            Some(Format::Foreign(format)) => {
                return Err(Error::unsupported(format!(
                    "`{name}` is a {format} image, which cannot be decoded here; convert it to PNG or JPEG first"
                )));
            }
            None => {
                return Err(Error::invalid_input(format!(
                    "`{name}` is no PNG, JPEG, WebP, TIFF, BMP or GIF image, whatever its name says"
                )));
            }
        };
        let decoder = Decoder::open(&source).map_err(|e| about(&format!("`{name}`"), e))?;
        if decoder.frames() == 0 {
            return Err(Error::invalid_input(format!("`{name}` holds no image")));
        }
        Ok(Self {
            name,
            media_type,
            decoder,
            settings,
        })
    }

    fn info(&self) -> DocInfo {
        DocInfo {
            pages: Some(self.decoder.frames()),
            ..DocInfo::new(&self.name, self.media_type)
        }
    }

    fn read(&mut self, index: u32, _dpi: f32) -> Result<Option<Item>> {
        let frames = self.decoder.frames();
        if index >= frames {
            return Ok(None);
        }
        let which = || format!("image {} of {frames} in `{}`", index + 1, self.name);
        let image = self.decoder.frame(index).map_err(|e| about(&which(), e))?;
        let (width, height) = (image.width(), image.height());
        let dpi = match self.settings.dpi {
            Some(dpi) => dpi,
            None => resolution::choose(width, height, self.decoder.dpi(index)),
        };
        Ok(Some(Item::Page(InputPage {
            image,
            dpi,
            width_points: width as f32 * 72.0 / dpi,
            height_points: height as f32 * 72.0 / dpi,
            text_layer: None,
        })))
    }
}

/// A host's answer with the thing it is about; limits and refusals stay what they are.
fn about(what: &str, error: HostError) -> Error {
    match error {
        HostError::Invalid(why) | HostError::Failed(why) => Error::invalid_input(format!("{what}: {why}")),
        other => other.into(),
    }
}

ocr_plugin::export_adapter!(Images);

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_plugin::testing;

    #[test]
    fn foreign_formats_are_named() {
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec();
        assert_eq!(Images::sniff("a.heic", &heic), 3);
        let error = testing::open::<Images>("a.heic", heic, "{}", None).err().unwrap();
        assert_eq!(
            error.message(),
            "`a.heic` is a HEIC image, which cannot be decoded here; convert it to PNG or JPEG first"
        );
    }

    #[test]
    fn a_name_alone_convinces_nobody() {
        assert_eq!(Images::sniff("letter.png", b"Dear Sir"), 2);
        let error = testing::open::<Images>("letter.png", b"Dear Sir".to_vec(), "{}", None)
            .err()
            .unwrap();
        assert!(
            error.message().starts_with("`letter.png` is no PNG"),
            "{}",
            error.message()
        );
    }

    #[test]
    fn settings_are_checked() {
        let error = testing::open::<Images>("a.png", vec![], r#"{"dpi": "high"}"#, None)
            .err()
            .unwrap();
        assert!(
            error.message().starts_with("setting `dpi`: invalid type"),
            "{}",
            error.message()
        );
    }
}
