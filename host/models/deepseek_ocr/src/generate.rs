//! Greedy decoding: from a prompt's embeddings to tokens, under the n-gram guard, with the rules that end it.

use crate::decoder::Decoder;
use crate::ngram::{NgramGuard, NgramRule};
use crate::repetition::{Loop, Repetition};
use crate::taps::Tap;
use crate::tokenizer::Tokenizer;
use candle_core::{DType, Result, Tensor};
use std::time::{Duration, Instant};

/// What is asked of a text, whatever its page.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Tokens to write at most.
    pub max_new_tokens: usize,
    /// Which n-grams may not repeat.
    pub ngram: NgramRule,
    /// What ends the text before.
    pub stop: Stop,
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
    /// Time by stage: `vision` where it is known, `prefill` until the first token, `decode` from there on. Where many
    /// pages go at once, `prefill` has the towers and the wait for the others in it.
    pub spent: Vec<(&'static str, Duration)>,
}

/// Hears each token, and `None` now and then while there is none; answers whether to go on.
pub type Hear<'a> = &'a mut dyn FnMut(Option<u32>) -> bool;

/// Writes on the plain road behind a prompt, whose embeddings are `[tokens, hidden]`.
pub(crate) fn write(
    decoder: &Decoder,
    embeds: &Tensor,
    prompt_ids: &[u32],
    asked: &Asked,
    mut text: Text,
    tap: &mut Tap,
    hear: Hear,
) -> Result<Written> {
    let mut cache = decoder.cache();
    let hidden = decoder.forward(embeds, &mut cache, tap)?;
    let mut logits = decoder.logits(&hidden)?;
    tap.take(|| "logits".into(), &logits)?;
    logits.device().synchronize()?;
    text.lap("prefill");
    let mut guard = NgramGuard::new(asked.ngram.clone(), prompt_ids);
    loop {
        let token = best(&logits, guard.banned())?;
        if let Some(finish) = text.push(token, hear) {
            return Ok(text.ended(finish));
        }
        guard.push(token);
        let hidden = decoder.forward(&decoder.embed(&[token])?, &mut cache, &mut Tap::off())?;
        logits = decoder.logits(&hidden)?;
    }
}

/// The best token that is not banned. On a GPU one id comes to the host and nothing else.
pub(crate) fn best(logits: &Tensor, banned: Vec<u32>) -> Result<u32> {
    if banned.is_empty() {
        return logits.argmax(0)?.to_scalar();
    }
    let count = banned.len();
    let ids = Tensor::from_vec(banned, count, logits.device())?;
    let down = Tensor::full(f32::NEG_INFINITY, count, logits.device())?;
    logits
        .to_dtype(DType::F32)?
        .index_add(&ids, &down, 0)?
        .argmax(0)?
        .to_scalar()
}

/// A text in the making: what was written, what it took, and whether it goes on.
pub(crate) struct Text {
    tokens: Vec<u32>,
    repetition: Repetition,
    most: usize,
    stop: Stop,
    end: u32,
    lap: Instant,
    spent: Vec<(&'static str, Duration)>,
}

impl Text {
    /// An empty text, whose time runs from here.
    pub fn new(asked: &Asked, tokenizer: &Tokenizer) -> Self {
        Self {
            tokens: Vec::new(),
            repetition: Repetition::new(tokenizer.specials()),
            most: asked.max_new_tokens,
            stop: asked.stop,
            end: tokenizer.eos(),
            lap: Instant::now(),
            spent: Vec::new(),
        }
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Ends a stage.
    pub fn lap(&mut self, stage: &'static str) {
        let now = Instant::now();
        self.spent.push((stage, now - self.lap));
        self.lap = now;
    }

    /// Adds a token; answers why the text ends with it, if it does.
    pub fn push(&mut self, token: u32, hear: Hear) -> Option<Finish> {
        if token == self.end && self.stop != Stop::Never {
            return Some(Finish::End);
        }
        self.tokens.push(token);
        if !hear(Some(token)) {
            return Some(Finish::Stopped);
        }
        if self.stop == Stop::AtEndOrLoop
            && let Some(found) = self.repetition.push(token)
        {
            return Some(Finish::Loop(found));
        }
        (self.tokens.len() >= self.most).then_some(Finish::Length)
    }

    /// The text as it stands.
    pub fn ended(mut self, finish: Finish) -> Written {
        self.lap("decode");
        Written {
            tokens: self.tokens,
            finish,
            spent: self.spent,
        }
    }
}
