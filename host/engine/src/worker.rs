//! The worker threads that own a recogniser, and the bounded queue before them.
//!
//! Invariants: a ticket resolves exactly once; a panic in the recogniser costs one page and no thread; dropping the
//! engine ends its workers after the page in hand.

use crate::{Control, PageJob, RecognizeError, Recognizer};
use ocr_document::{Diagnostic, Outcome, Page, PageBuilder, Severity};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Pages that may wait before the workers: one a worker is enough to keep it busy, the rest is back-pressure.
const QUEUE_PAGES: usize = 2;

/// How often a waiting caller looks whether it still wants its page.
const LOOK: Duration = Duration::from_millis(20);

/// Recogniser threads need room for image processing and model graphs.
const STACK_BYTES: usize = 8 << 20;

struct Order {
    job: PageJob,
    cancelled: Arc<AtomicBool>,
    answer: Sender<Page>,
}

/// A recogniser with its worker threads.
pub struct Engine {
    handle: Option<EngineHandle>,
    workers: Vec<JoinHandle<()>>,
}

/// Hands pages to an engine; cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    queue: SyncSender<Order>,
    name: Arc<str>,
    pages_at_a_time: usize,
}

/// A page under way. Dropping it cancels the page.
pub struct Ticket {
    answer: Receiver<Page>,
    cancelled: Arc<AtomicBool>,
    index: u32,
}

impl Engine {
    /// Starts `workers` threads (at least one) around `recognizer`.
    pub fn start(recognizer: Arc<dyn Recognizer>, workers: usize) -> std::io::Result<Self> {
        let pages_at_a_time = workers.max(1);
        let (queue, orders) = sync_channel::<Order>(QUEUE_PAGES);
        let orders = Arc::new(Mutex::new(orders));
        let name: Arc<str> = recognizer.name().into();
        let workers = (0..pages_at_a_time)
            .map(|n| {
                let (recognizer, orders) = (recognizer.clone(), orders.clone());
                std::thread::Builder::new()
                    .name(format!("ocr-engine-{n}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || work(&*recognizer, &orders))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            handle: Some(EngineHandle {
                queue,
                name,
                pages_at_a_time,
            }),
            workers,
        })
    }

    /// A handle to submit pages with.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone().expect("the engine is running")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.handle = None;
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl EngineHandle {
    /// Engine and mode, as pages name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Pages that are read at a time.
    pub fn pages_at_a_time(&self) -> usize {
        self.pages_at_a_time
    }

    /// Queues a page; waits while the queue is full.
    pub fn submit(&self, job: PageJob) -> Ticket {
        let (answer, page) = channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let index = job.index;
        // A closed queue drops the order, and the ticket then answers with a failed page.
        let _ = self.queue.send(Order {
            job,
            cancelled: cancelled.clone(),
            answer,
        });
        Ticket {
            answer: page,
            cancelled,
            index,
        }
    }
}

impl Ticket {
    /// The page's position in the run's output.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Waits for the page; once `unwanted` says so it is cancelled, and comes back as such. A page that could not be read comes back empty, failed, with a diagnostic; `None` only
    /// when the engine has gone.
    pub fn wait(self, unwanted: impl Fn() -> bool) -> Option<Page> {
        loop {
            match self.answer.recv_timeout(LOOK) {
                Ok(page) => return Some(page),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if unwanted() => {
                    self.cancelled.store(true, Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

fn work(recognizer: &dyn Recognizer, orders: &Mutex<Receiver<Order>>) {
    loop {
        let order = orders.lock().expect("no worker panics while it waits").recv();
        let Ok(Order {
            job,
            cancelled,
            answer,
        }) = order
        else {
            return;
        };
        let control = Control::with_flag(job.time_limit, cancelled);
        let read = std::panic::catch_unwind(AssertUnwindSafe(|| {
            control.check()?;
            recognizer.recognize(&job, &control)
        }));
        let page = match read {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => failed(&job, recognizer, &error),
            Err(panic) => {
                let why = format!("the engine panicked: {}", said_by(&*panic));
                failed(&job, recognizer, &RecognizeError::Model(why))
            }
        };
        let _ = answer.send(page);
    }
}

/// What a panic said; nothing where it was no text.
pub(crate) fn said_by(panic: &(dyn std::any::Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or_default()
}

/// The empty page that stands for one that could not be read.
fn failed(job: &PageJob, recognizer: &dyn Recognizer, error: &RecognizeError) -> Page {
    let code = match error {
        RecognizeError::Cancelled => "cancelled",
        RecognizeError::Deadline(_) => "page-timeout",
        RecognizeError::Model(_) => "recognition-failed",
    };
    let mut page = PageBuilder::new(job.info());
    let diagnostic = Diagnostic::new(Severity::Error, code, error.to_string()).on_page(job.number);
    let info = page.info_mut();
    info.outcome = Outcome::Failed;
    info.engine = recognizer.name();
    info.diagnostics.push(diagnostic);
    page.raster(job.image.clone());
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::{PageImage, PixelFormat, Rect, SpanKind};

    /// Reads each page as its number; page 13 panics and page 99 never ends.
    struct Numbers;

    impl Recognizer for Numbers {
        fn name(&self) -> String {
            "numbers".into()
        }

        fn recognize(&self, job: &PageJob, control: &Control) -> Result<Page, RecognizeError> {
            assert!(job.number != 13, "unlucky");
            if job.number == 99 {
                loop {
                    control.check()?;
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            let mut page = PageBuilder::new(job.info());
            page.push_span(
                SpanKind::Paragraph,
                "text",
                0,
                Rect::default(),
                None,
                &job.number.to_string(),
            );
            Ok(page.finish())
        }
    }

    fn job(number: u32) -> PageJob {
        PageJob {
            index: number - 1,
            number,
            image: PageImage::new(1, 1, PixelFormat::Gray8, vec![255]).unwrap(),
            dpi: 72.0,
            size_points: (1.0, 1.0),
            text_layer: None,
            diagnostics: Vec::new(),
            time_limit: Duration::from_millis(50),
        }
    }

    fn read(engine: &Engine, number: u32) -> Page {
        engine.handle().submit(job(number)).wait(|| false).unwrap()
    }

    #[test]
    fn a_panic_costs_one_page() {
        let engine = Engine::start(Arc::new(Numbers), 1).unwrap();
        let page = read(&engine, 13);
        assert_eq!(page.info().outcome, Outcome::Failed);
        assert!(page.info().diagnostics[0].message.contains("unlucky"));
        assert_eq!(read(&engine, 14).text(), "14");
    }

    #[test]
    fn an_overdue_page_fails_and_says_so() {
        let engine = Engine::start(Arc::new(Numbers), 1).unwrap();
        let page = read(&engine, 99);
        assert_eq!(page.info().diagnostics[0].code, "page-timeout");
        assert_eq!(read(&engine, 1).text(), "1");
    }

    #[test]
    fn a_page_that_nobody_wants_any_more_comes_back_cancelled() {
        let engine = Engine::start(Arc::new(Numbers), 1).unwrap();
        let mut endless = job(99);
        endless.time_limit = Duration::from_secs(3600);
        let page = engine.handle().submit(endless).wait(|| true).unwrap();
        assert_eq!(page.info().diagnostics[0].code, "cancelled");
    }

    #[test]
    fn a_dropped_ticket_frees_its_worker() {
        let engine = Engine::start(Arc::new(Numbers), 1).unwrap();
        let mut endless = job(99);
        endless.time_limit = Duration::from_secs(3600);
        drop(engine.handle().submit(endless));
        assert_eq!(read(&engine, 2).text(), "2");
    }
}
