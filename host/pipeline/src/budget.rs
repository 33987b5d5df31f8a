//! How many bytes of pages may be alive at a time, over all documents of a run, and whose.
//!
//! Everyone has a place of its own for an ordinary page, so that nobody's large pages keep another's out. What does not go
//! there takes of the room that all share: first the highest priority (but for one time in a few: [`Urgency`]), then who has
//! least of it for its weight, then who came first. In the shared room nobody passes the one who is next, so a large page is
//! not kept waiting for ever by a stream of small ones of its priority.

use ocr_engine::{Tenant, Urgency};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Bytes of pages between adapters and formatters: the largest page there is (40 megapixels in colour) and some, or
/// thirty A4 pages at 150 dpi.
const PAGE_BYTES: u64 = 192 << 20;

/// Bytes more for each page that the engine reads at a time beyond a few, and of each tenant's own place: an A4 page at
/// 200 dpi.
const BYTES_A_PAGE: u64 = 12 << 20;
/// The few.
const FEW_PAGES: usize = 4;

/// How often one that waits looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// A run's budget of page bytes; clones share it.
#[derive(Debug, Clone)]
pub struct PageBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Bytes that all share.
    most: u64,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is taken of the bytes that all share.
    used: u64,
    /// By name; those that hold nothing are not in it.
    tenants: HashMap<Arc<str>, Held>,
    waiting: Vec<Waiting>,
    urgency: Urgency,
    /// How many have asked.
    asked: u64,
}

/// What a tenant has.
#[derive(Debug, Default)]
struct Held {
    shared: u64,
    own: u64,
}

#[derive(Debug)]
struct Waiting {
    order: u64,
    tenant: Tenant,
}

/// A page's share; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    bytes: u64,
    is_own: bool,
    tenant: Arc<str>,
    budget: PageBudget,
}

impl PageBudget {
    /// A budget for an engine that reads so many pages at a time.
    pub fn new(pages_at_a_time: usize) -> Self {
        let more = pages_at_a_time.saturating_sub(FEW_PAGES) as u64 * BYTES_A_PAGE;
        Self(Arc::new(Shared {
            most: PAGE_BYTES + more,
            state: Mutex::default(),
            freed: Condvar::new(),
        }))
    }

