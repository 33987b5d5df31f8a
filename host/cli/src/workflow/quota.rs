//! What a run may do for a tenant, counted while it does it.
//!
//! Counters outlive a reload of the configuration; bounds do not. Invariant: nothing is counted that was refused, and
//! what was refused is told of with the key and the line that bound it.

use crate::config::{Bound, QuotaTable, Source};
use ocr_pipeline::{Failure, Gate, QUOTA};
use ocr_runtime::OutputMeter;
use serde::Serialize;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What a tenant has used in this run.
#[derive(Debug)]
pub struct Counters {
    started: Instant,
    documents: AtomicU64,
    pages: AtomicU64,
    input_bytes: AtomicU64,
    output_bytes: AtomicU64,
    gpu: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            documents: AtomicU64::new(0),
            pages: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            gpu: AtomicU64::new(0),
        }
    }
}

/// A tenant's bounds with its counters.
pub struct Usage {
    tenant: String,
    bounds: QuotaTable,
    source: Arc<Source>,
    pub counters: Arc<Counters>,
    /// Why plugins were refused something, once they were.
    closed: Mutex<Option<Failure>>,
}

/// A quota in the report: what was used, and how much there is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Used {
    used: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

impl Usage {
    pub fn new(tenant: &str, bounds: &QuotaTable, source: &Arc<Source>, counters: Arc<Counters>) -> Self {
        Self {
            tenant: tenant.to_owned(),
            bounds: bounds.clone(),
            source: source.clone(),
            counters,
            closed: Mutex::default(),
        }
    }

    /// Takes one document of so many bytes.
    pub fn begin(&self, input_bytes: u64) -> Result<(), Failure> {
        self.in_time()?;
        let counters = &self.counters;
        self.take("documents", &self.bounds.documents, &counters.documents, 1)?;
        self.input(input_bytes).inspect_err(|_| {
            counters.documents.fetch_sub(1, SeqCst);
        })
    }

    fn in_time(&self) -> Result<(), Failure> {
        match &self.bounds.time {
            Some(bound) if self.counters.started.elapsed() > bound.most => {
                Err(self.used_up("time", &format!("{:?}", bound.most), bound))
            }
            _ => Ok(()),
        }
    }

    fn take(
        &self,
        key: &str,
        bound: &Option<Bound<u64>>,
        counter: &AtomicU64,
        count: u64,
    ) -> Result<(), Failure> {
        let most = bound.as_ref().map_or(u64::MAX, |bound| bound.most);
        let more = |used: u64| used.checked_add(count).filter(|&used| used <= most);
        match (counter.fetch_update(SeqCst, SeqCst, more), bound) {
            (Err(_), Some(bound)) => Err(self.used_up(key, &bound.most, bound)),
            _ => Ok(()),
        }
    }

    fn used_up<T>(&self, key: &str, most: &dyn Display, bound: &Bound<T>) -> Failure {
        let place = self.source.line(bound.at.start);
        let why = format!(
            "the quota `{key}` of {most} of tenant `{}` is used up ({place})",
            self.tenant
        );
        Failure::new(QUOTA, why)
    }

    fn close(&self, taken: Result<(), Failure>) -> Result<(), Failure> {
        taken.inspect_err(|why| {
            let mut closed = self.closed.lock().expect("no thread panics while it counts");
            closed.get_or_insert_with(|| why.clone());
        })
    }

    /// Everything that was counted, by key.
    pub fn report(&self) -> std::collections::BTreeMap<&'static str, Used> {
        let count = |counter: &AtomicU64, bound: &Option<Bound<u64>>| Used {
            used: counter.load(SeqCst),
            limit: bound.as_ref().map(|bound| bound.most),
        };
        let (counters, bounds) = (&self.counters, &self.bounds);
        let seconds = Used {
            used: counters.started.elapsed().as_secs(),
            limit: bounds.time.as_ref().map(|bound| bound.most.as_secs()),
        };
        [
            ("documents", count(&counters.documents, &bounds.documents)),
            ("pages", count(&counters.pages, &bounds.pages)),
            ("input-bytes", count(&counters.input_bytes, &bounds.input_bytes)),
            (
                "output-bytes",
                count(&counters.output_bytes, &bounds.output_bytes),
            ),
            ("gpu", count(&counters.gpu, &bounds.gpu)),
            ("time", seconds),
        ]
        .into()
    }
}

