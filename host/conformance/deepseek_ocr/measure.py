"""Everything that wants a GPU, in one run: PyTorch's own bf16 error by stage, the zeroing table, tokens, speed.

    python3 measure.py --out results                         # the full checkpoint on cuda: four minutes on an H200
    python3 measure.py --rehearse --out /tmp/rehearsal       # the tiny one on the CPU

Writes `measure.json` and one thinned f32 dump per input, `INPUT.safetensors`, for `compare.py`. Parts are saved as
they end, so that a run that is cut short leaves what it had.
"""

import argparse
import datetime
import functools
import hashlib
import json
import pathlib
import platform
import statistics
import subprocess
import time
import traceback

import PIL
import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import DynamicCache

import make_fixtures
import pictures
import preprocess
import recipe
import samples
import zero_stages
from compare import error, first_difference, order
from reference import DTYPES, PROMPTS, Model, Notes, Synthetic, exact_arithmetic, run, silent
from zero_stages import Input

LIMIT = 512  # samples kept of a stage


class Drawn(Input):
    """An input whose image is the harsh picture, not a page."""

    @functools.lru_cache
    def image(self):
        return pictures.picture("RGB", self.width, self.height, self.seed)


INPUTS = [
    Input("tiny", "tiny", "free", 613, 401, 11),
    Input("small", "small", "figure", 800, 600, 12),
    Input("base", "base", "markdown", 850, 1100, 13),
    Drawn("base-picture", "base", "describe", 777, 777, 14),
    Input("large", "large", "markdown", 1700, 2200, 15),
    Input("gundam-2x3", "gundam", "markdown", 1275, 1650, 16),
    Input("gundam-2x1", "gundam", "ocr", 1400, 700, 17),
    Input("gundam-3x3", "gundam", "locate", 2000, 2000, 18),
]
ZEROED = [INPUTS[2], INPUTS[6]]
FIXTURES = pathlib.Path(__file__).parents[2] / "models/deepseek_ocr/tests/data"
SUMS = ["lm_head.weight", "model.layers.1.mlp.gate.weight", "model.sam_model.net_3.weight"]


def lines(value, depth=0):
    """JSON with a line for each entry of the outer three levels, and one for what lies below."""
    if depth < 3 and value and isinstance(value, dict):
        inner = (f"{json.dumps(name)}: {lines(entry, depth + 1)}" for name, entry in value.items())
    elif depth < 3 and value and isinstance(value, list) and isinstance(value[0], dict):
        inner = (json.dumps(entry) for entry in value)
    else:
        return json.dumps(value)
    pad = " " * (depth + 1)
    ends = "{}" if isinstance(value, dict) else "[]"
    return f"{ends[0]}\n{pad}" + f",\n{pad}".join(inner) + f"\n{' ' * depth}{ends[1]}"


