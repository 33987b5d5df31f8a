//! The thread that owns a [`StepModel`] and writes many sequences at once.
//!
//! It takes orders from a bounded queue, plans a step, runs it, hands tokens to whoever waits. The next step is begun
//! before the last one's tokens are read, so the model never waits for the host. Invariants: a sequence's listener
//! hears its tokens in order, then exactly one [`Said::End`] or [`Said::Failed`]; a dropped [`Writing`] ends its
//! sequence and returns its blocks; an error over a prompt, or a panic, ends that sequence alone; one of a step ends all, and
//! the model is not asked again.

use crate::scheduler::{Change, Fill, Order, Scheduler, SequenceId, Step};
use crate::step_model::{Entry, Part, StepModel};
use crate::worker::said_by;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Orders that may wait before the thread: it empties the queue between two steps, so this only bounds a burst.
const QUEUE: usize = 256;

/// Steps that are begun before the first one's tokens are read.
const STEPS_AHEAD: usize = 2;

/// Name of the thread.
const THREAD: &str = "ocr-gpu";

/// What a sequence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Its next token.
    Token(u32),
    /// It has written its end token, or as much as it may.
    End,
    /// It came to nothing.
    Failed(String),
}

/// A sequence in the making. Dropping it ends it.
pub struct Writing {
    said: Receiver<Said>,
    unwanted: Arc<AtomicBool>,
}

impl Writing {
    /// Waits for what it says next, at most so long; `None`: nothing yet.
    pub fn next(&self, wait: Duration) -> Option<Said> {
        match self.said.recv_timeout(wait) {
            Ok(said) => Some(said),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Said::Failed("the model's thread has ended".into())),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }
}

struct Submitted<P> {
    prompt: P,
    order: Order,
    said: Sender<Said>,
    unwanted: Arc<AtomicBool>,
}

/// What the thread is asked.
enum Asked<P> {
    Write(Submitted<P>),
    Count(Sender<Census>),
}

/// Who is there, and what of the cache is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Sequences that have not ended.
    pub sequences: usize,
    /// Blocks that no sequence has.
    pub free_blocks: usize,
    /// All blocks.
    pub blocks: usize,
    /// How often a sequence made room for others and had to be filled again.
    pub preempted: u64,
}

/// Hands sequences to the thread; cheap to clone.
pub struct BatchHandle<P> {
    queue: SyncSender<Asked<P>>,
}

impl<P> Clone for BatchHandle<P> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<P> BatchHandle<P> {
    /// Queues a sequence; waits while the queue is full.
    pub fn submit(&self, prompt: P, order: Order) -> Writing {
        let (said, hear) = channel();
        let unwanted = Arc::new(AtomicBool::new(false));
        // A closed queue drops the sender, and the listener hears that.
        let _ = self.queue.send(Asked::Write(Submitted {
            prompt,
            order,
            said,
            unwanted: unwanted.clone(),
        }));
        Writing { said: hear, unwanted }
    }

    /// Counts, between two steps; `None`: the thread has ended.
    pub fn census(&self) -> Option<Census> {
        let (answer, hear) = channel();
        self.queue.send(Asked::Count(answer)).ok()?;
        hear.recv().ok()
    }
}

/// A model with its thread.
pub struct Batch<P> {
    handle: Option<BatchHandle<P>>,
    thread: Option<JoinHandle<()>>,
}

impl<P: Send + 'static> Batch<P> {
    /// Makes the model on its own thread and starts it. Answers the model's error, if it can't be made.
    pub fn start<M, E>(make: impl FnOnce() -> Result<M, E> + Send + 'static) -> Result<Self, E>
    where
        M: StepModel<Prompt = P>,
        E: Send + From<std::io::Error> + 'static,
    {
        let (queue, orders) = sync_channel(QUEUE);
        let (made, result) = channel();
        let thread = std::thread::Builder::new()
            .name(THREAD.into())
            .spawn(move || match make() {
                Ok(model) => {
                    let _ = made.send(Ok(()));
                    Thread::new(model, orders).run();
                }
                Err(error) => {
                    let _ = made.send(Err(error));
                }
            })?;
        let ended = || std::io::Error::other("the model's thread ended before it began");
        result.recv().unwrap_or_else(|_| Err(ended().into()))?;
        Ok(Self {
            handle: Some(BatchHandle { queue }),
            thread: Some(thread),
        })
    }

    /// A handle to submit sequences with.
    pub fn handle(&self) -> BatchHandle<P> {
        self.handle.clone().expect("the thread is running")
    }
}

