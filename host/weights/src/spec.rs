//! Which tensors a model has: names and shapes of DeepSeek-OCR, from its dimensions.
//!
//! Names and shapes are those of the published checkpoint (`model-00001-of-000001.safetensors` of
//! deepseek-ai/DeepSeek-OCR, 2,710 tensors), which keeps upstream's misspellings `pre_layrnorm` and `view_seperator`.
//! They follow from the dimensions, so that smaller checkpoints of the same structure can be checked as well.

use crate::WeightsError;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The dimensions that shapes depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimensions {
    /// Rows of the embedding and of the head.
    pub vocabulary: usize,
    /// Width of the decoder's residual stream.
    pub hidden: usize,
    /// Decoder layers.
    pub layers: usize,
    /// The first decoder layers, whose MLP is dense.
    pub dense_layers: usize,
    /// Inner width of a dense MLP.
    pub dense: usize,
    /// Routed experts of a layer.
    pub experts: usize,
    /// Inner width of an expert.
    pub expert: usize,
    /// Shared experts of a layer; they are stored as one of that many times the width.
    pub shared: usize,
    /// Width of SAM's blocks.
    pub sam_width: usize,
    /// SAM's blocks.
    pub sam_layers: usize,
    /// SAM's attention heads.
    pub sam_heads: usize,
    /// SAM's blocks that attend to the whole grid.
    pub sam_global: Vec<usize>,
    /// Channels of SAM's neck.
    pub sam_neck: usize,
    /// Channels after the first and the second convolution that shrinks SAM's grid.
    pub sam_down: [usize; 2],
    /// Width of CLIP's layers.
    pub clip_width: usize,
    /// CLIP's layers.
    pub clip_layers: usize,
}

/// DeepSeek-OCR's own dimensions.
pub static FULL: std::sync::LazyLock<Dimensions> = std::sync::LazyLock::new(|| Dimensions {
    vocabulary: 129_280,
    hidden: 1280,
    layers: 12,
    dense_layers: 1,
    dense: 6848,
    experts: 64,
    expert: 896,
    shared: 2,
    sam_width: 768,
    sam_layers: 12,
    sam_heads: 12,
    sam_global: vec![2, 5, 8, 11],
    sam_neck: 256,
    sam_down: [512, 1024],
    clip_width: 1024,
    clip_layers: 24,
});

/// Layers, heads or experts of a layer at most: more than ten times what is published. Layers and experts name tensors
/// of their own, and all names are listed before a weight is read, so a `config.json` could take all memory.
pub const MOST_PARTS: usize = 1 << 10;
/// Routed experts of all layers at most, of which each has three tensors; DeepSeek-OCR has 704.
pub const MOST_EXPERTS: usize = 1 << 16;
/// A side of SAM's stored position grid, patches.
const SAM_GRID: usize = 64;
/// A side of SAM's attention window, patches.
const SAM_WINDOW: usize = 14;

