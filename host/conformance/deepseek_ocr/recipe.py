"""What the synthetic DeepSeek-OCR checkpoints hold: dimensions, tensor names and shapes, and the formula of every value.

A value depends on nothing but the tensor's name, the seed and the element's index, so that a test in another language
makes the same bytes without reading this file's output. README.md states the formula; this is its plain form, once for
numpy and once for torch (for a GPU, where 3.3 billion values take a second).
"""

import dataclasses
import math

import numpy as np

MULTIPLIER, INCREMENT = 34341, 12347  # the walk: token t is followed by (34341 t + 12347) mod V, of full period

GOLDEN = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
WORD = (1 << 64) - 1

# The ids that OCR adds to the vocabulary, in the order in which they follow `<image>`.
OCR_TOKENS = ["<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<td>", "</td>", "<tr>",
              "</tr>", "<|User|>", "<|Assistant|>"]


@dataclasses.dataclass(frozen=True)
class Dimensions:
    vocabulary: int
    image_token: int
    hidden: int
    layers: int
    heads: int
    dense: int
    experts: int
    expert: int
    shared: int
    experts_per_token: int
    sam_width: int
    sam_layers: int
    sam_heads: int
    sam_global: tuple
    sam_neck: int
    sam_down: tuple
    clip_width: int
    clip_layers: int
    clip_heads: int

    @property
    def head(self):
        return self.hidden // self.heads

    @property
    def sam_head(self):
        return self.sam_width // self.sam_heads


FULL = Dimensions(
    vocabulary=129280, image_token=128815, hidden=1280, layers=12, heads=10, dense=6848, experts=64, expert=896,
    shared=2, experts_per_token=6, sam_width=768, sam_layers=12, sam_heads=12, sam_global=(2, 5, 8, 11), sam_neck=256,
    sam_down=(512, 1024), clip_width=1024, clip_layers=24, clip_heads=16)
TINY = Dimensions(
    vocabulary=512, image_token=400, hidden=80, layers=4, heads=5, dense=112, experts=8, expert=48, shared=2,
    experts_per_token=3, sam_width=48, sam_layers=4, sam_heads=3, sam_global=(1, 3), sam_neck=24, sam_down=(40, 64),
    clip_width=64, clip_layers=3, clip_heads=4)


def shapes(d):
    """Every tensor of the checkpoint with its shape, in the order of a safetensors file: sorted by name."""
    found = {"model.embed_tokens.weight": (d.vocabulary, d.hidden), "model.norm.weight": (d.hidden,),
             "lm_head.weight": (d.vocabulary, d.hidden), "model.image_newline": (d.hidden,),
             "model.view_seperator": (d.hidden,),
             "model.projector.layers.weight": (d.hidden, d.sam_down[1] + d.clip_width),
             "model.projector.layers.bias": (d.hidden,)}

    def swiglu(prefix, inner):
        found[f"{prefix}.gate_proj.weight"] = found[f"{prefix}.up_proj.weight"] = (inner, d.hidden)
        found[f"{prefix}.down_proj.weight"] = (d.hidden, inner)

    for n in range(d.layers):
        layer = f"model.layers.{n}"
        found[f"{layer}.input_layernorm.weight"] = found[f"{layer}.post_attention_layernorm.weight"] = (d.hidden,)
        for part in "qkvo":
            found[f"{layer}.self_attn.{part}_proj.weight"] = (d.hidden, d.hidden)
        if n == 0:
            swiglu(f"{layer}.mlp", d.dense)
            continue
        found[f"{layer}.mlp.gate.weight"] = (d.experts, d.hidden)
        swiglu(f"{layer}.mlp.shared_experts", d.shared * d.expert)
        for e in range(d.experts):
            swiglu(f"{layer}.mlp.experts.{e}", d.expert)

    def affine(name, *shape):
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]

    sam, w = "model.sam_model", d.sam_width
    affine(f"{sam}.patch_embed.proj", w, 3, 16, 16)
    found[f"{sam}.pos_embed"] = (1, 64, 64, w)
    for n in range(d.sam_layers):
        block, table = f"{sam}.blocks.{n}", 127 if n in d.sam_global else 27
        affine(f"{block}.norm1", w)
        affine(f"{block}.norm2", w)
        affine(f"{block}.attn.qkv", 3 * w, w)
        affine(f"{block}.attn.proj", w, w)
        affine(f"{block}.mlp.lin1", 4 * w, w)
        affine(f"{block}.mlp.lin2", w, 4 * w)
        found[f"{block}.attn.rel_pos_h"] = found[f"{block}.attn.rel_pos_w"] = (table, d.sam_head)
    found[f"{sam}.neck.0.weight"] = (d.sam_neck, w, 1, 1)
    affine(f"{sam}.neck.1", d.sam_neck)
    found[f"{sam}.neck.2.weight"] = (d.sam_neck, d.sam_neck, 3, 3)
    affine(f"{sam}.neck.3", d.sam_neck)
    found[f"{sam}.net_2.weight"] = (d.sam_down[0], d.sam_neck, 3, 3)
    found[f"{sam}.net_3.weight"] = (d.sam_down[1], d.sam_down[0], 3, 3)

    clip, w = "model.vision_model", d.clip_width
    found[f"{clip}.embeddings.class_embedding"] = (w,)
    found[f"{clip}.embeddings.patch_embedding.weight"] = (w, 3, 14, 14)
    found[f"{clip}.embeddings.position_embedding.weight"] = (257, w)
    affine(f"{clip}.pre_layrnorm", w)
    for n in range(d.clip_layers):
        layer = f"{clip}.transformer.layers.{n}"
        affine(f"{layer}.layer_norm1", w)
        affine(f"{layer}.layer_norm2", w)
        affine(f"{layer}.self_attn.qkv_proj", 3 * w, w)
        affine(f"{layer}.self_attn.out_proj", w, w)
        affine(f"{layer}.mlp.fc1", 4 * w, w)
        affine(f"{layer}.mlp.fc2", w, 4 * w)
    return dict(sorted(found.items()))


