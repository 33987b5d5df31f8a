//! Many pages at once over candle's operations: in f32 or f16, or of other dimensions than the fast kernels are made for.
//!
//! [`PlainSteps`] is the [`StepModel`] of the plain road's networks. Every row of a step goes through the same matrices
//! together, attention reads a cache in pages, and the scheduler's rules are those of the fast road. A page's text differs
//! from what the plain road writes by itself only where rounding decides; with `deterministic`, where the rows go through one by
//! one, nowhere.

use crate::config::DecoderConfig;
use crate::decoder::{Decoder, PagedCache, Stretch};
use crate::error::ModelError;
use crate::generate::best;
use crate::model::{Eyes, Seen};
use crate::ngram::{NgramGuard, NgramRule};
use crate::options::Options;
use crate::taps::Tap;
#[cfg(feature = "cuda")]
use candle_core::DType;
use candle_core::{Result, Tensor};
use ocr_engine::{BlockId, Capacity, Entry, Part, Prefix, StepModel};
use std::collections::VecDeque;

/// Tokens of a page of the cache.
const PAGE_TOKENS: usize = 32;
/// Tokens of prompts that go through the decoder at a time: any page's, so that it is filled in one go, as on the plain road.
const CHUNK: usize = 2048;
/// Prompts that are seen and prefilled at a time.
const PROMPTS: usize = 8;

/// The plain road's networks with a batch.
pub(crate) struct PlainSteps {
    eyes: Eyes,
    decoder: Decoder,
    cache: PagedCache,
    capacity: Capacity,
    rule: NgramRule,
    /// Whether sequences go through the decoder one by one, so that none's sums depend on the others.
    in_turn: bool,
    rows: Vec<Option<Row>>,
    /// Tokens of the steps that were begun and not ended, by their row.
    begun: VecDeque<Vec<(usize, u32)>>,
}

/// A sequence in its row.
struct Row {
    token: u32,
    /// Tokens, that one among them.
    length: usize,
    pages: Vec<u32>,
    guard: NgramGuard,
}

/// A prompt as the decoder takes it.
pub struct Embedded {
    pub(crate) embeds: Tensor,
    pub(crate) ids: Vec<u32>,
}

impl Embedded {
    /// The input of a stretch of the prompt and what was written behind it; `embed` has that of tokens.
    pub(crate) fn of_part(
        part: &Part<'_, Self>,
        embed: impl Fn(&[u32]) -> Result<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let (prompt, end) = (part.encoded.ids.len(), part.start + part.count);
        let mut embeds = Vec::new();
        if part.start < prompt {
            let count = end.min(prompt) - part.start;
            embeds.push(part.encoded.embeds.narrow(0, part.start, count)?);
        }
        if end > prompt {
            let ids = &part.written[part.start.max(prompt) - prompt..end - prompt];
            embeds.push(embed(ids)?);
        }
        Ok(embeds)
    }
}

/// What went wrong, without the trace that candle's errors may carry behind their first line.
pub(crate) fn said<E: std::fmt::Display>(error: E) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

impl PlainSteps {
    /// Bytes of the cache for each token.
    #[cfg(feature = "cuda")]
    pub fn bytes_a_token(config: &DecoderConfig, activations: DType) -> usize {
        2 * config.num_hidden_layers * config.hidden_size * activations.size_in_bytes()
    }

    /// Takes the networks, and a cache that holds `tokens` tokens, at most as many as all rows need.
    pub fn new(
        eyes: Eyes,
        decoder: Decoder,
        config: &DecoderConfig,
        options: &Options,
        tokens: usize,
    ) -> std::result::Result<Self, ModelError> {
        let context = config.max_position_embeddings;
        let rows = options.rows.max(1);
        let capacity = Capacity {
            blocks: tokens.min(rows * context).div_ceil(PAGE_TOKENS),
            block_tokens: PAGE_TOKENS,
            rows,
            context,
            chunk: CHUNK,
            prompts: PROMPTS,
            reserves: options.deterministic,
        };
        Ok(Self {
            cache: decoder.paged_cache(capacity.blocks, PAGE_TOKENS)?,
            eyes,
            decoder,
            capacity,
            rule: options.ngram.clone(),
            in_turn: options.deterministic,
            rows: (0..rows).map(|_| None).collect(),
            begun: VecDeque::new(),
        })
    }

