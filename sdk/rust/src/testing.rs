//! Run a plugin in `cargo test`, against a host that lives in memory.
//!
//! ```
//! # use ocr_plugin::*;
//! # struct Text(output::File);
//! # impl Formatter for Text {
//! #     fn open(_: &DocInfo, _: Config) -> Result<Self> { Ok(Text(output::main()?)) }
//! #     fn page(&mut self, page: &Page) -> Result<()> { Ok(self.0.write_text(page.text())?) }
//! #     fn finish(self) -> Result<()> { Ok(()) }
//! # }
//! use ocr_plugin::testing::{self, PageBuilder};
//!
//! let page = PageBuilder::new(1).span(BlockKind::Paragraph, "Hello").build();
//! let run = testing::format::<Text>(&DocInfo::new("a.png", "image/png"), "{}", vec![page]);
//! assert_eq!(run.result, Ok(()));
//! assert_eq!(run.main(), "Hello");
//! ```

use crate::adapter::{Adapter, Item, OpenOptions};
use crate::image::Encoding;
use crate::{
    Anchor, BlockKind, Cell, CellKind, Config, Diagnostic, DocInfo, DocumentEdit, Edit, Formatter, Line,
    Page, PageData, PageInfo, Processor, Quad, Raster, Rect, Result, Severity, Slice, Span, Word,
    image::Image, source::Source,
};
use std::cell::RefCell;

/// What a plugin left behind.
#[derive(Debug)]
pub struct Run {
    /// Its last answer.
    pub result: Result<()>,
    /// Its files, the main one first: name and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// What it reported.
    pub diagnostics: Vec<Diagnostic>,
    /// What it logged.
    pub log: Vec<(Severity, String)>,
}

impl Run {
    /// The main file's text; empty when none was opened.
    pub fn main(&self) -> String {
        self.files
            .first()
            .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
            .unwrap_or_default()
    }

    /// The text of the file named `name`, as links spell it.
    pub fn file(&self, name: &str) -> Option<String> {
        let (_, bytes) = self.files.iter().find(|(n, _)| n == name)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// What the in-memory host allows; the default is everything it has.
#[derive(Debug, Clone, Copy)]
pub struct Grants {
    /// Whether `output::create` works; off as when a run writes to standard output.
    pub files: bool,
    /// Whether pages show their raster: a white image of the page's size.
    pub raster: bool,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            files: true,
            raster: true,
        }
    }
}

/// Runs a formatter over `pages` with everything granted.
pub fn format<F: Formatter>(doc: &DocInfo, config_json: &str, pages: Vec<PageData>) -> Run {
    format_with::<F>(Grants::default(), doc, config_json, pages)
}

/// Runs a formatter over `pages`.
pub fn format_with<F: Formatter>(
    grants: Grants,
    doc: &DocInfo,
    config_json: &str,
    pages: Vec<PageData>,
) -> Run {
    host::reset(grants);
    let run = || {
        let mut formatter = F::open(doc, Config::new(config_json))?;
        for page in pages {
            formatter.page(&Page::from_data(page))?;
        }
        formatter.finish()
    };
    let result = run();
    host::take(result)
}

/// What a processor answered.
#[derive(Debug)]
pub struct Processed {
    /// The changes to the document, as far as it was opened.
    pub document: Result<Vec<DocumentEdit>>,
    /// The changes to each page; an error ends nothing, as in the host.
    pub pages: Vec<Result<Vec<Edit>>>,
    /// What it reported.
    pub diagnostics: Vec<Diagnostic>,
    /// What it logged.
    pub log: Vec<(Severity, String)>,
}

/// Runs a processor over `pages` with everything granted. Where it can't be opened, `document` says why and there are no
/// pages. Edits are answered and not made: what the host makes of each is the contract's.
pub fn process<P: Processor>(doc: &DocInfo, config_json: &str, pages: Vec<PageData>) -> Processed {
    process_with::<P>(Grants::default(), doc, config_json, pages)
}

