"""Compares a dump of our model with PyTorch's, stage by stage, and stops where drift begins.

    python3 compare.py ACTUAL.safetensors REFERENCE_F32.safetensors [REFERENCE_BF16.safetensors]

Each stage's relative L2 error against the f32 reference may be at most 1.25 times that of PyTorch's own bf16 run. Those
errors come from the bf16 dump, or with `--bf16` from the f32 one, if it says them (as the dumps in results/ do);
without either the bound is 1e-4. Thinned dumps (samples.py) and whole ones mix. Exit code 1 when a stage drifts
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


def compare_stages(actual, f32, allowed, keep_going):
    """`allowed` gives PyTorch's own bf16 error by stage, if it is bf16 that is compared. True if no stage drifts. The first that does ends the comparison: what follows only inherits it."""
    sound = True
    for name in sorted((name for name in f32[0] if order(name) is not None), key=order):
        if name not in actual[0]:
            print(f"{name:18s} missing")
            return False
        ours = error(actual, f32, name)
        if allowed:
            theirs = allowed(name)
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


def explained(ours, step, reference):
    """How near the reference's best two were where ours left it."""
    said = ""
    if "top.values" in reference and step < len(reference["top.values"]):
        values, ids = reference["top.values"][step], reference["top.ids"][step].tolist()
        said = f"; top-2 margin {float(values[0] - values[1]):.4f}"
        taken = ids.index(ours[step]) if step < len(ours) and ours[step] in ids else None
        said += f"; ours is its choice {taken + 1}" if taken is not None else "; ours is not in its top 8"
    elif "margins" in reference and step < len(reference["margins"]):
        said = f"; top-2 margin {float(reference['margins'][step]):.4f}"
    return said + f"; its logits' deviation is {float(reference['logits'].double().std()):.3f}"


def compare_tokens(actual, f32, bf16, inexact):
    """Tokens may part where arithmetic is `inexact`, and then it says why; otherwise they must be equal."""
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
        if name == "tokens":
            said += explained(ours, step, f32[0])
        if bf16:
            said += f"; PyTorch bf16 parts at {first_difference(bf16[0][name].flatten().tolist(), theirs)}"
        sound &= inexact
        print(f"{name:22s} {said}")
    return sound


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("actual")
    parser.add_argument("f32")
    parser.add_argument("bf16_dump", nargs="?", metavar="bf16")
    parser.add_argument("--bf16", action="store_true", help="the errors of PyTorch in bf16 stand in the f32 dump")
    parser.add_argument("--keep-going", action="store_true", help="print the stages after the first that drifts")
    options = parser.parse_args()
    actual, f32 = samples.load(options.actual), samples.load(options.f32)
    bf16 = samples.load(options.bf16_dump) if options.bf16_dump else None
    allowed = None
    if bf16:
        allowed = lambda name: error(bf16, f32, name)
    elif options.bf16:
        allowed = lambda name: f32[1]["bf16_errors"][name]
    if "prompt_ids" in actual[0] and actual[0]["prompt_ids"].flatten().tolist() != f32[0]["prompt_ids"].tolist():
        sys.exit("prompt_ids differ: nothing after them can agree")
    sound = compare_stages(actual, f32, allowed, options.keep_going)
    sound &= compare_tokens(actual, f32, bf16, allowed is not None)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
