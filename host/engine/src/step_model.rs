//! What a decoder supplies, so that many sequences can be written at once.

use crate::blocks::BlockId;

/// Room of a model's cache and batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Blocks of the cache.
    pub blocks: usize,
    /// Tokens that a block holds.
    pub block_tokens: usize,
    /// Sequences that can decode together.
    pub rows: usize,
    /// Tokens of a sequence, prompt and output together.
    pub context: usize,
    /// Tokens of prompts that go through the model at a time.
    pub chunk: usize,
    /// Prompts that are encoded and filled at a time.
    pub prompts: usize,
    /// Whether a sequence's blocks are all taken before it is filled, so that it never has to make room and be filled again
    /// with what it wrote: what a prefill leaves in the cache may differ in its last bits from what steps leave there.
    pub reserves: bool,
}

/// A prompt as it goes into the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Its tokens.
    pub tokens: usize,
    /// The last of them, where a step can read it by its id; `None`: it is part of an image.
    pub last: Option<u32>,
}

/// A stretch of a sequence on its way into the cache.
#[derive(Debug)]
pub struct Part<'a, E> {
    /// The prompt.
    pub encoded: &'a E,
    /// What was written behind it, where the sequence had to make room.
    pub written: &'a [u32],
    /// The first token, of the prompt followed by `written`.
    pub start: usize,
    /// How many.
    pub count: usize,
    /// The sequence's blocks of the cache.
    pub blocks: &'a [BlockId],
    /// Whether the token that follows is wanted. That is asked for only where no step can read the prompt's last token.
    pub wants_token: bool,
}

/// A sequence as it begins to decode in a row of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The newest token, which the next step reads: of what was written, or the prompt's last.
    pub token: u32,
    /// Tokens of the sequence, counting that one; the others are in the cache.
    pub length: usize,
    /// Its blocks of the cache.
    pub blocks: &'a [BlockId],
    /// What was written so far.
    pub written: &'a [u32],
}

/// A decoder with a cache in blocks. One thread owns it.
///
/// Sequences are encoded, then prefilled chunk by chunk, several at a time, then they enter a row and decode until they
/// leave it. A sequence may be taken out of its row and its blocks at any time; what it has written is then prefilled again.
pub trait StepModel {
    /// What a sequence starts from: an image's views, ids.
    type Prompt: Send;
    /// A prompt as the decoder takes it; kept while the sequence lives.
    type Encoded;

    /// How much there is room for.
    fn capacity(&self) -> Capacity;

    /// Makes the decoder's input of each prompt. Where that fails for several at once they are asked for one by one.
    fn encode(&mut self, prompts: &[Self::Prompt]) -> Result<Vec<(Self::Encoded, Prefix)>, String>;

    /// Runs stretches of several sequences through the decoder, into their blocks. Answers the token behind each that wants
    /// one, and waits for these alone. Where that fails for several at once they are asked for one by one.
    fn prefill(&mut self, parts: &[Part<'_, Self::Encoded>]) -> Result<Vec<Option<u32>>, String>;

    /// Puts a prefilled sequence into a row.
    fn enter(&mut self, row: usize, encoded: &Self::Encoded, entry: Entry<'_>) -> Result<(), String>;

    /// Tells of a row's further blocks; the list is whole.
    fn grow(&mut self, row: usize, blocks: &[BlockId]) -> Result<(), String>;

    /// Empties a row; steps that were begun are not affected.
    fn leave(&mut self, row: usize) -> Result<(), String>;

    /// Begins a step of the first `rows` rows, those that are empty excepted. Need not wait for it.
    fn begin_step(&mut self, rows: usize) -> Result<(), String>;

    /// Waits for the oldest step that was begun and not ended, and writes each row's token into `tokens`.
    fn end_step(&mut self, tokens: &mut [u32]) -> Result<(), String>;
}
