//! The page while edits are made: what it was, and what was written over it.

use super::cells::{self, Written};
use super::redact::Erased;
use super::work::Work;
use super::{Edit, EditError, NewCell};
use crate::{Cell, Page, Rect, Slice, Span, SpanKind};
use std::collections::HashMap;

/// The engine's name for a block that a processor made.
const EDITED: &str = "edited";

/// A span's or a cell's text.
#[derive(Debug, Clone)]
pub(super) enum Text {
    /// As it was, in the page's own arena.
    Old(Slice),
    /// Written by the edit of this index.
    New(String, usize),
}

/// A span under way; the first ones are the page's own, in its sequence.
pub(super) struct SpanDraft {
    pub span: Span,
    pub text: Text,
    pub markup: Text,
    pub dropped: bool,
    pub lines_dropped: bool,
    /// Cells in place of those that it had.
    pub new_cells: Option<Vec<CellDraft>>,
    /// Whether its text and its markup follow from its cells.
    pub text_follows: bool,
    pub markup_follows: bool,
}

/// A cell under way.
pub(super) struct CellDraft {
    pub cell: Cell,
    pub text: Text,
}

/// The page while edits are made.
pub(super) struct Draft<'p> {
    pub page: &'p Page,
    pub spans: Vec<SpanDraft>,
    /// The page's own cells, in its sequence.
    pub cells: Vec<CellDraft>,
    /// Indices of `spans` in reading order, dropped ones among them.
    order: Vec<u32>,
    /// How many were added behind a place of the reading order as it was.
    added: HashMap<u32, usize>,
    /// The span at each place of the reading order as it was.
    places: Vec<usize>,
}

type Made = Result<(), String>;

impl<'p> Draft<'p> {
    pub(super) fn new(page: &'p Page) -> Self {
        let spans = page.spans.iter().map(|span| SpanDraft {
            text: Text::Old(span.text),
            markup: Text::Old(span.markup),
            span: span.clone(),
            dropped: false,
            lines_dropped: false,
            new_cells: None,
            text_follows: false,
            markup_follows: false,
        });
        let cells = page.cells.iter().map(|cell| CellDraft {
            text: Text::Old(cell.text),
            cell: cell.clone(),
        });
        let places = page.reading_order();
        Self {
            page,
            spans: spans.collect(),
            cells: cells.collect(),
            order: places.iter().map(|&i| i as u32).collect(),
            added: HashMap::new(),
            places,
        }
    }

    /// A span of the page as it was; `None` where it was dropped.
    fn span(&mut self, index: u32) -> Result<Option<&mut SpanDraft>, String> {
        let own = self.page.spans.len();
        match self.spans[..own].get_mut(index as usize) {
            Some(span) => Ok(Some(span).filter(|span| !span.dropped)),
            None => Err(format!("there is no span {index}; the page has {own}")),
        }
    }

    /// Makes one edit that redacts nothing.
    pub(super) fn make(&mut self, at: usize, edit: &Edit, work: &mut Work) -> Result<Made, EditError> {
        Ok(match edit {
            Edit::SetOrder(span, order) => return self.set_order(*span, *order, work),
            Edit::SetParent(span, parent) => return self.set_parent(*span, *parent, work),
            Edit::Insert(after, kind, area, text) => {
                return self.insert(at, *after, *kind, *area, text, work);
            }
            Edit::SetText(span, text) => self.change(*span, |draft| {
                draft.text = Text::New(text.clone(), at);
                draft.text_follows = false;
                draft.lines_dropped = true;
            }),
            Edit::ReflowText(span, text) => self.change(*span, |draft| {
                draft.text = Text::New(text.clone(), at);
                draft.text_follows = false;
            }),
            Edit::SetMarkup(span, markup) => self.change(*span, |draft| {
                draft.markup = Text::New(markup.clone(), at);
                draft.markup_follows = false;
            }),
            Edit::SetKind(span, kind) => self.change(*span, |draft| {
                if draft.span.kind == SpanKind::Table && *kind != SpanKind::Table {
                    draft.new_cells = Some(Vec::new());
                    (draft.text_follows, draft.markup_follows) = (false, false);
                }
                draft.span.kind = *kind;
            }),
            Edit::SetLevel(span, level) => self.change(*span, |draft| draft.span.level = *level),
            Edit::SetArea(span, area) => {
                let area = self.cut(*area);
                self.change(*span, |draft| draft.span.area = area)
            }
            Edit::SetCell(cell, text) => self.set_cell(at, *cell, text),
            Edit::SetCells(span, cells) => self.set_cells(at, *span, cells),
            Edit::DropSpan(span) => self.change(*span, |draft| draft.dropped = true),
            Edit::RedactArea(_) | Edit::RedactText(..) => unreachable!("redactions are gathered elsewhere"),
        })
    }

