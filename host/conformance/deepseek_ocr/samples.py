"""Stage dumps: whole, or thinned to every k-th element so that they can be committed.

A thinned stage is a flat f32 tensor; the file's metadata says under the stage's name, as JSON, the `shape` it had, the
`stride` k between the elements kept (0, k, 2k, ... in row-major order) and the `norm` of the whole.
"""

import json

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def stride_for(count, limit):
    """The least prime that keeps at most `limit` elements; a prime walks over all columns of a matrix."""
    stride = -(-count // limit)
    while stride > 1 and any(stride % n == 0 for n in range(2, int(stride ** 0.5) + 1)):
        stride += 1
    return max(stride, 1)


def thinned(value, stride):
    return value.flatten()[::stride].contiguous()


def save(notes, path, limit=None, **metadata):
    texts, kept = {name: json.dumps(value) for name, value in metadata.items()}, {}
    for name, value in notes.items():
        if limit and value.is_floating_point() and value.numel() > limit:
            stride = stride_for(value.numel(), limit)
            texts[name] = json.dumps(dict(shape=list(value.shape), stride=stride, norm=float(value.double().norm())))
            value = thinned(value, stride)
        kept[name] = value.contiguous()
    save_file(kept, path, metadata=texts)


def opened(path):
    """Everything in a dump by name, and its metadata as it stands."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}


def add(path, notes):
    """Puts more tensors into a dump."""
    stages, texts = opened(path)
    save_file({**stages, **notes}, path, metadata=texts)


def load(path):
    """Stages by name, and the metadata of the thinned ones; PyTorch's own bf16 errors under `bf16_errors`, if there."""
    stages, texts = opened(path)
    return stages, {name: json.loads(texts[name]) for name in [*stages, "bf16_errors"] if name in texts}


def aligned(a, a_thin, b, b_thin):
    """Two dumps of a stage with the same elements kept, whichever of them is thinned."""
    if a_thin and b_thin:
        assert a_thin["stride"] == b_thin["stride"], "thinned differently"
    elif a_thin:
        b = thinned(b, a_thin["stride"])
    elif b_thin:
        a = thinned(a, b_thin["stride"])
    a, b = a.flatten().double(), b.flatten().double()
    assert a.shape == b.shape, f"{a.numel()} elements against {b.numel()}"
    return torch.nan_to_num(a, nan=float("inf")), b
