//! Pixels that the host owns. They stay there unless a plugin asks for rows.

pub use crate::bindings::host::image::{Encoding, PixelFormat};
use crate::source::Source;
use crate::{HostError, Rect, host};

/// Bytes that a single call carries at most; the SDK splits larger pieces.
pub(crate) const CALL_BYTES: usize = 256 * 1024;

impl PixelFormat {
    /// Bytes a pixel takes.
    pub fn bytes(self) -> usize {
        match self {
            PixelFormat::Gray8 => 1,
            PixelFormat::Rgb8 => 3,
            PixelFormat::Rgba8 => 4,
        }
    }
}

impl Encoding {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Encoding::Png => "image/png",
            Encoding::Jpeg => "image/jpeg",
            Encoding::Webp => "image/webp",
        }
    }

    /// The usual ending of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Encoding::Png => "png",
            Encoding::Jpeg => "jpg",
            Encoding::Webp => "webp",
        }
    }
}

/// An image in the host. It outlives the page it was cut from.
#[derive(Debug)]
pub struct Image(pub(crate) host::Image);

impl Image {
    /// Width, px.
    pub fn width(&self) -> u32 {
        self.0.width()
    }

    /// Height, px.
    pub fn height(&self) -> u32 {
        self.0.height()
    }

    /// A view of the part inside `area`, cut to the image; fails with `invalid` where nothing is left.
    pub fn crop(&self, area: Rect) -> Result<Image, HostError> {
        self.0.crop(area).map(Image)
    }

    /// The image scaled to exactly `width` x `height` px.
    pub fn resize(&self, width: u32, height: u32) -> Result<Image, HostError> {
        self.0.resize(width, height).map(Image)
    }

    /// The image turned clockwise by quarter turns.
    pub fn rotate(&self, quarters: u8) -> Result<Image, HostError> {
        self.0.rotate(quarters).map(Image)
    }

    /// Rows `first .. first + count`, without padding; needs the capability `image.rows`.
    pub fn read_rows(&self, first: u32, count: u32, format: PixelFormat) -> Result<Vec<u8>, HostError> {
        self.0.read_rows(first, count, format)
    }
}

/// An image being drawn: rows are handed over in bands, so that no more than a band lives in the plugin.
#[derive(Debug)]
pub struct Canvas {
    inner: host::Canvas,
    stride: usize,
}

impl Canvas {
    /// A canvas whose pixels are all 0 until they are written.
    pub fn new(width: u32, height: u32, format: PixelFormat) -> Result<Self, HostError> {
        let stride = width as usize * format.bytes();
        Ok(Self {
            inner: host::Canvas::create(width, height, format)?,
            stride,
        })
    }

    /// Writes whole rows from row `first` on; any number of them, split into calls as the host wants them.
    pub fn write_rows(&mut self, first: u32, rows: &[u8]) -> Result<(), HostError> {
        let band = (CALL_BYTES / self.stride.max(1)).max(1);
        for (i, chunk) in rows.chunks(band * self.stride.max(1)).enumerate() {
            self.inner.write_rows(first + (i * band) as u32, chunk)?;
        }
        Ok(())
    }

    /// The finished image.
    pub fn finish(self) -> Result<Image, HostError> {
        host::Canvas::finish(self.inner).map(Image)
    }
}

/// The host's decoders for PNG, JPEG, WebP, TIFF, BMP and GIF. The file's bytes never enter the plugin.
#[derive(Debug)]
pub struct Decoder(host::Decoder);

impl Decoder {
    /// Reads the file's header.
    pub fn open(source: &Source) -> Result<Self, HostError> {
        host::Decoder::open(&source.0).map(Self)
    }

    /// Images in the file: pages of a TIFF, 1 of most others.
    pub fn frames(&self) -> u32 {
        self.0.frames()
    }

    /// One of them, turned upright by its EXIF orientation.
    pub fn frame(&self, index: u32) -> Result<Image, HostError> {
        self.0.frame(index).map(Image)
    }

    /// Its resolution as the file states it.
    pub fn dpi(&self, index: u32) -> Option<f32> {
        self.0.dpi(index)
    }
}
