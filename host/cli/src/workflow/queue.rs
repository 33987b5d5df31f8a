//! Documents that wait, a lane for each tenant, and which is next: of the most urgent lanes (but for one time in a few:
//! [`Urgency`]) the one with the fewest documents under way for its weight, among those the one that had the fewest pages
//! read while it had documents.
//!
//! Pages are shared in the engine's own queue; here it is seen to that every tenant has documents under way at all. Time
//! without documents is no credit: who comes back starts level with the others, as in the engine's queue.

use crate::inputs::Input;
use ocr_engine::{Tenant, Urgency};
use ocr_pipeline::{DocumentReport, Failure};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

/// Reports of a lane that are kept; a run that watches its inputs may go on for months.
const REPORTS: usize = 1000;

/// What a page counts for a tenant of weight 1.
const PAGE: u64 = 1000;

/// A document on its way, with its place in the lane.
pub struct Taken {
    pub lane: usize,
    pub order: u64,
    pub document: Input,
}

/// Lanes of documents.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Documents of one lane that may be under way.
    at_a_time: usize,
    /// Whether documents come until someone interrupts it.
    is_endless: bool,
}

struct State {
    lanes: Vec<Lane>,
    urgency: Urgency,
    is_closed: bool,
    /// Whether nothing is handed out for now.
    is_held: bool,
}

struct Lane {
    tenant: Tenant,
    waiting: VecDeque<(u64, Input)>,
    under_way: usize,
    /// Pages that were read for it, by its weight; only differences count.
    served: u64,
    next: u64,
    done: VecDeque<(u64, DocumentReport)>,
    /// Whether there is something to report.
    is_changed: bool,
}

