//! What runs on the next step: encode some prompts, prefill a chunk of them, or decode all rows.
//!
//! It knows counts and block ids, never tensors. Invariants: a sequence is in exactly one of `waiting`, `filling` and a
//! row; only those in the latter two own blocks, and enough for every token that a planned step writes; a sequence that
//! is pre-empted keeps what it has written and is filled again from that.

use crate::Tenant;
use crate::batch::Census;
use crate::blocks::{BlockId, Blocks};
use crate::step_model::{Capacity, Prefix};
use crate::waiting::Waiting;
use std::collections::HashMap;

/// Names a sequence for as long as it lives.
pub type SequenceId = u64;

/// What a sequence asks of the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Whose it is; tenants share the model by weight.
    pub tenant: Tenant,
    /// Tokens to write at most.
    pub most: usize,
    /// The token that ends it before; it is handed on like any other.
    pub end: Option<u32>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make the decoder's input of these sequences' prompts, then call [`Scheduler::encoded`] for each.
    Encode(Vec<SequenceId>),
    /// Run these stretches through the decoder; then call [`Scheduler::prefilled`] for each.
    Prefill(Vec<Fill>),
    /// Begin a step of the first `rows` rows; then call [`Scheduler::began`].
    Decode {
        /// One more than the highest row with a sequence.
        rows: usize,
    },
}

/// Part of a sequence's prompt, and of what it had written, on its way through the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Whose.
    pub id: SequenceId,
    /// The first token.
    pub start: usize,
    /// How many.
    pub count: usize,
    /// Whether the sequence enters its row with it.
    pub last: bool,
}

/// What [`Scheduler::began`] and the others say became of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A row's sequence got blocks.
    Grown(usize),
    /// A row is empty now.
    Left(usize),
}

#[derive(Debug)]
struct Sequence {
    order: Order,
    /// The prompt, once it was encoded.
    prefix: Option<Prefix>,
    written: Vec<u32>,
    /// Tokens that steps which were begun have written or will write.
    begun: usize,
    blocks: Vec<BlockId>,
    place: Place,
    /// When it was admitted, for pre-emption: the last goes first.
    admitted: u64,
    /// Whether it was admitted before more urgent ones, because they had passed it by often enough: they do not pre-empt
    /// it then, or it would never come to its end.
    was_overdue: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    /// It has a row to enter; `done` tokens are in the cache.
    Filling {
        row: usize,
        done: usize,
    },
    Decoding {
        row: usize,
    },
    /// It left its row, and waits for tokens of steps that were begun.
    Draining,
}

impl Sequence {
    fn prompt(&self) -> usize {
        self.prefix.map_or(0, |prefix| prefix.tokens)
    }

    /// Tokens to have in the cache before it enters its row: all but the newest, which its first step reads. A prompt
    /// that ends in an image goes in whole.
    fn to_fill(&self) -> usize {
        let is_whole = self.written.is_empty() && self.prefix.is_some_and(|prefix| prefix.last.is_none());
        (self.prompt() + self.written.len()).saturating_sub(usize::from(!is_whole))
    }
}

/// Plans steps.
#[derive(Debug)]
pub struct Scheduler {
    capacity: Capacity,
    blocks: Blocks,
    sequences: HashMap<SequenceId, Sequence>,
    waiting: Waiting<SequenceId>,
    /// Those that are encoded and filled, in the order of their admission: no more than the model takes at a time.
    filling: Vec<SequenceId>,
    rows: Vec<Option<SequenceId>>,
    admissions: u64,
    preempted: u64,
    /// Whether the last step was not a decode: the two take turns.
    decode_is_due: bool,
}