/// Runs a processor over `pages` with these capabilities.
pub fn process_with<P: Processor>(
    grants: Grants,
    doc: &DocInfo,
    config_json: &str,
    pages: Vec<PageData>,
) -> Processed {
    host::reset(grants);
    let (document, answers) = match P::open(doc, Config::new(config_json)) {
        Ok(mut processor) => {
            let document = processor.edit_document();
            let pages = pages.into_iter().map(Page::from_data);
            (document, pages.map(|page| processor.process(&page)).collect())
        }
        Err(error) => (Err(error), Vec::new()),
    };
    let run = host::take(Ok(()));
    Processed {
        document,
        pages: answers,
        diagnostics: run.diagnostics,
        log: run.log,
    }
}

/// Opens an input with an adapter.
pub fn open<A: Adapter>(name: &str, bytes: Vec<u8>, config_json: &str, password: Option<&str>) -> Result<A> {
    host::reset(Grants::default());
    let source = Source(host::Source::owned(name, bytes));
    A::open(
        source,
        OpenOptions {
            config: Config::new(config_json),
            password: password.map(str::to_owned),
        },
    )
}

/// What has been reported since the last [`open`] or [`format()`].
pub fn diagnostics() -> Vec<Diagnostic> {
    host::take(Ok(())).diagnostics
}

/// An image's size and its pixels as RGB rows.
pub fn rgb(image: &Image) -> (u32, u32, Vec<u8>) {
    image.0.rgb()
}

/// The page that an adapter's answer holds, where it holds one.
pub fn page_of(item: Option<Item>) -> Option<crate::adapter::InputPage> {
    match item {
        Some(Item::Page(page)) => Some(page),
        _ => None,
    }
}

/// Makes [`PageData`] block by block; markdown and anchors follow the blocks' texts.
#[derive(Debug, Clone)]
pub struct PageBuilder {
    data: PageData,
}

impl PageBuilder {
    /// An A4 page of 595 x 842 px with this number.
    pub fn new(number: u32) -> Self {
        let info = PageInfo::new(number.saturating_sub(1), number, 595, 842);
        Self {
            data: PageData {
                info: Some(info),
                ..PageData::default()
            },
        }
    }

    /// Changes what is known of the page.
    pub fn info(mut self, change: impl FnOnce(&mut PageInfo)) -> Self {
        if let Some(info) = &mut self.data.info {
            change(info);
        }
        self
    }

    fn push_text(&mut self, text: &str) -> Slice {
        let slice = Slice {
            start: self.data.text.len() as u32,
            len: text.len() as u32,
        };
        self.data.text.push_str(text);
        slice
    }

    /// Adds a block after the others in reading order. Each sits below the last one, 20 px high.
    pub fn span(mut self, kind: BlockKind, text: &str) -> Self {
        let order = self.data.spans.len() as u32;
        let top = 20 + 30 * order;
        let (text, empty) = (self.push_text(text), Slice { start: 0, len: 0 });
        let area = Rect {
            x0: 50,
            y0: top,
            x1: 545,
            y1: top + 20,
        };
        let label = match self.data.labels.iter().position(|l| l == kind.name()) {
            Some(at) => at as u32,
            None => {
                self.data.labels.push(kind.name().to_owned());
                self.data.labels.len() as u32 - 1
            }
        };
        let span = Span {
            kind,
            label,
            level: 0,
            order,
            parent: None,
            area,
            confidence: Some(0.9),
            text,
            markup: empty,
        };
        self.data.spans.push(span);
        self
    }

    /// Changes the block added last.
    pub fn with(mut self, change: impl FnOnce(&mut Span)) -> Self {
        if let Some(span) = self.data.spans.last_mut() {
            change(span);
        }
        self
    }

    /// Sets the markup of the block added last.
    pub fn markup(mut self, markup: &str) -> Self {
        let slice = self.push_text(markup);
        self.with(|span| span.markup = slice)
    }

