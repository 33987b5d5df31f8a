"""Takes the figures of the GPU engine on one GPU and prints them as a table, with what each must reach.

    cargo build --release --features ocr-kernels/cuda,ocr-model-deepseek/cuda -p ocr-kernels -p ocr-model-deepseek \\
        -p ocr-synthetic --examples --bins
    python3 bench.py

Makes the two checkpoints by formula (12.5 GB in --weights) unless they are there, runs each part as a program of its own,
and writes everything it heard to OUT/bench.json.gz, with the machine and the commit, and the table to OUT/table.md. A part that
fails is written down, and the next one runs. What OUT has from the same commit and machine stays, unless its part is run again:
so the parts can be taken in several goes. Where CUPTI is found, or with --busy LIBRARY (see gpu_busy.cpp), the page runs are
also taken under it.
"""

import argparse
import datetime
import gzip
import json
import os
import pathlib
import platform
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
SIZE = "1240x1754"
PARTS = ["kernels", "vision", "decode", "pages", "busy", "roads", "f32", "alike", "storm", "short"]

# What an H100 must reach, and the goal; the sign says which way is better.
BOUNDS = {
    **{f"decode, {rows} streams, tok/s": (">", must, goal)
       for rows, must, goal in [(1, 1000, 1600), (8, 3600, 4800), (32, 10000, 11500), (64, 15000, 18000),
                                (128, 20000, 26000), (256, 26000, 34000)]},
    "Base pages/s, 128 x 1,000 tokens from PNG": (">", 12, 20),
    "Gundam pages/s, 128 x 1,000 tokens from PNG": (">", 9, 13),
    "vision + prefill, ms a page, Base": ("<", 15, 8),
    "vision + prefill, ms a page, Gundam": ("<", 30, 15),
    "first token from a PNG, ms, Base": ("<", 60, 25),
    "first token from a PNG, ms, Gundam": ("<", 120, 50),
    "GPU busy over a page run, %, Base": (">", 85, 95),
    "GPU busy over a page run, %, Gundam": (">", 85, 95),
}


def verdict(name, value):
    """What a figure is worth: the must, the goal, and which of them it reaches."""
    if name not in BOUNDS:
        return "", "", ""
    sign, must, goal = BOUNDS[name]
    better = value.__ge__ if sign == ">" else value.__le__
    reached = "goal" if better(goal) else "must" if better(must) else "MISSED"
    return f"{must:,}", f"{goal:,}", reached


