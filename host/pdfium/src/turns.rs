//! Who may have a child: so many at a time, first for the party that has fewest, then for who came first.
//!
//! A document keeps its child between pages, so a party that always has something to draw would keep all of them. Where
//! another one waits that has fewer, a document gives its child up after the page; the next page gets a fresh one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Whose documents they are; all of one party are equal.
pub(crate) type Party = Arc<str>;

/// The children that may live, and who waits for one. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    living: HashMap<Party, usize>,
    waiting: Vec<(u64, Party)>,
    asked: u64,
}

/// The right to have a child; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    party: Party,
    turns: Turns,
}

/// A place among those who wait; given up when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    order: u64,
    party: Party,
    turns: Turns,
}

impl Turns {
    /// For so many children at a time, one at least.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most: most.max(1),
            state: Mutex::default(),
        }))
    }

    /// Joins those who wait.
    pub fn ask(&self, party: &Party) -> Place {
        let mut state = self.state();
        let order = state.asked;
        state.asked += 1;
        state.waiting.push((order, party.clone()));
        Place {
            order,
            party: party.clone(),
            turns: self.clone(),
        }
    }

    /// How many children live.
    pub fn living(&self) -> usize {
        self.state().living()
    }

    /// Whether a child of this party is wanted by one that has fewer, where no other may come.
    pub fn is_wanted(&self, party: &Party) -> bool {
        let state = self.state();
        let has = |party: &Party| state.living.get(party).copied().unwrap_or(0);
        let fewer = state.waiting.iter().any(|(_, other)| has(other) < has(party));
        fewer && state.living() >= self.0.most
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no thread panics while it counts")
    }
}

impl Place {
    /// The right to a child, once it is this one's turn.
    pub fn permit(&self) -> Option<Permit> {
        let mut state = self.turns.state();
        if state.living() >= self.turns.0.most || state.next() != Some(self.order) {
            return None;
        }
        state.waiting.retain(|(order, _)| *order != self.order);
        *state.living.entry(self.party.clone()).or_default() += 1;
        Some(Permit {
            party: self.party.clone(),
            turns: self.turns.clone(),
        })
    }
}

impl State {
    fn living(&self) -> usize {
        self.living.values().sum()
    }

    /// Who is next.
    fn next(&self) -> Option<u64> {
        let claim = |(order, party): &&(u64, Party)| (self.living.get(party).copied().unwrap_or(0), *order);
        self.waiting.iter().min_by_key(claim).map(|(order, _)| *order)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(mut state) = self.turns.0.state.lock() {
            state.waiting.retain(|(order, _)| *order != self.order);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Ok(mut state) = self.turns.0.state.lock()
            && let Some(living) = state.living.get_mut(&self.party)
        {
            *living -= 1;
            state.living.retain(|_, living| *living > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_fewest_is_next_and_nobody_passes() {
        let turns = Turns::new(2);
        let (a, b): (Party, Party) = ("a".into(), "b".into());
        let first = turns.ask(&a).permit().unwrap();
        let second = turns.ask(&a).permit().unwrap();
        let (third, theirs) = (turns.ask(&a), turns.ask(&b));
        assert!(third.permit().is_none() && theirs.permit().is_none());
        // a's documents give up one child, and keep the last one.
        assert!(turns.is_wanted(&a) && !turns.is_wanted(&b));
        drop(first);
        assert!(third.permit().is_none(), "it came before, and has one already");
        let given = theirs.permit().unwrap();
        assert!(!turns.is_wanted(&a) && !turns.is_wanted(&b), "each has one");
        assert_eq!(turns.living(), 2);
        drop((second, given));
        assert!(third.permit().is_some());
    }

    #[test]
    fn whoever_no_longer_waits_keeps_nobody_out() {
        let turns = Turns::new(1);
        let (a, b): (Party, Party) = ("a".into(), "b".into());
        let gone = turns.ask(&b);
        let waits = turns.ask(&a);
        assert!(waits.permit().is_none());
        drop(gone);
        let permit = waits.permit().unwrap();
        assert_eq!(turns.living(), 1);
        drop(permit);
        assert_eq!((turns.living(), turns.is_wanted(&a)), (0, false));
    }
}