    /// Adds a cell to the block added last. `place` is row, column, rows, columns.
    pub fn cell(mut self, kind: CellKind, place: (u32, u32, u32, u32), text: &str) -> Self {
        let (row, column, row_span, column_span) = place;
        let text = self.push_text(text);
        let table = self.data.spans.len().saturating_sub(1) as u32;
        self.data.cells.push(Cell {
            table,
            kind,
            row,
            column,
            row_span,
            column_span,
            area: None,
            confidence: None,
            text,
        });
        self
    }

    /// Adds a line to the block added last, with one word for each of its words, spread over `area`.
    pub fn line(mut self, area: Rect, confidence: Option<f32>, text: &str) -> Self {
        let slice = self.push_text(text);
        let line = self.data.lines.len() as u32;
        let span = self.data.spans.len().saturating_sub(1) as u32;
        self.data.lines.push(Line {
            span,
            outline: Quad::from_rect(area),
            confidence,
            text: slice,
        });
        let (per_byte, mut at) = (f64::from(area.width()) / text.len().max(1) as f64, 0);
        for word in text.split_inclusive(' ') {
            let x = |byte: usize| area.x0 + (per_byte * byte as f64) as u32;
            let bare = word.trim_end();
            let outline = Quad::from_rect(Rect {
                x0: x(at),
                x1: x(at + bare.len()),
                ..area
            });
            let text = Slice {
                start: slice.start + at as u32,
                len: bare.len() as u32,
            };
            self.data.words.push(Word {
                line,
                outline,
                confidence,
                text,
            });
            at += word.len();
        }
        self
    }

    /// Sets markdown and anchors: pieces with the index of the span that each came from.
    pub fn markdown(mut self, pieces: &[(Option<u32>, &str)]) -> Self {
        for (span, piece) in pieces {
            if let Some(span) = span {
                let start = self.data.markdown.len() as u32;
                self.data.anchors.push(Anchor {
                    span: *span,
                    start,
                    len: piece.len() as u32,
                });
            }
            self.data.markdown.push_str(piece);
        }
        self
    }

    /// The page.
    pub fn build(self) -> PageData {
        self.data
    }
}

/// Turns pixels into a file of an encoding, with a quality of 1 ..= 100.
pub type Encoder = fn(&Raster, Encoding, u8) -> Vec<u8>;

/// Lets the in-memory host of this thread encode images; it has no encoders of its own.
pub fn encode_with(encoder: Encoder) {
    ENCODER.set(Some(encoder));
}

thread_local! {
    static HOST: RefCell<host::State> = RefCell::new(host::State::default());
    static ENCODER: std::cell::Cell<Option<Encoder>> = const { std::cell::Cell::new(None) };
}

/// The in-memory host.
#[doc(hidden)]
#[expect(
    clippy::len_without_is_empty,
    reason = "the bindings that these stand in for have none"
)]
pub mod host {
    use super::{Grants, HOST, Run};
    use crate::bindings::host::image::{Encoding, PixelFormat};
    use crate::{Diagnostic, HostError, PageInfo, Raster, Rect, Severity};
    use std::rc::Rc;

    type Answer<T> = Result<T, HostError>;

    #[derive(Debug, Default)]
    pub struct State {
        grants: Grants,
        files: Vec<(String, Vec<u8>)>,
        diagnostics: Vec<Diagnostic>,
        log: Vec<(Severity, String)>,
    }

    fn state<T>(with: impl FnOnce(&mut State) -> T) -> T {
        HOST.with_borrow_mut(with)
    }

    pub fn reset(grants: Grants) {
        state(|s| {
            *s = State {
                grants,
                ..State::default()
            }
        });
    }

    pub fn take(result: crate::Result<()>) -> Run {
        let s = state(std::mem::take);
        Run {
            result,
            files: s.files,
            diagnostics: s.diagnostics,
            log: s.log,
        }
    }

    pub fn lent_raster(_: &super::super::host::Page) -> Answer<Image> {
        Err(denied("pages are lent in components only"))
    }

