//! Edits of any kind, in any number and sequence, of a page that has something of everything.

use crate::grounding::untagged;
use ocr_document::{
    Cell, CellKind, Edit, NewCell, Page, PageBuilder, PageImage, PageInfo, PixelFormat, Quad, Rect, Slice,
    SpanKind,
};
use std::sync::LazyLock;

const WIDTH: u32 = 100;
const HEIGHT: u32 = 80;

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let mut page = PageBuilder::new(PageInfo::new(0, 1, WIDTH, HEIGHT));
    let area = Rect::new(5, 5, 90, 15);
    let text = "Gr\u{fc}ezi mitenand";
    let first = page.push_span(SpanKind::Paragraph, "text", 0, area, Some(0.9), text);
    let line = page.push_line(first, Quad::from_rect(area), Some(0.9), text);
    page.push_word(line, 0..7, Quad::from_rect(Rect::new(5, 5, 40, 15)), None);
    page.push_word(
        line,
        8..text.len(),
        Quad::from_rect(Rect::new(45, 5, 90, 15)),
        None,
    );
    page.push_span(
        SpanKind::Heading,
        "title",
        1,
        Rect::new(5, 20, 60, 28),
        None,
        "1. Begin",
    );
    let table = page.push_span(
        SpanKind::Table,
        "table",
        0,
        Rect::new(5, 30, 90, 60),
        None,
        "a b c",
    );
    page.set_markup(
        table,
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
    );
    for (row, column, text) in [(0, 0, "a"), (0, 1, "b"), (1, 0, "c")] {
        let cell = Cell {
            table,
            kind: CellKind::Data,
            row,
            column,
            row_span: 1,
            column_span: 1,
            area: (row == 0).then(|| Rect::new(5 + 40 * column, 30, 45 + 40 * column, 45)),
            confidence: None,
            text: Slice::default(),
        };
        page.push_cell(cell, text);
    }
    let caption = page.push_span(
        SpanKind::Caption,
        "caption",
        0,
        Rect::new(5, 62, 90, 70),
        None,
        "Grüezi again",
    );
    page.set_parent(caption, table);
    let pixels = vec![200; (WIDTH * HEIGHT) as usize];
    page.raster(PageImage::new(WIDTH, HEIGHT, PixelFormat::Gray8, pixels).expect("it has its size"));
    page.raw("Gr\u{fc}ezi mitenand, a b c");
    page.finish()
});

/// The bytes are edits, one behind the other.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut edits = Vec::new();
    while let Some(edit) = bytes.edit() {
        edits.push(edit);
    }
    let Ok(page) = PAGE.edited(&edits) else {
        return;
    };
    sound(&page);
    let whole = Edit::RedactArea(Rect::new(0, 0, WIDTH, HEIGHT));
    let last = edits.iter().rposition(|edit| *edit == whole);
    if last.is_some_and(|last| !edits[last..].iter().any(writes)) {
        // A table's markup is written anew, and has tags; the markdown is made of the text, with a word here and there.
        let text = untagged(page.text());
        assert!(
            !text.contains(char::is_alphanumeric),
            "all was erased but {text:?}"
        );
        assert!(page.raw().is_empty());
        let raster = page.raster().expect("a raster stays");
        assert!(raster.pixels().iter().all(|&v| v == 0));
    }
    // The same again gives the same.
    let again = PAGE.edited(&edits).expect("they were made before");
    assert_eq!(
        (again.text(), again.markdown(), again.spans()),
        (page.text(), page.markdown(), page.spans())
    );
}

/// Whether it brings words of its own, which may be an answer to what was erased before.
fn writes(edit: &Edit) -> bool {
    use Edit as E;
    matches!(
        edit,
        E::SetText(..)
            | E::ReflowText(..)
            | E::SetMarkup(..)
            | E::SetCell(..)
            | E::SetCells(..)
            | E::Insert(..)
    )
}

/// Everything points to something.
fn sound(page: &Page) {
    let spans = page.spans();
    for span in spans {
        assert!(span.area.x1 <= WIDTH && span.area.y1 <= HEIGHT);
        let _ = (page.text_of(span.text), page.text_of(span.markup));
        let _ = &page.labels()[span.label as usize];
        let mut above = span.parent;
        for _ in 0..=spans.len() {
            above = above.and_then(|parent| spans[parent as usize].parent);
        }
        assert_eq!(above, None, "parents go round");
    }
    let mut order = page.reading_order();
    order.sort_unstable();
    assert!(order.into_iter().eq(0..spans.len()));
    for line in page.lines() {
        let _ = (&spans[line.span as usize], page.text_of(line.text));
    }
    for word in page.words() {
        let _ = (&page.lines()[word.line as usize], page.text_of(word.text));
    }
    for cell in page.cells() {
        assert_eq!(spans[cell.table as usize].kind, SpanKind::Table);
        assert!(cell.row_span > 0 && cell.column_span > 0);
        let _ = page.text_of(cell.text);
    }
    for anchor in page.anchors() {
        let _ = &spans[anchor.span as usize];
        let _ = &page.markdown()[anchor.start as usize..][..anchor.len as usize];
    }
}

/// Takes edits out of bytes; what is missing at the end is zero.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                byte
            }
            None => 0,
        }
    }

    /// Mostly small, like indices; sometimes anything.
    fn number(&mut self) -> u32 {
        match self.byte() {
            255 => u32::from_le_bytes([(); 4].map(|()| self.byte())),
            byte @ 128.. => u32::from(byte - 128),
            byte => u32::from(byte & 7),
        }
    }

    fn area(&mut self) -> Rect {
        if self.byte() & 3 == 0 {
            return Rect::new(0, 0, WIDTH, HEIGHT);
        }
        Rect::new(self.number(), self.number(), self.number(), self.number())
    }

    fn text(&mut self) -> String {
        let len = usize::from(self.byte() & 31).min(self.0.len());
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn kind(&mut self) -> SpanKind {
        SpanKind::ALL[usize::from(self.byte()) % SpanKind::ALL.len()]
    }

    fn cell(&mut self) -> NewCell {
        NewCell {
            kind: [
                CellKind::Data,
                CellKind::ColumnHeader,
                CellKind::RowHeader,
                CellKind::RowSection,
            ][usize::from(self.byte() & 3)],
            row: self.number(),
            column: self.number(),
            row_span: self.number(),
            column_span: self.number(),
            area: (self.byte() & 1 == 1).then(|| self.area()),
            text: self.text(),
        }
    }

    fn edit(&mut self) -> Option<Edit> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.byte() % 14 {
            0 => Edit::SetText(self.number(), self.text()),
            1 => Edit::ReflowText(self.number(), self.text()),
            2 => Edit::SetMarkup(self.number(), self.text()),
            3 => Edit::SetKind(self.number(), self.kind()),
            4 => Edit::SetLevel(self.number(), self.byte()),
            5 => Edit::SetOrder(self.number(), self.number()),
            6 => Edit::SetParent(self.number(), (self.byte() & 1 == 1).then(|| self.number())),
            7 => Edit::SetArea(self.number(), self.area()),
            8 => Edit::SetCell(self.number(), self.text()),
            9 => {
                let (span, count) = (self.number(), self.byte() & 15);
                Edit::SetCells(span, (0..count).map(|_| self.cell()).collect())
            }
            10 => Edit::DropSpan(self.number()),
            11 => Edit::Insert(self.number(), self.kind(), self.area(), self.text()),
            12 => Edit::RedactArea(self.area()),
            _ => Edit::RedactText(self.number(), self.number()),
        })
    }
}
