//! Documents, each with a child of its own that comes and goes.
//!
//! A child is started when its document is first asked for something, again after it was lost, and afresh once it has
//! served [`PAGES_A_CHILD`] pages or half of its processor time, because pdfium keeps what it has seen. One that was idle
//! for [`IDLE`] is ended. At most [`Limits::children`] live at a time: whoever needs one more ends an idle one of the party
//! that has most, and where all are at work or have just begun it waits its turn (`turns.rs`).

use crate::error::RenderError;
use crate::process::{Allowance, Launch, Process};
use crate::protocol::{Answer, Failure, Request};
use crate::turns::{Party, Permit, Turn, Turns};
use ocr_confine::Fence;
use ocr_document::{PageImage, PixelFormat, TextLayer};
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Pages that a child draws before another takes its place.
const PAGES_A_CHILD: u32 = 64;
/// How long a child may be idle.
const IDLE: Duration = Duration::from_secs(20);
/// How often idle children are looked for, and how often one that waits for its turn looks.
const SWEEP: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);
/// A child's processor time, in times of what one request may take.
const CPU_TIMES: u32 = 4;
/// A document that cost so many children in a row gets no more.
const LOST_IN_A_ROW: u32 = 3;

/// What the children of a renderer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Address space of a child beyond the library's own and the document's bytes.
    pub memory: u64,
    /// The longest that one request is allowed by those who ask; processor time follows from it.
    pub time: Duration,
    /// Children at a time.
    pub children: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 768 << 20,
            time: Duration::from_secs(30),
            children: std::thread::available_parallelism().map_or(2, |n| n.get().max(2)),
        }
    }
}

/// A document's bytes, read again for each child.
pub trait DocumentBytes: Send + Sync {
    /// How many.
    fn len(&self) -> u64;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Up to `len` bytes from `offset`; fewer at the end, none past it.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>>;
}

impl DocumentBytes for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(Vec::len(self));
        Ok(self[start..start.saturating_add(len).min(Vec::len(self))].to_vec())
    }
}

/// Opens documents of one party. Clones share children's number and limits.
#[derive(Clone)]
pub struct Renderer {
    pool: Arc<Pool>,
    party: Party,
}

struct Pool {
    launch: Launch,
    limits: Limits,
    /// Children that live.
    turns: Turns,
    /// Of all open documents.
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    all: Vec<Weak<Slot>>,
    sweeps: bool,
}

/// A document's place for a child.
#[derive(Default)]
struct Slot(Mutex<Option<Running>>);

/// A child with the document in it.
struct Running {
    // Dropped in this order: the child is gone before another may come.
    process: Process,
    permit: Permit,
    pages: u32,
    busy: Duration,
    turn: Turn,
}

const HELD: &str = "no thread panics while it holds this";

impl Renderer {
    /// Starts nothing yet.
    pub fn new(launch: Launch, limits: Limits) -> Self {
        let pool = Pool {
            launch,
            turns: Turns::new(limits.children),
            limits,
            slots: Mutex::default(),
        };
        Self {
            pool: Arc::new(pool),
            party: Party::from(""),
        }
    }

    /// The same renderer for the documents of `party`. Parties share the children: who has fewest is served first, and
    /// who has more gives one up after a turn of some pages.
    pub fn of(&self, party: &str) -> Self {
        Self {
            pool: self.pool.clone(),
            party: party.into(),
        }
    }

    /// Opens a document.
    pub fn open(
        &self,
        bytes: Box<dyn DocumentBytes>,
        password: Option<String>,
        allowance: &Allowance<'_>,
    ) -> Result<Document, RenderError> {
        let slot = Arc::new(Slot::default());
        self.pool.slots();
        self.pool
            .slots
            .lock()
            .expect(HELD)
            .all
            .push(Arc::downgrade(&slot));
        let mut document = Document {
            pool: self.pool.clone(),
            party: self.party.clone(),
            slot,
            bytes,
            password,
            pages: 0,
            lost: 0,
        };
        document.pages = document.with_child(allowance, |running, _| Ok(running.pages))?;
        Ok(document)
    }

