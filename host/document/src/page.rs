//! A recognised page and the builder that makes one.
//!
//! Invariants of a [`Page`]: every [`Slice`] lies inside the arena on character boundaries; every index points to
//! an existing span, line or label; `order` is a permutation of the spans. The builder is the only way to make a
//! page and keeps them.

mod recorded;

pub use recorded::RecordedPage;

use crate::{
    Affine, Anchor, Cell, Diagnostic, Line, PageImage, Quad, Rect, Slice, Span, SpanKind, Word, markdown,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What became of a page's text. Nothing is ever dropped: a failed page is handed on, empty, with diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that was seen was read.
    Complete,
    /// Reading stopped before the end.
    Truncated,
    /// The model repeated itself.
    Repetition,
    /// Nothing could be read.
    Failed,
}

/// How a page's text was won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// At the first attempt.
    None,
    /// By the same engine in another mode.
    Retried,
    /// By another engine.
    Fallback,
}

/// What is known of a page besides its content.
#[derive(Debug, Clone, PartialEq)]
pub struct PageInfo {
    /// Position in this run's output, from 0.
    pub index: u32,
    /// The page's number in its source, from 1; pages of documents inside the document are counted on.
    pub number: u32,
    /// The document inside the document that the page comes from: file names parted by `/`, outer ones first.
    pub part: Option<String>,
    /// What became of its text.
    pub outcome: Outcome,
    /// How it was won.
    pub recovery: Recovery,
    /// Raster width, px.
    pub width: u32,
    /// Raster height, px.
    pub height: u32,
    /// Source page width, points (1/72 inch).
    pub width_points: f32,
    /// Source page height, points.
    pub height_points: f32,
    /// From raster px to source points, origin bottom left.
    pub to_source: Affine,
    /// BCP 47 tag, where known.
    pub language: Option<String>,
    /// Engine and mode: `ppocr/tiny`.
    pub engine: String,
    /// What there is to say about the page.
    pub diagnostics: Vec<Diagnostic>,
}

impl PageInfo {
    /// A complete page of `width` x `height` px, one px to the point.
    pub fn new(index: u32, number: u32, width: u32, height: u32) -> Self {
        Self {
            index,
            number,
            part: None,
            outcome: Outcome::Complete,
            recovery: Recovery::None,
            width,
            height,
            width_points: width as f32,
            height_points: height as f32,
            to_source: Affine::raster_to_points(width, height, width as f32, height as f32),
            language: None,
            engine: String::new(),
            diagnostics: Vec::new(),
        }
    }
}

/// A word that a source already carries, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerWord {
    /// Its text.
    pub text: String,
    /// Raster px.
    pub outline: Quad,
}

/// Positioned text that a source already carries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextLayer {
    /// In the source's order.
    pub words: Vec<LayerWord>,
}

/// A recognised page; see the module's invariants.
#[derive(Debug, Clone)]
pub struct Page {
    pub(crate) info: PageInfo,
    pub(crate) text: String,
    pub(crate) labels: Vec<String>,
    pub(crate) spans: Vec<Span>,
    pub(crate) lines: Vec<Line>,
    pub(crate) words: Vec<Word>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) markdown: String,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) raw: String,
    /// Whether the spans' text is markdown already.
    pub(crate) text_is_markdown: bool,
    pub(crate) is_edited: bool,
    pub(crate) raster: Option<PageImage>,
    pub(crate) tokens: Option<u32>,
    pub(crate) timings: Vec<(&'static str, Duration)>,
}

impl Page {
    /// What is known of the page besides its content.
    pub fn info(&self) -> &PageInfo {
        &self.info
    }

    /// The same, to be completed by whoever hands the page on.
    pub fn info_mut(&mut self) -> &mut PageInfo {
        &mut self.info
    }

    /// The arena that all slices point into.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A slice's text.
    pub fn text_of(&self, slice: Slice) -> &str {
        &self.text[slice.start as usize..(slice.start + slice.len) as usize]
    }

    /// The engine's own names for its blocks.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Blocks, in no particular order; `Span::order` has it.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Indices of the spans in reading order.
    pub fn reading_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.spans.len()).collect();
        order.sort_by_key(|&i| self.spans[i].order);
        order
    }

    /// Lines of all spans.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Words of all lines.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Cells of all tables, row by row.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The page as markdown.
    pub fn markdown(&self) -> &str {
        &self.markdown
    }

    /// Which bytes of the markdown came from which span.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// The model's raw output, tags included; empty for engines without one.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The upright raster that all areas refer to.
    pub fn raster(&self) -> Option<&PageImage> {
        self.raster.as_ref()
    }

    /// Whether edits were made, so that the raw output is not what the page says any more.
    pub fn is_edited(&self) -> bool {
        self.is_edited
    }

    /// The page without anything that was read or seen on it, as one that failed.
    pub fn withheld(&self) -> Page {
        let mut info = self.info.clone();
        info.outcome = Outcome::Failed;
        info.language = None;
        Page {
            tokens: self.tokens,
            timings: self.timings.clone(),
            is_edited: true,
            ..PageBuilder::new(info).finish()
        }
    }

    /// The page without its raster.
    pub fn without_raster(mut self) -> Page {
        self.raster = None;
        self
    }

    /// Tokens that the model wrote, all attempts together; `None` for engines that write none.
    pub fn tokens(&self) -> Option<u32> {
        self.tokens
    }

    /// Time spent on the page, stage by stage.
    pub fn timings(&self) -> &[(&'static str, Duration)] {
        &self.timings
    }
}

