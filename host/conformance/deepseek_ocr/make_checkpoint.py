"""Writes a synthetic DeepSeek-OCR checkpoint as a Hugging Face folder: config, tokenizer, safetensors.

    python3 make_checkpoint.py --kind tiny|full|walk|tiny-walk --seed 1 FOLDER
"""

import argparse
import hashlib
import json
import math
import pathlib
import struct

import recipe

CHUNK = 1 << 22  # elements made at a time


def config(d):
    """Upstream's structure and keys; `image_token_id` and `neck_channels` stand in the tiny one only."""
    language = dict(
        architectures=["DeepseekV2ForCausalLM"], bos_token_id=0, eos_token_id=1, first_k_dense_replace=1,
        hidden_size=d.hidden, intermediate_size=d.dense, kv_lora_rank=None, lm_head=True, max_position_embeddings=8192,
        moe_intermediate_size=d.expert, n_group=1, n_routed_experts=d.experts, n_shared_experts=d.shared,
        num_attention_heads=d.heads, num_experts_per_tok=d.experts_per_token, num_hidden_layers=d.layers,
        num_key_value_heads=d.heads, q_lora_rank=None, qk_nope_head_dim=0, qk_rope_head_dim=0, rm_head=False,
        topk_group=1, topk_method="greedy", torch_dtype="bfloat16", use_mla=False, v_head_dim=0,
        vocab_size=d.vocabulary)
    sam = dict(downsample_channels=list(d.sam_down), global_attn_indexes=list(d.sam_global), heads=d.sam_heads,
               layers=d.sam_layers, width=d.sam_width)
    clip = dict(heads=d.clip_heads, image_size=224, layers=d.clip_layers, patch_size=14, width=d.clip_width)
    root = {name: value for name, value in language.items() if name not in ("architectures", "torch_dtype")}
    if d is not recipe.FULL:
        root["image_token_id"] = d.image_token
        sam["neck_channels"] = d.sam_neck
    return dict(
        architectures=["DeepseekOCRForCausalLM"], model_type="deepseek_vl_v2", candidate_resolutions=[[1024, 1024]],
        global_view_pos="head", tile_tag="2D", torch_dtype="bfloat16", language_config=language,
        projector_config=dict(input_dim=d.sam_down[1] + d.clip_width, model_type="mlp_projector", n_embed=d.hidden,
                              projector_type="linear"),
        vision_config=dict(image_size=1024, mlp_ratio=3.7362, model_name="deeplip_b_l", model_type="vision",
                           width={"clip-l-14-224": clip, "sam_vit_b": sam}),
        **root)


def byte_characters():
    """The printable character that stands for each byte in a byte-level vocabulary."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in kept]
    return {**{byte: chr(byte) for byte in kept}, **{byte: chr(256 + n) for n, byte in enumerate(hidden)}}


def special_tokens(d):
    first = {0: "<｜begin▁of▁sentence｜>", 1: "<｜end▁of▁sentence｜>", 2: "<｜▁pad▁｜>"}
    return {**first, **{d.image_token + n: token for n, token in enumerate(recipe.OCR_TOKENS)}}


def tokenizer(d):
    """A byte-level tokenizer without merges: byte b is id 3 + b, ids between are words that no text is cut into."""
    special, characters = special_tokens(d), byte_characters()
    vocabulary = {}
    for token in range(d.vocabulary):
        if token in special:
            vocabulary[special[token]] = token
        elif token < 259:
            vocabulary[characters[token - 3]] = token
        else:
            vocabulary[f"Ġw{token:x}"] = token
    added = [dict(id=token, content=text, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for token, text in sorted(special.items())]
    bytes_ = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None, pre_tokenizer=bytes_,
                post_processor=None, decoder={**bytes_, "add_prefix_space": True},
                model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                           end_of_word_suffix=None, fuse_unk=False, byte_fallback=False, ignore_merges=False,
                           vocab=vocabulary, merges=[]))


def header(shapes):
    """The safetensors header and the size of what follows it."""
    entries, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        end = offset + 2 * math.prod(shape)
        entries[name] = dict(dtype="BF16", shape=list(shape), data_offsets=[offset, end])
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, offset


def write(folder, kind_name, seed):
    kind = recipe.KINDS[kind_name]
    d = kind.dimensions
    folder.mkdir(parents=True, exist_ok=True)

    def save(name, value, **options):
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, **options), encoding="utf-8")

    save("config.json", config(d), indent=2)
    save("tokenizer.json", tokenizer(d))
    save("tokenizer_config.json", dict(
        tokenizer_class="LlamaTokenizerFast", add_bos_token=True, add_eos_token=False, bos_token=special_tokens(d)[0],
        eos_token=special_tokens(d)[1], pad_token=special_tokens(d)[2], clean_up_tokenization_spaces=False,
        legacy=True, model_max_length=8192))
    shapes = recipe.shapes(d)
    start, size = header(shapes)
    file_name = "model-00001-of-000001.safetensors" if d is recipe.FULL else "model.safetensors"
    if d is recipe.FULL:
        save("model.safetensors.index.json", dict(
            metadata=dict(total_size=size), weight_map={name: file_name for name in shapes}), indent=2)
    sums = {}
    with open(folder / file_name, "wb") as file:
        file.write(start)
        for name, shape in shapes.items():
            digest, count = hashlib.sha256(), math.prod(shape)
            if kind.walk and name == "lm_head.weight":
                chunks = [recipe.tensor_bits(kind, name, shape, seed)]
            else:
                chunks = (recipe.chunk_bits(kind, name, shape, seed, at, min(CHUNK, count - at))
                          for at in range(0, count, CHUNK))
            for chunk in chunks:
                data = chunk.astype("<u2").tobytes()
                digest.update(data)
                file.write(data)
            sums[name] = digest.hexdigest()
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=recipe.KINDS, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sums", action="store_true", help="print the sha256 of every tensor's bytes")
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    sums = write(options.folder, options.kind, options.seed)
    if options.sums:
        for name, digest in sums.items():
            print(digest, name)


if __name__ == "__main__":
    main()
