//! `config.json` as upstream publishes it: the dimensions, and a check that the network is the one built here.
//!
//! The file repeats the decoder's settings at its root and under `language_config`; the latter counts, as in vLLM, and
//! what it lacks is taken from the root. Settings that stand in neither take the defaults of upstream's
//! `configuration_deepseek_v2.py` (2025-10-25). Everything that would change the arithmetic is either a field or checked
//! to be what the network assumes, so that a file of a relative fails here and not as bad text.

use crate::error::ModelError;
use crate::tokenizer::TOKENS_AFTER_IMAGE;
use ocr_weights::spec::{MOST_EXPERTS, MOST_PARTS};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// `<image>` of the published tokenizer; it stands in upstream's code, not in its `config.json`.
const IMAGE_TOKEN: u32 = 128_815;
/// No width or vocabulary of a language model reaches this; larger ones are damage and would only overflow later.
const MOST: usize = 1 << 24;

/// The dimensions of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The language model.
    pub decoder: DecoderConfig,
    /// The first vision tower.
    pub sam: SamConfig,
    /// The second vision tower.
    pub clip: ClipConfig,
    /// Width of what the projector takes: both towers' features side by side.
    pub projector_input: usize,
    /// Id of `<image>`, which stands for each visual token in a prompt.
    pub image_token: u32,
    /// Id that every prompt begins with.
    pub bos_token: u32,
    /// Id that ends an answer.
    pub eos_token: u32,
}

/// The language model: DeepSeek-V2's mixture of experts with plain multi-head attention.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Rows of the embedding and of the head.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers, dense ones included.
    pub num_hidden_layers: usize,
    /// Attention heads, of queries as of keys and values.
    pub num_attention_heads: usize,
    /// Inner width of the dense MLPs.
    pub intermediate_size: usize,
    /// First layers whose MLP is dense.
    pub first_k_dense_replace: usize,
    /// Experts a router chooses from.
    pub n_routed_experts: usize,
    /// Experts that every token passes; they are stored as one of that many times the width.
    pub n_shared_experts: usize,
    /// Routed experts per token.
    pub num_experts_per_tok: usize,
    /// Inner width of an expert.
    pub moe_intermediate_size: usize,
    /// Prompt and answer together, tokens.
    pub max_position_embeddings: usize,
    /// Base of the rotary embedding.
    pub rope_theta: f64,
    /// Epsilon of the RMS norms.
    pub rms_norm_eps: f64,
}

impl DecoderConfig {
    /// Width of an attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Inner width of the shared experts taken as one.
    pub fn shared_intermediate_size(&self) -> usize {
        self.n_shared_experts * self.moe_intermediate_size
    }
}

/// SAM's image encoder with the two convolutions that shrink its grid by four.
#[derive(Debug, Clone, PartialEq)]
pub struct SamConfig {
    /// Width of the blocks.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Blocks that attend to the whole grid; the others attend within windows.
    pub global_attn_indexes: Vec<usize>,
    /// Channels of the neck.
    pub neck_channels: usize,
    /// Channels after the first and the second convolution of stride 2.
    pub downsample_channels: [usize; 2],
}

impl SamConfig {
    /// Side of a patch, px.
    pub const PATCH_PX: usize = 16;
    /// Side of an attention window, patches.
    pub const WINDOW: usize = 14;
    /// Side of the stored position table, patches: that of a view of 1024 px.
    pub const POSITIONS_SIDE: usize = 64;
    /// Inner width of a block's MLP over its width.
    pub const MLP_RATIO: usize = 4;
    /// Epsilon of the layer norms.
    pub const NORM_EPS: f64 = 1e-6;

    /// Width of an attention head.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads
    }
}

/// CLIP-L without its patch embedding: SAM's features take that place.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// Width of the layers.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
}

impl ClipConfig {
    /// Side of the stored position table: 224 px in patches of 14.
    pub const POSITIONS_SIDE: usize = 16;
    /// Inner width of a layer's MLP over its width. (`mlp_ratio` 3.7362 in the file is read by nobody.)
    pub const MLP_RATIO: usize = 4;
    /// Epsilon of the layer norms.
    pub const NORM_EPS: f64 = 1e-5;

    /// Width of an attention head.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads
    }
}

