//! What a caller decides: which folder, where it runs, how pages are seen, asked about and written down.

use crate::mode::Mode;
use crate::ngram::NgramRule;
use crate::prompt::Task;
use ocr_engine::Recognizer;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the processor's cores.
    Cpu,
    /// On the CUDA device of this number.
    Cuda(usize),
}

/// How numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, twice the memory of the checkpoint.
    F32,
    /// 16 bits with 5 of exponent.
    F16,
    /// 16 bits with 8 of exponent: the checkpoint's own.
    Bf16,
}

/// How a GPU keeps the experts' weights with bf16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpertWeights {
    /// As the checkpoint has them.
    Bf16,
    /// As 8 bits and a scale for each row: a step reads less, and is off by more.
    Int8,
}

/// Hears the text of a page while it is written.
pub trait TextSink: Send + Sync {
    /// A piece of the raw text of page `number` (from 1 in its source); tags included, never half a character.
    fn text(&self, number: u32, piece: &str);
    /// The attempt on page `number` is over; where it is tried again, its text starts anew.
    fn end(&self, number: u32);
}

/// How to make an engine.
#[derive(Clone)]
pub struct Options {
    /// Folder with `config.json`, `tokenizer.json` and the safetensors.
    pub folder: PathBuf,
    /// Where it runs.
    pub place: Place,
    /// `None`: bf16, the checkpoint's own. On the CPU that is exact as well: weights are widened where they are used.
    pub precision: Option<Precision>,
    /// How pages are seen.
    pub mode: Mode,
    /// Tiles that `Mode::Gundam` may cut a page into, 2 ..= 9. Upstream's Transformers script has 9, its vLLM scripts 6.
    pub max_crops: usize,
    /// What is asked of each page.
    pub task: Task,
    /// Tokens that a page may take; prompt and output together never pass the model's 8,192.
    pub max_new_tokens: usize,
    /// Bans n-grams that would repeat.
    pub ngram: NgramRule,
    /// Share of the device's memory that weights, cache and work may take, 0 ..= 1.
    pub gpu_memory_utilization: f32,
    /// Pages that a GPU writes at a time, 1 ..= 256.
    pub rows: usize,
    /// How a GPU keeps the experts' weights; anything but bf16's own is for the fast road alone.
    pub experts: ExpertWeights,
    /// Whether a page's tokens are the same to the bit whatever is read beside it on a GPU: pages are seen one at a time, and
    /// every batch takes the same kernels. Costs speed.
    pub deterministic: bool,
    /// Other modes to try, in this order, when the text of a page runs in circles.
    pub retry: Vec<Mode>,
    /// Reads a page when no mode could.
    pub fallback: Option<Arc<dyn Recognizer>>,
    /// Hears the text while it is written.
    pub sink: Option<Arc<dyn TextSink>>,
}

impl Options {
    /// The upstream scripts' choices for a model in `folder`: Gundam, 9 tiles, Markdown, 8,192 tokens, n-grams of 20
    /// in the last 90 tokens, table tags exempt.
    pub fn new(folder: impl Into<PathBuf>, place: Place) -> Self {
        Self {
            folder: folder.into(),
            place,
            precision: None,
            mode: Mode::Gundam,
            max_crops: 9,
            task: Task::Markdown,
            max_new_tokens: 8192,
            ngram: NgramRule::default(),
            gpu_memory_utilization: 0.9,
            rows: 64,
            experts: ExpertWeights::Bf16,
            deterministic: false,
            retry: vec![Mode::Base, Mode::Large],
            fallback: None,
            sink: None,
        }
    }
}
