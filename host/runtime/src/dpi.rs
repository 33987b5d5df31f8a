//! Reads the resolution that image files carry: PNG `pHYs`, JFIF density, EXIF and TIFF resolution tags, BMP header.

use image::ImageFormat;

const METRES_PER_INCH: f32 = 0.0254;

/// Dots per inch, where the file tells. `directory` is the offset of a TIFF's page.
pub(crate) fn read(format: ImageFormat, bytes: &[u8], directory: Option<u64>) -> Option<f32> {
    match format {
        ImageFormat::Png => png(bytes),
        ImageFormat::Jpeg => jpeg(bytes),
        ImageFormat::Bmp => {
            Some(u32::from_le_bytes(bytes.get(38..42)?.try_into().ok()?) as f32 * METRES_PER_INCH)
        }
        ImageFormat::Tiff => Tiff::new(bytes)?.directory(directory?)?.dpi(),
        _ => None,
    }
}

/// PNG (third edition) 11.3.4.3: pixels per unit in x and y, unit 1 is the metre.
fn png(bytes: &[u8]) -> Option<f32> {
    let mut at = 8;
    loop {
        let length = u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
        match bytes.get(at + 4..at + 8)? {
            b"pHYs" => {
                let per_metre = u32::from_be_bytes(bytes.get(at + 8..at + 12)?.try_into().ok()?);
                return (*bytes.get(at + 16)? == 1).then_some(per_metre as f32 * METRES_PER_INCH);
            }
            b"IDAT" => return None,
            _ => at = at.checked_add(length)?.checked_add(12)?,
        }
    }
}

/// Whether a JPEG holds its picture in several passes (frame marker SOF2, SOF6, SOF10 or SOF14; ITU-T T.81, table B.1).
pub(crate) fn is_progressive(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) =
        bytes.get(at..at + 4).and_then(|b| <&[u8; 4]>::try_from(b).ok())
    {
        match marker {
            0xc2 | 0xc6 | 0xca | 0xce => return true,
            0xda => return false,
            // Fill bytes may stand before a marker.
            0xff => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2),
        }
    }
    // Whatever this is, it is not known to be in one pass.
    true
}

/// JFIF 1.02 APP0 density (units 1: inch, 2: centimetre), else the EXIF tags in APP1.
fn jpeg(bytes: &[u8]) -> Option<f32> {
    let (mut at, mut exif) = (2, None);
    while let Some(&[0xff, marker, high, low]) =
        bytes.get(at..at + 4).and_then(|b| <&[u8; 4]>::try_from(b).ok())
    {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let body = bytes.get(at + 4..(at + 2).checked_add(length)?)?;
        match marker {
            0xe0 if body.starts_with(b"JFIF\0") => {
                let density = f32::from(u16::from_be_bytes([*body.get(8)?, *body.get(9)?]));
                match body.get(7)? {
                    1 if density > 1.0 => return Some(density),
                    2 if density > 1.0 => return Some(density * 2.54),
                    _ => {}
                }
            }
            0xe1 if body.starts_with(b"Exif\0\0") => {
                exif = Tiff::new(&body[6..]).and_then(|t| t.directory(t.first_directory()?)?.dpi())
            }
            0xda => break,
            _ => {}
        }
        at += 2 + length.max(2);
    }
    exif
}

/// The directories of a TIFF or BigTIFF file (TIFF 6.0, section 2), also as they lie in EXIF.
pub(crate) struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

/// One directory: the offsets of its entries.
pub(crate) struct Directory<'a> {
    tiff: &'a Tiff<'a>,
    entries: u64,
    count: u64,
    /// Offset of the next directory; 0 after the last.
    pub(crate) next: Option<u64>,
}

