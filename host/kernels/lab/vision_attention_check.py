#!/usr/bin/env python3
"""Checks ../cuda/vision_attention.cu against a float32 reference and times it beside torch's scaled_dot_product_attention
(with the bias as a mask, made beforehand and made on the way; without a bias the plain call).

usage: vision_attention_check.py [--cubin FILE] [--json FILE] [--warps]
The kernel is compiled with nvcc unless --cubin names a cubin; --warps also times other numbers of warps a block."""
import argparse, ctypes, json, os, statistics, subprocess, sys, tempfile, time
import torch
import torch.nn.functional as F
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from decode_bench import CUDA, DEV, Driver, events

DIM, LIMIT = 64, 6e-3   # bf16 results keep 8 bits: rms 2e-3
BF16 = torch.bfloat16

class VisionLayout(ctypes.Structure):
    _fields_ = [("batch_stride", ctypes.c_longlong)] + [(n, ctypes.c_int) for n in ("token_stride", "matrix_stride", "head_stride", "tokens", "heads", "side")]

# (name, tile, stages, most warps), as in src/ops/vision_attention.rs
PLAIN, TILE_64, TILE_80 = ("vision_attention", 64, 3, 13), ("vision_attention_t64", 64, 3, 13), ("vision_attention_t80", 80, 2, 8)

