//! `image`: views on host-owned pixels, canvases that plugins draw on, and the host's decoders.

use super::super::imports::image;
use super::super::imports::types::{self, HostError};
use super::Answer;
use crate::clock::{Clock, past};
use crate::decode::{Cut, ImageFile};
use crate::limits::Quota;
use crate::output::OutputFile;
use crate::pixels::{self, Encoding, PixelError};
use crate::room::LARGE_BYTES;
use crate::source::Source;
use crate::state::{CanvasHandle, DecoderHandle, ImageHandle, State};
use ocr_document::{Diagnostic, PageImage, PixelFormat, Rect, Severity};
use std::sync::Arc;
use wasmtime::Result;
use wasmtime::component::Resource;

/// Longest side of an image that a plugin makes, px.
const MAX_SIDE: u32 = 65_535;

impl State {
    fn image_quota(&mut self, quota: Quota) -> HostError {
        self.quota(quota, self.limits.image_bytes)
    }

    /// Keeps new pixels for the plugin and charges it for them.
    pub(super) fn hand_out_image(&mut self, image: PageImage) -> Answer<Resource<ImageHandle>> {
        match self.charge(image.pixels().len() as u64) {
            Ok(charge) => self.hand_out(ImageHandle {
                area: image.bounds(),
                image,
                charge: Some(Arc::new(charge)),
            }),
            Err(quota) => Ok(Err(self.image_quota(quota))),
        }
    }

    /// Says of a picture that was decoded in part that a part is missing.
    fn tell_of_missing_part(&mut self, decoder: &Resource<DecoderHandle>) -> Result<()> {
        if let Some(Cut::Picture(why)) = self.table.get(decoder)?.file.cut() {
            let why = why.clone();
            if let Some(message) = self.admit_log(&why) {
                let said = Diagnostic {
                    page: self.meter.page,
                    ..Diagnostic::new(Severity::Error, "image-cut", message)
                };
                self.events.report(&self.plugin, &said);
            }
        }
        Ok(())
    }

    /// Waits its turn where an image of `bytes` is a large one.
    fn make_room(&mut self, bytes: u64) -> std::result::Result<(), HostError> {
        if bytes <= LARGE_BYTES {
            return Ok(());
        }
        let (deadline, cancel) = (self.host_deadline(), self.cancel.clone());
        self.on_host_time(|state| state.room.reserve(&cancel, deadline))
            .map_err(|why| HostError::Failed(format!("the large image's turn {why}")))
    }

    /// The pixels inside an image's view, copied only where the view is a part; a copy that is large waits its turn.
    pub(super) fn view(&mut self, image: &Resource<ImageHandle>) -> Answer<PageImage> {
        let handle = self.table.get(image)?;
        let (image, area) = (handle.image.clone(), handle.area);
        if area == image.bounds() {
            return Ok(Ok(image));
        }
        let pixels = u64::from(area.width()) * u64::from(area.height());
        if let Err(error) = self.make_room(pixels * image.format().bytes() as u64) {
            return Ok(Err(error));
        }
        let part = self.on_host_time(|_| image.crop(area));
        part.map(Ok).map_err(|e| wasmtime::Error::msg(e.to_string()))
    }

