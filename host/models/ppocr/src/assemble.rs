//! Lays what was read down as a page: blocks in reading order, each with its lines and words.
//!
//! Invariant: every line that was read ends up in exactly one span.

use crate::blocks::{Assigned, Block, assign, raster_bounds};
use crate::frame::{Bounds, Frame, Placed, median, place, rows};
use crate::furniture::{EDGE_ZONE, is_page_number};
use crate::headings::{Candidate, level, title};
use crate::layout::RegionKind;
use crate::lists::{Marker, counted, marker};
use crate::paragraphs::{Paragraph, paragraphs};
use crate::reading::Reading;
use crate::reading_order::{Item, Leaf, order};
use crate::recognize::TextLine;
use crate::structure::Grid;
use crate::tables::{Filled, fill, html};
use ocr_document::{Cell, CellKind, Diagnostic, PageBuilder, PageImage, Rect, Severity, Slice, SpanKind};
use std::collections::{HashMap, HashSet};

/// Writes the reading of an upright page into `page`; `number` is the page's in its source, from 1.
pub(crate) fn assemble(reading: Reading, number: u32, image: &PageImage, page: &mut PageBuilder) {
    let size = (image.width() as f32, image.height() as f32);
    let frame = Frame::of(reading.lines.iter().map(|l| &l.quad));
    let placed = place(&reading.lines, &frame);
    let text_height = median(placed.iter().map(|p| p.bounds.height()));
    let Assigned { blocks, loose } = assign(&reading.regions, &placed, &reading.lines, &frame, size);
    let ordinals = counted(rows(&placed).iter().flat_map(|row| {
        row.lines
            .iter()
            .filter_map(|l| marker(&reading.lines[l.line].text))
            .collect::<Vec<_>>()
    }));
    let items = blocks
        .iter()
        .enumerate()
        .filter(|(_, b)| !is_furniture(b.kind))
        .map(|(block, b)| Item::Block {
            block,
            bounds: b.level,
            lines: weight(b),
            floats: floats(b.kind),
            heading: b.kind == RegionKind::Title,
        })
        .chain(loose.iter().copied().map(Item::Line));
    let body = order(&items.collect::<Vec<_>>(), text_height);
    // Running heads cross the columns below them and say nothing of their order.
    let furniture = |kind: RegionKind| {
        let of_kind = (0..blocks.len()).filter(|&n| blocks[n].kind == kind);
        of_kind.map(Leaf::Block).collect::<Vec<_>>()
    };
    let leaves = [furniture(RegionKind::Header), body, furniture(RegionKind::Footer)].concat();
    let headings: Vec<Candidate> = blocks
        .iter()
        .enumerate()
        .filter(|(_, b)| b.kind == RegionKind::Title)
        .map(|(block, b)| Candidate {
            block,
            size: relative_size(b, text_height),
            area: b.area,
        })
        .collect();
    let mut writer = Writer {
        title: title(&headings, number, size.1),
        lines: &reading.lines,
        grids: reading.grids.iter().map(|(n, g)| (*n, g)).collect(),
        ordinals,
        size,
        text_height,
        text_width: placed.iter().map(|p| p.bounds.width()).fold(0.0, f32::max),
        number,
        captions: Vec::new(),
        page,
    };
    for leaf in leaves {
        match leaf {
            Leaf::Block(n) => writer.block(n, &blocks[n]),
            Leaf::Lines(lines) => writer.loose(&lines),
        }
    }
    writer.adopt_captions();
}

/// A heading of about the text's own size is shorter than this share of the longest line, and has so many rows.
const HEADING_SIZE: f32 = 1.2;
const HEADING_WIDTH: f32 = 0.9;
const HEADING_ROWS: usize = 2;

/// Lines that a block counts for where columns are sought: pictures and tables are as good as a paragraph.
fn weight(block: &Block) -> usize {
    match block.kind {
        RegionKind::Figure | RegionKind::Table => block.lines.len().max(4),
        _ => rows(&block.lines).len(),
    }
}

/// Whether it is printed on every page.
fn is_furniture(kind: RegionKind) -> bool {
    matches!(kind, RegionKind::Header | RegionKind::Footer)
}

/// Whether text may run around it.
fn floats(kind: RegionKind) -> bool {
    use RegionKind::{Figure, FigureCaption, Table, TableCaption};
    matches!(kind, Figure | FigureCaption | Table | TableCaption)
}

fn relative_size(block: &Block, text_height: f32) -> f32 {
    median(block.lines.iter().map(|l| l.bounds.height())) / text_height.max(1.0)
}

struct Writer<'a> {
    lines: &'a [TextLine],
    grids: HashMap<usize, &'a Grid>,
    ordinals: HashSet<Marker>,
    title: Option<usize>,
    size: (f32, f32),
    text_height: f32,
    /// Of the longest line, px.
    text_width: f32,
    number: u32,
    /// Spans of captions, and whether each is a table's.
    captions: Vec<(u32, bool)>,
    page: &'a mut PageBuilder,
}

