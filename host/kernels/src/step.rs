//! One decoding step's buffers and the order of its launches; `prompt.rs` has those of prompts.
//!
//! The rule that makes early starts safe (`README.md`): before its wait a kernel reads weights and what is older than
//! its predecessor, and it lets the next one start only after its own wait. Two rows of a step never write the same
//! place: rows have places of their own in every buffer, and keys and values go to (page, position), which differ between
//! sequences by the page and between the tokens of one sequence by the position.

use crate::buffer::{Buffer, address};
use crate::dimensions::{
    EXPERT_INTER, EXPERTS, HEAD_DIM, HEADS, HIDDEN, MAX_CONTEXT, MAX_ROWS, NORM_EPS, ROPE_THETA, SLOTS, TOP_K,
};
use crate::error::Result;
use crate::ffi::{Address, CacheLayout, Gpu};
use crate::ops::lm_head::Source;
use crate::ops::ngram_guard::BAN_PITCH;
use crate::options::StepOptions;
use crate::prompt::PromptScratch;
use crate::tiles::{STREAM_TOKENS, o_splits};
use crate::weights::{DecoderWeights, MlpWeights};
use candle_core::{DType, Device, Tensor};

// The kernels' constants that nothing here could vary.
const _: () = assert!(NORM_EPS == 1e-6 && SLOTS * EXPERT_INTER == 7168);

/// Stretches of context that attention can be shared out into. 256 rows of 8,192 tokens in stretches of 512, the longest,
/// are 4,096; `step_begin` takes longer stretches before it runs out.
pub(crate) const ITEMS: usize = 8192;
/// Tokens of a stretch where its length must not depend on the batch: all rows at their longest need all items.
pub(crate) const FIXED_CHUNK: usize = 256;
const _: () = assert!(MAX_ROWS * MAX_CONTEXT.div_ceil(FIXED_CHUNK) <= ITEMS);
/// What attention leaves of a stretch and head: 128 sums, maximum, weight, and two unused.
const PARTIAL_PITCH: usize = HEAD_DIM + 4;

/// The rows that a step works on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    /// i32 [rows]: tokens of each row's sequence, counting the step's own.
    pub(crate) lengths: Address,
    /// i32 [rows, pitch]: pages.
    pub(crate) table: Address,
    pub(crate) table_pitch: i32,
}

/// Addresses of one layer's weights.
pub(crate) struct Layer {
    pub(crate) input_norm: Address,
    pub(crate) qkv: Address,
    pub(crate) o: Address,
    pub(crate) post_norm: Address,
    pub(crate) mlp: Mlp,
}

pub(crate) enum Mlp {
    Dense(Dense),
    Experts(Experts),
}

#[derive(Clone, Copy)]
pub(crate) struct Dense {
    pub(crate) gate_up: Address,
    pub(crate) down: Address,
}

#[derive(Clone, Copy)]
pub(crate) struct Experts {
    pub(crate) gate: Address,
    pub(crate) gate_up: Address,
    pub(crate) down: Address,
    pub(crate) shared_gate_up: Address,
    pub(crate) shared_down: Address,
    pub(crate) scales: Option<Scales>,
}

/// Of experts of 8 bits.
#[derive(Clone, Copy)]
pub(crate) struct Scales {
    pub(crate) gate_up: Address,
    pub(crate) down: Address,
    pub(crate) shared_gate_up: Address,
    pub(crate) shared_down: Address,
}

/// What one step passes from kernel to kernel, for 256 rows.
pub(crate) struct Scratch {
    /// bf16 [rows, 1280], all four.
    pub(crate) x: Buffer,
    pub(crate) normed: Buffer,
    pub(crate) q: Buffer,
    pub(crate) attended: Buffer,
    /// bf16 [rows, 8, 896].
    pub(crate) inter: Buffer,
    /// f32 [rows, 8, 1280].
    pub(crate) slots: Buffer,
    /// i32 and f32 [rows, 6].
    pub(crate) top_experts: Buffer,
    pub(crate) top_weights: Buffer,
    /// i32 [layers, 64] and [layers, 64, rows]: which rows chose an expert.
    pub(crate) expert_counts: Buffer,
    pub(crate) expert_tokens: Buffer,
    /// The attention plan, i32 [items, 4] and [2].
    pub(crate) items: Buffer,
    pub(crate) plan: Buffer,
    pub(crate) partials: Buffer,
    pub(crate) attention_counters: Buffer,
    /// Split sums of the down projections below sm_90.
    pub(crate) tile_partials: Buffer,
    pub(crate) tile_counters: Buffer,
}

