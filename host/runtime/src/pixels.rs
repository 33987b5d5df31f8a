//! What the host does to pixels for plugins: encoding and scaling.

use crate::clock::Clock;
use fast_image_resize as fir;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use ocr_document::{PageImage, PixelFormat};
use std::io::{self, Write};

/// File formats that images are written in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Encoding {
    Png,
    Jpeg,
    Webp,
}

/// Why pixels were not scaled or encoded.
#[derive(Debug)]
pub(crate) enum PixelError {
    /// It takes more bytes than it may.
    TooLong,
    /// It took too long.
    TooLate,
    /// It can't be.
    Failed(String),
}

/// Takes an encoder's bytes up to a number and a moment: noise takes as much room as pixels, and nobody may want it.
struct Bounded<'a> {
    bytes: Vec<u8>,
    most: u64,
    clock: &'a Clock<'a>,
    /// Length at which the clock is looked at again.
    look_at: usize,
    is_too_long: bool,
}

/// Bytes between two looks at the clock; an encoder writes them in a millisecond.
const LOOK_BYTES: usize = 64 << 10;

/// Pixels of a PNG that are written between two looks at the clock.
const LOOK_PIXELS: usize = 256 << 10;

/// Bytes of a PNG's chunks of pixels.
const CHUNK_BYTES: usize = 1 << 20;

/// Most pixels of a WebP that is written, since the encoder can't be stopped: noise took 19 ns a pixel, so this is a second.
const WEBP_PIXELS: u64 = 40_000_000;

/// A picture is scaled in so many bands, or fewer of at least so many rows, and the clock is looked at between two. What
/// bands share is read twice: some rows on both sides.
const BANDS: u32 = 64;
const BAND_ROWS: u32 = 32;

