//! Owned pixels of a page, shared by reference count.

use crate::Rect;
use std::sync::Arc;

/// How a pixel is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// One byte of luminance.
    Gray8,
    /// Red, green, blue.
    Rgb8,
}

impl PixelFormat {
    /// Bytes a pixel takes.
    pub fn bytes(self) -> usize {
        match self {
            PixelFormat::Gray8 => 1,
            PixelFormat::Rgb8 => 3,
        }
    }
}

/// Why pixels are no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageError {
    /// Width or height is 0.
    Empty {
        /// px
        width: u32,
        /// px
        height: u32,
    },
    /// The byte count does not follow from the size.
    Length {
        /// Bytes that `width * height * format` asks for.
        expected: u64,
        /// Bytes given.
        got: usize,
    },
}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty { width, height } => write!(f, "image is {width} x {height} px"),
            Self::Length { expected, got } => write!(f, "image needs {expected} bytes of pixels, got {got}"),
        }
    }
}

impl std::error::Error for ImageError {}

/// Pixels in row order without padding; cloning shares them.
#[derive(Clone, PartialEq, Eq)]
pub struct PageImage {
    width: u32,
    height: u32,
    format: PixelFormat,
    pixels: Arc<Vec<u8>>,
}

impl std::fmt::Debug for PageImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PageImage({} x {} {:?})", self.width, self.height, self.format)
    }
}

impl PageImage {
    /// Takes `width * height` pixels of `format`, top row first.
    pub fn new(width: u32, height: u32, format: PixelFormat, pixels: Vec<u8>) -> Result<Self, ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Empty { width, height });
        }
        let expected = u64::from(width) * u64::from(height) * format.bytes() as u64;
        if expected != pixels.len() as u64 {
            return Err(ImageError::Length {
                expected,
                got: pixels.len(),
            });
        }
        Ok(Self {
            width,
            height,
            format,
            pixels: Arc::new(pixels),
        })
    }

    /// Width, px.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height, px.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// How a pixel is stored.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// All pixels, rows from the top without padding.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The whole image as a rectangle.
    pub fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width, self.height)
    }

    /// One row's bytes. Panics past the last row.
    pub fn row(&self, y: u32) -> &[u8] {
        let stride = self.width as usize * self.format.bytes();
        &self.pixels[y as usize * stride..][..stride]
    }

    /// A copy of the part inside `area`, cut to the image; an error where nothing is left.
    pub fn crop(&self, area: Rect) -> Result<PageImage, ImageError> {
        let area = area.intersect(&self.bounds());
        let bytes = self.format.bytes();
        let mut pixels = Vec::with_capacity(area.area() as usize * bytes);
        for y in area.y0..area.y1 {
            pixels.extend_from_slice(&self.row(y)[area.x0 as usize * bytes..area.x1 as usize * bytes]);
        }
        Self::new(area.width(), area.height(), self.format, pixels)
    }

    /// The image turned clockwise by `quarters` quarter turns.
    pub fn rotate(&self, quarters: u8) -> PageImage {
        let (w, h, n) = (self.width as usize, self.height as usize, self.format.bytes());
        let quarters = quarters % 4;
        if quarters == 0 {
            return self.clone();
        }
        let (tw, th) = if quarters == 2 { (w, h) } else { (h, w) };
        let mut pixels = vec![0; self.pixels.len()];
        for (ty, row) in pixels.chunks_exact_mut(tw * n).enumerate() {
            for (tx, to) in row.chunks_exact_mut(n).enumerate() {
                let (x, y) = match quarters {
                    1 => (ty, h - 1 - tx),
                    2 => (w - 1 - tx, h - 1 - ty),
                    _ => (w - 1 - ty, tx),
                };
                to.copy_from_slice(&self.pixels[(y * w + x) * n..][..n]);
            }
        }
        PageImage {
            width: tw as u32,
            height: th as u32,
            format: self.format,
            pixels: Arc::new(pixels),
        }
    }

    /// The image as RGB; free when it is already.
    pub fn to_rgb(&self) -> PageImage {
        match self.format {
            PixelFormat::Rgb8 => self.clone(),
            PixelFormat::Gray8 => PageImage {
                format: PixelFormat::Rgb8,
                pixels: Arc::new(self.pixels.iter().flat_map(|&v| [v, v, v]).collect()),
                ..*self
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> PageImage {
        PageImage::new(3, 2, PixelFormat::Gray8, vec![1, 2, 3, 4, 5, 6]).unwrap()
    }

    #[test]
    fn quarter_turns_go_clockwise() {
        assert_eq!(sample().rotate(1).pixels(), [4, 1, 5, 2, 6, 3]);
        assert_eq!(sample().rotate(2).pixels(), [6, 5, 4, 3, 2, 1]);
        assert_eq!(sample().rotate(3).pixels(), [3, 6, 2, 5, 1, 4]);
        assert_eq!(sample().rotate(1).rotate(3), sample());
    }

    #[test]
    fn crop_is_cut_to_the_image() {
        let crop = sample().crop(Rect::new(1, 1, 9, 9)).unwrap();
        assert_eq!((crop.width(), crop.height(), crop.pixels()), (2, 1, &[5, 6][..]));
        assert_eq!(
            sample().crop(Rect::new(7, 7, 9, 9)),
            Err(ImageError::Empty { width: 0, height: 0 })
        );
    }

    #[test]
    fn pixels_must_fill_the_image() {
        let short = PageImage::new(3, 2, PixelFormat::Rgb8, vec![0; 17]);
        assert_eq!(
            short,
            Err(ImageError::Length {
                expected: 18,
                got: 17
            })
        );
    }
}
