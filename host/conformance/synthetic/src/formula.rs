//! The value of every element: SplitMix64 over the tensor's name, the seed and the element's index.

use half::bf16;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Which tensors a rule is for, its centre, and its spread for the tiny and for the full checkpoint.
type Rule = (&'static [&'static str], f32, Spread, Spread);

/// A standard deviation, or one of `g / sqrt(fan_in)`.
#[derive(Debug, Clone, Copy)]
enum Spread {
    Std(f64),
    Gain(f64),
}
use Spread::{Gain, Std};

/// Norms' weights are told by how their names end, everything else by what they contain; the first match counts.
const NORMS: &[&str] = &[
    "norm1.weight",
    "norm2.weight",
    "pre_layrnorm.weight",
    "neck.1.weight",
    "neck.3.weight",
    "layernorm.weight",
    "model.norm.weight",
];

const STRONG: &[Rule] = &[
    (&[".bias"], 0.0, Std(0.1), Std(0.1)),
    (&["sam_model.patch_embed."], 0.0, Gain(1.5), Gain(1.5)),
    (&["sam_model.pos_embed"], 0.0, Std(0.5), Std(1.0)),
    (&["rel_pos_"], 0.0, Std(0.08), Std(0.12)),
    (&[".attn.qkv."], 0.0, Gain(1.4), Gain(1.4)),
    (&[".attn.proj.", ".mlp.lin2."], 0.0, Gain(1.0), Gain(0.6)),
    (&[".mlp.lin1."], 0.0, Gain(1.5), Gain(1.5)),
    (&[".net_3."], 0.0, Gain(2.0), Gain(2.0)),
    (
        &[".class_embedding", ".patch_embedding."],
        0.0,
        Std(1.0),
        Std(1.0),
    ),
    (&[".position_embedding."], 0.0, Std(0.5), Std(1.0)),
    (&[".self_attn.qkv_proj."], 0.0, Gain(1.4), Gain(1.4)),
    (&[".mlp.fc1."], 0.0, Gain(1.5), Gain(1.5)),
    (&[".self_attn.out_proj.", ".mlp.fc2."], 0.0, Gain(0.5), Gain(0.5)),
    (&["model.projector."], 0.0, Gain(0.5), Gain(0.5)),
    (
        &[
            "model.image_newline",
            "model.view_seperator",
            "model.embed_tokens.",
        ],
        0.0,
        Std(1.0),
        Std(1.0),
    ),
    (&[".q_proj.", ".k_proj."], 0.0, Gain(1.5), Gain(1.0)),
    (&[".o_proj."], 0.0, Gain(1.0), Gain(0.6)),
    (&[".mlp.gate."], 0.0, Gain(2.5), Gain(3.5)),
    (&[".gate_proj."], 0.0, Gain(1.5), Gain(1.5)),
    (&[".mlp.experts."], 0.0, Gain(1.5), Gain(0.8)),
    (&[".shared_experts.down_proj."], 0.0, Gain(1.0), Gain(0.3)),
    (&[".mlp.down_proj."], 0.0, Gain(1.0), Gain(0.4)),
    (&["lm_head."], 0.0, Gain(3.0), Gain(3.0)),
    (&[""], 0.0, Gain(1.0), Gain(1.0)),
];

const WALK: &[Rule] = &[
    (&[".bias"], 0.0, Std(0.0), Std(0.0)),
    (&["model.embed_tokens."], 0.0, Std(1.0), Std(1.0)),
    (&[""], 0.0, Std(0.02), Std(0.02)),
];

/// Which checkpoint's spreads count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Tiny,
    Full,
    Walk,
}

/// Centre and amplitude of a tensor's values.
pub fn scale(table: Table, name: &str, shape: &[usize]) -> (f32, f32) {
    let is_norm = NORMS.iter().any(|norm| name.ends_with(norm));
    let norm: Rule = match table {
        Table::Walk => (&[""], 1.0, Std(0.0), Std(0.0)),
        Table::Tiny | Table::Full => (&[""], 1.0, Std(0.2), Std(0.4)),
    };
    let rules = if table == Table::Walk { WALK } else { STRONG };
    let (_, centre, tiny, full) = match is_norm {
        true => &norm,
        false => rules
            .iter()
            .find(|(parts, ..)| parts.iter().any(|part| name.contains(part)))
            .expect("the last rule is for all"),
    };
    let amplitude = match if table == Table::Full { full } else { tiny } {
        Std(s) => s * 3f64.sqrt(),
        Gain(g) => g * (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt(),
    };
    (*centre, amplitude as f32)
}

fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The key of a stream.
pub fn key(name: &str, seed: u64) -> u64 {
    let fnv = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    mix64(fnv ^ mix64(seed))
}

/// Word `index` of a stream.
pub fn word(key: u64, index: u64) -> u64 {
    mix64(key.wrapping_add((index + 1).wrapping_mul(GOLDEN)))
}

/// Element `index` of a tensor.
pub fn value(key: u64, centre: f32, amplitude: f32, index: u64) -> bf16 {
    let unit = ((word(key, index) >> 40) as i32 - (1 << 23)) as f32 / (1 << 23) as f32;
    bf16::from_f32(centre + amplitude * unit)
}
