//! An open PDF, and pages as pixels: the part of this adapter that knows PDF and nothing of the host.
//!
//! Memory is the concern. A component's memory never shrinks, and the renderer keeps what it has decoded: content
//! streams with their pages, object streams with the file, fonts and glyphs in caches. So a page gets caches of its own,
//! the file is opened afresh (its bytes are shared, not copied) once enough has gathered, and pixels are drawn in bands
//! into one buffer that is used again and again.

use crate::content::{self, Content, ImageSize};
use crate::lost::{self, Lost};
use crate::text::{self, Text};
use hayro::hayro_interpret::{InterpreterSettings, InterpreterWarning, RenderContent, TransformExt};
use hayro::hayro_syntax::{DecryptionError, LoadPdfError, Pdf, PdfData, page::Page};
use hayro::kurbo::Affine;
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::vello_cpu::{PixmapMut, RasterizerSettings, RenderContext, Resources, TargetInit};
use hayro::{RenderCache, RenderSettings};
use ocr_plugin::adapter::LayerWord;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Pixels drawn in one pass. A page that has more is drawn in several, each of which interprets the page again: 12
/// million hold an A4 page at 350 dpi and take 48 MB.
const BAND_PIXELS: u64 = 12_000_000;
/// The renderer's longest side, px.
const LONGEST_SIDE: f64 = 65_535.0;
/// What may gather before the file is opened afresh: bytes of decoded page content ...
const KEPT_BYTES: usize = 8 << 20;
/// ... and pages, because what else they left behind cannot be seen.
const KEPT_PAGES: u32 = 64;
/// The longest side of a page that makes sense, points: 1 km. Coordinates of larger pages are noise.
const LONGEST_POINTS: f32 = 2_834_646.0;

/// Why a file is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// A password is needed.
    Encrypted,
    /// The given one does not open it.
    WrongPassword,
    /// Its encryption is damaged or unknown.
    Encryption,
    /// It is no PDF, or too damaged.
    Damaged,
    /// It has no page.
    NoPages,
}

impl OpenError {
    /// Whether another renderer may know more: a password is a password.
    pub fn may_open_elsewhere(self) -> bool {
        matches!(
            self,
            OpenError::Encryption | OpenError::Damaged | OpenError::NoPages
        )
    }
}

/// What went wrong on a page that was drawn all the same; how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings {
    /// Times that a font could not be loaded: its text is drawn in another.
    pub fonts: u32,
    /// Images that could not be decoded: they are missing.
    pub images: u32,
    /// Annotations that could not be drawn.
    pub annotations: u32,
}

/// How a page is going to be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Page size as displayed: cut to its crop box and turned, points.
    pub width_points: f32,
    /// See `width_points`.
    pub height_points: f32,
    /// Raster size, px.
    pub width: u32,
    /// See `width`.
    pub height: u32,
    /// The resolution this comes to.
    pub dpi: f32,
    /// Whether it is less than was asked for.
    pub reduced: bool,
    /// Raster px per unit of the page.
    scale: (f64, f64),
}

/// An open PDF.
pub struct Document {
    data: PdfData,
    password: String,
    pdf: Pdf,
    draw_annotations: bool,
    kept_bytes: usize,
    kept_pages: u32,
    context: RenderContext,
    pixels: Vec<u8>,
}

impl Document {
    /// Opens a file's bytes. A password that a file does not need is ignored.
    pub fn open(bytes: Vec<u8>, password: Option<&str>, draw_annotations: bool) -> Result<Self, OpenError> {
        let data = PdfData::from(bytes);
        let tries = [password.unwrap_or_default(), ""];
        let (password, pdf) = match Pdf::new_with_password(data.clone(), tries[0]) {
            Err(LoadPdfError::Decryption(DecryptionError::PasswordProtected)) if password.is_some() => {
                let pdf = Pdf::new(data.clone()).map_err(|e| match e {
                    LoadPdfError::Decryption(DecryptionError::PasswordProtected) => OpenError::WrongPassword,
                    other => OpenError::from(other),
                })?;
                (tries[1], pdf)
            }
            other => (tries[0], other?),
        };
        if pdf.pages().is_empty() {
            return Err(OpenError::NoPages);
        }
        Ok(Self {
            data,
            password: password.to_owned(),
            pdf,
            draw_annotations,
            kept_bytes: 0,
            kept_pages: 0,
            context: RenderContext::new(1, 1),
            pixels: Vec::new(),
        })
    }

