//! What edits of the same call have written, cleaned of what others of them erase.
//!
//! Text that was written before a redaction is treated like text of the page; what a processor writes after its redactions
//! is its own answer to them, and only what they name word by word is taken out of it.

use super::super::EditError;
use super::super::REDACTED;
use super::super::draft::{CellDraft, Draft, Text};
use super::super::work::Work;
use super::Redactions;
use super::erased::{Erased, Ranges, range};
use super::find::{bare, is_meaningful, occurrences};
use super::geometry::{MOST, is_over, share};
use crate::{Page, Rect, SpanKind};
use std::collections::HashSet;
use std::ops::Range;

pub(super) fn erase(
    page: &Page,
    draft: &mut Draft<'_>,
    redactions: &Redactions,
    erased: &Erased,
    phrases: &[Vec<Range<usize>>],
    touched: &[bool],
    work: &mut Work,
) -> Result<(), EditError> {
    let last = redactions.last();
    // What is named word by word is taken out everywhere.
    let mut named: Vec<&str> = Vec::new();
    let mut seen = HashSet::new();
    for (_, range) in &redactions.texts {
        let phrase = page.text[range.clone()].trim();
        if is_meaningful(phrase) && seen.insert(phrase) {
            named.push(phrase);
        }
    }
    let mut has_lines = vec![false; draft.spans.len()];
    page.lines
        .iter()
        .for_each(|line| has_lines[line.span as usize] = true);
    // What was erased of each span goes out of what was written before the last redaction.
    let own = |at: usize, written: usize| -> Vec<&str> {
        let mut seen = HashSet::new();
        let all = phrases.get(at).filter(|_| written < last).into_iter().flatten();
        all.map(|range| page.text[range.clone()].trim())
            .filter(|p| seen.insert(*p))
            .collect()
    };
    let whole = Rect::new(0, 0, page.info.width, page.info.height);
    let later = |written: usize| redactions.areas.iter().filter(move |(at, _)| *at > written);
    // What stands nowhere is only surely in an area that is the whole page.
    let covers = |area: Rect, written: usize| match area.is_empty() {
        true => later(written).any(|(_, redacted)| *redacted == whole),
        false => later(written).any(|(_, redacted)| is_over(*redacted, area)),
    };
    let is_placeless: Vec<bool> = (draft.spans.iter().zip(&has_lines))
        .map(|(span, has_lines)| span.lines_dropped || !has_lines)
        .collect();
    for (at, span) in draft.spans.iter_mut().enumerate() {
        let is_touched = touched.get(at).copied().unwrap_or(false);
        // A block that is moved by another edit does not take its text from under a redaction.
        let before = page.spans.get(at).map(|span| span.area);
        let before = before.filter(|area| !area.is_empty());
        let area = span.span.area;
        let is_covered =
            |written: usize| covers(area, written) || before.is_some_and(|before| covers(before, written));
        let is_held = |written: usize| {
            let holds = |redacted: &Rect| before.is_some_and(|all| redacted.intersect(&all) == all);
            later(written).any(|(_, redacted)| holds(redacted))
        };
        if let Text::New(text, written) = &mut span.text {
            work.take(64 + 24 * redactions.areas.len())?;
            clean(text, &named, &own(at, *written), true, work)?;
            // Lines say what of it an area covers; without them nobody can. All of it is no question.
            if is_placeless[at] && is_covered(*written) || is_held(*written) {
                *text = REDACTED.to_owned();
            }
        }
        if let Text::New(markup, written) = &mut span.markup {
            clean(markup, &named, &[], false, work)?;
            if *written < last && (is_touched || is_covered(*written)) {
                markup.clear();
            }
        }
        if let Some(cells) = &mut span.new_cells {
            // All of them were written by one edit.
            let written = cells.iter().find_map(|cell| match &cell.text {
                Text::New(_, written) => Some(*written),
                Text::Old(_) => None,
            });
            clean_cells(cells, &named, &own(at, written.unwrap_or(last)), work)?;
            for cell in cells {
                let place = cell.cell.area.filter(|area| !area.is_empty());
                if let Text::New(text, written) = &mut cell.text {
                    work.take(64 + 16 * redactions.areas.len())?;
                    if place.map_or_else(|| is_covered(*written), |place| covers(place, *written)) {
                        *text = REDACTED.to_owned();
                    }
                }
            }
        }
    }
    for (cell, old) in draft.cells.iter_mut().zip(&page.cells) {
        let Text::New(text, written) = &mut cell.text else {
            continue;
        };
        let (table, was) = (old.table as usize, range(old.text));
        work.take(64 + 16 * redactions.areas.len() + was.len())?;
        // What was erased of the cell itself is erased of what was written over it before, or all of that.
        let lost = erased.ranges.within(was.clone()).filter(|_| *written < last);
        let lost: Vec<&str> = lost.map(|range| page.text[range].trim()).collect();
        clean(text, &named, &lost, true, work)?;
        // Other cells may hold what this one lacks.
        clean(text, &[], &own(table, *written), false, work)?;
        let is_there = match old.area.filter(|area| !area.is_empty()) {
            Some(place) if is_placeless[table] => covers(place, *written),
            Some(place) => later(*written).any(|(_, redacted)| share(place, *redacted) > MOST),
            // It is somewhere in its table, and had no words that would be erased.
            None if !is_meaningful(&page.text[was]) => covers(page.spans[table].area, *written),
            None => false,
        };
        if is_there {
            *text = REDACTED.to_owned();
        }
    }
    // What follows from cells follows from what is left of them.
    let mut has_cells = vec![false; draft.spans.len()];
    for cell in &draft.cells {
        has_cells[cell.cell.table as usize] |= draft.spans[cell.cell.table as usize].new_cells.is_none();
    }
    for (at, span) in draft.spans.iter_mut().enumerate() {
        has_cells[at] |= span.new_cells.as_ref().is_some_and(|cells| !cells.is_empty());
        let follows = touched.get(at).copied().unwrap_or(false) && has_cells[at];
        if follows && span.span.kind == SpanKind::Table {
            span.text_follows |= matches!(span.text, Text::Old(_));
            span.markup_follows |= !matches!(span.markup, Text::New(_, written) if written > last);
        }
    }
    Ok(())
}

