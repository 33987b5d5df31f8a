//! Which way up a page is, decided by reading: a few lines as they lie and, when that reads badly, turned over.
//!
//! Reading is the surest witness: upside-down lines read with far lower confidence. A classifier of single lines is
//! not used, for it turns correct lines over.

use crate::EngineError;
use crate::detect::{length, thickness, turned};
use crate::recognize::{LineReader, TextLine};
use crate::workers::Workers;
use ocr_document::{PageImage, Quad};
use ocr_engine::Control;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Lines that are read to decide.
const WITNESSES: usize = 6;
/// A witness this many times as long as high holds enough characters and is not slow to read.
const WITNESS_ASPECT: std::ops::Range<f32> = 3.0..25.0;
/// Mean confidence that settles the matter without looking further.
const SURE: f32 = 0.88;
/// The other way must read better by this much, and at least this well.
const CLEARLY: f32 = 0.1;
const READABLE: f32 = 0.7;

/// What was decided, and the lines that were read on the way (index of the quad, its line).
pub(crate) struct Decision {
    /// Clockwise quarter turns that make the page upright.
    pub quarters: u8,
    pub read: Vec<(usize, TextLine)>,
}

/// Decides for a page whose lines are `quads`.
pub(crate) fn decide(
    reader: &LineReader,
    image: &PageImage,
    quads: &[Quad],
    workers: &Workers,
    control: &Control,
) -> Result<Decision, EngineError> {
    let witnesses = witnesses(quads);
    let sideways = sideways(quads);
    let as_is = read_all(reader, image, quads, &witnesses, 0, workers, control)?;
    let forward = mean(&as_is);
    let mut decision = Decision {
        quarters: 0,
        read: as_is,
    };
    if witnesses.is_empty() || (!sideways && forward >= SURE) {
        return Ok(decision);
    }
    let backward = mean(&read_all(reader, image, quads, &witnesses, 2, workers, control)?);
    decision.quarters = verdict(sideways, forward, backward);
    Ok(decision)
}

/// Quarter turns that follow from how well lines read as presumed and turned over. Lines of a sideways page were
/// presumed to read downwards: such a page was turned clockwise.
fn verdict(sideways: bool, forward: f32, backward: f32) -> u8 {
    match sideways {
        false if backward > forward + CLEARLY && backward > READABLE => 2,
        false => 0,
        true if forward.max(backward) < READABLE => 0,
        true if forward >= backward => 3,
        true => 1,
    }
}

/// Whether most of the text runs up or down the page, by length.
fn sideways(quads: &[Quad]) -> bool {
    let sum = |vertical: bool| -> f32 {
        let runs = quads
            .iter()
            .filter(|q| ((q.b.y - q.a.y).abs() > (q.b.x - q.a.x).abs()) == vertical);
        runs.map(length).sum()
    };
    sum(true) > 2.0 * sum(false)
}

/// Indices of the lines to read: the longest that lie in the direction of most.
fn witnesses(quads: &[Quad]) -> Vec<usize> {
    let sideways = sideways(quads);
    let mut fit: Vec<usize> = (0..quads.len())
        .filter(|&n| {
            let q = &quads[n];
            let vertical = (q.b.y - q.a.y).abs() > (q.b.x - q.a.x).abs();
            vertical == sideways && WITNESS_ASPECT.contains(&(length(q) / thickness(q).max(1.0)))
        })
        .collect();
    fit.sort_by(|&a, &b| length(&quads[b]).total_cmp(&length(&quads[a])));
    fit.truncate(WITNESSES);
    fit
}

/// Reads some of the lines, as they lie.
pub(crate) fn read_lines(
    reader: &LineReader,
    image: &PageImage,
    quads: &[Quad],
    which: &[usize],
    workers: &Workers,
    control: &Control,
) -> Result<Vec<(usize, TextLine)>, EngineError> {
    read_all(reader, image, quads, which, 0, workers, control)
}

fn read_all(
    reader: &LineReader,
    image: &PageImage,
    quads: &[Quad],
    which: &[usize],
    quarters: usize,
    workers: &Workers,
    control: &Control,
) -> Result<Vec<(usize, TextLine)>, EngineError> {
    let queue = Mutex::new(which.iter().copied().collect::<VecDeque<usize>>());
    let read = Mutex::new(Vec::new());
    workers.drain(&queue, |n, pool| {
        if control.check().is_ok() {
            let line = reader.read(image, &turned(&quads[n], quarters), pool);
            read.lock()
                .expect("readers don't panic")
                .push(line.map(|line| (n, line)));
        }
    });
    read.into_inner()
        .expect("readers don't panic")
        .into_iter()
        .collect()
}

fn mean(read: &[(usize, TextLine)]) -> f32 {
    read.iter().map(|(_, line)| line.confidence).sum::<f32>() / read.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::Rect;

    #[test]
    fn only_a_clear_difference_turns_a_page() {
        assert_eq!(verdict(false, 0.85, 0.3), 0);
        assert_eq!(verdict(false, 0.5, 0.55), 0);
        assert_eq!(verdict(false, 0.5, 0.95), 2);
        assert_eq!(verdict(false, 0.2, 0.4), 0, "neither way is readable");
        assert_eq!(verdict(true, 0.95, 0.3), 3);
        assert_eq!(verdict(true, 0.3, 0.95), 1);
        assert_eq!(verdict(true, 0.3, 0.2), 0, "vertical writing is not sideways");
    }

    #[test]
    fn witnesses_are_long_lines_of_the_main_direction() {
        let flat = |x1| Quad::from_rect(Rect::new(0, 0, x1, 10));
        let down = turned(&Quad::from_rect(Rect::new(0, 0, 10, 80)), 1);
        let quads = [flat(50), flat(90), down, flat(12), flat(900)];
        assert!(!sideways(&quads));
        assert_eq!(witnesses(&quads), [1, 0]);
        assert!(sideways(&[down, down, flat(20)]));
        assert_eq!(witnesses(&[down, flat(30)]), [0]);
    }
}
