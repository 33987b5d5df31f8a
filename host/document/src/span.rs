//! The parts of a page: blocks of content, lines, words and table cells, each a range of the page's text arena.

use crate::{Quad, Rect};
use serde::{Deserialize, Serialize};

/// A UTF-8 byte range of the page's text arena.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// First byte.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

/// What a block of content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpanKind {
    /// The document's title.
    Title,
    /// A heading; `level` tells its depth.
    Heading,
    /// Running text.
    Paragraph,
    /// One item of a list; `level` tells its nesting.
    ListItem,
    /// A table; its cells point back to it.
    Table,
    /// A displayed formula; `markup` holds its LaTeX.
    Formula,
    /// A picture, chart or drawing.
    Figure,
    /// The caption of its parent.
    Caption,
    /// A running head.
    Header,
    /// A running foot.
    Footer,
    /// The page number as printed.
    PageNumber,
    /// A footnote.
    Footnote,
    /// Source code.
    Code,
    /// Anything else that was read.
    Other,
}

impl SpanKind {
    /// All of them, in their order.
    pub const ALL: [SpanKind; 14] = [
        SpanKind::Title,
        SpanKind::Heading,
        SpanKind::Paragraph,
        SpanKind::ListItem,
        SpanKind::Table,
        SpanKind::Formula,
        SpanKind::Figure,
        SpanKind::Caption,
        SpanKind::Header,
        SpanKind::Footer,
        SpanKind::PageNumber,
        SpanKind::Footnote,
        SpanKind::Code,
        SpanKind::Other,
    ];

    /// Page furniture: repeated on each page, no part of the text that runs through them.
    pub fn is_furniture(self) -> bool {
        matches!(self, SpanKind::Header | SpanKind::Footer | SpanKind::PageNumber)
    }
}

const _: () = assert!(
    SpanKind::ALL.len() == SpanKind::Other as usize + 1,
    "the last one is there"
);

/// One block of content.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What it is.
    pub kind: SpanKind,
    /// Index into the page's labels: the engine's own name for this block.
    pub label: u32,
    /// Heading depth or list nesting from 1, 0 where it has no meaning.
    pub level: u8,
    /// Position in reading order, dense from 0.
    pub order: u32,
    /// The span this one belongs to (a caption's figure).
    pub parent: Option<u32>,
    /// Raster px.
    pub area: Rect,
    /// 0 ..= 1.
    pub confidence: Option<f32>,
    /// Plain text.
    pub text: Slice,
    /// The engine's markup of the same content: LaTeX of a formula, HTML of a table; empty where there is none.
    pub markup: Slice,
}

/// One line of text inside a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Index of its span.
    pub span: u32,
    /// Raster px.
    pub outline: Quad,
    /// 0 ..= 1.
    pub confidence: Option<f32>,
    /// Its text.
    pub text: Slice,
}

/// One word of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// Index of its line.
    pub line: u32,
    /// Raster px.
    pub outline: Quad,
    /// 0 ..= 1.
    pub confidence: Option<f32>,
    /// Its text.
    pub text: Slice,
}

/// What a table cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellKind {
    /// A value.
    Data,
    /// Names its column.
    ColumnHeader,
    /// Names its row.
    RowHeader,
    /// Names the rows below it.
    RowSection,
}

/// One cell of a table; rows and columns count from 0, spans from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Index of its table's span.
    pub table: u32,
    /// What it is.
    pub kind: CellKind,
    /// First row.
    pub row: u32,
    /// First column.
    pub column: u32,
    /// Rows it covers.
    pub row_span: u32,
    /// Columns it covers.
    pub column_span: u32,
    /// Raster px.
    pub area: Option<Rect>,
    /// 0 ..= 1.
    pub confidence: Option<f32>,
    /// Its text.
    pub text: Slice,
}

/// The bytes of the page's markdown that came from a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Index of the span.
    pub span: u32,
    /// First byte in the markdown.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}
