"""Writes what the tests without Python compare with: stages of the tiny checkpoint, resized tables, n-gram bans.

    python3 make_fixtures.py ../../models/deepseek_ocr/tests/data
"""

import argparse
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

import pictures
import recipe
import samples
from reference import (DTYPES, PROMPTS, Model, Synthetic, exact_arithmetic, resized_bicubic, run, whole_sequence_guard,
                       window_guard)

SEED = 1
LIMIT = 2048  # samples of a stage that are kept
TOKENS = 64
GUARD = dict(size=2, window=40, allow=[406, 407])  # small, so that it bans within 64 tokens
CASES = {
    "base": dict(page=[700, 990], page_seed=5, mode="base", task="markdown", max_crops=9),
    "gundam": dict(page=[1100, 700], page_seed=3, mode="gundam", task="ocr", max_crops=9),
    "tiny": dict(page=[613, 401], page_seed=4, mode="tiny", task="locate", max_crops=9),
}


def stages(folder):
    model = Model(Synthetic("tiny", SEED, "cpu"), DTYPES["f32"], "cpu")
    guards = {"ngram_all": whole_sequence_guard(GUARD["size"]),
              "ngram_window": window_guard(GUARD["size"], GUARD["window"], GUARD["allow"])}
    for name, case in CASES.items():
        image = pictures.page(*case["page"], case["page_seed"])
        prompt = PROMPTS[case["task"]]
        notes = run(model, image, case["mode"], prompt, case["max_crops"], TOKENS, guards)
        margin = float((notes["top.values"][:, 0] - notes["top.values"][:, 1]).min())
        assert margin > 1e-3, f"{name}: a tie of {margin} would hang on rounding"
        samples.save(notes, folder / f"tiny-{name}.safetensors", LIMIT, dtype="f32", torch=torch.__version__,
                     input={**case, "prompt": prompt, "weights": "tiny", "weights_seed": SEED, "tokens": TOKENS,
                            "guard": GUARD})
        print(name, len(notes["prompt_ids"]), "prompt ids, least margin", round(margin, 4), {
            stage: len(value) for stage, value in notes.items() if stage.startswith("tokens")})


def tables(folder):
    """The position tables of the tiny checkpoint for every grid, and one table of relative positions."""
    kind, shapes = recipe.KINDS["tiny"], recipe.shapes(recipe.TINY)
    tensor = lambda name: recipe.torch_tensor(kind, name, shapes[name], SEED, "cpu").float()
    sam, clip = tensor("model.sam_model.pos_embed")[0], tensor("model.vision_model.embeddings.position_embedding.weight")
    relative = tensor("model.sam_model.blocks.1.attn.rel_pos_h")
    notes = {}
    for side in (32, 40, 80):
        notes[f"sam.{side}"] = resized_bicubic(sam, side)
        notes[f"relative.{side}"] = F.interpolate(relative.T[None], size=2 * side - 1, mode="linear")[0].T
    for side in (8, 10, 20):
        notes[f"clip.{side}"] = resized_bicubic(clip[1:].reshape(16, 16, -1), side)
    samples.save({name: value.contiguous() for name, value in notes.items()}, folder / "tables.safetensors", LIMIT)


def bans(folder):
    """Sequences over few ids, and what the two rules ban after them. (For single ids vLLM's rule bans nothing.)"""
    generator, cases = np.random.default_rng(7), []
    for number in range(60):
        ids = int(generator.integers(2, 7))
        prompt = generator.integers(0, ids, int(generator.integers(0, 9))).tolist()
        output = generator.integers(0, ids, int(generator.integers(0, 40))).tolist()
        size, window = int(generator.integers(2, 6)), int(generator.choice([3, 5, 10, 20, 90]))
        allow = sorted(set(generator.integers(0, ids, int(generator.integers(0, 3))).tolist()))
        logits = torch.zeros(ids)
        banned = lambda guard: [n for n, x in enumerate(guard(torch.tensor(prompt, dtype=torch.long), output, logits))
                                if x == -math.inf]
        cases.append(dict(prompt=prompt, output=output, size=size, window=window, allow=allow,
                          banned_all=banned(whole_sequence_guard(size)),
                          banned_window=banned(window_guard(size, window, allow))))
    (folder / "ngram.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    exact_arithmetic()
    stages(folder)
    tables(folder)
    bans(folder)


if __name__ == "__main__":
    main()
