//! The fast road: both towers over candle, the decoder over the CUDA kernels, many pages at once.
//!
//! [`GpuModel`] is the [`StepModel`] that the thread `ocr-gpu` of `ocr-engine` owns. It takes bf16 and the published
//! dimensions; everything else goes the plain road.

use crate::config::{Config, DecoderConfig};
use crate::error::ModelError;
use crate::load::Loader;
use crate::model::{Eyes, Seen};
use crate::ngram::NgramRule;
use crate::options::Options;
use crate::taps::Tap;
use candle_core::{DType, Tensor};
use ocr_engine::{BlockId, Capacity, Entry, Prefix, StepModel};
use ocr_kernels::{
    DecoderWeights, Last, LastRow, LayerWeights, MlpWeights, NgramGuard, RowState, Stage, StepDecoder,
    StepOptions, dimensions, free_memory,
};
use std::collections::BTreeMap;

/// Tokens of a page of the cache: little is wasted at the end of a sequence, and attention reads whole pages.
const PAGE_TOKENS: usize = 32;
/// Device memory that is left for the towers' work: nine tiles take 1.0 GiB.
const WORK_BYTES: usize = 3 << 29;
/// Ids that the kernels ban at a time.
const BANS: usize = 128;
/// Rows of a chunk of a prompt.
const CHUNK: usize = dimensions::MAX_ROWS;

/// The model on a GPU.
pub struct GpuModel {
    eyes: Eyes,
    embed_tokens: Tensor,
    decoder: StepDecoder,
    counts_prompt: bool,
}

/// A prompt as the decoder takes it.
pub struct Embedded {
    embeds: Tensor,
    ids: Vec<u32>,
}

/// Whether the kernels are made for these dimensions.
pub fn fits(config: &Config) -> bool {
    use dimensions::{DENSE_INTER, EXPERT_INTER, EXPERTS, HEAD_DIM, HIDDEN, SHARED_INTER, TOP_K, VOCAB};
    let d = &config.decoder;
    let decoder = [
        (d.vocab_size, VOCAB),
        (d.hidden_size, HIDDEN),
        (d.head_dim(), HEAD_DIM),
        (d.intermediate_size, DENSE_INTER),
        (d.first_k_dense_replace, 1),
        (d.n_routed_experts, EXPERTS),
        (d.num_experts_per_tok, TOP_K),
        (d.moe_intermediate_size, EXPERT_INTER),
        (d.shared_intermediate_size(), SHARED_INTER),
    ];
    decoder.iter().all(|(found, made_for)| found == made_for)
        && d.rope_theta == 10_000.0
        && d.rms_norm_eps == 1e-6
        && d.max_position_embeddings <= dimensions::MAX_CONTEXT
}

impl GpuModel {
    /// Puts the weights on the device of `load` and takes the memory that `options` allow for the cache.
    pub fn load(load: &Loader, config: &Config, options: &Options) -> Result<Self, ModelError> {
        let eyes = Eyes::load(load, config)?;
        let weights = weights(load, &config.decoder)?;
        let embed_tokens = weights.embed_tokens.clone();
        let layers = weights.layers.len();
        let (free, all) = free_memory(load.device())?;
        let step = step_options(options, layers, &config.decoder, free, all)?;
        Ok(Self {
            eyes,
            embed_tokens,
            decoder: StepDecoder::new(load.device(), weights, step)?,
            counts_prompt: options.ngram.window.is_none(),
        })
    }

    fn embed(&self, ids: &[u32]) -> candle_core::Result<Tensor> {
        let ids = Tensor::new(ids, self.embed_tokens.device())?;
        self.embed_tokens.index_select(&ids, 0)
    }

    fn see(&self, seen: &Seen, tap: &mut Tap) -> Result<Embedded, ModelError> {
        Ok(Embedded {
            embeds: self.eyes.embeds(seen, |ids| self.embed(ids), tap)?,
            ids: seen.prompt.ids.clone(),
        })
    }