    /// Whether the root of its pages is there; where it is not, nobody knows how many there were.
    pub fn has_page_tree(&self) -> bool {
        lost::has_page_tree(self.pdf.xref())
    }

    /// Pages that it says it has, where those are more than could be found.
    pub fn promised_pages(&self) -> Option<u32> {
        content::promised_pages(&self.pdf).filter(|&promised| promised > self.page_count())
    }

    /// How much of page `index`'s content is there.
    pub fn content(&self, index: u32) -> Content {
        self.pdf
            .pages()
            .get(index as usize)
            .map(content::content)
            .unwrap_or_default()
    }

    /// What page `index` names and the file lacks.
    pub fn lost(&self, index: u32) -> Lost {
        self.pdf
            .pages()
            .get(index as usize)
            .map(lost::lost)
            .unwrap_or_default()
    }

    /// An image of page `index` that no component could hold.
    pub fn giant_image(&self, index: u32) -> Option<ImageSize> {
        content::giant_image(self.pdf.pages().get(index as usize)?)
    }

    /// Its pages.
    pub fn page_count(&self) -> u32 {
        u32::try_from(self.pdf.pages().len()).unwrap_or(u32::MAX)
    }

    /// Its title.
    pub fn title(&self) -> Option<String> {
        let title = text_string(self.pdf.metadata().title.as_deref()?);
        let title = title.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        (!title.is_empty()).then(|| title.to_owned())
    }

    /// How page `index` is drawn at `dpi` in at most `max_pixels`; none past the last page.
    pub fn plan(&self, index: u32, dpi: f32, max_pixels: f64) -> Option<Plan> {
        let page = self.pdf.pages().get(index as usize)?;
        let (width, height) = page.render_dimensions();
        let unit = page
            .raw()
            .get::<f32>("UserUnit")
            .filter(|u| (0.01..=1000.0).contains(u))
            .unwrap_or(1.0);
        Some(plan(width, height, unit, dpi, max_pixels))
    }

    /// The words of page `index`, in pixels of the raster that `plan` makes.
    pub fn words(&self, index: u32, plan: &Plan, which: Text) -> Vec<LayerWord> {
        let Some(page) = self.pdf.pages().get(index as usize) else {
            return Vec::new();
        };
        let interpreter = settings(self.draw_annotations, Arc::new([const { AtomicU32::new(0) }; 3]));
        text::words(page, to_raster(page, plan), interpreter, which)
    }

