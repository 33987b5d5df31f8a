//! Checkpoints and pages made from a formula, so that DeepSeek-OCR is tested without its published weights.
//!
//! The formula is stated in `host/conformance/deepseek_ocr/README.md` and has a twin in Python there; both make the same
//! bytes. [`write`] makes a Hugging Face folder:
//!
//! ```
//! let folder = std::env::temp_dir().join("ocr-synthetic-doc");
//! ocr_synthetic::write(&folder, ocr_synthetic::Kind::Tiny, 1)?;
//! assert!(folder.join("model-00001-of-000001.safetensors").is_file());
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]

mod checkpoint;
mod dimensions;
mod formula;
mod pictures;

pub use checkpoint::{tensor, write};
pub use dimensions::{Dimensions, FULL, Kind, TINY};
pub use pictures::{page, picture};
