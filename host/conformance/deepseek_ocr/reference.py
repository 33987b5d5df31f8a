"""DeepSeek-OCR (v1) in PyTorch from code that is not ours: the reference of every stage.

The SAM tower and the decoder are transformers' DeepSeek-OCR-2 classes with v1's dimensions, the CLIP layers are
transformers' CLIP encoder, tiles are cut by Pillow, text by tokenizers. What stands here is the wiring between them:
how names map, how the position table is resized, how the token grid is laid out.

    python3 reference.py --model FOLDER --image page.png --mode gundam --prompt markdown --out dump.safetensors
    python3 reference.py --synthetic tiny --page 850x1100 --seed 3 --mode base --out dump.safetensors

`--synthetic KIND` makes the weights of `recipe.py` in memory; `--page WxH` and `--picture WxH` make the image.
"""

import argparse
import dataclasses
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import CLIPVisionConfig, DynamicCache
from transformers.generation.logits_process import NoRepeatNGramLogitsProcessor
from transformers.models.clip.modeling_clip import CLIPEncoder
from transformers.models.deepseek_ocr2 import modeling_deepseek_ocr2 as upstream
from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import (
    DeepseekOcr2SamVisionConfig, DeepseekOcr2TextConfig)

import make_checkpoint
import pictures
import preprocess
import recipe

