//! Greedy decoding: from a prompt's embeddings to tokens, under the n-gram guard, with the rules that end it.

use crate::decoder::Decoder;
use crate::ngram::{NgramGuard, NgramRule};
use crate::repetition::{Loop, Repetition};
use crate::taps::Tap;
use crate::tokenizer::Specials;
use candle_core::{DType, Result, Tensor};
use std::time::{Duration, Instant};

/// What is to be written.
pub struct Request<'a> {
    /// `[tokens, hidden]`: the prompt with the image in its place.
    pub embeds: &'a Tensor,
    /// The prompt's ids, as many.
    pub prompt_ids: &'a [u32],
    /// Tokens to write at most.
    pub max_new_tokens: usize,
    /// Which n-grams may not repeat.
    pub ngram: &'a NgramRule,
    /// What ends the text before.
    pub stop: Stop,
    /// The end token.
    pub end: u32,
    /// Ids of tags, which count otherwise where repetition is sought.
    pub specials: Specials,
}

/// What ends the text before its most tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The end token, or a text that runs in circles.
    AtEndOrLoop,
    /// The end token alone.
    AtEnd,
    /// Nothing: for measurements.
    Never,
}

/// Why the text ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// The model ended it.
    End,
    /// As many tokens as were allowed.
    Length,
    /// It ran in circles.
    Loop(Loop),
    /// The caller had enough.
    Stopped,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Without the end token.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Until the first token's logits.
    pub prefill: Duration,
    /// From there on.
    pub decode: Duration,
}

/// Writes on the plain road. `hear` gets each token and says whether to go on.
pub fn write(
    decoder: &Decoder,
    request: &Request,
    tap: &mut Tap,
    hear: &mut dyn FnMut(u32) -> bool,
) -> Result<Written> {
    let started = Instant::now();
    let mut cache = decoder.cache();
    let hidden = decoder.forward(request.embeds, &mut cache, tap)?;
    let mut logits = decoder.logits(&hidden)?;
    tap.take(|| "logits".into(), &logits)?;
    logits.device().synchronize()?;
    let prefill = started.elapsed();
    let mut text = Text::new(request);
    loop {
        let token = best(&logits, text.guard.banned())?;
        if let Some(finish) = text.push(token, hear) {
            return Ok(Written {
                tokens: text.tokens,
                finish,
                prefill,
                decode: started.elapsed() - prefill,
            });
        }
        let hidden = decoder.forward(&decoder.embed(&[token])?, &mut cache, &mut Tap::off())?;
        logits = decoder.logits(&hidden)?;
    }
}

/// The best token that is not banned. On a GPU one id comes to the host and nothing else.
fn best(logits: &Tensor, banned: Vec<u32>) -> Result<u32> {
    if banned.is_empty() {
        return logits.argmax(0)?.to_scalar();
    }
    let count = banned.len();
    let ids = Tensor::from_vec(banned, count, logits.device())?;
    let down = Tensor::full(f32::NEG_INFINITY, count, logits.device())?;
    logits.to_dtype(DType::F32)?.index_add(&ids, &down, 0)?.argmax(0)?.to_scalar()
}

/// A text in the making: what was written, and whether it goes on.
pub struct Text {
    tokens: Vec<u32>,
    guard: NgramGuard,
    repetition: Repetition,
    most: usize,
    stop: Stop,
    end: u32,
}

impl Text {
    /// An empty text behind a request's prompt.
    pub fn new(request: &Request) -> Self {
        Self {
            tokens: Vec::new(),
            guard: NgramGuard::new(request.ngram.clone(), request.prompt_ids),
            repetition: Repetition::new(request.specials),
            most: request.max_new_tokens,
            stop: request.stop,
            end: request.end,
        }
    }

    /// Adds a token; answers why the text ends with it, if it does.
    pub fn push(&mut self, token: u32, hear: &mut dyn FnMut(u32) -> bool) -> Option<Finish> {
        if token == self.end && self.stop != Stop::Never {
            return Some(Finish::End);
        }
        self.tokens.push(token);
        self.guard.push(token);
        if !hear(token) {
            return Some(Finish::Stopped);
        }
        if self.stop == Stop::AtEndOrLoop
            && let Some(found) = self.repetition.push(token)
        {
            return Some(Finish::Loop(found));
        }
        (self.tokens.len() >= self.most).then_some(Finish::Length)
    }
}
