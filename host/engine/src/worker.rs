//! The worker threads that own a recogniser, and the bounded queue before them. Whose page is next is decided when a
//! worker is free: tenants take turns by weight, counted in pages.
//!
//! Invariants: a ticket resolves exactly once; a panic in the recogniser costs one page and no thread; dropping the
//! engine ends its workers after the page in hand.

use crate::waiting::Waiting;
use crate::{Control, PageJob, RecognizeError, Recognizer, RegionTask, Tenant};
use ocr_document::{Diagnostic, Outcome, Page, PageBuilder, Severity};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Pages of a tenant that may wait before the workers: one a worker is enough to keep it busy, the rest is
/// back-pressure.
const QUEUE_PAGES: usize = 2;

/// How often a waiting caller looks whether it still wants its page.
const LOOK: Duration = Duration::from_millis(20);

/// Recogniser threads need room for image processing and model graphs.
const STACK_BYTES: usize = 8 << 20;

struct Order {
    job: PageJob,
    /// What is asked of a part of a page; `None` for pages.
    task: Option<RegionTask>,
    cancelled: Arc<AtomicBool>,
    answer: Sender<Page>,
}

/// Where orders wait until a worker is free.
#[derive(Default)]
struct Queue {
    state: Mutex<Waits>,
    changed: Condvar,
}

#[derive(Default)]
struct Waits {
    orders: Waiting<Order>,
    /// How many of each tenant wait.
    count: HashMap<Arc<str>, usize>,
    is_closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, Waits> {
        self.state.lock().expect("no thread panics while it queues")
    }

    /// Queues an order, once its tenant has room, or answers `false` once it is unwanted. A closed queue drops it, and
    /// the ticket then answers with a failed page.
    fn push(&self, order: Order, unwanted: impl Fn() -> bool) -> bool {
        let tenant = order.job.tenant.clone();
        let full = |waits: &Waits| {
            !waits.is_closed && waits.count.get(&tenant.name).copied().unwrap_or(0) >= QUEUE_PAGES
        };
        let mut waits = self.state();
        while full(&waits) {
            if unwanted() {
                return false;
            }
            let waited = self.changed.wait_timeout(waits, LOOK);
            waits = waited.expect("no thread panics while it queues").0;
        }
        if !waits.is_closed {
            waits.orders.push(&tenant, order, false);
            *waits.count.entry(tenant.name).or_default() += 1;
            self.changed.notify_all();
        }
        true
    }

    /// Takes the next order, once there is one; `None` when the queue was closed and is empty.
    fn pop(&self) -> Option<Order> {
        let empty = |waits: &mut Waits| !waits.is_closed && waits.orders.peek().is_none();
        let waited = self.changed.wait_while(self.state(), empty);
        let mut waits = waited.expect("no thread panics while it queues");
        let order = waits.orders.pop()?;
        let tenant: &Tenant = &order.job.tenant;
        // Charged before it is read: else all workers would go to one tenant before it has been charged once.
        waits.orders.charge(tenant, 1);
        if let Some(count) = waits.count.get_mut(&tenant.name) {
            *count -= 1;
            if *count == 0 {
                waits.count.remove(&tenant.name);
            }
        }
        self.changed.notify_all();
        Some(order)
    }

    fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }
}

/// A recogniser with its worker threads.
pub struct Engine {
    handle: Option<EngineHandle>,
    workers: Vec<JoinHandle<()>>,
}