class Bench:
    def __init__(self, options):
        self.options, self.heard, self.began = options, [], time.time()
        self.walk, self.full = options.weights / "walk", options.weights / "full"
        self.file = options.out / "bench.json.gz"
        if self.file.exists():
            before = json.loads(gzip.open(self.file, "rt").read())
            if (before["commit"], before["machine"]) == (options.commit, machine()):
                self.heard = [row for row in before["runs"] if row["part"] not in options.parts]

    def program(self, name):
        beside = self.options.bin / name
        return str(beside if beside.exists() else self.options.bin.parent / name)

    def make_weights(self):
        making = [subprocess.Popen([self.program("synthetic"), folder.name, str(folder)])
                  for folder in (self.walk, self.full) if not folder.exists()]
        for program in making:
            if program.wait() != 0:
                raise SystemExit(f"{program.args[0]} could not write a checkpoint to {program.args[-1]}")

    def find_busy(self):
        """The library that says how busy the GPU is; made here where none is named and CUPTI is found."""
        if self.options.busy or shutil.which("g++") is None:
            return self.options.busy
        homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda", "/usr/local/cuda/extras/CUPTI"]
        for home in map(pathlib.Path, filter(None, homes)):
            for lib in [*home.glob("lib*/libcupti.so*"), *home.glob("targets/*/lib/libcupti.so*")]:
                made = self.options.weights / "libgpu_busy.so"
                include = [f"-I{folder}" for folder in {home / "include", lib.parent.parent / "include"}]
                if subprocess.run(["g++", "-std=c++17", "-O2", "-shared", "-fPIC", *include, HERE / "gpu_busy.cpp", "-o", made,
                                   lib, f"-Wl,-rpath,{lib.parent}"], stderr=subprocess.DEVNULL).returncode == 0:
                    return made
        return None

    def run(self, part, *words, limit=120, results=None, **environment):
        """Runs a program; keeps the JSON objects it prints, or what it writes to the file that `results` names."""
        began = time.time()
        row = dict(part=part, command=" ".join(map(str, words)))
        try:
            done = subprocess.run([self.program(words[0]), *map(str, words[1:])], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, timeout=limit, env={**os.environ, **environment})
            row.update(code=done.returncode, said=done.stderr[-3000:])
            text = pathlib.Path(results).read_text() if results else done.stdout
            row["results"] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        except (subprocess.TimeoutExpired, OSError, json.JSONDecodeError) as error:
            row["failed"] = str(error)[-500:]
        row["seconds"] = round(time.time() - began, 1)
        self.heard.append(row)
        good = row.get("code") == 0 and "failed" not in row
        print(f"[{time.time() - self.began:5.0f} s] {part}: {'done' if good else 'FAILED'} in {row['seconds']} s", flush=True)
        if not good:
            print(row.get("failed", ""), row.get("said", "")[-800:], flush=True)
        self.save()

    def save(self):
        self.options.out.mkdir(parents=True, exist_ok=True)
        with gzip.open(self.file, "wt") as file:
            json.dump(dict(machine=machine(), commit=self.options.commit, runs=self.heard), file, indent=1)

    def part(self, name):
        scratch = str(self.options.weights / "bench-result.json")
        pages = ("page_bench", self.walk, "cuda:0", "bf16", "base,gundam", 128, 1000, SIZE, 128)
        if name == "kernels":
            self.run("kernels", "step_check", "operations", "walk")
        elif name == "vision":
            self.run("vision", "step_check", "vision", "prefill")
        elif name == "decode":
            self.run("decode", "step_check", "time", "deterministic", "bytes", RUNS=str(self.options.runs),
                     limit=60 + 60 * self.options.runs)
        elif name == "pages":
            self.run("pages", *pages)
            self.run("pages", *pages, "deterministic")
            self.run("pages", *pages, "int8")
        elif name == "roads":
            for more in ([], ["int8"]):
                self.run("roads", "roads", self.full, 48, scratch, *more, results=scratch)
        elif name == "f32":
            self.run("f32", "roads", "f32", self.full, 256, scratch, limit=400, results=scratch)
        elif name == "alike":
            for more in (["deterministic"], []):
                self.run("alike", "storm", "alike", self.full, 32, 64, scratch, *more, results=scratch)
        elif name == "storm":
            self.run("storm", "storm", self.walk, 500, scratch, results=scratch)
        elif name == "short":
            self.run("short", "storm", "short", self.walk, 24, scratch, results=scratch)
        elif name == "busy" and (library := self.find_busy()):
            busy = self.options.weights / "busy.json"
            self.run("busy", *pages, PAUSE="1", CUDA_INJECTION64_PATH=str(library), GPU_BUSY=str(busy))
            if busy.exists():
                self.heard[-1]["busy"] = json.loads(busy.read_text())
                self.save()

    def results(self, part, **wanted):
        for row in self.heard:
            for result in row.get("results", []) if row["part"] == part else []:
                if all(result.get(key) == value for key, value in wanted.items()):
                    yield result

    def busy(self):
        """Of each mode's run of pages, the share in which the GPU worked: the longest stretches, in the order of the modes."""
        for row in self.heard:
            stretches = [s for s in row.get("busy", []) if s["ms"] > 1000]
            longest = sorted(stretches, key=lambda s: -s["ms"])[:2]
            if len(longest) == 2:
                return [100 * s["busy"] for s in stretches if s in longest]
        return [None, None]

    def figures(self):
        """All figures: name, digits after the point, and the value of each way to run."""
        decode = next(self.results("decode"), {})
        for at, rows in enumerate([1, 8, 32, 64, 128, 256]):
            yield (f"decode, {rows} streams, tok/s", 0, *(
                kind["decode"][at]["tokens_a_second"] if (kind := decode.get(name)) else None
                for name in ("time", "deterministic", "bytes")))
        kinds = [dict(deterministic=False, experts="Bf16"), dict(deterministic=True), dict(experts="Int8")]
        titles = [("{} pages/s, 128 x 1,000 tokens from PNG", lambda r: r["together"]["pages_per_s"]),
                  ("vision + prefill, ms a page, {}", lambda r: r["first_token_of_all"]["ms_per_page"]),
                  ("first token from a PNG, ms, {}", lambda r: r["alone"]["first_token_ms"]),
                  ("of that the file and its views, {}", lambda r: r["alone"]["of_that_file_and_views_ms"])]
        for title, value in titles:
            for mode in ("base", "gundam"):
                found = [next(self.results("pages", mode=mode, **kind), None) for kind in kinds]
                yield (title.format(mode.capitalize()), 1, *(one and value(one) for one in found))
        for mode, share in zip(("Base", "Gundam"), self.busy()):
            yield f"GPU busy over a page run, %, {mode}", 1, share, None, None

    def claims(self):
        """What must hold beside the figures: a sentence, and whether it does."""
        for part in ("kernels", "vision"):
            for result in self.results(part):
                errors = {**result.get("operations", {}), **result.get("vision", {})}
                yield (f"{part}: {len(errors)} operations against their twins, largest error {max(errors.values()):.1e}; "
                       f"walks and prefills: {len(result['failures'])} failures", not result["failures"])
        for result in self.results("f32"):
            for batch in result["batches"]:
                parted = "".join(f"; page {p['page']} parts at token {p['token']}, where the two are {p['gap']:.1e} apart"
                                 for p in batch["parted"])
                how = "f32, deterministic" if batch["deterministic"] else "f32"
                yield (f"{how}, {batch['at_a_time']} at a time: {batch['pages'] - len(batch['parted'])} of {batch['pages']} pages are "
                       f"the plain road's to the last of {batch['tokens']:,} tokens{parted}",
                       not batch["parted"] if batch["deterministic"] else len(batch["parted"]) <= batch["pages"] // 10)
        for result in self.results("roads"):
            own = result["plain_bf16"]
            for batch in result["batches"]:
                got = batch["fast"]
                share, usual = got["not_the_best"] / got["tokens"], own["not_the_best"] / own["tokens"]
                yield (f"{result['experts']}, {batch['at_a_time']} at a time: {got['not_the_best']} of {got['tokens']} tokens are "
                       f"not f32's ({100 * share:.1f} %, plain bf16 {100 * usual:.1f} %), by {got['median_gap']:.2f} in the middle "
                       f"and {got['most']:.2f} at most", share < 2 * usual + 0.02)
        for result in self.results("alike"):
            for batch in result["batches"]:
                differ = batch["differ_from_alone"]
                if result["deterministic"]:
                    yield (f"deterministic, {batch['at_a_time']} at a time: {differ} of {result['pages']} pages differ from what "
                           "they are alone", differ == 0)
        for result in self.results("storm"):
            yield (f"storm: {result['pages']} pages, {result['given_up']} given up, {result['preempted']} made room, "
                   f"{result['wrong']} wrong, {result['sequences_left']} left, {result['free_blocks']} of {result['blocks']} "
                   "blocks free", result["wrong"] == result["sequences_left"] == 0
                   and result["free_blocks"] == result["blocks"])
        for result in self.results("short"):
            for at, there in enumerate(result["rounds"]):
                yield (f"short: {there['left_bytes'] >> 20:,} MiB left, {there['times_shrunk']} times fewer views, {there['right']} of "
                       f"{result['pages']} pages right, {there['failed']} failed by themselves",
                       there["right"] == result["pages"] if at else there["right"] + there["failed"] == result["pages"])

    def table(self):
        lines = [("figure", "must", "goal", "reached", "fast", "--deterministic", "--expert-weights int8"), ("---",) * 7]
        for name, digits, *values in self.figures():
            shown = ["" if value is None else f"{value:,.{digits}f}" for value in values]
            lines.append((name, *(verdict(name, values[0]) if values[0] is not None else ("", "", "not run")), *shown))
        text = "".join("| " + " | ".join(line) + " |\n" for line in lines) + "\n"
        for sentence, holds in self.claims():
            text += f"- {'holds' if holds else 'DOES NOT HOLD'}: {sentence}\n"
        for row in self.heard:
            if row.get("code") != 0 or "failed" in row:
                text += f"- FAILED: {row['part']}, `{row['command']}`\n"
        (self.options.out / "table.md").write_text(text)
        print(text, end="")


def machine():
    ask = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        gpu = subprocess.run(ask, capture_output=True, text=True).stdout.strip()
    except OSError:
        gpu = ""
    return dict(gpu=gpu, cores=os.cpu_count(), date=datetime.date.today().isoformat(), python=platform.python_version())


def commit():
    said = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return said.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=HERE / "../../../target/release/examples",
                        help="the folder of the examples' programs")
    parser.add_argument("--weights", type=pathlib.Path, default="/dev/shm", help="where the checkpoints are or go")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results/bench")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--runs", type=int, default=3, help="of each decode figure")
    parser.add_argument("--busy", type=pathlib.Path, help="the library made of gpu_busy.cpp")
    parser.add_argument("--commit", default=commit(), help="what was built")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    bench.make_weights()
    for name in options.parts:
        bench.part(name)
    bench.table()


if __name__ == "__main__":
    main()
