"""What `--text-layer` is worth: each mode on PDFs whose text is known, beside the time it takes.

    python3 text_layers.py --host ocr-host --data DATA [--examples ../../examples] [--repeats 3]

* `report.pdf` of the examples: edits of the JSON's reading order against `report.expected.txt`, running heads included.
* Known texts of the data folder, printed into PDFs of one column here (Helvetica, 10 points): edits likewise.
* The olmOCR sample's unit tests, as `olmocr.py` counts them.

Times are the median over the repeats, of the whole program with a warm cache; `taken` counts pages on which the
layer was used. The order of modes changes with each repeat.
"""

import json
import statistics
import tempfile
from pathlib import Path

import harness
import olmocr
import scoring

MODES = ["ignore", "auto", "prefer"]
PRINTED = ["tesseract/phototest.gold.txt", "tesseract/eurotext.txt", "ocrmypdf/linn.txt", "tesseract/8087_054.3B.txt"]
LINES_A_PAGE, CHARACTERS_A_LINE = 54, 88


def wrapped(text):
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            if line and len(line) + 1 + len(word) > CHARACTERS_A_LINE:
                yield line
                line = ""
            line = f"{line} {word}".strip()
        if line:
            yield line


def printed(text):
    """A PDF of the text, and the text that it prints: what Latin-1 has."""
    text = text.encode("latin-1", "ignore").decode("latin-1")
    lines = list(wrapped(text))
    pages = [lines[at:at + LINES_A_PAGE] for at in range(0, len(lines), LINES_A_PAGE)]
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"",
               b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"]
    kids = []
    for page in pages:
        shown = b"BT /F 10 Tf 60 730 Td 12.5 TL " + b" ".join(
            b"(" + line.encode("latin-1").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b") Tj T*"
            for line in page) + b" ET"
        kids.append(len(objects) + 1)
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font "
                       b"<< /F 3 0 R >> >> >>" % (len(objects) + 2))
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % kid for kid in kids), len(kids))
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
                 % (len(objects) + 1, start)), "\n".join(lines)


def run(options, path, mode, work, suffix):
    folder = Path(work) / f"{path.stem}-{mode}"
    ran, report = harness.convert(options.host, [path], folder, "json,md", ["--text-layer", mode, "--model", "ppocr"])
    pages = ((report or {}).get("documents") or [{}])[0].get("pages") or []
    taken = sum(str(page.get("engine", "")).startswith("text-layer") for page in pages)
    output = harness.output_of(folder, path, suffix)
    text = output.read_text(encoding="utf-8") if output else ""
    return ran.seconds, taken, len(pages), text


def edits(options, path, truth, work):
    found = {mode: {"seconds": []} for mode in MODES}
    for repeat in range(options.repeats):
        for mode in MODES[repeat % 3:] + MODES[:repeat % 3]:
            seconds, taken, pages, text = run(options, path, mode, work, ".json")
            plain = scoring.document_text(json.loads(text)) if text else ""
            wrong, length = scoring.character_errors(truth, plain)
            found[mode]["seconds"].append(round(seconds, 3))
            found[mode] |= {"edits": wrong, "characters": length, "taken": taken, "pages": pages}
    return found


def unit_tests(options, work):
    tests = [test for test in olmocr.load_tests(options.data / "olmocr-sample") if test["type"] != "math"]
    wanted = sorted({(test["pdf"], test["page"]) for test in tests})
    found = {}
    for mode in MODES:
        options.host_args = f"--text-layer {mode} --model ppocr"
        folder = Path(work) / f"olmocr-{mode}"
        folder.mkdir()
        pages, troubles = olmocr.markdown_by_host(options, wanted, folder)
        counts = {kind: [0, 0] for kind in olmocr.KINDS}
        for test in tests:
            passed, _ = olmocr.holds(test, pages[test["pdf"], test["page"]])
            counts[test["type"]][0] += passed
            counts[test["type"]][1] += 1
        found[mode] = {"counts": counts, "troubles": troubles}
    return found


def main():
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--examples", type=Path, default=harness.HERE.parent.parent / "examples")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--time-limit", type=float, default=300, help="seconds for one page")
    options = parser.parse_args()
    numbers = {"edits": {}}
    with tempfile.TemporaryDirectory() as work:
        documents = [(options.examples / "report.pdf",
                      (options.examples / "report.expected.txt").read_text(encoding="utf-8"))]
        for name in PRINTED:
            pdf, truth = printed((options.data / name).read_text(encoding="utf-8-sig"))
            path = Path(work) / f"{Path(name).name.split('.')[0]}.pdf"
            path.write_bytes(pdf)
            documents.append((path, truth))
        rows = []
        for path, truth in documents:
            found = edits(options, path, truth, work)
            numbers["edits"][path.name] = found
            for mode in MODES:
                one = found[mode]
                rows.append([path.name, mode, f"{one['edits']} of {one['characters']}", f"{one['taken']} of {one['pages']}",
                             f"{statistics.median(one['seconds']):.2f} s"])
        numbers["olmocr"] = unit_tests(options, work)
    print()
    harness.table(["document", "mode", "edits", "pages taken", "time"], rows)
    print()
    kinds = [kind for kind in olmocr.KINDS]
    harness.table(["mode", *kinds], [
        [mode, *(f"{p} of {n}" for p, n in (numbers["olmocr"][mode]["counts"][kind] for kind in kinds))]
        for mode in MODES])
    harness.write_result(options, "text-layers", numbers)


if __name__ == "__main__":
    main()