impl<'a> Tiff<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let (little, big) = match bytes.get(..4)? {
            [b'I', b'I', 42, 0] => (true, false),
            [b'M', b'M', 0, 42] => (false, false),
            [b'I', b'I', 43, 0] => (true, true),
            [b'M', b'M', 0, 43] => (false, true),
            _ => return None,
        };
        Some(Self { bytes, little, big })
    }

    pub(crate) fn first_directory(&self) -> Option<u64> {
        if self.big {
            self.number(8, 8)
        } else {
            self.number(4, 4)
        }
    }

    pub(crate) fn directory(&'a self, at: u64) -> Option<Directory<'a>> {
        let (count, head, entry, pointer) = if self.big {
            (self.number(at, 8)?, 8, 20, 8)
        } else {
            (self.number(at, 2)?, 2, 12, 4)
        };
        let entries = at.checked_add(head)?;
        let next = self.number(entries.checked_add(count.checked_mul(entry)?)?, pointer);
        Some(Directory {
            tiff: self,
            entries,
            count,
            next,
        })
    }

    /// An unsigned number of `size` bytes at an offset.
    fn number(&self, at: u64, size: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let fold = |n: u64, &b: &u8| n << 8 | u64::from(b);
        Some(if self.little {
            bytes.iter().rev().fold(0, fold)
        } else {
            bytes.iter().fold(0, fold)
        })
    }
}

impl Directory<'_> {
    /// Whether it has no more entries than any file needs, and no text (type ASCII) where decoders look for numbers. The
    /// decoder that reads the pages prints such a one to standard error when it is long.
    pub(crate) fn is_sound(&self) -> bool {
        const ENTRIES: u64 = 1000;
        // Names, descriptions and dates among the tags of TIFF 6.0; ICC profile and XMP are bytes.
        const TEXTS: [u64; 11] = [269, 270, 271, 272, 285, 305, 306, 315, 316, 333, 337];
        let size = if self.tiff.big { 20 } else { 12 };
        let is_number = |tag: u64| matches!(tag, 254..=347 | 700 | 34675) && !TEXTS.contains(&tag);
        let is_text_for_number = |i: u64| {
            let at = self.entries + i * size;
            let tag = self.tiff.number(at, 2).unwrap_or(0);
            is_number(tag) && self.tiff.number(at + 2, 2) == Some(2)
        };
        self.count <= ENTRIES && !(0..self.count).any(is_text_for_number)
    }

    /// The first value of a tag of type SHORT, LONG or RATIONAL.
    pub(crate) fn number(&self, tag: u64) -> Option<f64> {
        let (size, inline) = if self.tiff.big { (20, 12) } else { (12, 8) };
        for i in 0..self.count.min(1000) {
            let at = self.entries + i * size;
            if self.tiff.number(at, 2)? != tag {
                continue;
            }
            let value = at + inline;
            return match self.tiff.number(at + 2, 2)? {
                3 => self.tiff.number(value, 2).map(|v| v as f64),
                4 => self.tiff.number(value, 4).map(|v| v as f64),
                5 => {
                    let place = if self.tiff.big {
                        value
                    } else {
                        self.tiff.number(value, 4)?
                    };
                    let (over, under) = (
                        self.tiff.number(place, 4)?,
                        self.tiff.number(place.checked_add(4)?, 4)?,
                    );
                    (under != 0).then(|| over as f64 / under as f64)
                }
                _ => None,
            };
        }
        None
    }

    /// XResolution (282) in units of ResolutionUnit (296; 2: inch, 3: centimetre).
    fn dpi(&self) -> Option<f32> {
        let resolution = self.number(282)?;
        match self.number(296).unwrap_or(2.0) as u32 {
            2 => Some(resolution as f32),
            3 => Some((resolution * 2.54) as f32),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jfif_density_is_read() {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 16];
        jpeg.extend(b"JFIF\0\x01\x02\x01\x01\x2c\x01\x2c\0\0");
        assert_eq!(read(ImageFormat::Jpeg, &jpeg, None), Some(300.0));
    }

    #[test]
    fn passes_of_a_jpeg_are_told() {
        let head = |sof: u8| {
            [
                &[0xff, 0xd8, 0xff, 0xff, 0xe0, 0, 4, 0, 0, 0xff, sof, 0, 2][..],
                &[0xff, 0xda, 0, 2],
            ]
            .concat()
        };
        assert!(!is_progressive(&head(0xc0)) && is_progressive(&head(0xc2)) && is_progressive(&[0xff, 0xd8]));
    }

    #[test]
    fn png_density_is_read_and_hostile_lengths_are_not_followed() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x09pHYs\0\0\x2e\x23\0\0\x2e\x23\x01\0\0\0\0".to_vec();
        assert_eq!(read(ImageFormat::Png, &png, None).map(f32::round), Some(300.0));
        png[8..12].copy_from_slice(&[0xff; 4]);
        png[12] = b'x';
        assert_eq!(read(ImageFormat::Png, &png, None), None);
    }
}