impl Config {
    /// What the shapes of the weights depend on.
    pub fn shapes(&self) -> ocr_weights::spec::Dimensions {
        let (decoder, sam) = (&self.decoder, &self.sam);
        ocr_weights::spec::Dimensions {
            vocabulary: decoder.vocab_size,
            hidden: decoder.hidden_size,
            layers: decoder.num_hidden_layers,
            dense_layers: decoder.first_k_dense_replace,
            dense: decoder.intermediate_size,
            experts: decoder.n_routed_experts,
            expert: decoder.moe_intermediate_size,
            shared: decoder.n_shared_experts,
            sam_width: sam.width,
            sam_layers: sam.layers,
            sam_heads: sam.heads,
            sam_global: sam.global_attn_indexes.clone(),
            sam_neck: sam.neck_channels,
            sam_down: sam.downsample_channels,
            clip_width: self.clip.width,
            clip_layers: self.clip.layers,
        }
    }

    /// Reads `config.json` of the model in `folder`.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| ModelError::Read {
            path: path.clone(),
            source,
        })?;
        Self::parse(&text, &path)
    }

    /// Takes the text of a `config.json`; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ModelError> {
        let damaged = |error: serde_json::Error| ModelError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let root: Map<String, Value> = serde_json::from_str(text).map_err(damaged)?;
        check_model(&root, path)?;
        let mut language = root.clone();
        if let Some(Value::Object(own)) = root.get("language_config") {
            language.extend(own.clone());
        }
        let language: RawLanguage = serde_json::from_value(Value::Object(language)).map_err(damaged)?;
        let rest: RawRest = serde_json::from_value(Value::Object(root)).map_err(damaged)?;
        let check = Check { path };
        check.language(&language)?;
        let config = Self {
            decoder: language.decoder(),
            sam: rest.vision_config.width.sam_vit_b.sam(),
            clip: rest.vision_config.width.clip.clip(),
            projector_input: rest.projector_config.input_dim,
            image_token: rest.image_token_id.unwrap_or(IMAGE_TOKEN),
            bos_token: language.bos_token_id.unwrap_or(0),
            eos_token: language.eos_token_id.unwrap_or(1),
        };
        check.dimensions(&config)?;
        check.projector(&rest.projector_config, &config)?;
        Ok(config)
    }
}

/// Fails unless the file says that it is of DeepSeek-OCR. `model_type` decides only where `architectures` is missing:
/// upstream's `deepseek_vl_v2` is DeepSeek-VL2's as well.
fn check_model(root: &Map<String, Value>, path: &Path) -> Result<(), ModelError> {
    let architecture = root
        .get("architectures")
        .and_then(|all| all.get(0))
        .and_then(Value::as_str);
    let model_type = root.get("model_type").and_then(Value::as_str);
    let (is_ours, found) = match (architecture, model_type) {
        (Some(name), _) => (name == "DeepseekOCRForCausalLM", format!("`{name}`")),
        (None, Some(name)) => (
            name.eq_ignore_ascii_case("DeepseekOCR") || name == "deepseek_ocr",
            format!("a model of type `{name}`"),
        ),
        (None, None) => (false, "a model that it does not name".to_owned()),
    };
    if is_ours {
        return Ok(());
    }
    Err(ModelError::OtherModel {
        path: path.to_owned(),
        found,
    })
}

/// The decoder's settings as written.
#[derive(Deserialize)]
struct RawLanguage {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    intermediate_size: usize,
    #[serde(default)]
    first_k_dense_replace: usize,
    n_routed_experts: usize,
    n_shared_experts: usize,
    num_experts_per_tok: usize,
    moe_intermediate_size: usize,
    max_position_embeddings: usize,
    rope_theta: Option<f64>,
    rms_norm_eps: Option<f64>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<u32>,
    use_mla: Option<bool>,
    kv_lora_rank: Option<usize>,
    rope_scaling: Option<Value>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    norm_topk_prob: Option<bool>,
    scoring_func: Option<String>,
    topk_method: Option<String>,
    routed_scaling_factor: Option<f64>,
    moe_layer_freq: Option<usize>,
    n_group: Option<usize>,
    topk_group: Option<usize>,
    tie_word_embeddings: Option<bool>,
}