impl Scratch {
    fn new(layers: usize, device: &Device) -> Result<Self> {
        let zeros = |shape: &[usize], dtype| Buffer::zeros(shape, dtype, device);
        let wide = || zeros(&[MAX_ROWS, HIDDEN], DType::BF16);
        Ok(Self {
            x: wide()?,
            normed: wide()?,
            q: wide()?,
            attended: wide()?,
            inter: zeros(&[MAX_ROWS, SLOTS, EXPERT_INTER], DType::BF16)?,
            slots: zeros(&[MAX_ROWS, SLOTS, HIDDEN], DType::F32)?,
            top_experts: zeros(&[MAX_ROWS, TOP_K], DType::I32)?,
            top_weights: zeros(&[MAX_ROWS, TOP_K], DType::F32)?,
            expert_counts: zeros(&[layers, EXPERTS], DType::I32)?,
            expert_tokens: zeros(&[layers, EXPERTS, MAX_ROWS], DType::I32)?,
            items: zeros(&[ITEMS, 4], DType::I32)?,
            plan: zeros(&[2], DType::I32)?,
            partials: zeros(&[ITEMS * HEADS, PARTIAL_PITCH], DType::F32)?,
            attention_counters: zeros(&[MAX_ROWS, HEADS], DType::I32)?,
            tile_partials: zeros(&[80, 16, 128], DType::F32)?,
            tile_counters: zeros(&[80], DType::I32)?,
        })
    }

    /// What `new` takes, bytes.
    fn bytes(layers: usize) -> usize {
        let row = 4 * HIDDEN * 2 + SLOTS * EXPERT_INTER * 2 + SLOTS * HIDDEN * 4 + TOP_K * 8 + HEADS * 4;
        let experts = layers * EXPERTS * (1 + MAX_ROWS) * 4;
        MAX_ROWS * row + experts + ITEMS * (16 + HEADS * PARTIAL_PITCH * 4) + 80 * (16 * 128 + 1) * 4
    }
}

/// The decoding rows' state, which steps carry on by themselves.
pub(crate) struct RowBuffers {
    /// i32 [rows]: the token that the next step reads.
    pub(crate) tokens: Buffer,
    pub(crate) lengths: Buffer,
    /// i32 [rows, pages a row].
    pub(crate) table: Buffer,
    /// i32 [rows, history tokens] and [rows]: what came out so far.
    pub(crate) history: Buffer,
    pub(crate) history_lengths: Buffer,
    /// i64 [rows]: the argmax on its way.
    pub(crate) best: Buffer,
    /// i32 [rows], [rows, 128] and [1]: what the n-gram rule bans, and what it had no room for.
    pub(crate) ban_counts: Buffer,
    pub(crate) ban_ids: Buffer,
    pub(crate) overflows: Buffer,
}

impl RowBuffers {
    fn new(rows: usize, pages_a_row: usize, history_tokens: usize, device: &Device) -> Result<Self> {
        let zeros = |shape: &[usize]| Buffer::zeros(shape, DType::I32, device);
        Ok(Self {
            tokens: zeros(&[rows])?,
            lengths: zeros(&[rows])?,
            table: zeros(&[rows, pages_a_row])?,
            history: zeros(&[rows, history_tokens])?,
            history_lengths: zeros(&[rows])?,
            best: Buffer::zeros(rows, DType::I64, device)?,
            ban_counts: zeros(&[rows])?,
            ban_ids: zeros(&[rows, BAN_PITCH])?,
            overflows: zeros(&[1])?,
        })
    }

    fn bytes(rows: usize, pages_a_row: usize, history_tokens: usize) -> usize {
        rows * (4 * (4 + pages_a_row + history_tokens + BAN_PITCH) + 8) + 4
    }
}

