//! How many bytes of pages may be alive at a time, over all documents of a run.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Bytes of pages between adapters and formatters: the largest page there is (40 megapixels in colour) and some, or
/// thirty A4 pages at 150 dpi.
const PAGE_BYTES: u64 = 192 << 20;

/// Bytes more for each page that the engine reads at a time beyond a few: an A4 page at 200 dpi.
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
    most: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// A page's share; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    bytes: u64,
    budget: PageBudget,
}

impl PageBudget {
    /// A budget for an engine that reads so many pages at a time.
    pub fn new(pages_at_a_time: usize) -> Self {
        let more = pages_at_a_time.saturating_sub(FEW_PAGES) as u64 * BYTES_A_PAGE;
        Self(Arc::new(Shared {
            most: PAGE_BYTES + more,
            used: Mutex::default(),
            freed: Condvar::new(),
        }))
    }

    /// Takes `bytes` once they are free; a page alone gets through whatever its size. `None` once nobody wants it.
    ///
    /// Pages are given back in the order in which they were taken within a document, and none waits for another
    /// while it holds what that one needs, so this cannot lock up.
    pub(crate) fn take(&self, bytes: u64, unwanted: impl Fn() -> bool) -> Option<Share> {
        let mut used = self.0.used.lock().expect("no thread panics while it counts");
        while *used > 0 && *used + bytes > self.0.most {
            if unwanted() {
                return None;
            }
            let waited = self.0.freed.wait_timeout(used, LOOK);
            used = waited.expect("no thread panics while it counts").0;
        }
        *used += bytes;
        Some(Share {
            bytes,
            budget: self.clone(),
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Ok(mut used) = self.budget.0.used.lock() {
            *used -= self.bytes;
        }
        self.budget.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_wait_until_there_is_room() {
        let budget = PageBudget::new(1);
        let giant = budget.take(PAGE_BYTES * 2, || false).unwrap();
        assert!(budget.take(1, || true).is_none(), "there is no room beside it");
        let waiting = {
            let budget = budget.clone();
            std::thread::spawn(move || budget.take(1, || false).is_some())
        };
        drop(giant);
        assert!(waiting.join().unwrap());
        assert_eq!(*budget.0.used.lock().unwrap(), 0);
    }
}