/// Takes `named` and `own` phrases out of a text; where one of its own is not there as it was and `else_all`, nothing is left
/// of it.
fn clean(
    text: &mut String,
    named: &[&str],
    own: &[&str],
    else_all: bool,
    work: &mut Work,
) -> Result<(), EditError> {
    let mut places: Vec<Range<usize>> = Vec::new();
    for (phrase, is_own) in named
        .iter()
        .map(|p| (p, false))
        .chain(own.iter().map(|p| (p, true)))
    {
        work.take(16 + text.len() + phrase.len())?;
        match occurrences(text, phrase) {
            Some(found) => places.extend(found),
            None if is_own && else_all && !text.trim().is_empty() => {
                *text = REDACTED.to_owned();
                return Ok(());
            }
            None => {}
        }
    }
    mark(text, places);
    Ok(())
}

/// Takes `named` and `own` phrases out of a table's new cells. One of its own that is in none of them as it was goes word by
/// word; where a word is in none of them either, it was written otherwise, and nothing is left of any.
fn clean_cells(
    cells: &mut [CellDraft],
    named: &[&str],
    own: &[&str],
    work: &mut Work,
) -> Result<(), EditError> {
    let mut places: Vec<Vec<Range<usize>>> = vec![Vec::new(); cells.len()];
    let mut is_found = |phrase: &str| -> Result<bool, EditError> {
        let mut found = false;
        for (cell, places) in cells.iter().zip(&mut places) {
            let Text::New(text, _) = &cell.text else { continue };
            work.take(16 + text.len() + phrase.len())?;
            if let Some(at) = occurrences(text, phrase) {
                found = true;
                places.extend(at);
            }
        }
        Ok(found)
    };
    for phrase in named {
        is_found(phrase)?;
    }
    let mut all_found = true;
    for phrase in own {
        if !is_found(phrase)? {
            for word in phrase.split_whitespace().filter(|word| is_meaningful(word)) {
                all_found &= is_found(bare(word))?;
            }
        }
    }
    for (cell, places) in cells.iter_mut().zip(places) {
        let Text::New(text, _) = &mut cell.text else {
            continue;
        };
        match all_found || text.trim().is_empty() {
            true => mark(text, places),
            false => *text = REDACTED.to_owned(),
        }
    }
    Ok(())
}

/// Puts a mark in place of each of `places`.
fn mark(text: &mut String, places: Vec<Range<usize>>) {
    let places = Ranges::of(places);
    if places.is_empty() {
        return;
    }
    let left = places.outside(0..text.len());
    let mut at = 0;
    let mut cleaned = String::with_capacity(text.len());
    for part in left {
        if part.start > at {
            cleaned.push_str(REDACTED);
        }
        cleaned.push_str(&text[part.clone()]);
        at = part.end;
    }
    if at < text.len() {
        cleaned.push_str(REDACTED);
    }
    *text = cleaned;
}