    /// Greedy tokens behind a page, and every stage of its prompt to `tap`; one page alone, for comparison with the
    /// reference.
    pub fn read_tapped(&mut self, seen: &Seen, count: usize, tap: &mut Tap) -> Result<Vec<u32>, ModelError> {
        let embedded = self.see(seen, tap)?;
        let length = embedded.ids.len();
        let pages: Vec<i32> = (0..(length + count).div_ceil(PAGE_TOKENS) as i32).collect();
        let mut parts: BTreeMap<usize, Vec<Tensor>> = BTreeMap::new();
        let logits = self
            .decoder
            .prefill_with_taps(&embedded.embeds, 0, &pages, &mut |stage, value| {
                let at = match stage {
                    Stage::Layer(n) => n,
                    Stage::Norm => usize::MAX,
                };
                parts.entry(at).or_default().push(value);
            })?;
        for (at, parts) in parts {
            let name = if at == usize::MAX {
                "norm".into()
            } else {
                format!("layer.{at}")
            };
            tap.take(|| name, &Tensor::cat(&parts, 0)?)?;
        }
        tap.take(|| "logits".into(), &logits)?;
        let LastRow::Token(token) = self.decoder.prefill(&embedded.embeds, 0, &pages, Last::Token)? else {
            unreachable!("a token was asked for")
        };
        let mut tokens = vec![token];
        self.decoder.set_row(
            0,
            RowState {
                token,
                length: length + 1,
                pages: &pages,
                history: &tokens,
            },
        )?;
        let mut newest = [0; 1];
        while tokens.len() < count {
            self.decoder.step(1)?;
            self.decoder.tokens(&mut newest)?;
            tokens.push(newest[0]);
        }
        self.decoder.clear_row(0)?;
        Ok(tokens)
    }
}

/// The decoder's weights as the kernels read them.
fn weights(load: &Loader, config: &DecoderConfig) -> Result<DecoderWeights, ModelError> {
    let (hidden, vocabulary) = (config.hidden_size, config.vocab_size);
    let layers =
        (0..config.num_hidden_layers).map(|n| layer(&load.under(&format!("model.layers.{n}")), config, n));
    Ok(DecoderWeights {
        embed_tokens: load.matrix("model.embed_tokens.weight", &[vocabulary, hidden])?,
        norm: load.vector("model.norm.weight", &[hidden])?,
        lm_head: load.matrix("lm_head.weight", &[vocabulary, hidden])?,
        layers: layers.collect::<Result<_, _>>()?,
    })
}

fn layer(load: &Loader, config: &DecoderConfig, n: usize) -> Result<LayerWeights, ModelError> {
    let hidden = config.hidden_size;
    let names = |prefix: &str, parts: &[&str]| -> Vec<String> {
        parts
            .iter()
            .map(|part| format!("{prefix}.{part}_proj.weight"))
            .collect()
    };
    let gate_up = |prefix: &str, inner: usize| load.stacked(&names(prefix, &["gate", "up"]), inner, hidden);
    let down = |prefix: &str, inner: usize| load.matrix(&names(prefix, &["down"])[0], &[hidden, inner]);
    let mlp = if n < config.first_k_dense_replace {
        MlpWeights::Dense {
            gate_up: gate_up("mlp", config.intermediate_size)?,
            down: down("mlp", config.intermediate_size)?,
        }
    } else {
        let (experts, inner) = (config.n_routed_experts, config.moe_intermediate_size);
        let every = |parts: &[&str]| -> Vec<String> {
            (0..experts)
                .flat_map(|e| names(&format!("mlp.experts.{e}"), parts))
                .collect()
        };
        let shared = config.shared_intermediate_size();
        MlpWeights::Experts {
            gate: load.matrix("mlp.gate.weight", &[experts, hidden])?,
            gate_up: load.stacked(&every(&["gate", "up"]), inner, hidden)?.reshape((
                experts,
                2 * inner,
                hidden,
            ))?,
            down: load
                .stacked(&every(&["down"]), hidden, inner)?
                .reshape((experts, hidden, inner))?,
            shared_gate_up: gate_up("mlp.shared_experts", shared)?,
            shared_down: down("mlp.shared_experts", shared)?,
        }
    };
    Ok(LayerWeights {
        input_norm: load.vector("input_layernorm.weight", &[hidden])?,
        qkv: load.stacked(&names("self_attn", &["q", "k", "v"]), hidden, hidden)?,
        o: load.matrix("self_attn.o_proj.weight", &[hidden, hidden])?,
        post_norm: load.vector("post_attention_layernorm.weight", &[hidden])?,
        mlp,
    })
}

/// As many pages as the allowed share of the memory holds beside what is taken already, but no more than all rows at
/// their longest need.
fn step_options(
    options: &Options,
    layers: usize,
    config: &DecoderConfig,
    free: usize,
    all: usize,
) -> Result<StepOptions, ModelError> {
    let context = config.max_position_embeddings;
    let rule = &options.ngram;
    let none = StepOptions {
        max_rows: options.rows.clamp(1, dimensions::MAX_ROWS),
        page_tokens: PAGE_TOKENS,
        pages: 1,
        max_context: context,
        history_tokens: context,
        round_router_logits: false,
        ngram: guard(rule)?,
    };
    let allowed = (all as f64 * f64::from(options.gpu_memory_utilization)) as usize;
    let taken = all - free;
    let room = allowed.saturating_sub(taken + WORK_BYTES + StepDecoder::bytes(layers, &none));
    let page = StepDecoder::page_bytes(layers, PAGE_TOKENS);
    let pages = (room / page).min(none.max_rows * context.div_ceil(PAGE_TOKENS));
    if pages * PAGE_TOKENS < context {
        return Err(ModelError::Memory {
            allowed,
            taken,
            needed: WORK_BYTES + StepDecoder::bytes(layers, &none) + context * page / PAGE_TOKENS,
        });
    }
    Ok(StepOptions { pages, ..none })
}

