//! How large a step decoder is and what it decides for itself.

use crate::dimensions::{MAX_CONTEXT, MAX_ROWS};
use crate::error::{KernelError, Result};

/// Room and rules of a [`StepDecoder`](crate::StepDecoder). All its memory is taken when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOptions {
    /// Sequences that decode together, 1 ..= 256.
    pub max_rows: usize,
    /// Tokens of a cache page: a power of two from 32 on.
    pub page_tokens: usize,
    /// Pages of the cache.
    pub pages: usize,
    /// Tokens of a sequence, prompt and output together, at most 8,192.
    pub max_context: usize,
    /// Output tokens of a row that are remembered for the n-gram rule; later ones go unseen.
    pub history_tokens: usize,
    /// Rounds the router's logits to bf16, as a bf16 linear layer does.
    pub round_router_logits: bool,
    /// Bans tokens that would repeat an n-gram of the row's output.
    pub ngram: Option<NgramGuard>,
    /// Tokens of prompts that go through the decoder at once.
    pub prompt_rows: usize,
    /// Whether a sequence's results are the same to the bit in every batch: all batches take the tiled kernels, with one
    /// split of their sums.
    pub deterministic: bool,
}

/// The no-repeat n-gram rule, over output tokens only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NgramGuard {
    /// Length of the n-grams, tokens, 1 or more.
    pub size: usize,
    /// Output tokens, counted from the last, in which an n-gram must start to count; `None`: anywhere.
    pub window: Option<usize>,
    /// Ids that are never banned.
    pub allowed: [Option<u32>; 2],
}

impl Default for StepOptions {
    fn default() -> Self {
        Self {
            max_rows: 32,
            page_tokens: 32,
            pages: 32 * 64,
            max_context: MAX_CONTEXT,
            history_tokens: MAX_CONTEXT,
            round_router_logits: false,
            ngram: None,
            prompt_rows: 4096,
            deterministic: false,
        }
    }
}

impl StepOptions {
    /// Pages that a sequence of `max_context` tokens takes: the width of the block table.
    pub fn pages_a_row(&self) -> usize {
        self.max_context.div_ceil(self.page_tokens)
    }

    /// Rows of the widest batch: `max_rows` rounded up to a batch that there is a graph for.
    pub fn widest_batch(&self) -> usize {
        self.max_rows.next_power_of_two()
    }

    /// Fails on the first value that no decoder could have.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(KernelError::argument(format!(
                "{name} is {value}, it must lie in {least} ..= {most}"
            )))
        };
        within("max_rows", self.max_rows, 1, MAX_ROWS)?;
        within("max_context", self.max_context, 1, MAX_CONTEXT)?;
        within("page_tokens", self.page_tokens, 32, MAX_CONTEXT)?;
        within("history_tokens", self.history_tokens, 1, 1 << 20)?;
        within("prompt_rows", self.prompt_rows, 1, 1 << 16)?;
        // One page more is taken, and page numbers are 32-bit integers.
        within("pages", self.pages, 1, i32::MAX as usize - 1)?;
        if !self.page_tokens.is_power_of_two() {
            let text = format!("page_tokens is {}, it must be a power of two", self.page_tokens);
            return Err(KernelError::argument(text));
        }
        if let Some(guard) = &self.ngram {
            within("the n-gram rule's size", guard.size, 1, self.history_tokens)?;
            within(
                "the n-gram rule's window",
                guard.window.unwrap_or(1),
                1,
                i32::MAX as usize,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_options_say_what_is_wrong() {
        let bad = StepOptions {
            page_tokens: 48,
            ..StepOptions::default()
        };
        assert_eq!(
            bad.check().unwrap_err().to_string(),
            "page_tokens is 48, it must be a power of two"
        );
        let bad = StepOptions {
            max_rows: 257,
            ..StepOptions::default()
        };
        assert_eq!(
            bad.check().unwrap_err().to_string(),
            "max_rows is 257, it must lie in 1 ..= 256"
        );
        assert!(StepOptions::default().check().is_ok());
    }

    #[test]
    fn a_row_has_pages_for_its_longest_sequence() {
        let options = StepOptions {
            max_context: 8191,
            max_rows: 33,
            ..StepOptions::default()
        };
        assert_eq!((options.pages_a_row(), options.widest_batch()), (256, 64));
    }
}
