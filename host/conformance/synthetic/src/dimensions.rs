//! Dimensions, names and shapes of the checkpoints.

use std::collections::BTreeMap;

/// What a checkpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1.17 M parameters; every stage matters.
    Tiny,
    /// Upstream's size; every stage matters.
    Full,
    /// Upstream's size; greedy output walks through all ids.
    Walk,
    /// As `Tiny`; greedy output walks through all ids.
    TinyWalk,
}

impl Kind {
    /// All kinds by name.
    pub const ALL: [(&'static str, Kind); 4] = [
        ("tiny", Kind::Tiny),
        ("full", Kind::Full),
        ("walk", Kind::Walk),
        ("tiny-walk", Kind::TinyWalk),
    ];

    /// Its dimensions.
    pub fn dimensions(self) -> Dimensions {
        match self {
            Kind::Tiny | Kind::TinyWalk => TINY,
            Kind::Full | Kind::Walk => FULL,
        }
    }

    /// Whether token t is followed by (34341 t + 12347) mod V.
    pub fn walks(self) -> bool {
        matches!(self, Kind::Walk | Kind::TinyWalk)
    }
}

/// Sizes of the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Ids of the tokenizer.
    pub vocabulary: usize,
    /// Id of `<image>`.
    pub image_token: usize,
    /// Width of the decoder.
    pub hidden: usize,
    /// Its layers; the first is dense.
    pub layers: usize,
    /// Its heads.
    pub heads: usize,
    /// Inner width of the dense layer.
    pub dense: usize,
    /// Routed experts.
    pub experts: usize,
    /// Inner width of an expert.
    pub expert: usize,
    /// Shared experts.
    pub shared: usize,
    /// Experts of a token.
    pub per_token: usize,
    /// Width of SAM.
    pub sam_width: usize,
    /// Its blocks.
    pub sam_layers: usize,
    /// Its heads.
    pub sam_heads: usize,
    /// Blocks that attend over the whole grid.
    pub sam_global: &'static [usize],
    /// Channels of its neck.
    pub sam_neck: usize,
    /// Channels behind the two convolutions after it.
    pub sam_down: [usize; 2],
    /// Width of CLIP.
    pub clip_width: usize,
    /// Its layers.
    pub clip_layers: usize,
    /// Its heads.
    pub clip_heads: usize,
}

/// DeepSeek-OCR as published.
pub const FULL: Dimensions = Dimensions {
    vocabulary: 129_280,
    image_token: 128_815,
    hidden: 1280,
    layers: 12,
    heads: 10,
    dense: 6848,
    experts: 64,
    expert: 896,
    shared: 2,
    per_token: 6,
    sam_width: 768,
    sam_layers: 12,
    sam_heads: 12,
    sam_global: &[2, 5, 8, 11],
    sam_neck: 256,
    sam_down: [512, 1024],
    clip_width: 1024,
    clip_layers: 24,
    clip_heads: 16,
};

/// The same architecture in 2.3 MB.
pub const TINY: Dimensions = Dimensions {
    vocabulary: 512,
    image_token: 400,
    hidden: 80,
    layers: 4,
    heads: 5,
    dense: 112,
    experts: 8,
    expert: 48,
    shared: 2,
    per_token: 3,
    sam_width: 48,
    sam_layers: 4,
    sam_heads: 3,
    sam_global: &[1, 3],
    sam_neck: 24,
    sam_down: [40, 64],
    clip_width: 64,
    clip_layers: 3,
    clip_heads: 4,
};

/// Collects names and shapes.
struct Shapes(BTreeMap<String, Vec<usize>>);

impl Shapes {
    fn add(&mut self, name: impl Into<String>, shape: &[usize]) {
        self.0.insert(name.into(), shape.to_vec());
    }

    fn affine(&mut self, name: &str, shape: &[usize]) {
        self.add(format!("{name}.weight"), shape);
        self.add(format!("{name}.bias"), &shape[..1]);
    }

    fn swiglu(&mut self, name: &str, inner: usize, hidden: usize) {
        self.add(format!("{name}.gate_proj.weight"), &[inner, hidden]);
        self.add(format!("{name}.up_proj.weight"), &[inner, hidden]);
        self.add(format!("{name}.down_proj.weight"), &[hidden, inner]);
    }
}

