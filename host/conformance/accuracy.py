"""Accuracy of the host beside its peers: words of 40 receipts, characters of scans with known text.

    python3 accuracy.py --host ocr-host --data DATA [--baselines cached|run|none]

`--baselines cached` takes the peers' counts from the newest earlier result that holds them; `run` reads everything
again (one thread, some minutes). The host runs twice, with and without the small recogniser's rescue, as one batch
each over the receipts and the scans.
"""

import json
import tempfile
import time
from pathlib import Path

import harness
import scoring

# File, truth, Tesseract's languages. The rotated pages say the same as the upright one.
SCANS = [
    ("tesseract/phototest.tif", "tesseract/phototest.gold.txt", "eng"),
    ("tesseract/phototest-rotated-180.png", "tesseract/phototest.gold.txt", "eng"),
    ("tesseract/phototest-rotated-L.png", "tesseract/phototest.gold.txt", "eng"),
    ("tesseract/phototestrot.tif", "tesseract/phototest.gold.txt", "eng"),
    ("tesseract/eurotext.tif", "tesseract/eurotext.txt", "eng+deu+fra+ita+spa+por"),
    ("tesseract/8087_054.3B.tif", "tesseract/8087_054.3B.txt", "eng"),
    ("ocrmypdf/linn.png", "ocrmypdf/linn.txt", "eng"),
]
ROTATED = {"phototest-rotated-180.png", "phototest-rotated-L.png", "phototestrot.tif"}
OURS = "ocr-host (tiny)"
OURS_RESCUE = "ocr-host, small rescue"
RAPID_ON = "RapidOCR 3.10, classifier on (default)"
RAPID_OFF = "RapidOCR 3.10, classifier off"
SAME_WEIGHTS = "tiny weights, onnxruntime"


def receipt_truth(path):
    """The text of each quad, a line each: eight numbers, then the text, which may hold commas."""
    raw = path.read_bytes()
    try:
        content = raw.decode("utf-8")
    except UnicodeDecodeError:
        content = raw.decode("latin-1")
    return "\n".join(line.split(",", 8)[8] for line in content.splitlines() if line.count(",") >= 8)


def pages(data):
    """(kind, name, image, truth, languages) of every page on the table."""
    for image in sorted((data / "receipts" / "img").glob("*.jpg")):
        truth = receipt_truth(data / "receipts" / "box" / f"{image.stem}.csv")
        yield "receipt", f"receipts/img/{image.name}", image, truth, "eng"
    for file, truth, languages in SCANS:
        text = (data / truth).read_text(encoding="utf-8-sig")
        yield "scan", file, data / file, text, languages


def count(kind, truth, found):
    matched = dict(zip(("matched", "expected", "found"), scoring.word_counts(truth, found)))
    if kind == "receipt":
        return matched
    edits, length = scoring.character_errors(truth, found)
    joined_edits, joined_length = scoring.character_errors(truth, found, joined=True)
    return {**matched, "edits": edits, "length": length, "joined_edits": joined_edits, "joined_length": joined_length}


def summary(counts):
    """Means and pooled values from the counts of single pages."""
    receipts = [page for name, page in counts.items() if name.startswith("receipts/")]
    scans = {name: page for name, page in counts.items() if not name.startswith("receipts/")}
    upright = [page for name, page in scans.items() if Path(name).name not in ROTATED]

    def rate(group, edits, length):
        return sum(page[edits] for page in group) / max(1, sum(page[length] for page in group)) if group else None

    def pooled(group):
        return scoring.f1(*(sum(page[key] for page in group) for key in ("matched", "expected", "found")))

    each = [scoring.f1(page["matched"], page["expected"], page["found"]) for page in receipts]
    return {
        "receipts": len(receipts), "word_f1": pooled(receipts),
        "word_f1_mean": sum(each) / len(each) if each else None,
        "upright_word_f1": pooled(upright), "all_word_f1": pooled(list(scans.values())),
        "upright_cer": rate(upright, "edits", "length"), "upright_cer_joined": rate(upright, "joined_edits", "joined_length"),
        "all_cer": rate(scans.values(), "edits", "length"),
        "cer": {name: page["edits"] / page["length"] for name, page in scans.items()},
    }