    /// Encodes an image for `file`; `fits` says how many bytes may become what the file can still take.
    pub(super) fn encode(
        &mut self,
        image: &Resource<ImageHandle>,
        to: image::Encoding,
        quality: u8,
        file: &Resource<OutputFile>,
        fits: impl FnOnce(u64) -> u64,
    ) -> Answer<Vec<u8>> {
        let view = match self.view(image)? {
            Ok(view) => view,
            Err(error) => return Ok(Err(error)),
        };
        // What is encoded may take as much room as the pixels do.
        if let Err(error) = self.make_room(view.pixels().len() as u64) {
            return Ok(Err(error));
        }
        let file = self.table.get(file)?;
        let Some(output) = &self.output else {
            return Ok(Err(Self::denied_output()));
        };
        let (rest, quota, limit) = output.rest(file, &self.limits);
        let (most, deadline) = (fits(rest), self.host_deadline());
        let to = match to {
            image::Encoding::Png => Encoding::Png,
            image::Encoding::Jpeg => Encoding::Jpeg,
            image::Encoding::Webp => Encoding::Webp,
        };
        let is_late = past(deadline);
        let encode = || pixels::encode(&view, to, quality, most, &Clock::new(&is_late));
        match self.on_host_time(|_| encode()) {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(PixelError::TooLong) => Ok(Err(self.quota(quota, limit))),
            Err(PixelError::TooLate) => Ok(Err(self.too_late())),
            Err(PixelError::Failed(why)) => Ok(Err(HostError::Failed(why))),
        }
    }

    fn too_late(&mut self) -> HostError {
        let time = self.limits.get(Quota::Time);
        self.quota(Quota::Time, time)
    }
}

/// Pixels in the format that a plugin asks for.
fn convert_pixels(image: &PageImage, format: image::PixelFormat) -> Vec<u8> {
    use image::PixelFormat as To;
    let pixels = image.pixels();
    // ITU-R BT.601 luma in 8-bit fixed point.
    let luma = |p: &[u8]| ((77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2])) >> 8) as u8;
    match (image.format(), format) {
        (PixelFormat::Gray8, To::Gray8) | (PixelFormat::Rgb8, To::Rgb8) => pixels.to_vec(),
        (PixelFormat::Gray8, To::Rgb8) => pixels.iter().flat_map(|&v| [v, v, v]).collect(),
        (PixelFormat::Gray8, To::Rgba8) => pixels.iter().flat_map(|&v| [v, v, v, 255]).collect(),
        (PixelFormat::Rgb8, To::Gray8) => pixels.chunks_exact(3).map(luma).collect(),
        (PixelFormat::Rgb8, To::Rgba8) => pixels
            .chunks_exact(3)
            .flat_map(|p| [p[0], p[1], p[2], 255])
            .collect(),
    }
}

impl image::Host for State {}

impl image::HostImage for State {
    fn width(&mut self, this: Resource<ImageHandle>) -> Result<u32> {
        self.enter()?;
        Ok(self.table.get(&this)?.area.width())
    }

    fn height(&mut self, this: Resource<ImageHandle>) -> Result<u32> {
        self.enter()?;
        Ok(self.table.get(&this)?.area.height())
    }

    fn crop(&mut self, this: Resource<ImageHandle>, area: types::Rect) -> Answer<Resource<ImageHandle>> {
        self.enter()?;
        let parent = self.table.get(&this)?;
        let (x, y) = (parent.area.x0, parent.area.y0);
        let wanted = Rect::new(
            area.x0.saturating_add(x),
            area.y0.saturating_add(y),
            area.x1.saturating_add(x),
            area.y1.saturating_add(y),
        );
        let inside = wanted.intersect(&parent.area);
        if inside.is_empty() {
            return Ok(Err(HostError::Invalid(format!(
                "area {area:?} lies outside of the image"
            ))));
        }
        let view = ImageHandle {
            image: parent.image.clone(),
            area: inside,
            charge: parent.charge.clone(),
        };
        self.hand_out(view)
    }

    fn resize(
        &mut self,
        this: Resource<ImageHandle>,
        width: u32,
        height: u32,
    ) -> Answer<Resource<ImageHandle>> {
        self.enter()?;
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Ok(Err(HostError::Invalid(format!(
                "an image can't be resized to {width} x {height} px"
            ))));
        }
        let view = match self.view(&this)? {
            Ok(view) => view,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = u64::from(width) * u64::from(height) * view.format().bytes() as u64;
        let charge = match self.charge(bytes) {
            Ok(charge) => Arc::new(charge),
            Err(quota) => return Ok(Err(self.image_quota(quota))),
        };
        if let Err(error) = self.make_room(bytes) {
            return Ok(Err(error));
        }
        let is_late = past(self.host_deadline());
        let resize = || pixels::resize(&view, width, height, &Clock::new(&is_late));
        match self.on_host_time(|_| resize()) {
            Ok(image) => self.hand_out(ImageHandle {
                area: image.bounds(),
                image,
                charge: Some(charge),
            }),
            Err(PixelError::Failed(why)) => Ok(Err(HostError::Failed(why))),
            Err(PixelError::TooLate | PixelError::TooLong) => Ok(Err(self.too_late())),
        }
    }

