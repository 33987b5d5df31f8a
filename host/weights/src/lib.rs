//! Finds, fetches, verifies and maps model files.
//!
//! [`locate`] finds a model's folder on this machine; [`Hub`] fetches it from a Hugging Face hub into the cache that
//! Python tools share; [`verify`] reads files again and compares digests; [`Checkpoint`] maps the weights and hands
//! out tensors; [`spec`] says which tensors a model has.
//!
//! ```no_run
//! use ocr_weights::{Checkpoint, DEEPSEEK_OCR, Places, locate, spec};
//!
//! let places = Places::from_variables(|name| std::env::var_os(name), None);
//! let found = locate(&DEEPSEEK_OCR, &places, None).complete(&DEEPSEEK_OCR)?;
//! let checkpoint = Checkpoint::open(&found.folder)?;
//! checkpoint.check(spec::deepseek_ocr(&spec::FULL))?;
//! let norm = checkpoint.tensor("model.norm.weight", &candle_core::Device::Cpu)?;
//! assert_eq!(norm.dims(), [1280]);
//! # Ok::<(), ocr_weights::WeightsError>(())
//! ```
// Unsafe for memory maps alone: see `map.rs`.
#![deny(unsafe_code)]

mod cache;
mod download;
mod error;
mod header;
mod http;
mod hub;
mod locate;
mod map;
pub mod spec;
mod verify;

pub use error::WeightsError;
pub use hub::{Hub, HubSettings, Progress, Retry, Stage};
pub use locate::{Found, Places, State, locate, look_in};
pub use map::Checkpoint;
pub use verify::{Checked, verify};

/// A model that a hub has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubModel {
    /// What people call it on the command line; also its folder's name in a models folder.
    pub name: &'static str,
    /// Its repository, `owner/name`.
    pub repository: &'static str,
}

/// DeepSeek-OCR as its authors publish it: 6.7 GB, MIT.
pub const DEEPSEEK_OCR: HubModel = HubModel {
    name: "deepseek-ocr",
    repository: "deepseek-ai/DeepSeek-OCR",
};