    fn change(&mut self, span: u32, change: impl FnOnce(&mut SpanDraft)) -> Made {
        if let Some(draft) = self.span(span)? {
            change(draft);
        }
        Ok(())
    }

    fn cut(&self, area: Rect) -> Rect {
        let info = &self.page.info;
        area.intersect(&Rect::new(0, 0, info.width, info.height))
    }

    fn set_order(&mut self, span: u32, order: u32, work: &mut Work) -> Result<Made, EditError> {
        match self.span(span) {
            Err(why) => return Ok(Err(why)),
            Ok(None) => return Ok(Ok(())),
            Ok(Some(_)) => {}
        }
        let (to, count) = (order as usize, self.order.len());
        if to >= count {
            return Ok(Err(format!("there is no place {order} among {count} spans")));
        }
        work.take(count / 4 + 8)?;
        let from = self.order.iter().position(|&i| i == span);
        let from = from.expect("every span has a place");
        match from <= to {
            true => self.order[from..=to].rotate_left(1),
            false => self.order[to..=from].rotate_right(1),
        }
        Ok(Ok(()))
    }

    fn set_parent(&mut self, span: u32, parent: Option<u32>, work: &mut Work) -> Result<Made, EditError> {
        let own = self.page.spans.len();
        let mut above = parent;
        while let Some(next) = above {
            work.take(4)?;
            if next as usize >= own {
                return Ok(Err(format!("there is no span {next}; the page has {own}")));
            }
            if next == span {
                return Ok(Err(format!("span {span} would belong to itself")));
            }
            above = self.spans[next as usize].span.parent;
        }
        Ok(self.change(span, |draft| draft.span.parent = parent))
    }

    fn set_cell(&mut self, at: usize, cell: u32, text: &str) -> Made {
        let own = self.cells.len();
        let Some(draft) = self.cells.get_mut(cell as usize) else {
            return Err(format!("there is no cell {cell}; the page has {own}"));
        };
        draft.text = Text::New(text.to_owned(), at);
        let table = &mut self.spans[draft.cell.table as usize];
        (table.text_follows, table.markup_follows) = (true, true);
        Ok(())
    }

    fn set_cells(&mut self, at: usize, span: u32, cells: &[NewCell]) -> Made {
        cells::check(cells)?;
        let bounds = Rect::new(0, 0, self.page.info.width, self.page.info.height);
        let Some(draft) = self.span(span)? else {
            return Ok(());
        };
        if draft.span.kind != SpanKind::Table {
            return Err(format!("span {span} is no table; make it one first"));
        }
        let new = cells.iter().map(|new| CellDraft {
            cell: Cell {
                table: span,
                kind: new.kind,
                row: new.row,
                column: new.column,
                row_span: new.row_span,
                column_span: new.column_span,
                area: new.area.map(|area| area.intersect(&bounds)),
                confidence: None,
                text: Slice::default(),
            },
            text: Text::New(new.text.clone(), at),
        });
        draft.new_cells = Some(new.collect());
        (draft.text_follows, draft.markup_follows) = (true, true);
        Ok(())
    }

    fn insert(
        &mut self,
        at: usize,
        after: u32,
        kind: SpanKind,
        area: Rect,
        text: &str,
        work: &mut Work,
    ) -> Result<Made, EditError> {
        work.take(self.order.len() / 4 + 8)?;
        let area = self.cut(area);
        let added = self.added.entry(after).or_default();
        let place = match self.places.get(after as usize) {
            Some(&before) => {
                let stands = self.order.iter().position(|&i| i as usize == before);
                stands.expect("every span has a place") + 1 + *added
            }
            None => self.order.len(),
        };
        *added += 1;
        self.order
            .insert(place.min(self.order.len()), self.spans.len() as u32);
        self.spans.push(SpanDraft {
            span: Span {
                kind,
                label: 0,
                level: u8::from(matches!(
                    kind,
                    SpanKind::Title | SpanKind::Heading | SpanKind::ListItem
                )),
                order: 0,
                parent: None,
                area,
                confidence: None,
                text: Slice::default(),
                markup: Slice::default(),
            },
            text: Text::New(text.to_owned(), at),
            markup: Text::New(String::new(), at),
            dropped: false,
            lines_dropped: false,
            new_cells: None,
            text_follows: false,
            markup_follows: false,
        });
        Ok(Ok(()))
    }