/// Makes a [`Page`].
#[derive(Debug, Clone)]
pub struct PageBuilder {
    page: Page,
    markdown_given: bool,
}

impl PageBuilder {
    /// An empty page.
    pub fn new(info: PageInfo) -> Self {
        let page = Page {
            info,
            text: String::new(),
            labels: Vec::new(),
            spans: Vec::new(),
            lines: Vec::new(),
            words: Vec::new(),
            cells: Vec::new(),
            markdown: String::new(),
            anchors: Vec::new(),
            raw: String::new(),
            text_is_markdown: false,
            is_edited: false,
            raster: None,
            tokens: None,
            timings: Vec::new(),
        };
        Self {
            page,
            markdown_given: false,
        }
    }

    /// The page so far.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// What is known of the page besides its content.
    pub fn info_mut(&mut self) -> &mut PageInfo {
        &mut self.page.info
    }

    /// Keeps the upright raster.
    pub fn raster(&mut self, raster: PageImage) -> &mut Self {
        self.page.raster = Some(raster);
        self
    }

    /// Keeps the model's raw output.
    pub fn raw(&mut self, raw: impl Into<String>) -> &mut Self {
        self.page.raw = raw.into();
        self
    }

    /// Adds to the tokens that the model wrote.
    pub fn tokens(&mut self, written: u32) -> &mut Self {
        *self.page.tokens.get_or_insert(0) += written;
        self
    }

    /// Adds to the time spent in a stage.
    pub fn time(&mut self, stage: &'static str, spent: Duration) -> &mut Self {
        match self.page.timings.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, total)) => *total += spent,
            None => self.page.timings.push((stage, spent)),
        }
        self
    }

    /// Adds text to the arena.
    pub fn push_text(&mut self, text: &str) -> Slice {
        let start = self.page.text.len() as u32;
        self.page.text.push_str(text);
        Slice {
            start,
            len: text.len() as u32,
        }
    }

    /// Adds a block after the others in reading order and answers its index. `label` is the engine's own name for
    /// it; `level` is a heading's depth or a list's nesting from 1.
    pub fn push_span(
        &mut self,
        kind: SpanKind,
        label: &str,
        level: u8,
        area: Rect,
        confidence: Option<f32>,
        text: &str,
    ) -> u32 {
        let label = match self.page.labels.iter().position(|l| l == label) {
            Some(at) => at as u32,
            None => {
                self.page.labels.push(label.to_owned());
                self.page.labels.len() as u32 - 1
            }
        };
        let text = self.push_text(text);
        let order = self.page.spans.len() as u32;
        let markup = Slice {
            start: text.start + text.len,
            len: 0,
        };
        self.page.spans.push(Span {
            kind,
            label,
            level,
            order,
            parent: None,
            area,
            confidence,
            text,
            markup,
        });
        order
    }

    /// Sets a block's markup (a table's HTML, a formula's LaTeX).
    pub fn set_markup(&mut self, span: u32, markup: &str) {
        let slice = self.push_text(markup);
        self.page.spans[span as usize].markup = slice;
    }

    /// Makes `parent` the block that `span` belongs to.
    pub fn set_parent(&mut self, span: u32, parent: u32) {
        assert!(
            (parent as usize) < self.page.spans.len() && parent != span,
            "no such parent"
        );
        self.page.spans[span as usize].parent = Some(parent);
    }

    /// Adds a line to a block and answers its index.
    pub fn push_line(&mut self, span: u32, outline: Quad, confidence: Option<f32>, text: &str) -> u32 {
        assert!(
            (span as usize) < self.page.spans.len(),
            "a line needs its span first"
        );
        let text = self.push_text(text);
        self.page.lines.push(Line {
            span,
            outline,
            confidence,
            text,
        });
        self.page.lines.len() as u32 - 1
    }

    /// Adds a word whose text is `range` of its line's text (bytes from the line's start).
    pub fn push_word(
        &mut self,
        line: u32,
        range: std::ops::Range<usize>,
        outline: Quad,
        confidence: Option<f32>,
    ) {
        let of = self.page.lines[line as usize].text;
        let text = Slice {
            start: of.start + range.start as u32,
            len: range.len() as u32,
        };
        assert!(range.end <= of.len as usize, "a word lies inside its line");
        let _ = self.page.text_of(text); // panics off character boundaries
        self.page.words.push(Word {
            line,
            outline,
            confidence,
            text,
        });
    }

    /// Adds a table cell; its `text` slice is filled in from `text`.
    pub fn push_cell(&mut self, mut cell: Cell, text: &str) {
        assert!(
            (cell.table as usize) < self.page.spans.len(),
            "a cell needs its table first"
        );
        cell.text = self.push_text(text);
        self.page.cells.push(cell);
    }

    /// Says that the spans' text is markdown already, with LaTeX between `\(` and `\)`: rendering keeps its markup.
    pub fn text_is_markdown(&mut self) -> &mut Self {
        self.page.text_is_markdown = true;
        self
    }

    /// Uses the model's own markdown instead of rendering the spans.
    pub fn markdown(&mut self, markdown: impl Into<String>, anchors: Vec<Anchor>) -> &mut Self {
        self.page.markdown = markdown.into();
        self.page.anchors = anchors;
        self.markdown_given = true;
        self
    }

    /// The finished page, its markdown rendered.
    pub fn finish(mut self) -> Page {
        if !self.markdown_given {
            (self.page.markdown, self.page.anchors) = markdown::render(&self.page);
        }
        self.page
    }
}