    /// Starts a child and ends it; answers whether its system calls are filtered. What is wrong with the library is told.
    pub fn probe(&self, allowance: &Allowance<'_>) -> Result<bool, RenderError> {
        let process = Process::start(&self.pool.launch, &self.pool.fence(0), allowance)?;
        Ok(process.is_filtered())
    }

    /// How many children live.
    pub fn living(&self) -> usize {
        self.pool.turns.living()
    }

    /// Process numbers of the children that live; waits for those at work.
    pub fn children(&self) -> Vec<u32> {
        let slots = self.pool.slots();
        let children = slots.iter().map(|slot| slot.0.lock().expect(HELD));
        children
            .filter_map(|child| child.as_ref().map(|r| r.process.id()))
            .collect()
    }
}

impl Pool {
    fn fence(&self, bytes: u64) -> Fence {
        Fence {
            addresses: self.limits.memory.saturating_add(bytes),
            data: None,
            cpu: self.limits.time.saturating_mul(CPU_TIMES),
        }
    }

    /// Waits for the right to have one more child.
    fn permit(self: &Arc<Self>, party: &Party, allowance: &Allowance<'_>) -> Result<Permit, RenderError> {
        let place = self.turns.ask(party);
        loop {
            if let Some(permit) = place.permit() {
                return Ok(permit);
            }
            if let Some(ended) = allowance.ended() {
                return Err(ended);
            }
            let is_full = self.turns.living() >= self.limits.children.max(1);
            if !(is_full && place.is_next() && self.end_one_for(party)) {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Slots of the documents that are open.
    fn slots(self: &Arc<Self>) -> Vec<Arc<Slot>> {
        let mut slots = self.slots.lock().expect(HELD);
        slots.all.retain(|slot| slot.strong_count() > 0);
        if !slots.sweeps {
            slots.sweeps = self.sweep();
        }
        slots.all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Ends the idle child that can best be spared for one of `party`; whether there was one.
    fn end_one_for(self: &Arc<Self>, party: &Party) -> bool {
        let (slots, now) = (self.slots(), Instant::now());
        let mut best = None;
        for slot in &slots {
            // One that is locked is at work, or waits as well.
            let Ok(guard) = slot.0.try_lock() else { continue };
            let spare = guard.as_ref().and_then(|running| {
                let owner = running.permit.party();
                self.turns.spare(owner, &running.turn, party, now)
            });
            if spare.is_some() && best.as_ref().is_none_or(|(least, _)| spare > *least) {
                best = Some((spare, guard));
            }
        }
        best.is_some_and(|(_, mut guard)| guard.take().is_some())
    }

    /// Ends idle children from time to time, as long as there is a renderer; whether someone does.
    fn sweep(self: &Arc<Self>) -> bool {
        let pool = Arc::downgrade(self);
        let sweep = move || {
            while let Some(pool) = pool.upgrade() {
                pool.end_idle();
                drop(pool);
                std::thread::sleep(SWEEP);
            }
        };
        let thread = std::thread::Builder::new().name("ocr-pdfium-idle".into());
        thread.spawn(sweep).is_ok()
    }

    fn end_idle(self: &Arc<Self>) {
        for slot in self.slots() {
            if let Ok(mut guard) = slot.0.try_lock()
                && guard
                    .as_ref()
                    .is_some_and(|r| r.turn.rested(Instant::now()) > IDLE)
            {
                *guard = None;
            }
        }
    }
}

/// An open document. Pages count from 0.
pub struct Document {
    pool: Arc<Pool>,
    party: Party,
    slot: Arc<Slot>,
    bytes: Box<dyn DocumentBytes>,
    password: Option<String>,
    pages: u32,
    /// Children lost in a row.
    lost: u32,
}

impl Document {
    /// Its pages.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// A page's width and height in points, as displayed.
    pub fn size(&mut self, page: u32, allowance: &Allowance<'_>) -> Result<(f32, f32), RenderError> {
        self.with_child(allowance, |running, allowance| {
            match running.process.ask(&Request::Size { page }, allowance)? {
                Answer::Size { width, height } => Ok((width, height)),
                other => Err(refusal(&running.process, other)),
            }
        })
    }

    /// A page on white, as exactly so many pixels.
    pub fn render(
        &mut self,
        page: u32,
        width: u32,
        height: u32,
        allowance: &Allowance<'_>,
    ) -> Result<PageImage, RenderError> {
        let request = Request::Render { page, width, height };
        self.with_child(allowance, |running, allowance| {
            running.turn.draws();
            match running.process.ask(&request, allowance)? {
                Answer::Image {
                    width: w,
                    height: h,
                    pixels,
                } if (w, h) == (width, height) => PageImage::new(w, h, PixelFormat::Rgb8, pixels)
                    .map_err(|e| RenderError::Protocol(e.to_string())),
                other => Err(refusal(&running.process, other)),
            }
        })
    }

    /// The words that a page carries, in pixels of a raster of 72 dpi.
    pub fn text(&mut self, page: u32, allowance: &Allowance<'_>) -> Result<TextLayer, RenderError> {
        self.with_child(allowance, |running, allowance| {
            match running.process.ask(&Request::Text { page }, allowance)? {
                Answer::Text { words } => Ok(TextLayer { words }),
                other => Err(refusal(&running.process, other)),
            }
        })
    }

    /// Does something with the document's child, which is started where there is none, and ended where it fails.
    fn with_child<T>(
        &mut self,
        allowance: &Allowance<'_>,
        work: impl FnOnce(&mut Running, &Allowance<'_>) -> Result<T, RenderError>,
    ) -> Result<T, RenderError> {
        if self.lost >= LOST_IN_A_ROW {
            let why = format!("it cost {LOST_IN_A_ROW} processes in a row and gets no more");
            return Err(RenderError::Refused(why));
        }
        let slot = self.slot.clone();
        let mut place = slot.0.lock().expect(HELD);
        let half = self.pool.fence(0).cpu / 2;
        if place
            .as_ref()
            .is_some_and(|r| r.turn.pages() >= PAGES_A_CHILD || r.busy > half)
        {
            *place = None;
        }
        let running = match &mut *place {
            Some(running) => Ok(running),
            empty => {
                // Who waits in vain has lost no child.
                let permit = self.pool.permit(&self.party, allowance)?;
                self.start(permit, allowance).map(|running| empty.insert(running))
            }
        };
        let done = running.and_then(|running| {
            let started = Instant::now();
            let done = work(running, allowance);
            running.turn.used(Instant::now());
            running.busy += started.elapsed();
            done
        });
        match &done {
            Err(e) if e.is_fatal() => {
                *place = None;
                // Being cancelled is not its fault.
                self.lost += u32::from(*e != RenderError::Cancelled);
            }
            _ => self.lost = 0,
        }
        let has_had_its_turn = place.as_ref().is_some_and(|r| r.turn.is_over(Instant::now()));
        if has_had_its_turn && self.pool.turns.is_wanted(&self.party) {
            *place = None;
        }
        done
    }

    /// A child with the document open in it.
    fn start(&self, permit: Permit, allowance: &Allowance<'_>) -> Result<Running, RenderError> {
        let started = Instant::now();
        let len = self.bytes.len();
        let mut process = Process::start(&self.pool.launch, &self.pool.fence(len), allowance)?;
        let read_at = |offset, len| self.bytes.read_at(offset, len);
        match process.open(self.password.as_deref(), len, &read_at, allowance)? {
            Answer::Opened { pages } => Ok(Running {
                process,
                permit,
                pages,
                busy: started.elapsed(),
                turn: Turn::new(started, Instant::now()),
            }),
            other => Err(refusal(&process, other)),
        }
    }
}

/// What an answer means that is not the one asked for.
fn refusal(process: &Process, answer: Answer) -> RenderError {
    match answer {
        Answer::Failed { why, message } => match why {
            Failure::Encrypted => RenderError::Encrypted,
            Failure::WrongPassword => RenderError::WrongPassword,
            Failure::Other => RenderError::Refused(message),
        },
        _ => process.nonsense(),
    }
}