impl Scheduler {
    /// A scheduler of an empty cache.
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            blocks: Blocks::new(capacity.blocks, capacity.block_tokens),
            sequences: HashMap::new(),
            waiting: Waiting::default(),
            filling: Vec::new(),
            rows: vec![None; capacity.rows],
            admissions: 0,
            preempted: 0,
            decode_is_due: false,
        }
    }

    /// Takes a sequence in.
    pub fn add(&mut self, id: SequenceId, order: Order) {
        self.waiting.push(&order.tenant, id, false);
        let sequence = Sequence {
            order,
            prefix: None,
            written: Vec::new(),
            begun: 0,
            blocks: Vec::new(),
            place: Place::Waiting,
            admitted: 0,
            was_overdue: false,
        };
        self.sequences.insert(id, sequence);
    }

    /// Sequences that have not ended.
    pub fn alive(&self) -> usize {
        self.sequences.len()
    }

    /// Who is there, and what of the cache is free.
    pub fn census(&self) -> Census {
        Census {
            sequences: self.sequences.len(),
            free_blocks: self.blocks.free(),
            blocks: self.blocks.all(),
            preempted: self.preempted,
        }
    }

    /// What a sequence has written.
    pub fn written(&self, id: SequenceId) -> &[u32] {
        self.sequences.get(&id).map_or(&[], |s| &s.written)
    }

    /// A sequence's blocks.
    pub fn blocks_of(&self, id: SequenceId) -> &[BlockId] {
        self.sequences.get(&id).map_or(&[], |s| &s.blocks)
    }

    /// Tokens of a sequence, prompt and output together.
    pub fn length(&self, id: SequenceId) -> usize {
        self.sequences
            .get(&id)
            .map_or(0, |s| s.prompt() + s.written.len())
    }

    /// The token that a sequence's first step in its row reads.
    pub fn newest(&self, id: SequenceId) -> Option<u32> {
        let sequence = self.sequences.get(&id)?;
        let last = sequence.written.last().copied();
        last.or(sequence.prefix.and_then(|prefix| prefix.last))
    }

    /// Who is in a row.
    pub fn in_row(&self, row: usize) -> Option<SequenceId> {
        let id = self.rows[row]?;
        let place = self.sequences.get(&id)?.place;
        (place == Place::Decoding { row }).then_some(id)
    }

    /// What to do next; `None`: nothing until a sequence comes or a step ends. Rows that made room or grew come first
    /// and are to be told to the model before the step.
    pub fn plan(&mut self) -> (Vec<Change>, Option<Step>) {
        let mut changes = Vec::new();
        let fill_first = !self.decode_is_due || !self.any_row_decodes();
        if let Some(step) = fill_first.then(|| self.plan_fill()).flatten() {
            return (changes, Some(step));
        }
        let step = self.plan_decode(&mut changes);
        if step.is_some() {
            return (changes, step);
        }
        let step = self.plan_fill();
        (changes, step)
    }

    fn any_row_decodes(&self) -> bool {
        (0..self.rows.len()).any(|row| self.in_row(row).is_some())
    }

    fn plan_fill(&mut self) -> Option<Step> {
        while self.filling.len() < self.capacity.prompts.max(1) && self.admit() {}
        let unread = |id: &SequenceId| self.sequences[id].prefix.is_none();
        let unread: Vec<SequenceId> = self.filling.iter().copied().filter(unread).collect();
        if !unread.is_empty() {
            return Some(Step::Encode(unread));
        }
        let mut fills = Vec::new();
        let mut room = self.capacity.chunk.max(1);
        for &id in &self.filling {
            let sequence = self.sequences.get_mut(&id).expect("who is filled lives");
            let Place::Filling { done, .. } = sequence.place else {
                unreachable!("who is filled has a row")
            };
            let fill = sequence.to_fill();
            // The blocks for the prompt are taken once its length is known.
            let need = match self.capacity.reserves {
                true => sequence.prompt() + sequence.order.most,
                false => fill + 1,
            };
            if !self.blocks.extend(&mut sequence.blocks, need) {
                // Who came later does not pass it by: it would wait for ever among small ones.
                break;
            }
            let count = room.min(fill - done);
            fills.push(Fill {
                id,
                start: done,
                count,
                last: done + count == fill,
            });
            room -= count;
            if room == 0 {
                break;
            }
        }
        (!fills.is_empty()).then_some(Step::Prefill(fills))
    }

    /// Gives the next in line a row, and says whether there was one. Those that were encoded need their blocks at once; of
    /// others the need is unknown, and one block for each row that has a sequence is left, so that they can grow meanwhile.
    fn admit(&mut self) -> bool {
        let Some(row) = self.rows.iter().position(Option::is_none) else {
            return false;
        };
        let Some(&id) = self.waiting.peek() else {
            return false;
        };
        let taken = self.rows.iter().flatten().count();
        let sequence = &self.sequences[&id];
        let need = match sequence.prefix {
            Some(_) => self.blocks.for_tokens(sequence.to_fill() + 1),
            None => 1,
        };
        if taken > 0 && self.blocks.free() < need + taken {
            return false;
        }
        let was_overdue = self.waiting.is_overdue();
        self.waiting.pop();
        self.admissions += 1;
        let sequence = self.sequences.get_mut(&id).expect("who waits lives");
        sequence.place = Place::Filling { row, done: 0 };
        sequence.admitted = self.admissions;
        sequence.was_overdue = was_overdue;
        self.rows[row] = Some(id);
        self.filling.push(id);
        true
    }

    fn plan_decode(&mut self, changes: &mut Vec<Change>) -> Option<Step> {
        for row in 0..self.rows.len() {
            let Some(id) = self.in_row(row) else { continue };
            let sequence = self.sequences.get_mut(&id).expect("who has a row lives");
            // The token that the step reads is written to the cache; the one it makes needs no place yet.
            let tokens = sequence.prompt() + sequence.begun;
            let before = sequence.blocks.len();
            while !self
                .blocks
                .extend(&mut self.sequences.get_mut(&id).expect("it lives").blocks, tokens)
            {
                let Some(other) = self.last_admitted() else { break };
                changes.extend(self.preempt(other));
                if other == id {
                    break;
                }
            }
            if self.in_row(row) == Some(id) && self.sequences[&id].blocks.len() > before {
                changes.push(Change::Grown(row));
            }
        }
        let rows = (0..self.rows.len())
            .rev()
            .find(|&row| self.in_row(row).is_some())?
            + 1;
        Some(Step::Decode { rows })
    }

    /// Of those with blocks the one that makes room first: the least urgent, of these the last that came.
    fn last_admitted(&self) -> Option<SequenceId> {
        let has_blocks = |(_, s): &(&SequenceId, &Sequence)| {
            !s.blocks.is_empty() && matches!(s.place, Place::Filling { .. } | Place::Decoding { .. })
        };
        let of = self.sequences.iter().filter(has_blocks);
        let claim = |s: &Sequence| {
            let last = std::cmp::Reverse(s.admitted);
            (s.was_overdue, s.order.tenant.priority, last)
        };
        of.min_by_key(|(_, s)| claim(s)).map(|(&id, _)| id)
    }

    /// Takes a sequence's row and blocks; it waits at the head of its queue with what it has written.
    fn preempt(&mut self, id: SequenceId) -> Option<Change> {
        self.preempted += 1;
        let sequence = self.sequences.get_mut(&id).expect("it lives");
        self.blocks.release(&mut sequence.blocks);
        let place = std::mem::replace(&mut sequence.place, Place::Waiting);
        // Tokens of steps that were begun and not read are made again.
        sequence.begun = sequence.written.len();
        let order = &sequence.order;
        self.waiting.push(&order.tenant, id, true);
        self.vacate(place)
    }

    /// Empties the row of a sequence that leaves a place. Answers what the model is to be told.
    fn vacate(&mut self, place: Place) -> Option<Change> {
        match place {
            Place::Filling { row, .. } => {
                let id = self.rows[row].take();
                self.filling.retain(|&filling| Some(filling) != id);
                None
            }
            Place::Decoding { row } => {
                self.rows[row] = None;
                Some(Change::Left(row))
            }
            Place::Waiting | Place::Draining => None,
        }
    }

    /// A prompt was encoded. Answers why it can't be written, if it can't.
    pub fn encoded(&mut self, id: SequenceId, prefix: Prefix) -> Result<(), String> {
        let tokens = prefix.tokens;
        self.decode_is_due = true;
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return Ok(());
        };
        sequence.prefix = Some(prefix);
        let room = self.capacity.context.saturating_sub(tokens);
        sequence.order.most = sequence.order.most.min(room);
        if sequence.order.most == 0 {
            return Err(format!(
                "a prompt of {tokens} tokens leaves no room to write in a context of {}",
                self.capacity.context
            ));
        }
        let most = self.blocks.for_tokens(tokens + sequence.order.most);
        if most > self.blocks.all() {
            // It could never be written to its end: better less text than an endless wait.
            let room = (self.blocks.all() * self.capacity.block_tokens).saturating_sub(tokens);
            if room == 0 {
                return Err(format!(
                    "a prompt of {tokens} tokens does not fit the cache of {} blocks of {}; give the model more memory",
                    self.blocks.all(),
                    self.capacity.block_tokens
                ));
            }
            sequence.order.most = room;
        }
        Ok(())
    }

    /// A chunk was prefilled; `token` is the sequence's first, if that was asked for. Answers its row when it begins to
    /// decode.
    pub fn prefilled(&mut self, id: SequenceId, count: usize, token: Option<u32>) -> Option<usize> {
        self.decode_is_due = true;
        let sequence = self.sequences.get_mut(&id)?;
        let Place::Filling { row, done } = sequence.place else {
            return None;
        };
        let done = done + count;
        self.waiting.charge(&sequence.order.tenant, count as u64);
        sequence.place = Place::Filling { row, done };
        if done < sequence.to_fill() {
            return None;
        }
        sequence.written.extend(token);
        sequence.begun = sequence.written.len();
        sequence.place = Place::Decoding { row };
        self.filling.retain(|&filling| filling != id);
        Some(row)
    }

    /// A decode step was begun. Rows whose sequences need no further step are emptied.
    pub fn began(&mut self) -> Vec<Change> {
        self.decode_is_due = false;
        let mut changes = Vec::new();
        for row in 0..self.rows.len() {
            let Some(id) = self.in_row(row) else { continue };
            let sequence = self.sequences.get_mut(&id).expect("who has a row lives");
            sequence.begun += 1;
            self.waiting.charge(&sequence.order.tenant, 1);
            if sequence.begun >= sequence.order.most {
                sequence.place = Place::Draining;
                self.rows[row] = None;
                self.blocks.release(&mut sequence.blocks);
                changes.push(Change::Left(row));
            }
        }
        changes
    }

    /// A step gave a sequence a token.
    pub fn wrote(&mut self, id: SequenceId, token: u32) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.written.push(token);
        }
    }

    /// Whether a sequence has written all that it may, or its end.
    pub fn is_done(&self, id: SequenceId) -> bool {
        self.sequences.get(&id).is_none_or(|sequence| {
            let last = sequence.written.last();
            sequence.written.len() >= sequence.order.most
                || (last.is_some() && last == sequence.order.end.as_ref())
        })
    }

    /// Whether a sequence was admitted after it last waited: tokens of steps begun before that are not its own.
    pub fn admission(&self, id: SequenceId) -> Option<u64> {
        let sequence = self.sequences.get(&id)?;
        (sequence.place != Place::Waiting).then_some(sequence.admitted)
    }

    /// A sequence has ended, in whatever place it was. Answers what became of its row.
    pub fn remove(&mut self, id: SequenceId) -> Option<Change> {
        let mut sequence = self.sequences.remove(&id)?;
        self.blocks.release(&mut sequence.blocks);
        if sequence.place == Place::Waiting {
            self.waiting.remove(|&waiting| waiting == id);
        }
        self.vacate(sequence.place)
    }

    /// All sequences, for when the model has failed for good.
    pub fn all(&self) -> Vec<SequenceId> {
        self.sequences.keys().copied().collect()
    }
}