/// The rule as the device keeps it.
fn guard(rule: &NgramRule) -> Result<Option<NgramGuard>, ModelError> {
    if rule.size == 0 {
        return Ok(None);
    }
    // Of single ids and pairs a long text bans hundreds; longer ones have few successors, and a window bounds them all.
    if rule.size < 3 && rule.window.is_none_or(|window| window > BANS) {
        return Err(ModelError::ManyBans(rule.size));
    }
    let [first, second] = match rule.allowed[..] {
        [] => [None, None],
        [one] => [Some(one), None],
        [one, two] => [Some(one), Some(two)],
        _ => return Err(ModelError::AllowedIds(rule.allowed.len())),
    };
    Ok(Some(NgramGuard {
        size: rule.size,
        window: rule.window,
        allowed: [first, second],
    }))
}

/// Blocks of the scheduler are pages of the kernels.
fn pages(blocks: &[BlockId]) -> Vec<i32> {
    blocks.iter().map(|&block| block as i32).collect()
}

fn said<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

impl StepModel for GpuModel {
    type Prompt = Seen;
    type Encoded = Embedded;

    fn capacity(&self) -> Capacity {
        let options = self.decoder.options();
        Capacity {
            blocks: options.pages,
            block_tokens: options.page_tokens,
            rows: options.max_rows,
            context: options.max_context,
            chunk: CHUNK,
        }
    }

    fn encode(&mut self, seen: Seen) -> Result<(Embedded, Prefix), String> {
        let embedded = self.see(&seen, &mut Tap::off()).map_err(said)?;
        let tokens = embedded.ids.len();
        let image_end = seen.prompt.image_start + seen.prompt.image_tokens;
        let last = embedded.ids.last().copied().filter(|_| image_end < tokens);
        Ok((embedded, Prefix { tokens, last }))
    }

    fn prefill(
        &mut self,
        encoded: &Embedded,
        written: &[u32],
        start: usize,
        count: usize,
        blocks: &[BlockId],
        wants_token: bool,
    ) -> Result<Option<u32>, String> {
        let prompt = encoded.ids.len();
        let end = start + count;
        let mut parts = Vec::new();
        if start < prompt {
            parts.push(
                encoded
                    .embeds
                    .narrow(0, start, end.min(prompt) - start)
                    .map_err(said)?,
            );
        }
        if end > prompt {
            let ids = &written[start.max(prompt) - prompt..end - prompt];
            parts.push(self.embed(ids).map_err(said)?);
        }
        let embeds = Tensor::cat(&parts, 0)
            .and_then(|t| t.contiguous())
            .map_err(said)?;
        let want = if wants_token { Last::Token } else { Last::Nothing };
        let last = self
            .decoder
            .prefill(&embeds, start, &pages(blocks), want)
            .map_err(said)?;
        Ok(match last {
            LastRow::Token(token) => Some(token),
            LastRow::Nothing | LastRow::Logits(_) => None,
        })
    }

    fn enter(&mut self, row: usize, encoded: &Embedded, entry: Entry<'_>) -> Result<(), String> {
        let history = match self.counts_prompt {
            true => [&encoded.ids, entry.written].concat(),
            false => entry.written.to_vec(),
        };
        let state = RowState {
            token: entry.token,
            length: entry.length,
            pages: &pages(entry.blocks),
            history: &history,
        };
        self.decoder.set_row(row, state).map_err(said)
    }

    fn grow(&mut self, row: usize, blocks: &[BlockId]) -> Result<(), String> {
        self.decoder.set_pages(row, &pages(blocks)).map_err(said)
    }

    fn leave(&mut self, row: usize) -> Result<(), String> {
        self.decoder.clear_row(row).map_err(said)
    }

    fn begin_step(&mut self, rows: usize) -> Result<(), String> {
        self.decoder.step(rows).map_err(said)
    }

    fn end_step(&mut self, tokens: &mut [u32]) -> Result<(), String> {
        self.decoder.tokens(tokens).map(drop).map_err(said)
    }
}

/// The type that the kernels take.
pub const PRECISION: DType = DType::BF16;
