//! From what is to be erased to everything on the page that shows it.
//!
//! Ranges that are *fresh* spread on in the next round: what lies in them is the very thing to be hidden. Copies that are
//! found by their text alone are erased *quietly*: a block's text may be erased whole because a part of it could not be
//! told apart, and that must not take all of its lines along.

use super::super::EditError;
use super::super::work::Work;
use super::Redactions;
use super::erased::{Erased, Ranges, range};
use super::find::{bare, is_meaningful, occurrences, without_tags};
use super::geometry::{
    Grid, MOST, Thing, box_of, has_centre_in, is_over, is_same_print, padded, share, touches,
};
use crate::{Page, Rect};
use std::ops::Range;

/// Rounds that spreading may take; it comes to rest after three or four.
const ROUNDS: usize = 64;

/// What is being erased of a page.
pub(super) struct Spread<'p> {
    page: &'p Page,
    work: &'p mut Work,
    grid: Grid,
    words_of: Vec<Vec<u32>>,
    lines_of: Vec<Vec<u32>>,
    cells_of: Vec<Vec<u32>>,
    /// Where each line's text begins in its span's text, where it is there.
    aligned: Vec<Option<usize>>,
    erased: Ranges,
    fresh: Vec<Range<usize>>,
    quiet: Vec<Range<usize>>,
    hit: Vec<bool>,
    wiped: Vec<bool>,
    paint: Vec<Rect>,
    /// Spans of which something was erased.
    pub(super) touched: Vec<bool>,
    /// What was erased of each span, in words.
    pub(super) phrases: Vec<Vec<Range<usize>>>,
}

type Done = Result<(), EditError>;

impl<'p> Spread<'p> {
    pub(super) fn new(page: &'p Page, work: &'p mut Work) -> Result<Self, EditError> {
        let (width, height) = (page.info.width, page.info.height);
        let group = |of: usize, items: &mut dyn Iterator<Item = u32>| {
            let mut groups = vec![Vec::new(); of];
            for (at, owner) in items.enumerate() {
                groups[owner as usize].push(at as u32);
            }
            groups
        };
        let words_of = group(page.lines.len(), &mut page.words.iter().map(|w| w.line));
        let lines_of = group(page.spans.len(), &mut page.lines.iter().map(|l| l.span));
        let cells_of = group(page.spans.len(), &mut page.cells.iter().map(|c| c.table));
        let mut grid = Grid::new(width, height);
        for (at, word) in page.words.iter().enumerate() {
            grid.add(Thing::Word(at as u32), box_of(word, width, height), work)?;
        }
        for (at, line) in page
            .lines
            .iter()
            .enumerate()
            .filter(|(at, _)| words_of[*at].is_empty())
        {
            grid.add(Thing::Line(at as u32), line.outline.bounds(width, height), work)?;
        }
        for (at, cell) in page.cells.iter().enumerate() {
            grid.add(Thing::Cell(at as u32), cell.area.unwrap_or_default(), work)?;
        }
        for (at, span) in page
            .spans
            .iter()
            .enumerate()
            .filter(|(at, _)| lines_of[*at].is_empty())
        {
            grid.add(Thing::Span(at as u32), span.area, work)?;
        }
        let mut spread = Self {
            page,
            work,
            grid,
            words_of,
            lines_of,
            cells_of,
            aligned: vec![None; page.lines.len()],
            erased: Ranges::default(),
            fresh: Vec::new(),
            quiet: Vec::new(),
            hit: vec![false; page.words.len()],
            wiped: vec![false; page.spans.len()],
            paint: Vec::new(),
            touched: vec![false; page.spans.len()],
            phrases: vec![Vec::new(); page.spans.len()],
        };
        spread.align()?;
        Ok(spread)
    }

