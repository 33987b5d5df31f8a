//! Who is next by priority: the most urgent that wait, but for one time in [`PASSES`] and one.
//!
//! Whoever is less urgent would otherwise wait for as long as urgent work keeps coming, which may be for ever. It is
//! counted how often each priority that waits was passed by; one that was passed by [`PASSES`] times goes first once, and
//! is counted anew. It is counts and not time that decide, so that the same work is done in the same order on every
//! machine.

use std::collections::BTreeMap;

/// How often more urgent work goes before.
pub const PASSES: usize = 16;

/// How often each priority that waits was passed by.
#[derive(Debug, Default)]
pub struct Urgency(BTreeMap<i32, usize>);

impl Urgency {
    /// Of the priorities that wait the one that is next.
    pub fn next(&self, waiting: impl IntoIterator<Item = i32>) -> Option<i32> {
        // An overdue one before all that are not, of these the one that was passed by most.
        let claim = |priority: &i32| {
            let passed = self.0.get(priority).copied().unwrap_or(0);
            (if passed < PASSES { 0 } else { passed }, *priority)
        };
        waiting.into_iter().max_by_key(claim)
    }

    /// One of `priority` was taken; `waiting` are the priorities that waited, that one among them or not.
    pub fn taken(&mut self, priority: i32, waiting: impl IntoIterator<Item = i32>) {
        let before = std::mem::take(&mut self.0);
        for other in waiting.into_iter().filter(|other| *other != priority) {
            let passed = before.get(&other).copied().unwrap_or(0);
            // Several of one priority were passed by once.
            self.0.insert(other, passed + usize::from(other < priority));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who goes first in so many rounds, where someone of each priority waits always.
    fn rounds(waiting: &[i32], rounds: usize) -> Vec<i32> {
        let mut urgency = Urgency::default();
        (0..rounds)
            .map(|_| {
                let next = urgency.next(waiting.iter().copied()).unwrap();
                urgency.taken(next, waiting.iter().copied());
                next
            })
            .collect()
    }

    #[test]
    fn the_less_urgent_go_first_once_they_were_passed_by_often_enough() {
        let served = rounds(&[0, 0, 5], 3 * (PASSES + 1));
        for part in served.chunks(PASSES + 1) {
            assert!(part[..PASSES].iter().all(|priority| *priority == 5) && part[PASSES] == 0);
        }
        // The middle one does not keep the last one out either.
        let served = rounds(&[-1, 0, 5], 100 * (PASSES + 2));
        let count = |of: i32| served.iter().filter(|priority| **priority == of).count();
        assert!(
            count(-1) >= 99 && count(0) >= 99 && count(5) >= 98 * PASSES,
            "{served:?}"
        );
    }

    #[test]
    fn who_no_longer_waits_is_counted_anew() {
        let mut urgency = Urgency::default();
        (0..PASSES).for_each(|_| urgency.taken(1, [0, 1]));
        assert_eq!(urgency.next([0, 1]), Some(0));
        urgency.taken(1, [1]);
        assert_eq!(urgency.next([0, 1]), Some(1));
        assert_eq!(urgency.next([]), None);
    }
}