impl Queue {
    pub fn new(tenants: impl IntoIterator<Item = Tenant>, at_a_time: usize, is_endless: bool) -> Self {
        let lane = |tenant| Lane {
            tenant,
            waiting: VecDeque::new(),
            under_way: 0,
            served: 0,
            next: 0,
            done: VecDeque::new(),
            is_changed: false,
        };
        Self {
            state: Mutex::new(State {
                lanes: tenants.into_iter().map(lane).collect(),
                urgency: Urgency::default(),
                is_closed: false,
                is_held: false,
            }),
            changed: Condvar::new(),
            at_a_time,
            is_endless,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it queues")
    }

    /// Puts a document at the end of a lane.
    pub fn push(&self, lane: usize, document: Input) {
        let mut state = self.state();
        if state.lanes[lane].is_idle() {
            state.lanes[lane].served = state.level(lane);
        }
        let lane = &mut state.lanes[lane];
        lane.waiting.push_back((lane.next, document));
        lane.next += 1;
        self.changed.notify_all();
    }

    /// A reload may change a tenant's weight and priority.
    pub fn set_tenant(&self, lane: usize, tenant: Tenant) {
        self.state().lanes[lane].tenant = tenant;
    }

    /// Hands out nothing from now on, if nothing is under way; whether that is so. What is drained stays so.
    pub fn hold(&self) -> bool {
        let mut state = self.state();
        let is_idle = state.is_idle();
        state.is_held |= is_idle;
        is_idle
    }

    /// Hands out nothing from now on, so that what is under way comes to its end.
    pub fn drain(&self) {
        self.state().is_held = true;
    }

    /// Goes on after a hold.
    pub fn release(&self) {
        self.state().is_held = false;
        self.changed.notify_all();
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    /// No more documents come; those that are there are handed out.
    pub fn close(&self) {
        let mut state = self.state();
        (state.is_closed, state.is_held) = (true, false);
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the documents that wait, for `why`, and takes no more: there is nothing that could read them.
    pub fn give_up(&self, why: &Failure) {
        let mut state = self.state();
        state.is_closed = true;
        for lane in &mut state.lanes {
            for (order, document) in std::mem::take(&mut lane.waiting) {
                let report = DocumentReport::failed(&document.shown, why.clone());
                lane.done.push_back((order, report));
                lane.is_changed = true;
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The next document, once there is one; `None` when the queue was closed and nothing waits.
    pub fn pop(&self) -> Option<Taken> {
        let mut state = self.state();
        loop {
            if !state.is_held
                && let Some(at) = state.next(self.at_a_time)
            {
                state.takes(at, self.at_a_time);
                let lane = &mut state.lanes[at];
                let (order, document) = lane.waiting.pop_front()?;
                lane.under_way += 1;
                return Some(Taken {
                    lane: at,
                    order,
                    document,
                });
            }
            if state.is_closed && state.lanes.iter().all(|lane| lane.waiting.is_empty()) {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .expect("no thread panics while it queues");
        }
    }

    /// A document has ended.
    pub fn done(&self, lane: usize, order: u64, report: DocumentReport) {
        let mut state = self.state();
        let lane = &mut state.lanes[lane];
        lane.under_way -= 1;
        let pages = report.pages.len().max(1) as u64;
        lane.served += pages * PAGE / u64::from(lane.tenant.weight.max(1));
        lane.done.push_back((order, report));
        lane.is_changed = true;
        // A run that ends reports all of its documents.
        if lane.done.len() > REPORTS && self.is_endless {
            lane.done.pop_front();
        }
        self.changed.notify_all();
    }

    /// A lane's reports in the order of its documents, if one came since this was asked.
    pub fn news(&self, lane: usize) -> Option<Vec<DocumentReport>> {
        let mut state = self.state();
        let lane = &mut state.lanes[lane];
        std::mem::take(&mut lane.is_changed).then(|| lane.reports())
    }

    /// A lane's reports in the order of its documents.
    pub fn reports(&self, lane: usize) -> Vec<DocumentReport> {
        self.state().lanes[lane].reports()
    }

    /// Documents that wait or are under way.
    pub fn open(&self) -> usize {
        self.state()
            .lanes
            .iter()
            .map(|lane| lane.waiting.len() + lane.under_way)
            .sum()
    }
}

impl Lane {
    /// Whether a document may be taken.
    fn may(&self, at_a_time: usize) -> bool {
        !self.waiting.is_empty() && self.under_way < at_a_time
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    fn reports(&self) -> Vec<DocumentReport> {
        let mut done: Vec<&(u64, DocumentReport)> = self.done.iter().collect();
        done.sort_by_key(|(order, _)| *order);
        done.into_iter().map(|(_, report)| report.clone()).collect()
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.under_way == 0)
    }

    /// Where a lane starts that had nothing to do: with what it was given, or level with the least served of those of its
    /// priority that have documents, or, where nobody has, with the most served of them.
    fn level(&self, lane: usize) -> u64 {
        let priority = self.lanes[lane].tenant.priority;
        let peers = || self.lanes.iter().filter(|peer| peer.tenant.priority == priority);
        let busy = peers()
            .filter(|peer| !peer.is_idle())
            .map(|peer| peer.served)
            .min();
        let level = busy.or_else(|| peers().map(|peer| peer.served).max());
        self.lanes[lane].served.max(level.unwrap_or(0))
    }

    fn next(&self, at_a_time: usize) -> Option<usize> {
        let priority = self.urgency.next(self.priorities(at_a_time))?;
        let is_of_it = |lane: &Lane| lane.may(at_a_time) && lane.tenant.priority == priority;
        let lanes = self.lanes.iter().enumerate().filter(|(_, lane)| is_of_it(lane));
        let claim = |lane: &Lane| {
            let weight = u64::from(lane.tenant.weight.max(1));
            (lane.under_way as u64 * PAGE / weight, lane.served)
        };
        lanes.min_by_key(|(_, lane)| claim(lane)).map(|(at, _)| at)
    }

    /// A document of lane `at` is taken, and those of the others that might be are not.
    fn takes(&mut self, at: usize, at_a_time: usize) {
        let priorities: Vec<i32> = self.priorities(at_a_time).collect();
        self.urgency.taken(self.lanes[at].tenant.priority, priorities);
    }

    /// Priorities of the lanes that may have a document taken.
    fn priorities(&self, at_a_time: usize) -> impl Iterator<Item = i32> {
        let lanes = self.lanes.iter().filter(move |lane| lane.may(at_a_time));
        lanes.map(|lane| lane.tenant.priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs;
    use ocr_engine::PASSES;
    use ocr_pipeline::Failure;

    fn filled(tenants: &[Tenant], each: usize) -> Queue {
        let queue = Queue::new(tenants.iter().cloned(), 2, false);
        let names: Vec<String> = (0..each).map(|n| format!("{n}.pdf")).collect();
        for lane in 0..tenants.len() {
            for document in inputs::expand(&names, &[], None).unwrap() {
                queue.push(lane, document);
            }
        }
        queue.close();
        queue
    }

    fn done(queue: &Queue, taken: Taken) {
        let report = DocumentReport::failed(&taken.document.shown, Failure::new("", ""));
        queue.done(taken.lane, taken.order, report);
    }

    #[test]
    fn every_tenant_has_documents_under_way() {
        let queue = filled(&[Tenant::named("a"), Tenant::named("b")], 10);
        let (first, second) = (queue.pop().unwrap(), queue.pop().unwrap());
        assert_eq!((first.lane, second.lane), (0, 1));
        // However long one of them takes, the other does not get both places of the next.
        done(&queue, second);
        let third = queue.pop().unwrap();
        assert_eq!(third.lane, 1);
        done(&queue, third);
        assert_eq!(queue.pop().unwrap().lane, 1);
        assert_eq!(queue.open(), 18);
    }

    /// Reads one document of the lane that is next.
    fn read(queue: &Queue) -> usize {
        let taken = queue.pop().unwrap();
        let lane = taken.lane;
        done(queue, taken);
        lane
    }

    #[test]
    fn who_was_away_has_no_claim_to_the_pages_of_the_others() {
        let queue = Queue::new([Tenant::named("a"), Tenant::named("b")], 2, true);
        let push = |lane: usize, count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("{n}.pdf")).collect();
            let documents = inputs::expand(&names, &[], None).unwrap();
            documents
                .into_iter()
                .for_each(|document| queue.push(lane, document));
        };
        // b has nothing for a long time, while a is read for.
        push(0, 110);
        (0..100).for_each(|_| assert_eq!(read(&queue), 0));
        push(1, 10);
        let taken: Vec<usize> = (0..20).map(|_| read(&queue)).collect();
        assert_eq!(taken.iter().filter(|lane| **lane == 0).count(), 10, "{taken:?}");
        assert!(taken.windows(3).all(|three| three != [1, 1, 1]), "{taken:?}");
        // Nor has who comes first where nobody has any.
        push(1, 4);
        (0..4).for_each(|_| assert_eq!(read(&queue), 1));
        push(0, 4);
        push(1, 4);
        let taken: Vec<usize> = (0..8).map(|_| read(&queue)).collect();
        assert!(taken.windows(3).all(|three| three != [0, 0, 0]), "{taken:?}");
    }

    #[test]
    fn an_endless_stream_of_urgent_documents_lets_the_others_through() {
        let urgent = Tenant {
            priority: 1,
            ..Tenant::named("urgent")
        };
        let queue = filled(&[Tenant::named("patient"), urgent], 3 * PASSES);
        let taken: Vec<usize> = (0..2 * (PASSES + 1)).map(|_| read(&queue)).collect();
        for part in taken.chunks(PASSES + 1) {
            assert!(
                part[..PASSES].iter().all(|lane| *lane == 1) && part[PASSES] == 0,
                "{taken:?}"
            );
        }
    }

    #[test]
    fn nothing_is_handed_out_while_the_engine_is_changed() {
        let queue = filled(&[Tenant::named("a")], 2);
        let taken = queue.pop().unwrap();
        assert!(!queue.hold() && !queue.is_idle(), "something is under way");
        queue.drain();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.pop().is_some());
            let waits_on = || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                !waits.is_finished()
            };
            assert!(waits_on(), "what is under way comes to its end first");
            done(&queue, taken);
            assert!(queue.hold() && queue.is_idle() && waits_on());
            queue.release();
            assert!(waits.join().unwrap());
        });
    }

    #[test]
    fn another_change_does_not_end_a_drain() {
        let queue = filled(&[Tenant::named("a")], 3);
        let taken = queue.pop().unwrap();
        queue.drain();
        assert!(!queue.hold(), "something is under way still");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.pop().is_some());
            // Whoever waits is woken, as it is when a document ends.
            let wakes = || {
                queue.changed.notify_all();
                std::thread::sleep(std::time::Duration::from_millis(20));
                !waits.is_finished()
            };
            assert!(wakes(), "and nothing more may begin");
            done(&queue, taken);
            assert!(wakes());
            queue.release();
            assert!(waits.join().unwrap());
        });
    }