    /// Draws page `index` on white and hands its rows over as RGB, band by band from the top: first row and bytes. The
    /// outer error is a lack of memory, bytes asked for; the inner one is the taker's.
    pub fn draw<E>(
        &mut self,
        index: u32,
        plan: &Plan,
        mut take: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<Result<Findings, E>, usize> {
        self.forget();
        let warnings = Arc::new([const { AtomicU32::new(0) }; 3]);
        let interpreter = settings(self.draw_annotations, warnings.clone());
        let Some(page) = self.pdf.pages().get(index as usize) else {
            return Ok(Ok(Findings::default()));
        };
        let cache = RenderCache::new();

        let band = (BAND_PIXELS / u64::from(plan.width)).clamp(1, u64::from(plan.height)) as u32;
        let bytes = plan.width as usize * band as usize * 4;
        self.pixels
            .try_reserve_exact(bytes.saturating_sub(self.pixels.len()))
            .map_err(|_| bytes)?;
        if self.pixels.len() < bytes {
            self.pixels.resize(bytes, 0);
        }
        let mut first = 0;
        while first < plan.height {
            let rows = band.min(plan.height - first);
            self.context.reset_and_resize(plan.width as u16, rows as u16);
            let pixels = &mut self.pixels[..plan.width as usize * rows as usize * 4];
            draw_band(page, &cache, &interpreter, &mut self.context, plan, first, pixels);
            let rgb = drop_alpha(pixels);
            if let Err(e) = take(first, rgb) {
                return Ok(Err(e));
            }
            first += rows;
        }
        let bare = match self.draw_annotations {
            true => content::bare_annotations(page),
            false => 0,
        };
        self.kept_bytes += page.page_stream().map_or(0, <[u8]>::len);
        self.kept_pages += 1;
        let count = |i: usize| warnings[i].load(Ordering::Relaxed);
        Ok(Ok(Findings {
            fonts: count(0),
            images: count(1),
            annotations: count(2) + bare,
        }))
    }

    /// Opens the file afresh once what earlier pages left behind is worth it.
    fn forget(&mut self) {
        if self.kept_bytes < KEPT_BYTES && self.kept_pages < KEPT_PAGES {
            return;
        }
        (self.kept_bytes, self.kept_pages) = (0, 0);
        // It opened before; should it not now, the old one still serves.
        if let Ok(pdf) = Pdf::new_with_password(self.data.clone(), &self.password) {
            self.pdf = pdf;
        }
    }
}

/// How a page of this size (in its own units of `unit` points) is drawn.
pub fn plan(width: f32, height: f32, unit: f32, dpi: f32, max_pixels: f64) -> Plan {
    let sane = |v: f32| {
        if v.is_finite() {
            (v * unit).clamp(1.0, LONGEST_POINTS)
        } else {
            1.0
        }
    };
    let (width_points, height_points) = (sane(width), sane(height));
    let (w, h) = (f64::from(width_points), f64::from(height_points));
    let asked = f64::from(dpi) / 72.0;
    let fits = (max_pixels / (w * h)).sqrt().min(LONGEST_SIDE / w.max(h));
    let scale = asked.min(fits);
    let side = |points: f64| ((points * scale).round().clamp(1.0, LONGEST_SIDE)) as u32;
    let (width_px, height_px) = (side(w), side(h));
    Plan {
        width_points,
        height_points,
        width: width_px,
        height: height_px,
        dpi: (scale * 72.0) as f32,
        reduced: scale < asked,
        // The raster is filled to its last row and column.
        scale: (
            f64::from(width_px) / f64::from(width.max(1.0)),
            f64::from(height_px) / f64::from(height.max(1.0)),
        ),
    }
}

/// From a page's own coordinates to pixels.
fn to_raster(page: &Page<'_>, plan: &Plan) -> Affine {
    Affine::scale_non_uniform(plan.scale.0, plan.scale.1) * page.initial_transform(true).to_kurbo()
}

fn draw_band<'a>(
    page: &'a Page<'a>,
    cache: &RenderCache<'a>,
    interpreter: &InterpreterSettings,
    context: &mut RenderContext,
    plan: &Plan,
    first_row: u32,
    pixels: &mut [u8],
) {
    let transform = Affine::translate((0.0, -f64::from(first_row))) * to_raster(page, plan);
    hayro::render_into(
        page,
        cache,
        interpreter,
        &RenderSettings::default(),
        context,
        transform,
    );
    context.flush();
    let (width, height) = (context.width(), context.height());
    let Some(target) = PixmapMut::new(width, height, pixels) else {
        return;
    };
    let target_init = TargetInit::Clear(WHITE);
    context.render_with(
        target,
        &mut Resources::default(),
        RasterizerSettings {
            target_init,
            ..RasterizerSettings::default()
        },
    );
}

/// RGBA to RGB in place; the page is opaque.
fn drop_alpha(pixels: &mut [u8]) -> &[u8] {
    let count = pixels.len() / 4;
    for i in 0..count {
        let rgb = [pixels[4 * i], pixels[4 * i + 1], pixels[4 * i + 2]];
        pixels[3 * i..3 * i + 3].copy_from_slice(&rgb);
    }
    &pixels[..3 * count]
}

