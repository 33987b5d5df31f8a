//! Pages as files hold them: recorded from a real run, or written by hand for a plugin's tests.
//!
//! A recording has the page as it is, text arena and all, so a plugin sees what it would see in the run. By hand, texts
//! stand where they belong, and what is left out follows from the rest: `{"number": 1, "spans": [{"kind": "title", "text":
//! "Report"}]}` is a page. What is read is held against the invariants of [`Page`], because fixtures come from strangers
//! as well.

use super::{Outcome, Page, PageInfo, Recovery, markdown};
use crate::{
    Affine, Anchor, Cell, CellKind, Diagnostic, Line, PageImage, Point, Quad, Rect, Slice, Span, SpanKind,
    Word,
};
use serde::{Deserialize, Serialize};

/// Size of a page by hand, px and points: A4 at 72 dpi.
const A4: (u32, u32) = (595, 842);

/// Where a span by hand stands: rows of 20 px, 10 px apart.
const ROW: (u32, u32) = (20, 30);

/// A page in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecordedPage {
    /// In its source, from 1.
    pub number: u32,
    /// PNG file of its raster, relative to the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raster: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    #[serde(default = "complete")]
    outcome: Outcome,
    #[serde(default = "first_attempt")]
    recovery: Recovery,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<(u32, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_points: Option<(f32, f32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to_source: Option<Affine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(default)]
    engine: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Diagnostic>,
    #[serde(default)]
    text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(default)]
    spans: Vec<RecordedSpan>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<RecordedLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<RecordedWord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cells: Vec<RecordedCell>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    markdown: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    anchors: Vec<(u32, u32, u32)>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    raw: String,
    /// Whether the spans' text is markdown already, as some engines write it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    text_is_markdown: bool,
}

fn complete() -> Outcome {
    Outcome::Complete
}

fn first_attempt() -> Recovery {
    Recovery::None
}

/// Text of the arena, as first byte and length, or as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Slice(u32, u32),
    Inline(String),
}

impl Default for Text {
    fn default() -> Self {
        Text::Slice(0, 0)
    }
}

impl Text {
    fn is_empty(&self) -> bool {
        matches!(self, Text::Slice(_, 0))
    }
}

impl From<Slice> for Text {
    fn from(slice: Slice) -> Self {
        Text::Slice(slice.start, slice.len)
    }
}

/// Left, top, right, bottom.
type Area = (u32, u32, u32, u32);

fn area(rect: Rect) -> Area {
    (rect.x0, rect.y0, rect.x1, rect.y1)
}

/// Four corners, x before y.
type Outline = [f32; 8];