    pub fn test_raster(info: &PageInfo, raster: Option<&Raster>) -> Answer<Image> {
        if !state(|s| s.grants.raster) {
            return Err(denied("capability `page.raster` is not granted"));
        }
        if let Some(raster) = raster {
            return Ok(Image {
                width: raster.width,
                height: raster.height,
                format: raster.format,
                pixels: raster.pixels.clone().into(),
            });
        }
        let pixels = vec![255; info.width as usize * info.height as usize];
        Ok(Image {
            width: info.width,
            height: info.height,
            format: PixelFormat::Gray8,
            pixels: pixels.into(),
        })
    }

    fn denied(message: &str) -> HostError {
        HostError::Denied(message.to_owned())
    }

    fn invalid(message: String) -> HostError {
        HostError::Invalid(message)
    }

    #[derive(Debug, Clone)]
    pub struct Image {
        width: u32,
        height: u32,
        format: PixelFormat,
        pixels: Rc<[u8]>,
    }

    impl Image {
        pub fn width(&self) -> u32 {
            self.width
        }

        pub fn height(&self) -> u32 {
            self.height
        }

        fn pixel(&self, x: u32, y: u32) -> &[u8] {
            let n = self.format.bytes();
            &self.pixels[(y as usize * self.width as usize + x as usize) * n..][..n]
        }

        fn gather(&self, width: u32, height: u32, from: impl Fn(u32, u32) -> (u32, u32)) -> Answer<Image> {
            if width == 0 || height == 0 {
                return Err(invalid(format!("an image of {width} x {height} px")));
            }
            let at = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
            let pixels = at.flat_map(|(x, y)| {
                let (x, y) = from(x, y);
                self.pixel(x, y).iter().copied()
            });
            Ok(Image {
                width,
                height,
                format: self.format,
                pixels: pixels.collect(),
            })
        }

        pub fn crop(&self, area: Rect) -> Answer<Image> {
            let a = area.intersect(&Rect {
                x0: 0,
                y0: 0,
                x1: self.width,
                y1: self.height,
            });
            self.gather(a.width(), a.height(), |x, y| (x + a.x0, y + a.y0))
        }

        pub fn resize(&self, width: u32, height: u32) -> Answer<Image> {
            let scale = |v: u32, from: u32, to: u32| (u64::from(v) * u64::from(from) / u64::from(to)) as u32;
            self.gather(width, height, |x, y| {
                (scale(x, self.width, width), scale(y, self.height, height))
            })
        }

        pub fn rotate(&self, quarters: u8) -> Answer<Image> {
            let (w, h) = (self.width, self.height);
            match quarters % 4 {
                0 => Ok(self.clone()),
                1 => self.gather(h, w, |x, y| (y, h - 1 - x)),
                2 => self.gather(w, h, |x, y| (w - 1 - x, h - 1 - y)),
                _ => self.gather(h, w, |x, y| (w - 1 - y, x)),
            }
        }

        pub fn read_rows(&self, first: u32, count: u32, format: PixelFormat) -> Answer<Vec<u8>> {
            if first.checked_add(count).is_none_or(|end| end > self.height) {
                return Err(invalid(format!(
                    "rows {first}+{count} of an image of {} rows",
                    self.height
                )));
            }
            let at = (first..first + count).flat_map(|y| (0..self.width).map(move |x| (x, y)));
            Ok(at.flat_map(|(x, y)| convert(self.pixel(x, y), format)).collect())
        }

        pub fn rgb(&self) -> (u32, u32, Vec<u8>) {
            let rows = self
                .read_rows(0, self.height, PixelFormat::Rgb8)
                .unwrap_or_default();
            (self.width, self.height, rows)
        }
    }

