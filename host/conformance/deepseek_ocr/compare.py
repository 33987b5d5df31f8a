"""Compares a dump of our model with PyTorch's, stage by stage, and stops where drift begins.

    python3 compare.py ACTUAL.safetensors REFERENCE_F32.safetensors [REFERENCE_BF16.safetensors]

Each stage's relative L2 error against the f32 reference may be at most 1.25 times that of PyTorch's own bf16 run, or
1e-4 where no bf16 reference is given. Thinned dumps (samples.py) and whole ones mix. Exit code 1 when a stage drifts
or tokens part that should not.
"""

import argparse
import sys

import samples

MOST_RATIO, MOST_ERROR = 1.25, 1e-4
FLOOR = 1e-6  # below this an error is rounding of f32 and its ratio says nothing


def order(name):
    """Stages in the order in which the model makes them."""
    first = ["pixels.global", "pixels.tiles", "sam.global", "sam.tiles", "clip.global", "clip.tiles",
             "projected.global", "projected.tiles", "image_embeds", "inputs_embeds"]
    if name in first:
        return first.index(name)
    if name.startswith("layer."):
        return 100 + int(name.split(".")[1])
    return {"norm": 10_000, "logits": 10_001}.get(name)


def error(a, b, name):
    a, b = samples.aligned(a[0][name], a[1].get(name), b[0][name], b[1].get(name))
    return float((a - b).norm() / b.norm())


def compare_stages(actual, f32, bf16, keep_going):
    """True if no stage drifts. The first that does ends the comparison: what follows only inherits it."""
    sound = True
    for name in sorted((name for name in f32[0] if order(name) is not None), key=order):
        if name not in actual[0]:
            print(f"{name:18s} missing")
            return False
        ours = error(actual, f32, name)
        if bf16:
            theirs = error(bf16, f32, name)
            good = ours <= max(MOST_RATIO * theirs, FLOOR)
            said = f"{ours:.3e}   PyTorch bf16 {theirs:.3e}   ratio {ours / max(theirs, 1e-30):.2f}"
        else:
            good, said = ours <= MOST_ERROR, f"{ours:.3e}"
        print(f"{name:18s} {said}{'' if good else '   DRIFTS'}")
        sound &= good
        if not good and not keep_going:
            return False
    return sound


def first_difference(ours, theirs):
    for step, pair in enumerate(zip(ours, theirs)):
        if pair[0] != pair[1]:
            return step
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs))


def compare_tokens(actual, f32, bf16):
    sound = True
    for name in sorted(name for name in f32[0] if name == "tokens" or name.startswith("tokens.")):
        if name not in actual[0]:
            print(f"{name:22s} missing")
            continue
        ours, theirs = actual[0][name].flatten().tolist(), f32[0][name].flatten().tolist()
        step = first_difference(ours, theirs)
        if step is None:
            print(f"{name:22s} {len(theirs)} equal")
            continue
        said = f"parts at step {step}: {ours[step:step + 1]} for {theirs[step:step + 1]}"
        if name == "tokens" and step < len(f32[0]["top.values"]):
            values, ids = f32[0]["top.values"][step], f32[0]["top.ids"][step].tolist()
            taken = ids.index(ours[step]) if step < len(ours) and ours[step] in ids else None
            said += f"; top-2 margin {float(values[0] - values[1]):.4f} of logits with deviation "
            said += f"{float(f32[0]['logits'].double().std()):.3f}"
            said += f"; ours is the reference's choice {taken + 1}" if taken is not None else "; ours is not in its top 8"
        if bf16:
            own = first_difference(bf16[0][name].flatten().tolist(), theirs)
            said += f"; PyTorch bf16 parts at {own}"
        else:
            sound = False
        print(f"{name:22s} {said}")
    return sound


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("actual")
    parser.add_argument("f32")
    parser.add_argument("bf16", nargs="?")
    parser.add_argument("--keep-going", action="store_true", help="print the stages after the first that drifts")
    options = parser.parse_args()
    actual, f32 = samples.load(options.actual), samples.load(options.f32)
    bf16 = samples.load(options.bf16) if options.bf16 else None
    if "prompt_ids" in actual[0] and actual[0]["prompt_ids"].flatten().tolist() != f32[0]["prompt_ids"].tolist():
        sys.exit("prompt_ids differ: nothing after them can agree")
    sound = compare_stages(actual, f32, bf16, options.keep_going)
    sound &= compare_tokens(actual, f32, bf16)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