class Kept(Synthetic):
    """A synthetic checkpoint whose tensors are made once and kept on the device."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.made = {}

    def tensor(self, name):
        if name not in self.made:
            self.made[name] = super().tensor(name)
        return self.made[name]


class Measuring:
    def __init__(self, options):
        self.options, self.device = options, "cpu" if options.rehearse else "cuda"
        self.kind, self.walk = ("tiny", "tiny-walk") if options.rehearse else ("full", "walk")
        self.result, self.began = {}, time.perf_counter()

    def sync(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def save(self):
        self.options.out.mkdir(parents=True, exist_ok=True)
        (self.options.out / "measure.json").write_text(lines(self.result) + "\n")

    def part(self, name, work):
        """Runs one part; a failure or a late start is written down and the next part goes on."""
        began = time.perf_counter()
        if began - self.began > self.options.limit:
            self.result[name] = dict(skipped="no time left")
        else:
            try:
                self.result[name] = work()
            except Exception:
                self.result[name] = dict(failed=traceback.format_exc())
                traceback.print_exc()
        self.sync()
        print(f"[{time.perf_counter() - self.began:6.1f} s] {name} took {time.perf_counter() - began:.1f} s", flush=True)
        self.save()

    def machine(self):
        driver = ""
        if self.device == "cuda":
            ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            driver = subprocess.run(ask, capture_output=True, text=True).stdout.strip()
        return dict(
            date=datetime.date.today().isoformat(), kind=self.kind, seed=1,
            device=torch.cuda.get_device_name() if self.device == "cuda" else platform.processor() or "cpu",
            driver=driver, torch=torch.__version__, cuda=torch.version.cuda, transformers=transformers.__version__,
            pillow=PIL.__version__, python=platform.python_version())

    def sums(self):
        source = Synthetic(self.kind, 1, self.device)
        return {name: hashlib.sha256(source.tensor(name).view(torch.uint16).cpu().numpy().tobytes()).hexdigest()
                for name in SUMS}

    def fixtures(self):
        """The committed stages of the tiny checkpoint, on this device: what f32 differs by between machines."""
        model, rows = Model(Synthetic("tiny", make_fixtures.SEED, self.device), DTYPES["f32"], self.device), {}
        for name, case in make_fixtures.CASES.items():
            image, prompt = pictures.page(*case["page"], case["page_seed"]), PROMPTS[case["task"]]
            notes = run(model, image, case["mode"], prompt, case["max_crops"], make_fixtures.TOKENS, {})
            kept = samples.load(FIXTURES / f"tiny-{name}.safetensors")
            rows[name] = {stage: error((notes, {}), kept, stage) for stage in kept[0] if order(stage) is not None}
            rows[name]["tokens_part_at"] = first_difference(notes["tokens"].tolist(), kept[0]["tokens"].tolist())
        return rows

    def load(self):
        source = Kept(self.kind, 1, self.device)
        self.f32 = Model(source, DTYPES["f32"], self.device, "eager")
        self.bf16 = Model(source, DTYPES["bf16"], self.device, "grouped_mm")
        source.made.clear()
        memory = torch.cuda.memory_allocated() / 2**30 if self.device == "cuda" else 0
        return dict(gib_of_both_models=memory)

    def prefill(self, model, x, note=silent):
        return model.prefill(x.image(), x.mode, PROMPTS[x.task], x.most, note)

    def stages(self):
        """bf16's own error, and the dumps."""
        rows = {}
        self.logits = {}
        for x in INPUTS:
            f32, bf16 = Notes(), Notes()
            with sdpa_kernel(SDPBackend.MATH):
                self.logits[x.name] = self.prefill(self.f32, x, f32.note)
            logits, cache, prompt = self.prefill(self.bf16, x, bf16.note)
            self.logits[x.name, "bf16"] = logits, cache, prompt
            names = sorted((name for name in f32 if order(name) is not None), key=order)
            errors = {name: error((bf16, {}), (f32, {}), name) for name in names}
            f32["prompt_ids"] = f32["prompt_ids"].int()
            samples.save(f32, self.options.out / f"{x.name}.safetensors", self.options.samples, dtype="f32", torch=torch.__version__,
                         bf16_errors=errors, input=dict(
                             image="picture" if isinstance(x, Drawn) else "page", size=[x.width, x.height],
                             image_seed=x.seed, mode=x.mode, task=x.task, prompt=PROMPTS[x.task], max_crops=x.most,
                             weights=self.kind, weights_seed=1))
            rows[x.name] = dict(mode=x.mode, size=[x.width, x.height], seed=x.seed, task=x.task,
                                prompt_ids=len(f32["prompt_ids"]), bf16_error=errors,
                                rms={name: float(f32[name].pow(2).mean().sqrt()) for name in names})
        return rows

    def tokens(self):
        rows, count = {}, self.options.tokens
        self.f32.decoder.set_experts_implementation("batched_mm")
        self.bf16.decoder.set_experts_implementation("batched_mm")
        for x in INPUTS:
            logits, cache, prompt = self.logits.pop(x.name)
            exact, ids, values = self.f32.generate(logits, cache, prompt.ids, count, stop=())
            logits, cache, prompt = self.logits.pop((x.name, "bf16"))
            rounded, _, _ = self.bf16.generate(logits, cache, prompt.ids, count, stop=())
            step = first_difference(rounded.tolist(), exact.tolist())
            margins = values[:, 0] - values[:, 1]
            samples.add(self.options.out / f"{x.name}.safetensors", {"tokens": exact.int(), "margins": margins})
            row = dict(f32=exact.tolist(), bf16=rounded.tolist(), bf16_parts_at=step, least_margin=float(margins.min()))
            if step is not None and step < len(ids):
                best = ids[step].tolist()
                row.update(margin_there=float(margins[step]),
                           bf16_took_choice=best.index(int(rounded[step])) + 1 if int(rounded[step]) in best else None)
            if x in ZEROED:  # f32 once more with other kernels: how firm are the reference's own tokens?
                self.f32.decoder.set_experts_implementation("eager")
                logits, cache, prompt = self.prefill(self.f32, x)
                again, _, _ = self.f32.generate(logits, cache, prompt.ids, count // 2, stop=())
                self.f32.decoder.set_experts_implementation("batched_mm")
                row["other_f32_kernels_part_at"] = first_difference(again.tolist(), exact.tolist()[: len(again)])
            rows[x.name] = row
        self.f32.decoder.set_experts_implementation("eager")
        self.bf16.decoder.set_experts_implementation("grouped_mm")
        return rows

    def zeroing(self):
        bf16 = zero_stages.logits_of(self.bf16, ZEROED)
        with sdpa_kernel(SDPBackend.MATH):
            rows, noise = zero_stages.table(self.f32, ZEROED, bf16)
            router = zero_stages.router_margins(self.f32, ZEROED)
        return dict(inputs=[x.name for x in ZEROED], bf16_error_of_logits=noise, router=router, stages=rows)

    def timed(self, work, repeats):
        """Median milliseconds, by events on a GPU."""
        for _ in range(2):
            work()
        times = []
        for _ in range(repeats):
            if self.device == "cuda":
                start, end = torch.cuda.Event(True), torch.cuda.Event(True)
                start.record()
                work()
                end.record()
                end.synchronize()
                times.append(start.elapsed_time(end))
            else:
                began = time.perf_counter()
                work()
                times.append(1e3 * (time.perf_counter() - began))
        return dict(median_ms=statistics.median(times), least_ms=min(times), most_ms=max(times))

    @torch.no_grad()
    def speed(self):
        """Transformers as it comes, bf16, batch 1."""
        rows, model = {}, self.bf16
        for name in ("base", "gundam-2x3"):
            x = next(x for x in INPUTS if x.name == name)
            image = x.image()
            began = time.perf_counter()
            whole, cut, grid = preprocess.views(image, x.mode, x.most)
            row = dict(preprocess_ms=1e3 * (time.perf_counter() - began))
            whole, cut = model.pixels([whole]), model.pixels(cut) if cut else []
            row["vision"] = self.timed(lambda: model.image_embeds(whole, cut, grid, silent), 10)
            embeds = model.image_embeds(whole, cut, grid, silent)
            prompt = model.prompt(PROMPTS[x.task], len(embeds))
            inputs = model.decoder.embed_tokens(prompt.ids).masked_scatter(prompt.is_image[:, None], embeds)
            row["prompt_tokens"] = len(prompt.ids)
            model.decoder.set_experts_implementation("grouped_mm")
            row["prefill"] = self.timed(
                lambda: model.step(inputs, DynamicCache(config=model.decoder.config)), 10)
            for experts in ("grouped_mm", "batched_mm", "eager"):
                model.decoder.set_experts_implementation("grouped_mm")
                cache = DynamicCache(config=model.decoder.config)
                logits = model.step(inputs, cache)
                model.decoder.set_experts_implementation(experts)
                windows = []
                for window in range(4):  # the first warms up
                    self.sync()
                    began = time.perf_counter()
                    for _ in range(self.options.decode):
                        logits = model.step(model.decoder.embed_tokens(logits.argmax(-1)[None]), cache)
                    self.sync()
                    windows.append(1e3 * (time.perf_counter() - began) / self.options.decode)
                median = statistics.median(windows[1:])
                row[f"decode_{experts}"] = dict(ms_per_token=median, tokens_per_second=1e3 / median, windows_ms=windows)
            model.decoder.set_experts_implementation("grouped_mm")
            rows[name] = row
        return rows

    def walking(self):
        """The walk's greedy output is what the formula says, in bf16 and behind an image."""
        del self.f32, self.bf16
        if self.device == "cuda":
            torch.cuda.empty_cache()
        model = Model(Kept(self.walk, 1, self.device), DTYPES["bf16"], self.device, "grouped_mm")
        x = INPUTS[2]
        logits, cache, prompt = self.prefill(model, x)
        model.decoder.set_experts_implementation("batched_mm")
        tokens, _, values = model.generate(logits, cache, prompt.ids, self.options.tokens, stop=())
        expected, vocabulary = int(prompt.ids[-1]), model.head.out_features
        good = 0
        for token in tokens.tolist():
            expected = (recipe.MULTIPLIER * expected + recipe.INCREMENT) % vocabulary
            good += token == expected
        return dict(tokens=len(tokens), as_foretold=good, least_margin=float((values[:, 0] - values[:, 1]).min()),
                    first=tokens[:8].tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--decode", type=int, default=32, help="tokens in a timed window")
    parser.add_argument("--limit", type=float, default=260, help="seconds after which no part starts")
    parser.add_argument("--parts", nargs="+", metavar="PART", help="these only, in their order (stages needs load)")
    parser.add_argument("--samples", type=int, default=LIMIT, help="elements kept of a stage")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    exact_arithmetic()
    torch.set_grad_enabled(False)
    measuring = Measuring(options)
    every = ("machine", "sums", "fixtures", "load", "stages", "speed", "zeroing", "tokens", "walking")
    for name in options.parts or every:
        measuring.part(name, getattr(measuring, name))


if __name__ == "__main__":
    main()