NORMS = ("norm1.weight", "norm2.weight", "pre_layrnorm.weight", "neck.1.weight", "neck.3.weight", "layernorm.weight",
         "model.norm.weight")

# First match wins: what the name contains (of a norm: how it ends), the centre, and the spread, for tiny and for full:
# ("std", s), or ("gain", g) for g / sqrt(fan_in). With full's twelve layers, tiny's gains would let bf16's rounding
# grow to a tenth of the last hidden states: experts swap places and sharp attention jumps.
STRONG = [
    (NORMS, 1.0, ("std", 0.2), ("std", 0.4)),
    ((".bias",), 0.0, ("std", 0.1), ("std", 0.1)),
    (("sam_model.patch_embed.",), 0.0, ("gain", 1.5), ("gain", 1.5)),
    (("sam_model.pos_embed",), 0.0, ("std", 0.5), ("std", 1.0)),
    (("rel_pos_",), 0.0, ("std", 0.08), ("std", 0.12)),
    ((".attn.qkv.",), 0.0, ("gain", 1.4), ("gain", 1.4)),
    ((".attn.proj.", ".mlp.lin2."), 0.0, ("gain", 1.0), ("gain", 0.6)),
    ((".mlp.lin1.",), 0.0, ("gain", 1.5), ("gain", 1.5)),
    ((".net_3.",), 0.0, ("gain", 2.0), ("gain", 2.0)),
    ((".class_embedding", ".patch_embedding."), 0.0, ("std", 1.0), ("std", 1.0)),
    ((".position_embedding.",), 0.0, ("std", 0.5), ("std", 1.0)),
    ((".self_attn.qkv_proj.",), 0.0, ("gain", 1.4), ("gain", 1.4)),
    ((".mlp.fc1.",), 0.0, ("gain", 1.5), ("gain", 1.5)),
    ((".self_attn.out_proj.", ".mlp.fc2."), 0.0, ("gain", 0.5), ("gain", 0.5)),
    (("model.projector.",), 0.0, ("gain", 0.5), ("gain", 0.5)),
    (("model.image_newline", "model.view_seperator", "model.embed_tokens."), 0.0, ("std", 1.0), ("std", 1.0)),
    ((".q_proj.", ".k_proj."), 0.0, ("gain", 1.5), ("gain", 1.0)),
    ((".o_proj.",), 0.0, ("gain", 1.0), ("gain", 0.6)),
    ((".mlp.gate.",), 0.0, ("gain", 2.5), ("gain", 3.5)),
    ((".gate_proj.",), 0.0, ("gain", 1.5), ("gain", 1.5)),
    ((".mlp.experts.",), 0.0, ("gain", 1.5), ("gain", 0.8)),
    ((".shared_experts.down_proj.",), 0.0, ("gain", 1.0), ("gain", 0.3)),
    ((".mlp.down_proj.",), 0.0, ("gain", 1.0), ("gain", 0.4)),
    (("lm_head.",), 0.0, ("gain", 3.0), ("gain", 3.0)),
    (("",), 0.0, ("gain", 1.0), ("gain", 1.0)),
]
WALK = [
    (NORMS, 1.0, ("std", 0.0)),
    ((".bias",), 0.0, ("std", 0.0)),
    (("model.embed_tokens.",), 0.0, ("std", 1.0)),
    (("",), 0.0, ("std", 0.02)),
]