impl<'a> Bounded<'a> {
    fn new(most: u64, clock: &'a Clock<'a>) -> Self {
        Self {
            bytes: Vec::new(),
            most,
            clock,
            look_at: 0,
            is_too_long: false,
        }
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.most {
            self.is_too_long = true;
        } else if self.bytes.len() >= self.look_at {
            self.look_at = self.bytes.len() + LOOK_BYTES;
            self.clock.is_late();
        }
        if self.is_too_long || self.clock.was_late() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At most `most` bytes, as long as the clock allows. PNG and WebP are lossless here; `quality` is for JPEG, 1 ..= 100.
pub(crate) fn encode(
    image: &PageImage,
    to: Encoding,
    quality: u8,
    most: u64,
    clock: &Clock<'_>,
) -> Result<Vec<u8>, PixelError> {
    if clock.is_late() {
        return Err(PixelError::TooLate);
    }
    let mut to_write = Bounded::new(most, clock);
    let written = match to {
        Encoding::Png => return encode_png(image, most, clock),
        Encoding::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(&mut to_write, quality.clamp(1, 100));
            write(encoder, image)
        }
        Encoding::Webp if u64::from(image.width()) * u64::from(image.height()) > WEBP_PIXELS => {
            let most = WEBP_PIXELS / 1_000_000;
            Err(format!(
                "WebP is written of at most {most} megapixels; scale it down, or write a PNG"
            ))
        }
        Encoding::Webp => write(WebPEncoder::new_lossless(&mut to_write), image),
    };
    outcome(image, to_write, written)
}

fn write(encoder: impl ImageEncoder, image: &PageImage) -> Result<(), String> {
    let color = match image.format() {
        PixelFormat::Gray8 => ExtendedColorType::L8,
        PixelFormat::Rgb8 => ExtendedColorType::Rgb8,
    };
    let written = encoder.write_image(image.pixels(), image.width(), image.height(), color);
    written.map_err(|e| e.to_string())
}

/// What was written, or why it was not.
fn outcome(
    image: &PageImage,
    to_write: Bounded<'_>,
    written: Result<(), String>,
) -> Result<Vec<u8>, PixelError> {
    match written {
        _ if to_write.is_too_long => Err(PixelError::TooLong),
        _ if to_write.clock.was_late() => Err(PixelError::TooLate),
        Ok(()) => Ok(to_write.bytes),
        Err(e) => {
            let (width, height) = (image.width(), image.height());
            let why = format!("a {width} x {height} px image can't be encoded: {e}");
            Err(PixelError::Failed(why))
        }
    }
}

/// A PNG, deflated fast; as it is where that takes less, as noise does.
fn encode_png(image: &PageImage, most: u64, clock: &Clock<'_>) -> Result<Vec<u8>, PixelError> {
    let lines = (u64::from(image.width()) * image.format().bytes() as u64 + 1) * u64::from(image.height());
    // A stored block holds 65,535 bytes behind 5, a chunk has 12 around it, and the file's ends are less than 100.
    let stored = lines + lines.div_ceil(65_535) * 5 + lines.div_ceil(CHUNK_BYTES as u64) * 12 + 100;
    let mut to_write = Bounded::new(most.min(stored), clock);
    let fast = (png::Compression::Fast, png::Filter::Adaptive);
    let written = write_png(image, fast, &mut to_write).map_err(|e| e.to_string());
    match outcome(image, to_write, written) {
        Err(PixelError::TooLong) if lines <= most => {
            let mut to_write = Bounded::new(most, clock);
            let plain = (png::Compression::NoCompression, png::Filter::NoFilter);
            let written = write_png(image, plain, &mut to_write).map_err(|e| e.to_string());
            outcome(image, to_write, written)
        }
        other => other,
    }
}

/// Writes a PNG some rows at a time.
fn write_png(
    image: &PageImage,
    (compression, filter): (png::Compression, png::Filter),
    to: &mut Bounded<'_>,
) -> Result<(), png::EncodingError> {
    let clock = to.clock;
    let mut encoder = png::Encoder::new(to, image.width(), image.height());
    encoder.set_color(match image.format() {
        PixelFormat::Gray8 => png::ColorType::Grayscale,
        PixelFormat::Rgb8 => png::ColorType::Rgb,
    });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer_with_size(CHUNK_BYTES)?;
    for some in image.pixels().chunks(LOOK_PIXELS * image.format().bytes()) {
        if clock.is_late() {
            return Ok(());
        }
        rows.write_all(some)?;
    }
    rows.finish()
}

/// Pixels scaled to exactly this size.
pub(crate) fn resize(
    image: &PageImage,
    width: u32,
    height: u32,
    clock: &Clock<'_>,
) -> Result<PageImage, PixelError> {
    let say =
        |e: &dyn std::fmt::Display| PixelError::Failed(format!("can't resize to {width} x {height} px: {e}"));
    let kind = match image.format() {
        PixelFormat::Gray8 => fir::PixelType::U8,
        PixelFormat::Rgb8 => fir::PixelType::U8x3,
    };
    let from = fir::images::ImageRef::new(image.width(), image.height(), image.pixels(), kind)
        .map_err(|e| say(&e))?;
    let row = width as usize * image.format().bytes();
    let mut pixels = vec![0; row * height as usize];
    let (wide, high) = (f64::from(image.width()), f64::from(image.height()));
    let rows = height.div_ceil(BANDS).max(BAND_ROWS);
    let mut resizer = fir::Resizer::new();
    let mut first = 0;
    for band in pixels.chunks_mut(row * rows as usize) {
        if clock.is_late() {
            return Err(PixelError::TooLate);
        }
        let last = (first + rows).min(height);
        // Where the band lies in the picture. What lies beside it is looked at as well, so no seam shows.
        let at = |row: u32| f64::from(row) * high / f64::from(height);
        let options = fir::ResizeOptions::new().crop(0.0, at(first), wide, at(last) - at(first));
        let mut to =
            fir::images::Image::from_slice_u8(width, last - first, band, kind).map_err(|e| say(&e))?;
        resizer.resize(&from, &mut to, &options).map_err(|e| say(&e))?;
        first = last;
    }
    PageImage::new(width, height, image.format(), pixels).map_err(|e| say(&e))
}

/// The image itself where it has at most `most` pixels or can't be scaled, else a copy scaled down to about as many.
pub(crate) fn at_most(image: PageImage, most: u64) -> PageImage {
    let pixels = u64::from(image.width()) * u64::from(image.height());
    if pixels <= most {
        return image;
    }
    let scale = (most as f64 / pixels as f64).sqrt();
    let side = |length: u32| ((f64::from(length) * scale) as u32).max(1);
    resize(&image, side(image.width()), side(image.height()), &Clock::never()).unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::past;
    use std::cell::Cell;
    use std::time::Instant;

    fn noise(width: u32, height: u32, format: PixelFormat) -> PageImage {
        let pixels = (0..width * height * format.bytes() as u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        PageImage::new(width, height, format, pixels).unwrap()
    }

    /// A page that deflates well.
    fn page(width: u32, height: u32) -> PageImage {
        let pixels = (0..width * height).flat_map(|n| [if n % 97 < 9 { 20 } else { 250 }; 3]);
        PageImage::new(width, height, PixelFormat::Rgb8, pixels.collect()).unwrap()
    }

    /// How often the clock is looked at until `most` looks, and what came of it.
    fn looked_at<T>(most: usize, work: impl FnOnce(&Clock<'_>) -> T) -> (usize, T) {
        let looks = Cell::new(0);
        let is_late = || {
            looks.set(looks.get() + 1);
            looks.get() > most
        };
        let done = work(&Clock::new(&is_late));
        (looks.get(), done)
    }

    #[test]
    fn encoding_stops_where_it_may_go_no_further() {
        let image = noise(300, 300, PixelFormat::Gray8);
        for to in [Encoding::Png, Encoding::Jpeg, Encoding::Webp] {
            let whole = encode(&image, to, 90, u64::MAX, &Clock::never()).unwrap().len() as u64;
            let exact = encode(&image, to, 90, whole, &Clock::never());
            assert_eq!(exact.unwrap().len() as u64, whole);
            let short = encode(&image, to, 90, whole - 1, &Clock::never());
            assert!(matches!(short, Err(PixelError::TooLong)), "{to:?}");
            let late = encode(&image, to, 90, u64::MAX, &Clock::new(&past(Instant::now())));
            assert!(matches!(late, Err(PixelError::TooLate)), "{to:?}");
        }
    }

    #[test]
    fn a_png_is_what_was_put_in_and_never_much_more() {
        for image in [
            page(700, 900),
            page(1, 1),
            noise(1100, 900, PixelFormat::Rgb8),
            noise(301, 777, PixelFormat::Gray8),
            noise(40_000, 3, PixelFormat::Gray8),
        ] {
            let file = encode(&image, Encoding::Png, 0, u64::MAX, &Clock::never()).unwrap();
            let read = image::load_from_memory(&file).unwrap();
            assert_eq!(read.as_bytes(), image.pixels());
            let pixels = image.pixels().len();
            assert!(
                file.len() < pixels + image.height() as usize + pixels / 1000 + 200,
                "{}",
                file.len()
            );
        }
    }

    #[test]
    fn writing_a_png_and_scaling_stop_midway() {
        let large = page(3000, 2000);
        let png = |clock: &Clock<'_>| encode(&large, Encoding::Png, 0, u64::MAX, clock).map(|_| ());
        let scale = |clock: &Clock<'_>| resize(&large, 2000, 3000, clock).map(|_| ());
        type Work<'a> = &'a dyn Fn(&Clock<'_>) -> Result<(), PixelError>;
        let work: [(&str, Work<'_>); 2] = [("writing", &png), ("scaling", &scale)];
        for (name, work) in work {
            let (whole, done) = looked_at(usize::MAX, work);
            assert!(whole >= 20 && done.is_ok(), "{name}: {whole} looks");
            let (looks, done) = looked_at(whole / 4, work);
            assert_eq!(looks, whole / 4 + 1, "{name} goes on");
            assert!(matches!(done, Err(PixelError::TooLate)), "{name}");
        }
    }

    #[test]
    fn bands_join_without_a_seam() {
        let image = noise(211, 397, PixelFormat::Rgb8);
        for (width, height) in [(100, 200), (211, 397), (500, 1111), (300, 100), (7, 3000)] {
            let banded = resize(&image, width, height, &Clock::never()).unwrap();
            let from = fir::images::ImageRef::new(211, 397, image.pixels(), fir::PixelType::U8x3).unwrap();
            let mut whole = fir::images::Image::new(width, height, fir::PixelType::U8x3);
            fir::Resizer::new().resize(&from, &mut whole, None).unwrap();
            let far = banded
                .pixels()
                .iter()
                .zip(whole.buffer())
                .map(|(a, b)| a.abs_diff(*b));
            // Places are rounded a little differently, which may make 1 in the first pass and 2 in the second.
            let far: Vec<u8> = far.collect();
            let count = far.iter().filter(|far| **far > 0).count();
            assert!(far.iter().all(|far| *far <= 2), "{width} x {height}");
            assert!(
                count < far.len() / 100,
                "{width} x {height}: {count} of {}",
                far.len()
            );
        }
    }

    #[test]
    fn a_webp_that_would_take_long_is_refused() {
        let image = PageImage::new(8000, 5001, PixelFormat::Gray8, vec![0; 8000 * 5001]).unwrap();
        let refused = encode(&image, Encoding::Webp, 0, u64::MAX, &Clock::never());
        assert!(matches!(refused, Err(PixelError::Failed(why)) if why.contains("40 megapixels")));
    }

    #[test]
    fn large_images_are_scaled_down_and_small_ones_left_alone() {
        let image = PageImage::new(400, 100, PixelFormat::Gray8, vec![200; 40_000]).unwrap();
        assert_eq!(at_most(image.clone(), 40_000), image);
        let small = at_most(image, 10_000);
        assert_eq!((small.width(), small.height()), (200, 50));
        assert!(small.pixels().iter().all(|&v| v == 200));
        // However thin, something is left.
        let line = PageImage::new(40_000, 1, PixelFormat::Gray8, vec![0; 40_000]).unwrap();
        assert_eq!(at_most(line, 100).height(), 1);
    }
}