    fn convert(pixel: &[u8], to: PixelFormat) -> Vec<u8> {
        let [r, g, b, a] = match *pixel {
            [v] => [v, v, v, 255],
            [r, g, b] => [r, g, b, 255],
            [r, g, b, a, ..] => [r, g, b, a],
            _ => [0; 4],
        };
        match to {
            PixelFormat::Gray8 => {
                vec![((u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114) / 1000) as u8]
            }
            PixelFormat::Rgb8 => vec![r, g, b],
            PixelFormat::Rgba8 => vec![r, g, b, a],
        }
    }

    #[derive(Debug)]
    pub struct Canvas {
        width: u32,
        height: u32,
        format: PixelFormat,
        pixels: std::cell::RefCell<Vec<u8>>,
    }

    impl Canvas {
        pub fn create(width: u32, height: u32, format: PixelFormat) -> Answer<Canvas> {
            if width == 0 || height == 0 {
                return Err(invalid(format!("a canvas of {width} x {height} px")));
            }
            let pixels = vec![0; width as usize * height as usize * format.bytes()];
            Ok(Canvas {
                width,
                height,
                format,
                pixels: pixels.into(),
            })
        }

        pub fn write_rows(&self, first: u32, rows: &[u8]) -> Answer<()> {
            let stride = self.width as usize * self.format.bytes();
            let start = first as usize * stride;
            match self.pixels.borrow_mut().get_mut(start..start + rows.len()) {
                Some(to) if rows.len().is_multiple_of(stride) => {
                    to.copy_from_slice(rows);
                    Ok(())
                }
                _ => Err(invalid(format!(
                    "{} bytes from row {first} on do not fit the canvas",
                    rows.len()
                ))),
            }
        }

        pub fn finish(this: Canvas) -> Answer<Image> {
            let pixels = this.pixels.into_inner().into();
            Ok(Image {
                width: this.width,
                height: this.height,
                format: this.format,
                pixels,
            })
        }
    }

    #[derive(Debug)]
    pub struct Decoder(());

    impl Decoder {
        pub fn open(_: &Source) -> Answer<Decoder> {
            Err(denied("the in-memory host has no image decoders"))
        }

        pub fn frames(&self) -> u32 {
            0
        }

        pub fn frame(&self, index: u32) -> Answer<Image> {
            Err(invalid(format!("no frame {index}")))
        }

        pub fn dpi(&self, _: u32) -> Option<f32> {
            None
        }
    }

    #[derive(Debug)]
    pub struct Source {
        name: String,
        bytes: Rc<[u8]>,
        offset: usize,
        len: usize,
    }

    impl Source {
        pub fn owned(name: &str, bytes: Vec<u8>) -> Source {
            Source {
                name: name.to_owned(),
                offset: 0,
                len: bytes.len(),
                bytes: bytes.into(),
            }
        }

        pub fn from_bytes(name: &str, bytes: &[u8]) -> Answer<Source> {
            Ok(Self::owned(name, bytes.to_vec()))
        }

        pub fn name(&self) -> String {
            self.name.clone()
        }

        pub fn len(&self) -> u64 {
            self.len as u64
        }

        pub fn read_at(&self, offset: u64, len: u32) -> Answer<Vec<u8>> {
            let all = &self.bytes[self.offset..self.offset + self.len];
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
            let end = start.saturating_add(len as usize).min(all.len());
            Ok(all[start..end].to_vec())
        }

        pub fn window(&self, name: &str, offset: u64, len: u64) -> Answer<Source> {
            if offset.checked_add(len).is_none_or(|end| end > self.len as u64) {
                return Err(invalid(format!("bytes {offset}+{len} of {}", self.len)));
            }
            let (offset, len) = (self.offset + offset as usize, len as usize);
            Ok(Source {
                name: name.to_owned(),
                bytes: self.bytes.clone(),
                offset,
                len,
            })
        }
    }

    #[derive(Debug)]
    pub struct File(usize);

    fn open_file(name: String) -> Answer<File> {
        state(|s| {
            if s.files.iter().any(|(n, _)| *n == name) {
                return Err(invalid(format!("`{name}` exists already")));
            }
            s.files.push((name, Vec::new()));
            Ok(File(s.files.len() - 1))
        })
    }

