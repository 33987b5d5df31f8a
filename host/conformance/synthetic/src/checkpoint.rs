//! A checkpoint as a Hugging Face folder: `config.json`, `tokenizer.json`, safetensors and their index.

use crate::dimensions::{Dimensions, FULL, Kind};
use crate::formula::{Table, key, scale, value};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::path::Path;

/// Elements made at a time: 8 MiB.
const CHUNK: usize = 1 << 22;

/// The name of the one file of weights.
const WEIGHTS: &str = "model-00001-of-000001.safetensors";

/// The ids that OCR adds, in the order in which they follow `<image>`.
const OCR_TOKENS: [&str; 12] = [
    "<image>",
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|grounding|>",
    "<td>",
    "</td>",
    "<tr>",
    "</tr>",
    "<|User|>",
    "<|Assistant|>",
];

fn table(kind: Kind) -> Table {
    match kind {
        Kind::Tiny => Table::Tiny,
        Kind::Full => Table::Full,
        Kind::Walk | Kind::TinyWalk => Table::Walk,
    }
}

/// Writes the checkpoint into `folder`, which is made.
pub fn write(folder: &Path, kind: Kind, seed: u64) -> Result<()> {
    let d = kind.dimensions();
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("config.json"), config(&d).to_string())?;
    std::fs::write(folder.join("tokenizer.json"), tokenizer(&d).to_string())?;
    let shapes = d.shapes();
    let (mut header, mut offset) = (Map::new(), 0);
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut of = Map::new();
    for (name, shape) in &shapes {
        let end = offset + 2 * shape.iter().product::<usize>();
        header.insert(
            name.clone(),
            json!({"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}),
        );
        of.insert(name.clone(), WEIGHTS.into());
        offset = end;
    }
    let index = json!({"metadata": {"total_size": offset}, "weight_map": of});
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string())?;
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::new(File::create(folder.join(WEIGHTS))?);
    file.write_all(&(text.len() as u64).to_le_bytes())?;
    file.write_all(&text)?;
    for (name, shape) in &shapes {
        write_tensor(&mut file, kind, seed, name, shape)?;
    }
    file.flush()
}

fn write_tensor(file: &mut impl Write, kind: Kind, seed: u64, name: &str, shape: &[usize]) -> Result<()> {
    let count: usize = shape.iter().product();
    if kind.walks() && name == "lm_head.weight" {
        return file.write_all(&bytes(&tensor(kind, seed, name, shape)));
    }
    (0..count).step_by(CHUNK).try_for_each(|first| {
        file.write_all(&bytes(&elements(
            kind,
            seed,
            name,
            shape,
            first..count.min(first + CHUNK),
        )))
    })
}

/// A whole tensor, as bits of bf16.
pub fn tensor(kind: Kind, seed: u64, name: &str, shape: &[usize]) -> Vec<u16> {
    let count = shape.iter().product();
    if !(kind.walks() && name == "lm_head.weight") {
        return elements(kind, seed, name, shape, 0..count);
    }
    // Row (34341 t + 12347) mod V of a walk's head is row t of its embedding.
    let (rows, width) = (shape[0], shape[1]);
    let embedding = elements(kind, seed, "model.embed_tokens.weight", shape, 0..count);
    let mut head = vec![0; count];
    for (t, row) in embedding.chunks_exact(width).enumerate() {
        let to = (34341 * t + 12347) % rows;
        head[to * width..][..width].copy_from_slice(row);
    }
    head
}

fn elements(kind: Kind, seed: u64, name: &str, shape: &[usize], range: std::ops::Range<usize>) -> Vec<u16> {
    let (centre, amplitude) = scale(table(kind), name, shape);
    let key = key(name, seed);
    let made = range.into_par_iter().with_min_len(1 << 16);
    made.map(|n| value(key, centre, amplitude, n as u64).to_bits())
        .collect()
}

