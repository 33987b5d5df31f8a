#!/usr/bin/env python3
"""Checks and times the decode-step kernels of ../cuda on one GPU, with the synthetic weights whose greedy
decoding walks token -> (34341 t + 12347) mod 129280.

  check   every kernel alone against a float32 reference on fresh random inputs, outputs poisoned with NaN
  walk    256 greedy steps at batch 1, 8, 32 (and more) with mixed context lengths, all tokens compared
  time    1,024 greedy steps from context 277 to 1,301 as replays of one CUDA graph, all tokens compared
  sweep   short runs under other settings (--sweep)
  timeline  kernel durations inside the graph, from the profiler
  ops     each kernel's time, in a graph of that kernel over the weights of all its layers

usage: decode_bench.py [check] [walk] [time] [ops] [sweep] [timeline] [--batches 1,8,...] [--cubin DIR] [--json FILE] [--repeats 3]
Kernels are compiled with nvcc unless --cubin names a folder of cubins. Needs torch; no other dependency."""
import argparse, ctypes, json, os, statistics, subprocess, sys, tempfile, time
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
CUDA = os.path.join(HERE, "..", "cuda")
HIDDEN, HEADS, HEAD_DIM, LAYERS = 1280, 10, 128, 12
EXPERTS, TOP_K, EXPERT_INTER, DENSE_INTER, VOCAB = 64, 6, 896, 6848, 129280
SLOTS, INTER_PITCH, BAN_PITCH = 8, 7168, 128
SMS = 132
ATTENTION_SHARED = 4 * 128 * 8 * 16
EPS = 1e-6
DEV = "cuda"
BF16, F32, I32 = torch.bfloat16, torch.float32, torch.int32


# ---- the driver, without a binding package ---------------------------------------------------------------

class LaunchAttribute(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int), ("pad", ctypes.c_char * 4), ("value", ctypes.c_uint * 3), ("rest", ctypes.c_char * 52)]

class LaunchConfig(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint) for n in ("gx", "gy", "gz", "bx", "by", "bz", "shared")] + [
        ("stream", ctypes.c_void_p), ("attributes", ctypes.POINTER(LaunchAttribute)), ("count", ctypes.c_uint)]

class CacheLayout(ctypes.Structure):
    _fields_ = [("page_stride", ctypes.c_longlong)] + [(n, ctypes.c_int) for n in ("token_stride", "head_stride", "page_shift", "table_pitch")]

class Rotary(ctypes.Structure):
    _fields_ = [(n, ctypes.c_void_p) for n in ("cos_sin", "lengths", "table", "q", "k", "v")] + [("cache", CacheLayout)]

class Bans(ctypes.Structure):
    _fields_ = [("counts", ctypes.c_void_p), ("ids", ctypes.c_void_p)]

CLUSTER_DIMENSION, PROGRAMMATIC_STREAM_SERIALIZATION, MAX_DYNAMIC_SHARED, SHARED_CARVEOUT = 4, 6, 8, 9

class Driver:
    def __init__(self, cubins):
        self.cuda = ctypes.CDLL("libcuda.so.1")
        self.functions, self.shared = {}, {}
        for path in cubins:
            module = ctypes.c_void_p()
            self.ok(self.cuda.cuModuleLoad(ctypes.byref(module), path.encode()), path)
            count = ctypes.c_uint()
            self.ok(self.cuda.cuModuleGetFunctionCount(ctypes.byref(count), module), path)
            functions = (ctypes.c_void_p * count.value)()
            self.ok(self.cuda.cuModuleEnumerateFunctions(functions, count, module), path)
            for f in functions:
                name = ctypes.c_char_p(); function = ctypes.c_void_p(f)
                self.ok(self.cuda.cuFuncGetName(ctypes.byref(name), function), path)
                self.functions[name.value.decode()] = function
        self.overlap = True

    def ok(self, code, what):
        if code:
            text = ctypes.c_char_p()
            self.cuda.cuGetErrorString(code, ctypes.byref(text))
            raise RuntimeError(f"{what}: {text.value}")

    def function(self, name): return self.functions[name]

    def launch(self, name, grid, block, args, shared=0, cluster=1):
        function = self.function(name)
        if shared and self.shared.get(name, 0) < shared:
            self.ok(self.cuda.cuFuncSetAttribute(function, MAX_DYNAMIC_SHARED, shared), name)
            self.ok(self.cuda.cuFuncSetAttribute(function, SHARED_CARVEOUT, 100), name)
            self.shared[name] = shared
        grid = tuple(grid) + (1,) * (3 - len(grid))
        config = LaunchConfig(*grid, block, 1, 1, shared, torch.cuda.current_stream().cuda_stream)
        chosen = [LaunchAttribute(PROGRAMMATIC_STREAM_SERIALIZATION, b"", (1, 0, 0))] if self.overlap else []
        if cluster > 1: chosen.append(LaunchAttribute(CLUSTER_DIMENSION, b"", (1, cluster, 1)))
        attributes = (LaunchAttribute * len(chosen))(*chosen)
        config.attributes, config.count = ctypes.cast(attributes, ctypes.POINTER(LaunchAttribute)), len(chosen)
        values = []
        for a in args:
            if a is None: values.append(ctypes.c_void_p(0))
            elif isinstance(a, torch.Tensor): values.append(ctypes.c_void_p(a.data_ptr()))
            elif isinstance(a, bool): values.append(ctypes.c_int(int(a)))
            elif isinstance(a, int): values.append(ctypes.c_int(a))
            elif isinstance(a, float): values.append(ctypes.c_float(a))
            else: values.append(a)
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.cast(ctypes.byref(v), ctypes.c_void_p) for v in values])
        self.ok(self.cuda.cuLaunchKernelEx(ctypes.byref(config), function, pointers, None), f"{name} {grid} {block} {shared}")


def compile_kernels(folder):
    arch = "sm_%d%d" % torch.cuda.get_device_capability()
    jobs = []
    for f in sorted(os.listdir(CUDA)):
        if f.endswith(".cu"):
            out = os.path.join(folder, f[:-3] + ".cubin")
            jobs.append((out, subprocess.Popen(["nvcc", "-std=c++17", "-O3", f"-arch={arch}", "-cubin", "-o", out, os.path.join(CUDA, f)])))
    for out, job in jobs:
        if job.wait(): raise SystemExit(f"nvcc failed: {out}")
    return [out for out, _ in jobs]


# ---- the model -------------------------------------------------------------------------------------------

def sigma(t): return (34341 * t + 12347) % VOCAB

