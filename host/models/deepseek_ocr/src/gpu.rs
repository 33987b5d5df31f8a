//! The fast road: both towers over candle, the decoder over the CUDA kernels, many pages at once.
//!
//! [`GpuModel`] is the [`StepModel`] that the thread `ocr-gpu` of `ocr-engine` owns. It takes bf16 and the published
//! dimensions; everything else goes the plain road.

use crate::config::{Config, DecoderConfig};
use crate::error::ModelError;
use crate::load::Loader;
use crate::model::{Eyes, Seen};
use crate::ngram::NgramRule;
use crate::options::{ExpertWeights, Options};
use crate::steps::{Embedded, said};
use crate::taps::Tap;
use crate::views::View;
use candle_core::{DType, Tensor};
use ocr_engine::{BlockId, Capacity, Entry, Part, Prefix, StepModel};
use ocr_kernels::{
    DecoderWeights, KernelError, LayerWeights, MlpWeights, NgramGuard, PromptPart, RowState, Stage, Staging,
    StepDecoder, StepOptions, dimensions, free_memory,
};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tokens of a page of the cache: little is wasted at the end of a sequence, and attention reads whole pages.
const PAGE_TOKENS: usize = 32;
/// Device memory that is left for the towers' work on `VIEW_BYTES` of pixels.
const WORK_BYTES: usize = 3 << 30;
/// Pixels that go through the towers at a time, bytes: 26 tiles, 10 views of 1,024 or 6 of 1,280.
const VIEW_BYTES: usize = 32 << 20;
/// Prompts that are seen and prefilled at a time.
const PROMPTS: usize = 8;
/// The least that they are given at a time where memory is short: one tile, and of larger views one.
const LEAST_VIEW_BYTES: usize = 2 << 20;
/// Times that the cache is made smaller where the device has less memory than it said.
const SHRINKS: usize = 4;
/// Threads that copy pixels for the device: as many as fill a memory channel or two. They are no one else's, because those
/// that get pages ready have long queues, and the device would wait behind them.
const COPIERS: usize = 4;
/// Ids that the kernels ban at a time.
const BANS: usize = 128;
/// Tokens of prompts that go through the decoder at a time.
const CHUNK: usize = 4096;

/// How often memory was short.
static SHRUNK: AtomicUsize = AtomicUsize::new(0);

/// How often this process had to do with a smaller cache, or fewer views at a time, because the device's memory was short.
pub fn times_shrunk() -> usize {
    SHRUNK.load(Ordering::Relaxed)
}