fn bytes(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Upstream's structure and keys; `image_token_id` and `neck_channels` stand in the tiny one only.
fn config(d: &Dimensions) -> Value {
    let mut root = json!({
        "bos_token_id": 0, "eos_token_id": 1, "first_k_dense_replace": 1, "hidden_size": d.hidden,
        "intermediate_size": d.dense, "kv_lora_rank": null, "lm_head": true, "max_position_embeddings": 8192,
        "moe_intermediate_size": d.expert, "n_group": 1, "n_routed_experts": d.experts, "n_shared_experts": d.shared,
        "num_attention_heads": d.heads, "num_experts_per_tok": d.per_token, "num_hidden_layers": d.layers,
        "num_key_value_heads": d.heads, "q_lora_rank": null, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0,
        "rm_head": false, "topk_group": 1, "topk_method": "greedy", "use_mla": false, "v_head_dim": 0,
        "vocab_size": d.vocabulary,
    });
    let language = root.clone();
    let mut sam = json!({
        "downsample_channels": d.sam_down, "global_attn_indexes": d.sam_global, "heads": d.sam_heads,
        "layers": d.sam_layers, "width": d.sam_width,
    });
    if *d != FULL {
        root["image_token_id"] = json!(d.image_token);
        sam["neck_channels"] = json!(d.sam_neck);
    }
    let clip = json!({
        "heads": d.clip_heads, "image_size": 224, "layers": d.clip_layers, "patch_size": 14, "width": d.clip_width,
    });
    let more = json!({
        "architectures": ["DeepseekOCRForCausalLM"], "model_type": "deepseek_vl_v2",
        "candidate_resolutions": [[1024, 1024]], "global_view_pos": "head", "tile_tag": "2D",
        "torch_dtype": "bfloat16", "language_config": language,
        "projector_config": {"input_dim": d.sam_down[1] + d.clip_width, "model_type": "mlp_projector",
            "n_embed": d.hidden, "projector_type": "linear"},
        "vision_config": {"image_size": 1024, "mlp_ratio": 3.7362, "model_name": "deeplip_b_l", "model_type": "vision",
            "width": {"clip-l-14-224": clip, "sam_vit_b": sam}},
    });
    let (Value::Object(root_map), Value::Object(more)) = (&mut root, more) else {
        unreachable!("both are objects")
    };
    root_map.extend(more);
    root
}

/// The printable character that stands for a byte in a byte-level vocabulary (as in GPT-2).
fn byte_characters() -> Vec<char> {
    let kept = |b: u32| (33..127).contains(&b) || (161..173).contains(&b) || (174..256).contains(&b);
    let mut hidden = 256..;
    (0..256)
        .map(|b| {
            char::from_u32(if kept(b) {
                b
            } else {
                hidden.next().expect("there is no end")
            })
        })
        .map(|c| c.expect("all below 512 are characters"))
        .collect()
}

/// A byte-level tokenizer without merges: byte b is id 3 + b, ids between are words that no text is cut into.
fn tokenizer(d: &Dimensions) -> Value {
    let first = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"];
    let added = OCR_TOKENS
        .iter()
        .enumerate()
        .map(|(n, &token)| (d.image_token + n, token));
    let special: Vec<(usize, &str)> = first.into_iter().enumerate().chain(added).collect();
    let characters = byte_characters();
    let vocabulary: Map<String, Value> = (0..d.vocabulary)
        .map(|id| {
            let word = match special.iter().find(|(of, _)| *of == id) {
                Some((_, token)) => (*token).to_owned(),
                None if id < 259 => characters[id - 3].to_string(),
                None => format!("Ġw{id:x}"),
            };
            (word, json!(id))
        })
        .collect();
    let added: Vec<Value> = special
        .iter()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        })
        .collect();
    let byte_level = |prefix: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": byte_level(false), "post_processor": null, "decoder": byte_level(true),
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": []},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// The check values of host/conformance/deepseek_ocr/README.md, seed 1.
    #[test]
    fn the_bytes_are_those_of_the_twin() {
        for (kind, name, sum) in [
            (
                Kind::Tiny,
                "lm_head.weight",
                "20f25efd1440ba057e1e318fd7e7aee2e7c2b3ae040dd1fc15fa5ece3c09a558",
            ),
            (
                Kind::Tiny,
                "model.layers.1.mlp.gate.weight",
                "52e85890856f59aff4040445c5a29ec1239844cf3160e3d596aeb67f9b81ed60",
            ),
            (
                Kind::Tiny,
                "model.sam_model.blocks.1.attn.rel_pos_h",
                "0f66e6caad23ad439a339d7ea83ac2ae3598d6686191875f1ca6443fa355319f",
            ),
            (
                Kind::Full,
                "model.layers.11.mlp.experts.63.down_proj.weight",
                "884df2cdd6ffd43343226e91b2f1b12034c31a095c3e96162a6d8a8e5e9028b2",
            ),
            (
                Kind::Full,
                "model.vision_model.pre_layrnorm.weight",
                "e3bb31a929c12e050d89af833d1c289dc516b03d0c58228168a863848b4cff81",
            ),
            (
                Kind::Walk,
                "model.layers.11.mlp.experts.63.down_proj.weight",
                "1277224695f275beee104878cbf25695be6ce556374e7cb66556e83fb47c8e57",
            ),
            (
                Kind::TinyWalk,
                "lm_head.weight",
                "ff21c0118e0dc88c8a3242231f5d8acad6cb5a62604e940a9afadd47a4bbcaae",
            ),
            (
                Kind::TinyWalk,
                "model.projector.layers.weight",
                "23356a6d24dfe4d230a5faaa7ac03133adfcbb0389bc08535c2a1f52323c6aa5",
            ),
        ] {
            let shape = &kind.dimensions().shapes()[name];
            let digest = Sha256::digest(bytes(&tensor(kind, 1, name, shape)));
            let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, sum, "{kind:?} {name}");
        }
    }
}
