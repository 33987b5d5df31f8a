//! The host's image decoders: PNG, JPEG, WebP, BMP, GIF and TIFF, frame by frame, upright by their EXIF orientation.
//!
//! What decoding will take is known from the headers, and nothing is decoded that would take more than the plugin's
//! `image-bytes`. Decoders read from a source that fails once the time is up ([`Timed`]).

use crate::clock::{Clock, Timed, past};
use crate::tiff_pages::{TiffPage, tiff_directories};
use image::codecs::{gif::GifDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, DynamicImage, Frames, ImageDecoder, ImageError, ImageFormat, ImageReader};
use ocr_document::{PageImage, PixelFormat};
use std::io::{BufReader, Cursor};
use std::sync::Arc;
use std::time::Instant;

/// Most frames of an animation, where reaching one means decoding those before it.
const MAX_FRAMES: usize = 1_000;

/// Frames of an animation that are kept decoded, and the pixels they may have together.
const FRAMES_AHEAD: usize = 16;
const PIXELS_AHEAD: u64 = 16_000_000;

/// Pixels that reading a whole animation may decode: reaching a frame means decoding those before it, so the work grows
/// with the square of their number. A core decodes some 20 thousand million a minute.
const ANIMATION_WORK: u64 = 60_000_000_000;

/// Copies of a frame that an animation's decoder holds at a time: canvas, frame and result.
const ANIMATION_COPIES: u64 = 3;

/// Bytes a pixel that decoding a progressive JPEG takes besides the result: three components' coefficients.
const PROGRESSIVE_BYTES: u64 = 6;

/// Bytes a pixel that decoding a WebP takes besides the result: planes, or the transforms' pixels.
const WEBP_BYTES: u64 = 4;

const TOO_LONG: &str = "takes too long to read through; raise --plugin-limit time";

/// An opened image file.
pub(crate) struct ImageFile {
    bytes: Bytes,
    format: ImageFormat,
    kind: Kind,
    memory: u64,
    cut: Option<Cut>,
}

/// What of a file can't be read, though the rest can.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It has more images than are read.
    Images(String),
    /// Its only image is not all there.
    Picture(String),
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
pub(crate) struct Bytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ImageFile {
    /// Opens an image file; `memory` bounds what decoding may take, bytes.
    pub(crate) fn open(bytes: Vec<u8>, memory: u64, deadline: Instant) -> Result<Self, String> {
        let format =
            image::guess_format(&bytes).map_err(|_| "is no image that this host can read".to_owned())?;
        let mut file = Self {
            bytes: Bytes(Arc::new(bytes)),
            format,
            kind: Kind::Single,
            memory,
            cut: None,
        };
        match format {
            ImageFormat::Tiff => {
                let (offsets, cut) = tiff_directories(&file.bytes.0)?;
                (file.kind, file.cut) = (Kind::Tiff(offsets), cut.map(Cut::Images));
            }
            ImageFormat::Gif => file.count_frames(deadline)?,
            ImageFormat::Jpeg if crate::jpeg::is_cut(&file.bytes.0) => {
                let why =
                    "the file ends before its picture does, so a part of it is missing; get the file again";
                file.cut = Some(Cut::Picture(why.into()));
            }
            ImageFormat::WebP if file.webp()?.has_animation() => file.count_frames(deadline)?,
            _ => {}
        }
        Ok(file)
    }

    pub(crate) fn frames(&self) -> u32 {
        match &self.kind {
            Kind::Single => 1,
            Kind::Tiff(offsets) => offsets.len() as u32,
            Kind::Animation { frames, .. } => *frames,
        }
    }

    /// What of the file [`frame`](Self::frame) will not give.
    pub(crate) fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Resolution of a frame, dots per inch, where the file tells.
    pub(crate) fn dpi(&self, index: u32) -> Option<f32> {
        let directory = match &self.kind {
            Kind::Tiff(offsets) => offsets.get(index as usize).copied(),
            _ => None,
        };
        crate::dpi::read(self.format, &self.bytes.0, directory).filter(|d| (20.0..=4800.0).contains(d))
    }

