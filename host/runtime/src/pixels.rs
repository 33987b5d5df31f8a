//! What the host does to pixels for plugins: encoding and scaling.

use fast_image_resize as fir;
use image::codecs::{jpeg::JpegEncoder, png, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder};
use ocr_document::{PageImage, PixelFormat};
use std::io::{self, Write};
use std::time::Instant;

/// File formats that images are written in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Encoding {
    Png,
    Jpeg,
    Webp,
}

/// Why an image was not encoded.
#[derive(Debug)]
pub(crate) enum EncodeError {
    /// It takes more bytes than it may.
    TooLong,
    /// It took too long.
    TooLate,
    /// It can't be.
    Failed(String),
}

/// Takes an encoder's bytes up to a number and a moment: noise takes as much room as pixels, and nobody may want it.
struct Bounded {
    bytes: Vec<u8>,
    most: u64,
    deadline: Instant,
    /// Length at which the clock is looked at again.
    look_at: usize,
    refused: Option<EncodeError>,
}

/// Bytes between two looks at the clock; an encoder writes them in a millisecond.
const LOOK_BYTES: usize = 64 << 10;

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.most {
            self.refused = Some(EncodeError::TooLong);
        } else if self.bytes.len() >= self.look_at {
            self.look_at = self.bytes.len() + LOOK_BYTES;
            if Instant::now() > self.deadline {
                self.refused = Some(EncodeError::TooLate);
            }
        }
        if self.refused.is_some() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At most `most` bytes, until `deadline`. PNG and WebP are lossless here; `quality` is for JPEG, 1 ..= 100.
pub(crate) fn encode(
    image: &PageImage,
    to: Encoding,
    quality: u8,
    most: u64,
    deadline: Instant,
) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Bounded {
        bytes: Vec::new(),
        most,
        deadline,
        look_at: 0,
        refused: None,
    };
    let (width, height, pixels) = (image.width(), image.height(), image.pixels());
    let color = match image.format() {
        PixelFormat::Gray8 => ExtendedColorType::L8,
        PixelFormat::Rgb8 => ExtendedColorType::Rgb8,
    };
    let encoded = match to {
        Encoding::Png => {
            let (level, filter) = (png::CompressionType::Fast, png::FilterType::Adaptive);
            png::PngEncoder::new_with_quality(&mut bytes, level, filter)
                .write_image(pixels, width, height, color)
        }
        Encoding::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100));
            encoder.write_image(pixels, width, height, color)
        }
        Encoding::Webp => WebPEncoder::new_lossless(&mut bytes).write_image(pixels, width, height, color),
    };
    match (bytes.refused, encoded) {
        (Some(refused), _) => Err(refused),
        (None, Ok(())) => Ok(bytes.bytes),
        (None, Err(e)) => {
            let why = format!("a {width} x {height} px image can't be encoded: {e}");
            Err(EncodeError::Failed(why))
        }
    }
}

/// Pixels scaled to exactly this size.
pub(crate) fn resize(image: &PageImage, width: u32, height: u32) -> Result<PageImage, String> {
    let say = |e: &dyn std::fmt::Display| format!("can't resize to {width} x {height} px: {e}");
    let kind = match image.format() {
        PixelFormat::Gray8 => fir::PixelType::U8,
        PixelFormat::Rgb8 => fir::PixelType::U8x3,
    };
    let from = fir::images::ImageRef::new(image.width(), image.height(), image.pixels(), kind)
        .map_err(|e| say(&e))?;
    let mut to = fir::images::Image::new(width, height, kind);
    fir::Resizer::new()
        .resize(&from, &mut to, None)
        .map_err(|e| say(&e))?;
    PageImage::new(width, height, image.format(), to.into_vec()).map_err(|e| say(&e))
}

/// The image itself where it has at most `most` pixels, else a copy scaled down to about as many.
pub(crate) fn at_most(image: PageImage, most: u64) -> Result<PageImage, String> {
    let pixels = u64::from(image.width()) * u64::from(image.height());
    if pixels <= most {
        return Ok(image);
    }
    let scale = (most as f64 / pixels as f64).sqrt();
    let side = |length: u32| ((f64::from(length) * scale) as u32).max(1);
    resize(&image, side(image.width()), side(image.height()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_stops_where_it_may_go_no_further() {
        let noise: Vec<u8> = (0..300 * 300u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let image = PageImage::new(300, 300, PixelFormat::Gray8, noise).unwrap();
        let soon = Instant::now() + std::time::Duration::from_secs(60);
        for to in [Encoding::Png, Encoding::Jpeg, Encoding::Webp] {
            let whole = encode(&image, to, 90, u64::MAX, soon).unwrap().len() as u64;
            assert_eq!(encode(&image, to, 90, whole, soon).unwrap().len() as u64, whole);
            let short = encode(&image, to, 90, whole - 1, soon);
            assert!(matches!(short, Err(EncodeError::TooLong)), "{to:?}");
            let late = encode(&image, to, 90, u64::MAX, Instant::now());
            assert!(matches!(late, Err(EncodeError::TooLate)), "{to:?}");
        }
    }

    #[test]
    fn large_images_are_scaled_down_and_small_ones_left_alone() {
        let image = PageImage::new(400, 100, PixelFormat::Gray8, vec![200; 40_000]).unwrap();
        assert_eq!(at_most(image.clone(), 40_000).unwrap(), image);
        let small = at_most(image, 10_000).unwrap();
        assert_eq!((small.width(), small.height()), (200, 50));
        assert!(small.pixels().iter().all(|&v| v == 200));
        // However thin, something is left.
        let line = PageImage::new(40_000, 1, PixelFormat::Gray8, vec![0; 40_000]).unwrap();
        assert_eq!(at_most(line, 100).unwrap().height(), 1);
    }
}