    fn rotate(&mut self, this: Resource<ImageHandle>, quarters: u8) -> Answer<Resource<ImageHandle>> {
        self.enter()?;
        let view = match self.view(&this)? {
            Ok(view) => view,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = self.make_room(view.pixels().len() as u64) {
            return Ok(Err(error));
        }
        let rotated = self.on_host_time(|_| view.rotate(quarters));
        self.hand_out_image(rotated)
    }

    fn read_rows(
        &mut self,
        this: Resource<ImageHandle>,
        first: u32,
        count: u32,
        format: image::PixelFormat,
    ) -> Answer<Vec<u8>> {
        self.enter()?;
        if !self.grants.image_rows {
            return super::not_granted("image.rows");
        }
        let area = self.table.get(&this)?.area;
        let bytes = u64::from(area.width()) * u64::from(count) * format.channels() as u64;
        if let Err(error) = self.admit_call_bytes(bytes) {
            return Ok(Err(error));
        }
        if first.checked_add(count).is_none_or(|end| end > area.height()) {
            return Ok(Err(HostError::Invalid(format!(
                "rows {first} + {count} are not all in the image"
            ))));
        }
        let top = area.y0 + first;
        let rows = self.table.get(&this)?.image.crop(Rect {
            y0: top,
            y1: top + count,
            ..area
        });
        Ok(Ok(rows
            .map(|part| convert_pixels(&part, format))
            .unwrap_or_default()))
    }

    fn drop(&mut self, this: Resource<ImageHandle>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl image::HostCanvas for State {
    fn create(
        &mut self,
        width: u32,
        height: u32,
        format: image::PixelFormat,
    ) -> Answer<Resource<CanvasHandle>> {
        self.enter()?;
        let channels = format.channels();
        // Transparency is laid on white at once, so four channels are kept as three.
        let bytes = u64::from(width) * u64::from(height) * channels.min(3) as u64;
        if bytes == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Ok(Err(HostError::Invalid(format!(
                "a canvas can't be {width} x {height} px; a side is 1 to {MAX_SIDE} px"
            ))));
        }
        if let Err(error) = self.make_room(bytes) {
            return Ok(Err(error));
        }
        match self.charge(bytes) {
            Ok(charge) => self.hand_out(CanvasHandle {
                width,
                height,
                channels,
                pixels: vec![255; bytes as usize],
                charge,
            }),
            Err(quota) => Ok(Err(self.image_quota(quota))),
        }
    }

    fn write_rows(&mut self, this: Resource<CanvasHandle>, first: u32, rows: Vec<u8>) -> Answer<()> {
        self.enter()?;
        let started = std::time::Instant::now();
        let canvas = self.table.get_mut(&this)?;
        let (width, height) = (canvas.width as usize, canvas.height as usize);
        let stride = width * canvas.channels;
        if !rows.len().is_multiple_of(stride) || first as usize + rows.len() / stride > height {
            let why = format!(
                "{} bytes from row {first} on are no whole rows of {width} x {height} px",
                rows.len()
            );
            return Ok(Err(HostError::Invalid(why)));
        }
        let to = &mut canvas.pixels[first as usize * width * canvas.channels.min(3)..];
        if canvas.channels == 4 {
            for (to, from) in to.chunks_exact_mut(3).zip(rows.chunks_exact(4)) {
                let alpha = u16::from(from[3]);
                for (to, from) in to.iter_mut().zip(from) {
                    *to = 255 - ((255 - u16::from(*from)) * alpha / 255) as u8;
                }
            }
        } else {
            to[..rows.len()].copy_from_slice(&rows);
        }
        self.meter.host_time += started.elapsed();
        Ok(Ok(()))
    }

    fn finish(&mut self, this: Resource<CanvasHandle>) -> Answer<Resource<ImageHandle>> {
        self.enter()?;
        let canvas = self.table.delete(this)?;
        let format = if canvas.channels == 1 {
            PixelFormat::Gray8
        } else {
            PixelFormat::Rgb8
        };
        let image = PageImage::new(canvas.width, canvas.height, format, canvas.pixels);
        let image = image.map_err(|e| wasmtime::Error::msg(e.to_string()))?;
        self.hand_out(ImageHandle {
            area: image.bounds(),
            image,
            charge: Some(Arc::new(canvas.charge)),
        })
    }

    fn drop(&mut self, this: Resource<CanvasHandle>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl image::HostDecoder for State {
    fn open(&mut self, src: Resource<Source>) -> Answer<Resource<DecoderHandle>> {
        self.enter()?;
        let source = self.table.get(&src)?.clone();
        let charge = match self.charge(source.len()) {
            Ok(charge) => charge,
            Err(quota) => return Ok(Err(self.image_quota(quota))),
        };
        let (memory, deadline) = (self.limits.image_bytes, self.host_deadline());
        let opened = self.on_host_time(|_| {
            let bytes = source.read_at(0, usize::try_from(source.len()).unwrap_or(usize::MAX));
            bytes
                .map_err(|e| e.to_string())
                .and_then(|bytes| ImageFile::open(bytes, memory, deadline))
        });
        let file = match opened {
            Ok(file) => file,
            Err(why) => return Ok(Err(HostError::Failed(why))),
        };
        if let Some(Cut::Images(why)) = file.cut()
            && let Some(message) = self.admit_log(why)
        {
            let said = Diagnostic::new(Severity::Error, "images-omitted", message);
            self.events.report(&self.plugin, &said);
        }
        self.hand_out(DecoderHandle {
            file,
            _charge: charge,
            ahead: None,
        })
    }

    fn frames(&mut self, this: Resource<DecoderHandle>) -> Result<u32> {
        self.enter()?;
        Ok(self.table.get(&this)?.file.frames())
    }

    fn frame(&mut self, this: Resource<DecoderHandle>, index: u32) -> Answer<Resource<ImageHandle>> {
        self.enter()?;
        let frames = self.table.get(&this)?.file.frames();
        if index >= frames {
            return Ok(Err(HostError::Invalid(format!(
                "the file has {frames} images, number {index} (from 0) was asked for"
            ))));
        }
        let needed = self.table.get(&this)?.file.memory_of(index);
        if let Err(error) = self.make_room(needed) {
            return Ok(Err(error));
        }
        let deadline = self.host_deadline();
        let started = std::time::Instant::now();
        let decoder = self.table.get_mut(&this)?;
        let frame = decoder.file.frame(index, deadline);
        let ahead = decoder.file.bytes_ahead();
        decoder.ahead = None;
        self.meter.host_time += started.elapsed();
        match self.charge(ahead) {
            Ok(charge) => self.table.get_mut(&this)?.ahead = Some(charge),
            Err(quota) => return Ok(Err(self.image_quota(quota))),
        }
        match frame {
            Ok(image) => {
                self.tell_of_missing_part(&this)?;
                self.hand_out_image(image)
            }
            Err(why) => Ok(Err(HostError::Failed(why))),
        }
    }

    fn dpi(&mut self, this: Resource<DecoderHandle>, index: u32) -> Result<Option<f32>> {
        self.enter()?;
        Ok(self.table.get(&this)?.file.dpi(index))
    }

    fn drop(&mut self, this: Resource<DecoderHandle>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
