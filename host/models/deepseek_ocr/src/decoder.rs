//! The text decoder: DeepSeek-V2's mixture of experts with plain multi-head attention (arXiv 2405.04434, `use_mla`
//! off), from embeddings to logits.
//!
//! Reference: modeling_deepseekv2.py beside DeepSeek-OCR's weights. DeepSeek-OCR-2 and Unlimited-OCR have the same.
//! This is the plain road, over candle's operations, on any device and in any type; it is what the fast kernels are
//! held to.

mod attention;
mod mlp;
mod paged;

use crate::config::DecoderConfig;
use crate::error::ModelError;
use crate::layers::{rms_norm, times_transposed};
use crate::load::Loader;
use crate::taps::Tap;
use attention::{Attention, LayerCache, Rotary};
use candle_core::{DType, Result, Tensor};
use mlp::{MixtureOfExperts, SwiGlu};
use paged::Pool;
pub use paged::Stretch;

/// The decoder with its weights.
pub struct Decoder {
    embed_tokens: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    lm_head: Tensor,
    rotary: Rotary,
    epsilon: f64,
}

/// What one sequence has left behind in every layer.
pub struct Cache {
    layers: Vec<LayerCache>,
    length: usize,
}

/// A cache in pages for many sequences.
pub struct PagedCache {
    layers: Vec<Pool>,
}

struct Layer {
    input_layernorm: Tensor,
    attention: Attention,
    post_attention_layernorm: Tensor,
    mlp: Mlp,
}

enum Mlp {
    Dense(SwiGlu),
    Experts(MixtureOfExperts),
}

impl Decoder {
    /// Takes the tensors `model.embed_tokens`, `model.layers.*`, `model.norm` and `lm_head`.
    pub fn load(load: &Loader, config: &DecoderConfig) -> std::result::Result<Self, ModelError> {
        let (hidden, vocabulary) = (config.hidden_size, config.vocab_size);
        Ok(Self {
            embed_tokens: load.matrix("model.embed_tokens.weight", &[vocabulary, hidden])?,
            layers: (0..config.num_hidden_layers)
                .map(|n| Layer::load(&load.under(&format!("model.layers.{n}")), config, n))
                .collect::<std::result::Result<_, _>>()?,
            norm: load.vector("model.norm.weight", &[hidden])?,
            lm_head: load.matrix("lm_head.weight", &[vocabulary, hidden])?,
            rotary: Rotary::new(
                config.rope_theta,
                config.head_dim(),
                config.max_position_embeddings,
                load.device(),
            )?,
            epsilon: config.rms_norm_eps,
        })
    }

    /// An empty cache.
    pub fn cache(&self) -> Cache {
        Cache {
            layers: self.layers.iter().map(|_| LayerCache::default()).collect(),
            length: 0,
        }
    }