impl OutputMeter for Usage {
    fn take(&self, bytes: u64) -> bool {
        let taken = self.take(
            "output-bytes",
            &self.bounds.output_bytes,
            &self.counters.output_bytes,
            bytes,
        );
        self.close(taken).is_ok()
    }
}

impl Gate for Usage {
    fn next(&self) -> Result<(), Failure> {
        self.in_time()?;
        // What can't be written any more need not be read.
        if let Some(why) = self.closed() {
            return Err(why);
        }
        match &self.bounds.pages {
            Some(bound) if self.counters.pages.load(SeqCst) >= bound.most => {
                Err(self.used_up("pages", &bound.most, bound))
            }
            _ => Ok(()),
        }
    }

    fn page(&self) -> Result<(), Failure> {
        self.take("pages", &self.bounds.pages, &self.counters.pages, 1)
    }

    fn input(&self, bytes: u64) -> Result<(), Failure> {
        let counter = &self.counters.input_bytes;
        self.take("input-bytes", &self.bounds.input_bytes, counter, bytes)
    }

    fn regions(&self, count: u64) -> Result<(), Failure> {
        self.take("gpu", &self.bounds.gpu, &self.counters.gpu, count)
    }

    fn closed(&self) -> Option<Failure> {
        self.closed
            .lock()
            .expect("no thread panics while it counts")
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn usage(bounds: QuotaTable) -> Usage {
        let source = Source {
            path: "o.toml".into(),
            text: "a\nb\nc".into(),
        };
        Usage::new("acme", &bounds, &Arc::new(source), Arc::default())
    }

    fn bound<T>(most: T) -> Option<Bound<T>> {
        Some(Bound { most, at: 2..3 })
    }

    #[test]
    fn what_is_used_up_is_named_with_its_line_and_nothing_refused_is_counted() {
        let usage = usage(QuotaTable {
            documents: bound(2),
            pages: bound(3),
            input_bytes: bound(100),
            output_bytes: bound(10),
            ..QuotaTable::default()
        });
        assert!(usage.begin(60).is_ok());
        let why = usage.begin(60).unwrap_err();
        assert_eq!(why.code, "quota");
        assert!(
            why.message.contains("`input-bytes` of 100") && why.message.contains("o.toml:2"),
            "{why:?}"
        );
        assert!(usage.begin(40).is_ok(), "the refused one is not counted");
        assert!(usage.begin(0).unwrap_err().message.contains("`documents`"));
        assert!((0..3).all(|_| usage.next().is_ok() && usage.page().is_ok()));
        assert!(usage.next().is_err());
        assert!(usage.page().unwrap_err().message.contains("`pages` of 3"));
        assert!(OutputMeter::take(&usage, 9) && usage.closed().is_none());
        assert!(!OutputMeter::take(&usage, 2) && OutputMeter::take(&usage, 1));
        assert!(usage.closed().unwrap().message.contains("`output-bytes`"));
        assert_eq!(
            usage.report()["pages"],
            Used {
                used: 3,
                limit: Some(3)
            }
        );
        // A reload brings other bounds and keeps what was used.
        let larger = QuotaTable {
            pages: bound(4),
            ..QuotaTable::default()
        };
        let source = usage.source.clone();
        let reloaded = Usage::new("acme", &larger, &source, usage.counters.clone());
        assert!(reloaded.page().is_ok() && reloaded.page().is_err());
    }

    #[test]
    fn time_ends_documents_and_pages() {
        let usage = usage(QuotaTable {
            time: bound(Duration::ZERO),
            ..QuotaTable::default()
        });
        std::thread::sleep(Duration::from_millis(2));
        assert!(usage.begin(1).unwrap_err().message.contains("`time`"));
        assert!(usage.next().is_err());
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let usage = usage(QuotaTable {
            pages: bound(1000),
            ..QuotaTable::default()
        });
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..500).filter(|_| usage.page().is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }
}
