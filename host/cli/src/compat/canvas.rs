//! Draws boxes and labels on a page, as DeepSeek's scripts do, and packs it as JPEG.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use ocr_document::{PageImage, Rect};
use std::io;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// The scripts' JPEG quality for pages; their crops have Pillow's 75, which blurs print.
const JPEG_QUALITY: u8 = 95;

const FONT: FontWeight = FontWeight::Regular;
const FONT_PX: RasterHeight = RasterHeight::Size16;

/// Longest label that is drawn, characters; a label may be a whole sentence that was to be located.
const LABEL_CHARS: usize = 48;

/// Pixels to draw on.
pub struct Canvas {
    width: u32,
    height: u32,
    /// Rows of RGB from the top.
    pixels: Vec<u8>,
}

impl Canvas {
    /// A copy of `image`.
    pub fn of(image: &PageImage) -> Self {
        Self {
            width: image.width(),
            height: image.height(),
            pixels: image.to_rgb().pixels().to_vec(),
        }
    }

    /// White.
    pub fn blank(width: u32, height: u32) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self {
            width,
            height,
            pixels: vec![255; width as usize * height as usize * 3],
        }
    }

    /// Lays `colour` over `area`, as far as `alpha` of 255 says.
    pub fn fill(&mut self, area: Rect, colour: Colour, alpha: u8) {
        let area = area.intersect(&Rect::new(0, 0, self.width, self.height));
        for y in area.y0..area.y1 {
            for x in area.x0..area.x1 {
                self.blend(x, y, colour, alpha);
            }
        }
    }

    /// Draws the outline of `area`, `px` wide, inside it.
    pub fn frame(&mut self, area: Rect, colour: Colour, px: u32) {
        let Rect { x0, y0, x1, y1 } = area;
        let across = |top: u32, bottom: u32| Rect::new(x0, top, x1, bottom);
        let along = |left: u32, right: u32| Rect::new(left, y0, right, y1);
        let (px_x, px_y) = (px.min(area.width()), px.min(area.height()));
        for bar in [
            across(y0, y0 + px_y),
            across(y1 - px_y, y1),
            along(x0, x0 + px_x),
            along(x1 - px_x, x1),
        ] {
            self.fill(bar, colour, 255);
        }
    }

    /// Writes `text` on white above `area`, or inside it where there is no room above. Characters that the font lacks
    /// are drawn as `?`.
    pub fn label(&mut self, area: Rect, text: &str, colour: Colour) {
        let (advance, line) = (get_raster_width(FONT, FONT_PX) as u32, FONT_PX.val() as u32);
        let count = text.chars().count().min(LABEL_CHARS) as u32;
        let wide = count * advance;
        let left = area.x0.min(self.width.saturating_sub(wide));
        let top = area.y0.saturating_sub(line);
        self.fill(Rect::new(left, top, left + wide, top + line), [255; 3], 200);
        for (n, char) in (0..count).zip(text.chars()) {
            let Some(glyph) = get_raster(char, FONT, FONT_PX).or_else(|| get_raster('?', FONT, FONT_PX))
            else {
                continue;
            };
            for (y, row) in (top..self.height).zip(glyph.rows()) {
                for (x, &ink) in (left + n * advance..self.width).zip(row) {
                    self.blend(x, y, colour, ink);
                }
            }
        }
    }

    /// The picture as JPEG.
    pub fn jpeg(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .encode(&self.pixels, self.width, self.height, ExtendedColorType::Rgb8)
            .map_err(|e| {
                let (width, height) = (self.width, self.height);
                io::Error::other(format!("{width} x {height} px can't be a JPEG: {e}"))
            })?;
        Ok(bytes)
    }

    fn blend(&mut self, x: u32, y: u32, colour: Colour, alpha: u8) {
        let at = (y as usize * self.width as usize + x as usize) * 3;
        for (to, from) in self.pixels[at..at + 3].iter_mut().zip(colour) {
            let mixed = u32::from(from) * u32::from(alpha) + u32::from(*to) * u32::from(255 - alpha);
            *to = ((mixed + 127) / 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(canvas: &Canvas, x: u32, y: u32) -> Colour {
        let at = ((y * canvas.width + x) * 3) as usize;
        canvas.pixels[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn a_frame_lies_inside_its_area_and_a_fill_is_thin() {
        let mut canvas = Canvas::blank(20, 20);
        let area = Rect::new(5, 5, 15, 15);
        canvas.fill(area, [0, 0, 0], 20);
        canvas.frame(area, [200, 0, 0], 2);
        assert_eq!(
            [4, 5, 6, 7, 12, 13, 14, 15].map(|x| at(&canvas, x, 10)[1]),
            [255, 0, 0, 235, 235, 0, 0, 255]
        );
    }

    #[test]
    fn nothing_is_drawn_outside() {
        let mut canvas = Canvas::blank(10, 10);
        for area in [
            Rect::new(8, 8, 900, 900),
            Rect::new(50, 50, 60, 60),
            Rect::new(3, 3, 3, 3),
            Rect::new(0, 0, 1, 1),
        ] {
            canvas.fill(area, [0; 3], 255);
            canvas.frame(area, [0; 3], 4);
            canvas.label(area, "a long label that has no room here, and 中文", [0; 3]);
        }
        assert_eq!(canvas.pixels.len(), 300);
    }

    #[test]
    fn a_label_stands_above_its_box() {
        let mut canvas = Canvas::blank(100, 60);
        canvas.label(Rect::new(10, 30, 90, 50), "title", [0, 0, 200]);
        let inked = |rows: std::ops::Range<u32>| {
            rows.flat_map(|y| (0..100).map(move |x| (x, y)))
                .any(|(x, y)| at(&canvas, x, y)[0] < 60)
        };
        assert!(inked(14..30) && !inked(30..60));
    }
}
