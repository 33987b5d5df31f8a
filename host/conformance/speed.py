"""Time and memory of the host beside its peers, at two threads, on the same page images in one run.

    python3 speed.py --host ocr-host --data DATA [--rounds 5] [--threads 2]

In every round each reader runs once as a process of its own over all pages, one after another, so that a disturbance
of the machine falls on all of them. Peers load their models, read one page unmeasured and then measure each page in
the process; a page of the host is a document of one page, from opening to the finished output (`ms` of the document in
`report.json`), and the whole process is measured from outside as well. Processor affinity
holds every reader to `--threads` cores. PDF pages are drawn to images first, at 144 dpi; drawing is on nobody's
clock. Run it on a quiet machine; the load is written into the result.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

PAGES = [
    "tesseract/phototest.tif", "tesseract/eurotext.tif", "tesseract/8087_054.3B.tif", "ocrmypdf/linn.png",
    "receipts/img/000.jpg", "receipts/img/016.jpg", "receipts/img/128.jpg", "receipts/img/304.jpg",
    "olmocr-sample/pdfs/multi_column_miss.pdf", "olmocr-sample/pdfs/earnings.pdf", "olmocr-sample/pdfs/olmo2-pg4.pdf",
    "olmocr-sample/pdfs/small_page_size.pdf",
]
OURS, OURS_ALL, OURS_RESCUE = "ocr-host, Markdown", "ocr-host, Markdown + HTML + JSON", "ocr-host, Markdown, small rescue"
RAPID_ON, RAPID_OFF = "RapidOCR 3.10, classifier on (default)", "RapidOCR 3.10, classifier off"
SAME_WEIGHTS = "tiny weights, onnxruntime"
STAGES = ["orientation", "detect", "recognize", "layout", "tables", "assemble", "render", "format"]


def page_images(data, folder):
    """The measured pages as files with distinct stems; PDFs are drawn."""
    import pypdfium2
    found = []
    for name in PAGES:
        source = data / name
        if source.suffix == ".pdf":
            with pypdfium2.PdfDocument(source) as document:
                image = document[0].render(scale=144 / 72).to_pil().convert("RGB")
            drawn = folder / f"{source.stem}.png"
            image.save(drawn, dpi=(144, 144))
            source = drawn
        found.append(source)
    return found


# ---- a peer, in a process of its own -----------------------------------------------------------------------------


def work(peer, weights, threads, images):
    """Loads a peer, reads all images, prints one JSON line."""
    import peers
    reader = peers.PEERS[peer](weights, threads)
    reader.read(images[0])
    first = time.time()
    pages = []
    for image in images:
        start = time.perf_counter()
        text = reader.read(image)
        page = {"seconds": time.perf_counter() - start, "characters": len(text)}
        if isinstance(reader, peers.ReferencePeer):
            page |= reader.engine.seconds
        pages.append(page)
    print(json.dumps({"first_page_at": first, "pages": pages}))


def run_peer(peer, options, images):
    command = [sys.executable, __file__, "--worker", peer, "--weights", options.weights, "--threads", options.threads, *images]
    start = time.time()
    run = harness.run_program(command, timeout_s=3600, environment={"OMP_NUM_THREADS": str(options.threads)})
    if run.code != 0:
        raise SystemExit(f"{peer}: {harness.parts_of(run)}")
    said = json.loads(run.stdout.strip().splitlines()[-1])
    return {"pages": said["pages"], "first_page_s": said["first_page_at"] - start, "peak_bytes": run.peak_bytes,
            "wall_s": run.seconds}


# ---- the host ----------------------------------------------------------------------------------------------------


def page_record(document):
    """Times of a document of one page in seconds, from `report.json`: as a whole and by stage."""
    page = document["pages"][0]
    stages = {stage: ms / 1000 for stage, ms in page["timings_ms"].items()}
    return {"seconds": document["ms"] / 1000, "stages_s": page["ms"] / 1000, "status": page["status"], **stages}


def run_host(to, extra, options, images):
    """One process a page, which also gives the time to the first page; then all pages in one process."""
    extra = ["--jobs", options.threads, *options.host_args.split(), *extra]
    pages, walls = [], []
    with tempfile.TemporaryDirectory() as folder:
        for index, image in enumerate(images):
            run, report = harness.convert(options.host, [image], Path(folder) / str(index), to, extra)
            if run.code != 0 or not report:
                raise SystemExit(f"{image.name}: {run.outcome()}: {harness.parts_of(run)}")
            pages.append(page_record(report["documents"][0]))
            walls.append(run.seconds)
        batch, report = harness.convert(options.host, images, Path(folder) / "all", to, extra, timeout_s=3600)
        in_batch = [page_record(document) for document in report["documents"]]
        _, report = harness.convert(options.host, [options.document], Path(folder) / "document", to, extra)
        document = report["documents"][0]
    return {"pages": pages, "process_s": walls, "first_page_s": walls[0], "batch_wall_s": batch.seconds,
            "batch_pages": in_batch, "peak_bytes": batch.peak_bytes,
            "document": {"pages": len(document["pages"]), "first_page_s": document["first_page_ms"] / 1000,
                         "all_pages_s": document["ms"] / 1000}}


def run_core(options, images, folder):
    """Detection + recognition alone: the engine's `read_page --plain`, its wall time less the page's orientation.

    The host's own stage times cannot tell: lines, layout and tables of a page share the threads, so `recognize` adds
    up what each thread spent.
    """
    from PIL import Image
    from reference import load_bgr
    plain = []
    for index, image in enumerate(images):
        plain.append(folder / f"plain-{index}.png")
        if not plain[-1].exists():
            Image.fromarray(load_bgr(image)[:, :, ::-1]).save(plain[-1])
    run = harness.run_program([options.read_page.resolve(), "--plain", "--threads", options.threads, "--repeat", 3, *plain], 3600)
    said = re.findall(r"^.*plain-\d+\.png: (\d+) ms \((.*)\), (\d+) lines", run.stderr, re.M)
    if run.code != 0 or len(said) != len(images):
        raise SystemExit(f"read_page: {run.outcome()}: {harness.parts_of(run)}")
    pages = []
    for whole, stages, lines in said:
        orientation = sum(int(ms) for stage, ms in re.findall(r"(\w+) (\d+)", stages) if stage == "orientation")
        pages.append({"seconds": (int(whole) - orientation) / 1000, "whole_s": int(whole) / 1000, "lines": int(lines)})
    return {"pages": pages, "peak_bytes": run.peak_bytes}


# ---- tables ------------------------------------------------------------------------------------------------------


def medians(rounds, key):
    """Median over the rounds of every page's value, None where a page has none."""
    values = []
    for index in range(len(rounds[0]["pages"])):
        seen = [each["pages"][index].get(key) for each in rounds]
        seen = [value for value in seen if value is not None]
        values.append(statistics.median(seen) if seen else None)
    return values


