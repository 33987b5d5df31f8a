//! DeepSeek-OCR v1's decoder, as its `config.json` has it. The kernels are compiled for these (`cuda/common.cuh`).

/// Width of the residual stream (`hidden_size`).
pub const HIDDEN: usize = 1280;
/// Attention heads (`num_attention_heads`); as many for keys and values.
pub const HEADS: usize = 10;
/// Values of a head.
pub const HEAD_DIM: usize = 128;
/// Routed experts of a layer (`n_routed_experts`).
pub const EXPERTS: usize = 64;
/// Experts that a token takes (`num_experts_per_tok`).
pub const TOP_K: usize = 6;
/// Intermediate values of a routed expert (`moe_intermediate_size`).
pub const EXPERT_INTER: usize = 896;
/// Intermediate values of the shared experts (`n_shared_experts` = 2, side by side).
pub const SHARED_INTER: usize = 2 * EXPERT_INTER;
/// Intermediate values of a dense layer (`intermediate_size`).
pub const DENSE_INTER: usize = 6848;
/// Tokens of the vocabulary (`vocab_size`).
pub const VOCAB: usize = 129_280;
/// Added to the mean square of a norm (`rms_norm_eps`).
pub const NORM_EPS: f32 = 1e-6;
/// Base of the rotary angles (`rope_theta`).
pub const ROPE_THETA: f64 = 10_000.0;
/// Outputs of a token's MLP: six routed experts, then the two halves of the shared ones.
pub const SLOTS: usize = TOP_K + 2;
/// Most positions that the model knows (`max_position_embeddings`).
pub const MAX_CONTEXT: usize = 8192;
/// Rows that one launch works on, at most: sequences of a decoding step or tokens of a prefill's chunk.
pub const MAX_ROWS: usize = 256;