    /// Takes `bytes` for a tenant once they are free; a page alone gets through whatever its size. `None` once nobody
    /// wants it.
    ///
    /// Pages are given back in the order in which they were taken within a document, and none waits for another
    /// while it holds what that one needs, so this cannot lock up.
    pub(crate) fn take(&self, tenant: &Tenant, bytes: u64, unwanted: impl Fn() -> bool) -> Option<Share> {
        let mut state = self.state();
        let order = state.asked;
        state.asked += 1;
        state.waiting.push(Waiting {
            order,
            tenant: tenant.clone(),
        });
        let is_own = loop {
            if let Some(is_own) = state.place(order, tenant, bytes, self.0.most) {
                break Some(is_own);
            }
            if unwanted() {
                break None;
            }
            let waited = self.0.freed.wait_timeout(state, LOOK);
            state = waited.expect("no thread panics while it counts").0;
        };
        if is_own == Some(false) {
            state.passes(tenant.priority);
        }
        state.waiting.retain(|waiting| waiting.order != order);
        // Whoever was behind it may be next.
        self.0.freed.notify_all();
        let is_own = is_own?;
        let held = state.tenants.entry(tenant.name.clone()).or_default();
        match is_own {
            true => held.own += bytes,
            false => {
                held.shared += bytes;
                state.used += bytes;
            }
        }
        Some(Share {
            bytes,
            is_own,
            tenant: tenant.name.clone(),
            budget: self.clone(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no thread panics while it counts")
    }
}

impl State {
    /// Where there is room for who asked at `order`: in its own place, or in that of all; `None`: not yet.
    fn place(&self, order: u64, tenant: &Tenant, bytes: u64, most: u64) -> Option<bool> {
        let own = self.tenants.get(&tenant.name).map_or(0, |held| held.own);
        if own + bytes <= BYTES_A_PAGE {
            return Some(true);
        }
        let fits = self.used == 0 || self.used + bytes <= most;
        (fits && self.next() == Some(order)).then_some(false)
    }

    /// One of `priority` has got room, and the others that wait have not.
    fn passes(&mut self, priority: i32) {
        let priorities = self.waiting.iter().map(|waiting| waiting.tenant.priority);
        self.urgency.taken(priority, priorities);
    }

    /// Who is next in the room of all.
    fn next(&self) -> Option<u64> {
        let claim = |waiting: &Waiting| {
            let tenant = &waiting.tenant;
            let held = self.tenants.get(&tenant.name).map_or(0, |held| held.shared);
            (held / u64::from(tenant.weight.max(1)), waiting.order)
        };
        let priorities = self.waiting.iter().map(|waiting| waiting.tenant.priority);
        let priority = self.urgency.next(priorities)?;
        self.waiting
            .iter()
            .filter(|waiting| waiting.tenant.priority == priority)
            .min_by_key(|waiting| claim(waiting))
            .map(|next| next.order)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Ok(mut state) = self.budget.0.state.lock() {
            if !self.is_own {
                state.used -= self.bytes;
            }
            if let Some(held) = state.tenants.get_mut(&self.tenant) {
                match self.is_own {
                    true => held.own -= self.bytes,
                    false => held.shared -= self.bytes,
                }
            }
            state.tenants.retain(|_, held| held.own + held.shared > 0);
        }
        self.budget.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_engine::PASSES;

    /// More than fits in a tenant's own place.
    const LARGE: u64 = 40 << 20;

    fn idle(budget: &PageBudget) -> bool {
        let state = budget.state();
        state.used == 0 && state.tenants.is_empty() && state.waiting.is_empty()
    }

    /// Someone who waits for a page, once it does.
    fn waits(budget: &PageBudget, tenant: &Tenant, bytes: u64) -> std::thread::JoinHandle<Share> {
        let before = budget.state().waiting.len();
        let (waiter, tenant) = (budget.clone(), tenant.clone());
        let waiting = std::thread::spawn(move || waiter.take(&tenant, bytes, || false).unwrap());
        while budget.state().waiting.len() == before {
            std::thread::yield_now();
        }
        waiting
    }

    #[test]
    fn pages_wait_until_there_is_room() {
        let (budget, a) = (PageBudget::new(1), Tenant::named("a"));
        let giant = budget.take(&a, PAGE_BYTES * 2, || false).unwrap();
        assert!(
            budget.take(&a, LARGE, || true).is_none(),
            "there is no room beside it"
        );
        let waiting = waits(&budget, &a, LARGE);
        drop(giant);
        drop(waiting.join().unwrap());
        assert!(idle(&budget));
    }

    #[test]
    fn an_ordinary_page_gets_in_whatever_others_hold() {
        let (budget, a, b) = (PageBudget::new(1), Tenant::named("a"), Tenant::named("b"));
        let giants: Vec<Share> = (0..4)
            .map(|_| budget.take(&a, PAGE_BYTES / 4, || true).unwrap())
            .collect();
        let ordinary = budget.take(&b, BYTES_A_PAGE, || true);
        assert!(ordinary.is_some(), "it has a place of its own");
        assert!(budget.take(&b, BYTES_A_PAGE, || true).is_none(), "for one");
        drop((giants, ordinary));
        assert!(idle(&budget));
    }

    #[test]
    fn a_large_page_is_not_passed_by_those_of_who_has_more() {
        let (budget, a, b) = (PageBudget::new(1), Tenant::named("a"), Tenant::named("b"));
        let mut held: Vec<Share> = (0..4).map(|_| budget.take(&a, LARGE, || true).unwrap()).collect();
        // There is room for another one of a's, and not for b's.
        let waiting = waits(&budget, &b, 2 * LARGE);
        assert!(budget.take(&a, LARGE / 2, || true).is_none(), "b is next");
        drop(held.pop());
        assert!(budget.take(&a, LARGE / 2, || true).is_none(), "b is still next");
        drop(held.pop());
        let theirs = waiting.join().unwrap();
        assert!(
            budget.take(&a, LARGE / 2, || true).is_some(),
            "nobody waits any more"
        );
        drop((held, theirs));
        assert!(idle(&budget));
    }

    #[test]
    fn an_endless_stream_of_urgent_pages_lets_the_others_through() {
        let urgent = Tenant {
            priority: 1,
            ..Tenant::named("urgent")
        };
        let (budget, patient) = (PageBudget::new(1), Tenant::named("patient"));
        let mut held = budget.take(&urgent, PAGE_BYTES, || true).unwrap();
        let waiting = waits(&budget, &patient, PAGE_BYTES);
        // Before one is done the next one waits, and there is room for one.
        for _ in 0..PASSES {
            let next = waits(&budget, &urgent, PAGE_BYTES);
            drop(held);
            held = next.join().unwrap();
            assert!(!waiting.is_finished());
        }
        let next = waits(&budget, &urgent, PAGE_BYTES);
        drop(held);
        let theirs = waiting.join().unwrap();
        assert!(!next.is_finished());
        drop(theirs);
        drop(next.join().unwrap());
        assert!(idle(&budget));
    }

    #[test]
    fn room_is_shared_by_weight_and_the_urgent_go_first() {
        let heavy = Tenant {
            weight: 3,
            ..Tenant::named("heavy")
        };
        let urgent = Tenant {
            priority: 1,
            ..Tenant::named("urgent")
        };
        let (budget, light) = (PageBudget::new(1), Tenant::named("light"));
        let first = budget.take(&heavy, 2 * LARGE, || true).unwrap();
        let second = budget.take(&light, LARGE, || true).unwrap();
        let third = budget.take(&Tenant::named("other"), LARGE, || true).unwrap();
        // Two for three parts are less than one for one.
        let (late, early) = (waits(&budget, &light, LARGE), waits(&budget, &heavy, LARGE));
        let before = waits(&budget, &urgent, LARGE);
        drop(third);
        let urgent = before.join().unwrap();
        assert!(!early.is_finished() && !late.is_finished());
        drop(urgent);
        let heavy = early.join().unwrap();
        assert!(!late.is_finished());
        drop((first, second, heavy));
        drop(late.join().unwrap());
        assert!(idle(&budget));
    }
}
