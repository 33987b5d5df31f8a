//! PDF files as page images, drawn by a pure-Rust renderer inside the sandbox: a file that is damaged, hostile or merely
//! enormous can cost its own conversion and nothing else.
//!
//! `document.rs` and `content.rs` know PDF; this file knows the host.

#![forbid(unsafe_code)]

pub mod content;
pub mod document;

use content::{Content, ImageSize};
use document::{Document, Findings, OpenError, Plan};
use ocr_plugin::adapter::{Adapter, InputPage, Item, OpenOptions};
use ocr_plugin::image::{Canvas, PixelFormat};
use ocr_plugin::source::Source;
use ocr_plugin::{Config, Diagnostic, DocInfo, Error, Result, Severity, control, log};
use serde::Deserialize;

/// Readers look for the header in this many bytes.
const HEADER_WITHIN: usize = 1024;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    max_megapixels: f64,
    annotations: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_megapixels: 40.0,
            annotations: true,
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
    document: Document,
    max_pixels: f64,
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
        let bytes = source.read_all()?;
        drop(source);
        let document = Document::open(bytes, options.password.as_deref(), settings.annotations)
            .map_err(|e| refusal(&name, e))?;
        for finding in losses(&document) {
            log::report(&finding);
        }
        Ok(Self {
            name,
            document,
            max_pixels: settings.max_megapixels * 1e6,
        })
    }

    fn info(&self) -> DocInfo {
        DocInfo {
            pages: Some(self.document.page_count()),
            title: self.document.title(),
            ..DocInfo::new(&self.name, "application/pdf")
        }
    }

    fn read(&mut self, index: u32, dpi: f32) -> Result<Option<Item>> {
        let Some(plan) = self.document.plan(index, dpi, self.max_pixels) else {
            return Ok(None);
        };
        let number = index + 1;
        if plan.reduced {
            log::report(&reduced(&plan, dpi).on_page(number));
        }
        if let Some(size) = self.document.giant_image(index) {
            return Err(giant(&size).on_page(number));
        }
        let mut canvas = Canvas::new(plan.width, plan.height, PixelFormat::Rgb8)?;
        let drawn = self.document.draw(index, &plan, |first, rows| {
            canvas.write_rows(first, rows)?;
            control::checkpoint()
        });
        let findings = drawn.map_err(|bytes| no_memory(&self.name, number, &plan, bytes))??;
        for finding in describe(&findings)
            .into_iter()
            .chain(undecodable(self.document.content(index)))
        {
            log::report(&finding.on_page(number));
        }
        Ok(Some(Item::Page(InputPage {
            image: canvas.finish()?,
            dpi: plan.dpi,
            width_points: plan.width_points,
            height_points: plan.height_points,
            text_layer: None,
        })))
    }
}

fn refusal(name: &str, e: OpenError) -> Error {
    match e {
        OpenError::Encrypted => Error::failed(
            "encrypted",
            format!("`{name}` is encrypted; give its password with --pdf-password"),
        ),
        OpenError::WrongPassword => Error::failed(
            "wrong-password",
            format!("the password given does not open `{name}`"),
        ),
        OpenError::Encryption => Error::unsupported(format!(
            "`{name}` is encrypted in a way that is damaged or not supported; save it without encryption first"
        )),
        OpenError::Damaged => Error::invalid_input(format!(
            "`{name}` is no PDF, or damaged beyond reading; a PDF repair tool may help"
        )),
        OpenError::NoPages => Error::invalid_input(format!("`{name}` is a PDF without a single page")),
    }
}

/// What a damaged file lacks that its pages can't tell.
fn losses(document: &Document) -> Vec<Diagnostic> {
    let damaged = (!document.has_end()).then(|| {
        let message = "it ends before its end (there is no `startxref`), so it was probably cut off and parts are missing; \
                       get the file again, or try a PDF repair tool";
        Diagnostic::new(Severity::Warning, "damaged", message)
    });
    let missing = document.promised_pages().map(|promised| {
        let message = format!(
            "it says that it has {promised} pages, but {} could be found; a PDF repair tool may find more",
            document.page_count()
        );
        Diagnostic::new(Severity::Error, "pages-missing", message)
    });
    damaged.into_iter().chain(missing).collect()
}

fn undecodable(content: Content) -> Option<Diagnostic> {
    let Content { streams, lost } = content;
    let message = match streams {
        1 => "its content is missing or can't be decoded whole; a PDF repair tool may help".to_owned(),
        _ => format!(
            "{lost} of the {streams} parts of its content are missing or can't be decoded whole; a PDF repair tool may \
             help"
        ),
    };
    (lost > 0).then(|| Diagnostic::new(Severity::Error, "content-undecodable", message))
}

fn giant(size: &ImageSize) -> Error {
    let message = format!(
        "an image of {} x {} px takes {} MiB, more than can be drawn here; scale it down",
        size.width,
        size.height,
        size.bytes >> 20
    );
    Error::failed("image-too-large", message)
}

fn reduced(plan: &Plan, asked: f32) -> Diagnostic {
    let message = format!(
        "drawn at {:.0} instead of {asked:.0} dpi: the page is {:.0} x {:.0} points large; \
         setting `max-megapixels` raises the limit",
        plan.dpi, plan.width_points, plan.height_points
    );
    Diagnostic::new(Severity::Note, "raster-reduced", message)
}

fn no_memory(name: &str, number: u32, plan: &Plan, bytes: usize) -> Error {
    let message = format!(
        "page {number} of `{name}` needs {} MB to be drawn in {} x {} px, more than this plugin's memory has left; \
         lower --dpi or raise the limit",
        bytes.div_ceil(1_000_000),
        plan.width,
        plan.height
    );
    Error::failed("out-of-memory", message).on_page(number)
}

/// What the user should know about a page that was drawn all the same.
fn describe(findings: &Findings) -> Vec<Diagnostic> {
    let warn = |code, count: u32, what: &str| {
        (count > 0).then(|| Diagnostic::new(Severity::Warning, code, format!("{count} {what}")))
    };
    let found = [
        warn(
            "image-undecodable",
            findings.images,
            "image(s) of the page could not be decoded and are missing",
        ),
        warn(
            "font-unusable",
            findings.fonts,
            "font(s) could not be loaded; text in them is missing",
        ),
        warn(
            "annotation-undrawn",
            findings.annotations,
            "annotation(s) could not be drawn",
        ),
    ];
    found.into_iter().flatten().collect()
}

ocr_plugin::export_adapter!(PdfIn);
