//! CUDA operations of the DeepSeek-OCR family: one decoding step as a single CUDA graph, prompts of many sequences at
//! once, and what the vision towers do beside their matrix products. `cuda/` holds the kernels, `README.md` what they reach.
//!
//! Every operation in `ops` has a twin on the CPU, written like its formula, which builds everywhere; the kernels and
//! [`StepDecoder`] need the feature `cuda`. Nothing here knows the model's pixels or text: it takes candle tensors.
//!
//! Order to read: [`StepDecoder`], then `step.rs` (the launches of one step), then any file of `ops`.

mod device;
pub mod dimensions;
mod error;
mod math;
pub mod ops;
mod options;
mod quantized;
mod weights;

#[cfg(feature = "cuda")]
mod buffer;
#[cfg(feature = "cuda")]
pub mod check;
#[cfg(feature = "cuda")]
mod decoder;
#[cfg(feature = "cuda")]
mod ffi;
#[cfg(feature = "cuda")]
mod graph;
#[cfg(feature = "cuda")]
mod kernels;
#[cfg(feature = "cuda")]
mod prompt;
#[cfg(feature = "cuda")]
mod readback;
#[cfg(feature = "cuda")]
mod staging;
#[cfg(feature = "cuda")]
mod step;
#[cfg(feature = "cuda")]
mod tiles;

pub use device::{DeviceInfo, devices};
pub use error::KernelError;
pub use options::{NgramGuard, StepOptions};
pub use quantized::quantize;
pub use weights::{DecoderWeights, ExpertScales, LayerWeights, MlpWeights};

#[cfg(feature = "cuda")]
pub use decoder::{PromptPart, RowState, Stage, StepDecoder};
#[cfg(feature = "cuda")]
pub use device::{free_memory, open};
#[cfg(feature = "cuda")]
pub use ops::vision_attention::{RelativePosition, vision_attention};
#[cfg(feature = "cuda")]
pub use staging::Staging;
