//! What edits of the same call have written, cleaned of what others of them erase.
//!
//! Text that was written before a redaction is treated like text of the page; what a processor writes after its redactions
//! is its own answer to them, and only what they name word by word is taken out of it.

use super::super::EditError;
use super::super::REDACTED;
use super::super::draft::{Draft, Text};
use super::super::work::Work;
use super::Redactions;
use super::erased::Ranges;
use super::find::{is_meaningful, occurrences};
use super::geometry::is_over;
use crate::{Page, Rect, SpanKind};
use std::collections::HashSet;
use std::ops::Range;

pub(super) fn erase(
    page: &Page,
    draft: &mut Draft<'_>,
    redactions: &Redactions,
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
    for (at, span) in draft.spans.iter_mut().enumerate() {
        let is_touched = touched.get(at).copied().unwrap_or(false);
        let is_covered = |area: Rect, written: usize| {
            let mut over = redactions.areas.iter().filter(|(at, _)| *at > written);
            over.any(|(_, redacted)| is_over(*redacted, area))
        };
        // Lines say what of it an area covers; without them nobody can.
        let placeless = span.lines_dropped || !has_lines[at];
        let area = span.span.area;
        if let Text::New(text, written) = &mut span.text {
            work.take(64 + 8 * redactions.areas.len())?;
            clean(text, &named, &own(at, *written), true, work)?;
            if placeless && is_covered(area, *written) {
                *text = REDACTED.to_owned();
            }
        }
        if let Text::New(markup, written) = &mut span.markup {
            clean(markup, &named, &[], false, work)?;
            if *written < last && (is_touched || is_covered(area, *written)) {
                markup.clear();
            }
        }
        for cell in span.new_cells.iter_mut().flatten() {
            let place = cell.cell.area.unwrap_or(area);
            if let Text::New(text, written) = &mut cell.text {
                work.take(64 + 8 * redactions.areas.len())?;
                // Other cells may hold what this one lacks.
                clean(text, &named, &own(at, *written), false, work)?;
                if is_covered(place, *written) {
                    *text = REDACTED.to_owned();
                }
            }
        }
    }
    for cell in &mut draft.cells {
        let table = cell.cell.table as usize;
        if let Text::New(text, written) = &mut cell.text {
            clean(text, &named, &own(table, *written), false, work)?;
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
    let places = Ranges::of(places);
    if places.is_empty() {
        return Ok(());
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
    Ok(())
}
