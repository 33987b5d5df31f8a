"""Does every stage matter? Puts each out of action in turn and prints how far the first token's logits move.

The change is relative to the logits' own length and, beside it, to the error that bf16 makes in PyTorch: a stage
whose change were near 1x could be wrong without the comparison noticing.

    python3 zero_stages.py --synthetic tiny
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import statistics

import torch

import pictures
import recipe
from reference import DTYPES, PROMPTS, Model, Synthetic, exact_arithmetic


@dataclasses.dataclass(frozen=True)
class Input:
    name: str
    mode: str
    task: str
    width: int
    height: int
    seed: int
    most: int = 9

    @functools.lru_cache
    def image(self):
        return pictures.page(self.width, self.height, self.seed)


INPUTS = [Input("base", "base", "markdown", 850, 1100, 1), Input("gundam", "gundam", "ocr", 900, 1600, 2)]


@contextlib.contextmanager
def output(module, change):
    handle = module.register_forward_hook(lambda _module, _inputs, result: change(result))
    yield
    handle.remove()


@contextlib.contextmanager
def every(*contexts):
    with contextlib.ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


@contextlib.contextmanager
def parameter(tensor, value):
    kept = tensor.detach().clone()
    with torch.no_grad():
        tensor.fill_(value)
    yield
    with torch.no_grad():
        tensor.copy_(kept)


def zero(result):
    if isinstance(result, tuple):
        return (torch.zeros_like(result[0]), *result[1:])
    return torch.zeros_like(result)


def zeroed_sam(result):
    result.last_hidden_state = torch.zeros_like(result.last_hidden_state)
    return result


def stages(model):
    """Name and a context in which that stage does nothing."""
    sam, clip, layers = model.sam, model.clip, model.decoder.layers
    sparse = layers[1:]
    plain = lambda modules: every(*(parameter(module.weight, 1.0) for module in modules))
    yield "SAM", lambda: output(sam, zeroed_sam)
    yield "SAM position table", lambda: parameter(sam.pos_embed, 0.0)
    yield "SAM attention", lambda: every(*(output(layer.attn, zero) for layer in sam.layers))
    yield "SAM window attention", lambda: every(*(output(x.attn, zero) for x in sam.layers if x.window_size))
    yield "SAM global attention", lambda: every(*(output(x.attn, zero) for x in sam.layers if not x.window_size))
    yield "SAM relative positions", lambda: every(*(parameter(table, 0.0) for layer in sam.layers
                                                    for table in (layer.attn.rel_pos_h, layer.attn.rel_pos_w)))
    yield "SAM MLP", lambda: every(*(output(layer.mlp, zero) for layer in sam.layers))
    yield "SAM neck norms set to 1", lambda: plain((sam.neck.layer_norm1, sam.neck.layer_norm2))
    yield "CLIP", lambda: output(clip, zero)
    yield "CLIP class token", lambda: parameter(clip.class_embedding, 0.0)
    yield "CLIP position table", lambda: parameter(clip.position_embedding, 0.0)
    yield "CLIP attention", lambda: every(*(output(x.self_attn, zero) for x in clip.encoder.layers))
    yield "CLIP MLP", lambda: every(*(output(x.mlp, zero) for x in clip.encoder.layers))
    yield "projector", lambda: output(model.projector, zero)
    yield "row ends", lambda: parameter(model.newline, 0.0)
    yield "view separator", lambda: parameter(model.separator, 0.0)
    yield "token embedding", lambda: output(model.decoder.embed_tokens, zero)
    yield "attention", lambda: every(*(output(layer.self_attn, zero) for layer in layers))
    yield "dense MLP", lambda: output(layers[0].mlp, zero)
    yield "shared experts", lambda: every(*(output(layer.mlp.shared_experts, zero) for layer in sparse))
    yield "routed experts", lambda: every(*(output(layer.mlp.experts, zero) for layer in sparse))
    yield "router (uniform)", lambda: every(*(parameter(layer.mlp.gate.weight, 0.0) for layer in sparse))
    yield "decoder norms set to 1", lambda: plain([norm for layer in layers for norm in (
        layer.input_layernorm, layer.post_attention_layernorm)])
    yield "last norm set to 1", lambda: plain([model.decoder.norm])
    yield "lm_head", lambda: output(model.head, zero)
    for n, layer in enumerate(layers):
        yield f"attention of layer {n}", lambda layer=layer: output(layer.self_attn, zero)
        yield f"MLP of layer {n}", lambda layer=layer: output(layer.mlp, zero)
        if n:
            yield f"routed experts of layer {n}", lambda layer=layer: output(layer.mlp.experts, zero)


def apart(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def logits_of(model, inputs):
    return [model.prefill(x.image(), x.mode, PROMPTS[x.task], x.most)[0].cpu() for x in inputs]


def table(model, inputs, bf16_logits):
    """Rows of (stage, mean change, least change over the inputs), and the mean error of bf16."""
    exact = logits_of(model, inputs)
    noise = statistics.mean(apart(a, b) for a, b in zip(bf16_logits, exact))
    rows = []
    for name, without in stages(model):
        with without():
            changes = [apart(a, b) for a, b in zip(logits_of(model, inputs), exact)]
        rows.append(dict(stage=name, mean=statistics.mean(changes), least=min(changes), over_bf16=min(changes) / noise))
    assert all(torch.equal(a, b) for a, b in zip(logits_of(model, inputs), exact)), "a stage was not put back"
    return rows, noise


def router_margins(model, inputs):
    """Medians over tokens and layers: weight of the last expert taken, of the first not taken, sum of those taken."""
    last, first, total = [], [], []

    def look(_module, _inputs, result):
        scores = result[0].float().softmax(-1).sort(dim=-1, descending=True).values
        taken = result[1].shape[-1]
        last.append(scores[:, taken - 1])
        first.append(scores[:, taken])
        total.append(scores[:, :taken].sum(-1))

    hooks = [layer.mlp.gate.register_forward_hook(look) for layer in model.decoder.layers[1:]]
    logits_of(model, inputs)
    for hook in hooks:
        hook.remove()
    median = lambda parts: float(torch.cat(parts).median())
    return dict(last_taken=median(last), first_left=median(first), sum_taken=median(total))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", choices=recipe.KINDS, default="tiny")
    parser.add_argument("--weights-seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    exact_arithmetic()
    source = Synthetic(options.synthetic, options.weights_seed, options.device)
    bf16 = logits_of(Model(source, DTYPES["bf16"], options.device), INPUTS)
    model = Model(source, DTYPES["f32"], options.device)
    rows, noise = table(model, INPUTS, bf16)
    if options.json:
        print(json.dumps(dict(bf16_error=noise, router=router_margins(model, INPUTS), stages=rows), indent=1))
        return
    print(f"bf16's own error of the logits: {noise:.2e}; router {router_margins(model, INPUTS)}")
    for row in rows:
        print(f"{row['stage']:28s} mean {row['mean']:.3f}  least {row['least']:.3f}  {row['over_bf16']:8.1f}x")


if __name__ == "__main__":
    main()
