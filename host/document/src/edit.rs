//! Changes to a page, as page processors ask for them.
//!
//! [`Page::edited`] makes all of them or none. Indices name spans and cells of the page as it was before the first of the
//! edits. First everything but redactions is done, in sequence (`draft`); then redactions erase what is to be erased from
//! that and from the raster (`redact`), so that no edit of the same call brings back what another took away; then the
//! page is put together anew, its arena without what nothing points to any more, and its markdown is rendered.
//!
//! Edits come from strangers: their number, the text they add and the work they make are bounded, and nothing of it
//! depends on a clock, so that the same edits always have the same end.

mod cells;
mod draft;
mod paint;
mod redact;
#[cfg(test)]
mod tests;
mod work;

use crate::{CellKind, Page, Rect, SpanKind, markdown};

/// Most edits of one call.
pub const MAX_EDITS: usize = 100_000;

/// Text that a page may have after edits, bytes, unless it had more before. A dense page has 20 KiB.
const MAX_TEXT: usize = 8 << 20;

/// What stands for a run of erased text.
pub const REDACTED: &str = "█";

/// One change to a page. The first number is the index of a span (for `SetCell`, of a cell) of the page as it was; a change
/// to what an earlier edit has dropped does nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Replaces a span's text; its lines and words are dropped.
    SetText(u32, String),
    /// Replaces a span's text as it is read; lines and words stay as they are printed.
    ReflowText(u32, String),
    /// Replaces a span's markup.
    SetMarkup(u32, String),
    /// Makes a span something else. One that is no table any more loses its cells.
    SetKind(u32, SpanKind),
    /// Sets heading depth or list nesting.
    SetLevel(u32, u8),
    /// Moves a span to this position of the reading order; the others keep theirs among themselves. Dropped spans still
    /// count.
    SetOrder(u32, u32),
    /// Attaches a span to another, or detaches it.
    SetParent(u32, Option<u32>),
    /// Moves a span's area, cut to the raster.
    SetArea(u32, Rect),
    /// Replaces a cell's text, and its table's text and markup by what follows.
    SetCell(u32, String),
    /// Replaces all cells of a table, and its text and markup by what follows from them.
    SetCells(u32, Vec<NewCell>),
    /// Removes a span with its lines, words and cells; spans attached to it are detached.
    DropSpan(u32),
    /// Adds a span after the one at this index of the reading order as it was (past the end: as the last), behind those
    /// that were added there before.
    Insert(u32, SpanKind, Rect, String),
    /// Erases an area everywhere: pixels become black, text becomes [`REDACTED`].
    RedactArea(Rect),
    /// Erases a byte range of the arena (start, length) everywhere, and what is printed in the same place.
    RedactText(u32, u32),
}

/// A cell of a table that is written anew.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCell {
    /// What it is.
    pub kind: CellKind,
    /// First row, from 0.
    pub row: u32,
    /// First column, from 0.
    pub column: u32,
    /// Rows it covers, from 1.
    pub row_span: u32,
    /// Columns it covers, from 1.
    pub column_span: u32,
    /// Raster px.
    pub area: Option<Rect>,
    /// Its text.
    pub text: String,
}

/// Why none of the edits was made. Messages name the edit and never what the page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    /// More than [`MAX_EDITS`].
    TooMany(usize),
    /// An edit breaks the contract.
    Invalid {
        /// Its place among the edits, from 0.
        edit: usize,
        /// What is wrong.
        why: String,
    },
    /// The page would grow past what a page may have.
    TooLong,
    /// Making them would take too long.
    TooMuchWork,
}

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooMany(edits) => write!(f, "{edits} edits are more than the {MAX_EDITS} of one page"),
            Self::Invalid { edit, why } => write!(f, "edit {edit}: {why}"),
            Self::TooLong => write!(f, "the page's text would grow past {} MiB", MAX_TEXT >> 20),
            Self::TooMuchWork => f.write_str(
                "making the edits would take too long; make fewer, or redact fewer and larger areas",
            ),
        }
    }
}

impl std::error::Error for EditError {}

impl Page {
    /// The page with all of `edits` made in their sequence, or why none was.
    pub fn edited(&self, edits: &[Edit]) -> Result<Page, EditError> {
        if edits.is_empty() {
            return Ok(self.clone());
        }
        if edits.len() > MAX_EDITS {
            return Err(EditError::TooMany(edits.len()));
        }
        let mut work = work::Work::new();
        let mut draft = draft::Draft::new(self);
        let mut redactions = redact::Redactions::default();
        for (at, edit) in edits.iter().enumerate() {
            let made = match edit {
                Edit::RedactArea(area) => redactions.area(self, at, *area),
                Edit::RedactText(start, len) => redactions.text(self, at, *start, *len),
                edit => draft.make(at, edit, &mut work)?,
            };
            made.map_err(|why| EditError::Invalid { edit: at, why })?;
        }
        let erased = match redactions.is_empty() {
            true => None,
            false => Some(redact::erase(self, &mut draft, &redactions, &mut work)?),
        };
        let mut page = draft.finish(erased.as_ref());
        if page.text.len() > MAX_TEXT.max(self.text.len()) || too_much_markdown(&page) {
            return Err(EditError::TooLong);
        }
        if let Some(erased) = erased {
            erased.clean(&mut page);
        }
        (page.markdown, page.anchors) = markdown::render(&page);
        Ok(page)
    }
}

/// Whether indentation alone would make the markdown long: each line of a list's item has it.
fn too_much_markdown(page: &Page) -> bool {
    let items = page.spans.iter().filter(|s| s.kind == SpanKind::ListItem);
    let lines = items.map(|s| page.text_of(s.text).bytes().filter(|&b| b == b'\n').count());
    let deepest = page.spans.iter().map(|s| usize::from(s.level)).max().unwrap_or(0);
    lines.sum::<usize>().saturating_mul(4 * deepest) > 8 * MAX_TEXT
}