class Weights:
    """The recipe: norms 1, embedding N(0, 1), all else N(0, 0.02), lm_head[sigma(i)] = embed[i]."""
    def __init__(self, seed=1234):
        g = torch.Generator(device=DEV); g.manual_seed(seed)
        draw = lambda *s, std=0.02: torch.empty(s, dtype=BF16, device=DEV).normal_(0, std, generator=g)
        one = lambda: torch.ones(HIDDEN, dtype=BF16, device=DEV)
        self.embed = draw(VOCAB, HIDDEN, std=1.0)
        self.head = torch.empty_like(self.embed)
        self.head[sigma(torch.arange(VOCAB, device=DEV))] = self.embed
        self.norm = one()
        self.layers = []
        for n in range(LAYERS):
            layer = dict(input_norm=one(), post_norm=one())
            layer.update(qkv=draw(3 * HIDDEN, HIDDEN), o=draw(HIDDEN, HIDDEN))
            if n == 0: layer.update(gate_up=draw(2 * DENSE_INTER, HIDDEN), down=draw(HIDDEN, DENSE_INTER))
            else: layer.update(gate=draw(EXPERTS, HIDDEN), gate_up=draw(EXPERTS, 2 * EXPERT_INTER, HIDDEN), down=draw(EXPERTS, HIDDEN, EXPERT_INTER),
                               shared_gate_up=draw(4 * EXPERT_INTER, HIDDEN), shared_down=draw(HIDDEN, 2 * EXPERT_INTER))
            self.layers.append(layer)


def tile_shared(rows, columns, stages): return stages * (rows + columns) * 128

# (kernel suffix, rows, columns, warps, stages) by batch bucket
def bucket(tokens): return next(b for b in (8, 16, 32, 64, 128, 256) if tokens <= b)
TILES = {
    "qkv": {16: ("m32n16", 32, 16, 2, 6), 32: ("m32n32", 32, 32, 4, 6), 64: ("m32n64", 32, 64, 4, 6), 128: ("m64n64", 64, 64, 4, 5), 256: ("m128n64", 128, 64, 8, 6)},
    "o": {16: ("m32n16", 32, 16, 2, 6), 32: ("m32n32", 32, 32, 4, 6), 64: ("m32n64", 32, 64, 4, 6), 128: ("m64n64", 64, 64, 4, 5), 256: ("m64n64", 64, 64, 4, 5)},
    "dense": {16: ("m64n16", 64, 16, 4, 5), 32: ("m64n32", 64, 32, 4, 5), 64: ("m64n64", 64, 64, 4, 5), 128: ("m64n64", 64, 64, 4, 5), 256: ("m128n128", 128, 128, 8, 3)},
    "head": {16: ("m128n16", 128, 16, 8, 4), 32: ("m128n32", 128, 32, 8, 4), 64: ("m128n64", 128, 64, 8, 4), 128: ("m128n128", 128, 128, 8, 3), 256: ("m128n128", 128, 128, 8, 3)},
}
O_SPLITS = {16: 4, 32: 4, 64: 4, 128: 4, 256: 2}
ATTENTION_ROWS = {8: 26, 16: 39, 32: 78, 64: 39, 128: 78, 256: 156}   # 13, 26, 39 fill the SMs once with one, two, three blocks each
GATE_ROWS = {16: 64, 32: 64, 64: 64, 128: 128, 256: 128}
DOWN_ROWS = {16: 64, 32: 128, 64: 128, 128: 128, 256: 128}
EXPERT_STAGES = {64: 4, 128: 4}