fn outline(quad: &Quad) -> Outline {
    let [a, b, c, d] = quad.corners();
    [a.x, a.y, b.x, b.y, c.x, c.y, d.x, d.y]
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordedSpan {
    kind: SpanKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default)]
    level: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    area: Option<Area>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    text: Text,
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    markup: Text,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordedLine {
    span: u32,
    outline: Outline,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    text: Text,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordedWord {
    line: u32,
    outline: Outline,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    text: Text,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordedCell {
    table: u32,
    #[serde(default = "data")]
    kind: CellKind,
    row: u32,
    column: u32,
    #[serde(default = "one")]
    row_span: u32,
    #[serde(default = "one")]
    column_span: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    area: Option<Area>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    #[serde(default)]
    text: Text,
}

fn data() -> CellKind {
    CellKind::Data
}

fn one() -> u32 {
    1
}

impl RecordedPage {
    /// The page as it is. Its raster is somebody else's business.
    pub fn of(page: &Page) -> Self {
        let info = page.info();
        let span = |s: &Span| RecordedSpan {
            kind: s.kind,
            label: page.labels.get(s.label as usize).cloned(),
            level: s.level,
            order: Some(s.order),
            parent: s.parent,
            area: Some(area(s.area)),
            confidence: s.confidence,
            text: s.text.into(),
            markup: s.markup.into(),
        };
        let line = |l: &Line| RecordedLine {
            span: l.span,
            outline: outline(&l.outline),
            confidence: l.confidence,
            text: l.text.into(),
        };
        let word = |w: &Word| RecordedWord {
            line: w.line,
            outline: outline(&w.outline),
            confidence: w.confidence,
            text: w.text.into(),
        };
        let cell = |c: &Cell| RecordedCell {
            table: c.table,
            kind: c.kind,
            row: c.row,
            column: c.column,
            row_span: c.row_span,
            column_span: c.column_span,
            area: c.area.map(area),
            confidence: c.confidence,
            text: c.text.into(),
        };
        Self {
            number: info.number,
            raster: None,
            part: info.part.clone(),
            outcome: info.outcome,
            recovery: info.recovery,
            size: Some((info.width, info.height)),
            size_points: Some((info.width_points, info.height_points)),
            to_source: Some(info.to_source),
            language: info.language.clone(),
            engine: info.engine.clone(),
            diagnostics: info.diagnostics.clone(),
            text: page.text.clone(),
            labels: page.labels.clone(),
            spans: page.spans.iter().map(span).collect(),
            lines: page.lines.iter().map(line).collect(),
            words: page.words.iter().map(word).collect(),
            cells: page.cells.iter().map(cell).collect(),
            markdown: Some(page.markdown.clone()),
            anchors: page.anchors.iter().map(|a| (a.span, a.start, a.len)).collect(),
            raw: page.raw.clone(),
            text_is_markdown: page.text_is_markdown,
        }
    }

    /// The page, at `index` of the output, with the raster that the recording names; an error says what in it is wrong.
    pub fn page(&self, index: u32, raster: Option<PageImage>) -> Result<Page, String> {
        let made = Maker::new(self, index).and_then(|maker| maker.page(self, raster));
        made.map_err(|why| format!("page {}: {why}", self.number))
    }
}

/// A page in the making.
struct Maker {
    page: Page,
}

impl Maker {
    fn new(recorded: &RecordedPage, index: u32) -> Result<Self, String> {
        let (width, height) = recorded.size.unwrap_or(A4);
        let (width_points, height_points) = recorded.size_points.unwrap_or((width as f32, height as f32));
        let above_zero = |v: f32| v.is_finite() && v > 0.0;
        if width == 0 || height == 0 || !above_zero(width_points) || !above_zero(height_points) {
            return Err("`size` and `size-points` are width and height above 0".to_owned());
        }
        if recorded.number == 0 {
            return Err("`number` counts from 1".to_owned());
        }
        let usual = Affine::raster_to_points(width, height, width_points, height_points);
        let info = PageInfo {
            part: recorded.part.clone(),
            outcome: recorded.outcome,
            recovery: recorded.recovery,
            width_points,
            height_points,
            to_source: recorded.to_source.unwrap_or(usual),
            language: recorded.language.clone(),
            engine: recorded.engine.clone(),
            diagnostics: recorded.diagnostics.clone(),
            ..PageInfo::new(index, recorded.number, width, height)
        };
        let mut page = super::PageBuilder::new(info).page;
        page.text.clone_from(&recorded.text);
        page.labels.clone_from(&recorded.labels);
        page.raw.clone_from(&recorded.raw);
        page.text_is_markdown = recorded.text_is_markdown;
        Ok(Self { page })
    }

    fn page(mut self, recorded: &RecordedPage, raster: Option<PageImage>) -> Result<Page, String> {
        for (n, span) in recorded.spans.iter().enumerate() {
            self.span(n, span, recorded.spans.len())
                .map_err(|why| format!("spans[{n}]: {why}"))?;
        }
        let mut orders: Vec<u32> = self.page.spans.iter().map(|s| s.order).collect();
        orders.sort_unstable();
        if !orders.iter().zip(0..).all(|(&order, n)| order == n) {
            return Err("the spans' `order` is 0, 1, 2 and so on, each once".to_owned());
        }
        for (n, line) in recorded.lines.iter().enumerate() {
            self.line(line).map_err(|why| format!("lines[{n}]: {why}"))?;
        }
        for (n, word) in recorded.words.iter().enumerate() {
            self.word(word).map_err(|why| format!("words[{n}]: {why}"))?;
        }
        for (n, cell) in recorded.cells.iter().enumerate() {
            self.cell(cell).map_err(|why| format!("cells[{n}]: {why}"))?;
        }
        match &recorded.markdown {
            Some(markdown) => self.markdown(markdown, &recorded.anchors)?,
            None if !recorded.anchors.is_empty() => {
                return Err("`anchors` need the `markdown` they point to".to_owned());
            }
            None => (self.page.markdown, self.page.anchors) = markdown::render(&self.page),
        }
        if let Some(raster) = raster {
            let size = (raster.width(), raster.height());
            if size != (self.page.info.width, self.page.info.height) {
                return Err(format!(
                    "its raster has {} x {} px, not those of `size`",
                    size.0, size.1
                ));
            }
            self.page.raster = Some(raster);
        }
        Ok(self.page)
    }

    fn text(&mut self, text: &Text) -> Result<Slice, String> {
        match text {
            Text::Inline(text) => {
                let start = self.page.text.len() as u32;
                self.page.text.push_str(text);
                Ok(Slice {
                    start,
                    len: text.len() as u32,
                })
            }
            &Text::Slice(start, len) => {
                let end = start.checked_add(len).map(|end| end as usize);
                let inside = end
                    .and_then(|end| self.page.text.get(start as usize..end))
                    .is_some();
                match inside {
                    true => Ok(Slice { start, len }),
                    false => Err(format!(
                        "[{start}, {len}] is no range of characters of the page's `text`"
                    )),
                }
            }
        }
    }

    fn span(&mut self, n: usize, span: &RecordedSpan, spans: usize) -> Result<(), String> {
        let label = span.label.clone().unwrap_or_else(|| "text".to_owned());
        let labels = &mut self.page.labels;
        let known = labels.iter().position(|l| *l == label);
        let label = known.unwrap_or_else(|| {
            labels.push(label);
            labels.len() - 1
        });
        let (width, height) = (self.page.info.width, self.page.info.height);
        let top = ROW
            .0
            .saturating_add(ROW.1.saturating_mul(n as u32))
            .min(height - 1);
        let row = (
            width / 12,
            top,
            (width - width / 12).max(1),
            (top + ROW.0).min(height),
        );
        if let Some(parent) = span.parent
            && (parent as usize >= spans || parent as usize == n)
        {
            return Err(format!("there is no other span {parent} to be its `parent`"));
        }
        let made = Span {
            kind: span.kind,
            label: label as u32,
            level: span.level,
            order: span.order.unwrap_or(n as u32),
            parent: span.parent,
            area: rect(span.area.unwrap_or(row))?,
            confidence: sure(span.confidence)?,
            text: self.text(&span.text)?,
            markup: self.text(&span.markup)?,
        };
        self.page.spans.push(made);
        Ok(())
    }

    fn line(&mut self, line: &RecordedLine) -> Result<(), String> {
        if line.span as usize >= self.page.spans.len() {
            return Err(format!("there is no span {}", line.span));
        }
        let made = Line {
            span: line.span,
            outline: quad(line.outline)?,
            confidence: sure(line.confidence)?,
            text: self.text(&line.text)?,
        };
        self.page.lines.push(made);
        Ok(())
    }

    fn word(&mut self, word: &RecordedWord) -> Result<(), String> {
        if word.line as usize >= self.page.lines.len() {
            return Err(format!("there is no line {}", word.line));
        }
        let made = Word {
            line: word.line,
            outline: quad(word.outline)?,
            confidence: sure(word.confidence)?,
            text: self.text(&word.text)?,
        };
        self.page.words.push(made);
        Ok(())
    }

    fn cell(&mut self, cell: &RecordedCell) -> Result<(), String> {
        if cell.table as usize >= self.page.spans.len() {
            return Err(format!("there is no span {} to be its `table`", cell.table));
        }
        if cell.row_span == 0 || cell.column_span == 0 {
            return Err("a cell covers one row and one column at least".to_owned());
        }
        let made = Cell {
            table: cell.table,
            kind: cell.kind,
            row: cell.row,
            column: cell.column,
            row_span: cell.row_span,
            column_span: cell.column_span,
            area: cell.area.map(rect).transpose()?,
            confidence: sure(cell.confidence)?,
            text: self.text(&cell.text)?,
        };
        self.page.cells.push(made);
        Ok(())
    }

    fn markdown(&mut self, markdown: &str, anchors: &[(u32, u32, u32)]) -> Result<(), String> {
        for &(span, start, len) in anchors {
            let end = start.checked_add(len).map(|end| end as usize);
            let inside = end.and_then(|end| markdown.get(start as usize..end)).is_some();
            if span as usize >= self.page.spans.len() || !inside {
                return Err(format!("the anchor [{span}, {start}, {len}] points nowhere"));
            }
            self.page.anchors.push(Anchor { span, start, len });
        }
        markdown.clone_into(&mut self.page.markdown);
        Ok(())
    }
}

fn rect((x0, y0, x1, y1): Area) -> Result<Rect, String> {
    match x0 < x1 && y0 < y1 {
        true => Ok(Rect { x0, y0, x1, y1 }),
        // What has no extent is as it was recorded; an engine may say so of a block it could not place.
        false if x0 <= x1 && y0 <= y1 => Ok(Rect { x0, y0, x1, y1 }),
        false => Err("its `area` is left, top, right and bottom".to_owned()),
    }
}

fn quad(o: Outline) -> Result<Quad, String> {
    if o.iter().any(|v| !v.is_finite()) {
        return Err("its `outline` has a corner at no place".to_owned());
    }
    let p = |n: usize| Point { x: o[n], y: o[n + 1] };
    Ok(Quad {
        a: p(0),
        b: p(2),
        c: p(4),
        d: p(6),
    })
}

fn sure(confidence: Option<f32>) -> Result<Option<f32>, String> {
    match confidence {
        Some(c) if !(0.0..=1.0).contains(&c) => Err(format!("its `confidence` is {c}, not 0 to 1")),
        confidence => Ok(confidence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PageBuilder;

    fn by_hand() -> RecordedPage {
        let span = |kind, text: &str| RecordedSpan {
            kind,
            label: None,
            level: 0,
            order: None,
            parent: None,
            area: None,
            confidence: None,
            text: Text::Inline(text.to_owned()),
            markup: Text::default(),
        };
        RecordedPage {
            spans: vec![span(SpanKind::Title, "Grüezi"), span(SpanKind::Paragraph, "all")],
            ..RecordedPage::of(&PageBuilder::new(PageInfo::new(0, 1, 595, 842)).finish())
        }
    }

    #[test]
    fn a_recorded_page_is_the_page() {
        let mut page = PageBuilder::new(PageInfo::new(3, 7, 100, 80));
        let table = page.push_span(
            SpanKind::Table,
            "table",
            0,
            Rect::new(1, 2, 30, 40),
            Some(0.5),
            "a b",
        );
        let figure = page.push_span(SpanKind::Figure, "pic", 0, Rect::new(1, 50, 30, 60), None, "");
        page.set_markup(table, "<table>");
        page.set_parent(figure, table);
        let line = page.push_line(table, Quad::from_rect(Rect::new(1, 2, 30, 12)), Some(0.25), "ä b");
        page.push_word(line, 0..2, Quad::from_rect(Rect::new(1, 2, 9, 12)), None);
        let cell = Cell {
            table,
            kind: CellKind::ColumnHeader,
            row: 0,
            column: 0,
            row_span: 1,
            column_span: 2,
            area: None,
            confidence: Some(1.0),
            text: Slice::default(),
        };
        page.push_cell(cell, "ä");
        page.raw("<|ref|>");
        let page = page.finish();
        let again = RecordedPage::of(&page).page(3, None).unwrap();
        assert_eq!(format!("{page:?}"), format!("{again:?}"));
    }

    #[test]
    fn by_hand_a_page_needs_little() {
        let recorded = RecordedPage {
            markdown: None,
            ..by_hand()
        };
        let page = recorded.page(0, None).unwrap();
        assert_eq!(page.markdown(), "# Grüezi\n\nall\n");
        assert_eq!(page.text_of(page.spans()[1].text), "all");
        assert!(page.spans()[0].area.y1 < page.spans()[1].area.y0);
    }

    #[test]
    fn what_breaks_the_pages_promises_is_refused() {
        type Breaking = fn(&mut RecordedPage);
        let breakings: [(Breaking, &str); 10] = [
            (
                |p| p.spans[0].text = Text::Slice(0, 99),
                "spans[0]: [0, 99] is no range",
            ),
            (
                |p| (p.text, p.spans[0].text) = ("ü".into(), Text::Slice(1, 1)),
                "no range of characters",
            ),
            (|p| p.spans[1].text = Text::Slice(u32::MAX, u32::MAX), "no range"),
            (|p| p.spans[1].order = Some(0), "each once"),
            (|p| p.spans[1].parent = Some(1), "no other span 1"),
            (|p| p.spans[1].area = Some((9, 0, 1, 1)), "left, top"),
            (|p| p.spans[1].confidence = Some(f32::NAN), "not 0 to 1"),
            (|p| p.size = Some((0, 1)), "above 0"),
            (|p| p.anchors = vec![(7, 0, 0)], "points nowhere"),
            (
                |p| {
                    p.words = vec![RecordedWord {
                        line: 0,
                        outline: [0.0; 8],
                        confidence: None,
                        text: Text::default(),
                    }];
                },
                "words[0]: there is no line 0",
            ),
        ];
        for (breaking, words) in breakings {
            let mut page = by_hand();
            breaking(&mut page);
            let error = page.page(0, None).unwrap_err();
            assert!(error.starts_with("page 1: ") && error.contains(words), "{error}");
        }
    }
}
