//! DeepSeek-OCR from pixels to blocks.
#![forbid(unsafe_code)]

mod config;
mod error;
mod mode;
mod ngram;
mod options;
mod prompt;
mod repetition;
mod resize;
mod tokenizer;
mod views;

pub use config::{ClipConfig, Config, DecoderConfig, SamConfig};
pub use error::ModelError;
pub use mode::Mode;
pub use ngram::{NgramGuard, NgramRule};
pub use options::{Options, Place, Precision, TextSink};
pub use prompt::{Prompt, PromptError, Task};
pub use repetition::{Loop, LoopKind, Repetition};
pub use tokenizer::{Specials, TextStream, Tokenizer};
pub use views::{TILE_PX, View, Views, image_tokens, views};