/// Hands pages to an engine; cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    queue: Arc<Queue>,
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
        let queue = Arc::new(Queue::default());
        let name: Arc<str> = recognizer.name().into();
        let workers = (0..pages_at_a_time)
            .map(|n| {
                let (recognizer, orders) = (recognizer.clone(), queue.clone());
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
        if let Some(handle) = self.handle.take() {
            handle.queue.close();
        }
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

    /// Queues a page; waits while its tenant has enough in the queue.
    pub fn submit(&self, job: PageJob) -> Ticket {
        let (order, ticket) = order(job, None);
        // Never unwanted, so it is queued, or dropped by a closed queue.
        self.queue.push(order, || false);
        ticket
    }

    /// Queues a part of a page; waits while the queue is full and until `unwanted` says so, and answers `None` then.
    pub fn submit_region(
        &self,
        job: PageJob,
        task: RegionTask,
        unwanted: impl Fn() -> bool,
    ) -> Option<Ticket> {
        let (order, ticket) = order(job, Some(task));
        self.queue.push(order, unwanted).then_some(ticket)
    }
}

fn order(job: PageJob, task: Option<RegionTask>) -> (Order, Ticket) {
    let (answer, page) = channel();
    let cancelled = Arc::new(AtomicBool::new(false));
    let ticket = Ticket {
        answer: page,
        cancelled: cancelled.clone(),
        index: job.index,
    };
    let order = Order {
        job,
        task,
        cancelled,
        answer,
    };
    (order, ticket)
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

fn work(recognizer: &dyn Recognizer, orders: &Queue) {
    while let Some(order) = orders.pop() {
        let Order {
            job,
            task,
            cancelled,
            answer,
        } = order;
        let control = Control::with_flag(job.time_limit, cancelled);
        let read = std::panic::catch_unwind(AssertUnwindSafe(|| {
            control.check()?;
            match &task {
                None => recognizer.recognize(&job, &control),
                Some(task) => recognizer.read_region(&job, task, &control),
            }
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
    use crate::PASSES;
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
            trust: Default::default(),
            diagnostics: Vec::new(),
            time_limit: Duration::from_millis(50),
            tenant: Tenant::default(),
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
    fn regions_share_the_queue_and_engines_say_what_they_cannot() {
        let engine = Engine::start(Arc::new(Numbers), 1).unwrap();
        let region = engine
            .handle()
            .submit_region(job(5), RegionTask::Formula, || false);
        let page = region.unwrap().wait(|| false).unwrap();
        assert_eq!(page.info().outcome, Outcome::Failed);
        let said = &page.info().diagnostics[0].message;
        assert_eq!(said, "numbers does not read regions for `formula`");
        // A full queue is not waited for by one who wants nothing any more.
        let mut endless = job(99);
        endless.time_limit = Duration::from_secs(3600);
        let busy: Vec<Ticket> = (0..=QUEUE_PAGES)
            .map(|_| engine.handle().submit(endless.clone()))
            .collect();
        let refused = engine
            .handle()
            .submit_region(job(5), RegionTask::Formula, || true);
        assert!(refused.is_none());
        drop(busy);
    }

    #[test]
    fn a_dropped_ticket_frees_its_worker() {
        let engine = Engine::start(Arc::new(Numbers), 1).unwrap();
        let mut endless = job(99);
        endless.time_limit = Duration::from_secs(3600);
        drop(engine.handle().submit(endless));
        assert_eq!(read(&engine, 2).text(), "2");
    }

    /// Writes down whose pages it reads, the first one only once all wait.
    struct Turns {
        begin: Mutex<Receiver<()>>,
        read: Mutex<Vec<String>>,
    }

    impl Recognizer for Turns {
        fn name(&self) -> String {
            "turns".into()
        }

        fn recognize(&self, job: &PageJob, _: &Control) -> Result<Page, RecognizeError> {
            let _ = self.begin.lock().unwrap().recv_timeout(Duration::from_secs(20));
            self.read.lock().unwrap().push(job.tenant.name.to_string());
            Ok(PageBuilder::new(job.info()).finish())
        }
    }

    #[test]
    fn tenants_take_turns_however_many_pages_one_has() {
        let (begin, begun) = channel();
        let turns = Arc::new(Turns {
            begin: Mutex::new(begun),
            read: Mutex::default(),
        });
        let engine = Engine::start(turns.clone(), 1).unwrap();
        let submit = |tenant: &Tenant, pages: u32| {
            let (handle, tenant) = (engine.handle(), tenant.clone());
            std::thread::spawn(move || {
                let order = |n| PageJob {
                    tenant: tenant.clone(),
                    ..job(n)
                };
                let tickets: Vec<Ticket> = (1..=pages).map(|n| handle.submit(order(n))).collect();
                tickets.into_iter().for_each(|ticket| drop(ticket.wait(|| false)));
            })
        };
        let heavy = Tenant {
            weight: 2,
            ..Tenant::named("heavy")
        };
        let threads = [submit(&heavy, 30), submit(&Tenant::named("light"), 30)];
        // Both fill their part of the queue before the first page is read.
        let queued = || engine.handle().queue.state().count.values().sum::<usize>() == 2 * QUEUE_PAGES;
        while !queued() {
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..60 {
            // A page at a time, and each tenant has one waiting when the next is chosen.
            let before = turns.read.lock().unwrap().len();
            begin.send(()).unwrap();
            while turns.read.lock().unwrap().len() == before {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let read = turns.read.lock().unwrap();
        let early = read[..30].iter().filter(|who| *who == "heavy").count();
        assert!((18..=22).contains(&early), "two of three: {read:?}");
    }

    #[test]
    fn an_endless_stream_of_urgent_pages_lets_the_others_through() {
        let (begin, begun) = channel();
        let turns = Arc::new(Turns {
            begin: Mutex::new(begun),
            read: Mutex::default(),
        });
        let engine = Engine::start(turns.clone(), 1).unwrap();
        let is_done = AtomicBool::new(false);
        let of = |priority: i32, name: &str, number: u32| PageJob {
            tenant: Tenant {
                priority,
                ..Tenant::named(name)
            },
            ..job(number)
        };
        let handle = engine.handle();
        let waits = |name: &str| handle.queue.state().count.get(name).copied().unwrap_or(0);
        let rest = || std::thread::sleep(Duration::from_millis(1));
        std::thread::scope(|scope| {
            // Its part of the queue is full whenever a page is chosen.
            scope.spawn(|| {
                let mut tickets = Vec::new();
                while !is_done.load(Ordering::Relaxed) {
                    tickets.push(engine.handle().submit(of(1, "urgent", 1)));
                }
            });
            while waits("urgent") < QUEUE_PAGES {
                rest();
            }
            let patient: Vec<Ticket> = (1..=2)
                .map(|n| engine.handle().submit(of(0, "patient", n)))
                .collect();
            for read in 0..2 * PASSES + 4 {
                while waits("urgent") < QUEUE_PAGES {
                    rest();
                }
                begin.send(()).unwrap();
                while turns.read.lock().unwrap().len() == read {
                    rest();
                }
            }
            is_done.store(true, Ordering::Relaxed);
            // The rest is read without a sign.
            drop(begin);
            let numbers = patient.into_iter().map(|ticket| ticket.wait(|| false).unwrap());
            assert_eq!(numbers.map(|page| page.info().number).collect::<Vec<_>>(), [1, 2]);
        });
        let read = turns.read.lock().unwrap();
        let patient = read[..2 * PASSES + 4].iter().filter(|who| *who == "patient");
        assert_eq!(patient.count(), 2, "{read:?}");
    }
}