    /// The page put together: what is left of it, moved into an arena of its own.
    pub(super) fn finish(self, erased: Option<&Erased>) -> Page {
        let old = self.page;
        let mut page = Page {
            text: String::new(),
            spans: Vec::new(),
            lines: Vec::new(),
            words: Vec::new(),
            cells: Vec::new(),
            markdown: String::new(),
            anchors: Vec::new(),
            is_edited: true,
            ..old.clone()
        };
        // Where each span has gone; those that were dropped are nowhere.
        let mut gone_to = vec![None; self.spans.len()];
        let alive = self.spans.iter().enumerate().filter(|(_, draft)| !draft.dropped);
        for (to, (from, _)) in alive.enumerate() {
            gone_to[from] = Some(to as u32);
        }
        let is_inserted = |at: usize| at >= old.spans.len();
        let inserted = (0..self.spans.len()).any(|at| is_inserted(at) && gone_to[at].is_some());
        let own_label = inserted.then(|| {
            let found = page.labels.iter().position(|label| label == EDITED);
            found.unwrap_or_else(|| {
                page.labels.push(EDITED.to_owned());
                page.labels.len() - 1
            }) as u32
        });
        let mut push = |text: &str| push(&mut page.text, text);
        let seen = |text: &Text| match text {
            Text::Old(slice) => match erased {
                Some(erased) => erased.left_of(*slice).0,
                None => old.text_of(*slice).to_owned(),
            },
            Text::New(text, _) => text.clone(),
        };

        let mut kept_cells: HashMap<u32, Vec<&CellDraft>> = HashMap::new();
        for draft in &self.cells {
            if self.spans[draft.cell.table as usize].new_cells.is_none() {
                kept_cells.entry(draft.cell.table).or_default().push(draft);
            }
        }
        let mut texts = Vec::new();
        let mut cells = Vec::new();
        for (at, draft) in self.spans.iter().enumerate() {
            let Some(index) = gone_to[at] else { continue };
            let own: Vec<&CellDraft> = match &draft.new_cells {
                Some(new) => new.iter().collect(),
                None => kept_cells.remove(&(at as u32)).unwrap_or_default(),
            };
            let of_cells: Vec<String> = own.iter().map(|cell| seen(&cell.text)).collect();
            let follows = (draft.text_follows || draft.markup_follows).then(|| {
                let written = own.iter().zip(&of_cells).map(|(c, text)| Written {
                    kind: c.cell.kind,
                    row: c.cell.row,
                    column: c.cell.column,
                    row_span: c.cell.row_span,
                    column_span: c.cell.column_span,
                    text,
                });
                cells::text_and_markup(written.collect())
            });
            let (text, markup) = follows.unwrap_or_default();
            let text = if draft.text_follows {
                text
            } else {
                seen(&draft.text)
            };
            let markup = match (&draft.markup, erased) {
                _ if draft.markup_follows => markup,
                // A mark is no markup.
                (Text::Old(slice), Some(erased)) if erased.is_gone(*slice) => String::new(),
                _ => seen(&draft.markup),
            };
            texts.push((push(&text), push(&markup)));
            for (cell, text) in own.iter().zip(&of_cells) {
                cells.push(Cell {
                    table: index,
                    text: push(text),
                    ..cell.cell.clone()
                });
            }
        }
        page.cells = cells;

        let mut lines_to = vec![None; old.lines.len()];
        // What is left of each line, and where its bytes have gone.
        let mut moved = HashMap::new();
        for (at, line) in old.lines.iter().enumerate() {
            let of = &self.spans[line.span as usize];
            let Some(span) = gone_to[line.span as usize].filter(|_| !of.lines_dropped) else {
                continue;
            };
            let (text, moves) = match erased {
                Some(erased) => erased.left_of(line.text),
                None => (old.text_of(line.text).to_owned(), Default::default()),
            };
            lines_to[at] = Some(page.lines.len() as u32);
            let text = self::push(&mut page.text, &text);
            moved.insert(at as u32, (text, moves));
            page.lines.push(crate::Line {
                span,
                text,
                ..line.clone()
            });
        }
        for word in &old.words {
            let Some(line) = lines_to[word.line as usize] else {
                continue;
            };
            if erased.is_some_and(|erased| erased.is_gone(word.text)) {
                continue;
            }
            let (text, moves) = &moved[&word.line];
            let offset = |at: u32| moves.to(at - old.lines[word.line as usize].text.start);
            let (start, end) = (offset(word.text.start), offset(word.text.start + word.text.len));
            page.words.push(crate::Word {
                line,
                text: Slice {
                    start: text.start + start,
                    len: end - start,
                },
                ..word.clone()
            });
        }

        for ((at, draft), (text, markup)) in
            (self.spans.into_iter().enumerate().filter(|(_, d)| !d.dropped)).zip(texts)
        {
            page.spans.push(Span {
                label: if is_inserted(at) {
                    own_label.unwrap_or_default()
                } else {
                    draft.span.label
                },
                parent: draft.span.parent.and_then(|parent| gone_to[parent as usize]),
                text,
                markup,
                ..draft.span
            });
        }
        let alive = self.order.iter().filter_map(|&from| gone_to[from as usize]);
        for (order, index) in alive.enumerate() {
            page.spans[index as usize].order = order as u32;
        }
        page
    }
}

fn push(arena: &mut String, text: &str) -> Slice {
    let start = arena.len() as u32;
    arena.push_str(text);
    Slice {
        start,
        len: text.len() as u32,
    }
}
