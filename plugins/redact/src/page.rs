//! Everything that a page says, as sources: the same text stands in spans, lines, words, cells and markup, and each
//! copy has to go.

use crate::find::{Counts, Finder};
use crate::markup;
use crate::text::{CELL, LINE, Source};
use ocr_plugin::{Cell, Line, Page, Rect, Slice, Word};

/// Bytes of the arena to erase, sorted and apart, and how many texts they are.
pub fn search(finder: &Finder, page: &Page) -> (Vec<(u32, u32)>, Counts) {
    let mut ranges = Vec::new();
    let mut counts = Counts::new();
    let (sources, copies) = sources(page);
    for source in &sources {
        for (name, count) in finder.search(source, &mut ranges) {
            // The same text is found in each of its copies.
            let most = counts.entry(name).or_default();
            *most = count.max(*most);
        }
    }
    for copy in &copies {
        let found: Vec<(u32, u32)> = ranges.iter().filter_map(|r| copy.place(*r)).collect();
        ranges.extend(found);
    }
    (apart(ranges), counts)
}

/// The areas of blocks whose names, which engines give, hold what is wanted: a name is no part of the arena, and goes with
/// its whole block. None where there is no such area to erase.
pub fn search_names(finder: &Finder, page: &Page, counts: &mut Counts) -> Option<Vec<Rect>> {
    let holds: Vec<bool> = page
        .labels()
        .iter()
        .map(|name| {
            let mut source = Source::default();
            source.plain(0, name);
            let found = finder.search(&source, &mut Vec::new());
            for (kind, count) in &found {
                let most = counts.entry(kind).or_default();
                *most = (*count).max(*most);
            }
            !found.is_empty()
        })
        .collect();
    let (width, height) = (page.info().width, page.info().height);
    let named = page
        .spans()
        .iter()
        .filter(|s| holds.get(s.label as usize).is_some_and(|h| *h));
    named
        .map(|span| {
            let area = span.area;
            (area.x0 < area.x1.min(width) && area.y0 < area.y1.min(height)).then_some(area)
        })
        .collect()
}

/// A line whose text is also in its span, so that it need not be searched.
struct Copy {
    from: u32,
    to: u32,
    len: u32,
}

impl Copy {
    fn place(&self, (start, end): (u32, u32)) -> Option<(u32, u32)> {
        let start = start.max(self.from);
        let end = end.min(self.from + self.len);
        (start < end).then(|| (start - self.from + self.to, end - self.from + self.to))
    }
}

fn sources(page: &Page) -> (Vec<Source>, Vec<Copy>) {
    let mut copies = Vec::new();
    let [mut plain, mut stripped, mut lines] = [(); 3].map(|()| Source::default());
    let has_markup = page
        .spans()
        .iter()
        .any(|s| markup::has_any(s.text(page)) || s.markup.len > 0);
    let mut lines_of: Vec<Vec<&Line>> = vec![Vec::new(); page.spans().len()];
    for line in page.lines() {
        if let Some(of) = lines_of.get_mut(line.span as usize) {
            of.push(line);
        }
    }
    for (index, span) in page.reading_order() {
        add(&mut plain, page, span.text, Source::plain, LINE);
        if has_markup {
            add(&mut stripped, page, span.text, Source::stripped, LINE);
        }
        match copies_of(page, span.text, &lines_of[index]) {
            Some(found) => copies.extend(found),
            None => {
                for line in &lines_of[index] {
                    add(&mut lines, page, line.text, Source::plain, LINE);
                }
            }
        }
    }
    let mut all = vec![plain, stripped, lines];
    for span in page.spans().iter().filter(|s| s.markup.len > 0) {
        for read in [Source::plain, Source::stripped] {
            let mut source = Source::default();
            add(&mut source, page, span.markup, read, LINE);
            all.push(source);
        }
    }
    all.push(words(page));
    all.extend(tables(page));
    (all, copies)
}

fn add(to: &mut Source, page: &Page, slice: Slice, read: fn(&mut Source, u32, &str), part: char) {
    read(to, slice.start, page.text_of(slice));
    to.part(part);
}

/// The places of a span's lines in its text, where they are the text line by line.
fn copies_of(page: &Page, span: Slice, lines: &[&Line]) -> Option<Vec<Copy>> {
    let mut rest = page.text_of(span);
    let mut from = span.start;
    let mut copies = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let text = page.text_of(line.text);
        if i > 0 {
            rest = rest.strip_prefix('\n')?;
            from += 1;
        }
        rest = rest.strip_prefix(text)?;
        copies.push(Copy {
            from,
            to: line.text.start,
            len: line.text.len,
        });
        from += text.len() as u32;
    }
    rest.is_empty().then_some(copies)
}

/// Words that are no part of their line's bytes; those that are go with it.
fn words(page: &Page) -> Source {
    let mut source = Source::default();
    let mut line = None;
    let apart = |word: &&Word| {
        let of = page.lines().get(word.line as usize).map(|l| l.text);
        !of.is_some_and(|of| {
            of.start <= word.text.start && word.text.start + word.text.len <= of.start + of.len
        })
    };
    for word in page.words().iter().filter(apart) {
        if line.replace(word.line).is_some_and(|last| last != word.line) {
            source.part(LINE);
        }
        add(&mut source, page, word.text, Source::plain, ' ');
    }
    source
}

/// The cells of each table row by row and column by column: a phrase may go on beside its cell or below it.
fn tables(page: &Page) -> Vec<Source> {
    let cells = page.cells();
    let mut order: Vec<&Cell> = cells.iter().collect();
    let mut sources = Vec::new();
    type Key = fn(&&Cell) -> (u32, u32, u32);
    let keys: [Key; 2] = [|c| (c.table, c.row, c.column), |c| (c.table, c.column, c.row)];
    let has_markup = cells.iter().any(|c| markup::has_any(c.text(page)));
    for key in keys {
        order.sort_by_key(key);
        for read in [Source::plain, Source::stripped]
            .into_iter()
            .take(1 + usize::from(has_markup))
        {
            let mut source = Source::default();
            for cell in &order {
                add(&mut source, page, cell.text, read, CELL);
            }
            sources.push(source);
        }
    }
    sources
}

/// Ranges sorted, and joined where they overlap.
pub fn apart(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (from, to) in ranges {
        match joined.last_mut() {
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}