/// Everything that the launches need. `ops` adds one method an operation.
pub(crate) struct Step {
    pub(crate) gpu: Gpu,
    pub(crate) options: StepOptions,
    /// The weights, kept so that the addresses in `layers` stay good.
    pub(crate) weights: DecoderWeights,
    pub(crate) embed_tokens: Address,
    pub(crate) norm: Address,
    pub(crate) lm_head: Address,
    pub(crate) layers: Vec<Layer>,
    pub(crate) scratch: Scratch,
    /// Of `widest_batch` decoding rows.
    pub(crate) rows: RowBuffers,
    /// One row, for the token behind a prompt.
    pub(crate) last: RowBuffers,
    /// What prompts pass from kernel to kernel.
    pub(crate) prompt: PromptScratch,
    /// A layer's keys and values, bf16 [pages + 1, page, 10, 128]: the last page takes what nobody wants.
    pub(crate) keys: Vec<Buffer>,
    pub(crate) values: Vec<Buffer>,
    /// f32 [positions, 64, 2].
    pub(crate) cos_sin: Buffer,
}

impl Step {
    /// Checks the weights and takes all memory.
    pub(crate) fn new(device: &Device, weights: DecoderWeights, options: StepOptions) -> Result<Self> {
        options.check()?;
        weights.check(device)?;
        let layers = (weights.layers.iter().enumerate())
            .map(|(number, layer)| {
                let at = |name: &str, tensor| address(&format!("layer {number}, {name}"), tensor);
                Ok(Layer {
                    input_norm: at("input_norm", &layer.input_norm)?,
                    qkv: at("qkv", &layer.qkv)?,
                    o: at("o", &layer.o)?,
                    post_norm: at("post_norm", &layer.post_norm)?,
                    mlp: match &layer.mlp {
                        MlpWeights::Dense { gate_up, down } => Mlp::Dense(Dense {
                            gate_up: at("gate_up", gate_up)?,
                            down: at("down", down)?,
                        }),
                        MlpWeights::Experts {
                            gate,
                            gate_up,
                            down,
                            shared_gate_up,
                            shared_down,
                            scales,
                        } => Mlp::Experts(Experts {
                            gate: at("gate", gate)?,
                            gate_up: at("experts' gate_up", gate_up)?,
                            down: at("experts' down", down)?,
                            shared_gate_up: at("shared gate_up", shared_gate_up)?,
                            shared_down: at("shared down", shared_down)?,
                            scales: match scales {
                                None => None,
                                Some(scales) => Some(Scales {
                                    gate_up: at("experts' gate_up scales", &scales.gate_up)?,
                                    down: at("experts' down scales", &scales.down)?,
                                    shared_gate_up: at("shared gate_up scales", &scales.shared_gate_up)?,
                                    shared_down: at("shared down scales", &scales.shared_down)?,
                                }),
                            },
                        }),
                    },
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let cache = || -> Result<Vec<Buffer>> {
            let shape = [options.pages + 1, options.page_tokens, HEADS, HEAD_DIM];
            layers
                .iter()
                .map(|_| Buffer::zeros(&shape, DType::BF16, device))
                .collect()
        };
        let (batch, pages) = (options.widest_batch(), options.pages_a_row());
        let cos_sin = Tensor::from_vec(
            cos_sin(options.max_context),
            (options.max_context, HEAD_DIM / 2, 2),
            device,
        )?;
        Ok(Self {
            gpu: Gpu::new(device)?,
            embed_tokens: address("embed_tokens", &weights.embed_tokens)?,
            norm: address("norm", &weights.norm)?,
            lm_head: address("lm_head", &weights.lm_head)?,
            scratch: Scratch::new(layers.len(), device)?,
            rows: RowBuffers::new(batch, pages, options.history_tokens, device)?,
            last: RowBuffers::new(1, 1, 1, device)?,
            prompt: PromptScratch::new(layers.len(), options.prompt_rows, device)?,
            keys: cache()?,
            values: cache()?,
            cos_sin: Buffer {
                address: address("cos_sin", &cos_sin)?,
                tensor: cos_sin,
            },
            layers,
            weights,
            options,
        })
    }

    /// What `new` takes besides the weights, bytes; allocators round up to 512 a buffer, which is not counted.
    pub(crate) fn bytes(layers: usize, options: &StepOptions) -> usize {
        let cache = 2 * layers * (options.pages + 1) * options.page_tokens * HIDDEN * 2;
        let pages = options.pages_a_row();
        let rows = RowBuffers::bytes(options.widest_batch(), pages, options.history_tokens);
        let prompt = RowBuffers::bytes(1, 1, 1) + PromptScratch::bytes(layers, options.prompt_rows);
        cache + Scratch::bytes(layers) + rows + prompt + options.max_context * HEAD_DIM * 4
    }

    pub(crate) fn decoding_rows(&self) -> Rows {
        Rows {
            lengths: self.rows.lengths.address,
            table: self.rows.table.address,
            table_pitch: self.options.pages_a_row() as i32,
        }
    }

    pub(crate) fn cache_layout(&self, table_pitch: i32) -> CacheLayout {
        CacheLayout {
            page_stride: (self.options.page_tokens * HIDDEN) as i64,
            token_stride: HIDDEN as i32,
            head_stride: HEAD_DIM as i32,
            page_shift: self.options.page_tokens.trailing_zeros() as i32,
            table_pitch,
        }
    }

    /// Whether a batch takes the kernels that stream the weights past a few rows.
    pub(crate) fn streams(&self, tokens: usize) -> bool {
        tokens <= STREAM_TOKENS && !self.options.deterministic
    }

    /// Splits of the output projection's sums.
    pub(crate) fn o_splits(&self, tokens: usize) -> u32 {
        o_splits(tokens, self.options.deterministic)
    }

    /// A decoding step of the first `tokens` rows, from their tokens to their next ones.
    pub(crate) fn decode(&self, tokens: usize) -> Result<()> {
        let rows = self.decoding_rows();
        self.begin(tokens, self.rows.tokens.address, &rows)?;
        for layer in 0..self.layers.len() {
            self.layer(tokens, layer, &rows)?;
        }
        if let Some(guard) = &self.options.ngram {
            self.guard(tokens, guard)?;
        }
        let source = if self.streams(tokens) {
            Source::Residual(self.scratch.x.address)
        } else {
            Source::Normed
        };
        self.head(tokens, source, &self.rows, self.options.ngram.is_some())?;
        self.end(tokens, &self.rows, self.options.history_tokens)
    }

    /// One layer. Afterwards `x` holds the residual stream and, from 9 tokens on, `normed` what the next layer (or the
    /// head) reads.
    pub(crate) fn layer(&self, tokens: usize, number: usize, rows: &Rows) -> Result<()> {
        let layer = &self.layers[number];
        let streams = self.streams(tokens);
        self.qkv_rope(tokens, number, rows)?;
        self.attention(tokens, number, rows)?;
        self.o_proj(tokens, layer)?;
        let weighted = match &layer.mlp {
            Mlp::Dense(weights) => {
                if !streams {
                    self.add_projection(tokens, layer.post_norm)?;
                }
                self.dense_gate_up(tokens, layer.post_norm, weights)?;
                self.dense_down(tokens, weights)?;
                false
            }
            Mlp::Experts(weights) => {
                self.router(tokens, number, weights, rows)?;
                self.expert_gate_up(tokens, number, weights)?;
                self.expert_down(tokens, number, weights)?;
                true
            }
        };
        if streams {
            return Ok(());
        }
        let next_norm = self
            .layers
            .get(number + 1)
            .map_or(self.norm, |next| next.input_norm);
        self.add_slots(tokens, weighted, next_norm)
    }
}

/// cos and sin of position * theta^(-i / 64), pairs, in f64 before they are rounded to f32.
pub(crate) fn cos_sin(positions: usize) -> Vec<f32> {
    let half = HEAD_DIM / 2;
    let mut values = Vec::with_capacity(positions * HEAD_DIM);
    for position in 0..positions {
        for i in 0..half {
            let angle = position as f64 * ROPE_THETA.powf(-(i as f64) / half as f64);
            values.extend([angle.cos() as f32, angle.sin() as f32]);
        }
    }
    values
}
