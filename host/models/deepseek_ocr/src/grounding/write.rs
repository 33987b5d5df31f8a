//! Elements onto the page: spans in the model's order, cells, and who belongs to whom.
//!
//! The model names a table first, then its caption, and writes the table's HTML below the caption: a table without
//! content therefore waits for the HTML that comes with its captions, and stands where its HTML stands.

use super::blocks::{Block, blocks};
use super::flaws::{Flaw, Flaws};
use super::label;
use super::parse::Element;
use super::table::Grid;
use ocr_document::{Cell, PageBuilder, Rect, Slice, SpanKind};

/// Label of text that the model gave no label for.
const UNLABELLED: &str = "text";
/// Label of text that stood between the `ref` tags.
const LOCATED: &str = "ref";
/// Depth of a heading that does not tell it.
const USUAL_LEVEL: u8 = 2;

/// Writes all elements. `placed` says whether text without a box is worth a diagnostic.
pub(super) fn write(page: &mut PageBuilder, elements: &[Element], placed: bool, flaws: &mut Flaws) {
    let info = &page.page().info();
    let size = (info.width, info.height);
    let mut writer = Writer {
        page,
        size,
        placed,
        flaws,
        waiting: None,
        owners: Vec::new(),
        captions: Vec::new(),
    };
    for (number, element) in elements.iter().enumerate() {
        writer.element(number, element);
    }
    writer.end_table();
    writer.adopt();
}

/// Where the spans of an element come from.
#[derive(Clone, Copy)]
struct Source<'e> {
    /// Its place among the elements.
    number: usize,
    label: &'e str,
    kind: SpanKind,
    area: Rect,
}

/// A figure or table that captions may belong to.
struct Owner {
    element: usize,
    span: u32,
    kind: SpanKind,
    has_caption: bool,
}

/// A caption or footnote that looks for its owner.
struct Dependent {
    element: usize,
    span: u32,
    wants: SpanKind,
}

struct Writer<'p, 'e> {
    page: &'p mut PageBuilder,
    size: (u32, u32),
    placed: bool,
    flaws: &'p mut Flaws,
    /// A table whose cells have not come yet.
    waiting: Option<Source<'e>>,
    owners: Vec<Owner>,
    captions: Vec<Dependent>,
}

