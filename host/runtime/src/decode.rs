//! The host's image decoders: PNG, JPEG, WebP, BMP, GIF and TIFF, frame by frame, upright by their EXIF orientation.
//!
//! Sizes are checked before anything is decoded; a decoder never gets more memory than the plugin's `image-bytes`.

use image::codecs::{gif::GifDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, DynamicImage, Frames, ImageDecoder, ImageError, ImageFormat, ImageReader};
use ocr_document::{PageImage, PixelFormat};
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Largest image that is decoded, pixels: an A0 sheet at 400 dpi has 248 million, A3 at 600 dpi has 70.
pub const MAX_PIXELS: u64 = 256_000_000;

/// Most frames that one file may hold.
const MAX_FRAMES: usize = 10_000;

/// Most frames of an animation, where reaching one means decoding those before it.
const MAX_ANIMATION_FRAMES: usize = 1_000;

/// Frames of an animation that are kept decoded, and the pixels they may have together.
const FRAMES_AHEAD: usize = 16;
const PIXELS_AHEAD: u64 = 16_000_000;

/// An opened image file.
pub(crate) struct ImageFile {
    bytes: Bytes,
    format: ImageFormat,
    kind: Kind,
    memory: u64,
}

enum Kind {
    Single,
    /// Offsets of the TIFF directories, one a page.
    Tiff(Vec<u64>),
    /// Frames are decoded in order, so a few are kept ahead: `ahead[0]` is frame `first`.
    Animation {
        frames: u32,
        first: u32,
        ahead: Vec<DynamicImage>,
    },
}

/// Bytes that a cursor can share.
#[derive(Clone)]
struct Bytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ImageFile {
    /// Opens an image file; `memory` bounds what decoding may take, bytes.
    pub(crate) fn open(bytes: Vec<u8>, memory: u64) -> Result<Self, String> {
        let format =
            image::guess_format(&bytes).map_err(|_| "is no image that this host can read".to_owned())?;
        let mut file = Self {
            bytes: Bytes(Arc::new(bytes)),
            format,
            kind: Kind::Single,
            memory,
        };
        file.kind = match format {
            ImageFormat::Tiff => Kind::Tiff(tiff_directories(&file.bytes.0)?),
            ImageFormat::Gif => file.animation()?,
            ImageFormat::WebP if file.webp()?.has_animation() => file.animation()?,
            _ => Kind::Single,
        };
        Ok(file)
    }

    pub(crate) fn frames(&self) -> u32 {
        match &self.kind {
            Kind::Single => 1,
            Kind::Tiff(offsets) => offsets.len() as u32,
            Kind::Animation { frames, .. } => *frames,
        }
    }

    /// Resolution of a frame, dots per inch, where the file tells.
    pub(crate) fn dpi(&self, index: u32) -> Option<f32> {
        let directory = match &self.kind {
            Kind::Tiff(offsets) => offsets.get(index as usize).copied(),
            _ => None,
        };
        crate::dpi::read(self.format, &self.bytes.0, directory).filter(|d| (20.0..=4800.0).contains(d))
    }

    pub(crate) fn frame(&mut self, index: u32) -> Result<PageImage, String> {
        if index >= self.frames() {
            return Err(format!(
                "has {} frames, frame {index} was asked for",
                self.frames()
            ));
        }
        let image = match &mut self.kind {
            Kind::Tiff(offsets) => {
                let view = TiffPage {
                    inner: Cursor::new(self.bytes.clone()),
                    first: offsets[index as usize],
                };
                let decoder = TiffDecoder::new(BufReader::new(view)).map_err(say)?;
                decode(decoder, self.memory)?
            }
            Kind::Animation { .. } => self.animation_frame(index)?,
            Kind::Single => {
                let reader = ImageReader::with_format(Cursor::new(self.bytes.clone()), self.format);
                decode(reader.into_decoder().map_err(say)?, self.memory)?
            }
        };
        to_page_image(image)
    }

    fn webp(&self) -> Result<WebPDecoder<Cursor<Bytes>>, String> {
        WebPDecoder::new(Cursor::new(self.bytes.clone())).map_err(say)
    }