def choose(tokens, side):
    warps = -(-tokens // 16)
    if not side: return PLAIN, warps if warps <= 8 else 4
    fills = lambda k: min(k[1] // side, 4) * side / k[1]
    kernel = TILE_64 if fills(TILE_64) >= fills(TILE_80) else TILE_80
    return kernel, warps if warps <= kernel[3] else 8

def shared_bytes(kernel, warps, side): return kernel[2] * kernel[1] * 256 + (warps * 16 * (side + 1) * 4 if side else 0)

def attention(driver, qkv, heads, tables=None, warps=0):
    batch, tokens, width = qkv.shape
    side = int(tokens ** 0.5) if tables else 0
    kernel, best = choose(tokens, side); warps = warps or best
    out = torch.full((batch, tokens, width // 3), float("nan"), dtype=BF16, device=DEV)
    layout = VisionLayout(tokens * width, width, width // 3, DIM, tokens, heads, side)
    driver.launch(kernel[0], (-(-tokens // (16 * warps)), heads, batch), warps * 32, [qkv, None, *(tables or (None, None)), out, layout], shared_bytes(kernel, warps, side))
    return out

# ---- references -------------------------------------------------------------------------------------------

def split(qkv, heads): return qkv.view(*qkv.shape[:2], 3, heads, DIM).permute(2, 0, 3, 1, 4).unbind(0)   # [batch, head, token, 64]

def mask(q, tables):
    """SAM's bias [batch, head, token, token] in q's dtype, as its get_rel_pos and einsum make it."""
    side = int(q.shape[2] ** 0.5); at = torch.arange(side, device=DEV); index = at[:, None] - at[None, :] + side - 1
    height, width = (t.to(q.dtype)[index] for t in tables)
    grid = q.unflatten(2, (side, side))
    of_y, of_x = torch.einsum("bnhwc,hkc->bnhwk", grid, height), torch.einsum("bnhwc,wkc->bnhwk", grid, width)
    return (of_y[..., :, None] + of_x[..., None, :]).reshape(*q.shape[:3], -1)

def reference(qkv, heads, tables):
    """float32, a head at a time."""
    out = torch.empty(*qkv.shape[:2], heads * DIM, device=DEV)
    for h in range(heads):
        q, k, v = (m[:, h:h + 1].float() for m in split(qkv, heads))
        scores = q @ k.transpose(-1, -2) * DIM ** -0.5
        if tables: scores += mask(q, tables)
        out[..., h * DIM:(h + 1) * DIM] = (scores.softmax(-1) @ v)[:, 0]
    return out

# ---- what the model runs ----------------------------------------------------------------------------------

# name: batch, tokens, heads, biased
SHAPES = {
    "windows of one 1024 view": (25, 196, 12, True), "windows of six 640 tiles": (54, 196, 12, True), "windows of a 1280 view": (36, 196, 12, True),
    "grid of a 512 view": (1, 1024, 12, True), "grid of a 640 view": (1, 1600, 12, True), "grids of six 640 tiles": (6, 1600, 12, True),
    "grid of a 1024 view": (1, 4096, 12, True), "grid of a 1280 view": (1, 6400, 12, True),
    "CLIP, 1024 view": (1, 257, 16, False), "CLIP, 1280 view": (1, 401, 16, False), "CLIP, six 640 tiles": (6, 101, 16, False), "CLIP, 512 view": (1, 65, 16, False),
}

def main():
    p = argparse.ArgumentParser(); p.add_argument("--cubin"); p.add_argument("--json"); p.add_argument("--warps", action="store_true"); a = p.parse_args()
    torch.manual_seed(7); torch.set_grad_enabled(False); torch.zeros(1, device=DEV)
    torch.backends.cuda.matmul.allow_tf32 = False
    with tempfile.TemporaryDirectory() as folder:
        cubin = a.cubin or os.path.join(folder, "vision_attention.cubin")
        if not a.cubin: subprocess.run(["nvcc", "-std=c++17", "-O3", "-arch=sm_%d%d" % torch.cuda.get_device_capability(), "-cubin", "-o", cubin, os.path.join(CUDA, "vision_attention.cu")], check=True)
        driver = Driver([cubin])
    driver.overlap = False
    result = dict(gpu=torch.cuda.get_device_name(), torch=torch.__version__, date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), shapes={}); failed = []
    for name, (batch, tokens, heads, biased) in SHAPES.items():
        side = int(tokens ** 0.5)
        qkv = torch.randn(batch, tokens, 3 * heads * DIM, device=DEV).to(BF16)
        tables = tuple((0.3 * torch.randn(2 * side - 1, DIM, device=DEV)).to(BF16) for _ in range(2)) if biased else None
        want = reference(qkv, heads, tables); size = want.norm()
        error = lambda got: float((got.float() - want).norm() / size)
        row = dict(batch=batch, tokens=tokens, heads=heads, error=error(attention(driver, qkv, heads, tables)))
        q, k, v = split(qkv, heads)
        sdpa = lambda m: F.scaled_dot_product_attention(q, k, v, attn_mask=m).transpose(1, 2).reshape(batch, tokens, heads * DIM)
        made = mask(q, tables) if biased else None
        row["error_sdpa"] = error(sdpa(made))
        us = lambda work: statistics.median(events(work, 20, 3)) * 1e3
        row["us"] = us(lambda: attention(driver, qkv, heads, tables))
        row["us_sdpa"] = us(lambda: sdpa(made))
        if biased: row["us_sdpa_and_mask"] = us(lambda: sdpa(mask(q, tables)))
        row["tflops"] = batch * heads * tokens * tokens * DIM * 4 / row["us"] / 1e6
        if a.warps:
            kernel, _ = choose(tokens, side if biased else 0); row["us_by_warps"] = {}
            for warps in range(2, kernel[3] + 1):
                # The tables' products are staged where keys will be, and a block has at most 227 KB.
                if biased and warps * 16 * side * 4 > kernel[2] * kernel[1] * 256: continue
                row["us_by_warps"][warps] = us(lambda: attention(driver, qkv, heads, tables, warps))
        ok = row["error"] <= LIMIT; result["shapes"][name] = row
        if not ok: failed.append(name)
        print(f"{name:28s} {'' if ok else 'FAILED '}error {row['error']:.1e} (sdpa {row['error_sdpa']:.1e})  {row['us']:8.1f} us {row['tflops']:6.0f} TFLOP/s  sdpa {row['us_sdpa']:8.1f} us" +
              (f", with its mask {row['us_sdpa_and_mask']:8.1f} us" if biased else "") + (f"  by warps {({w: round(t, 1) for w, t in row['us_by_warps'].items()})}" if a.warps else ""), flush=True)
        del want, made
    result["failed"] = failed
    if a.json:
        with open(a.json, "w") as f: json.dump(result, f, indent=1)
    if failed: raise SystemExit(f"{len(failed)} shapes failed: {failed}")

if __name__ == "__main__": main()
