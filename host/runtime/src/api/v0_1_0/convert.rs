//! Between the host's page model and the contract's types.

use super::imports::{image, text_layer, types};
use ocr_document as doc;

impl From<doc::Rect> for types::Rect {
    fn from(r: doc::Rect) -> Self {
        Self {
            x0: r.x0,
            y0: r.y0,
            x1: r.x1,
            y1: r.y1,
        }
    }
}

impl From<types::Rect> for doc::Rect {
    /// A plugin's rectangle; inverted ones are put in order.
    fn from(r: types::Rect) -> Self {
        doc::Rect::new(r.x0, r.y0, r.x1, r.y1)
    }
}

impl From<doc::Quad> for types::Quad {
    fn from(q: doc::Quad) -> Self {
        let p = |p: doc::Point| types::Point { x: p.x, y: p.y };
        Self {
            a: p(q.a),
            b: p(q.b),
            c: p(q.c),
            d: p(q.d),
        }
    }
}

impl From<types::Quad> for doc::Quad {
    fn from(q: types::Quad) -> Self {
        let p = |p: types::Point| doc::Point { x: p.x, y: p.y };
        Self {
            a: p(q.a),
            b: p(q.b),
            c: p(q.c),
            d: p(q.d),
        }
    }
}

impl From<doc::Slice> for types::Slice {
    fn from(s: doc::Slice) -> Self {
        Self {
            start: s.start,
            len: s.len,
        }
    }
}

impl From<doc::SpanKind> for types::BlockKind {
    fn from(kind: doc::SpanKind) -> Self {
        use doc::SpanKind as K;
        match kind {
            K::Title => Self::Title,
            K::Heading => Self::Heading,
            K::Paragraph => Self::Paragraph,
            K::ListItem => Self::ListItem,
            K::Table => Self::Table,
            K::Formula => Self::Formula,
            K::Figure => Self::Figure,
            K::Caption => Self::Caption,
            K::Header => Self::Header,
            K::Footer => Self::Footer,
            K::PageNumber => Self::PageNumber,
            K::Footnote => Self::Footnote,
            K::Code => Self::Code,
            K::Other => Self::Other,
        }
    }
}

impl From<&doc::Span> for types::Span {
    fn from(s: &doc::Span) -> Self {
        Self {
            kind: s.kind.into(),
            label: s.label,
            level: s.level,
            order: s.order,
            parent: s.parent,
            area: s.area.into(),
            confidence: s.confidence,
            text: s.text.into(),
            markup: s.markup.into(),
        }
    }
}

impl From<&doc::Line> for types::Line {
    fn from(l: &doc::Line) -> Self {
        Self {
            span: l.span,
            outline: l.outline.into(),
            confidence: l.confidence,
            text: l.text.into(),
        }
    }
}

impl From<&doc::Word> for types::Word {
    fn from(w: &doc::Word) -> Self {
        Self {
            line: w.line,
            outline: w.outline.into(),
            confidence: w.confidence,
            text: w.text.into(),
        }
    }
}

impl From<doc::CellKind> for types::CellKind {
    fn from(kind: doc::CellKind) -> Self {
        match kind {
            doc::CellKind::Data => Self::Data,
            doc::CellKind::ColumnHeader => Self::ColumnHeader,
            doc::CellKind::RowHeader => Self::RowHeader,
            doc::CellKind::RowSection => Self::RowSection,
        }
    }
}

impl From<&doc::Cell> for types::Cell {
    fn from(c: &doc::Cell) -> Self {
        Self {
            table: c.table,
            kind: c.kind.into(),
            row: c.row,
            column: c.column,
            row_span: c.row_span,
            column_span: c.column_span,
            area: c.area.map(Into::into),
            confidence: c.confidence,
            text: c.text.into(),
        }
    }
}

impl From<&doc::Anchor> for types::Anchor {
    fn from(a: &doc::Anchor) -> Self {
        Self {
            span: a.span,
            start: a.start,
            len: a.len,
        }
    }
}

impl From<doc::Severity> for types::Severity {
    fn from(s: doc::Severity) -> Self {
        match s {
            doc::Severity::Note => Self::Note,
            doc::Severity::Warning => Self::Warning,
            doc::Severity::Error => Self::Error,
        }
    }
}

impl From<types::Severity> for doc::Severity {
    fn from(s: types::Severity) -> Self {
        match s {
            types::Severity::Note => Self::Note,
            types::Severity::Warning => Self::Warning,
            types::Severity::Error => Self::Error,
        }
    }
}

impl From<&doc::Diagnostic> for types::Diagnostic {
    fn from(d: &doc::Diagnostic) -> Self {
        Self {
            severity: d.severity.into(),
            code: d.code.clone(),
            message: d.message.clone(),
            page: d.page,
            area: d.area.map(Into::into),
        }
    }
}

/// Longest code that is taken from a plugin, bytes.
const CODE_BYTES: usize = 64;
/// Longest message that is taken from a plugin, bytes.
pub(crate) const MESSAGE_BYTES: usize = 4096;

impl From<types::Diagnostic> for doc::Diagnostic {
    /// A plugin's diagnostic, cleaned of control characters and cut to size.
    fn from(d: types::Diagnostic) -> Self {
        Self {
            severity: d.severity.into(),
            code: cut(&d.code, CODE_BYTES),
            message: cut(&d.message, MESSAGE_BYTES),
            page: d.page,
            area: d.area.map(Into::into),
        }
    }
}

/// At most `bytes` of a plugin's text, cleaned of control characters.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    crate::state::clean(crate::state::shorten(text, bytes))
}

impl From<&doc::PageInfo> for types::PageInfo {
    fn from(i: &doc::PageInfo) -> Self {
        let outcome = match i.outcome {
            doc::Outcome::Complete => types::Outcome::Complete,
            doc::Outcome::Truncated => types::Outcome::Truncated,
            doc::Outcome::Repetition => types::Outcome::Repetition,
            doc::Outcome::Failed => types::Outcome::Failed,
        };
        let recovery = match i.recovery {
            doc::Recovery::None => types::Recovery::None,
            doc::Recovery::Retried => types::Recovery::Retried,
            doc::Recovery::Fallback => types::Recovery::Fallback,
        };
        let [a, b, c, d, e, f] = i.to_source.0;
        Self {
            index: i.index,
            number: i.number,
            part: i.part.clone(),
            outcome,
            recovery,
            width: i.width,
            height: i.height,
            width_points: i.width_points,
            height_points: i.height_points,
            to_source: (a, b, c, d, e, f),
            language: i.language.clone(),
            engine: i.engine.clone(),
            diagnostics: all(&i.diagnostics),
        }
    }
}

impl From<text_layer::Layer> for doc::TextLayer {
    fn from(layer: text_layer::Layer) -> Self {
        let words = layer.words.into_iter().map(|w| doc::LayerWord {
            text: w.text,
            outline: w.outline.into(),
        });
        Self {
            words: words.collect(),
        }
    }
}

impl image::PixelFormat {
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Rgb8 => 3,
            Self::Rgba8 => 4,
        }
    }
}

/// A list as the contract has it.
pub(crate) fn all<'a, A, B: From<&'a A>>(items: &'a [A]) -> Vec<B> {
    items.iter().map(Into::into).collect()
}