impl Dimensions {
    /// Reads the dimensions that `config.json` of the model in `folder` states.
    pub fn of_folder(folder: &Path) -> Result<Self, WeightsError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(WeightsError::io("read", &path))?;
        Self::parse(&text).map_err(|reason| WeightsError::Damaged { path, reason })
    }

    /// From the text of a `config.json`. What `language_config` lacks stands at the root.
    fn parse(text: &str) -> Result<Self, String> {
        let root: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let mut language = root.as_object().cloned().ok_or("it is no JSON object")?;
        if let Some(Value::Object(own)) = root.get("language_config") {
            language.extend(own.clone());
        }
        let language: Language =
            serde_json::from_value(Value::Object(language)).map_err(|e| e.to_string())?;
        let Vision { width } = serde_json::from_value(root["vision_config"].clone())
            .map_err(|e| format!("vision_config: {e}"))?;
        let found = Self {
            vocabulary: language.vocab_size,
            hidden: language.hidden_size,
            layers: language.num_hidden_layers,
            dense_layers: language.first_k_dense_replace,
            dense: language.intermediate_size,
            experts: language.n_routed_experts,
            expert: language.moe_intermediate_size,
            shared: language.n_shared_experts,
            sam_width: width.sam.width,
            sam_layers: width.sam.layers,
            sam_heads: width.sam.heads,
            sam_global: width.sam.global_attn_indexes,
            sam_neck: width.sam.neck_channels.unwrap_or(FULL.sam_neck),
            sam_down: width.sam.downsample_channels,
            clip_width: width.clip.width,
            clip_layers: width.clip.layers,
        };
        found.bounded()
    }

    /// Refuses numbers that no model of this kind has: they would only make an endless list of tensors.
    fn bounded(self) -> Result<Self, String> {
        const MOST_WIDE: usize = 1 << 24;
        let parts = [
            ("num_hidden_layers", self.layers),
            ("sam layers", self.sam_layers),
            ("clip layers", self.clip_layers),
            ("n_routed_experts", self.experts),
            ("n_shared_experts", self.shared),
            ("sam heads", self.sam_heads),
        ];
        let widths = [
            ("vocab_size", self.vocabulary),
            ("hidden_size", self.hidden),
            ("intermediate_size", self.dense),
            ("moe_intermediate_size", self.expert),
            ("sam width", self.sam_width),
            ("sam neck_channels", self.sam_neck),
            ("sam downsample_channels", self.sam_down[0]),
            ("sam downsample_channels", self.sam_down[1]),
            ("clip width", self.clip_width),
        ];
        let parts = parts.map(|p| (p, MOST_PARTS)).into_iter();
        for ((what, value), most) in parts.chain(widths.map(|w| (w, MOST_WIDE))) {
            if !(1..=most).contains(&value) {
                return Err(format!("`{what}` is {value}, not in 1..={most}"));
            }
        }
        let (layers, experts) = (self.layers, self.experts);
        if layers * experts > MOST_EXPERTS {
            return Err(format!(
                "`num_hidden_layers` {layers} of `n_routed_experts` {experts} are more than {MOST_EXPERTS} experts"
            ));
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
struct Language {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    #[serde(default)]
    first_k_dense_replace: usize,
    intermediate_size: usize,
    n_routed_experts: usize,
    moe_intermediate_size: usize,
    n_shared_experts: usize,
}

#[derive(Deserialize)]
struct Vision {
    width: Towers,
}

#[derive(Deserialize)]
struct Towers {
    #[serde(rename = "sam_vit_b")]
    sam: Sam,
    #[serde(rename = "clip-l-14-224")]
    clip: Clip,
}

#[derive(Deserialize)]
struct Sam {
    width: usize,
    layers: usize,
    heads: usize,
    global_attn_indexes: Vec<usize>,
    /// Stands in synthetic checkpoints alone; upstream's is in its code.
    neck_channels: Option<usize>,
    downsample_channels: [usize; 2],
}

#[derive(Deserialize)]
struct Clip {
    width: usize,
    layers: usize,
}

/// Every tensor of DeepSeek-OCR and its shape.
pub fn deepseek_ocr(d: &Dimensions) -> BTreeMap<String, Vec<usize>> {
    let mut tensors = Tensors::default();
    tensors.decoder(d);
    tensors.sam(d);
    tensors.clip(d);
    tensors.affine(
        "model.projector.layers",
        &[d.hidden, d.sam_down[1] + d.clip_width],
    );
    tensors.one("model.image_newline", &[d.hidden]);
    tensors.one("model.view_seperator", &[d.hidden]);
    tensors.0
}

#[derive(Default)]
struct Tensors(BTreeMap<String, Vec<usize>>);

impl Tensors {
    fn one(&mut self, name: impl Into<String>, shape: &[usize]) {
        self.0.insert(name.into(), shape.to_vec());
    }

    /// A weight without a bias.
    fn weight(&mut self, name: impl AsRef<str>, shape: &[usize]) {
        self.one(format!("{}.weight", name.as_ref()), shape);
    }

    /// A weight and a bias of its first dimension.
    fn affine(&mut self, name: impl AsRef<str>, shape: &[usize]) {
        self.one(format!("{}.bias", name.as_ref()), &shape[..1]);
        self.weight(name, shape);
    }

    fn swiglu(&mut self, name: &str, hidden: usize, inner: usize) {
        self.weight(format!("{name}.gate_proj"), &[inner, hidden]);
        self.weight(format!("{name}.up_proj"), &[inner, hidden]);
        self.weight(format!("{name}.down_proj"), &[hidden, inner]);
    }

    fn decoder(&mut self, d: &Dimensions) {
        self.weight("model.embed_tokens", &[d.vocabulary, d.hidden]);
        self.weight("model.norm", &[d.hidden]);
        self.weight("lm_head", &[d.vocabulary, d.hidden]);
        for n in 0..d.layers {
            let layer = format!("model.layers.{n}");
            self.weight(format!("{layer}.input_layernorm"), &[d.hidden]);
            self.weight(format!("{layer}.post_attention_layernorm"), &[d.hidden]);
            for part in ["q", "k", "v", "o"] {
                self.weight(format!("{layer}.self_attn.{part}_proj"), &[d.hidden, d.hidden]);
            }
            if n < d.dense_layers {
                self.swiglu(&format!("{layer}.mlp"), d.hidden, d.dense);
                continue;
            }
            self.weight(format!("{layer}.mlp.gate"), &[d.experts, d.hidden]);
            let shared = d.shared * d.expert;
            self.swiglu(&format!("{layer}.mlp.shared_experts"), d.hidden, shared);
            for e in 0..d.experts {
                self.swiglu(&format!("{layer}.mlp.experts.{e}"), d.hidden, d.expert);
            }
        }
    }

    fn sam(&mut self, d: &Dimensions) {
        let (sam, w) = ("model.sam_model", d.sam_width);
        self.affine(format!("{sam}.patch_embed.proj"), &[w, 3, 16, 16]);
        self.one(format!("{sam}.pos_embed"), &[1, SAM_GRID, SAM_GRID, w]);
        for n in 0..d.sam_layers {
            let block = format!("{sam}.blocks.{n}");
            let side = if d.sam_global.contains(&n) {
                SAM_GRID
            } else {
                SAM_WINDOW
            };
            self.affine(format!("{block}.norm1"), &[w]);
            self.affine(format!("{block}.norm2"), &[w]);
            self.affine(format!("{block}.attn.qkv"), &[3 * w, w]);
            self.affine(format!("{block}.attn.proj"), &[w, w]);
            self.affine(format!("{block}.mlp.lin1"), &[4 * w, w]);
            self.affine(format!("{block}.mlp.lin2"), &[w, 4 * w]);
            for axis in ["h", "w"] {
                let table = [2 * side - 1, w / d.sam_heads];
                self.one(format!("{block}.attn.rel_pos_{axis}"), &table);
            }
        }
        self.weight(format!("{sam}.neck.0"), &[d.sam_neck, w, 1, 1]);
        self.affine(format!("{sam}.neck.1"), &[d.sam_neck]);
        self.weight(format!("{sam}.neck.2"), &[d.sam_neck, d.sam_neck, 3, 3]);
        self.affine(format!("{sam}.neck.3"), &[d.sam_neck]);
        self.weight(format!("{sam}.net_2"), &[d.sam_down[0], d.sam_neck, 3, 3]);
        self.weight(format!("{sam}.net_3"), &[d.sam_down[1], d.sam_down[0], 3, 3]);
    }

    fn clip(&mut self, d: &Dimensions) {
        let (clip, w) = ("model.vision_model", d.clip_width);
        self.one(format!("{clip}.embeddings.class_embedding"), &[w]);
        // In the file, used by nobody: SAM's features take its place.
        self.weight(format!("{clip}.embeddings.patch_embedding"), &[w, 3, 14, 14]);
        self.weight(format!("{clip}.embeddings.position_embedding"), &[257, w]);
        self.affine(format!("{clip}.pre_layrnorm"), &[w]);
        for n in 0..d.clip_layers {
            let layer = format!("{clip}.transformer.layers.{n}");
            self.affine(format!("{layer}.layer_norm1"), &[w]);
            self.affine(format!("{layer}.layer_norm2"), &[w]);
            self.affine(format!("{layer}.self_attn.qkv_proj"), &[3 * w, w]);
            self.affine(format!("{layer}.self_attn.out_proj"), &[w, w]);
            self.affine(format!("{layer}.mlp.fc1"), &[4 * w, w]);
            self.affine(format!("{layer}.mlp.fc2"), &[w, 4 * w]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The synthetic checkpoint of `host/conformance/deepseek_ocr`.
    fn tiny() -> Dimensions {
        Dimensions {
            vocabulary: 512,
            hidden: 80,
            layers: 4,
            dense_layers: 1,
            dense: 112,
            experts: 8,
            expert: 48,
            shared: 2,
            sam_width: 48,
            sam_layers: 4,
            sam_heads: 3,
            sam_global: vec![1, 3],
            sam_neck: 24,
            sam_down: [40, 64],
            clip_width: 64,
            clip_layers: 3,
        }
    }

    #[test]
    fn counts_are_those_of_the_published_checkpoint() {
        let tensors = deepseek_ocr(&FULL);
        let parameters: usize = tensors.values().map(|s| s.iter().product::<usize>()).sum();
        assert_eq!((tensors.len(), parameters), (2710, 3_336_106_240));
        assert_eq!(tensors["model.sam_model.blocks.2.attn.rel_pos_w"], [127, 64]);
        assert_eq!(
            tensors["model.layers.11.mlp.experts.63.down_proj.weight"],
            [1280, 896]
        );
    }

    #[test]
    fn counts_are_those_of_the_synthetic_checkpoint() {
        assert_eq!(deepseek_ocr(&tiny()).len(), 226);
    }

    fn config(experts: usize) -> String {
        let language = serde_json::json!({
            "vocab_size": 512, "hidden_size": 80, "num_hidden_layers": 4, "first_k_dense_replace": 1,
            "intermediate_size": 112, "moe_intermediate_size": 48, "n_shared_experts": 2});
        let vision = serde_json::json!({"width": {
            "sam_vit_b": {"width": 48, "layers": 4, "heads": 3, "global_attn_indexes": [1, 3],
                          "downsample_channels": [40, 64], "neck_channels": 24},
            "clip-l-14-224": {"width": 64, "layers": 3, "heads": 4}}});
        serde_json::json!({"language_config": language, "vision_config": vision, "n_routed_experts": experts})
            .to_string()
    }

    #[test]
    fn dimensions_are_read_from_the_configuration() {
        assert_eq!(Dimensions::parse(&config(8)), Ok(tiny()));
    }

    #[test]
    fn absurd_configurations_are_refused() {
        let error = Dimensions::parse(&config(1_000_000_000)).unwrap_err();
        assert!(error.contains("`n_routed_experts` is 1000000000"), "{error}");
        assert!(Dimensions::parse("[]").unwrap_err().contains("no JSON object"));
        assert!(Dimensions::parse("{}").unwrap_err().contains("missing field"));
    }
}