@dataclasses.dataclass(frozen=True)
class Kind:
    dimensions: Dimensions
    rules: list
    walk: bool = False


KINDS = {"tiny": Kind(TINY, [(parts, centre, tiny) for parts, centre, tiny, _ in STRONG]),
         "full": Kind(FULL, [(parts, centre, full) for parts, centre, _, full in STRONG]), "walk": Kind(FULL, WALK, True),
         "tiny-walk": Kind(TINY, WALK, True)}


def scale(kind, name, shape):
    """Centre and amplitude of a tensor's values, both exact in f32."""
    for parts, centre, (rule, spread) in kind.rules:
        if any(name.endswith(part) if part in NORMS else part in name for part in parts):
            over = math.sqrt(3.0 / math.prod(shape[1:])) if rule == "gain" else math.sqrt(3.0)
            return np.float32(centre), np.float32(spread * over)
    raise AssertionError(f"no rule for {name}")


def mix64(z):
    z = (z ^ (z >> 30)) * FIRST & WORD
    z = (z ^ (z >> 27)) * SECOND & WORD
    return z ^ (z >> 31)


def key(name, seed):
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 & WORD
    return mix64(state ^ mix64(seed & WORD))


def words(key_, start, count):
    """`count` 64-bit words of a stream from index `start` on."""
    with np.errstate(over="ignore"):
        z = np.arange(start + 1, start + count + 1, dtype=np.uint64) * np.uint64(GOLDEN) + np.uint64(key_)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
        return z ^ (z >> np.uint64(31))


def bf16_bits(values):
    """f32 to the bits of the nearest bf16, ties to even; the values are finite."""
    bits = values.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def chunk_bits(kind, name, shape, seed, start, count):
    """Elements [start, start + count) of a tensor as bf16 bits; the head of a walk is not made here."""
    centre, amplitude = scale(kind, name, shape)
    unit = ((words(key(name, seed), start, count) >> np.uint64(40)).astype(np.int32) - (1 << 23)).astype(np.float32)
    return bf16_bits(centre + amplitude * (unit / np.float32(1 << 23)))


def walk_source(vocabulary):
    """For each row of a walk's head, the row of the embedding that it repeats."""
    rows = np.arange(vocabulary, dtype=np.int64)
    source = np.empty_like(rows)
    source[(MULTIPLIER * rows + INCREMENT) % vocabulary] = rows
    return source


def tensor_bits(kind, name, shape, seed):
    """A whole tensor as bf16 bits."""
    if kind.walk and name == "lm_head.weight":
        return tensor_bits(kind, "model.embed_tokens.weight", shape, seed)[walk_source(shape[0])]
    return chunk_bits(kind, name, shape, seed, 0, math.prod(shape)).reshape(shape)


def signed(word):
    return word - (1 << 64) if word >> 63 else word


def torch_tensor(kind, name, shape, seed, device, chunk=1 << 26):
    """The same tensor made by torch on `device`, bf16."""
    import torch

    if kind.walk and name == "lm_head.weight":
        embedding = torch_tensor(kind, "model.embed_tokens.weight", shape, seed, device, chunk)
        return embedding[torch.from_numpy(walk_source(shape[0])).to(device)]
    centre, amplitude = (float(value) for value in scale(kind, name, shape))
    start_key, count = key(name, seed), math.prod(shape)
    out = torch.empty(count, dtype=torch.bfloat16, device=device)

    def shifted(z, bits):  # a logical shift of a signed word
        return (z >> bits) & ((1 << (64 - bits)) - 1)

    for start in range(0, count, chunk):
        end = min(start + chunk, count)
        z = torch.arange(start + 1, end + 1, dtype=torch.int64, device=device) * signed(GOLDEN) + signed(start_key)
        z = (z ^ shifted(z, 30)) * signed(FIRST)
        z = (z ^ shifted(z, 27)) * signed(SECOND)
        z = shifted(z ^ shifted(z, 31), 40)
        unit = (z - (1 << 23)).to(torch.float32) / (1 << 23)
        scaled = unit * amplitude  # a product and a sum of their own: nothing may fuse them
        out[start:end] = (scaled + centre).to(torch.bfloat16)
    return out.reshape(shape)
