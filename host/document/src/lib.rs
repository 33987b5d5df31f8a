//! The page model that every part of ocr-host speaks: geometry, pixels, and recognised pages.
//!
//! A [`Page`] is flat: one text arena, and lists of spans, lines, words and cells that point into it by UTF-8
//! byte range. That is the shape in which a page crosses into a component, so nothing is converted on the way.
//!
//! ```
//! use ocr_document::{PageBuilder, PageInfo, Rect, SpanKind};
//!
//! let mut page = PageBuilder::new(PageInfo::new(0, 1, 800, 600));
//! page.push_span(SpanKind::Title, "title", 1, Rect::new(10, 10, 300, 40), Some(0.98), "Annual report");
//! let page = page.finish();
//! assert_eq!(page.text_of(page.spans()[0].text), "Annual report");
//! assert_eq!(page.markdown(), "# Annual report\n");
//! ```
#![forbid(unsafe_code)]

mod diagnostic;
mod edit;
mod geometry;
mod image;
mod markdown;
mod page;
mod span;

pub use diagnostic::{Diagnostic, Severity};
pub use edit::{Edit, EditError, MAX_EDITS, NewCell, REDACTED};
pub use geometry::{Affine, Point, Quad, Rect};
pub use image::{ImageError, PageImage, PixelFormat};
pub use page::{LayerWord, Outcome, Page, PageBuilder, PageInfo, RecordedPage, Recovery, TextLayer};
pub use span::{Anchor, Cell, CellKind, Line, Slice, Span, SpanKind, Word};
