//! One recognised page, fetched from the host piece by piece and each piece once.

use crate::image::{Image, PixelFormat};
use crate::{Anchor, Cell, HostError, Line, PageInfo, Slice, Span, Word, host};
use std::cell::OnceCell;

/// A recognised page, valid for the call that lends it. Each part crosses from the host when it is first asked for
/// and never again: a formatter that only calls [`markdown`](Page::markdown) pays for nothing else.
#[derive(Debug)]
pub struct Page<'a> {
    lent: Option<&'a host::Page>,
    parts: Parts,
    /// Of a page made from data.
    raster: Option<Raster>,
}

#[derive(Debug, Default)]
struct Parts {
    info: OnceCell<PageInfo>,
    text: OnceCell<String>,
    labels: OnceCell<Vec<String>>,
    spans: OnceCell<Vec<Span>>,
    lines: OnceCell<Vec<Line>>,
    words: OnceCell<Vec<Word>>,
    cells: OnceCell<Vec<Cell>>,
    markdown: OnceCell<(String, Vec<Anchor>)>,
    raw: OnceCell<String>,
    order: OnceCell<Vec<usize>>,
}

/// The parts of a page that no host lends: what a test feeds a plugin with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageData {
    /// See [`Page::info`]; `None` makes an A4 page of 595 x 842 px, number 1.
    pub info: Option<PageInfo>,
    /// See [`Page::text`].
    pub text: String,
    /// See [`Page::labels`].
    pub labels: Vec<String>,
    /// See [`Page::spans`].
    pub spans: Vec<Span>,
    /// See [`Page::lines`].
    pub lines: Vec<Line>,
    /// See [`Page::words`].
    pub words: Vec<Word>,
    /// See [`Page::cells`].
    pub cells: Vec<Cell>,
    /// See [`Page::markdown`].
    pub markdown: String,
    /// See [`Page::anchors`].
    pub anchors: Vec<Anchor>,
    /// See [`Page::raw`].
    pub raw: String,
    /// See [`Page::raster`]; `None` makes a white one.
    pub raster: Option<Raster>,
}

/// The pixels of a page that no host lends.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    /// Width, px.
    pub width: u32,
    /// Height, px.
    pub height: u32,
    /// How a pixel is stored.
    pub format: PixelFormat,
    /// Rows from the top, without padding.
    pub pixels: Vec<u8>,
}

impl<'a> Page<'a> {
    /// The page that a host lends.
    #[doc(hidden)]
    pub fn lent(page: &'a host::Page) -> Self {
        Self {
            lent: Some(page),
            parts: Parts::default(),
            raster: None,
        }
    }

    /// A page made of `data`, for tests.
    pub fn from_data(data: PageData) -> Page<'static> {
        let parts = Parts::default();
        let _ = parts
            .info
            .set(data.info.unwrap_or_else(|| PageInfo::new(0, 1, 595, 842)));
        let _ = parts.text.set(data.text);
        let _ = parts.labels.set(data.labels);
        let _ = parts.spans.set(data.spans);
        let _ = parts.lines.set(data.lines);
        let _ = parts.words.set(data.words);
        let _ = parts.cells.set(data.cells);
        let _ = parts.markdown.set((data.markdown, data.anchors));
        let _ = parts.raw.set(data.raw);
        Page {
            lent: None,
            parts,
            raster: data.raster,
        }
    }

    fn fetch<'p, T>(&'p self, cell: &'p OnceCell<T>, get: impl FnOnce(&host::Page) -> T) -> &'p T {
        // A page without a host has all its cells filled.
        cell.get_or_init(|| get(self.lent.expect("a page made from data is complete")))
    }

    /// What is known of the page besides its content.
    pub fn info(&self) -> &PageInfo {
        self.fetch(&self.parts.info, host::Page::info)
    }

    /// The text arena that all slices point into.
    pub fn text(&self) -> &str {
        self.fetch::<String>(&self.parts.text, host::Page::text)
    }

    /// The engine's own names for its blocks.
    pub fn labels(&self) -> &[String] {
        self.fetch::<Vec<String>>(&self.parts.labels, host::Page::labels)
    }

    /// The engine's own name for a block, empty where it has none.
    pub fn label_of(&self, span: &Span) -> &str {
        self.labels().get(span.label as usize).map_or("", String::as_str)
    }

    /// Blocks, in no particular order; see [`reading_order`](Page::reading_order).
    pub fn spans(&self) -> &[Span] {
        self.fetch::<Vec<Span>>(&self.parts.spans, host::Page::spans)
    }

    /// The blocks in reading order, each with its index in [`spans`](Page::spans).
    pub fn reading_order(&self) -> impl Iterator<Item = (usize, &Span)> {
        let spans = self.spans();
        let order = self.parts.order.get_or_init(|| {
            let mut order: Vec<usize> = (0..spans.len()).collect();
            order.sort_by_key(|&i| spans[i].order);
            order
        });
        order.iter().map(move |&i| (i, &spans[i]))
    }

    /// Lines of all blocks; often none.
    pub fn lines(&self) -> &[Line] {
        self.fetch::<Vec<Line>>(&self.parts.lines, host::Page::lines)
    }

    /// Words of all lines; often none.
    pub fn words(&self) -> &[Word] {
        self.fetch::<Vec<Word>>(&self.parts.words, host::Page::words)
    }

    /// Cells of all tables, row by row.
    pub fn cells(&self) -> &[Cell] {
        self.fetch::<Vec<Cell>>(&self.parts.cells, host::Page::cells)
    }

    /// The cells of one table, by the index of its span.
    pub fn cells_of(&self, table: usize) -> impl Iterator<Item = &Cell> {
        self.cells().iter().filter(move |c| c.table as usize == table)
    }

    /// The page as markdown: CommonMark with GitHub tables, blocks parted by one empty line.
    pub fn markdown(&self) -> &str {
        &self.fetch(&self.parts.markdown, host::Page::markdown).0
    }

    /// Which bytes of the markdown came from which block, in the order of the markdown.
    pub fn anchors(&self) -> &[Anchor] {
        &self.fetch(&self.parts.markdown, host::Page::markdown).1
    }

    /// The model's raw output, tags included; empty for engines without one.
    pub fn raw(&self) -> &str {
        self.fetch::<String>(&self.parts.raw, host::Page::raw)
    }

    /// The upright raster that all areas refer to; needs the capability `page.raster`.
    pub fn raster(&self) -> Result<Image, HostError> {
        match self.lent {
            Some(page) => host::lent_raster(page).map(Image),
            None => host::test_raster(self.info(), self.raster.as_ref()).map(Image),
        }
    }

    /// A slice's text; empty where a slice points outside the arena.
    pub fn text_of(&self, slice: Slice) -> &str {
        let start = slice.start as usize;
        start
            .checked_add(slice.len as usize)
            .and_then(|end| self.text().get(start..end))
            .unwrap_or_default()
    }
}