    #[test]
    fn where_no_engine_is_left_nothing_is_begun() {
        let queue = Queue::new([Tenant::named("a"), Tenant::named("b")], 2, true);
        for lane in 0..2 {
            let documents = inputs::expand(&["0.pdf".to_owned()], &[], None).unwrap();
            documents
                .into_iter()
                .for_each(|document| queue.push(lane, document));
        }
        assert!(queue.hold());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.pop().is_none());
            std::thread::sleep(std::time::Duration::from_millis(20));
            queue.give_up(&Failure::new("no-engine", "none"));
            // As the run does at its end.
            queue.close();
            assert!(waits.join().unwrap());
        });
        assert_eq!(queue.open(), 0);
        for lane in 0..2 {
            let reports = queue.news(lane).expect("what waited is told of");
            assert_eq!(reports.len(), 1);
            assert_eq!(reports[0].errors[0].code, "no-engine");
        }
    }

    #[test]
    fn the_urgent_go_first_and_reports_keep_the_order_of_documents() {
        let urgent = Tenant {
            priority: 1,
            ..Tenant::named("b")
        };
        let queue = filled(&[Tenant::named("a"), urgent], 2);
        let (first, second) = (queue.pop().unwrap(), queue.pop().unwrap());
        assert_eq!((first.lane, second.lane), (1, 1));
        assert!(queue.news(1).is_none());
        done(&queue, second);
        done(&queue, first);
        let shown: Vec<String> = queue.news(1).unwrap().into_iter().map(|r| r.input).collect();
        assert_eq!(shown, ["0.pdf", "1.pdf"]);
        for _ in 0..2 {
            let taken = queue.pop().unwrap();
            done(&queue, taken);
        }
        assert!(queue.pop().is_none());
    }
}