    /// Finds each line in its span's text, one behind the other.
    fn align(&mut self) -> Done {
        for (span, lines) in self.page.spans.iter().zip(&self.lines_of) {
            let text = range(span.text);
            let mut at = text.start;
            for &line in lines {
                let wanted = self.page.text_of(self.page.lines[line as usize].text);
                let rest = &self.page.text[at..text.end];
                self.work.take(rest.len().min(4096) + wanted.len())?;
                // Close by, so that hopeless searches stay cheap.
                let reach = rest.floor_char_boundary(wanted.len() + 4096);
                if let Some(found) = rest[..reach].find(wanted).filter(|_| !wanted.is_empty()) {
                    self.aligned[line as usize] = Some(at + found);
                    at += found + wanted.len();
                }
            }
        }
        Ok(())
    }

    fn str(&self, range: &Range<usize>) -> &'p str {
        &self.page.text[range.clone()]
    }

    fn word_box(&self, word: u32) -> Rect {
        let info = &self.page.info;
        box_of(&self.page.words[word as usize], info.width, info.height)
    }

    fn line_box(&self, line: u32) -> Rect {
        let info = &self.page.info;
        self.page.lines[line as usize]
            .outline
            .bounds(info.width, info.height)
    }

    fn blacken(&mut self, area: Rect) {
        let info = &self.page.info;
        // What has no place at all may be anywhere.
        let area = match area.is_empty() {
            true => Rect::new(0, 0, info.width, info.height),
            false => padded(area, info.width, info.height),
        };
        self.paint.push(area);
    }

    /// Paints a line, or what it is part of where it has no box.
    fn blacken_line(&mut self, line: u32) {
        let area = self.line_box(line);
        let of = self.page.lines[line as usize].span;
        let area = if area.is_empty() {
            self.page.spans[of as usize].area
        } else {
            area
        };
        self.blacken(area);
    }

    /// What the redactions themselves name.
    pub(super) fn begin(&mut self, redactions: &Redactions) -> Done {
        self.fresh = redactions.texts.iter().map(|(_, range)| range.clone()).collect();
        for &(_, area) in &redactions.areas {
            self.area(area)?;
        }
        Ok(())
    }

    /// Everything that shows in an area.
    fn area(&mut self, area: Rect) -> Done {
        self.paint.push(area);
        if area == Rect::new(0, 0, self.page.info.width, self.page.info.height) {
            // What has no place is on the page as well.
            self.work.take(16 + self.touched.len() / 64)?;
            self.fresh.push(0..self.page.text.len());
            self.touched.fill(true);
            return Ok(());
        }
        for (thing, place) in self.grid.near(area, self.work)? {
            match thing {
                Thing::Word(word) => {
                    if touches(area, place) && !self.hit[word as usize] {
                        self.fresh.push(range(self.page.words[word as usize].text));
                    }
                }
                Thing::Line(line) => {
                    if touches(area, place) {
                        self.fresh.push(range(self.page.lines[line as usize].text));
                    }
                }
                Thing::Cell(cell) => {
                    let of = &self.page.cells[cell as usize];
                    let alone = self.lines_of[of.table as usize].is_empty();
                    if share(place, area) > MOST || (alone && is_over(area, place)) {
                        self.fresh.push(range(of.text));
                    }
                }
                Thing::Span(span) if is_over(area, place) => {
                    let at = span as usize;
                    self.touched[at] = true;
                    // Cells with places are things of their own.
                    let placeless = self.cells_of[at]
                        .iter()
                        .map(|&cell| &self.page.cells[cell as usize])
                        .filter(|cell| cell.area.is_none_or(|area| area.is_empty()));
                    self.fresh.extend(placeless.map(|cell| range(cell.text)));
                    let text = range(self.page.spans[at].text);
                    match self.cells_of[at].is_empty() {
                        true => self.fresh.push(text),
                        false => self.quiet.push(text),
                    }
                }
                Thing::Span(_) => {}
            }
        }
        Ok(())
    }

    /// Spreads until nothing more is found.
    pub(super) fn run(&mut self) -> Done {
        for _ in 0..ROUNDS {
            let fresh = Ranges::of(std::mem::take(&mut self.fresh));
            let fresh: Vec<Range<usize>> = fresh
                .iter()
                .flat_map(|range| self.erased.outside(range.clone()))
                .collect();
            let fresh = Ranges::of(fresh);
            if fresh.is_empty() {
                return Ok(());
            }
            self.erased = std::mem::take(&mut self.erased).and(&fresh);
            self.round(&fresh)?;
        }
        Err(EditError::TooMuchWork)
    }

    fn round(&mut self, fresh: &Ranges) -> Done {
        let page = self.page;
        let items = page.spans.len() * 2 + page.lines.len() + page.cells.len();
        self.work.take(16 * items + 16 * fresh.len())?;
        for (at, span) in page.spans.iter().enumerate() {
            for part in fresh.within(range(span.markup)) {
                self.markup(at, &part)?;
            }
            for part in fresh.within(range(span.text)) {
                self.text(at, &part)?;
            }
        }
        for (at, line) in page.lines.iter().enumerate() {
            for part in fresh.within(range(line.text)) {
                self.line(at, &part)?;
            }
        }
        for (at, cell) in page.cells.iter().enumerate() {
            for part in fresh.within(range(cell.text)) {
                self.cell(at, &part)?;
            }
        }
        Ok(())
    }

    /// Places of `phrase` in a part of the arena.
    fn find(&mut self, within: Range<usize>, phrase: &str) -> Result<Option<Vec<Range<usize>>>, EditError> {
        self.work.take(16 + within.len() + phrase.len())?;
        let found = occurrences(&self.page.text[within.clone()], phrase);
        let shift = |places: Vec<Range<usize>>| {
            places
                .into_iter()
                .map(|at| at.start + within.start..at.end + within.start)
                .collect()
        };
        Ok(found.map(shift))
    }

    /// A part of a block's markup: the same words in its text and its cells.
    fn markup(&mut self, span: usize, part: &Range<usize>) -> Done {
        self.touched[span] = true;
        let plain = without_tags(self.str(part));
        for phrase in plain.split('\n').filter(|phrase| is_meaningful(phrase)) {
            let mut places = self.cells_of[span]
                .iter()
                .map(|&cell| range(self.page.cells[cell as usize].text))
                .collect::<Vec<_>>();
            places.push(range(self.page.spans[span].text));
            let mut found = false;
            for place in places {
                if let Some(at) = self.find(place, phrase)? {
                    found = true;
                    self.fresh.extend(at);
                }
            }
            if !found {
                self.wipe(span);
            }
        }
        Ok(())
    }

    /// A part of a block's text: the same in its lines and its cells.
    fn text(&mut self, span: usize, part: &Range<usize>) -> Done {
        self.touched[span] = true;
        self.phrases[span].push(part.clone());
        let phrases = self
            .str(part)
            .split(['\t', '\n'])
            .filter(|phrase| is_meaningful(phrase));
        if !self.cells_of[span].is_empty() {
            for phrase in phrases.clone() {
                let mut found = false;
                for cell in self.cells_of[span].clone() {
                    let within = range(self.page.cells[cell as usize].text);
                    if let Some(at) = self.find(within, phrase)? {
                        found = true;
                        self.fresh.extend(at);
                    }
                }
                if !found {
                    let cells = self.cells_of[span].iter();
                    let all = cells.map(|&cell| range(self.page.cells[cell as usize].text));
                    self.fresh.extend(all);
                }
            }
        }
        let mut in_lines = Vec::new();
        for &line in &self.lines_of[span] {
            let Some(start) = self.aligned[line as usize] else {
                continue;
            };
            let own = range(self.page.lines[line as usize].text);
            let common = start.max(part.start)..(start + own.len()).min(part.end);
            if !common.is_empty() {
                let shifted = common.start - start + own.start..common.end - start + own.start;
                self.fresh.push(shifted);
                in_lines.push(common);
            }
        }
        self.work.take(4 * self.lines_of[span].len())?;
        let left = Ranges::of(in_lines).outside(part.clone());
        let left: Vec<&str> = left.iter().map(|range| self.str(range)).collect();
        if left.iter().any(|text| is_meaningful(text)) && self.cells_of[span].is_empty() {
            self.place(span, &left.join("\n"), None)?;
        }
        Ok(())
    }

    /// Finds the words of a text that stands somewhere in a span, in a cell's area where it is known; where one is not
    /// found, all of the place is erased.
    fn place(&mut self, span: usize, text: &str, cell: Option<Rect>) -> Done {
        let lines = self.lines_of[span].clone();
        let mut words: Vec<(u32, Range<usize>, &str)> = Vec::new();
        let mut wordless: Vec<(u32, Range<usize>)> = Vec::new();
        for &line in &lines {
            if self.words_of[line as usize].is_empty() {
                wordless.push((line, range(self.page.lines[line as usize].text)));
            }
            for &word in &self.words_of[line as usize] {
                if cell.is_none_or(|cell| has_centre_in(self.word_box(word), cell)) {
                    let at = range(self.page.words[word as usize].text);
                    words.push((word, at.clone(), self.str(&at)));
                }
            }
        }
        let mut all_found = !lines.is_empty();
        for token in text.split_whitespace().filter(|token| is_meaningful(token)) {
            self.work.take(16 + 8 * words.len())?;
            let token = bare(token);
            let same = |word: &str| bare(word) == token;
            let like = |word: &str| word.contains(token) || token.contains(bare(word));
            let mut found: Vec<Range<usize>> =
                words.iter().filter(|w| same(w.2)).map(|w| w.1.clone()).collect();
            if found.is_empty() {
                found.extend(words.iter().filter(|w| like(w.2)).map(|w| w.1.clone()));
            }
            for (_, within) in wordless.clone() {
                found.extend(self.find(within, token)?.unwrap_or_default());
            }
            all_found &= !found.is_empty();
            self.fresh.extend(found);
        }
        if !all_found {
            let area = cell.filter(|area| !area.is_empty());
            self.blacken(area.unwrap_or(self.page.spans[span].area));
            // What is black must not be read in the lines.
            let inside = words.iter().map(|(_, at, _)| at.clone());
            self.fresh.extend(inside);
            if cell.is_none() {
                self.fresh.extend(wordless.into_iter().map(|(_, at)| at));
            }
        }
        Ok(())
    }

    /// A part of a line: its words, and the same in its span's text and cells.
    fn line(&mut self, line: usize, part: &Range<usize>) -> Done {
        let page = self.page;
        let span = page.lines[line].span as usize;
        self.touched[span] = true;
        self.phrases[span].push(part.clone());
        let mut any = false;
        for word in self.words_of[line].clone() {
            let own = range(page.words[word as usize].text);
            self.work.take(4)?;
            let common = own.start.max(part.start)..own.end.min(part.end);
            if !common.is_empty() {
                any = true;
                self.word(word, &common)?;
            }
        }
        if !any && is_meaningful(self.str(part)) {
            self.blacken_line(line as u32);
        }
        let phrase = self.str(part);
        if !self.cells_of[span].is_empty() && !any {
            self.in_cells(span, phrase, None)?;
        }
        let own = range(page.lines[line].text);
        match self.aligned[line] {
            Some(start) => {
                self.quiet
                    .push(start + part.start - own.start..start + part.end - own.start);
            }
            None => self.in_text(span, phrase)?,
        }
        Ok(())
    }

    /// The same words in a block's text; all of it where they are not found.
    fn in_text(&mut self, span: usize, phrase: &str) -> Done {
        let text = range(self.page.spans[span].text);
        match self.find(text.clone(), phrase)? {
            Some(found) => self.quiet.extend(found),
            None => self.quiet.push(text),
        }
        Ok(())
    }

    /// The same words in a table's cells, those around `place` first; all of these where they are not found.
    fn in_cells(&mut self, span: usize, phrase: &str, place: Option<Rect>) -> Done {
        if !is_meaningful(phrase) {
            return Ok(());
        }
        let cells: Vec<(Range<usize>, bool)> = self.cells_of[span]
            .iter()
            .map(|&cell| {
                let cell = &self.page.cells[cell as usize];
                let around = |area: Rect| place.is_none_or(|place| has_centre_in(place, area));
                (range(cell.text), cell.area.is_none_or(around))
            })
            .collect();
        for close in [true, false] {
            let mut found = false;
            for (within, _) in cells.iter().filter(|(_, is_close)| *is_close == close) {
                if let Some(at) = self.find(within.clone(), phrase)? {
                    found = true;
                    self.quiet.extend(at);
                }
            }
            if found {
                return Ok(());
            }
        }
        let has_close = cells.iter().any(|(_, close)| *close);
        let lost = cells.into_iter().filter(|(_, close)| *close || !has_close);
        self.quiet.extend(lost.map(|(within, _)| within));
        Ok(())
    }

    /// A word, of which `part` is to be hidden: its box, and whatever is printed there as well.
    fn word(&mut self, word: u32, part: &Range<usize>) -> Done {
        let page = self.page;
        let line = page.words[word as usize].line;
        let span = page.lines[line as usize].span;
        let place = self.word_box(word);
        let phrase = self.str(part);
        if !self.cells_of[span as usize].is_empty() {
            self.in_cells(span as usize, phrase, Some(place).filter(|p| !p.is_empty()))?;
        }
        if self.hit[word as usize] {
            return Ok(());
        }
        self.hit[word as usize] = true;
        if place.is_empty() {
            self.blacken_line(line);
            return Ok(());
        }
        self.blacken(place);
        for (thing, other) in self.grid.near(place, self.work)? {
            match thing {
                Thing::Word(near) => {
                    if !self.hit[near as usize] && is_same_print(place, other) {
                        self.fresh.push(range(page.words[near as usize].text));
                    }
                }
                Thing::Line(near) => {
                    let own = range(page.lines[near as usize].text);
                    match self.find(own.clone(), phrase)? {
                        Some(found) => self.fresh.extend(found),
                        None if share(other, place) > MOST => self.fresh.push(own),
                        None => {}
                    }
                }
                Thing::Cell(near) => {
                    let cell = &page.cells[near as usize];
                    if cell.table != span {
                        self.elsewhere(cell.table as usize, range(cell.text), phrase, share(other, place))?;
                    }
                }
                Thing::Span(near) => {
                    let own = range(page.spans[near as usize].text);
                    self.elsewhere(near as usize, own, phrase, share(other, place))?;
                }
            }
        }
        Ok(())
    }

    /// Words of another block that stand in the same place.
    fn elsewhere(&mut self, span: usize, within: Range<usize>, phrase: &str, covered: f64) -> Done {
        let found = self.find(within.clone(), phrase)?;
        let found = found.or_else(|| (covered > MOST).then(|| vec![within]));
        if let Some(found) = found.filter(|found| !found.is_empty()) {
            self.touched[span] = true;
            self.phrases[span].extend(found.iter().cloned());
            self.quiet.extend(found);
        }
        Ok(())
    }

    /// A part of a cell: the same in its table's text, and its words on the page.
    fn cell(&mut self, cell: usize, part: &Range<usize>) -> Done {
        let (table, area) = (self.page.cells[cell].table as usize, self.page.cells[cell].area);
        self.touched[table] = true;
        self.phrases[table].push(part.clone());
        let phrase = self.str(part);
        if !is_meaningful(phrase) {
            return Ok(());
        }
        self.in_text(table, phrase)?;
        self.place(table, phrase, area)
    }

    /// Erases all of a block.
    fn wipe(&mut self, span: usize) {
        if std::mem::replace(&mut self.wiped[span], true) {
            return;
        }
        self.touched[span] = true;
        let page = self.page;
        let mut all = vec![range(page.spans[span].text)];
        self.blacken(page.spans[span].area);
        for line in self.lines_of[span].clone() {
            all.push(range(page.lines[line as usize].text));
            self.blacken_line(line);
        }
        let cells = self.cells_of[span].iter();
        all.extend(cells.map(|&cell| range(page.cells[cell as usize].text)));
        self.phrases[span].extend(all.iter().cloned());
        self.quiet.extend(all);
    }

    /// What was found.
    pub(super) fn end(mut self) -> Erased {
        // Markup names no places: of what was touched, all of it goes.
        for (span, _) in self
            .page
            .spans
            .iter()
            .zip(&self.touched)
            .filter(|(_, touched)| **touched)
        {
            self.quiet.push(range(span.markup));
        }
        Erased {
            text: self.page.text.clone(),
            ranges: self.erased.and(&Ranges::of(self.quiet)),
            areas: self.paint,
        }
    }
}
