//! PDF files as page images, drawn by a pure-Rust renderer inside the sandbox: a file that is damaged, hostile or merely
//! enormous can cost its own conversion and nothing else.
//!
//! What can't be drawn in here (a file that does not open, an image larger than a component's memory, fonts and images
//! that can't be decoded or are not there) is drawn by the host's own renderer where there is one and the host lets us have
//! it; the report tells of each such page. What the file lacks is an error of the page, whoever draws it.
//!
//! `document.rs`, `content.rs`, `lost.rs` and `text.rs` know PDF; this file, `told.rs` and `host.rs` know the host.

#![forbid(unsafe_code)]

pub mod content;
pub mod document;
mod host;
pub mod lost;
pub mod text;
mod told;

use content::End;
use document::{Document, OpenError, Plan, plan};
use host::HostPdf;
use ocr_plugin::adapter::{Adapter, InputPage, Item, OpenOptions, TextLayer};
use ocr_plugin::image::{Canvas, Image, PixelFormat};
use ocr_plugin::source::Source;
use ocr_plugin::{Config, Diagnostic, DocInfo, Error, Result, Severity, control, log};
use serde::Deserialize;

/// Readers look for the header in this many bytes.
const HEADER_WITHIN: usize = 1024;
/// Bytes of a file's end that are looked at where nobody here reads it all.
const TAIL_BYTES: u32 = 64 << 10;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    max_megapixels: f64,
    annotations: bool,
    renderer: Renderer,
    text_layer: TextSetting,
}

/// Who draws pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Renderer {
    /// This plugin, and the host where that fails.
    Auto,
    /// This plugin alone.
    Hayro,
    /// The host alone.
    Pdfium,
}

/// Which words are handed over with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TextSetting {
    None,
    Visible,
    All,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_megapixels: 40.0,
            annotations: true,
            renderer: Renderer::Auto,
            text_layer: TextSetting::None,
        }
    }
}

impl Settings {
    fn from(config: &Config) -> Result<Self> {
        let settings: Settings = config.parse()?;
        if !(settings.max_megapixels > 0.0 && settings.max_megapixels <= 400.0) {
            let message = "setting `max-megapixels`: must be more than 0 and at most 400";
            return Err(Error::Config(vec![Diagnostic::new(
                Severity::Error,
                "config",
                message,
            )]));
        }
        Ok(settings)
    }
}

/// An open PDF.
pub struct PdfIn {
    name: String,
    /// None where the host alone draws it.
    document: Option<Document>,
    host: HostPdf,
    end: End,
    pages: u32,
    settings: Settings,
}

impl Adapter for PdfIn {
    fn sniff(name: &str, head: &[u8]) -> u8 {
        let within = &head[..head.len().min(HEADER_WITHIN)];
        match within.windows(5).position(|w| w == b"%PDF-") {
            Some(0) => 98,
            Some(_) => 90,
            None if name.len() > 4 && name.to_ascii_lowercase().ends_with(".pdf") => 5,
            None => 0,
        }
    }

    fn open(source: Source, options: OpenOptions) -> Result<Self> {
        let settings = Settings::from(&options.config)?;
        let name = source.name();
        let (opened, end) = match settings.renderer {
            Renderer::Pdfium => (None, content::end(&tail(&source)?)),
            _ => {
                let bytes = source.read_all()?;
                let end = content::end(&bytes);
                let opened = Document::open(bytes, options.password.as_deref(), settings.annotations);
                (Some(opened), end)
            }
        };
        let mut host = HostPdf::new(source, options.password);
        let (document, pages) = match opened {
            Some(Ok(document)) => {
                told::losses(&document, end).iter().for_each(log::report);
                let pages = document.page_count();
                (Some(document), pages)
            }
            Some(Err(e)) if settings.renderer == Renderer::Auto && e.may_open_elsewhere() => {
                let pages = match host.open()? {
                    Ok(document) if document.page_count() > 0 => document.page_count(),
                    _ => return Err(told::refusal(&name, e)),
                };
                let why = "it can't be read inside the sandbox, so the host's renderer draws its pages";
                log::report(&Diagnostic::new(Severity::Note, RENDERED_BY, why));
                (None, pages)
            }
            Some(Err(e)) => return Err(told::refusal(&name, e)),
            None => match host.open()? {
                Ok(document) => (None, document.page_count()),
                Err(why) => {
                    let why = format!("`{name}` can't be opened by the host's renderer: {why}");
                    return Err(Error::failed("no-renderer", why));
                }
            },
        };
        if pages == 0 {
            return Err(told::refusal(&name, OpenError::NoPages));
        }
        Ok(Self {
            name,
            document,
            host,
            end,
            pages,
            settings,
        })
    }

    fn info(&self) -> DocInfo {
        DocInfo {
            pages: Some(self.pages),
            title: self.document.as_ref().and_then(Document::title),
            ..DocInfo::new(&self.name, "application/pdf")
        }
    }

