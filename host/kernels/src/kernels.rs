//! The compiled kernels and what each wants of shared memory.

use crate::ops::experts::OF_BYTES;
use crate::ops::vision_attention::KERNELS as VISION;
use crate::tiles::{
    ATTENTION_SHARED, DENSE_DOWN, DENSE_UP, EXPERT_TILES, O_PROJ, PROMPT_ATTENTION_SHARED,
    PROMPT_TILE_SHARED, QKV, Tile, VOCABULARY, expert_shared,
};
use std::sync::LazyLock;

/// Bytes at an address that CUDA's loader can read words from.
#[repr(C, align(64))]
pub(crate) struct Aligned<T: ?Sized>(pub(crate) T);

/// Every file of `cuda/`, without its ending, and its fatbin.
pub(crate) static IMAGES: &[(&str, &Aligned<[u8]>)] = include!(concat!(env!("OUT_DIR"), "/images.rs"));

/// A kernel.
pub(crate) struct Function {
    pub(crate) image: &'static str,
    pub(crate) name: &'static str,
    /// The most dynamic shared memory that it is launched with. Those with any prefer shared memory over L1 as well;
    /// the others read weights through L1 and want it large.
    pub(crate) shared_bytes: u32,
}

/// Kernels without dynamic shared memory.
const PLAIN: &[(&str, &[&str])] = &[
    ("step", &["step_begin", "step_end"]),
    ("rows", &["write_words", "set_row"]),
    ("rms_norm", &["rms_norm"]),
    ("qkv_rope", &["qkv_rope_stream"]),
    ("o_proj", &["o_proj_stream"]),
    ("router", &["router_top6_stream", "router_top6"]),
    ("expert_gate_up", &["expert_gate_up_stream"]),
    ("expert_down", &["expert_down_stream"]),
    ("dense_mlp", &["dense_gate_up_stream", "dense_down_stream"]),
    ("lm_head", &["lm_head_stream"]),
    ("ngram_guard", &["ngram_guard"]),
    (
        "vision_rows",
        &["finish_rows", "norm_rows", "patches_3x3", "pixel_patches"],
    ),
];

/// The products of prompts.
const PROMPT: [(&str, &str); 6] = [
    ("qkv_rope", "qkv_rope_prompt_s"),
    ("o_proj", "o_proj_prompt_s"),
    ("qkv_rope", "qkv_rope_prompt"),
    ("o_proj", "o_proj_prompt"),
    ("expert_gate_up", "expert_gate_up_prompt"),
    ("expert_down", "expert_down_prompt"),
];

/// All of them.
pub(crate) static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let mut all = Vec::new();
    let mut add = |image, name, shared_bytes| {
        all.push(Function {
            image,
            name,
            shared_bytes,
        })
    };
    for (image, names) in PLAIN {
        names.iter().for_each(|name| add(image, name, 0));
    }
    add("paged_attention", "paged_attention", ATTENTION_SHARED);
    add("prompt_attention", "prompt_attention", PROMPT_ATTENTION_SHARED);
    for (image, name) in PROMPT {
        add(image, name, PROMPT_TILE_SHARED);
    }
    let tiled: [(&str, &[Tile]); 5] = [
        ("qkv_rope", &QKV),
        ("o_proj", &O_PROJ),
        ("dense_mlp", &DENSE_UP),
        ("dense_mlp", &DENSE_DOWN),
        ("lm_head", &VOCABULARY),
    ];
    for (image, tiles) in tiled {
        tiles
            .iter()
            .for_each(|tile| add(image, tile.name, tile.shared_bytes()));
    }
    for kernel in &VISION {
        add("vision_attention", kernel.name, kernel.most_shared_bytes());
    }
    for (rows, gate_up, down) in EXPERT_TILES {
        add("expert_gate_up", gate_up, expert_shared(rows, 64));
        add("expert_down", down, expert_shared(rows, 64));
    }
    // Bytes take less room, and are given as much.
    let known: Vec<(&'static str, &'static str, u32)> = all
        .iter()
        .filter_map(|function: &Function| {
            let (_, of_bytes) = OF_BYTES.iter().find(|(name, _)| *name == function.name)?;
            Some((function.image, *of_bytes, function.shared_bytes))
        })
        .collect();
    for (image, name, shared_bytes) in known {
        all.push(Function {
            image,
            name,
            shared_bytes,
        });
    }
    all
});
