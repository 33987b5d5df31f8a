//! What processors ask for, checked as far as a single value tells.

use super::imports::types;
use super::processor::exports::ocr_host::plugin::processor as wit;
use ocr_document as doc;

impl From<types::BlockKind> for doc::SpanKind {
    fn from(kind: types::BlockKind) -> Self {
        use types::BlockKind as K;
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

impl From<types::CellKind> for doc::CellKind {
    fn from(kind: types::CellKind) -> Self {
        match kind {
            types::CellKind::Data => Self::Data,
            types::CellKind::ColumnHeader => Self::ColumnHeader,
            types::CellKind::RowHeader => Self::RowHeader,
            types::CellKind::RowSection => Self::RowSection,
        }
    }
}

/// A rectangle that is not inverted.
fn upright(r: types::Rect) -> Result<doc::Rect, String> {
    match r.x0 <= r.x1 && r.y0 <= r.y1 {
        true => Ok(r.into()),
        false => Err(format!(
            "the area ({}, {}) to ({}, {}) is inverted",
            r.x0, r.y0, r.x1, r.y1
        )),
    }
}

impl TryFrom<wit::NewCell> for doc::NewCell {
    type Error = String;

    fn try_from(cell: wit::NewCell) -> Result<Self, String> {
        Ok(Self {
            kind: cell.kind.into(),
            row: cell.row,
            column: cell.column,
            row_span: cell.row_span,
            column_span: cell.column_span,
            area: cell.area.map(upright).transpose()?,
            text: cell.text,
        })
    }
}

impl TryFrom<wit::Edit> for doc::Edit {
    type Error = String;

    fn try_from(edit: wit::Edit) -> Result<Self, String> {
        use wit::Edit as E;
        Ok(match edit {
            E::SetText((span, text)) => Self::SetText(span, text),
            E::ReflowText((span, text)) => Self::ReflowText(span, text),
            E::SetMarkup((span, markup)) => Self::SetMarkup(span, markup),
            E::SetKind((span, kind)) => Self::SetKind(span, kind.into()),
            E::SetLevel((span, level)) => Self::SetLevel(span, level),
            E::SetOrder((span, order)) => Self::SetOrder(span, order),
            E::SetParent((span, parent)) => Self::SetParent(span, parent),
            E::SetArea((span, area)) => Self::SetArea(span, upright(area)?),
            E::SetCell((cell, text)) => Self::SetCell(cell, text),
            E::SetCells((span, cells)) => {
                let cells: Result<Vec<doc::NewCell>, String> =
                    cells.into_iter().map(TryInto::try_into).collect();
                Self::SetCells(span, cells?)
            }
            E::DropSpan(span) => Self::DropSpan(span),
            E::Insert((after, kind, area, text)) => Self::Insert(after, kind.into(), upright(area)?, text),
            E::RedactArea(area) => Self::RedactArea(upright(area)?),
            E::RedactText((start, len)) => Self::RedactText(start, len),
        })
    }
}