class Engine:
    """Buffers for up to `most` sequences and the launches of one decode step."""
    def __init__(self, driver, weights, most, context, page=32, heads_first=False, layers=LAYERS):
        self.d, self.w, self.most, self.page, self.layers = driver, weights, most, page, layers
        pages_each = (context + page - 1) // page
        z = lambda *s, dtype=I32: torch.zeros(s, dtype=dtype, device=DEV)
        self.token_ids, self.lengths = z(most), z(most)
        self.x, self.normed, self.q, self.attended = (z(most, HIDDEN, dtype=BF16) for _ in range(4))
        self.inter, self.slots = z(most, SLOTS, EXPERT_INTER, dtype=BF16), z(most, SLOTS, HIDDEN, dtype=F32)
        self.top_experts, self.top_weights = z(most, TOP_K), z(most, TOP_K, dtype=F32)
        self.expert_counts, self.expert_tokens = z(LAYERS, EXPERTS), z(LAYERS, EXPERTS, most)
        self.items, self.plan = z(8192, 4), z(2)
        self.partials, self.attention_counters = z(8192 * HEADS * 132, dtype=F32), z(most * HEADS)
        self.tile_partials, self.tile_counters = z(80 * 16 * 128, dtype=F32), z(80)
        self.best = torch.zeros(most, dtype=torch.int64, device=DEV)
        self.history, self.history_lengths = z(most, 2048), z(most)
        self.ban_counts, self.ban_ids, self.overflows = z(most), z(most, BAN_PITCH), z(1)
        self.k = torch.empty(layers, most * pages_each, page, HEADS, HEAD_DIM, dtype=BF16, device=DEV)
        self.v = torch.empty_like(self.k)
        self.table = torch.randperm(most * pages_each, device=DEV).to(I32).view(most, pages_each)
        stride = (HEAD_DIM, page * HEAD_DIM) if heads_first else (HIDDEN, HEAD_DIM)
        self.heads_first = heads_first
        self.cache = CacheLayout(page * HIDDEN, stride[0], stride[1], page.bit_length() - 1, pages_each)
        angle = torch.arange(8192, device=DEV, dtype=torch.float64)[:, None] * 10000.0 ** (-torch.arange(64, device=DEV, dtype=torch.float64) / 64)
        self.cos_sin = torch.stack([angle.cos(), angle.sin()], -1).float().contiguous()
        self.attention_rows, self.down_splits, self.dense_splits, self.guard, self.round_logits = 0, 2, 2, False, False
        self.gate_blocks = 2 * SMS
        self.gate_rows, self.down_rows, self.splits = 0, 0, 0         # 0: the table's choice

    def fill_cache(self, std=0.72):
        for c in (self.k, self.v):
            for n in range(self.layers): c[n].normal_(0, std)

    def start(self, tokens, lengths):
        """Sequences whose caches already hold `lengths` tokens; the step's own token comes on top."""
        n = len(tokens)
        self.token_ids.zero_(); self.lengths.zero_(); self.history_lengths.zero_(); self.best.zero_(); self.attention_counters.zero_(); self.tile_counters.zero_()
        self.token_ids[:n] = torch.as_tensor(tokens, dtype=I32, device=DEV)
        self.lengths[:n] = torch.as_tensor(lengths, dtype=I32, device=DEV) + 1

    # launches, one method an op --------------------------------------------------------------------------
    def rotary(self, n): return Rotary(self.cos_sin.data_ptr(), self.lengths.data_ptr(), self.table.data_ptr(), self.q.data_ptr(), self.k[n].data_ptr(), self.v[n].data_ptr(), self.cache)

    def begin(self, t):
        self.d.launch("step_begin", (t + 1,), 256, [self.token_ids, self.lengths, self.w.embed, self.w.layers[0]["input_norm"], self.x, self.normed, t, self.rows(t), self.items, self.plan, self.expert_counts, LAYERS * EXPERTS, self.items.shape[0], 0])
    def end(self, t):
        self.d.launch("step_end", (1,), 256, [self.best, self.token_ids, self.lengths, self.history, self.history_lengths, self.history.shape[1], t])
    def qkv(self, t, n):
        w = self.w.layers[n]
        if t <= 8: return self.d.launch("qkv_rope_stream", (240,), 256, [self.x, w["input_norm"], w["qkv"], t, self.rotary(n)])
        name, m, c, warps, stages = TILES["qkv"][bucket(t)]
        self.d.launch("qkv_rope_" + name, (3 * HIDDEN // m, -(-t // c)), warps * 32, [self.normed, w["qkv"], t, self.rotary(n)], tile_shared(m, c, stages))
    def rows(self, t): return self.attention_rows or ATTENTION_ROWS[bucket(t)]
    def attention(self, t, n):
        self.d.launch("paged_attention", (HEADS, self.rows(t)), 128, [self.q, self.k[n], self.v[n], self.table, self.cache, self.items, self.plan, self.partials,
                      self.attention_counters, self.attended, HEAD_DIM ** -0.5 * 1.4426950408889634], ATTENTION_SHARED)
    def o(self, t, n):
        w = self.w.layers[n]["o"]
        if t <= 8: return self.d.launch("o_proj_stream", (80,), 256, [self.attended, w, self.x, t])
        name, m, c, warps, stages = TILES["o"][bucket(t)]
        self.d.launch("o_proj_" + name, (HIDDEN // m, -(-t // c), self.o_splits(t)), warps * 32, [self.attended, w, self.slots, t], tile_shared(m, c, stages))
    def router(self, t, n):
        w = self.w.layers[n]
        if t <= 8: return self.d.launch("router_top6_stream", (t,), 512, [self.x, w["post_norm"], w["gate"], self.normed, self.top_experts, self.top_weights, self.round_logits])
        self.d.launch("router_top6", (min(t, SMS),), 1024, [self.x, self.slots, self.o_splits(t), w["post_norm"], w["gate"], self.normed, self.top_experts, self.top_weights,
                      self.expert_counts[n], self.expert_tokens[n], self.most, self.lengths, t, self.round_logits])
    def o_splits(self, t): return self.splits or O_SPLITS[bucket(t)]
    def expert_grid(self, t, rows):
        widest = min(bucket(t), 64)
        return (rows, 2 * -(-t // widest) + EXPERTS), widest
    def gate_up(self, t, n):
        w = self.w.layers[n]
        if t <= 8: return self.d.launch("expert_gate_up_stream", (self.gate_blocks,), 256, [self.normed, w["gate_up"], w["shared_gate_up"], self.top_experts, self.inter, t])
        m = self.gate_rows or GATE_ROWS[bucket(t)]; grid, widest = self.expert_grid(t, 2 * EXPERT_INTER // m)
        self.d.launch(f"expert_gate_up_m{m}", grid, 2 * m, [self.normed, w["gate_up"], w["shared_gate_up"], self.expert_counts[n], self.expert_tokens[n], self.most, self.inter, t, widest], tile_shared(m, widest, EXPERT_STAGES[m]))
    def down(self, t, n):
        w = self.w.layers[n]
        if t <= 8: return self.d.launch("expert_down_stream", (80, self.down_splits), 256, [self.inter, w["down"], w["shared_down"], self.top_experts, self.top_weights, self.x, self.tile_partials, self.tile_counters, t], 0, self.down_splits)
        m = self.down_rows or DOWN_ROWS[bucket(t)]; grid, widest = self.expert_grid(t, HIDDEN // m)
        self.d.launch(f"expert_down_m{m}", grid, 2 * m, [self.inter, w["down"], w["shared_down"], self.expert_counts[n], self.expert_tokens[n], self.most, self.slots, t, widest], tile_shared(m, widest, EXPERT_STAGES[m]))
    def dense_gate_up(self, t):
        w = self.w.layers[0]
        if t <= 8: return self.d.launch("dense_gate_up_stream", (DENSE_INTER // 8,), 256, [self.x, w["post_norm"], w["gate_up"], self.inter, t])
        name, m, c, warps, stages = TILES["dense"][bucket(t)]
        self.d.launch("dense_gate_up_" + name, (2 * DENSE_INTER // m, -(-t // c)), warps * 32, [self.normed, w["gate_up"], self.inter, t], tile_shared(m, c, stages))
    def dense_down(self, t):
        w = self.w.layers[0]
        if t <= 8: return self.d.launch("dense_down_stream", (80, self.dense_splits), 256, [self.inter, w["down"], self.x, self.tile_partials, self.tile_counters, t], 0, self.dense_splits)
        name, m, c, warps, stages = TILES["dense"][bucket(t)]
        self.d.launch("dense_down_" + name, (HIDDEN // m, -(-t // c), 8), warps * 32, [self.inter, w["down"], self.slots, t], tile_shared(m, c, stages))
    def norm(self, t, slots, weights, weight):
        self.d.launch("rms_norm", (t,), 160, [self.x, self.slots, weights, slots, weight, self.normed])
    def ngram(self, t, n=30, window=90):
        self.d.launch("ngram_guard", (t,), 256, [self.history, self.history_lengths, self.history.shape[1], n, window, 128821, 128822, self.ban_counts, self.ban_ids, self.overflows])
    def head(self, t, bans=False):
        b = Bans(self.ban_counts.data_ptr(), self.ban_ids.data_ptr()) if bans else Bans(None, None)
        if t <= 8: return self.d.launch("lm_head_stream", (VOCAB // 128,), 256, [self.x, self.w.norm, self.w.head, self.best, b, t])
        name, m, c, warps, stages = TILES["head"][bucket(t)]
        self.d.launch("lm_head_" + name, (-(-t // c), VOCAB // m), warps * 32, [self.normed, self.w.head, self.best, b, t], tile_shared(m, c, stages))

    def step(self, t):
        self.begin(t)
        for n in range(self.layers):
            w = self.w.layers[n]
            self.qkv(t, n); self.attention(t, n); self.o(t, n)
            if n == 0:
                if t > 8: self.norm(t, self.o_splits(t), None, w["post_norm"])
                self.dense_gate_up(t); self.dense_down(t)
            else:
                self.router(t, n); self.gate_up(t, n); self.down(t, n)
            if t > 8: self.norm(t, 8, self.top_weights if n else None, self.w.layers[n + 1]["input_norm"] if n + 1 < self.layers else self.w.norm)
        if self.guard: self.ngram(t)
        self.head(t, self.guard)
        self.end(t)

    def nodes(self, t): return 3 + self.guard + self.layers * 6 - 1 + (self.layers + 1 if t > 8 else 0)

    def graph(self, work):
        s = torch.cuda.Stream(); s.wait_stream(torch.cuda.current_stream())
        g = torch.cuda.CUDAGraph()
        with torch.cuda.graph(g, stream=s): work()
        torch.cuda.synchronize()
        return g

    # reads of the cache for references
    def cached(self, c, n, sequence, length):
        page = c[n][self.table[sequence].long()]
        if self.heads_first: page = page.reshape(-1, HEADS, self.page, HEAD_DIM).transpose(1, 2)
        return page.reshape(-1, HEADS, HEAD_DIM)[:length]


# ---- float32 references ----------------------------------------------------------------------------------

def ref_norm(x, w): x = x.float(); return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * w.float()
def ref_rope(x, cos_sin, position):
    c, s = cos_sin[position, :, 0][:, None], cos_sin[position, :, 1][:, None]
    a, b = x[..., :64], x[..., 64:]
    return torch.cat([a * c - b * s, b * c + a * s], -1)
def ref_glu(x, gate_up):
    h = x @ gate_up.float().T; i = h.shape[-1] // 2
    return torch.nn.functional.silu(h[..., :i]) * h[..., i:]
def ref_attention(e, n, q, lengths):
    out = torch.zeros(len(lengths), HEADS, HEAD_DIM, device=DEV)
    for s, l in enumerate(lengths):
        if l == 0: continue
        k, v = e.cached(e.k, n, s, l).float(), e.cached(e.v, n, s, l).float()
        p = torch.softmax(torch.einsum("hd,lhd->hl", q[s].float(), k) * HEAD_DIM ** -0.5, -1)
        out[s] = torch.einsum("hl,lhd->hd", p, v)
    return out
def ref_experts(x, w, top, weights):
    """Slot outputs [tokens, 8, 1280] and intermediates [tokens, 8, 896]."""
    t = x.shape[0]; inter = torch.zeros(t, SLOTS, EXPERT_INTER, device=DEV); out = torch.zeros(t, SLOTS, HIDDEN, device=DEV)
    for e in top.unique().tolist():
        rows, slot = (top == e).nonzero(as_tuple=True)
        inter[rows, slot] = ref_glu(x[rows], w["gate_up"][e]); out[rows, slot] = inter[rows, slot] @ w["down"][e].float().T
    inter[:, 6:] = ref_glu(x, w["shared_gate_up"]).view(t, 2, EXPERT_INTER)
    for h in range(2): out[:, 6 + h] = inter[:, 6 + h] @ w["shared_down"][:, h * EXPERT_INTER:(h + 1) * EXPERT_INTER].float().T
    return inter, out

def ref_step(e, t):
    """One whole step in float32 from the engine's state before it: final normed hidden."""
    w = e.w; lengths = e.lengths[:t].tolist(); x = w.embed[e.token_ids[:t].long()].float(); position = (e.lengths[:t] - 1).long()
    for n in range(e.layers):
        lw = w.layers[n]
        q, k, v = (ref_norm(x, lw["input_norm"]) @ lw["qkv"].float().T).view(t, 3, HEADS, HEAD_DIM).unbind(1)
        q, k = ref_rope(q, e.cos_sin, position), ref_rope(k, e.cos_sin, position)
        out = torch.zeros_like(q)
        for s, l in enumerate(lengths):
            kk = torch.cat([e.cached(e.k, n, s, l - 1).float(), k[s:s + 1]]); vv = torch.cat([e.cached(e.v, n, s, l - 1).float(), v[s:s + 1]])
            p = torch.softmax(torch.einsum("hd,lhd->hl", q[s], kk) * HEAD_DIM ** -0.5, -1); out[s] = torch.einsum("hl,lhd->hd", p, vv)
        x = x + out.reshape(t, HIDDEN) @ lw["o"].float().T
        h = ref_norm(x, lw["post_norm"])
        if n == 0: x = x + ref_glu(h, lw["gate_up"]) @ lw["down"].float().T
        else:
            p = torch.softmax(h @ lw["gate"].float().T, -1); tw, te = p.topk(TOP_K, -1)
            _, y = ref_experts(h, lw, te, tw)
            x = x + (y[:, :6] * tw[..., None]).sum(1) + y[:, 6:].sum(1)
    return x, ref_norm(x, w.norm)


# ---- checks ----------------------------------------------------------------------------------------------

class Checker:
    def __init__(self): self.rows, self.failed = {}, []
    def close(self, name, out, ref, limit):
        out, ref = out.float(), ref.float()
        error = float((out - ref).norm() / ref.norm())
        self.note(name, error, error <= limit)
    def note(self, name, value, ok):
        worst = self.rows.get(name)
        if worst is None or not (value <= worst): self.rows[name] = value
        if not ok: self.failed.append((name, value)); print(f"  FAILED {name}: {value}", flush=True)
    def same(self, name, ok): self.note(name, 0.0 if ok else 1.0, bool(ok))

def random_layer(n):
    """A layer with random norm weights, for checks that must see them."""
    draw = lambda *s, std=0.02: torch.empty(s, dtype=BF16, device=DEV).normal_(0, std)
    norm = lambda: (1 + 0.3 * torch.randn(HIDDEN, device=DEV)).to(BF16)
    w = dict(input_norm=norm(), post_norm=norm(), qkv=draw(3 * HIDDEN, HIDDEN, std=0.05), o=draw(HIDDEN, HIDDEN, std=0.05))
    if n == 0: w.update(gate_up=draw(2 * DENSE_INTER, HIDDEN), down=draw(HIDDEN, DENSE_INTER))
    else: w.update(gate=draw(EXPERTS, HIDDEN, std=0.05), gate_up=draw(EXPERTS, 2 * EXPERT_INTER, HIDDEN), down=draw(EXPERTS, HIDDEN, EXPERT_INTER), shared_gate_up=draw(4 * EXPERT_INTER, HIDDEN), shared_down=draw(HIDDEN, 2 * EXPERT_INTER))
    return w

BF16_LIMIT, F32_LIMIT = 6e-3, 1e-3   # bf16 results keep 8 bits (rms 2e-3, twice rounded after a norm); f32 sums of bf16 products

def check_ops(driver, weights, batches, checker, heads_first=False, page=32):
    class Test: pass
    test = Test(); test.layers = [random_layer(0), random_layer(1)]; test.embed, test.head, test.norm = weights.embed, weights.head, (1 + 0.3 * torch.randn(HIDDEN, device=DEV)).to(BF16)
    e = Engine(driver, test, 256, 1400, page, heads_first, layers=2); e.fill_cache(1.0)
    lean = torch.randn(HIDDEN, device=DEV); test.layers[1]["gate"][5], test.layers[1]["gate"][9] = (0.015 * lean).to(BF16), (0.014 * lean).to(BF16)
    poison = lambda *ts: [t.fill_(float("nan")) if t.is_floating_point() else t.fill_(-7) for t in ts]
    for t in batches:
        kind = "stream" if t <= 8 else "batched"; c = checker
        lengths = torch.randint(1, 1300, (t,)).tolist()
        for i, l in enumerate((1301, 1, 32, 33, 64, 65, 500, 31)[: t]): lengths[i] = l
        if t > 12: lengths[11] = 0                                       # a row without a sequence
        live = torch.tensor([l > 0 for l in lengths], device=DEV)
        e.start(torch.randint(0, VOCAB, (t,)).tolist(), [l - 1 for l in lengths])
        # begin
        poison(e.x, e.normed, e.items, e.plan, e.expert_counts); e.begin(t)
        c.same("step_begin x", torch.equal(e.x[:t], test.embed[e.token_ids[:t].long()]))
        c.close("step_begin normed", e.normed[:t], ref_norm(e.x[:t], test.layers[0]["input_norm"]), BF16_LIMIT)
        count, chunk = e.plan.tolist(); items = e.items[:count].tolist()
        expected = [[s, a, min(l, a + chunk), -(-l // chunk)] for s, l in enumerate(lengths) for a in range(0, l, chunk)]
        c.same("step_begin plan", items == expected); c.same("step_begin counts", int(e.expert_counts.abs().sum()) == 0)
        for n in (0, 1):
            w = test.layers[n]
            # qkv + rope + cache write
            e.x[:t] = (3 * torch.randn(t, HIDDEN, device=DEV)).to(BF16); e.normed[:t] = ref_norm(e.x[:t], w["input_norm"]).to(BF16)
            before_k, before_v = e.k[n].clone(), e.v[n].clone(); poison(e.q); e.qkv(t, n)
            q, k, v = (ref_norm(e.x[:t], w["input_norm"]) @ w["qkv"].float().T).view(t, 3, HEADS, HEAD_DIM).unbind(1)
            position = (e.lengths[:t] - 1).clamp(min=0).long(); q, k = ref_rope(q, e.cos_sin, position), ref_rope(k, e.cos_sin, position)
            c.close(f"qkv_rope {kind} q", e.q[:t].view(t, HEADS, HEAD_DIM)[live], q[live], BF16_LIMIT)
            alive = [s for s in range(t) if lengths[s]]
            c.close(f"qkv_rope {kind} k", torch.stack([e.cached(e.k, n, s, lengths[s])[-1] for s in alive]), k[alive], BF16_LIMIT)
            c.close(f"qkv_rope {kind} v", torch.stack([e.cached(e.v, n, s, lengths[s])[-1] for s in alive]), v[alive], BF16_LIMIT)
            changed = lambda now, was: int((now != was).view(-1, HEAD_DIM).any(-1).sum())
            c.same(f"qkv_rope {kind} writes its own places only", changed(e.k[n], before_k) <= HEADS * len(alive) and changed(e.v[n], before_v) <= HEADS * len(alive))
            # attention, over a sharper softmax than the walk has
            e.q[:t] = (2 * torch.randn(t, HIDDEN, device=DEV)).to(BF16); poison(e.attended, e.partials); e.attention(t, n)
            c.close("paged_attention", e.attended[:t].view(t, HEADS, HEAD_DIM)[live], ref_attention(e, n, e.q[:t].view(t, HEADS, HEAD_DIM), lengths)[live], BF16_LIMIT)
            c.same("paged_attention counters", int(e.attention_counters.abs().sum()) == 0)
            # output projection; a small residual, so that the product dominates
            e.attended[:t] = torch.randn(t, HIDDEN, device=DEV).to(BF16); e.x[:t] = (0.05 * torch.randn(t, HIDDEN, device=DEV)).to(BF16)
            skewed = n == 1 and t in (5, 29, 100, 200)                   # nearly all tokens choose experts 5 and 9
            if skewed: e.x[:t] += lean.to(BF16)
            x = e.x[:t].float().clone(); product = e.attended[:t].float() @ w["o"].float().T; poison(e.slots); e.o(t, n)
            if t <= 8: c.close("o_proj stream", e.x[:t], x + product, BF16_LIMIT)
            else: c.close("o_proj batched", e.slots[:t, :e.o_splits(t)].sum(1), product, F32_LIMIT)
            if n == 0:
                if t > 8:
                    poison(e.normed); e.norm(t, O_SPLITS[bucket(t)], None, w["post_norm"])
                    c.close("rms_norm x", e.x[:t], x + product, BF16_LIMIT); c.close("rms_norm normed", e.normed[:t], ref_norm(e.x[:t], w["post_norm"]), BF16_LIMIT)
                poison(e.inter); e.dense_gate_up(t); h = e.inter.view(e.most, INTER_PITCH)[:t, :DENSE_INTER]
                c.close(f"dense_gate_up {kind}", h, ref_glu(ref_norm(e.x[:t], w["post_norm"]), w["gate_up"]), BF16_LIMIT)
                e.inter.view(e.most, INTER_PITCH)[:t] = torch.randn(t, INTER_PITCH, device=DEV).to(BF16); poison(e.slots)
                e.x[:t] = 0.05; x = e.x[:t].float().clone(); product = h.float() @ w["down"].float().T; e.dense_down(t)
                if t <= 8: c.close("dense_down stream", e.x[:t], x + product, BF16_LIMIT); c.same("tile counters", int(e.tile_counters.abs().sum()) == 0)
                else: c.close("dense_down batched", e.slots[:t].sum(1), product, F32_LIMIT)
                continue
            # router
            poison(e.normed, e.top_experts, e.top_weights); e.expert_counts.zero_(); poison(e.expert_tokens, e.inter); e.router(t, n)
            c.close("router x", e.x[:t], x + product, BF16_LIMIT)
            h = ref_norm(e.x[:t], w["post_norm"]); c.close("router normed", e.normed[:t], h, BF16_LIMIT)
            logits = e.normed[:t].float() @ w["gate"].float().T; p = torch.softmax(logits, -1); tw, te = p.topk(TOP_K, -1)
            swapped = (te != e.top_experts[:t]).any(-1)
            gap = (p.gather(1, te) - p.gather(1, e.top_experts[:t].long().clamp(0, 63))).abs().max() if swapped.any() else torch.zeros(())
            c.note("router order (softmax gap where it differs)", float(gap), float(gap) < 1e-5)
            c.close("router weights", e.top_weights[:t], p.gather(1, e.top_experts[:t].long()), F32_LIMIT)
            e.round_logits = True; e.slots[:t] = 0; e.expert_counts.zero_(); e.router(t, n); e.round_logits = False
            c.close("router weights, logits rounded", e.top_weights[:t], torch.softmax(logits.to(BF16).float(), -1).gather(1, e.top_experts[:t].long()), 1e-2)
            if t > 8:
                if skewed: c.same("router fills long buckets", int(e.expert_counts[n].max()) > 0.9 * int(live.sum()))
                top = e.top_experts[:t].tolist(); counts = e.expert_counts[n].tolist(); good = True
                for x_ in range(EXPERTS):
                    want = sorted(s * SLOTS + k_ for s in range(t) for k_ in range(TOP_K) if top[s][k_] == x_ and lengths[s])
                    good &= sorted(e.expert_tokens[n, x_, :counts[x_]].tolist()) == want
                c.same("router buckets", good)
            # experts
            e.gate_up(t, n); inter, _ = ref_experts(e.normed[:t].float(), w, e.top_experts[:t].long(), None)
            c.close(f"expert_gate_up {kind}", e.inter[:t][live], inter[live], BF16_LIMIT)
            e.inter[:t] = torch.randn(t, SLOTS, EXPERT_INTER, device=DEV).to(BF16); poison(e.slots)
            top = e.top_experts[:t].long(); y = torch.empty(t, SLOTS, HIDDEN, device=DEV)
            for s in range(t):
                for k_ in range(6): y[s, k_] = w["down"][top[s, k_]].float() @ e.inter[s, k_].float()
            for half in range(2): y[:, 6 + half] = e.inter[:t, 6 + half].float() @ w["shared_down"][:, half * EXPERT_INTER:(half + 1) * EXPERT_INTER].float().T
            mixed = (y[:, :6] * e.top_weights[:t, :, None]).sum(1) + y[:, 6:].sum(1)
            e.x[:t] = (0.05 * torch.randn(t, HIDDEN, device=DEV)).to(BF16); x = e.x[:t].float().clone(); e.down(t, n)
            if t <= 8: c.close("expert_down stream", e.x[:t], x + mixed, BF16_LIMIT); c.same("tile counters", int(e.tile_counters.abs().sum()) == 0)
            else:
                c.close("expert_down batched", e.slots[:t][live], y[live], F32_LIMIT)
                poison(e.normed); e.slots[:t][~live] = 0; e.norm(t, 8, e.top_weights, w["input_norm"])
                c.close("rms_norm combine", e.x[:t][live], (x + mixed)[live], BF16_LIMIT)
        # head, then again with the winner banned
        e.x[:t] = (0.5 * torch.randn(t, HIDDEN, device=DEV)).to(BF16); e.normed[:t] = ref_norm(e.x[:t], test.norm).to(BF16)
        logits = e.normed[:t].float() @ test.head.float().T if t > 8 else ref_norm(e.x[:t], test.norm) @ test.head.float().T
        decode = lambda: (0xffffffff - (e.best[:t] & 0xffffffff))
        for bans in (False, True):
            e.best.zero_()
            if bans:
                e.ban_counts.zero_(); e.ban_counts[:t] = 2; e.ban_ids[:t, 0] = 5; e.ban_ids[:t, 1] = first.to(I32); logits.scatter_(1, first[:, None], -1e9)
            e.head(t, bans); got = decode(); top = logits.max(-1).values
            gap = float(((top - logits.gather(1, got[:, None])[:, 0]) / top.abs()).max())
            c.note(f"lm_head {kind}{' banned' if bans else ''} (logit gap)", gap, gap < 2e-3); first = logits.argmax(-1)
        # n-gram guard
        n, window = 4, 40
        e.history[:t] = torch.randint(0, 3, (t, e.history.shape[1]), dtype=I32, device=DEV); e.history_lengths[:t] = torch.randint(1, 120, (t,), dtype=I32, device=DEV); e.ban_counts.fill_(-1)
        e.ngram(t, n, window); good = True
        for s, (l, h) in enumerate(zip(e.history_lengths[:t].tolist(), e.history[:t].tolist())):
            want = {h[i + n - 1] for i in range(max(0, l - window), l - n + 1) if h[i:i + n - 1] == h[l - n + 1:l]}
            good &= set(e.ban_ids[s, :int(e.ban_counts[s])].tolist()) == want
        c.same("ngram_guard", good and int(e.overflows) == 0)
        # end
        ids = torch.randint(0, VOCAB, (t,), device=DEV); e.best[:t] = (1 << 40) + (0xffffffff - ids); e.history_lengths.fill_(3); was = e.lengths[:t].clone(); e.end(t)
        c.same("step_end", torch.equal(e.token_ids[:t][live], ids.to(I32)[live]) and torch.equal(e.history[:t, 3][live], ids.to(I32)[live]) and torch.equal(e.lengths[:t], was + live.int()) and int(e.best.abs().sum()) == 0)
        torch.cuda.synchronize()
    del e


def check_walk(engine, t, steps, checker):
    """Mixed contexts; the first step also against a whole float32 step; then every token against the walk."""
    e = engine
    lengths = torch.randint(5, 1000, (t,)).tolist(); first = torch.randint(1000, 120000, (t,)).tolist()
    e.start(first, lengths)
    ref_x, ref_h = ref_step(e, t)
    e.step(t); torch.cuda.synchronize()
    checker.close(f"whole step residual, batch {t}", e.x[:t], ref_x, 1.5e-2)
    checker.close(f"whole step, what the layers added, batch {t}", e.x[:t].float() - e.w.embed[torch.tensor(first, device=DEV)].float(), ref_x - e.w.embed[torch.tensor(first, device=DEV)].float(), 5e-2)
    g = e.graph(lambda: e.step(t))
    for _ in range(steps - 1): g.replay()
    torch.cuda.synchronize()
    ok = walk_ok(e, t, first, steps)
    checker.same(f"walk of {steps} tokens, batch {t}", ok)
    print(f"walk batch {t:3d}, contexts {min(lengths)}..{max(lengths)}: {'every token right' if ok else 'WRONG'}", flush=True)

def walk_ok(e, t, first, steps):
    token = torch.tensor(first, device=DEV); want = []
    for _ in range(steps): token = sigma(token); want.append(token)
    return bool(torch.equal(e.history[:t, :steps].long(), torch.stack(want, 1))) and e.history_lengths[:t].tolist() == [steps] * t


# ---- floors and timing -----------------------------------------------------------------------------------

def floor_bytes(t, context):
    """As floor.py of the baselines: every weight once, expected distinct experts, the KV cache once."""
    touched = EXPERTS * (1 - (1 - TOP_K / EXPERTS) ** t)
    fixed = 2 * (4 * HIDDEN * HIDDEN * LAYERS + 3 * HIDDEN * DENSE_INTER + 6 * HIDDEN * EXPERT_INTER * (LAYERS - 1) + EXPERTS * HIDDEN * (LAYERS - 1) + VOCAB * HIDDEN + 25 * HIDDEN)
    return fixed + touched * 3 * HIDDEN * EXPERT_INTER * 2 * (LAYERS - 1) + t * context * 61440

def events(work, repeats, warm=2):
    for _ in range(warm): work()
    out = []
    for _ in range(repeats):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record(); work(); b.record(); b.synchronize(); out.append(a.elapsed_time(b))
    return out

def copy_bandwidth():
    a = torch.empty(2 << 30, dtype=BF16, device=DEV).normal_(); b = torch.empty_like(a)
    return 2 * a.numel() * 2 / statistics.median(events(lambda: b.copy_(a), 20, 5)) / 1e6

BEST_TODAY_H100 = {1: 641, 8: 2952, 32: 8926, 64: 13541, 128: 17880, 256: 23023}

def time_decode(e, t, bandwidth, repeats, prompt=277, steps=1024):
    first = torch.randint(1000, 120000, (t,)).tolist()
    e.start(first, [prompt] * t); e.step(t); torch.cuda.synchronize()
    g = e.graph(lambda: e.step(t)); runs = []; ok = True
    for _ in range(repeats):
        e.start(first, [prompt] * t); torch.cuda.synchronize()
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True); clock = time.perf_counter()
        a.record()
        for _ in range(steps): g.replay()
        b.record(); b.synchronize(); clock = time.perf_counter() - clock
        runs.append(dict(gpu_ms=a.elapsed_time(b) / steps, wall_ms=clock * 1e3 / steps)); ok &= walk_ok(e, t, first, steps)
    ms = statistics.median(r["wall_ms"] for r in runs); floor = floor_bytes(t, prompt + steps / 2) / bandwidth / 1e6
    row = dict(batch=t, context=[prompt, prompt + steps], ms_per_step=ms, tokens_per_s=t / ms * 1e3, floor_ms=floor, share_of_floor=floor / ms, walk_ok=ok, nodes=e.nodes(t), runs=runs, best_today_h100=BEST_TODAY_H100.get(t))
    print(f"batch {t:3d}: {ms:7.3f} ms/step {row['tokens_per_s']:9.0f} tok/s  floor {floor:6.3f} ms ({100 * floor / ms:4.1f} %)  walk {'ok' if ok else 'WRONG'}", flush=True)
    return row

def time_ops(e, t, context=789, rounds=4):
    """Microseconds a launch of each kernel: a graph of it alone over the layers' own weights, so they come from memory."""
    e.start(torch.randint(1000, 120000, (t,)).tolist(), [context] * t); e.step(t); e.begin(t); torch.cuda.synchronize()
    for n in range(1, LAYERS): e.router(t, n)
    torch.cuda.synchronize()
    moe, every = range(1, LAYERS), range(LAYERS)
    experts = len(e.top_experts[:t].unique())
    expert_bytes = lambda rows: (experts + 2) * rows * 2
    ops = {"qkv_rope": (lambda n: e.qkv(t, n), every, 3 * HIDDEN * HIDDEN * 2), "paged_attention": (lambda n: e.attention(t, n), every, t * (context + 1) * 5120), "o_proj": (lambda n: e.o(t, n), every, HIDDEN * HIDDEN * 2),
           "expert_gate_up": (lambda n: e.gate_up(t, n), moe, expert_bytes(2 * EXPERT_INTER * HIDDEN)), "expert_down": (lambda n: e.down(t, n), moe, expert_bytes(EXPERT_INTER * HIDDEN)),
           "dense_gate_up": (lambda n: e.dense_gate_up(t), [0], 2 * DENSE_INTER * HIDDEN * 2), "dense_down": (lambda n: e.dense_down(t), [0], DENSE_INTER * HIDDEN * 2),
           "lm_head": (lambda n: e.head(t), [0], VOCAB * HIDDEN * 2), "step_begin": (lambda n: e.begin(t), [0], 0)}
    if t > 8: ops["rms_norm of 8 slots"] = (lambda n: e.norm(t, 8, e.top_weights, e.w.norm), every, 0)
    e.slots.zero_()
    out = {}
    for name, (work, layers, size) in ops.items():
        def many():
            for _ in range(rounds):
                for n in layers: work(n)
        g = e.graph(many); us = statistics.median(events(g.replay, 7)) * 1e3 / (rounds * len(layers))
        out[name] = dict(us=us, gb_s=size / us / 1e3 if size else None)
        e.x.normal_(); e.best.zero_()
    # the router last: its buckets fill up, so the counts are put back each time round
    if t <= 8:
        g = e.graph(lambda: [e.router(t, n) for _ in range(rounds) for n in moe]); us = statistics.median(events(g.replay, 7)) * 1e3 / (rounds * len(moe)); out["router_top6"] = dict(us=us, gb_s=None)
    print(f"ops at batch {t}, context {context}, {experts} experts chosen: " + "; ".join(f"{k} {v['us']:.1f} us" + (f" {v['gb_s']:.0f} GB/s" if v["gb_s"] else "") for k, v in out.items()), flush=True)
    return dict(batch=t, context=context, experts=experts, ops=out)


def sweep(e, text, context=789, steps=200):
    """Steps under other engine settings: "batch:name=value,name=value;..." in the order given, twice each."""
    out = []
    for entry in text.split(";"):
        t, _, settings = entry.partition(":"); t = int(t); was = {}
        for item in filter(None, settings.split(",")):
            k, v = item.split("=")
            if k in TILES:                                  # head=m128n128: the tile an op uses for this batch
                tile = next(x for x in TILES[k].values() if x[0] == v)
                was[k] = TILES[k][bucket(t)]; TILES[k][bucket(t)] = tile
            else: was[k] = getattr(e, k); setattr(e, k, type(was[k])(int(v)))
        first = torch.randint(1000, 120000, (t,)).tolist(); e.start(first, [context] * t); e.step(t); torch.cuda.synchronize()
        g = e.graph(lambda: e.step(t)); runs = []
        for _ in range(2):
            e.start(first, [context] * t)
            runs += [x / steps for x in events(lambda: [g.replay() for _ in range(steps)], 1, 0)]
        print(f"  batch {t:3d} {settings or 'as it is':50s} {runs[0]:.4f} {runs[1]:.4f} ms  {t / min(runs) * 1e3:.0f} tok/s", flush=True)
        out.append(dict(batch=t, settings=settings, ms=runs, context=[context, context + steps]))
        for k, v in was.items():
            if k in TILES: TILES[k][bucket(t)] = v
            else: setattr(e, k, v)
    return out


def timeline(e, t, context=789, steps=5):
    """Mean duration of each kernel inside the step's graph, and the time no kernel ran."""
    from torch.profiler import profile, ProfilerActivity
    e.start(torch.randint(1000, 120000, (t,)).tolist(), [context] * t); e.step(t); torch.cuda.synchronize()
    g = e.graph(lambda: e.step(t))
    for _ in range(20): g.replay()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as p:
        for _ in range(steps): g.replay()
        torch.cuda.synchronize()
    spans, names = [], {}
    for k in p.events():
        spans.append((k.time_range.start, k.time_range.end)); names.setdefault(k.name, []).append(k.time_range.end - k.time_range.start)
    spans.sort(); busy, end = 0.0, spans[0][0]
    for a, b in spans: busy += max(0.0, b - max(a, end)); end = max(end, b)
    whole = (end - spans[0][0]) / steps
    rows = {k: dict(us=sum(v) / len(v), launches=len(v) / steps, share_us=sum(v) / steps) for k, v in names.items()}
    print(f"timeline batch {t}: span {whole:.0f} us a step, idle {whole - busy / steps:.0f}: " + "; ".join(f"{k} {r['launches']:.0f} x {r['us']:.1f}" for k, r in sorted(rows.items(), key=lambda x: -x[1]['share_us'])), flush=True)
    return dict(batch=t, span_us=whole, idle_us=whole - busy / steps, kernels=rows)


def main():
    p = argparse.ArgumentParser(); p.add_argument("what", nargs="*"); p.add_argument("--batches", default="1,8,32,64,128,256"); p.add_argument("--cubin"); p.add_argument("--json")
    p.add_argument("--check-batches", default="1,2,3,5,8,13,16,29,32,64,100,128,200,256"); p.add_argument("--repeats", type=int, default=3); p.add_argument("--page", type=int, default=32); p.add_argument("--heads-first", action="store_true"); p.add_argument("--no-overlap", action="store_true")
    p.add_argument("--sweep", default="", help=sweep.__doc__); p.add_argument("--set", action="append", default=[], help="engine attribute, name=integer")
    a = p.parse_args(); what = a.what or ["check", "walk", "time", "ops"]; batches = [int(b) for b in a.batches.split(",")]
    torch.manual_seed(7); torch.set_grad_enabled(False); torch.cuda.init(); torch.zeros(1, device=DEV)
    with tempfile.TemporaryDirectory() as folder:
        cubins = [os.path.join(a.cubin, f) for f in sorted(os.listdir(a.cubin)) if f.endswith(".cubin")] if a.cubin else compile_kernels(folder)
        driver = Driver(cubins)
    driver.overlap = not a.no_overlap
    clock = time.time(); weights = Weights(); torch.cuda.synchronize()
    result = dict(gpu=torch.cuda.get_device_name(), torch=torch.__version__, date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), arguments=" ".join(what), batches=batches, settings=a.set, overlap=driver.overlap, page=a.page, heads_first=a.heads_first)
    try: result["clocks"] = subprocess.run(["nvidia-smi", "--query-gpu=clocks.sm,clocks.mem,power.limit,driver_version", "--format=csv,noheader"], capture_output=True, text=True).stdout.strip()
    except OSError: pass
    print(f"{result['gpu']} weights {time.time() - clock:.1f} s", flush=True)
    checker = Checker()
    def save():
        if a.json:
            result["checks"], result["failed"] = checker.rows, checker.failed
            with open(a.json, "w") as f: json.dump(result, f, indent=1)
    try:
        if "check" in what:
            clock = time.time()
            check_ops(driver, weights, [int(b) for b in a.check_batches.split(",")], checker, a.heads_first, a.page)
            for k, v in checker.rows.items(): print(f"  {k:56s} {v:.2e}")
            print(f"checks: {len(checker.rows)} kinds, {len(checker.failed)} failures, {time.time() - clock:.1f} s", flush=True); save()
        if {"walk", "time", "ops", "sweep", "timeline"} & set(what):
            most = max(max(batches), 32)
            e = Engine(driver, weights, most, 1312, a.page, a.heads_first)
            for s in a.set: k, v = s.split("="); setattr(e, k, type(getattr(e, k))(int(v)))
            e.fill_cache()
            if "walk" in what:
                for t in sorted({1, 8, 32} | set(batches)): check_walk(e, t, 256, checker)
                save()
            if "time" in what:
                result["copy_gb_s"] = copy_bandwidth(); print(f"copy {result['copy_gb_s']:.0f} GB/s", flush=True)
                result["decode"] = []
                for t in batches: result["decode"].append(time_decode(e, t, result["copy_gb_s"], a.repeats)); save()
            if "ops" in what:
                result["ops"] = []
                for t in batches: result["ops"].append(time_ops(e, t)); save()
            if "sweep" in what: result["sweep"] = sweep(e, a.sweep); save()
            if "timeline" in what:
                result["timeline"] = []
                for t in batches: result["timeline"].append(timeline(e, t)); save()
    finally: save()
    if checker.failed: raise SystemExit(f"{len(checker.failed)} checks failed: {checker.failed[:8]}")

if __name__ == "__main__": main()