def read_by_peer(name, build, options, keep):
    """Counts of one peer over all pages; a page read before is taken from `--texts`."""
    counts, reader, start = {}, None, time.perf_counter()
    for kind, page, image, truth, languages in pages(options.data):
        stored = keep(name, page)
        if stored and stored.is_file():
            text = stored.read_text(encoding="utf-8")
        else:
            reader = reader or build(options.weights, options.threads)
            text = reader.read(image, languages)
            if stored:
                stored.parent.mkdir(parents=True, exist_ok=True)
                stored.write_text(text, encoding="utf-8")
        counts[page] = count(kind, truth, text)
    print(f"  {name}: {time.perf_counter() - start:.0f} s", flush=True)
    return counts


def read_by_host(options, extra, keep, name):
    """Counts from the JSON's reading order; the Markdown is scored as well, to show that nothing is lost in it."""
    counts, markdown_counts, troubles = {}, {}, []
    todo = list(pages(options.data))
    with tempfile.TemporaryDirectory() as folder:
        # Two batches, since a receipt and a scan might share a stem one day.
        for kind in ("receipt", "scan"):
            batch = [page for page in todo if page[0] == kind]
            out = Path(folder) / kind
            run, report = harness.convert(
                options.host, [page[2] for page in batch], out, options.to,
                [*options.host_args.split(), *extra], timeout_s=options.time_limit)
            if run.code != 0:
                troubles.append(f"{kind}s: {run.outcome()}: {harness.parts_of(run)}")
            for _, page, image, truth, _ in batch:
                document, markdown = harness.output_of(out, image, ".json"), harness.output_of(out, image, ".md")
                plain = scoring.markdown_text(markdown.read_text(encoding="utf-8")) if markdown else ""
                text = scoring.document_text(json.loads(document.read_text(encoding="utf-8"))) if document else plain
                if not document and not markdown:
                    troubles.append(f"{page}: no output")
                stored = keep(name, page)
                if stored:
                    stored.parent.mkdir(parents=True, exist_ok=True)
                    stored.write_text(text, encoding="utf-8")
                counts[page] = count(kind, truth, text)
                markdown_counts[page] = count(kind, truth, plain)
    return counts, markdown_counts, troubles


def newest_baselines(folder):
    """The peers' counts of the newest result that has them."""
    for file in sorted(folder.glob("*-accuracy.json"), reverse=True):
        numbers = json.loads(file.read_text(encoding="utf-8"))["numbers"]
        if numbers.get("peers"):
            return numbers["peers"], numbers["peers_from"], numbers["versions"]
    return None, None, None


def verdicts(scores):
    """The issue's bars, each with its two numbers."""
    ours, rescue = scores.get(OURS), scores.get(OURS_RESCUE)
    if rescue and RAPID_ON in scores:
        yield ("words: with rescue above RapidOCR's default", rescue["word_f1"], scores[RAPID_ON]["word_f1"],
               rescue["word_f1"] > scores[RAPID_ON]["word_f1"])
        yield ("words: with rescue within 0.01 of RapidOCR, classifier off", rescue["word_f1"],
               scores[RAPID_OFF]["word_f1"], rescue["word_f1"] >= scores[RAPID_OFF]["word_f1"] - 0.01)
        yield ("characters, upright scans: with rescue below RapidOCR's default", rescue["upright_cer"],
               scores[RAPID_ON]["upright_cer"], rescue["upright_cer"] < scores[RAPID_ON]["upright_cer"])
        yield ("words, upright scans: with rescue at least RapidOCR's default", rescue["upright_word_f1"],
               scores[RAPID_ON]["upright_word_f1"], rescue["upright_word_f1"] >= scores[RAPID_ON]["upright_word_f1"])
    if ours and SAME_WEIGHTS in scores:
        yield ("words: tiny at least the same weights under onnxruntime", ours["word_f1"],
               scores[SAME_WEIGHTS]["word_f1"], ours["word_f1"] >= scores[SAME_WEIGHTS]["word_f1"])
        yield ("words, upright scans: tiny at least the same weights", ours["upright_word_f1"],
               scores[SAME_WEIGHTS]["upright_word_f1"], ours["upright_word_f1"] >= scores[SAME_WEIGHTS]["upright_word_f1"])
        yield ("characters, upright scans: tiny at most the same weights", ours["upright_cer"],
               scores[SAME_WEIGHTS]["upright_cer"], ours["upright_cer"] <= scores[SAME_WEIGHTS]["upright_cer"])