impl RawLanguage {
    fn decoder(&self) -> DecoderConfig {
        DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            first_k_dense_replace: self.first_k_dense_replace,
            n_routed_experts: self.n_routed_experts,
            n_shared_experts: self.n_shared_experts,
            num_experts_per_tok: self.num_experts_per_tok,
            moe_intermediate_size: self.moe_intermediate_size,
            max_position_embeddings: self.max_position_embeddings,
            rope_theta: self.rope_theta.unwrap_or(10_000.0),
            rms_norm_eps: self.rms_norm_eps.unwrap_or(1e-6),
        }
    }
}

/// The parts of the file that are not the decoder's.
#[derive(Deserialize)]
struct RawRest {
    vision_config: RawVision,
    projector_config: RawProjector,
    image_token_id: Option<u32>,
}

#[derive(Deserialize)]
struct RawVision {
    width: RawTowers,
}

#[derive(Deserialize)]
struct RawTowers {
    #[serde(rename = "clip-l-14-224")]
    clip: RawTower,
    sam_vit_b: RawTower,
}

#[derive(Deserialize)]
struct RawTower {
    width: usize,
    layers: usize,
    heads: usize,
    #[serde(default)]
    global_attn_indexes: Vec<usize>,
    neck_channels: Option<usize>,
    downsample_channels: Option<[usize; 2]>,
}

impl RawTower {
    fn sam(&self) -> SamConfig {
        SamConfig {
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            global_attn_indexes: self.global_attn_indexes.clone(),
            neck_channels: self.neck_channels.unwrap_or(256),
            downsample_channels: self.downsample_channels.unwrap_or([512, 1024]),
        }
    }

    fn clip(&self) -> ClipConfig {
        ClipConfig {
            width: self.width,
            layers: self.layers,
            heads: self.heads,
        }
    }
}

#[derive(Deserialize)]
struct RawProjector {
    input_dim: usize,
    n_embed: Option<usize>,
    projector_type: Option<String>,
}

/// Compares settings with what the network assumes.
struct Check<'a> {
    path: &'a Path,
}