    /// What decoding a frame takes, bytes; 0 where the headers are damaged, which decoding then tells.
    pub(crate) fn memory_of(&self, index: u32) -> u64 {
        let taken = match &self.kind {
            Kind::Animation { .. } => self.animation().map(|(_, bytes)| bytes),
            _ => self.decoder(index, &Clock::never()).map(|d| self.taken(&*d)),
        };
        taken.unwrap_or(0)
    }

    /// Bytes of the frames that are kept decoded.
    pub(crate) fn bytes_ahead(&self) -> u64 {
        match &self.kind {
            Kind::Animation { ahead, .. } => ahead.iter().map(|f| f.as_bytes().len() as u64).sum(),
            _ => 0,
        }
    }

    /// Decodes a frame. Panics past the last.
    pub(crate) fn frame(&mut self, index: u32, deadline: Instant) -> Result<PageImage, String> {
        if matches!(self.kind, Kind::Animation { .. }) {
            return to_page_image(self.animation_frame(index, deadline)?);
        }
        let is_late = past(deadline);
        self.single(index, &Clock::new(&is_late))
    }

    /// A page of a TIFF or the only image, as long as the clock allows.
    fn single(&self, index: u32, clock: &Clock<'_>) -> Result<PageImage, String> {
        if self.format == ImageFormat::Png
            && let Some(image) = ocr_png::read_unless(&self.bytes.0, self.memory, &|| clock.is_late())
        {
            return Ok(image);
        }
        let decoded = self.decode(index, clock);
        // Some decoders take a source that ends for a file that was cut, and fill in what is missing.
        match clock.was_late() {
            true => Err(TOO_LONG.into()),
            false => to_page_image(decoded?),
        }
    }

    fn decode(&self, index: u32, clock: &Clock<'_>) -> Result<DynamicImage, String> {
        let mut decoder = self.decoder(index, clock)?;
        self.check(decoder.dimensions(), self.taken(&*decoder))?;
        let mut limits = image::Limits::no_limits();
        // Decoders count what they hold besides the result very differently; twice is what none needs.
        limits.max_alloc = Some(self.memory.saturating_mul(2));
        decoder.set_limits(limits).map_err(say)?;
        let orientation = decoder.orientation().map_err(say)?;
        let mut image = match self.format {
            // The general decoder has all of the file already, and is not to be stopped.
            ImageFormat::Jpeg => crate::jpeg::decode(&self.bytes.0, decoder.color_type(), clock),
            _ => DynamicImage::from_decoder(decoder),
        }
        .map_err(say)?;
        image.apply_orientation(orientation);
        Ok(image)
    }

    /// A decoder for a page of a TIFF or for the only image.
    fn decoder<'a>(&self, index: u32, clock: &'a Clock<'a>) -> Result<Box<dyn ImageDecoder + 'a>, String> {
        let bytes = Cursor::new(self.bytes.clone());
        if let Kind::Tiff(offsets) = &self.kind {
            let page = Timed::new(TiffPage::new(bytes, offsets[index as usize]), clock);
            return Ok(Box::new(TiffDecoder::new(BufReader::new(page)).map_err(say)?));
        }
        let reader = ImageReader::with_format(Timed::new(bytes, clock), self.format);
        Ok(Box::new(reader.into_decoder().map_err(say)?))
    }

    /// What decoding with `decoder` takes, bytes.
    fn taken(&self, decoder: &dyn ImageDecoder) -> u64 {
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        let beside = match self.format {
            ImageFormat::WebP => WEBP_BYTES,
            ImageFormat::Jpeg if crate::dpi::is_progressive(&self.bytes.0) => PROGRESSIVE_BYTES,
            _ => 0,
        };
        decoder
            .total_bytes()
            .saturating_add(pixels.saturating_mul(beside))
    }

    fn check(&self, (width, height): (u32, u32), taken: u64) -> Result<(), String> {
        if taken <= self.memory {
            return Ok(());
        }
        let megapixels = u64::from(width) * u64::from(height) / 1_000_000;
        Err(format!(
            "is {width} x {height} px ({megapixels} megapixels) and takes {} MiB to decode, over the limit of {} MiB; \
             scale it down or raise --plugin-limit image-bytes",
            taken.div_ceil(1 << 20),
            self.memory >> 20,
        ))
    }

    fn webp(&self) -> Result<WebPDecoder<Cursor<Bytes>>, String> {
        WebPDecoder::new(Cursor::new(self.bytes.clone())).map_err(say)
    }