impl Writer<'_> {
    fn block(&mut self, n: usize, block: &Block) {
        let label = block.kind.label();
        match block.kind {
            RegionKind::Title if self.is_heading(block) => self.heading(n, block),
            RegionKind::Title => self.text(&block.lines, label, Some(block.confidence)),
            RegionKind::Text | RegionKind::Reference => {
                self.text(&block.lines, label, Some(block.confidence))
            }
            RegionKind::Table => self.table(block),
            RegionKind::Figure => {
                let text = self.rows_text(&block.lines);
                self.span(
                    SpanKind::Figure,
                    label,
                    0,
                    block.area,
                    Some(block.confidence),
                    &text,
                    &block.lines,
                );
            }
            RegionKind::FigureCaption | RegionKind::TableCaption => {
                let text = self.joined(&block.lines);
                let span = self.span(
                    SpanKind::Caption,
                    label,
                    0,
                    block.area,
                    Some(block.confidence),
                    &text,
                    &block.lines,
                );
                self.captions.push((span, block.kind == RegionKind::TableCaption));
            }
            RegionKind::Equation => {
                let text = self.rows_text(&block.lines);
                self.span(
                    SpanKind::Formula,
                    label,
                    0,
                    block.area,
                    Some(block.confidence),
                    &text,
                    &block.lines,
                );
            }
            RegionKind::Header => self.furniture(SpanKind::Header, block),
            RegionKind::Footer => self.furniture(SpanKind::Footer, block),
        }
    }

    /// Whether a block that the layout takes for a heading looks like one: text of the usual size that fills its line
    /// or several is a paragraph.
    fn is_heading(&self, block: &Block) -> bool {
        let rows = rows(&block.lines);
        let small = relative_size(block, self.text_height) < HEADING_SIZE;
        let fills = block.level.width() > HEADING_WIDTH * self.text_width;
        !(small && (fills || rows.len() > HEADING_ROWS))
    }

    fn heading(&mut self, n: usize, block: &Block) {
        let text = self.joined(&block.lines);
        let size = relative_size(block, self.text_height);
        let (kind, level) = if self.title == Some(n) {
            (SpanKind::Title, 1)
        } else {
            (SpanKind::Heading, level(&text, size))
        };
        self.span(
            kind,
            block.kind.label(),
            level,
            block.area,
            Some(block.confidence),
            &text,
            &block.lines,
        );
    }

    /// Running heads and feet line by line, for a page number stands beside a chapter's name.
    fn furniture(&mut self, kind: SpanKind, block: &Block) {
        for row in rows(&block.lines) {
            let (numbers, names): (Vec<Placed>, Vec<Placed>) = row
                .lines
                .iter()
                .partition(|l| is_page_number(&self.lines[l.line].text));
            for (kind, lines) in [(kind, names), (SpanKind::PageNumber, numbers)] {
                if !lines.is_empty() {
                    let text = self.joined(&lines);
                    let area = self.area(&lines);
                    self.span(
                        kind,
                        block.kind.label(),
                        0,
                        area,
                        Some(block.confidence),
                        &text,
                        &lines,
                    );
                }
            }
        }
    }

    /// Lines of no region: page numbers at the edges, paragraphs else.
    fn loose(&mut self, lines: &[Placed]) {
        let lines_of = self.lines;
        let all_rows = rows(lines);
        let at_edge = |b: &Bounds| b.y1 < EDGE_ZONE * self.size.1 || b.y0 > (1.0 - EDGE_ZONE) * self.size.1;
        let is_number = |row: &crate::frame::Row| {
            at_edge(&row.bounds) && row.lines.len() == 1 && is_page_number(&row.text(lines_of))
        };
        let first = all_rows.first().filter(|r| is_number(r)).map(|r| r.lines[0]);
        let last = all_rows
            .last()
            .filter(|r| all_rows.len() > 1 && is_number(r))
            .map(|r| r.lines[0]);
        let number = |writer: &mut Self, line: Option<Placed>| {
            if let Some(line) = line {
                let text = writer.lines[line.line].text.clone();
                let area = writer.area(&[line]);
                writer.span(SpanKind::PageNumber, "text", 0, area, None, &text, &[line]);
            }
        };
        number(self, first);
        let rest: Vec<Placed> = lines
            .iter()
            .copied()
            .filter(|l| Some(*l) != first && Some(*l) != last)
            .collect();
        self.text(&rest, "text", None);
        number(self, last);
    }

    fn text(&mut self, lines: &[Placed], label: &str, confidence: Option<f32>) {
        for paragraph in paragraphs(lines, self.lines, &self.ordinals) {
            let text = paragraph.text(self.lines);
            let kind = if paragraph.list_level > 0 {
                SpanKind::ListItem
            } else {
                SpanKind::Paragraph
            };
            let lines: Vec<Placed> = paragraph.lines().copied().collect();
            let area = self.area(&lines);
            self.span(kind, label, paragraph.list_level, area, confidence, &text, &lines);
        }
    }

    fn table(&mut self, block: &Block) {
        let grid = self.grids.get(&block.region).map(|&g| g.clone());
        let Some(filled) = fill(grid, &block.lines, self.lines) else {
            self.say(
                "table-unstructured",
                "a table has no rows and columns that could be found; it is given as text",
            );
            return self.text(&block.lines, block.kind.label(), Some(block.confidence));
        };
        if filled.geometric {
            self.say(
                "table-from-geometry",
                "a table's structure was won from the places of its words",
            );
        }
        let text = table_text(&filled);
        let lines: Vec<Placed> = rows(&block.lines).into_iter().flat_map(|row| row.lines).collect();
        let span = self.span(
            SpanKind::Table,
            block.kind.label(),
            0,
            block.area,
            Some(block.confidence),
            &text,
            &lines,
        );
        self.page.set_markup(span, &html(&filled));
        for ((cell, text), confidence) in filled
            .grid
            .cells
            .iter()
            .zip(&filled.texts)
            .zip(&filled.confidences)
        {
            let kind = if cell.head {
                CellKind::ColumnHeader
            } else {
                CellKind::Data
            };
            let cell = Cell {
                table: span,
                kind,
                row: cell.row,
                column: cell.column,
                row_span: cell.row_span,
                column_span: cell.column_span,
                area: Some(cell.area).filter(|a| !a.is_empty()),
                confidence: *confidence,
                text: Slice::default(),
            };
            self.page.push_cell(cell, text);
        }
    }

    fn say(&mut self, code: &str, message: &str) {
        let diagnostic = Diagnostic::new(Severity::Note, code, message).on_page(self.number);
        self.page.info_mut().diagnostics.push(diagnostic);
    }

    /// Rows joined to one paragraph.
    fn joined(&self, lines: &[Placed]) -> String {
        Paragraph {
            rows: rows(lines),
            list_level: 0,
            keeps_rows: false,
        }
        .text(self.lines)
    }

    /// Rows one below the other.
    fn rows_text(&self, lines: &[Placed]) -> String {
        Paragraph {
            rows: rows(lines),
            list_level: 0,
            keeps_rows: true,
        }
        .text(self.lines)
    }

    fn area(&self, lines: &[Placed]) -> Bounds {
        let boxes: Vec<Bounds> = lines
            .iter()
            .map(|l| raster_bounds(&self.lines[l.line], self.size))
            .collect();
        Bounds::around(&boxes).unwrap_or_default()
    }

    #[allow(clippy::too_many_arguments)]
    fn span(
        &mut self,
        kind: SpanKind,
        label: &str,
        level: u8,
        area: Bounds,
        confidence: Option<f32>,
        text: &str,
        lines: &[Placed],
    ) -> u32 {
        let area = Rect::new(area.x0 as u32, area.y0 as u32, area.x1 as u32, area.y1 as u32);
        let read = lines.iter().map(|l| self.lines[l.line].confidence);
        let confidence =
            confidence.or_else(|| (!lines.is_empty()).then(|| read.sum::<f32>() / lines.len() as f32));
        let span = self.page.push_span(kind, label, level, area, confidence, text);
        for line in lines.iter().map(|l| &self.lines[l.line]) {
            let at = self
                .page
                .push_line(span, line.quad, Some(line.confidence), &line.text);
            for word in &line.words {
                self.page
                    .push_word(at, word.range.clone(), word.quad, Some(word.confidence));
            }
        }
        span
    }

    /// Gives each caption to the nearest figure or table, of its own kind where there is one.
    fn adopt_captions(&mut self) {
        let spans = self.page.page().spans().to_vec();
        let distance = |a: &Rect, b: &Rect| {
            let apart = |a0: u32, a1: u32, b0: u32, b1: u32| b0.saturating_sub(a1).max(a0.saturating_sub(b1));
            apart(a.x0, a.x1, b.x0, b.x1) + apart(a.y0, a.y1, b.y0, b.y1)
        };
        for (caption, of_table) in std::mem::take(&mut self.captions) {
            let area = spans[caption as usize].area;
            let wanted = if of_table {
                SpanKind::Table
            } else {
                SpanKind::Figure
            };
            let candidates = spans
                .iter()
                .enumerate()
                .filter(|(_, s)| matches!(s.kind, SpanKind::Table | SpanKind::Figure));
            let nearest = candidates.min_by_key(|(_, s)| (s.kind != wanted, distance(&s.area, &area)));
            if let Some((parent, _)) = nearest {
                self.page.set_parent(caption, parent as u32);
            }
        }
    }
}

/// A table's plain text: cells parted by tabs, rows by line feeds.
fn table_text(filled: &Filled) -> String {
    let mut rows: Vec<Vec<&str>> = vec![Vec::new(); filled.grid.rows as usize];
    for (cell, text) in filled.grid.cells.iter().zip(&filled.texts) {
        rows[cell.row as usize].push(text);
    }
    rows.iter()
        .map(|cells| cells.join("\t"))
        .collect::<Vec<_>>()
        .join("\n")
}