impl<P> Drop for Batch<P> {
    fn drop(&mut self) {
        self.handle = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread keeps of a sequence beside what the scheduler does.
struct Kept<M: StepModel> {
    prompt: Option<M::Prompt>,
    encoded: Option<M::Encoded>,
    said: Sender<Said>,
    unwanted: Arc<AtomicBool>,
}

/// A step that was begun: whose token each row brings.
type Begun = Vec<(usize, SequenceId, u64)>;

struct Thread<M: StepModel> {
    model: M,
    orders: Receiver<Asked<M::Prompt>>,
    scheduler: Scheduler,
    kept: HashMap<SequenceId, Kept<M>>,
    begun: VecDeque<Begun>,
    next_id: SequenceId,
    is_closed: bool,
    tokens: Vec<u32>,
    /// Why no step can be trusted any more.
    broken: Option<String>,
}

impl<M: StepModel> Thread<M> {
    fn new(model: M, orders: Receiver<Asked<M::Prompt>>) -> Self {
        let capacity = model.capacity();
        Self {
            scheduler: Scheduler::new(capacity),
            kept: HashMap::new(),
            begun: VecDeque::new(),
            next_id: 0,
            is_closed: false,
            tokens: vec![0; capacity.rows],
            broken: None,
            model,
            orders,
        }
    }

    fn run(mut self) {
        loop {
            self.take_orders();
            self.drop_the_unwanted();
            let (changes, step) = self.scheduler.plan();
            changes.into_iter().for_each(|change| self.tell(change));
            match step {
                Some(step) => self.take(step),
                None if !self.begun.is_empty() => self.end_step(),
                None if self.is_closed && self.scheduler.alive() == 0 => return,
                // What waits can't begin, and nothing runs that would make room.
                None => self.fail_all("the model's cache has no room for this page"),
            }
        }
    }

    /// Takes what has come; waits where there is nothing else to do.
    fn take_orders(&mut self) {
        loop {
            let idle = self.scheduler.alive() == 0 && self.begun.is_empty() && !self.is_closed;
            let order = match idle {
                true => self.orders.recv().map_err(|_| TryRecvError::Disconnected),
                false => self.orders.try_recv(),
            };
            match order {
                Ok(Asked::Write(order)) => self.add(order),
                Ok(Asked::Count(answer)) => {
                    let _ = answer.send(self.scheduler.census());
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.is_closed = true;
                    return;
                }
            }
        }
    }

    fn add(&mut self, submitted: Submitted<M::Prompt>) {
        if let Some(error) = &self.broken {
            let _ = submitted.said.send(Said::Failed(error.clone()));
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.scheduler.add(id, submitted.order);
        let kept = Kept {
            prompt: Some(submitted.prompt),
            encoded: None,
            said: submitted.said,
            unwanted: submitted.unwanted,
        };
        self.kept.insert(id, kept);
    }

    fn drop_the_unwanted(&mut self) {
        let unwanted =
            |(&id, kept): (&SequenceId, &Kept<M>)| kept.unwanted.load(Ordering::Relaxed).then_some(id);
        let ids: Vec<SequenceId> = self.kept.iter().filter_map(unwanted).collect();
        ids.into_iter().for_each(|id| self.end(id, None));
    }

    /// Ends a sequence and says so.
    fn end(&mut self, id: SequenceId, last: Option<Said>) {
        if let (Some(kept), Some(last)) = (self.kept.remove(&id), last) {
            let _ = kept.said.send(last);
        }
        if let Some(change) = self.scheduler.remove(id) {
            self.tell(change);
        }
    }

    fn fail_all(&mut self, why: &str) {
        for id in self.scheduler.all() {
            self.end(id, Some(Said::Failed(why.to_owned())));
        }
    }

    fn say(&self, id: SequenceId, said: Said) {
        if let Some(kept) = self.kept.get(&id) {
            let _ = kept.said.send(said);
        }
    }

    fn tell(&mut self, change: Change) {
        if self.broken.is_some() {
            return;
        }
        let told = match change {
            Change::Left(row) => self.model.leave(row),
            Change::Grown(row) => match self.scheduler.in_row(row) {
                Some(id) => self.model.grow(row, self.scheduler.blocks_of(id)),
                None => Ok(()),
            },
        };
        if let Err(error) = told {
            self.give_up(error);
        }
    }

    /// A step that failed leaves rows and cache in a state that nobody knows: all sequences fail, and all that come.
    fn give_up(&mut self, error: String) {
        self.begun.clear();
        if self.broken.is_none() {
            self.broken = Some(error.clone());
        }
        self.fail_all(&error);
    }

    fn take(&mut self, step: Step) {
        // The model may have broken over a row that the step needed emptied.
        if self.broken.is_some() {
            return;
        }
        match step {
            Step::Encode(ids) => self.encode(&ids),
            Step::Prefill(fills) => self.prefill(fills),
            Step::Decode { rows } => self.decode(rows),
        }
    }

    fn encode(&mut self, ids: &[SequenceId]) {
        let mut prompts = Vec::new();
        let mut whose = Vec::new();
        for &id in ids {
            match self.kept.get_mut(&id).and_then(|kept| kept.prompt.take()) {
                Some(prompt) => {
                    prompts.push(prompt);
                    whose.push(id);
                }
                None => self.end(id, Some(Said::Failed("a prompt was encoded twice".into()))),
            }
        }
        let results = each(prompts.len(), |range| self.model.encode(&prompts[range]));
        for (id, result) in whose.into_iter().zip(results) {
            let fits = result.and_then(|(encoded, prefix)| {
                self.scheduler.encoded(id, prefix)?;
                Ok(encoded)
            });
            match (fits, self.kept.get_mut(&id)) {
                (Ok(encoded), Some(kept)) => kept.encoded = Some(encoded),
                (Ok(_), None) => {}
                (Err(error), _) => self.end(id, Some(Said::Failed(error))),
            }
        }
    }

    fn prefill(&mut self, fills: Vec<Fill>) {
        let is_encoded = |fill: &Fill| self.kept.get(&fill.id).is_some_and(|kept| kept.encoded.is_some());
        let (fills, lost): (Vec<Fill>, Vec<Fill>) = fills.into_iter().partition(is_encoded);
        for fill in lost {
            self.end(fill.id, Some(Said::Failed("a prompt was not encoded".into())));
        }
        // A prompt of one token has nothing before the one that the first step reads.
        let (filled, empty): (Vec<Fill>, Vec<Fill>) = fills.into_iter().partition(|fill| fill.count > 0);
        let (model, kept, scheduler) = (&mut self.model, &self.kept, &self.scheduler);
        let part = |fill: &Fill| Part {
            encoded: kept[&fill.id].encoded.as_ref().expect("it was encoded"),
            written: scheduler.written(fill.id),
            start: fill.start,
            count: fill.count,
            blocks: scheduler.blocks_of(fill.id),
            wants_token: fill.last && scheduler.newest(fill.id).is_none(),
        };
        let parts: Vec<Part<'_, M::Encoded>> = filled.iter().map(part).collect();
        let results = each(parts.len(), |range| model.prefill(&parts[range]));
        for (fill, result) in filled.into_iter().zip(results) {
            self.filled(fill, result);
        }
        for fill in empty {
            self.filled(fill, Ok(None));
        }
    }

    /// A stretch is in the cache, or is not: its sequence goes on, enters its row, or ends.
    fn filled(&mut self, Fill { id, count, .. }: Fill, result: Result<Option<u32>, String>) {
        let token = match result {
            Ok(token) => token,
            Err(error) => return self.end(id, Some(Said::Failed(error))),
        };
        let Some(row) = self.scheduler.prefilled(id, count, token) else {
            return;
        };
        if let Some(token) = token {
            self.say(id, Said::Token(token));
        }
        let written = self.scheduler.written(id);
        let Some(token) = self.scheduler.newest(id) else {
            return self.end(id, Some(Said::Failed("prefill gave no token".into())));
        };
        let encoded = self
            .kept
            .get(&id)
            .and_then(|kept| kept.encoded.as_ref())
            .expect("it was there");
        let blocks = self.scheduler.blocks_of(id);
        let length = self.scheduler.length(id);
        let entry = Entry {
            token,
            length,
            blocks,
            written,
        };
        if let Err(error) = self.model.enter(row, encoded, entry) {
            return self.end(id, Some(Said::Failed(error)));
        }
        if self.scheduler.is_done(id) {
            self.end(id, Some(Said::End));
        }
    }

    fn decode(&mut self, rows: usize) {
        if let Err(error) = guarded(|| self.model.begin_step(rows)) {
            return self.give_up(error);
        }
        let of_row = |row| {
            let id = self.scheduler.in_row(row)?;
            Some((row, id, self.scheduler.admission(id)?))
        };
        self.begun.push_back((0..rows).filter_map(of_row).collect());
        for change in self.scheduler.began() {
            self.tell(change);
        }
        if self.begun.len() >= STEPS_AHEAD {
            self.end_step();
        }
    }

    fn end_step(&mut self) {
        let Some(rows) = self.begun.pop_front() else {
            return;
        };
        if let Err(error) = guarded(|| self.model.end_step(&mut self.tokens)) {
            return self.give_up(error);
        }
        for (row, id, admission) in rows {
            // A sequence that ended meanwhile, or made room and makes this token again, does not want it.
            if self.scheduler.admission(id) != Some(admission) {
                continue;
            }
            let token = self.tokens[row];
            self.scheduler.wrote(id, token);
            self.say(id, Said::Token(token));
            if self.scheduler.is_done(id) {
                self.end(id, Some(Said::End));
            }
        }
    }
}

/// Work over all of `count` at once or, where that fails, one by one, so that an error is only of those that have it.
fn each<T>(
    count: usize,
    mut work: impl FnMut(Range<usize>) -> Result<Vec<T>, String>,
) -> Vec<Result<T, String>> {
    let mut of = |range: Range<usize>| {
        let wanted = range.len();
        guarded(|| work(range)).and_then(|results| match results.len() == wanted {
            true => Ok(results),
            false => Err(format!("the model answered {} of {wanted}", results.len())),
        })
    };
    match count {
        0 => Vec::new(),
        1 => vec![of(0..1).map(one)],
        _ => match of(0..count) {
            Ok(results) => results.into_iter().map(Ok).collect(),
            Err(_) => (0..count).map(|at| of(at..at + 1).map(one)).collect(),
        },
    }
}

fn one<T>(results: Vec<T>) -> T {
    results.into_iter().next().expect("one was counted")
}

/// A panic in the model becomes an error of what it was doing.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("the model panicked: {}", said_by(&*panic))))
}
