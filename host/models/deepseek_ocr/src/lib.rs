//! DeepSeek-OCR (arXiv 2510.18234) from pixels to blocks.
//!
//! A page goes through [`views`] (what the model sees of it), [`Prompt`] (what it is asked), [`Model`] (both towers and
//! the decoder, to tokens) and [`grounding`] (the tagged text, to blocks with boxes); [`DeepseekOcr`] is all of it as a
//! [`Recognizer`](ocr_engine::Recognizer), with what is to be done where the text runs in circles.
//!
//! Feature `networks` (on by default) has the networks, `cuda` runs them on a GPU; without either, what follows the
//! model builds in seconds.
#![forbid(unsafe_code)]

pub mod compat;
#[cfg(feature = "networks")]
mod config;
#[cfg(feature = "networks")]
mod decoder;
#[cfg(feature = "networks")]
mod error;
#[cfg(feature = "networks")]
pub mod generate;
#[cfg(all(feature = "networks", feature = "cuda"))]
pub mod gpu;
pub mod grounding;
#[cfg(feature = "networks")]
mod layers;
#[cfg(feature = "networks")]
mod load;
#[cfg(feature = "networks")]
mod mode;
#[cfg(feature = "networks")]
mod model;
#[cfg(feature = "networks")]
mod ngram;
#[cfg(feature = "networks")]
mod options;
#[cfg(feature = "networks")]
mod prompt;
#[cfg(feature = "networks")]
mod recognizer;
#[cfg(feature = "networks")]
mod repetition;
#[cfg(feature = "networks")]
mod resize;
#[cfg(feature = "networks")]
mod steps;
#[cfg(feature = "networks")]
mod taps;
#[cfg(feature = "networks")]
mod tokenizer;
#[cfg(feature = "networks")]
mod turns;
#[cfg(feature = "networks")]
mod views;
#[cfg(feature = "networks")]
mod vision;

#[cfg(feature = "networks")]
pub use networks::*;

/// What feature `networks` adds.
#[cfg(feature = "networks")]
mod networks {
    pub use crate::config::{ClipConfig, Config, DecoderConfig, SamConfig};
    pub use crate::error::ModelError;
    pub use crate::load::Loader;
    pub use crate::mode::Mode;
    pub use crate::model::{Model, Seen};
    pub use crate::ngram::{NgramGuard, NgramRule};
    pub use crate::options::{ExpertWeights, Options, Place, Precision, TextSink};
    pub use crate::prompt::{Prompt, PromptError, Task};
    pub use crate::recognizer::DeepseekOcr;
    pub use crate::repetition::{Loop, LoopKind, Repetition};
    pub use crate::taps::Tap;
    pub use crate::tokenizer::{Specials, TextStream, Tokenizer};
    pub use crate::turns::Turns;
    pub use crate::views::{TILE_PX, View, Views, image_tokens, views};
}