    fn fill(&self, parts: &[Part<'_, Embedded>]) -> Result<Vec<Option<u32>>> {
        let mut embeds = Vec::new();
        for part in parts {
            embeds.extend(Embedded::of_part(part, |ids| self.decoder.embed(ids))?);
        }
        let stretch = |part: &Part<'_, Embedded>| Stretch {
            start: part.start,
            count: part.count,
            pages: part.blocks.to_vec(),
        };
        let stretches: Vec<Stretch> = parts.iter().map(stretch).collect();
        let hidden = self
            .decoder
            .forward_paged(&Tensor::cat(&embeds, 0)?, &self.cache, &stretches)?;
        let mut end = 0;
        let token = |part: &Part<'_, Embedded>| {
            end += part.count;
            let wanted = part.wants_token.then(|| {
                let guard = NgramGuard::new(self.rule.clone(), &part.encoded.ids);
                best(&self.decoder.logits(&hidden.narrow(0, 0, end)?)?, guard.banned())
            });
            wanted.transpose()
        };
        parts.iter().map(token).collect()
    }

    /// Writes a token of each row below `rows`.
    fn write(&mut self, rows: usize) -> Result<Vec<(usize, u32)>> {
        let taken = || self.rows[..rows].iter().flatten();
        let tokens: Vec<u32> = taken().map(|row| row.token).collect();
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let stretch = |row: &Row| Stretch {
            start: row.length - 1,
            count: 1,
            pages: row.pages.clone(),
        };
        let stretches: Vec<Stretch> = taken().map(stretch).collect();
        let together = if self.in_turn { 1 } else { tokens.len() };
        let logits = |(tokens, stretches): (&[u32], &[Stretch])| {
            let x = self.decoder.embed(tokens)?;
            let hidden = self.decoder.forward_paged(&x, &self.cache, stretches)?;
            self.decoder.logits_of_all(&hidden)
        };
        let parts = tokens.chunks(together).zip(stretches.chunks(together));
        let logits = Tensor::cat(&parts.map(logits).collect::<Result<Vec<_>>>()?, 0)?;
        let free: Vec<u32> = logits.argmax(1)?.to_vec1()?;
        let mut written = Vec::new();
        let taken = self.rows[..rows].iter_mut().enumerate();
        let taken = taken.filter_map(|(at, row)| Some((at, row.as_mut()?)));
        for (n, (at, row)) in taken.enumerate() {
            let banned = row.guard.banned();
            row.token = match banned.contains(&free[n]) {
                true => best(&logits.get(n)?, banned)?,
                false => free[n],
            };
            row.length += 1;
            row.guard.push(row.token);
            written.push((at, row.token));
        }
        Ok(written)
    }
}

impl StepModel for PlainSteps {
    type Prompt = Seen;
    type Encoded = Embedded;

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn encode(&mut self, pages: &[Seen]) -> std::result::Result<Vec<(Embedded, Prefix)>, String> {
        let page = |seen: &Seen| {
            let embeds = self
                .eyes
                .embeds(seen, |ids| self.decoder.embed(ids), &mut Tap::off());
            let ids = seen.prompt.ids.clone();
            // Its last token is filled with the others, as on the plain road.
            let prefix = Prefix {
                tokens: ids.len(),
                last: None,
            };
            let embeds = embeds.map_err(said)?;
            Ok((Embedded { embeds, ids }, prefix))
        };
        pages.iter().map(page).collect()
    }

    fn prefill(&mut self, parts: &[Part<'_, Embedded>]) -> std::result::Result<Vec<Option<u32>>, String> {
        let together = if self.in_turn { 1 } else { parts.len().max(1) };
        let filled = parts.chunks(together).map(|parts| self.fill(parts));
        let filled: Result<Vec<_>> = filled.collect();
        Ok(filled.map_err(said)?.concat())
    }

    fn enter(&mut self, row: usize, encoded: &Embedded, entry: Entry<'_>) -> std::result::Result<(), String> {
        let mut guard = NgramGuard::new(self.rule.clone(), &encoded.ids);
        entry.written.iter().for_each(|&token| guard.push(token));
        self.rows[row] = Some(Row {
            token: entry.token,
            length: entry.length,
            pages: entry.blocks.to_vec(),
            guard,
        });
        Ok(())
    }

    fn grow(&mut self, row: usize, blocks: &[BlockId]) -> std::result::Result<(), String> {
        if let Some(row) = &mut self.rows[row] {
            row.pages = blocks.to_vec();
        }
        Ok(())
    }

    fn leave(&mut self, row: usize) -> std::result::Result<(), String> {
        self.rows[row] = None;
        Ok(())
    }

    fn begin_step(&mut self, rows: usize) -> std::result::Result<(), String> {
        let written = self.write(rows).map_err(said)?;
        self.begun.push_back(written);
        Ok(())
    }

    fn end_step(&mut self, tokens: &mut [u32]) -> std::result::Result<(), String> {
        let written = self.begun.pop_front().ok_or("no step was begun")?;
        for (row, token) in written {
            tokens[row] = token;
        }
        Ok(())
    }
}