/// The model on a GPU.
pub struct GpuModel {
    eyes: Eyes,
    embed_tokens: Tensor,
    decoder: StepDecoder,
    staging: Staging,
    copiers: ThreadPool,
    counts_prompt: bool,
    deterministic: bool,
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
        let weights = weights(load, &config.decoder, options.experts)?;
        let embed_tokens = weights.embed_tokens.clone();
        let layers = weights.layers.len();
        let staging = Staging::new(load.device(), VIEW_BYTES)?;
        let (free, all) = free_memory(load.device())?;
        let mut step = step_options(options, layers, &config.decoder, free, all)?;
        let mut shrinks = 0;
        let decoder = loop {
            match StepDecoder::new(load.device(), weights.clone(), step.clone()) {
                Ok(decoder) => break decoder,
                // Someone else has taken memory meanwhile: a smaller cache holds fewer pages at a time, and that is all.
                Err(error) if error.is_out_of_memory() && shrinks < SHRINKS => {
                    SHRUNK.fetch_add(1, Ordering::Relaxed);
                    shrinks += 1;
                    let (free, all) = free_memory(load.device())?;
                    let mut less = step_options(options, layers, &config.decoder, free, all)?;
                    less.pages = less.pages.min(step.pages * 3 / 4);
                    step = less;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let copiers = ThreadPoolBuilder::new().num_threads(COPIERS);
        let copiers = copiers.thread_name(|n| format!("ocr-copy-{n}")).build();
        Ok(Self {
            eyes,
            embed_tokens,
            decoder,
            staging,
            copiers: copiers.map_err(std::io::Error::other)?,
            counts_prompt: options.ngram.window.is_none(),
            deterministic: options.deterministic,
        })
    }

    fn embed(&self, ids: &[u32]) -> candle_core::Result<Tensor> {
        embed(&self.embed_tokens, ids)
    }

    fn see(&self, seen: &Seen, tap: &mut Tap) -> Result<Embedded, ModelError> {
        Ok(Embedded {
            embeds: self.eyes.embeds(seen, |ids| self.embed(ids), tap)?,
            ids: seen.prompt.ids.clone(),
        })
    }

    /// Several pages, whose views go through the towers together.
    fn see_all(&mut self, pages: &[&Seen]) -> Result<Vec<Embedded>, KernelError> {
        let mut views_at_a_time = VIEW_BYTES;
        loop {
            let seen = self.try_to_see(pages, views_at_a_time).map_err(KernelError::from);
            match seen {
                // Fewer at a time take less; where all must be seen alike, there is no other way to see them.
                Err(error)
                    if error.is_out_of_memory()
                        && !self.deterministic
                        && views_at_a_time > LEAST_VIEW_BYTES =>
                {
                    SHRUNK.fetch_add(1, Ordering::Relaxed);
                    views_at_a_time /= 2;
                    free_memory(self.embed_tokens.device())?;
                }
                seen => return seen,
            }
        }
    }

    fn try_to_see(&mut self, pages: &[&Seen], view_bytes: usize) -> candle_core::Result<Vec<Embedded>> {
        let Self {
            eyes,
            staging,
            copiers,
            embed_tokens,
            ..
        } = self;
        let upload = |views: &[&View]| {
            let size = views.iter().map(|view| view.pixels.len()).sum();
            let fill = |bytes: &mut [u8]| {
                let each = size / views.len();
                copiers.install(|| {
                    bytes
                        .par_chunks_mut(each)
                        .zip(views)
                        .for_each(|(to, view)| to.copy_from_slice(&view.pixels));
                });
            };
            staging.upload(size, fill).map_err(candle_core::Error::wrap)
        };
        let at_a_time = |side: u32| view_bytes / (side * side * 3) as usize;
        let embeds = eyes.embeds_of_all(pages, upload, at_a_time, |ids| embed(embed_tokens, ids))?;
        let embedded = |(embeds, page): (Tensor, &&Seen)| Embedded {
            embeds,
            ids: page.prompt.ids.clone(),
        };
        Ok(embeds.into_iter().zip(pages).map(embedded).collect())
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
            .prefill_with_taps(&embedded.embeds, &pages, &mut |stage, value| {
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
        let part = PromptPart {
            start: 0,
            count: length,
            pages: &pages,
            wants_token: true,
        };
        let said = self.decoder.prefill(&embedded.embeds, &[part])?;
        let token = said[0].expect("a token was asked for");
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

/// Rows of the embedding.
fn embed(embed_tokens: &Tensor, ids: &[u32]) -> candle_core::Result<Tensor> {
    let ids = Tensor::new(ids, embed_tokens.device())?;
    embed_tokens.index_select(&ids, 0)
}

/// The decoder's weights as the kernels read them.
fn weights(
    load: &Loader,
    config: &DecoderConfig,
    experts: ExpertWeights,
) -> Result<DecoderWeights, ModelError> {
    let (hidden, vocabulary) = (config.hidden_size, config.vocab_size);
    let layers = (0..config.num_hidden_layers).map(|n| {
        let layer = layer(&load.under(&format!("model.layers.{n}")), config, n)?;
        Ok::<_, ModelError>(match experts {
            ExpertWeights::Bf16 => layer,
            ExpertWeights::Int8 => LayerWeights {
                mlp: layer.mlp.in_bytes()?,
                ..layer
            },
        })
    });
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
            scales: None,
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
        prompt_rows: CHUNK,
        deterministic: options.deterministic,
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

/// Why pages could not be seen.
fn why_unseen(error: KernelError) -> String {
    match error.is_out_of_memory() {
        true => "the GPU has too little memory left to see this page, one view at a time; free some of it, or see less of the \
                 page with a smaller --mode"
            .into(),
        false => said(error),
    }
}

/// Blocks of the scheduler are pages of the kernels.
fn pages(blocks: &[BlockId]) -> Vec<i32> {
    blocks.iter().map(|&block| block as i32).collect()
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
            prompts: PROMPTS,
            reserves: self.deterministic,
        }
    }

    fn encode(&mut self, pages: &[Seen]) -> Result<Vec<(Embedded, Prefix)>, String> {
        let pages: Vec<&Seen> = pages.iter().collect();
        let mut embedded = Vec::new();
        // How a product is summed may depend on how many rows it has.
        let together = if self.deterministic { 1 } else { pages.len().max(1) };
        for pages in pages.chunks(together) {
            embedded.extend(self.see_all(pages).map_err(why_unseen)?);
        }
        let prefix = |(embedded, seen): (Embedded, &Seen)| {
            let tokens = embedded.ids.len();
            let image_end = seen.prompt.image_start + seen.prompt.image_tokens;
            let last = embedded.ids.last().copied().filter(|_| image_end < tokens);
            (embedded, Prefix { tokens, last })
        };
        Ok(embedded.into_iter().zip(pages).map(prefix).collect())
    }

    fn prefill(&mut self, parts: &[Part<'_, Embedded>]) -> Result<Vec<Option<u32>>, String> {
        let mut embeds = Vec::new();
        for part in parts {
            embeds.extend(Embedded::of_part(part, |ids| self.embed(ids)).map_err(said)?);
        }
        let embeds = Tensor::cat(&embeds, 0)
            .and_then(|t| t.contiguous())
            .map_err(said)?;
        let pages: Vec<Vec<i32>> = parts.iter().map(|part| pages(part.blocks)).collect();
        let parts: Vec<PromptPart<'_>> = parts
            .iter()
            .zip(&pages)
            .map(|(part, pages)| PromptPart {
                start: part.start,
                count: part.count,
                pages,
                wants_token: part.wants_token,
            })
            .collect();
        self.decoder.prefill(&embeds, &parts).map_err(said)
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
