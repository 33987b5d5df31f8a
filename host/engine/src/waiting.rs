//! Who waits, and who is next: the highest priority first (`urgency.rs` says when not), within it the tenant that was
//! served least for its weight, within that the first that came.

use crate::{Tenant, Urgency};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What waits in one class: a queue by tenant.
type Queues<T> = BTreeMap<String, VecDeque<T>>;

/// A fair queue.
#[derive(Debug)]
pub struct Waiting<T> {
    /// By priority, the highest last.
    classes: BTreeMap<i32, Queues<T>>,
    urgency: Urgency,
    /// What each tenant was given, by weight; only differences count.
    served: HashMap<String, u64>,
    /// What the last one that was taken had been given.
    level: u64,
}

/// What a token counts for a tenant of weight 1; a multiple of most small weights, so that shares are exact.
const TOKEN: u64 = 5040;

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            classes: BTreeMap::new(),
            urgency: Urgency::default(),
            served: HashMap::new(),
            level: 0,
        }
    }
}

impl<T> Waiting<T> {
    /// Puts an item at the end of its tenant's queue, or back at its head.
    pub fn push(&mut self, of: &Tenant, item: T, at_head: bool) {
        let (priority, tenant) = (of.priority, &*of.name);
        let idle = self.classes.values().all(|queues| !queues.contains_key(tenant));
        if idle {
            // Who was away has no claim to the time the others used: it starts level with the least served of those here,
            // or with the one that was taken last.
            let least = self
                .tenants()
                .filter_map(|t| self.served.get(t))
                .min()
                .copied()
                .unwrap_or(self.level);
            let served = self.served.entry(tenant.to_owned()).or_default();
            *served = (*served).max(least);
        }
        let queue = self
            .classes
            .entry(priority)
            .or_default()
            .entry(tenant.to_owned())
            .or_default();
        match at_head {
            true => queue.push_front(item),
            false => queue.push_back(item),
        }
    }

    fn tenants(&self) -> impl Iterator<Item = &str> {
        self.classes
            .values()
            .flat_map(|queues| queues.keys().map(String::as_str))
    }

    /// Counts tokens that a tenant was given.
    pub fn charge(&mut self, tenant: &Tenant, tokens: u64) {
        let served = self.served.entry(tenant.name.to_string()).or_default();
        *served = served.saturating_add(tokens.saturating_mul(TOKEN) / u64::from(tenant.weight.max(1)));
    }

    fn next_key(&self) -> Option<(i32, String)> {
        let priority = self.urgency.next(self.classes.keys().copied())?;
        let queues = self.classes.get(&priority)?;
        let served = |tenant: &String| self.served.get(tenant).copied().unwrap_or(0);
        let tenant = queues.keys().min_by_key(|tenant| served(tenant))?;
        Some((priority, tenant.clone()))
    }

    /// Who is next.
    pub fn peek(&self) -> Option<&T> {
        let (priority, tenant) = self.next_key()?;
        self.classes[&priority][&tenant].front()
    }

    /// Whether who is next goes before the more urgent, because those have passed it by often enough.
    pub fn is_overdue(&self) -> bool {
        let most_urgent = self.classes.last_key_value().map(|(priority, _)| *priority);
        self.urgency.next(self.classes.keys().copied()) != most_urgent
    }