    /// The frames of an animation, and what decoding them takes, bytes.
    fn animation(&self) -> Result<(Frames<'static>, u64), String> {
        let taken = |(width, height): (u32, u32)| u64::from(width) * u64::from(height) * 4 * ANIMATION_COPIES;
        let (size, frames) = if self.format == ImageFormat::WebP {
            let decoder = self.webp()?;
            (decoder.dimensions(), decoder.into_frames())
        } else {
            let decoder = GifDecoder::new(Cursor::new(self.bytes.clone())).map_err(say)?;
            (decoder.dimensions(), decoder.into_frames())
        };
        self.check(size, taken(size))?;
        Ok((frames, taken(size)))
    }

    /// Finds out how many frames an animation has, which no header tells.
    fn count_frames(&mut self, deadline: Instant) -> Result<(), String> {
        let (mut frames, mut most) = (0, MAX_FRAMES);
        for frame in self.animation()?.0 {
            if frames as usize == most {
                let why = format!("it has more than {most} frames; the rest is not read");
                self.cut = Some(Cut::Images(why));
                break;
            }
            in_time(deadline)?;
            match frame {
                Ok(frame) => {
                    frames += 1;
                    most = most_frames(frame.buffer().dimensions());
                }
                // What follows a broken frame is lost, and asking for it says so.
                Err(error) if frames == 0 => return Err(say(error)),
                Err(_) => {
                    frames += 1;
                    break;
                }
            }
        }
        if frames == 0 {
            return Err("has no images".into());
        }
        self.kind = Kind::Animation {
            frames,
            first: 0,
            ahead: Vec::new(),
        };
        Ok(())
    }

    fn animation_frame(&mut self, index: u32, deadline: Instant) -> Result<DynamicImage, String> {
        let Kind::Animation { frames, first, ahead } = &self.kind else {
            unreachable!("asked of animations alone")
        };
        let (frames, first, kept) = (*frames, *first, ahead.len());
        if !(first..first + kept as u32).contains(&index) {
            let mut fresh = Vec::new();
            let mut pixels = 0;
            let wanted = (frames - index).min(FRAMES_AHEAD as u32) as usize;
            for (at, frame) in self.animation()?.0.enumerate() {
                in_time(deadline)?;
                match frame {
                    Ok(_) if at < index as usize => continue,
                    Ok(frame) => fresh.push(DynamicImage::ImageRgba8(frame.into_buffer())),
                    Err(error) if fresh.is_empty() => return Err(say(error)),
                    Err(_) => break,
                }
                pixels += fresh
                    .last()
                    .map_or(0, |f| u64::from(f.width()) * u64::from(f.height()));
                if pixels > PIXELS_AHEAD || fresh.len() == wanted {
                    break;
                }
            }
            self.kind = Kind::Animation {
                frames,
                first: index,
                ahead: fresh,
            };
        }
        let Kind::Animation { first, ahead, .. } = &mut self.kind else {
            unreachable!("set above")
        };
        let at = (index - *first) as usize;
        if at >= ahead.len() {
            return Err(format!("ends before frame {index}"));
        }
        // Pages are asked for in rising order, so what lies before is not needed again.
        *first = index + 1;
        Ok(ahead.drain(..=at).next_back().expect("the frame is there"))
    }
}

/// Frames of an animation that can be read within [`ANIMATION_WORK`].
fn most_frames((width, height): (u32, u32)) -> usize {
    let pixels = (u64::from(width) * u64::from(height)).max(1);
    let ahead = (PIXELS_AHEAD / pixels).clamp(1, FRAMES_AHEAD as u64);
    let most = (2 * ahead * ANIMATION_WORK / pixels).isqrt();
    usize::try_from(most).unwrap_or(usize::MAX).clamp(1, MAX_FRAMES)
}

fn in_time(deadline: Instant) -> Result<(), String> {
    if Instant::now() > deadline {
        return Err(TOO_LONG.into());
    }
    Ok(())
}