fn settings(draw_annotations: bool, warnings: Arc<[AtomicU32; 3]>) -> InterpreterSettings {
    let annotations = if draw_annotations {
        RenderContent::ANNOTATIONS
    } else {
        RenderContent::empty()
    };
    InterpreterSettings {
        warning_sink: Arc::new(move |warning| {
            let which = match warning {
                InterpreterWarning::UnsupportedFont => 0,
                InterpreterWarning::ImageDecodeFailure => 1,
                InterpreterWarning::UnresolvedAnnotationAppearance => 2,
                _ => return,
            };
            warnings[which].fetch_add(1, Ordering::Relaxed);
        }),
        render_content: RenderContent::PAGE | annotations,
        ..InterpreterSettings::default()
    }
}

impl From<LoadPdfError> for OpenError {
    fn from(e: LoadPdfError) -> Self {
        match e {
            LoadPdfError::Decryption(DecryptionError::PasswordProtected) => OpenError::Encrypted,
            LoadPdfError::Decryption(_) => OpenError::Encryption,
            LoadPdfError::Invalid => OpenError::Damaged,
        }
    }
}

/// A PDF text string: UTF-16 or UTF-8 where a byte order mark says so, otherwise PDFDocEncoding, which is Latin-1 but
/// for a few signs; many writers put UTF-8 there without a mark.
fn text_string(bytes: &[u8]) -> String {
    match bytes {
        [0xfe, 0xff, rest @ ..] => {
            let units: Vec<u16> = rest
                .chunks_exact(2)
                .map(|b| u16::from_be_bytes([b[0], b[1]]))
                .collect();
            String::from_utf16_lossy(&units)
        }
        [0xff, 0xfe, rest @ ..] => {
            let units: Vec<u16> = rest
                .chunks_exact(2)
                .map(|b| u16::from_le_bytes([b[0], b[1]]))
                .collect();
            String::from_utf16_lossy(&units)
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolution_gives_way_to_the_pixel_limit() {
        let a4 = plan(595.0, 842.0, 1.0, 200.0, 40e6);
        assert_eq!(
            (a4.width, a4.height, a4.dpi, a4.reduced),
            (1653, 2339, 200.0, false)
        );
        let poster = plan(14_400.0, 14_400.0, 1.0, 300.0, 40e6);
        assert!(
            poster.reduced && u64::from(poster.width) * u64::from(poster.height) <= 40_010_000,
            "{poster:?}"
        );
        let strip = plan(14_400.0, 2.0, 1.0, 1200.0, 40e6);
        assert_eq!((strip.width, strip.height), (65_535, 9));
        let absurd = plan(f32::MAX, f32::NAN, 1.0, 300.0, 40e6);
        assert!(
            (1..=65_535).contains(&absurd.width) && absurd.height == 1,
            "{absurd:?}"
        );
    }

    #[test]
    fn user_units_make_pages_larger() {
        let page = plan(100.0, 200.0, 2.0, 72.0, 40e6);
        assert_eq!(
            (page.width_points, page.height_points, page.width, page.height),
            (200.0, 400.0, 200, 400)
        );
    }

    #[test]
    fn titles_come_in_four_encodings() {
        assert_eq!(text_string(b"\xfe\xff\0G\0r\0\xfc"), "Grü");
        assert_eq!(text_string(b"\xff\xfeG\0r\0\xfc\0"), "Grü");
        assert_eq!(text_string(b"\xef\xbb\xbfGr\xc3\xbc"), "Grü");
        assert_eq!(text_string(b"Gr\xfc"), "Grü");
        assert_eq!(text_string(b"Gr\xc3\xbc"), "Grü");
    }

    #[test]
    fn alpha_is_dropped_in_place() {
        assert_eq!(drop_alpha(&mut [1, 2, 3, 255, 4, 5, 6, 255]), [1, 2, 3, 4, 5, 6]);
    }
}
