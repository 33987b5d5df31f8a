"""Takes the figures of the GPU engine on one GPU and prints them as a table.

    cargo build --release --features ocr-kernels/cuda,ocr-model-deepseek/cuda -p ocr-kernels -p ocr-model-deepseek \\
        -p ocr-synthetic --examples --bins
    python3 bench.py --bin ../../../target/release/examples --weights /dev/shm --out results

Makes the two checkpoints by formula (12.5 GB in --weights) unless they are there, runs each part as a program of its own,
and writes everything it heard to OUT/bench.json.gz with the machine and the commit. A part that fails is written down, and the
next one runs. With --busy LIBRARY (see gpu_busy.cpp) the page runs are also taken under CUPTI.
"""

import argparse
import datetime
import gzip
import json
import os
import pathlib
import platform
import subprocess
import time

SIZE = "1240x1754"
PARTS = ["vision", "decode", "pages", "roads", "alike", "storm", "short", "busy"]


class Bench:
    def __init__(self, options):
        self.options, self.heard, self.began = options, [], time.time()
        self.walk, self.full = options.weights / "walk", options.weights / "full"

    def program(self, name):
        beside = self.options.bin / name
        return str(beside if beside.exists() else self.options.bin.parent / name)

    def make_weights(self):
        making = [subprocess.Popen([self.program("synthetic"), folder.name, str(folder)])
                  for folder in (self.walk, self.full) if not folder.exists()]
        for program in making:
            program.wait()

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
        with gzip.open(self.options.out / "bench.json.gz", "wt") as file:
            json.dump(dict(machine=machine(), commit=self.options.commit, runs=self.heard), file, indent=1)

    def part(self, name):
        scratch = str(self.options.weights / "bench-result.json")
        pages = ("page_bench", self.walk, "cuda:0", "bf16", "base,gundam", 128, 1000, SIZE, 128)
        if name == "vision":
            self.run("vision", "step_check", "vision", "prefill")
        elif name == "decode":
            self.run("decode", "step_check", "time", "deterministic", "bytes", RUNS=str(self.options.runs))
        elif name == "pages":
            self.run("pages", *pages)
            self.run("pages", *pages, "deterministic")
            self.run("pages", *pages, "int8")
        elif name == "roads":
            for more in ([], ["int8"]):
                self.run("roads", "roads", self.full, 48, scratch, *more, results=scratch)
        elif name == "alike":
            for more in (["deterministic"], []):
                self.run("alike", "storm", "alike", self.full, 32, 64, scratch, *more, results=scratch)
        elif name == "storm":
            self.run("storm", "storm", self.walk, 500, scratch, results=scratch)
        elif name == "short":
            self.run("short", "storm", "short", self.walk, 24, scratch, results=scratch)
        elif name == "busy" and self.options.busy:
            busy = self.options.weights / "busy.json"
            self.run("busy", *pages, PAUSE="1", CUDA_INJECTION64_PATH=str(self.options.busy), GPU_BUSY=str(busy))
            if busy.exists():
                self.heard[-1]["busy"] = json.loads(busy.read_text())
                self.save()

    def results(self, part, **wanted):
        for row in self.heard:
            for result in row.get("results", []) if row["part"] == part else []:
                if all(result.get(key) == value for key, value in wanted.items()):
                    yield result

    def table(self):
        lines = [("figure", "fast", "--deterministic", "--expert-weights int8")]
        decode = next(self.results("decode"), {})
        for at, rows in enumerate([1, 8, 32, 64, 128, 256]):
            lines.append((f"decode, {rows} streams, tok/s", *(
                f"{kind['decode'][at]['tokens_a_second']:,.0f}" if (kind := decode.get(name)) else "-"
                for name in ("time", "deterministic", "bytes"))))
        kinds = [dict(deterministic=False, experts="Bf16"), dict(deterministic=True), dict(experts="Int8")]

        def pages(title, mode, value):
            found = [next(self.results("pages", mode=mode, **kind), None) for kind in kinds]
            lines.append((title, *(f"{value(one):.1f}" if one else "-" for one in found)))

        for mode in ("base", "gundam"):
            pages(f"{mode} pages/s, 128 x 1,000 tokens from PNG", mode, lambda r: r["together"]["pages_per_s"])
        for mode in ("base", "gundam"):
            pages(f"vision + prefill, ms a page, {mode}", mode, lambda r: r["first_token_of_all"]["ms_per_page"])
        for mode in ("base", "gundam"):
            pages(f"first token, ms, {mode}", mode, lambda r: r["alone"]["first_token_ms"])
            pages(f"  of that file and views, {mode}", mode, lambda r: r["alone"]["of_that_file_and_views_ms"])
        stretches = [s for row in self.heard for s in row.get("busy", []) if s["ms"] > 1000]
        for stretch in sorted(stretches, key=lambda s: -s["ms"])[:6]:
            lines.append((f"GPU busy over {stretch['ms'] / 1000:.1f} s", f"{100 * stretch['busy']:.1f} %", "", ""))
        for line in lines:
            print("| " + " | ".join(line) + " |")


def machine():
    ask = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        gpu = subprocess.run(ask, capture_output=True, text=True).stdout.strip()
    except OSError:
        gpu = ""
    return dict(gpu=gpu, cores=os.cpu_count(), date=datetime.date.today().isoformat(), python=platform.python_version())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder of the examples' programs")
    parser.add_argument("--weights", type=pathlib.Path, required=True, help="where the checkpoints are or go")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--runs", type=int, default=3, help="of each decode figure")
    parser.add_argument("--busy", type=pathlib.Path, help="the library made of gpu_busy.cpp")
    parser.add_argument("--commit", default="")
    options = parser.parse_args()
    bench = Bench(options)
    bench.make_weights()
    for name in options.parts:
        bench.part(name)
    bench.table()


if __name__ == "__main__":
    main()
