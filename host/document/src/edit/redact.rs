//! Redactions: what is to be erased, and everything else that shows the same print.
//!
//! A page holds what is printed up to five times: in a block's text, in its lines, in the cells of a table, in markup, and
//! in the picture. None of them names the others, so they are found by where they stand and by what they say. The rule
//! throughout: what is surely the same is erased, and where a copy must be but can't be told from the rest, all of the
//! text that it is in is erased. Too much black is a nuisance, too little is a leak.
//!
//! It goes in rounds. Each looks what the freshly erased ranges of the arena lie in, erases the copies of that, and paints
//! the boxes of words; it ends when a round finds nothing more.

mod erased;
mod find;
mod geometry;
mod new_text;
mod spread;

pub(super) use erased::Erased;

use super::EditError;
use super::draft::Draft;
use super::work::Work;
use crate::{Page, Rect};
use std::ops::Range;

/// What is to be erased, each with the index of its edit.
#[derive(Default)]
pub(super) struct Redactions {
    pub areas: Vec<(usize, Rect)>,
    pub texts: Vec<(usize, Range<usize>)>,
}

impl Redactions {
    pub(super) fn is_empty(&self) -> bool {
        self.areas.is_empty() && self.texts.is_empty()
    }

    pub(super) fn area(&mut self, page: &Page, at: usize, area: Rect) -> Result<(), String> {
        let area = area.intersect(&Rect::new(0, 0, page.info.width, page.info.height));
        if !area.is_empty() && self.areas.last().is_none_or(|(_, last)| *last != area) {
            self.areas.push((at, area));
        } else if let Some(last) = self.areas.last_mut().filter(|(_, last)| *last == area) {
            last.0 = at;
        }
        Ok(())
    }

    pub(super) fn text(&mut self, page: &Page, at: usize, start: u32, len: u32) -> Result<(), String> {
        let (from, to) = (start as usize, start as usize + len as usize);
        if page.text.get(from..to).is_none() {
            return Err(format!(
                "bytes {start} + {len} are not all in the page's {} bytes of text, or cut a character",
                page.text.len()
            ));
        }
        self.texts.push((at, from..to));
        Ok(())
    }

    /// The index of the last of them.
    fn last(&self) -> usize {
        let areas = self.areas.iter().map(|(at, _)| *at);
        areas
            .chain(self.texts.iter().map(|(at, _)| *at))
            .max()
            .unwrap_or(0)
    }
}

/// Finds everything that has to go, and takes it out of what edits have written.
pub(super) fn erase(
    page: &Page,
    draft: &mut Draft<'_>,
    redactions: &Redactions,
    work: &mut Work,
) -> Result<Erased, EditError> {
    let mut spread = spread::Spread::new(page, work)?;
    spread.begin(redactions)?;
    spread.run()?;
    let phrases = std::mem::take(&mut spread.phrases);
    let touched = spread.touched.clone();
    let erased = spread.end();
    new_text::erase(page, draft, redactions, &erased, &phrases, &touched, work)?;
    Ok(erased)
}