    fn iterator(&self) -> Result<Frames<'static>, String> {
        if self.format == ImageFormat::WebP {
            let decoder = self.webp()?;
            check_size(decoder.dimensions(), self.memory)?;
            return Ok(decoder.into_frames());
        }
        let decoder = GifDecoder::new(Cursor::new(self.bytes.clone())).map_err(say)?;
        check_size(decoder.dimensions(), self.memory)?;
        Ok(decoder.into_frames())
    }

    fn animation(&self) -> Result<Kind, String> {
        let mut frames = 0;
        for frame in self.iterator()?.take(MAX_ANIMATION_FRAMES) {
            match frame {
                Ok(_) => frames += 1,
                // What follows a broken frame is lost, and asking for it says so.
                Err(error) if frames == 0 => return Err(say(error)),
                Err(_) => {
                    frames += 1;
                    break;
                }
            }
        }
        Ok(Kind::Animation {
            frames,
            first: 0,
            ahead: Vec::new(),
        })
    }

    fn animation_frame(&mut self, index: u32) -> Result<DynamicImage, String> {
        let Kind::Animation { frames, first, ahead } = &self.kind else {
            unreachable!("asked of animations alone")
        };
        let (frames, first, kept) = (*frames, *first, ahead.len());
        if !(first..first + kept as u32).contains(&index) {
            let mut fresh = Vec::new();
            let mut pixels = 0;
            for frame in self
                .iterator()?
                .skip(index as usize)
                .take((frames - index) as usize)
                .take(FRAMES_AHEAD)
            {
                match frame {
                    Ok(frame) => fresh.push(DynamicImage::ImageRgba8(frame.into_buffer())),
                    Err(error) if fresh.is_empty() => return Err(say(error)),
                    Err(_) => break,
                }
                pixels += fresh
                    .last()
                    .map_or(0, |f| u64::from(f.width()) * u64::from(f.height()));
                if pixels > PIXELS_AHEAD {
                    break;
                }
            }
            self.kind = Kind::Animation {
                frames,
                first: index,
                ahead: fresh,
            };
        }
        let Kind::Animation { first, ahead, .. } = &self.kind else {
            unreachable!("set above")
        };
        ahead
            .get((index - first) as usize)
            .cloned()
            .ok_or_else(|| format!("ends before frame {index}"))
    }
}

fn check_size((width, height): (u32, u32), memory: u64) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    let limit = MAX_PIXELS.min(memory / 3);
    if pixels > limit {
        return Err(format!(
            "is {width} x {height} px ({} megapixels), over the limit of {} megapixels; scale it down{}",
            pixels / 1_000_000,
            limit / 1_000_000,
            if limit < MAX_PIXELS {
                " or raise --plugin-limit image-bytes"
            } else {
                ""
            },
        ));
    }
    Ok(())
}

fn decode(mut decoder: impl ImageDecoder, memory: u64) -> Result<DynamicImage, String> {
    check_size(decoder.dimensions(), memory)?;
    let mut limits = image::Limits::no_limits();
    // Decoders keep the raw and the converted pixels for a moment.
    limits.max_alloc = Some(memory.saturating_mul(2));
    decoder.set_limits(limits).map_err(say)?;
    let orientation = decoder.orientation().map_err(say)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(say)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn say(error: ImageError) -> String {
    format!("can't be decoded: {error}")
}

/// Grey stays grey, everything else becomes RGB; transparency is laid on white, as a viewer would show it.
fn to_page_image(image: DynamicImage) -> Result<PageImage, String> {
    let (width, height) = (image.width(), image.height());
    let over_white = |v: u8, a: u8| 255 - ((255 - u16::from(v)) * u16::from(a) / 255) as u8;
    let (format, pixels) = match image {
        DynamicImage::ImageLuma8(gray) => (PixelFormat::Gray8, gray.into_raw()),
        DynamicImage::ImageLuma16(_) => (PixelFormat::Gray8, image.into_luma8().into_raw()),
        DynamicImage::ImageRgb8(rgb) => (PixelFormat::Rgb8, rgb.into_raw()),
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLumaA16(_) => {
            let pixels = image
                .into_luma_alpha8()
                .pixels()
                .map(|p| over_white(p[0], p[1]))
                .collect();
            (PixelFormat::Gray8, pixels)
        }
        _ if image.color().has_alpha() => {
            let rgba = image.into_rgba8();
            let pixels = rgba
                .pixels()
                .flat_map(|p| [0, 1, 2].map(|i| over_white(p[i], p[3])))
                .collect();
            (PixelFormat::Rgb8, pixels)
        }
        _ => (PixelFormat::Rgb8, image.into_rgb8().into_raw()),
    };
    PageImage::new(width, height, format, pixels).map_err(|e| e.to_string())
}

/// A TIFF file whose header points to another directory, so that a single-page decoder reads that page.
struct TiffPage {
    inner: Cursor<Bytes>,
    first: u64,
}

impl Read for TiffPage {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let at = self.inner.position();
        let count = self.inner.read(to)?;
        let bytes = self.inner.get_ref().as_ref();
        let (little, big) = (bytes[0] == b'I', is_big_tiff(bytes));
        let (start, size) = if big { (8, 8) } else { (4, 4) };
        let mut pointer = self.first.to_le_bytes()[..size].to_vec();
        if !little {
            pointer.reverse();
        }
        for (i, byte) in pointer.into_iter().enumerate() {
            let place = start + i as u64;
            if (at..at + count as u64).contains(&place) {
                to[(place - at) as usize] = byte;
            }
        }
        Ok(count)
    }
}