PROMPTS = {
    "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
    "ocr": "<image>\n<|grounding|>OCR this image.",
    "free": "<image>\nFree OCR.",
    "figure": "<image>\nParse the figure.",
    "describe": "<image>\nDescribe this image in detail.",
    "locate": "<image>\nLocate <|ref|>total<|/ref|> in the image.",
}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Folder:
    """A checkpoint on disk."""

    def __init__(self, path, device):
        self.config = json.loads((path / "config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        self.device, self.files = device, {}
        for file in sorted(path.glob("*.safetensors")):
            opened = safe_open(file, "pt", device=str(device))
            self.files.update({name: opened for name in opened.keys()})

    def tensor(self, name):
        return self.files[name].get_tensor(name)


class Synthetic:
    """The same without the disk."""

    def __init__(self, kind_name, seed, device):
        self.kind, self.seed, self.device = recipe.KINDS[kind_name], seed, device
        d = self.kind.dimensions
        self.config = make_checkpoint.config(d)
        self.tokenizer = Tokenizer.from_str(json.dumps(make_checkpoint.tokenizer(d)))
        self.shapes = recipe.shapes(d)

    def tensor(self, name):
        return recipe.torch_tensor(self.kind, name, self.shapes[name], self.seed, self.device)


def resized_bicubic(table, side):
    """An S x S x C table resized to `side`, as upstream does it: in f32, antialiased, then back."""
    if table.shape[0] == side:
        return table
    planes = table.permute(2, 0, 1)[None].float()
    planes = F.interpolate(planes, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return planes[0].permute(1, 2, 0).to(table.dtype)


class Clip(nn.Module):
    """CLIP-L over the features of SAM in place of patches; no norm at the end."""

    def __init__(self, sizes):
        super().__init__()
        width = sizes["width"]
        self.encoder = CLIPEncoder(CLIPVisionConfig(
            hidden_size=width, intermediate_size=4 * width, num_hidden_layers=sizes["layers"],
            num_attention_heads=sizes["heads"], hidden_act="quick_gelu", layer_norm_eps=1e-5,
            attn_implementation="sdpa"))
        self.pre_layrnorm = nn.LayerNorm(width, eps=1e-5)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.position_embedding = nn.Parameter(torch.empty(257, width))

    def forward(self, features):
        count, width, side, _ = features.shape
        tokens = features.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_embedding.expand(count, 1, width), tokens], dim=1)
        grid = resized_bicubic(self.position_embedding[1:].reshape(16, 16, width), side)
        positions = torch.cat([self.position_embedding[:1], grid.reshape(side * side, width)])
        return self.encoder(self.pre_layrnorm(tokens + positions), None).last_hidden_state


# Upstream's part of a name, and transformers'; the neck's stand before the blocks', which are parts of them.
SAM_NAMES = [("neck.0.", "neck.conv1."), ("neck.1.", "neck.layer_norm1."), ("neck.2.", "neck.conv2."),
             ("neck.3.", "neck.layer_norm2."), ("net_2.", "proj.conv1."), ("net_3.", "proj.conv2."),
             ("patch_embed.proj.", "patch_embed.projection."), ("blocks.", "layers."), (".norm1.", ".layer_norm1."),
             (".norm2.", ".layer_norm2.")]


def silent(_name, value):
    return value


@dataclasses.dataclass
class Prompt:
    ids: torch.Tensor  # [T], placeholders included
    is_image: torch.Tensor


class Model:
    def __init__(self, source, dtype, device, experts="eager"):
        self.source, self.dtype, self.device = source, dtype, torch.device(device)
        config, vision = source.config, source.config["vision_config"]["width"]
        sam, text = vision["sam_vit_b"], config["language_config"]
        self.image_token = config.get("image_token_id", 128815)
        with torch.device(self.device):
            self.sam = upstream.DeepseekOcr2SamVisionEncoder._from_config(DeepseekOcr2SamVisionConfig(
                hidden_size=sam["width"], output_channels=sam.get("neck_channels", 256),
                num_hidden_layers=sam["layers"], num_attention_heads=sam["heads"],
                global_attn_indexes=sam["global_attn_indexes"], downsample_channels=sam["downsample_channels"]),
                dtype=dtype, attn_implementation="sdpa").eval()
            self.clip = Clip(vision["clip-l-14-224"]).to(dtype).eval()
            self.decoder = upstream.DeepseekOcr2TextModel._from_config(DeepseekOcr2TextConfig(
                vocab_size=text["vocab_size"], hidden_size=text["hidden_size"],
                intermediate_size=text["intermediate_size"], num_hidden_layers=text["num_hidden_layers"],
                num_attention_heads=text["num_attention_heads"], num_key_value_heads=text["num_key_value_heads"],
                max_position_embeddings=text["max_position_embeddings"],
                moe_intermediate_size=text["moe_intermediate_size"], n_routed_experts=text["n_routed_experts"],
                n_shared_experts=text["n_shared_experts"], num_experts_per_tok=text["num_experts_per_tok"],
                n_group=1, topk_group=1, topk_method="greedy", routed_scaling_factor=1.0, rms_norm_eps=1e-6,
                head_dim=text["hidden_size"] // text["num_attention_heads"], bos_token_id=0, eos_token_id=1,
                rope_parameters=dict(rope_type="default", rope_theta=10000.0),
                mlp_layer_types=["dense"] + ["sparse"] * (text["num_hidden_layers"] - 1)),
                dtype=dtype, attn_implementation="sdpa").eval()
            self.projector = nn.Linear(config["projector_config"]["input_dim"], text["hidden_size"], dtype=dtype)
            self.head = nn.Linear(text["hidden_size"], text["vocab_size"], bias=False, dtype=dtype)
        self.decoder.set_experts_implementation(experts)
        self.load(text)

    @torch.no_grad()
    def load(self, text):
        tensor = self.source.tensor

        def fill(module, name_of, skip=()):
            for name, parameter in module.named_parameters():
                if not any(part in name for part in skip):
                    value = tensor(name_of(name))
                    assert value.shape == parameter.shape, (name, value.shape, parameter.shape)
                    parameter.copy_(value)

        def sam_name(name):
            for theirs, ours in SAM_NAMES:
                name = name.replace(ours, theirs)
            return f"model.sam_model.{name}"

        fill(self.sam, sam_name)
        prefix = "model.vision_model"
        self.clip.class_embedding.copy_(tensor(f"{prefix}.embeddings.class_embedding"))
        self.clip.position_embedding.copy_(tensor(f"{prefix}.embeddings.position_embedding.weight"))
        fill(self.clip.pre_layrnorm, lambda name: f"{prefix}.pre_layrnorm.{name}")
        fill(self.clip.encoder, lambda name: f"{prefix}.transformer.{name}", skip=("self_attn.",))
        for n, layer in enumerate(self.clip.encoder.layers):
            attention = f"{prefix}.transformer.layers.{n}.self_attn"
            fill(layer.self_attn.out_proj, lambda name: f"{attention}.out_proj.{name}")
            for part in ("weight", "bias"):
                thirds = tensor(f"{attention}.qkv_proj.{part}").chunk(3)
                for module, third in zip((layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj), thirds):
                    getattr(module, part).copy_(third)
        fill(self.projector, lambda name: f"model.projector.layers.{name}")
        self.newline = tensor("model.image_newline").to(self.device, self.dtype)
        self.separator = tensor("model.view_seperator").to(self.device, self.dtype)
        fill(self.head, lambda name: f"lm_head.{name}")
        fill(self.decoder, lambda name: f"model.{name}", skip=("mlp.experts.",))
        for n, layer in enumerate(self.decoder.layers[1:], 1):
            experts = layer.mlp.experts
            for e in range(text["n_routed_experts"]):
                name, inner = f"model.layers.{n}.mlp.experts.{e}", text["moe_intermediate_size"]
                experts.gate_up_proj[e, :inner].copy_(tensor(f"{name}.gate_proj.weight"))
                experts.gate_up_proj[e, inner:].copy_(tensor(f"{name}.up_proj.weight"))
                experts.down_proj[e].copy_(tensor(f"{name}.down_proj.weight"))

    # The image.

    def pixels(self, views):
        return torch.from_numpy(np.stack([preprocess.pixels(view) for view in views])).to(self.device, self.dtype)

    def encode(self, pixels, note, part):
        """Views [N, 3, S, S] to projected tokens [N, g, g, D]."""
        features = note(f"sam.{part}", self.sam(pixels).last_hidden_state)
        deeper = note(f"clip.{part}", self.clip(features)[:, 1:])
        both = torch.cat([deeper, features.flatten(2).transpose(1, 2)], dim=-1)
        projected = note(f"projected.{part}", self.projector(both))
        side = features.shape[-1]
        return projected.reshape(len(pixels), side, side, -1)

    def rows(self, raster):
        """A raster [H, W, D] as tokens, a newline after every row."""
        ends = self.newline.expand(raster.shape[0], 1, -1)
        return torch.cat([raster, ends], dim=1).flatten(0, 1)

    def image_embeds(self, whole, cut, grid, note):
        parts = []
        if len(cut):
            (columns, rows), local = grid, self.encode(cut, note, "tiles")
            side = local.shape[1]
            local = local.reshape(rows, columns, side, side, -1).permute(0, 2, 1, 3, 4)
            parts.append(self.rows(local.reshape(rows * side, columns * side, -1)))
        parts.append(self.rows(self.encode(whole, note, "global")[0]))
        return note("image_embeds", torch.cat([*parts, self.separator[None]]))

    # The text.

    def prompt(self, text, image_tokens):
        before, after = text.strip().split("<image>")
        encode = lambda part: self.source.tokenizer.encode(part, add_special_tokens=False).ids
        ids = torch.tensor([0, *encode(before), *[self.image_token] * image_tokens, *encode(after)], device=self.device)
        return Prompt(ids, ids == self.image_token)

    @torch.no_grad()
    def prefill(self, image, mode, prompt, most=9, note=silent):
        """Everything up to the logits of the first new token; returns them with the cache and the prompt."""
        whole, cut, grid = preprocess.views(image, mode, most)
        whole, cut = self.pixels([whole]), self.pixels(cut) if cut else []
        note("pixels.global", whole)
        if len(cut):
            note("pixels.tiles", cut)
        embeds = self.image_embeds(whole, cut, grid, note)
        assert len(embeds) == preprocess.image_tokens(mode, grid), (len(embeds), mode, grid)
        prompt = self.prompt(prompt, len(embeds))
        note("prompt_ids", prompt.ids)
        inputs = self.decoder.embed_tokens(prompt.ids)
        inputs = note("inputs_embeds", inputs.masked_scatter(prompt.is_image[:, None], embeds))
        cache = DynamicCache(config=self.decoder.config)
        logits = self.step(inputs, cache, note)
        return logits, cache, prompt

    def step(self, inputs, cache, note=silent):
        def noting(n):
            def hook(_module, _inputs, output):
                note(f"layer.{n}", output[0])

            return hook

        noted = [] if note is silent else enumerate(self.decoder.layers)
        hooks = [layer.register_forward_hook(noting(n)) for n, layer in noted]
        hidden = self.decoder(inputs_embeds=inputs[None], past_key_values=cache, use_cache=True).last_hidden_state[0]
        for hook in hooks:
            hook.remove()
        note("norm", hidden)
        return note("logits", self.head(hidden[-1]).float())

    @torch.no_grad()
    def generate(self, logits, cache, prompt_ids, count, guard=None, stop=(1,)):
        """Greedy tokens, and for each step the eight best ids and logits before the guard."""
        tokens, top = [], []
        while True:
            top.append(torch.topk(logits, 8))
            scores = guard(prompt_ids, tokens, logits) if guard else logits
            tokens.append(int(scores.argmax()))
            if len(tokens) == count or tokens[-1] in stop:
                break
            logits = self.step(self.decoder.embed_tokens(torch.tensor(tokens[-1:], device=self.device)), cache)
        return (torch.tensor(tokens), torch.stack([step.indices for step in top]).cpu(),
                torch.stack([step.values for step in top]).cpu())


def whole_sequence_guard(size):
    """transformers' own rule, over prompt and output, as upstream's `infer` uses it."""
    processor = NoRepeatNGramLogitsProcessor(size)

    def guard(prompt_ids, tokens, logits):
        ids = torch.cat([prompt_ids.cpu(), torch.tensor(tokens, dtype=torch.long)])[None]
        return processor(ids.to(logits.device), logits[None].clone())[0]

    return guard


def window_guard(size, window, whitelist):
    """vLLM's rule: n-grams that start within the last `window` output tokens, save for allowed ids."""

    def guard(_prompt_ids, tokens, logits):
        if len(tokens) < size:
            return logits
        tail, banned = tokens[len(tokens) - size + 1:], set()
        for start in range(max(0, len(tokens) - window), len(tokens) - size + 1):
            if tokens[start:start + size - 1] == tail:
                banned.add(tokens[start + size - 1])
        logits = logits.clone()
        logits[sorted(banned - set(whitelist))] = -math.inf
        return logits

    return guard


def copied(cache):
    """A cache of its own with the same content: every decoding starts from the same prefill."""
    import copy

    return copy.deepcopy(cache)


class Notes(dict):
    """Collects stages: values in f32, ids in i64."""

    def note(self, name, value):
        kept = value.detach()
        self[name] = (kept.float() if kept.is_floating_point() else kept.long()).cpu().contiguous().clone()
        return value


def run(model, image, mode, prompt, most, count, guards):
    """All stages of one input by name, with the tokens without a guard and under each of `guards`."""
    notes = Notes()
    note = notes.note
    logits, cache, prompt = model.prefill(image, mode, prompt, most, note)
    if count:
        tokens, ids, values = model.generate(logits, copied(cache), prompt.ids, count)
        notes.update({"tokens": tokens, "top.ids": ids, "top.values": values})
        for name, guard in guards.items():
            notes[f"tokens.{name}"] = model.generate(logits, copied(cache), prompt.ids, count, guard)[0]
    return notes


def exact_arithmetic():
    """No TF32 where f32 is asked for."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def sides(text):
    return tuple(int(part) for part in text.split("x"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--synthetic", choices=recipe.KINDS)
    parser.add_argument("--weights-seed", type=int, default=1)
    parser.add_argument("--image")
    parser.add_argument("--page", type=sides, metavar="WxH")
    parser.add_argument("--picture", type=sides, metavar="WxH")
    parser.add_argument("--seed", type=int, default=1, help="of the image")
    parser.add_argument("--mode", choices=preprocess.MODES, default="gundam")
    parser.add_argument("--max-crops", type=int, default=9)
    parser.add_argument("--prompt", default="markdown", help=f"a task ({', '.join(PROMPTS)}) or a text with <image>")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--ngram-size", type=int, default=20)
    parser.add_argument("--ngram-window", type=int, default=90)
    parser.add_argument("--ngram-allow", type=int, nargs="*", default=[128821, 128822])
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--experts", default="eager", choices=["eager", "grouped_mm", "batched_mm"])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    exact_arithmetic()
    if options.model:
        source = Folder(options.model, options.device)
    else:
        source = Synthetic(options.synthetic, options.weights_seed, options.device)
    if options.image:
        from PIL import Image

        image = pictures.opened(Image.open(options.image))
    elif options.page:
        image = pictures.page(*options.page, options.seed)
    else:
        image = pictures.picture("RGB", *options.picture, options.seed)
    model = Model(source, DTYPES[options.dtype], options.device, options.experts)
    notes = run(model, image, options.mode, PROMPTS.get(options.prompt, options.prompt), options.max_crops,
                options.tokens, {
                    "ngram_all": whole_sequence_guard(options.ngram_size),
                    "ngram_window": window_guard(options.ngram_size, options.ngram_window, options.ngram_allow)})
    save_file(notes, options.out, metadata={"dtype": options.dtype, "mode": options.mode, "torch": torch.__version__})
    for name, value in notes.items():
        print(f"{name:18s} {str(list(value.shape)):22s}",
              f"rms {value.float().pow(2).mean().sqrt():.4f}" if value.is_floating_point() else value[:12].tolist())


if __name__ == "__main__":
    main()
