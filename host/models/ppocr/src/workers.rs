//! The engine's threads. Small networks run best on one core each, so lines, the layout and tables are tasks of one
//! thread; the detector, which is alone on its page, gets all of them.

use rten::ThreadPool;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// A fixed number of cores, shared by all pages under way.
pub(crate) struct Workers {
    single: Vec<Arc<ThreadPool>>,
    all: Arc<ThreadPool>,
}

impl Workers {
    /// `threads` cores, at least one.
    pub fn new(threads: usize) -> Self {
        let pool = |threads| Arc::new(ThreadPool::with_num_threads(threads));
        Self {
            single: (0..threads.max(1)).map(|_| pool(1)).collect(),
            all: pool(threads.max(1)),
        }
    }

    /// All cores at once.
    pub fn all(&self) -> &Arc<ThreadPool> {
        &self.all
    }

    /// Runs `task` on everything in `queue`, each on one core, until it is empty; `task` may add to the queue.
    pub fn drain<T: Send>(&self, queue: &Mutex<VecDeque<T>>, task: impl Fn(T, &Arc<ThreadPool>) + Sync) {
        let next = || queue.lock().expect("no task holds the queue").pop_front();
        std::thread::scope(|scope| {
            for pool in &self.single {
                scope.spawn(|| {
                    while let Some(item) = next() {
                        task(item, pool);
                    }
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn added_tasks_run_too() {
        let (queue, sum) = (Mutex::new(VecDeque::from([3u32, 4])), AtomicU32::new(0));
        Workers::new(2).drain(&queue, |n, _| {
            sum.fetch_add(n, Ordering::Relaxed);
            if n > 1 {
                queue.lock().unwrap().push_back(n - 1);
            }
        });
        assert_eq!(sum.into_inner(), 3 + 2 + 1 + 4 + 3 + 2 + 1);
    }
}