    /// Takes who is next.
    pub fn pop(&mut self) -> Option<T> {
        let (priority, tenant) = self.next_key()?;
        self.urgency.taken(priority, self.classes.keys().copied());
        self.level = self.served.get(&tenant).copied().unwrap_or(0);
        let queues = self.classes.get_mut(&priority)?;
        let queue = queues.get_mut(&tenant)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            queues.remove(&tenant);
        }
        if queues.is_empty() {
            self.classes.remove(&priority);
        }
        item
    }

    /// Takes out whatever `unwanted` says.
    pub fn remove(&mut self, unwanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for queues in self.classes.values_mut() {
            for queue in queues.values_mut() {
                let (out, kept): (VecDeque<T>, VecDeque<T>) = queue.drain(..).partition(&unwanted);
                removed.extend(out);
                *queue = kept;
            }
            queues.retain(|_, queue| !queue.is_empty());
        }
        self.classes.retain(|_, queues| !queues.is_empty());
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PASSES;

    #[test]
    fn tenants_share_whatever_the_length_of_their_queues() {
        let mut waiting = Waiting::default();
        (0..100).for_each(|n| waiting.push(&Tenant::named("many"), ("many", n), false));
        (0..10).for_each(|n| waiting.push(&Tenant::named("few"), ("few", n), false));
        let mut taken = HashMap::new();
        for _ in 0..20 {
            let (tenant, n) = waiting.pop().unwrap();
            assert_eq!(
                n,
                *taken.entry(tenant).or_insert(0),
                "within a tenant: first come, first served"
            );
            *taken.get_mut(tenant).unwrap() += 1;
            waiting.charge(&Tenant::named(tenant), 100);
        }
        assert_eq!((taken["many"], taken["few"]), (10, 10));
        assert_eq!(std::iter::from_fn(|| waiting.pop()).count(), 90);
    }

    #[test]
    fn the_urgent_go_first_and_who_comes_late_has_no_arrears() {
        let (a, b) = (Tenant::named("a"), Tenant::named("b"));
        let mut waiting = Waiting::default();
        waiting.push(&a, "a1", false);
        waiting.charge(&a, 1_000_000);
        waiting.push(&b, "b1", false);
        waiting.push(&b, "b2", false);
        let urgent = Tenant {
            priority: 9,
            ..a.clone()
        };
        waiting.push(&urgent, "urgent", false);
        assert_eq!(waiting.pop(), Some("urgent"));
        // b starts level with a, and is then charged.
        assert_eq!(waiting.pop(), Some("a1"));
        waiting.push(&a, "a2", false);
        waiting.charge(&a, 1);
        assert_eq!(waiting.pop(), Some("b1"));
        assert_eq!(waiting.remove(|item| *item == "a2"), ["a2"]);
        assert_eq!((waiting.pop(), waiting.pop()), (Some("b2"), None));
        // Nobody waits, and still c has no claim to what the others had.
        waiting.push(&Tenant::named("c"), "c1", false);
        waiting.push(&b, "b3", false);
        assert_eq!((waiting.pop(), waiting.pop()), (Some("b3"), Some("c1")));
    }

    #[test]
    fn an_endless_stream_of_urgent_items_lets_the_others_through() {
        let urgent = Tenant {
            priority: 1,
            ..Tenant::named("urgent")
        };
        let mut waiting = Waiting::default();
        (0..3).for_each(|n| waiting.push(&Tenant::named("patient"), ("patient", n), false));
        let mut taken = Vec::new();
        while taken.iter().filter(|(who, _)| *who == "patient").count() < 3 {
            assert!(taken.len() < 4 * PASSES, "{taken:?}");
            waiting.push(&urgent, ("urgent", taken.len()), false);
            let is_overdue = waiting.is_overdue();
            let next = waiting.pop().unwrap();
            assert_eq!(is_overdue, next.0 == "patient");
            taken.push(next);
        }
        let patient = (0..).map(|n| (PASSES + 1) * n + PASSES);
        assert!(
            patient.zip(0..3).all(|(at, n)| taken[at] == ("patient", n)),
            "{taken:?}"
        );
    }

    #[test]
    fn shares_follow_weights() {
        let heavy = Tenant {
            weight: 3,
            ..Tenant::named("heavy")
        };
        let light = Tenant::named("light");
        let mut waiting = Waiting::default();
        for _ in 0..100 {
            waiting.push(&heavy, "heavy", false);
            waiting.push(&light, "light", false);
        }
        let taken: Vec<&str> = (0..80)
            .map(|_| {
                let who = waiting.pop().unwrap();
                waiting.charge(if who == "heavy" { &heavy } else { &light }, 7);
                who
            })
            .collect();
        assert_eq!(taken.iter().filter(|who| **who == "heavy").count(), 60);
    }
}
