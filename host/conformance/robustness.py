"""Every odd, broken, huge and encrypted document through the host: output or a clear error, never a panic.

    python3 robustness.py --host ocr-host --data DATA [--folders pdfjs-robust,ocrmypdf,gnarly]

What a file should give is asked of pdfium: a PDF that it opens must give every page that it can load, an image one. A
page that the host reports as failed is no page given; one that it reports as truncated is, and is counted. Every
other file must end in a non-zero exit code and a sentence on stderr. Panics, runs over the time limit, pages over
their deadline and memory over the limit are listed. Files that take much memory are then run together, as one batch:
what two documents take at a time has to stay under the same limit.
"""

import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import harness

NOT_GIVEN = {"failed"}
# Large pages, read two documents at a time. To these comes a page of 60,000 points with an image of 22,000 px.
BATCH = ["ocrmypdf/multipage.pdf", "ocrmypdf/enormous.pdf", "ocrmypdf/poster.pdf"]
ASK_PDFIUM = """
import sys, pypdfium2
try:
    with pypdfium2.PdfDocument(sys.argv[1]) as document:
        loaded = 0
        for index in range(len(document)):
            try:
                document[index].close()
                loaded += 1
            except pypdfium2.PdfiumError as error:
                reason = error
        print(loaded if loaded or not len(document) else f"refused: opens, but: {reason}")
except pypdfium2.PdfiumError as error:
    print("refused:", error)
"""


def expected_pages(path):
    """Pages by pdfium (asked in a process of its own: it may crash), or the reason why there are none."""
    if path.suffix.lower() in (".png", ".jpg", ".tif"):
        return 1, ""
    try:
        asked = subprocess.run([sys.executable, "-c", ASK_PDFIUM, path], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return None, "pdfium took more than 120 s"
    said = asked.stdout.strip()
    return (int(said), "") if said.isdigit() else (None, said.removeprefix("refused: ") or f"pdfium ended with {asked.returncode}")


def judge(record, options):
    """What is wrong with a file's run; an empty list when nothing is."""
    wrong = []
    if record["panicked"]:
        wrong.append("panicked")
    if record["outcome"] == "time limit":
        wrong.append(f"over {options.file_limit:.0f} s")
    if record["slowest_page_s"] is not None and record["slowest_page_s"] > options.page_limit:
        wrong.append(f"slowest page {record['slowest_page_s']:.1f} s")
    if record["peak_mib"] > options.memory_limit:
        wrong.append(f"peak {record['peak_mib']:.0f} MiB")
    if record["code"] is not None and record["code"] not in harness.EXIT_CODES:
        wrong.append(record["outcome"])
    expected = record["expected_pages"]
    if expected:
        if record["given_pages"] != expected:
            wrong.append(f"{record['given_pages']} of {expected} pages")
    elif record["code"] == 0 and record["given_pages"] == 0:
        wrong.append("exit code 0 without a page")
    elif record["code"] not in (0, None) and not record["said"]:
        wrong.append("no sentence on stderr")
    return wrong


def examine(path, name, options):
    expected, refusal = expected_pages(path)
    with tempfile.TemporaryDirectory() as folder:
        run, report = harness.convert(options.host, [path], folder, options.to, options.host_args.split(),
                                      timeout_s=options.file_limit)
    document = (report or {}).get("documents", [{}])[0] if (report or {}).get("documents") else {}
    pages = document.get("pages") or []
    statuses = [page.get("status") for page in pages]
    times = [page["ms"] / 1000 for page in pages if page.get("ms") is not None]
    record = {
        "file": name, "expected_pages": expected, "pdfium": refusal, "code": run.code, "outcome": run.outcome(),
        "truncated_pages": sum(status in ("truncated", "repetition") for status in statuses),
        "given_pages": sum(status not in NOT_GIVEN for status in statuses), "statuses": sorted(set(map(str, statuses))),
        "panicked": run.panicked, "seconds": round(run.seconds, 2), "slowest_page_s": max(times) if times else None,
        "peak_mib": run.peak_mib, "said": harness.parts_of(run).replace(str(options.data), "DATA"),
    }
    record["wrong"] = judge(record, options)
    return record


def large_page():
    """A PDF of one page, 60,000 points wide and high, that shows a white image of 22,000 x 22,000 px in 1 bit."""
    side = 22_000
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(b"\xff" * (side // 8)) for _ in range(side)) + packer.flush()
    shown = b"q 60000 0 0 60000 0 0 cm /I Do Q"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 60000 60000] /Contents 4 0 R "
        b"/Resources << /XObject << /I 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown),
        b"<< /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /FlateDecode "
        b"/Length %d >>\nstream\n%s\nendstream" % (side, side, len(pixels), pixels),
    ]
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))