impl Check<'_> {
    /// Fails unless `fits`.
    fn that(
        &self,
        fits: bool,
        key: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> Result<(), ModelError> {
        if fits {
            return Ok(());
        }
        Err(ModelError::Unsupported {
            path: self.path.to_owned(),
            key,
            found: found.to_string(),
            expected: expected.to_string(),
        })
    }

    /// Fails where a setting stands there and is not `expected`.
    fn is<T>(&self, key: &'static str, found: &Option<T>, expected: &str) -> Result<(), ModelError>
    where
        T: ToString,
    {
        let found = found.as_ref().map(T::to_string);
        let fits = found.as_ref().is_none_or(|found| found == expected);
        self.that(
            fits,
            key,
            format!("`{}`", found.unwrap_or_default()),
            format!("`{expected}`"),
        )
    }

    fn language(&self, raw: &RawLanguage) -> Result<(), ModelError> {
        let is_mla = raw.use_mla.unwrap_or(raw.kv_lora_rank.is_some());
        self.that(!is_mla, "use_mla", "true", "plain multi-head attention (`false`)")?;
        let heads = raw.num_attention_heads;
        let kv_heads = raw.num_key_value_heads.unwrap_or(heads);
        self.that(
            kv_heads == heads,
            "num_key_value_heads",
            kv_heads,
            format!("as many as `num_attention_heads` ({heads})"),
        )?;
        self.is("rope_scaling", &raw.rope_scaling, "null")?;
        self.is("hidden_act", &raw.hidden_act, "silu")?;
        self.is("attention_bias", &raw.attention_bias, "false")?;
        self.is("norm_topk_prob", &raw.norm_topk_prob, "false")?;
        self.is("scoring_func", &raw.scoring_func, "softmax")?;
        self.is("topk_method", &raw.topk_method, "greedy")?;
        self.is("routed_scaling_factor", &raw.routed_scaling_factor, "1")?;
        self.is("moe_layer_freq", &raw.moe_layer_freq, "1")?;
        self.is("n_group", &raw.n_group, "1")?;
        self.is("topk_group", &raw.topk_group, "1")?;
        self.is("tie_word_embeddings", &raw.tie_word_embeddings, "false")
    }

    fn dimensions(&self, config: &Config) -> Result<(), ModelError> {
        let Config {
            decoder, sam, clip, ..
        } = config;
        let parts = [
            ("num_hidden_layers", decoder.num_hidden_layers),
            ("num_attention_heads", decoder.num_attention_heads),
            ("n_routed_experts", decoder.n_routed_experts),
            ("n_shared_experts", decoder.n_shared_experts),
            ("num_experts_per_tok", decoder.num_experts_per_tok),
            ("sam_vit_b.layers", sam.layers),
            ("sam_vit_b.heads", sam.heads),
            ("clip-l-14-224.layers", clip.layers),
            ("clip-l-14-224.heads", clip.heads),
        ];
        let widths = [
            ("vocab_size", decoder.vocab_size),
            ("hidden_size", decoder.hidden_size),
            ("intermediate_size", decoder.intermediate_size),
            ("moe_intermediate_size", decoder.moe_intermediate_size),
            ("max_position_embeddings", decoder.max_position_embeddings),
            ("sam_vit_b.width", sam.width),
            ("sam_vit_b.neck_channels", sam.neck_channels),
            ("sam_vit_b.downsample_channels", sam.downsample_channels[0]),
            ("clip-l-14-224.width", clip.width),
        ];
        let parts = parts.map(|part| (part, MOST_PARTS)).into_iter();
        for ((key, value), most) in parts.chain(widths.map(|width| (width, MOST))) {
            self.that((1..=most).contains(&value), key, value, format!("1 to {most}"))?;
        }
        let layers = decoder.num_hidden_layers;
        self.that(
            layers * decoder.n_routed_experts <= MOST_EXPERTS,
            "n_routed_experts",
            decoder.n_routed_experts,
            format!(
                "at most {} beside `num_hidden_layers` ({layers})",
                MOST_EXPERTS / layers
            ),
        )?;
        for (key, value) in [
            ("rope_theta", decoder.rope_theta),
            ("rms_norm_eps", decoder.rms_norm_eps),
        ] {
            self.that(value > 0.0 && value.is_finite(), key, value, "numbers above 0")?;
        }
        self.that(
            decoder
                .hidden_size
                .is_multiple_of(2 * decoder.num_attention_heads),
            "hidden_size",
            decoder.hidden_size,
            format!(
                "multiples of twice `num_attention_heads` ({})",
                decoder.num_attention_heads
            ),
        )?;
        self.that(
            decoder.num_experts_per_tok <= decoder.n_routed_experts,
            "num_experts_per_tok",
            decoder.num_experts_per_tok,
            format!("at most `n_routed_experts` ({})", decoder.n_routed_experts),
        )?;
        self.that(
            decoder.first_k_dense_replace <= decoder.num_hidden_layers,
            "first_k_dense_replace",
            decoder.first_k_dense_replace,
            format!("at most `num_hidden_layers` ({})", decoder.num_hidden_layers),
        )?;
        for (key, width, heads) in [
            ("sam_vit_b.width", sam.width, sam.heads),
            ("clip-l-14-224.width", clip.width, clip.heads),
        ] {
            let expected = format!("multiples of its `heads` ({heads})");
            self.that(width.is_multiple_of(heads), key, width, expected)?;
        }
        self.that(
            sam.global_attn_indexes.iter().all(|&block| block < sam.layers),
            "sam_vit_b.global_attn_indexes",
            format!("{:?}", sam.global_attn_indexes),
            format!("blocks below `layers` ({})", sam.layers),
        )?;
        self.that(
            sam.downsample_channels[1] == clip.width,
            "sam_vit_b.downsample_channels",
            format!("{:?}", sam.downsample_channels),
            format!("a second one of `clip-l-14-224.width` ({})", clip.width),
        )?;
        let last = decoder.vocab_size.saturating_sub(TOKENS_AFTER_IMAGE + 1);
        self.that(
            config.image_token as usize <= last,
            "image_token_id",
            config.image_token,
            format!(
                "ids with {TOKENS_AFTER_IMAGE} more below `vocab_size` ({})",
                decoder.vocab_size
            ),
        )
    }

    fn projector(&self, raw: &RawProjector, config: &Config) -> Result<(), ModelError> {
        self.is("projector_type", &raw.projector_type, "linear")?;
        let features = config.sam.downsample_channels[1] + config.clip.width;
        self.that(
            raw.input_dim == features,
            "projector_config.input_dim",
            raw.input_dim,
            format!("both towers' features side by side ({features})"),
        )?;
        self.is(
            "projector_config.n_embed",
            &raw.n_embed,
            &config.decoder.hidden_size.to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The published file, as far as it is read.
    fn published() -> Value {
        let language = json!({
            "architectures": ["DeepseekV2ForCausalLM"], "bos_token_id": 0, "eos_token_id": 1,
            "first_k_dense_replace": 1, "hidden_size": 1280, "intermediate_size": 6848, "kv_lora_rank": null,
            "lm_head": true, "max_position_embeddings": 8192, "moe_intermediate_size": 896, "n_group": 1,
            "n_routed_experts": 64, "n_shared_experts": 2, "num_attention_heads": 10, "num_experts_per_tok": 6,
            "num_hidden_layers": 12, "num_key_value_heads": 10, "q_lora_rank": null, "qk_nope_head_dim": 0,
            "qk_rope_head_dim": 0, "rm_head": false, "topk_group": 1, "topk_method": "greedy",
            "torch_dtype": "bfloat16", "use_mla": false, "v_head_dim": 0, "vocab_size": 129280
        });
        let mut root = language.clone();
        let own = json!({
            "architectures": ["DeepseekOCRForCausalLM"], "model_type": "deepseek_vl_v2",
            "candidate_resolutions": [[1024, 1024]], "global_view_pos": "head", "tile_tag": "2D",
            "language_config": language,
            "projector_config": {
                "input_dim": 2048, "model_type": "mlp_projector", "n_embed": 1280, "projector_type": "linear"
            },
            "vision_config": {"image_size": 1024, "mlp_ratio": 3.7362, "model_name": "deeplip_b_l", "width": {
                "clip-l-14-224": {"heads": 16, "image_size": 224, "layers": 24, "patch_size": 14, "width": 1024},
                "sam_vit_b": {"downsample_channels": [512, 1024], "global_attn_indexes": [2, 5, 8, 11],
                    "heads": 12, "layers": 12, "width": 768}
            }}
        });
        root.as_object_mut()
            .unwrap()
            .extend(own.as_object().unwrap().clone());
        root
    }

    fn parse(value: &Value) -> Result<Config, ModelError> {
        Config::parse(&value.to_string(), Path::new("m/config.json"))
    }

    /// The message after `value` was put at `pointer` of the published file.
    fn message(pointer: &str, value: Value) -> String {
        let mut root = published();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        root.pointer_mut(parent).unwrap()[key] = value;
        parse(&root).unwrap_err().to_string()
    }

    #[test]
    fn published_file_gives_published_dimensions() {
        let config = parse(&published()).unwrap();
        assert_eq!(config.decoder.head_dim(), 128);
        assert_eq!(config.decoder.shared_intermediate_size(), 1792);
        assert_eq!(
            (config.decoder.rope_theta, config.decoder.rms_norm_eps),
            (10_000.0, 1e-6)
        );
        assert_eq!((config.sam.head_dim(), config.sam.neck_channels), (64, 256));
        assert_eq!(config.clip.head_dim(), 64);
        assert_eq!(config.projector_input, 2048);
        assert_eq!(
            (config.image_token, config.bos_token, config.eos_token),
            (128_815, 0, 1)
        );
    }

    #[test]
    fn language_config_counts_and_the_root_fills_in() {
        let mut root = published();
        root["num_hidden_layers"] = json!(99);
        root["language_config"]
            .as_object_mut()
            .unwrap()
            .remove("intermediate_size");
        let config = parse(&root).unwrap();
        assert_eq!(
            (config.decoder.num_hidden_layers, config.decoder.intermediate_size),
            (12, 6848)
        );
        root.as_object_mut().unwrap().remove("language_config");
        root["num_hidden_layers"] = json!(12);
        assert_eq!(parse(&root).unwrap(), config);
    }

    #[test]
    fn synthetic_keys_are_read() {
        let mut root = published();
        root["image_token_id"] = json!(400);
        root["vision_config"]["width"]["sam_vit_b"]["neck_channels"] = json!(24);
        let config = parse(&root).unwrap();
        assert_eq!((config.image_token, config.sam.neck_channels), (400, 24));
    }

    #[test]
    fn other_models_are_named() {
        let found = message("/architectures", json!(["DeepseekOCR2ForCausalLM"]));
        assert_eq!(
            found,
            "m/config.json is of `DeepseekOCR2ForCausalLM`, not of DeepSeek-OCR (`DeepseekOCRForCausalLM`); give \
             DeepSeek-OCR's folder"
        );
        let found = message("/architectures", json!([]));
        assert!(
            found.contains("is of a model of type `deepseek_vl_v2`"),
            "{found}"
        );
    }

    #[test]
    fn what_is_not_built_is_refused() {
        for (pointer, value, says) in [
            ("/language_config/use_mla", json!(true), "`use_mla` is true"),
            (
                "/language_config/num_key_value_heads",
                json!(2),
                "`num_attention_heads` (10)",
            ),
            (
                "/language_config/n_group",
                json!(8),
                "`n_group` is `8`; this program runs `1` only",
            ),
            (
                "/language_config/hidden_size",
                json!(1281),
                "`hidden_size` is 1281",
            ),
            (
                "/language_config/num_attention_heads",
                json!(0),
                "`num_key_value_heads` is 10",
            ),
            (
                "/language_config/num_experts_per_tok",
                json!(65),
                "`n_routed_experts` (64)",
            ),
            (
                "/language_config/rope_scaling",
                json!({"type": "yarn"}),
                "`rope_scaling` is",
            ),
            (
                "/language_config/routed_scaling_factor",
                json!(2.5),
                "is `2.5`; this program runs `1`",
            ),
            (
                "/language_config/hidden_act",
                json!("gelu"),
                "`hidden_act` is `gelu`",
            ),
            (
                "/language_config/vocab_size",
                json!(128_826),
                "`image_token_id` is 128815",
            ),
            (
                "/projector_config/input_dim",
                json!(1920),
                "both towers' features side by side (2048)",
            ),
            (
                "/projector_config/n_embed",
                json!(1024),
                "`projector_config.n_embed` is `1024`",
            ),
            (
                "/vision_config/width/sam_vit_b/heads",
                json!(7),
                "`sam_vit_b.width` is 768",
            ),
            (
                "/vision_config/width/sam_vit_b/global_attn_indexes",
                json!([12]),
                "[12]",
            ),
            (
                "/vision_config/width/clip-l-14-224/width",
                json!(0),
                "`clip-l-14-224.width` is 0",
            ),
        ] {
            let found = message(pointer, value);
            assert!(found.contains(says), "{pointer}: {found}");
        }
    }

    #[test]
    fn counts_that_would_take_all_memory_are_refused() {
        for (key, value) in [
            ("num_hidden_layers", 1025),
            ("n_routed_experts", 16_000_000),
            ("n_shared_experts", 1025),
        ] {
            let found = message(&format!("/language_config/{key}"), json!(value));
            let says = format!("`{key}` is {value}; this program runs 1 to 1024 only");
            assert!(found.contains(&says), "{found}");
        }
        for tower in ["sam_vit_b", "clip-l-14-224"] {
            for key in ["layers", "heads"] {
                let pointer = format!("/vision_config/width/{tower}/{key}");
                let found = message(&pointer, json!(1025));
                assert!(found.contains(&format!("`{tower}.{key}` is 1025")), "{found}");
            }
        }
        let mut root = published();
        root["language_config"]["num_attention_heads"] = json!(1025);
        root["language_config"]["num_key_value_heads"] = json!(1025);
        let found = parse(&root).unwrap_err().to_string();
        assert!(found.contains("`num_attention_heads` is 1025"), "{found}");
    }

    #[test]
    fn experts_of_all_layers_together_are_bounded() {
        let mut root = published();
        root["language_config"]["num_hidden_layers"] = json!(128);
        root["language_config"]["n_routed_experts"] = json!(512);
        assert!(parse(&root).is_ok());
        root["language_config"]["n_routed_experts"] = json!(513);
        let found = parse(&root).unwrap_err().to_string();
        let says =
            "`n_routed_experts` is 513; this program runs at most 512 beside `num_hidden_layers` (128) only";
        assert!(found.contains(says), "{found}");
    }

    #[test]
    fn missing_and_misshapen_settings_are_named() {
        let mut root = published();
        root["projector_config"]
            .as_object_mut()
            .unwrap()
            .remove("input_dim");
        let found = parse(&root).unwrap_err().to_string();
        assert!(found.contains("missing field `input_dim`"), "{found}");
        let found = message("/language_config/hidden_size", json!(-3));
        assert!(
            found.contains("m/config.json is damaged") && found.contains("-3"),
            "{found}"
        );
    }
}
