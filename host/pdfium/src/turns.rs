//! Who may have a child: so many at a time, first for the party that has fewest, then for the one whose last turn was
//! longest ago, within it for who came first.
//!
//! A document keeps its child between pages, so one that always has something to draw would keep it for good. Where another
//! one waits for it, of a party that has fewer or of the same, a document gives its child up; but not before it had it
//! for a turn ([`Turn`]), because the next child has to start and to open the document anew. So of the pages drawn, one in
//! [`TURN_PAGES`] at most waits for that, or one in [`TURN_TIME`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A turn ends after so many pages, or so much time, whichever comes first: starting a child and opening an ordinary
/// document takes as long as drawing one or two pages.
const TURN_PAGES: u32 = 16;
const TURN_TIME: Duration = Duration::from_secs(2);

/// A child may rest so long within its turn, or as long as it took to start if that is longer: from then on it costs
/// others more than it costs its document to start another one.
const REST: Duration = Duration::from_millis(100);

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
    /// How many have asked, and how many permits were given.
    asked: u64,
    given: u64,
    /// Each party's last permit; those that never had one are not in it.
    last: HashMap<Party, u64>,
}

/// What a document has had of its child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    began: Instant,
    /// How long it took to start the child and to open the document in it.
    cost: Duration,
    pages: u32,
    last_used: Instant,
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

    /// Whether a child of this party is wanted by a party that has fewer or by another document of the same, where no
    /// other child may come.
    pub fn is_wanted(&self, party: &Party) -> bool {
        let state = self.state();
        let claims = |(_, other): &(u64, Party)| state.may_claim(other, party);
        state.living() >= self.0.most && state.waiting.iter().any(claims)
    }

    /// How much there is to be said for ending a resting child of `owner`'s for one who waits: the more its owner has,
    /// and the longer it has rested. `None`: it is to be kept.
    ///
    /// A party that has no fewer has no claim to it, and gets only what has rested for as long as a turn takes; else a
    /// document that draws a page now and then would find its child gone each time, and wait for another's turn to end.
    pub fn spare(
        &self,
        owner: &Party,
        turn: &Turn,
        waits: &Party,
        now: Instant,
    ) -> Option<(usize, Duration)> {
        let state = self.state();
        let rested = turn.rested(now);
        let is_spare = match state.may_claim(waits, owner) {
            true => turn.is_over(now) || rested >= turn.cost.max(REST),
            false => rested >= TURN_TIME,
        };
        is_spare.then(|| (state.has(owner), rested))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no thread panics while it counts")
    }
}

impl Turn {
    /// Of a child that was asked for at `asked` and now has its document.
    pub fn new(asked: Instant, now: Instant) -> Self {
        Self {
            began: now,
            cost: now.saturating_duration_since(asked),
            pages: 0,
            last_used: now,
        }
    }

    /// One more page.
    pub fn draws(&mut self) {
        self.pages += 1;
    }

    /// Something was done until now.
    pub fn used(&mut self, now: Instant) {
        self.last_used = now;
    }

    /// Pages so far.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// How long the child has had nothing to do.
    pub fn rested(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_used)
    }

    /// Whether the document has had its share, if others wait.
    pub fn is_over(&self, now: Instant) -> bool {
        self.pages >= TURN_PAGES || now.saturating_duration_since(self.began) >= TURN_TIME
    }
}

impl Place {
    /// Whether it is this one's turn, once a child may come.
    pub fn is_next(&self) -> bool {
        self.turns.state().next() == Some(self.order)
    }

    /// The right to a child, once it is this one's turn.
    pub fn permit(&self) -> Option<Permit> {
        let mut state = self.turns.state();
        if state.living() >= self.turns.0.most || state.next() != Some(self.order) {
            return None;
        }
        state.waiting.retain(|(order, _)| *order != self.order);
        *state.living.entry(self.party.clone()).or_default() += 1;
        state.given += 1;
        let given = state.given;
        state.last.insert(self.party.clone(), given);
        Some(Permit {
            party: self.party.clone(),
            turns: self.turns.clone(),
        })
    }
}

impl Permit {
    /// Whose child it is.
    pub fn party(&self) -> &Party {
        &self.party
    }
}

impl State {
    fn living(&self) -> usize {
        self.living.values().sum()
    }

    fn has(&self, party: &Party) -> usize {
        self.living.get(party).copied().unwrap_or(0)
    }

    /// Whether one of `waits` has a claim to a child of `owner`'s.
    fn may_claim(&self, waits: &Party, owner: &Party) -> bool {
        waits == owner || self.has(waits) < self.has(owner)
    }

