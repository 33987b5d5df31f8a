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
    /// Tokens of a prompt that go through the model at a time.
    pub chunk: usize,
}

/// A prompt as it goes into the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Its tokens.
    pub tokens: usize,
    /// The last of them, where a step can read it by its id; `None`: it is part of an image.
    pub last: Option<u32>,
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
/// Sequences are encoded, then prefilled chunk by chunk, then they enter a row and decode until they leave it. A
/// sequence may be taken out of its row and its blocks at any time; what it has written is then prefilled again.
pub trait StepModel {
    /// What a sequence starts from: an image's views, ids.
    type Prompt: Send;
    /// A prompt as the decoder takes it; kept while the sequence lives.
    type Encoded;

    /// How much there is room for.
    fn capacity(&self) -> Capacity;

    /// Makes the decoder's input of a prompt.
    fn encode(&mut self, prompt: Self::Prompt) -> Result<(Self::Encoded, Prefix), String>;

    /// Runs tokens `start .. start + count` of the prompt followed by `written` through the decoder, into `blocks`.
    /// With `wants_token` it waits and answers the token that follows them; that is asked for only where no step can
    /// read the prompt's last token.
    fn prefill(
        &mut self,
        encoded: &Self::Encoded,
        written: &[u32],
        start: usize,
        count: usize,
        blocks: &[BlockId],
        wants_token: bool,
    ) -> Result<Option<u32>, String>;

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
