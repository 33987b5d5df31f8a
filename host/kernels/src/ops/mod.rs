//! One file an operation: its twin on the CPU, which is the definition, and its launch (feature `cuda`).
//!
//! Twins take one row, f32 activations and bf16 weights `[out, in]`, and round to bf16 where the kernels do.

pub mod attention;
pub mod dense_mlp;
pub mod experts;
pub mod lm_head;
pub mod ngram_guard;
pub mod norm;
pub mod o_proj;
pub mod qkv_rope;
pub mod router;
pub mod step;
pub mod vision_attention;
pub mod vision_rows;