    pub fn main() -> Answer<File> {
        open_file("main".to_owned())
    }

    pub fn create(name: &str, _media_type: &str) -> Answer<File> {
        if !state(|s| s.grants.files) {
            return Err(denied(
                "this run writes to standard output and has no folder for further files",
            ));
        }
        open_file(format!("main.files/{name}"))
    }

    impl File {
        pub fn name(&self) -> String {
            state(|s| s.files[self.0].0.clone())
        }

        pub fn len(&self) -> u64 {
            state(|s| s.files[self.0].1.len() as u64)
        }

        pub fn write(&self, bytes: &[u8]) -> Answer<()> {
            state(|s| s.files[self.0].1.extend_from_slice(bytes));
            Ok(())
        }

        pub fn write_text(&self, text: &str) -> Answer<()> {
            self.write(text.as_bytes())
        }

        /// Without an encoder ([`encode_with`](super::encode_with)) it writes what it was asked to encode.
        pub fn write_image(&self, image: &Image, encoding: Encoding, quality: u8) -> Answer<u64> {
            let bytes = match encoded(image, encoding, quality) {
                Some(bytes) => bytes,
                None => format!("<{} {}x{}>", encoding.extension(), image.width, image.height).into_bytes(),
            };
            self.write(&bytes)?;
            Ok(bytes.len() as u64)
        }

        pub fn write_image_base64(&self, image: &Image, encoding: Encoding, quality: u8) -> Answer<u64> {
            let text = match encoded(image, encoding, quality) {
                Some(bytes) => base64(&bytes),
                None => format!("{}-{}x{}", encoding.extension(), image.width, image.height),
            };
            self.write(text.as_bytes())?;
            Ok(text.len() as u64)
        }
    }

    fn encoded(image: &Image, encoding: Encoding, quality: u8) -> Option<Vec<u8>> {
        let encode = super::ENCODER.get()?;
        let raster = Raster {
            width: image.width,
            height: image.height,
            format: image.format,
            pixels: image.pixels.to_vec(),
        };
        Some(encode(&raster, encoding, quality))
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for digit in 0..4 {
                match digit <= chunk.len() {
                    true => text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63])),
                    false => text.push('='),
                }
            }
        }
        text
    }

    #[derive(Debug)]
    pub struct PdfDocument(());

    impl PdfDocument {
        pub fn open(_: &Source, _password: Option<&str>) -> Result<PdfDocument, crate::pdf::OpenError> {
            let refused = denied("capability `pdf.render` is not granted");
            Err(crate::pdf::OpenError::Host(refused))
        }

        pub fn page_count(&self) -> u32 {
            0
        }

        pub fn page_size(&self, page: u32) -> Answer<(f32, f32)> {
            Err(invalid(format!("no page {page}")))
        }

        pub fn render(&self, page: u32, _dpi: f32) -> Answer<Image> {
            Err(invalid(format!("no page {page}")))
        }

        pub fn text_layer(&self, page: u32) -> Answer<Option<crate::adapter::TextLayer>> {
            Err(invalid(format!("no page {page}")))
        }
    }

    pub mod log {
        use super::state;
        use crate::{Diagnostic, Severity};

        pub fn write(level: Severity, message: &str) {
            state(|s| s.log.push((level, message.to_owned())));
        }

        pub fn report(diagnostic: &Diagnostic) {
            state(|s| s.diagnostics.push(diagnostic.clone()));
        }
    }

    pub mod control {
        use crate::HostError;

        pub fn checkpoint() -> Result<(), HostError> {
            Ok(())
        }

        pub fn progress(_done: u32, _total: Option<u32>) {}
    }

    pub mod ocr {
        use crate::HostError;
        use crate::ocr::{Recognition, Region};

        pub fn recognize(
            _image: &super::Image,
            _regions: &[Region],
        ) -> Result<Vec<Result<Recognition, HostError>>, HostError> {
            Err(super::denied("capability `ocr.recognize` is not granted"))
        }
    }
}
