//! What may be wrong with the model's text. Each kind is counted and told once, so a page of nothing but errors has a
//! short list of diagnostics.

use ocr_document::{Diagnostic, Severity};
use std::collections::BTreeMap;

/// One way in which text departs from the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// Boxes were asked for and the text has none.
    GroundingMissing,
    /// Text stands before the first tag or after one without boxes.
    TextUnplaced,
    /// `<|ref|>` without its end.
    RefUnclosed,
    /// `<|ref|>` inside another.
    RefNested,
    /// A label without boxes.
    BoxMissing,
    /// `<|det|>` without its end.
    DetUnclosed,
    /// `<|det|>` that holds no list of boxes.
    DetUnreadable,
    /// A closing tag, or a `<|det|>`, that belongs to nothing.
    TagStray,
    /// A box that is no four numbers.
    BoxUnreadable,
    /// A coordinate outside 0 ..= 999.
    BoxOutside,
    /// A box whose corners stand the wrong way round.
    BoxInverted,
    /// More boxes than one element may have.
    BoxesTooMany,
    /// More elements than a page may have.
    ElementsTooMany,
    /// `<table>` without its end.
    TableUnclosed,
    /// A table without cells.
    TableEmpty,
    /// A table beyond the bounds.
    TableTooLarge,
    /// A cell that reaches over its neighbours or the table's edge.
    TableSpanCut,
    /// Text between the cells of a table.
    TableStrayText,
}

impl Flaw {
    /// Severity, stable code, and what it means.
    fn describe(self) -> (Severity, &'static str, &'static str) {
        use Severity::{Note, Warning};
        match self {
            Self::GroundingMissing => (Warning, "grounding-missing", "the model gave no boxes"),
            Self::TextUnplaced => (Note, "text-unplaced", "text without a box has the page's area"),
            Self::RefUnclosed => (Warning, "ref-unclosed", "a label has no end and is kept as text"),
            Self::RefNested => (
                Warning,
                "ref-nested",
                "a label stands inside another, whose start is ignored",
            ),
            Self::BoxMissing => (Warning, "box-missing", "a label has no boxes"),
            Self::DetUnclosed => (Warning, "det-unclosed", "a list of boxes has no end"),
            Self::DetUnreadable => (Warning, "det-unreadable", "what should be boxes is kept as text"),
            Self::TagStray => (Warning, "tag-stray", "a tag belongs to nothing and is ignored"),
            Self::BoxUnreadable => (
                Warning,
                "box-unreadable",
                "a box is no four numbers and is left out",
            ),
            Self::BoxOutside => (Note, "box-outside", "a box reaches beyond the page and is cut"),
            Self::BoxInverted => (Note, "box-inverted", "a box's corners are put in order"),
            Self::BoxesTooMany => (Warning, "boxes-too-many", "boxes beyond the bound are left out"),
            Self::ElementsTooMany => (
                Warning,
                "elements-too-many",
                "blocks beyond the bound are joined to the last",
            ),
            Self::TableUnclosed => (Warning, "table-unclosed", "a table has no end"),
            Self::TableEmpty => (
                Warning,
                "table-empty",
                "a table has no cells and is given as text",
            ),
            Self::TableTooLarge => (
                Warning,
                "table-too-large",
                "a table beyond the bounds is given as text",
            ),
            Self::TableSpanCut => (Note, "table-span-cut", "a cell's span is cut to the free places"),
            Self::TableStrayText => (
                Note,
                "table-stray-text",
                "text between a table's cells follows the table",
            ),
        }
    }
}

/// How often each flaw was met.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Flaws(BTreeMap<Flaw, u32>);

impl Flaws {
    /// Counts one.
    pub fn note(&mut self, flaw: Flaw) {
        let count = self.0.entry(flaw).or_default();
        *count = count.saturating_add(1);
    }

    /// One diagnostic for each kind that was met.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let told = self.0.iter().map(|(flaw, &count)| {
            let (severity, code, message) = flaw.describe();
            let times = if count > 1 {
                format!(" ({count} times)")
            } else {
                String::new()
            };
            Diagnostic::new(severity, code, format!("{message}{times}"))
        });
        told.collect()
    }
}