def middle(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def milliseconds(value):
    return "-" if value is None else f"{1000 * value:.0f}"


def added(rounds, keys):
    """Per page, the sum of some stages' medians."""
    columns = [medians(rounds, key) for key in keys]
    return [sum(values) if None not in values else None for values in zip(*columns)]


def main():
    if "--worker" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--worker")
        parser.add_argument("--weights", type=Path)
        parser.add_argument("--threads", type=int)
        parser.add_argument("images", nargs="+", type=Path)
        job = parser.parse_args()
        return work(job.worker, job.weights, job.threads, job.images)

    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--read-page", type=Path,
                        help="the engine's example `read_page`, for detection + recognition alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=Path, help="folder with the tiny weights (default: the engine's own)")
    parser.add_argument("--host-args", default="", help="options for every run of the host")
    parser.add_argument("--rescue", action="store_true", help="measure the small recogniser's rescue too")
    parser.add_argument("--document", type=Path, default=harness.HERE.parent.parent / "examples" / "report.pdf",
                        help="a PDF of several pages for the time to its first page")
    parser.add_argument("--skip-peers", action="store_true", help="measure the host alone")
    options = parser.parse_args()
    import peers
    options.weights = options.weights or peers.WEIGHTS
    options.host = options.host.resolve()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is not quiet: load {load:.2f}", file=sys.stderr)

    ours = {OURS: ("md", ["--rescue", "off"]), OURS_ALL: ("md,html,json", ["--rescue", "off"])}
    if options.rescue:
        ours[OURS_RESCUE] = ("md", ["--rescue", "on"])
    names = [] if options.skip_peers else [SAME_WEIGHTS, RAPID_ON, RAPID_OFF, "Tesseract 5"]
    rounds, core = {name: [] for name in [*ours, *names]}, []
    with tempfile.TemporaryDirectory() as folder:
        images = page_images(options.data, Path(folder))
        run_host("md,html,json", [], options, images[:1])  # compiles and caches what a first run ever compiles
        for index in range(options.rounds):
            for name in rounds:
                rounds[name].append(run_host(*ours[name], options, images) if name in ours
                                    else run_peer(name, options, images))
            if options.read_page:
                core.append(run_core(options, images, Path(folder)))
            print(f"round {index + 1} of {options.rounds} done, load {os.getloadavg()[0]:.2f}", file=sys.stderr)

    whole = {name: medians(each, "seconds") for name, each in rounds.items()}
    print()
    harness.table(
        ["reader", "whole page, median ms", "to first page, ms", "all pages in one process, s", "peak MiB"],
        [[name, milliseconds(middle(whole[name])), milliseconds(statistics.median(r["first_page_s"] for r in each)),
          f"{statistics.median(r.get('batch_wall_s', r.get('wall_s')) for r in each):.2f}",
          f"{max(r['peak_bytes'] for r in each) / harness.MIB:.0f}"] for name, each in rounds.items()])
    print()
    harness.table(["whole page, ms", *rounds],
                  [[Path(page).name, *(milliseconds(whole[name][index]) for name in rounds)]
                   for index, page in enumerate(PAGES)])
    print()
    harness.table(["stage of the host, thread time, median ms", *ours],
                  [[stage, *(milliseconds(middle(medians(rounds[name], stage))) for name in ours)] for stage in STAGES])

    print()
    harness.table([f"{options.document.name}, median ms", *ours], [
        [what, *(milliseconds(statistics.median(each["document"][key] for each in rounds[name])) for name in ours)]
        for what, key in (("first page out, from opening", "first_page_s"), ("all pages", "all_pages_s"))])

    summary = {name: {"whole_page_median_s": middle(values)} for name, values in whole.items()}
    bars = []
    if not options.skip_peers:
        mine, default = middle(whole[OURS]), middle(whole[RAPID_ON])
        bars.append(("whole page at most half of RapidOCR's default", mine / default if mine else None, 0.5))
        ratios = []
        if core:
            ours_core, their_core = medians(core, "seconds"), added(rounds[SAME_WEIGHTS], ["detect", "recognize"])
            ratios = [a / b for a, b in zip(ours_core, their_core)]
            summary["detection_and_recognition"] = {
                "ours_s": ours_core, "onnxruntime_s": their_core, "median_of_ratios": middle(ratios)}
            print()
            harness.table(["detection + recognition, ms", "ours", "onnxruntime", "ratio"],
                          [[Path(page).name, milliseconds(a), milliseconds(b), f"{a / b:.2f}"]
                           for page, a, b in zip(PAGES, ours_core, their_core)])
        bars.append(("detection + recognition at most 1.3 x the same weights under onnxruntime",
                     middle(ours_core) / middle(their_core) if core else None, 1.3))
        print()
        harness.table(["bar", "ratio", "limit", "met"],
                      [[bar, "-" if ratio is None else f"{ratio:.2f}", limit,
                        "not measured" if ratio is None else "yes" if ratio <= limit else "NO"] for bar, ratio, limit in bars])
        if ratios:
            print(f"\ndetection + recognition, median of the pages' own ratios: {middle(ratios):.2f}")
    harness.write_result(options, "speed", {
        "pages": PAGES, "threads": options.threads, "versions": peers.versions(), "load_at_start": load,
        "summary": summary, "core": core, "bars": [{"bar": b, "ratio": r, "limit": l} for b, r, l in bars], "rounds": rounds})


if __name__ == "__main__":
    main()
