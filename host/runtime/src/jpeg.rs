//! JPEG files: what their markers tell without decoding (ITU-T T.81, annex B), and a source for their decoder that fails
//! once the time is up.

use crate::clock::Clock;
use image::error::{DecodingError, ImageFormatHint};
use image::{ColorType, DynamicImage, GrayImage, ImageError, ImageFormat, RgbImage};
use zune_core::bytestream::{ZByteIoError, ZByteReaderTrait, ZCursor, ZSeekFrom};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Reads between two looks at the clock. The decoder reads four bytes at a time, with which a scan of a hostile file may
/// skip 65,534 blocks; so of the largest picture no more than two scans go by.
const LOOK_READS: u32 = 16;

/// The picture of a JPEG of this colour, not turned upright, as long as the clock allows: where it does not, an error or
/// a picture of which the rest is made up.
pub(crate) fn decode(bytes: &[u8], color: ColorType, clock: &Clock<'_>) -> Result<DynamicImage, ImageError> {
    let (space, is_gray) = match color {
        ColorType::L8 => (ColorSpace::Luma, true),
        _ => (ColorSpace::RGB, false),
    };
    // As `image` sets them.
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(space)
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let format = || ImageFormatHint::Exact(ImageFormat::Jpeg);
    let mut decoder = JpegDecoder::new_with_options(Source::new(bytes, clock), options);
    let pixels = decoder.decode();
    let pixels = pixels.map_err(|e| ImageError::Decoding(DecodingError::new(format(), e)))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (width as u32, height as u32);
    let image = match is_gray {
        true => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        false => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
    };
    image
        .ok_or_else(|| ImageError::Decoding(DecodingError::new(format(), "it has fewer pixels than it says")))
}

/// The file, as long as the clock allows.
struct Source<'a> {
    bytes: ZCursor<&'a [u8]>,
    clock: &'a Clock<'a>,
    reads: u32,
}

impl<'a> Source<'a> {
    fn new(bytes: &'a [u8], clock: &'a Clock<'a>) -> Self {
        Self {
            bytes: ZCursor::new(bytes),
            clock,
            reads: 0,
        }
    }

    #[inline(always)]
    fn look(&mut self) -> Result<(), ZByteIoError> {
        self.reads = self.reads.wrapping_add(1);
        match self.clock.was_late() || self.reads.is_multiple_of(LOOK_READS) && self.clock.is_late() {
            true => Err(ZByteIoError::Generic("the time is up")),
            false => Ok(()),
        }
    }
}

impl ZByteReaderTrait for Source<'_> {
    #[inline(always)]
    fn read_byte_no_error(&mut self) -> u8 {
        self.bytes.read_byte_no_error()
    }

    #[inline(always)]
    fn read_exact_bytes(&mut self, to: &mut [u8]) -> Result<(), ZByteIoError> {
        self.look()?;
        self.bytes.read_exact_bytes(to)
    }

    fn read_bytes(&mut self, to: &mut [u8]) -> Result<usize, ZByteIoError> {
        self.look()?;
        self.bytes.read_bytes(to)
    }

    fn peek_bytes(&mut self, to: &mut [u8]) -> Result<usize, ZByteIoError> {
        self.bytes.peek_bytes(to)
    }

    fn peek_exact_bytes(&mut self, to: &mut [u8]) -> Result<(), ZByteIoError> {
        self.bytes.peek_exact_bytes(to)
    }

    fn z_seek(&mut self, to: ZSeekFrom) -> Result<u64, ZByteIoError> {
        self.look()?;
        self.bytes.z_seek(to)
    }

    #[inline(always)]
    fn is_eof(&mut self) -> Result<bool, ZByteIoError> {
        // Asked for after each byte that is read by itself.
        self.look()?;
        self.bytes.is_eof()
    }

    fn z_position(&mut self) -> Result<u64, ZByteIoError> {
        self.bytes.z_position()
    }

    fn read_remaining(&mut self, to: &mut Vec<u8>) -> Result<usize, ZByteIoError> {
        self.look()?;
        self.bytes.read_remaining(to)
    }
}

const SCAN: u8 = 0xda;
const END: u8 = 0xd9;

/// Whether a JPEG ends before its picture does: decoders fill in what is missing and say nothing.
///
/// A file that is not made of markers as it should be is left to the decoder, which refuses it.
pub(crate) fn is_cut(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        let Some(&[lead, marker]) = bytes.get(at..at + 2).and_then(|b| <&[u8; 2]>::try_from(b).ok()) else {
            return true;
        };
        match (lead, marker) {
            // Fill bytes may stand before a marker.
            (0xff, 0xff) => at += 1,
            (0xff, END) => return false,
            (0xff, 0x01 | 0xd0..=0xd7) => at += 2,
            (0xff, _) => {
                let Some(length) = bytes.get(at + 2..at + 4) else {
                    return true;
                };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
                if marker == SCAN {
                    at = end_of_scan(bytes, at);
                }
            }
            _ => return false,
        }
    }
}

/// Where the marker behind a scan's coded data stands; the end of the file where there is none.
fn end_of_scan(bytes: &[u8], from: usize) -> usize {
    let coded = bytes.get(from..).unwrap_or_default();
    // A zero is stuffed behind each 0xff of the data, and restart markers lie between its parts.
    let marker = coded
        .windows(2)
        .position(|b| b[0] == 0xff && !matches!(b[1], 0 | 0xd0..=0xd7 | 0xff));
    marker.map_or(bytes.len(), |behind| from + behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg() -> Vec<u8> {
        let noisy = image::RgbImage::from_fn(64, 64, |x, y| {
            image::Rgb([(x * y * 37 % 251) as u8, x as u8, y as u8])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        noisy.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn it_is_decoded_as_image_does() {
        let gray = image::GrayImage::from_fn(70, 50, |x, y| image::Luma([(x * y % 251) as u8]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        gray.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        let whole = jpeg();
        for bytes in [
            whole.clone(),
            bytes.into_inner(),
            whole[..whole.len() / 2].to_vec(),
        ] {
            let by_image = image::load_from_memory(&bytes).unwrap();
            let ours = decode(&bytes, by_image.color(), &Clock::never()).unwrap();
            assert_eq!(ours, by_image);
        }
        assert!(decode(&whole[..100], ColorType::Rgb8, &Clock::never()).is_err());
    }

    #[test]
    fn a_cut_is_seen_wherever_it_is() {
        let whole = jpeg();
        assert!(!is_cut(&whole));
        for end in [2, 3, 20, whole.len() / 2, whole.len() - 2, whole.len() - 1] {
            assert!(is_cut(&whole[..end]), "cut at {end}");
        }
    }

    #[test]
    fn what_follows_the_picture_and_what_lies_in_it_does_not_count() {
        let whole = jpeg();
        let mut trailed = whole.clone();
        trailed.extend(b"more, from a camera");
        assert!(!is_cut(&trailed));
        // A thumbnail with an end of its own, in an application segment.
        let segment = [b"\xff\xe1\0\x08".as_slice(), b"..\xff\xd9..", &whole[2..]].concat();
        let with_thumbnail = [&whole[..2], &segment].concat();
        assert!(!is_cut(&with_thumbnail));
        assert!(is_cut(&with_thumbnail[..with_thumbnail.len() - 40]));
        // Fill bytes and restart markers.
        assert!(!is_cut(
            b"\xff\xd8\xff\xff\xda\0\x02ab\xff\0c\xff\xd0d\xff\xff\xd9"
        ));
    }
}