def run_batch(options):
    """The batch's outcome and memory; what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.pdf"
        large.write_bytes(large_page())
        inputs = [path for path in (options.data / name for name in BATCH) if path.is_file()] + [large, large]
        run, report = harness.convert(options.host, inputs, Path(folder) / "out", options.to, options.host_args.split(),
                                      timeout_s=options.file_limit)
    statuses = [document.get("status") for document in (report or {}).get("documents", [])]
    wrong = [] if run.peak_mib <= options.memory_limit else [f"peak {run.peak_mib:.0f} MiB"]
    wrong += ["panicked"] if run.panicked else []
    return {"files": [path.name for path in inputs], "code": run.code, "outcome": run.outcome(), "statuses": statuses,
            "seconds": round(run.seconds, 2), "peak_mib": run.peak_mib, "wrong": wrong}


def main():
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--folders", default="pdfjs-robust,ocrmypdf,gnarly")
    parser.add_argument("--to", default="md,html,json")
    parser.add_argument("--host-args", default="", help="options for every run of the host")
    parser.add_argument("--file-limit", type=float, default=900, help="seconds for one file")
    parser.add_argument("--page-limit", type=float, default=60, help="seconds for one page")
    parser.add_argument("--memory-limit", type=float, default=1536, help="MiB")
    parser.add_argument("--only", help="only files whose name contains this")
    options = parser.parse_args()
    options.host, options.data = options.host.resolve(), options.data.resolve()

    records = []
    for folder in options.folders.split(","):
        for path in sorted((options.data / folder).iterdir()):
            name = f"{folder}/{path.name}"
            if path.suffix.lower() not in (".pdf", ".png", ".jpg", ".tif") or (options.only and options.only not in name):
                continue
            record = examine(path, name, options)
            records.append(record)
            if record["wrong"]:
                print(f"{name}: {', '.join(record['wrong'])}: {record['said']}", file=sys.stderr, flush=True)

    batch = run_batch(options)
    if batch["wrong"]:
        print(f"batch: {', '.join(batch['wrong'])}", file=sys.stderr, flush=True)
    opened = [record for record in records if record["expected_pages"]]
    refused = [record for record in records if not record["expected_pages"]]
    codes = {}
    for record in records:
        codes[record["outcome"]] = codes.get(record["outcome"], 0) + 1
    slowest = max(records, key=lambda record: record["slowest_page_s"] or 0, default=None)
    largest = max(records, key=lambda record: record["peak_mib"], default=None)
    print()
    harness.table(["what", "count"], [
        ["files", len(records)],
        ["opened by pdfium", len(opened)],
        ["of these, all pages given", sum(r["given_pages"] == r["expected_pages"] for r in opened)],
        ["pages expected / given", f"{sum(r['expected_pages'] for r in opened)} / {sum(r['given_pages'] for r in opened)}"],
        ["pages given in part", sum(r["truncated_pages"] for r in records)],
        ["refused by pdfium", len(refused)],
        ["of these, a clear error", sum(r["code"] not in (0, None) and bool(r["said"]) and not r["panicked"] for r in refused)],
        ["of these, pages given nevertheless", sum(r["given_pages"] > 0 for r in refused)],
        ["panics", sum(r["panicked"] for r in records)],
        ["over the time limit", sum(r["outcome"] == "time limit" for r in records)],
        ["slowest page", f"{slowest['slowest_page_s'] or 0:.1f} s ({slowest['file']})" if slowest else "-"],
        ["peak memory", f"{largest['peak_mib']:.0f} MiB ({largest['file']})" if largest else "-"],
        ["peak memory of the batch", f"{batch['peak_mib']:.0f} MiB ({batch['outcome']})"],
        *([f"outcome: {outcome}", count] for outcome, count in sorted(codes.items())),
    ])
    exceptions = [record for record in records if record["wrong"]]
    if exceptions:
        print()
        harness.table(["exception", "what", "pdfium", "the host said"],
                      [[r["file"], ", ".join(r["wrong"]), r["pdfium"] or f"{r['expected_pages']} pages", r["said"][:110]]
                       for r in exceptions])
    harness.write_result(options, "robustness", {"outcomes": codes, "exceptions": len(exceptions), "batch": batch, "files": records})


if __name__ == "__main__":
    main()
