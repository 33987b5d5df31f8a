//! DeepSeek-OCR from pixels to blocks.
#![forbid(unsafe_code)]

pub mod compat;
pub mod grounding;
mod mode;
mod ngram;
mod options;
mod prompt;

pub use mode::Mode;
pub use ngram::NgramRule;
pub use options::{Options, Place, Precision, TextSink};
pub use prompt::Task;