    /// Who is next.
    fn next(&self) -> Option<u64> {
        let claim = |(order, party): &&(u64, Party)| (self.has(party), self.last.get(party).copied(), *order);
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
        let theirs = turns.ask(&b);
        assert!(theirs.permit().is_none());
        // a's documents give up one child, and keep the last one.
        assert!(turns.is_wanted(&a));
        let third = turns.ask(&a);
        drop(first);
        assert!(third.permit().is_none() && !third.is_next(), "it has one already");
        let given = theirs.permit().unwrap();
        assert!(turns.is_wanted(&a), "by its third document");
        assert!(!turns.is_wanted(&b), "each has one");
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

    #[test]
    fn the_richest_gives_first_and_an_only_child_is_left_to_who_has_none() {
        let turns = Turns::new(3);
        let [a, b, c]: [Party; 3] = ["a", "b", "c"].map(Party::from);
        let permits: Vec<Permit> = [&a, &a, &b].map(|of| turns.ask(of).permit().unwrap()).into();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let turn = Turn::new(start, at(20));
        let spare = |owner: &Party, waits: &Party, ms| turns.spare(owner, &turn, waits, at(ms));
        // Within its turn it may rest for a moment.
        assert_eq!(spare(&a, &c, 60), None);
        assert!(spare(&a, &c, 500) > spare(&b, &c, 500), "a has more");
        assert!(
            spare(&b, &c, 500).is_some(),
            "c has none, and a's may be at work all"
        );
        assert_eq!(spare(&b, &a, 500), None, "a has more than b");
        assert!(spare(&b, &a, 2500).is_some(), "and b has no use for it");
        assert!(spare(&b, &b, 500).is_some());
        // One that was slow to start rests longer, up to the turn's end.
        let slow = Turn::new(start, at(900));
        assert_eq!(turns.spare(&a, &slow, &c, at(1700)), None);
        assert!(turns.spare(&a, &slow, &c, at(1900)).is_some());
        drop(permits);
    }

    /// A document in a run without processes: it draws all the time.
    struct Drawing {
        party: Party,
        left: u32,
        has: Option<(Permit, Turn)>,
        waits: Option<Place>,
        /// When its last page was done.
        done: Instant,
    }

    /// Documents of these parties draw so many pages each, with `most` children, each page in 10 ms and each start in
    /// 50; answers how often a child was started, and when each document was done.
    fn run(parties: &[&str], pages: u32, most: usize) -> (u32, Vec<Duration>) {
        let (turns, start) = (Turns::new(most), Instant::now());
        let mut documents: Vec<Drawing> = parties
            .iter()
            .map(|&party| Drawing {
                party: party.into(),
                left: pages,
                has: None,
                waits: None,
                done: start,
            })
            .collect();
        let (mut now, mut starts) = (start, 0);
        while documents.iter().any(|document| document.left > 0) {
            now += Duration::from_millis(10);
            for document in documents.iter_mut().filter(|document| document.left > 0) {
                match &mut document.has {
                    // It starts still.
                    Some((_, turn)) if turn.began > now => {}
                    Some((_, turn)) => {
                        turn.draws();
                        turn.used(now);
                        document.left -= 1;
                        document.done = now;
                        if document.left == 0 || (turn.is_over(now) && turns.is_wanted(&document.party)) {
                            document.has = None;
                        }
                    }
                    None => {
                        let place = document.waits.get_or_insert_with(|| turns.ask(&document.party));
                        if let Some(permit) = place.permit() {
                            starts += 1;
                            document.waits = None;
                            document.has = Some((permit, Turn::new(now, now + Duration::from_millis(50))));
                        }
                    }
                }
            }
        }
        (
            starts,
            documents.iter().map(|document| document.done - start).collect(),
        )
    }

    #[test]
    fn children_are_started_once_a_turn_and_all_get_on() {
        for (parties, most) in [
            (vec!["a", "b", "c", "d", "e", "f", "g"], 1),
            (vec!["a", "b", "c", "d", "e", "f", "g"], 2),
            // All of one party.
            (vec!["a"; 5], 2),
            (vec!["a", "a", "a", "b"], 2),
        ] {
            let (pages, documents) = (160, parties.len() as u32);
            let (starts, done) = run(&parties, pages, most);
            let all = pages * documents;
            assert!(
                starts <= all / TURN_PAGES + documents,
                "{starts} starts for {all} pages of {parties:?} by {most}"
            );
            // Where all draw alike, nobody ends long before the others.
            let (first, last) = (done.iter().min().unwrap(), done.iter().max().unwrap());
            let whole = Duration::from_millis(u64::from(10 * all + 60 * starts) / most as u64);
            assert!(*last < whole * 3 / 2, "{last:?} of {whole:?}");
            if parties.iter().all(|party| party == &parties[0]) || parties[0] != parties[1] {
                assert!(*first * 5 > *last * 3, "{done:?}");
            }
        }
    }

    #[test]
    fn parties_share_alike_whatever_their_documents() {
        let (_, done) = run(&["many", "many", "many", "few"], 160, 1);
        // A turn in two is few's, until it is done; the others have a sixth each.
        assert!(done[3] * 3 < done[0] * 2 && done[3] * 3 < done[2] * 2, "{done:?}");
    }
}