impl Dimensions {
    /// Every tensor with its shape, sorted by name.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let mut found = Shapes(BTreeMap::new());
        self.decoder(&mut found);
        self.sam(&mut found);
        self.clip(&mut found);
        found.0
    }

    fn decoder(&self, found: &mut Shapes) {
        let (v, d) = (self.vocabulary, self.hidden);
        found.add("model.embed_tokens.weight", &[v, d]);
        found.add("model.norm.weight", &[d]);
        found.add("lm_head.weight", &[v, d]);
        found.add("model.image_newline", &[d]);
        found.add("model.view_seperator", &[d]);
        found.affine("model.projector.layers", &[d, self.sam_down[1] + self.clip_width]);
        for n in 0..self.layers {
            let layer = format!("model.layers.{n}");
            found.add(format!("{layer}.input_layernorm.weight"), &[d]);
            found.add(format!("{layer}.post_attention_layernorm.weight"), &[d]);
            for part in ["q", "k", "v", "o"] {
                found.add(format!("{layer}.self_attn.{part}_proj.weight"), &[d, d]);
            }
            if n == 0 {
                found.swiglu(&format!("{layer}.mlp"), self.dense, d);
                continue;
            }
            found.add(format!("{layer}.mlp.gate.weight"), &[self.experts, d]);
            found.swiglu(
                &format!("{layer}.mlp.shared_experts"),
                self.shared * self.expert,
                d,
            );
            for e in 0..self.experts {
                found.swiglu(&format!("{layer}.mlp.experts.{e}"), self.expert, d);
            }
        }
    }

    fn sam(&self, found: &mut Shapes) {
        let (sam, w) = ("model.sam_model", self.sam_width);
        found.affine(&format!("{sam}.patch_embed.proj"), &[w, 3, 16, 16]);
        found.add(format!("{sam}.pos_embed"), &[1, 64, 64, w]);
        for n in 0..self.sam_layers {
            let block = format!("{sam}.blocks.{n}");
            let table = if self.sam_global.contains(&n) { 127 } else { 27 };
            found.affine(&format!("{block}.norm1"), &[w]);
            found.affine(&format!("{block}.norm2"), &[w]);
            found.affine(&format!("{block}.attn.qkv"), &[3 * w, w]);
            found.affine(&format!("{block}.attn.proj"), &[w, w]);
            found.affine(&format!("{block}.mlp.lin1"), &[4 * w, w]);
            found.affine(&format!("{block}.mlp.lin2"), &[w, 4 * w]);
            found.add(format!("{block}.attn.rel_pos_h"), &[table, w / self.sam_heads]);
            found.add(format!("{block}.attn.rel_pos_w"), &[table, w / self.sam_heads]);
        }
        let (neck, [down_2, down_3]) = (self.sam_neck, self.sam_down);
        found.add(format!("{sam}.neck.0.weight"), &[neck, w, 1, 1]);
        found.affine(&format!("{sam}.neck.1"), &[neck]);
        found.add(format!("{sam}.neck.2.weight"), &[neck, neck, 3, 3]);
        found.affine(&format!("{sam}.neck.3"), &[neck]);
        found.add(format!("{sam}.net_2.weight"), &[down_2, neck, 3, 3]);
        found.add(format!("{sam}.net_3.weight"), &[down_3, down_2, 3, 3]);
    }

    fn clip(&self, found: &mut Shapes) {
        let (clip, w) = ("model.vision_model", self.clip_width);
        found.add(format!("{clip}.embeddings.class_embedding"), &[w]);
        found.add(
            format!("{clip}.embeddings.patch_embedding.weight"),
            &[w, 3, 14, 14],
        );
        found.add(format!("{clip}.embeddings.position_embedding.weight"), &[257, w]);
        found.affine(&format!("{clip}.pre_layrnorm"), &[w]);
        for n in 0..self.clip_layers {
            let layer = format!("{clip}.transformer.layers.{n}");
            found.affine(&format!("{layer}.layer_norm1"), &[w]);
            found.affine(&format!("{layer}.layer_norm2"), &[w]);
            found.affine(&format!("{layer}.self_attn.qkv_proj"), &[3 * w, w]);
            found.affine(&format!("{layer}.self_attn.out_proj"), &[w, w]);
            found.affine(&format!("{layer}.mlp.fc1"), &[4 * w, w]);
            found.affine(&format!("{layer}.mlp.fc2"), &[w, 4 * w]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_upstreams() {
        let count = |d: Dimensions| {
            let shapes = d.shapes();
            let parameters: usize = shapes.values().map(|s| s.iter().product::<usize>()).sum();
            (shapes.len(), parameters)
        };
        assert_eq!(count(FULL), (2710, 3_336_106_240));
        assert_eq!(count(TINY).0, 226);
    }
}