    fn read(&mut self, index: u32, dpi: f32) -> Result<Option<Item>> {
        if index >= self.pages {
            return Ok(None);
        }
        let number = index + 1;
        let max_pixels = self.settings.max_megapixels * 1e6;
        let planned = |(width, height)| plan(width, height, 1.0, dpi, max_pixels);
        let lacks = told::lacks(self.document.as_ref(), self.end, index);
        let drawn = match &mut self.document {
            None => None,
            Some(document) => {
                let plan = document.plan(index, dpi, max_pixels);
                let plan = plan.ok_or_else(|| Error::invalid_input(format!("there is no page {number}")))?;
                Some((draw(document, index, plan)?.without(&lacks), plan))
            }
        };
        let (image, plan) = match drawn {
            None => match self.host.draw(index, None, planned)? {
                Ok(drawn) => drawn,
                Err(why) => return Err(told::undrawn(&why).on_page(number)),
            },
            Some((Drawn::Whole(image), plan)) => (image, plan),
            Some((Drawn::Wanting(image, wants), plan)) => match self.elsewhere(index, plan)? {
                Some(by_host) => {
                    drop(image);
                    tell_renderer(number, &wants.reason);
                    (by_host, plan)
                }
                None => {
                    wants
                        .diagnostics
                        .into_iter()
                        .for_each(|d| log::report(&d.on_page(number)));
                    (image, plan)
                }
            },
            Some((Drawn::Not(error), plan)) => match self.elsewhere(index, plan)? {
                Some(by_host) => {
                    tell_renderer(number, &error.message());
                    (by_host, plan)
                }
                None => return Err(error.on_page(number)),
            },
        };
        if plan.reduced {
            log::report(&told::reduced(&plan, dpi).on_page(number));
        }
        for lack in lacks {
            log::report(&lack.on_page(number));
        }
        let text_layer = self.text_layer(index, &plan)?;
        Ok(Some(Item::Page(InputPage {
            // What was drawn may be smaller than what was planned.
            dpi: 72.0 * image.width() as f32 / plan.width_points,
            image,
            width_points: plan.width_points,
            height_points: plan.height_points,
            text_layer,
        })))
    }
}

/// How drawing a page in here ended.
enum Drawn {
    Whole(Image),
    /// Something is missing from it.
    Wanting(Image, Wants),
    Not(Error),
}

/// What a page lacks, for people and in one line.
struct Wants {
    diagnostics: Vec<Diagnostic>,
    reason: String,
}

impl Drawn {
    /// The same, where the page `lacks` what another renderer may find.
    fn without(self, lacks: &[Diagnostic]) -> Self {
        let lost = lacks.iter().find(|d| told::may_be_found_elsewhere(d));
        match (self, lost) {
            (Drawn::Whole(image), Some(lost)) => Drawn::Wanting(
                image,
                Wants {
                    diagnostics: Vec::new(),
                    reason: lost.message.clone(),
                },
            ),
            (drawn, _) => drawn,
        }
    }
}

/// The code of the note about pages that the host's renderer has drawn.
const RENDERED_BY: &str = "rendered-by";

fn tell_renderer(number: u32, reason: &str) {
    // What to try, behind the reason, is for those who have no other renderer.
    let reason = reason.split(';').next().unwrap_or(reason);
    let message = format!("drawn by the host's renderer (pdfium): {reason}");
    log::report(&Diagnostic::new(Severity::Note, RENDERED_BY, message).on_page(number));
}

/// The last bytes of a file.
fn tail(source: &Source) -> Result<Vec<u8>> {
    let from = source.len().saturating_sub(u64::from(TAIL_BYTES));
    Ok(source.read_at(from, TAIL_BYTES)?)
}

/// Draws a page in here. The outer error ends it for good: nobody wants it any more, or a limit was met.
fn draw(document: &mut Document, index: u32, plan: Plan) -> Result<Drawn> {
    if let Some(size) = document.giant_image(index) {
        return Ok(Drawn::Not(told::giant(&size)));
    }
    let mut canvas = Canvas::new(plan.width, plan.height, PixelFormat::Rgb8)?;
    let drawn = document.draw(index, &plan, |first, rows| {
        canvas.write_rows(first, rows)?;
        control::checkpoint()
    });
    let findings = match drawn {
        Ok(findings) => findings?,
        Err(bytes) => return Ok(Drawn::Not(told::no_memory(&plan, bytes))),
    };
    let image = canvas.finish()?;
    let diagnostics = told::describe(&findings);
    if diagnostics.is_empty() {
        return Ok(Drawn::Whole(image));
    }
    let messages: Vec<&str> = diagnostics.iter().map(|d| d.message.as_str()).collect();
    let reason = format!("inside the sandbox {}", messages.join(", "));
    Ok(Drawn::Wanting(image, Wants { diagnostics, reason }))
}

impl PdfIn {
    /// A page as the host draws it, where it may and can.
    fn elsewhere(&mut self, index: u32, plan: Plan) -> Result<Option<Image>> {
        if self.settings.renderer != Renderer::Auto {
            return Ok(None);
        }
        let drawn = self.host.draw(index, Some(plan), |_| plan)?;
        Ok(drawn.ok().map(|(image, _)| image))
    }

    /// The words of a page, from whoever knows the document.
    fn text_layer(&mut self, index: u32, plan: &Plan) -> Result<Option<TextLayer>> {
        let which = match self.settings.text_layer {
            TextSetting::None => return Ok(None),
            TextSetting::Visible => text::Text::Visible,
            TextSetting::All => text::Text::All,
        };
        let Some(document) = &self.document else {
            return self.host.words(index, plan.width);
        };
        let words = document.words(index, plan, which);
        Ok((!words.is_empty()).then_some(TextLayer { words }))
    }
}

ocr_plugin::export_adapter!(PdfIn);