def show(scores):
    harness.table(
        ["reader", "receipts: word F1", "mean of receipts", "upright scans: word F1", "CER", "hyphens joined", "all scans: CER"],
        [[name, f"{score['word_f1']:.4f}", f"{score['word_f1_mean']:.4f}", f"{score['upright_word_f1']:.4f}", harness.percent(score["upright_cer"]),
          harness.percent(score["upright_cer_joined"]), harness.percent(score["all_cer"])]
         for name, score in scores.items()])
    print()
    names = [file for file, _, _ in SCANS]
    harness.table(["CER by page", *(Path(name).name for name in names)],
                  [[reader, *(harness.percent(score["cer"].get(name)) for name in names)]
                   for reader, score in scores.items()])


def main():
    parser = harness.arguments(__doc__.splitlines()[0], host=False)
    parser.add_argument("--host", type=Path, help="the ocr-host binary; without it only the peers are read")
    parser.add_argument("--baselines", choices=["cached", "run", "none"], default="cached")
    parser.add_argument("--weights", type=Path, help="folder with the tiny weights (default: the engine's own)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the peers")
    parser.add_argument("--only", help="run only peers whose name contains this")
    parser.add_argument("--host-args", default="", help="options for every run of the host")
    parser.add_argument("--to", default="json,md", help="formats to ask for; `md` alone scores the Markdown")
    parser.add_argument("--no-rescue", action="store_true", help="leave the run with the small recogniser out")
    parser.add_argument("--texts", type=Path, help="keep what each reader said here, and reuse the peers' texts")
    parser.add_argument("--time-limit", type=float, default=3600, help="seconds for one batch of the host")
    options = parser.parse_args()

    import peers
    options.weights = options.weights or peers.WEIGHTS

    def keep(reader, page):
        name = "".join(letter if letter.isalnum() else "-" for letter in reader)
        return options.texts / name / (page.replace("/", "__") + ".txt") if options.texts else None

    numbers = {"peers": {}, "peers_from": None, "versions": {}, "ours": {}, "ours_markdown": {}, "troubles": {}}
    if options.baselines == "cached":
        numbers["peers"], numbers["peers_from"], numbers["versions"] = newest_baselines(options.results)
        if numbers["peers"] is None:
            parser.error("no earlier result holds the peers; use --baselines run")
    elif options.baselines == "run":
        print("peers:", flush=True)
        numbers["versions"], numbers["peers_from"] = peers.versions(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for name, build in peers.PEERS.items():
            if options.only and options.only not in name:
                continue
            numbers["peers"][name] = read_by_peer(name, build, options, keep)
    if options.host:
        runs = {OURS: ["--rescue", "off"]}
        if not options.no_rescue:
            runs[OURS_RESCUE] = ["--rescue", "on"]
        for name, extra in runs.items():
            counts, markdown, troubles = read_by_host(options, extra, keep, name)
            numbers["ours"][name], numbers["ours_markdown"][name], numbers["troubles"][name] = counts, markdown, troubles

    scores = {name: summary(counts) for name, counts in {**numbers["ours"], **numbers["peers"]}.items()}
    numbers["scores"] = scores
    numbers["markdown_scores"] = {name: summary(counts) for name, counts in numbers["ours_markdown"].items()}
    print()
    show(scores)
    for name, score in numbers["markdown_scores"].items():
        print(f"\n{name}, from the Markdown instead: word F1 {score['word_f1']:.4f}, "
              f"CER upright {harness.percent(score['upright_cer'])}")
    for name, troubles in numbers["troubles"].items():
        for trouble in troubles:
            print(f"TROUBLE {name}: {trouble}")
    numbers["verdicts"] = [
        {"bar": bar, "ours": ours, "theirs": theirs, "met": met} for bar, ours, theirs, met in verdicts(scores)]
    if numbers["verdicts"]:
        print()
        harness.table(["bar", "ours", "theirs", "met"],
                      [[v["bar"], f"{v['ours']:.4f}", f"{v['theirs']:.4f}", "yes" if v["met"] else "NO"] for v in numbers["verdicts"]])
    harness.write_result(options, "accuracy", numbers)


if __name__ == "__main__":
    main()