fn say(error: ImageError) -> String {
    format!("can't be decoded: {error}; it may be cut or damaged, so get the file again or save it anew")
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
            // In place: a large image is not held twice.
            let mut pixels = image.into_rgba8().into_raw();
            let count = pixels.len() / 4;
            for i in 0..count {
                let alpha = pixels[i * 4 + 3];
                for c in 0..3 {
                    pixels[i * 3 + c] = over_white(pixels[i * 4 + c], alpha);
                }
            }
            pixels.truncate(count * 3);
            pixels.shrink_to_fit();
            (PixelFormat::Rgb8, pixels)
        }
        _ => (PixelFormat::Rgb8, image.into_rgb8().into_raw()),
    };
    PageImage::new(width, height, format, pixels).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, RgbaImage};

    const ROOM: u64 = 64 << 20;

    fn soon() -> Instant {
        Instant::now() + std::time::Duration::from_secs(60)
    }

    fn open(bytes: Vec<u8>) -> Result<ImageFile, String> {
        ImageFile::open(bytes, ROOM, soon())
    }

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
        let mut file = open(encoded(&image, ImageFormat::Png)).unwrap();
        assert_eq!(
            file.frame(0, soon()).unwrap().pixels(),
            [255, 255, 255, 10, 20, 30]
        );
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
            let mut file = open(encoded(&image, format)).unwrap();
            let frame = file.frame(0, soon()).unwrap();
            assert_eq!(
                (frame.width(), frame.height(), file.frames()),
                (8, 6, 1),
                "{format:?}"
            );
            assert!(frame.pixels().iter().all(|v| v.abs_diff(200) < 4), "{format:?}");
        }
    }

    /// A picture that takes each decoder some time.
    fn large() -> DynamicImage {
        DynamicImage::ImageRgb8(image::RgbImage::from_fn(1500, 1000, |x, y| {
            image::Rgb([(x * y * 37 % 251) as u8, x as u8, (y / 3) as u8])
        }))
    }

    #[test]
    fn every_format_stops_midway_once_the_time_is_up() {
        let deep =
            |image: &DynamicImage| encoded(&DynamicImage::ImageRgb16(image.to_rgb16()), ImageFormat::Png);
        let files = [
            ("PNG", encoded(&large(), ImageFormat::Png)),
            ("PNG of 16 bits", deep(&large())),
            ("JPEG", encoded(&large(), ImageFormat::Jpeg)),
            ("WebP", encoded(&large(), ImageFormat::WebP)),
            ("BMP", encoded(&large(), ImageFormat::Bmp)),
            ("TIFF", encoded(&large(), ImageFormat::Tiff)),
        ];
        for (name, bytes) in files {
            let file = open(bytes).unwrap();
            let look = |most: usize| {
                let looks = std::cell::Cell::new(0);
                let is_late = || {
                    looks.set(looks.get() + 1);
                    looks.get() > most
                };
                let clock = Clock::new(&is_late);
                let read = file.single(0, &clock);
                (looks.get(), read)
            };
            let (whole, read) = look(usize::MAX);
            assert!(whole >= 12 && read.is_ok(), "{name}: {whole} looks");
            for most in [0, 1, whole / 2, whole - 2] {
                let (looks, read) = look(most);
                assert_eq!(looks, most + 1, "{name} goes on");
                assert_eq!(read.unwrap_err(), TOO_LONG, "{name}");
            }
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
        let mut file = open(bytes.into_inner()).unwrap();
        assert_eq!(file.frames(), 3);
        for (index, value) in [(2, 30), (0, 10), (1, 20)] {
            assert_eq!(file.frame(index, soon()).unwrap().pixels(), [value; 16]);
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
        let mut file = open(bytes).unwrap();
        assert_eq!(file.frames(), 2);
        assert_eq!(file.frame(1, soon()).unwrap().pixels()[0], 255);
        assert_eq!(file.frame(0, soon()).unwrap().pixels()[0], 0);
    }

    #[test]
    fn oversized_images_are_refused_before_decoding() {
        // A PNG header that promises 60,000 x 60,000 pixels.
        let mut png = encoded(&DynamicImage::new_rgb8(1, 1), ImageFormat::Png);
        png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = open(png).unwrap().frame(0, soon()).unwrap_err();
        assert!(
            error.contains("60000 x 60000 px") && error.contains("image-bytes"),
            "{error}"
        );
    }

    #[test]
    fn deep_pixels_count_in_full() {
        // 16 bits in four channels: 8 bytes a pixel, so 9 megapixels are over the 64 MiB.
        let deep = DynamicImage::new_rgba16(3000, 3000);
        let error = open(encoded(&deep, ImageFormat::Png))
            .unwrap()
            .frame(0, soon())
            .unwrap_err();
        assert!(error.contains("takes 69 MiB"), "{error}");
        let flat = DynamicImage::new_luma8(3000, 3000);
        assert!(
            open(encoded(&flat, ImageFormat::Png))
                .unwrap()
                .frame(0, soon())
                .is_ok()
        );
    }

    #[test]
    fn a_long_animation_says_what_is_not_read() {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        let frame = RgbaImage::from_pixel(1, 1, image::Rgba([9, 9, 9, 255]));
        for _ in 0..=MAX_FRAMES {
            encoder.encode_frame(image::Frame::new(frame.clone())).unwrap();
        }
        drop(encoder);
        let file = open(bytes.clone()).unwrap();
        assert_eq!(file.frames() as usize, MAX_FRAMES);
        assert!(matches!(file.cut(), Some(Cut::Images(why)) if why.contains("more than 1000 frames")));
        let late = ImageFile::open(bytes, ROOM, Instant::now()).err().unwrap();
        assert!(late.contains("too long"), "{late}");
    }

    #[test]
    fn large_animations_are_cut_shorter() {
        assert_eq!(most_frames((800, 600)), MAX_FRAMES);
        assert_eq!(most_frames((4000, 4000)), 86);
        assert_eq!(most_frames((u32::MAX, u32::MAX)), 1);
    }

    #[test]
    fn a_ring_of_pages_ends() {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        for value in [10u8, 20] {
            encoder
                .write_image::<tiff::encoder::colortype::Gray8>(4, 4, &[value; 16])
                .unwrap();
        }
        let mut bytes = bytes.into_inner();
        let first = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        let next = |at: usize, b: &[u8]| at + 2 + 12 * usize::from(u16::from_le_bytes([b[at], b[at + 1]]));
        let pointer = next(first, &bytes);
        let second = u32::from_le_bytes(bytes[pointer..pointer + 4].try_into().unwrap()) as usize;
        let pointer = next(second, &bytes);
        bytes[pointer..pointer + 4].copy_from_slice(&(first as u32).to_le_bytes());
        let file = open(bytes).unwrap();
        assert_eq!(file.frames(), 2);
        assert!(matches!(file.cut(), Some(Cut::Images(why)) if why.contains("lead back")));
    }

    #[test]
    fn text_where_numbers_belong_is_damage() {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        encoder
            .write_image::<tiff::encoder::colortype::Gray8>(4, 4, &[9; 16])
            .unwrap();
        let whole = bytes.into_inner();
        let first = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
        assert_eq!(open(whole.clone()).unwrap().frames(), 1);
        let entries = usize::from(u16::from_le_bytes([whole[first], whole[first + 1]]));
        for entry in 0..entries {
            let mut bytes = whole.clone();
            // Type ASCII, and as many letters as there can be.
            bytes[first + 2 + 12 * entry + 2..][..6].copy_from_slice(&[2, 0, 255, 255, 255, 255]);
            assert!(open(bytes).is_err(), "entry {entry}");
        }
        // 20,000 entries.
        let mut bytes = whole;
        bytes[first..first + 2].copy_from_slice(&20_000u16.to_le_bytes());
        bytes.resize(first + 2 + 12 * 20_000 + 4, 0);
        assert!(open(bytes).is_err());
    }

    #[test]
    fn half_a_jpeg_is_read_and_said_to_be_half() {
        let whole = encoded(&DynamicImage::new_rgb8(200, 200), ImageFormat::Jpeg);
        let mut file = open(whole[..whole.len() - 20].to_vec()).unwrap();
        assert!(matches!(file.cut(), Some(Cut::Picture(why)) if why.contains("get the file again")));
        assert!(file.frame(0, soon()).is_ok());
        assert_eq!(open(whole).unwrap().cut(), None);
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
            let read = open(whole[..end].to_vec()).and_then(|mut f| f.frame(0, soon()));
            assert!(read.is_err(), "cut at {end}");
        }
    }
}