impl Seek for TiffPage {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

fn is_big_tiff(bytes: &[u8]) -> bool {
    matches!(bytes.get(..4), Some([b'I', b'I', 43, 0] | [b'M', b'M', 0, 43]))
}

/// Offsets of a TIFF's directories, in page order; thumbnails and masks (NewSubfileType bits 0 and 2) are no pages.
fn tiff_directories(bytes: &[u8]) -> Result<Vec<u64>, String> {
    let tiff = crate::dpi::Tiff::new(bytes).ok_or("is no TIFF file")?;
    let mut offsets = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut next = tiff.first_directory();
    while let Some(at) = next.filter(|&at| at != 0) {
        if !seen.insert(at) || offsets.len() >= MAX_FRAMES {
            break;
        }
        let Some(directory) = tiff.directory(at) else {
            break;
        };
        let subfile = directory.number(254).unwrap_or(0.0) as u32;
        if subfile & 0b101 == 0 {
            offsets.push(at);
        }
        next = directory.next;
    }
    if offsets.is_empty() {
        Err("has no pages".into())
    } else {
        Ok(offsets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, RgbaImage};

    const ROOM: u64 = 64 << 20;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn transparency_is_laid_on_white() {
        let image = DynamicImage::ImageRgba8(
            RgbaImage::from_raw(2, 1, vec![10, 20, 30, 0, 10, 20, 30, 255]).unwrap(),
        );
        let mut file = ImageFile::open(encoded(&image, ImageFormat::Png), ROOM).unwrap();
        assert_eq!(file.frame(0).unwrap().pixels(), [255, 255, 255, 10, 20, 30]);
    }

    #[test]
    fn every_format_is_read() {
        let gray = DynamicImage::ImageLuma8(GrayImage::from_pixel(8, 6, image::Luma([200])));
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Bmp,
            ImageFormat::Gif,
            ImageFormat::Tiff,
        ] {
            let image = DynamicImage::ImageRgb8(gray.to_rgb8());
            let mut file = ImageFile::open(encoded(&image, format), ROOM).unwrap();
            let frame = file.frame(0).unwrap();
            assert_eq!(
                (frame.width(), frame.height(), file.frames()),
                (8, 6, 1),
                "{format:?}"
            );
            assert!(frame.pixels().iter().all(|v| v.abs_diff(200) < 4), "{format:?}");
            assert!(file.frame(1).is_err());
        }
    }

    #[test]
    fn pages_of_a_tiff_and_frames_of_a_gif_are_all_read() {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        for value in [10u8, 20, 30] {
            encoder
                .write_image::<tiff::encoder::colortype::Gray8>(4, 4, &[value; 16])
                .unwrap();
        }
        let mut file = ImageFile::open(bytes.into_inner(), ROOM).unwrap();
        assert_eq!(file.frames(), 3);
        for (index, value) in [(2, 30), (0, 10), (1, 20)] {
            assert_eq!(file.frame(index).unwrap().pixels(), [value; 16]);
        }
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        for value in [0u8, 255] {
            encoder
                .encode_frame(image::Frame::new(RgbaImage::from_pixel(
                    4,
                    4,
                    image::Rgba([value, value, value, 255]),
                )))
                .unwrap();
        }
        drop(encoder);
        let mut file = ImageFile::open(bytes, ROOM).unwrap();
        assert_eq!(file.frames(), 2);
        assert_eq!(file.frame(1).unwrap().pixels()[0], 255);
        assert_eq!(file.frame(0).unwrap().pixels()[0], 0);
    }

    #[test]
    fn oversized_images_are_refused_before_decoding() {
        // A PNG header that promises 60,000 x 60,000 pixels.
        let mut png = encoded(&DynamicImage::new_rgb8(1, 1), ImageFormat::Png);
        png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = ImageFile::open(png, 512 << 20).unwrap().frame(0).unwrap_err();
        assert!(error.contains("60000 x 60000 px"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &b| {
            (0..8).fold(crc ^ u32::from(b), |c, _| {
                if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 }
            })
        })
    }

    #[test]
    fn broken_files_are_errors() {
        let whole = encoded(&DynamicImage::new_rgb8(40, 40), ImageFormat::Tiff);
        for end in [0, 1, 4, 8, 20, whole.len() - 1] {
            let read = ImageFile::open(whole[..end].to_vec(), ROOM).and_then(|mut f| f.frame(0));
            assert!(read.is_err(), "cut at {end}");
        }
    }
}