impl<'e> Writer<'_, 'e> {
    fn element(&mut self, number: usize, element: &'e Element) {
        let known = label::kind(&element.label);
        if label::owner(&element.label) != Some(SpanKind::Table) {
            self.end_table();
        }
        let whole = Rect::new(0, 0, self.size.0, self.size.1);
        let boxes = element
            .boxes
            .iter()
            .map(|b| b.to_pixels(self.size.0, self.size.1));
        let boxes: Vec<Rect> = boxes.collect();
        let around = boxes.iter().copied().reduce(|a, b| a.union(&b));
        if element.located {
            let areas = if boxes.is_empty() {
                vec![whole]
            } else {
                boxes.clone()
            };
            for area in areas {
                self.page
                    .push_span(SpanKind::Paragraph, LOCATED, 0, area, None, &element.label);
            }
        }
        let loose = element.label.is_empty() || element.located;
        let source = Source {
            number,
            label: if loose { UNLABELLED } else { &element.label },
            kind: if loose {
                SpanKind::Paragraph
            } else {
                known.unwrap_or(SpanKind::Other)
            },
            area: if loose { whole } else { around.unwrap_or(whole) },
        };
        let content = element.content.trim();
        if self.placed && !content.is_empty() && (loose || boxes.is_empty()) {
            self.flaws.note(Flaw::TextUnplaced);
        }
        match source.kind {
            SpanKind::Figure => {
                for area in boxes {
                    let span = self
                        .page
                        .push_span(SpanKind::Figure, source.label, 0, area, None, "");
                    self.own(source, span);
                }
                self.blocks(source, content);
            }
            SpanKind::Table if content.is_empty() => self.waiting = around.is_some().then_some(source),
            // A box that was seen is told of, though nothing was read in it.
            kind if content.is_empty() => {
                if around.is_some() && !loose {
                    self.push(source, kind, 0, "");
                }
            }
            SpanKind::Title | SpanKind::Heading => self.heading(source, content),
            SpanKind::Formula => self.formula(source, content),
            SpanKind::Code => self.code(source, content),
            _ => self.blocks(source, content),
        }
    }

    fn blocks(&mut self, source: Source<'e>, content: &str) {
        for block in blocks(content, self.flaws) {
            self.block(source, block);
        }
    }

    /// A title is one span whatever lines it has; what is no text follows it.
    fn heading(&mut self, source: Source<'e>, content: &str) {
        let (mut lines, mut others, mut depth) = (Vec::new(), Vec::new(), None);
        for block in blocks(content, self.flaws) {
            match block {
                Block::Heading { level, text } => {
                    depth.get_or_insert(level);
                    lines.push(text);
                }
                Block::Paragraph { text, .. } => {
                    lines.push(text.trim_start_matches('#').trim_start().to_owned())
                }
                Block::Item { text, .. } => lines.push(text),
                other => others.push(other),
            }
        }
        let level = match source.kind {
            SpanKind::Title => 1,
            _ => depth.unwrap_or(USUAL_LEVEL),
        };
        if !lines.is_empty() {
            self.push(source, source.kind, level, &lines.join("\n"));
        }
        for block in others {
            self.block(source, block);
        }
    }

    /// An equation is LaTeX, with or without delimiters; numbers and words beside a delimited one stay text.
    fn formula(&mut self, source: Source<'e>, content: &str) {
        let blocks = blocks(content, self.flaws);
        if blocks
            .iter()
            .any(|b| matches!(b, Block::Formula(_) | Block::Table(_)))
        {
            for block in blocks {
                self.block(source, block);
            }
            return;
        }
        let bare = [("\\(", "\\)"), ("$", "$"), ("\\[", "\\]")]
            .into_iter()
            .find_map(|(open, close)| {
                let inside = content.strip_prefix(open)?.strip_suffix(close)?;
                (!inside.contains(open) && !inside.contains(close)).then(|| inside.trim())
            });
        self.block(source, Block::Formula(bare.unwrap_or(content).to_owned()));
    }

    fn code(&mut self, source: Source<'e>, content: &str) {
        if content.starts_with("```") {
            self.blocks(source, content);
        } else {
            self.push(source, SpanKind::Code, 0, content);
        }
    }

    fn block(&mut self, source: Source<'e>, block: Block) {
        use SpanKind::{Caption, Figure, Formula, Heading, ListItem, Other, Paragraph, Table};
        let running = matches!(
            source.kind,
            Paragraph | ListItem | Other | Figure | Table | Formula
        );
        match block {
            Block::Table(grid) => self.table(source, &grid),
            Block::Formula(latex) => {
                let span = self.push(source, Formula, 0, &latex);
                self.page.set_markup(span, &latex);
            }
            Block::Code(text) => {
                self.push(source, SpanKind::Code, 0, &text);
            }
            Block::Heading { level, text } if running => {
                self.push(source, Heading, level, &text);
            }
            Block::Item { level, text } if running => {
                self.push(source, ListItem, level, &text);
            }
            Block::Paragraph { text, centred } => match source.kind {
                Figure | Table if centred => {
                    let span = self.push(source, Caption, 0, &text);
                    self.depend(source, span, source.kind);
                }
                Figure | Table | Formula => {
                    self.push(source, Paragraph, 0, &text);
                }
                kind => self.text(source, kind, &text),
            },
            Block::Heading { text, .. } | Block::Item { text, .. } => self.text(source, source.kind, &text),
        }
    }

    /// Text of the kind that its label names.
    fn text(&mut self, source: Source<'e>, kind: SpanKind, text: &str) {
        let level = u8::from(matches!(kind, SpanKind::ListItem | SpanKind::Title));
        let span = self.push(source, kind, level, text);
        if let Some(wants) = label::owner(source.label) {
            self.depend(source, span, wants);
        }
    }

    fn table(&mut self, source: Source<'e>, grid: &Grid) {
        let source = match self.waiting.take() {
            Some(waiting) => waiting,
            None => source,
        };
        let span = self.push(source, SpanKind::Table, 0, &grid.text());
        self.page.set_markup(span, &grid.html());
        self.own(source, span);
        for cell in &grid.cells {
            let placed = Cell {
                table: span,
                kind: cell.kind,
                row: cell.row,
                column: cell.column,
                row_span: cell.row_span,
                column_span: cell.column_span,
                area: None,
                confidence: None,
                text: Slice::default(),
            };
            self.page.push_cell(placed, &cell.text);
        }
    }

    /// A table that was seen but never written down keeps its box.
    fn end_table(&mut self) {
        if let Some(source) = self.waiting.take() {
            let span = self.push(source, SpanKind::Table, 0, "");
            self.own(source, span);
        }
    }

    fn push(&mut self, source: Source<'e>, kind: SpanKind, level: u8, text: &str) -> u32 {
        self.page
            .push_span(kind, source.label, level, source.area, None, text)
    }

    fn own(&mut self, source: Source<'e>, span: u32) {
        self.owners.push(Owner {
            element: source.number,
            span,
            kind: if source.kind == SpanKind::Figure {
                SpanKind::Figure
            } else {
                SpanKind::Table
            },
            has_caption: false,
        });
    }

    fn depend(&mut self, source: Source<'e>, span: u32, wants: SpanKind) {
        self.captions.push(Dependent {
            element: source.number,
            span,
            wants,
        });
    }

    /// Gives each caption to the nearest figure or table in the model's order: of its own kind where there is one, then
    /// one without a caption, then one before it.
    fn adopt(&mut self) {
        for caption in std::mem::take(&mut self.captions) {
            let rank = |owner: &&mut Owner| {
                let away = owner.element.abs_diff(caption.element) * 2 + usize::from(owner.has_caption) * 2;
                (
                    owner.kind != caption.wants,
                    away + usize::from(owner.element > caption.element),
                )
            };
            if let Some(owner) = self.owners.iter_mut().min_by_key(rank) {
                owner.has_caption = true;
                self.page.set_parent(caption.span, owner.span);
            }
        }
    }
}