    /// Tokens to `[n, hidden]`, in the activations' type.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        let ids = Tensor::new(ids, self.embed_tokens.device())?;
        self.embed_tokens
            .index_select(&ids, 0)?
            .to_dtype(self.norm.dtype())
    }

    /// A cache of `pages` pages of `page_tokens` tokens.
    pub fn paged_cache(&self, pages: usize, page_tokens: usize) -> Result<PagedCache> {
        let (hidden, heads) = (self.norm.dim(0)?, self.layers[0].attention.heads);
        let pool = |_: &Layer| {
            let (dtype, device) = (self.norm.dtype(), self.norm.device());
            Pool::new((pages, page_tokens), (heads, hidden / heads), dtype, device)
        };
        Ok(PagedCache {
            layers: self.layers.iter().map(pool).collect::<Result<_>>()?,
        })
    }

    /// Runs `x` of `[tokens, hidden]` behind what the cache holds; answers the same behind the last norm.
    pub fn forward(&self, x: &Tensor, cache: &mut Cache, tap: &mut Tap) -> Result<Tensor> {
        let start = cache.length;
        cache.length += x.dim(0)?;
        let attend = |n: usize, attention: &Attention, normed: &Tensor| {
            attention.forward(normed, &self.rotary, &mut cache.layers[n], start)
        };
        self.through(x, attend, tap)
    }

    /// The same of many sequences at once: `x` has their stretches one behind the other.
    pub fn forward_paged(&self, x: &Tensor, cache: &PagedCache, stretches: &[Stretch]) -> Result<Tensor> {
        let attend = |n: usize, attention: &Attention, normed: &Tensor| {
            attention.forward_paged(normed, &self.rotary, &cache.layers[n], stretches)
        };
        self.through(x, attend, &mut Tap::off())
    }

    /// Runs `x` through all layers and the last norm; `attend` is each layer's attention.
    fn through(
        &self,
        x: &Tensor,
        mut attend: impl FnMut(usize, &Attention, &Tensor) -> Result<Tensor>,
        tap: &mut Tap,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for (n, layer) in self.layers.iter().enumerate() {
            let normed = rms_norm(&x, &layer.input_layernorm, self.epsilon)?;
            x = (x + attend(n, &layer.attention, &normed)?)?;
            let normed = rms_norm(&x, &layer.post_attention_layernorm, self.epsilon)?;
            let made = match &layer.mlp {
                Mlp::Dense(mlp) => mlp.forward(&normed)?,
                Mlp::Experts(experts) => experts.forward(&normed)?,
            };
            x = (x + made)?;
            tap.take(|| format!("layer.{n}"), &x)?;
        }
        let x = rms_norm(&x, &self.norm, self.epsilon)?;
        tap.take(|| "norm".into(), &x)?;
        Ok(x)
    }

    /// The logits `[vocabulary]` behind the last row of `x`, f32.
    pub fn logits(&self, x: &Tensor) -> Result<Tensor> {
        self.logits_of_all(&x.narrow(0, x.dim(0)? - 1, 1)?)?.squeeze(0)
    }

    /// The logits `[rows, vocabulary]` behind each row of `x`, f32.
    pub fn logits_of_all(&self, x: &Tensor) -> Result<Tensor> {
        times_transposed(&x.contiguous()?, &self.lm_head)?.to_dtype(DType::F32)
    }
}

impl Layer {
    fn load(load: &Loader, config: &DecoderConfig, n: usize) -> std::result::Result<Self, ModelError> {
        let hidden = config.hidden_size;
        let name = |part: &str| format!("{part}_proj.weight");
        let stacked = |prefix: &str, parts: &[&str], rows: usize| {
            let names: Vec<String> = parts
                .iter()
                .map(|part| name(&format!("{prefix}.{part}")))
                .collect();
            load.stacked(&names, rows, hidden)
        };
        let swiglu = |prefix: &str, inner: usize| {
            Ok::<_, ModelError>(SwiGlu {
                gate_up: stacked(prefix, &["gate", "up"], inner)?,
                down: load.matrix(&name(&format!("{prefix}.down")), &[hidden, inner])?,
            })
        };
        let mlp = if n < config.first_k_dense_replace {
            Mlp::Dense(swiglu("mlp", config.intermediate_size)?)
        } else {
            let (experts, inner) = (config.n_routed_experts, config.moe_intermediate_size);
            let each = |parts: &[&str]| -> Vec<String> {
                let names = (0..experts).flat_map(|e| {
                    let of = move |part: &&str| format!("mlp.experts.{e}.{part}_proj.weight");
                    parts.iter().map(of)
                });
                names.collect()
            };
            Mlp::Experts(MixtureOfExperts {
                gate: load.matrix("mlp.gate.weight", &[experts, hidden])?,
                gate_up: load.stacked(&each(&["gate", "up"]), inner, hidden)?.reshape((
                    experts,
                    2 * inner,
                    hidden,
                ))?,
                down: load
                    .stacked(&each(&["down"]), hidden, inner)?
                    .reshape((experts, hidden, inner))?,
                shared: swiglu("mlp.shared_experts", config.shared_intermediate_size())?,
                per_token: config.num_experts_per_tok,
            })
        };
        Ok(Self {
            input_layernorm: load.vector("input_layernorm.weight", &[hidden])?,
            attention: Attention {
                qkv: stacked("self_attn", &["q", "k", "v"], hidden)?,
                o_proj: load.matrix(&name("self_attn.o"), &[hidden, hidden])?,
                heads: config.num_attention_heads,
            },
            post_attention_layernorm: load.vector("post_attention_layernorm.weight", &[hidden])?,
            mlp,
        })
    }
}
