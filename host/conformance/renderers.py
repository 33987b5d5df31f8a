"""hayro and pdfium beside each other: every page of every PDF drawn by both, and how far they differ.

    cargo build --release --example draw_pages
    python3 renderers.py --draw ../../target/release/examples/draw_pages --data DATA [--pictures FOLDER]

Both draw at the same resolution; hayro natively, as `pdf-in` calls it, pdfium through `pypdfium2`, each file in a
process of its own. A page is divided into cells of 12 x 12 px. A cell is inked where it is on average darker than white
by more than 8 levels; two cells differ where their ink differs by more than 24 levels and by more than half of the
larger one, and no neighbour holds what is missing (fonts are placed a pixel apart). A page's difference is the share of
differing cells among those inked by either. `noticed` is what hayro itself says is missing.
"""

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy

import harness

CELL = 12
INKED, DIFFERENT = 8.0, 24.0
CLEAR = 0.10  # a page that differs by more than this share is listed
FOLDERS = ["olmocr-sample", "gnarly", "ocrmypdf", "pdfjs-robust"]
NOTICED = ["fonts", "images", "annotations", "lost", "lost_fonts", "lost_pictures", "lost_others"]
BY_PDFIUM = """
import json, sys, time
import pypdfium2
document = pypdfium2.PdfDocument(sys.argv[1])
document.init_forms()
out = sys.stdout.buffer
for index in range(min(len(document), int(sys.argv[3]))):
    try:
        started = time.perf_counter()
        page = document[index]
        scale = float(sys.argv[2]) / 72
        width, height = page.get_size()
        scale = min(scale, (40e6 / max(1, width * height)) ** 0.5)
        bitmap = page.render(scale=scale, rev_byteorder=True, force_bitmap_format=pypdfium2.raw.FPDFBitmap_BGR)
        pixels = bitmap.to_numpy()
        ms = (time.perf_counter() - started) * 1e3
        head = {"width": pixels.shape[1], "height": pixels.shape[0], "ms": round(ms, 1)}
        out.write(json.dumps(head).encode() + b"\\n" + pixels.tobytes())
    except pypdfium2.PdfiumError as error:
        out.write(json.dumps({"error": str(error)}).encode() + b"\\n")
"""


def drawn_by(command, limit_s):
    """Pages as (head, grey pixels or None), and how the process ended."""
    started = time.perf_counter()
    try:
        ran = subprocess.run(command, capture_output=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return [], f"over {limit_s} s", time.perf_counter() - started
    raw, pages, at = ran.stdout, [], 0
    while at < len(raw):
        end = raw.find(b"\n", at)
        if end < 0:
            break
        head = json.loads(raw[at:end])
        at = end + 1
        if "error" in head:
            pages.append((head, None))
            continue
        size = head["width"] * head["height"] * 3
        if at + size > len(raw):
            break
        rgb = numpy.frombuffer(raw, numpy.uint8, size, at).reshape(head["height"], head["width"], 3)
        pages.append((head, rgb.astype(numpy.float32).mean(axis=2)))
        at += size
    said = ran.stderr.decode(errors="replace").strip().splitlines()
    ended = "" if ran.returncode == 0 else (said[-1][:160] if said else f"ended with {ran.returncode}")
    return pages, ended, time.perf_counter() - started


def cells(grey):
    """Mean ink of each cell, 0 to 255."""
    height, width = grey.shape[0] // CELL * CELL, grey.shape[1] // CELL * CELL
    ink = 255.0 - grey[:height, :width]
    return ink.reshape(height // CELL, CELL, width // CELL, CELL).mean(axis=(1, 3))


def around(ink):
    """The most ink of each cell and its neighbours."""
    padded = numpy.pad(ink, 1, mode="edge")
    shifted = [padded[y:y + ink.shape[0], x:x + ink.shape[1]] for y in range(3) for x in range(3)]
    return numpy.max(shifted, axis=0)


def difference(a, b):
    """Share of inked cells that differ, and of these the share in which `a` (hayro) lacks ink."""
    a, b = cells(a), cells(b)
    rows, columns = min(a.shape[0], b.shape[0]), min(a.shape[1], b.shape[1])
    a, b = a[:rows, :columns], b[:rows, :columns]
    if not a.size:
        return 0.0, 0.0
    inked = (a > INKED) | (b > INKED)
    larger = numpy.maximum(a, b)
    lacks_a = (b - around(a) > DIFFERENT) & (b - around(a) > 0.5 * larger)
    lacks_b = (a - around(b) > DIFFERENT) & (a - around(b) > 0.5 * larger)
    count = max(1, int(inked.sum()))
    return float((lacks_a | lacks_b).sum() / count), float(lacks_a.sum() / count)


def compare(path, name, options):
    limit = options.limit
    pages = str(options.pages)
    hayro, hayro_ended, hayro_s = drawn_by([options.draw, path, str(options.dpi), pages], limit)
    pdfium, pdfium_ended, pdfium_s = drawn_by(
        [sys.executable, "-c", BY_PDFIUM, path, str(options.dpi), pages], limit)
    record = {"file": name, "hayro_s": round(hayro_s, 2), "pdfium_s": round(pdfium_s, 2), "pages": []}
    for key, ended in (("hayro_ended", hayro_ended), ("pdfium_ended", pdfium_ended)):
        if ended:
            record[key] = ended.replace(str(options.data), "DATA")
    for number in range(max(len(hayro), len(pdfium))):
        ours, theirs = hayro[number:number + 1], pdfium[number:number + 1]
        page = {"page": number + 1}
        if ours:
            head = ours[0][0]
            page |= {"hayro_ms": head["ms"]}
            noticed = {key: head[key] for key in NOTICED if head[key]}
            if head["giant"]:
                noticed["giant"] = 1
            if noticed:
                page["noticed"] = noticed
        else:
            page["hayro"] = "no page"
        if theirs and theirs[0][1] is not None:
            page |= {"pdfium_ms": theirs[0][0]["ms"]}
        else:
            page["pdfium"] = theirs[0][0]["error"] if theirs else "no page"
        if ours and theirs and ours[0][1] is not None and theirs[0][1] is not None:
            page["size_differs"] = abs(ours[0][0]["width"] - theirs[0][0]["width"]) > 2
            differs, lacks = difference(ours[0][1], theirs[0][1])
            page |= {"differs": round(differs, 4), "hayro_lacks": round(lacks, 4)}
            if options.pictures and (differs > CLEAR or page["size_differs"]):
                picture(options.pictures, name, number + 1, ours[0][1], theirs[0][1])
        record["pages"].append(page)
    return record


def picture(folder, name, number, ours, theirs):
    """Both pages side by side, to be looked at."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    height = max(ours.shape[0], theirs.shape[0])
    sheet = numpy.full((height, ours.shape[1] + theirs.shape[1] + 10), 128, numpy.uint8)
    sheet[:ours.shape[0], :ours.shape[1]] = ours
    sheet[:theirs.shape[0], ours.shape[1] + 10:] = theirs
    image = Image.fromarray(sheet)
    image.thumbnail((1600, 1000))
    image.save(folder / f"{Path(name).stem}-{number}.png")


def main():
    parser = harness.arguments(__doc__.splitlines()[0], host=False)
    parser.add_argument("--draw", type=Path, required=True, help="the example draw_pages of pdf-in")
    parser.add_argument("--dpi", type=float, default=100)
    parser.add_argument("--pages", type=int, default=5, help="pages of each file")
    parser.add_argument("--limit", type=float, default=60, help="seconds a file and renderer")
    parser.add_argument("--pictures", type=Path, help="where pages that differ are kept, side by side")
    parser.add_argument("--only", help="files whose name holds this")
    options = parser.parse_args()
    files = sorted(p for folder in FOLDERS for p in (options.data / folder).rglob("*.pdf"))
    records = []
    for path in files:
        name = str(path.relative_to(options.data))
        if options.only and options.only not in name:
            continue
        records.append(compare(path, name, options))
    pages = [page | {"file": record["file"]} for record in records for page in record["pages"]]
    # Pages in other sizes (pdfium knows no user units) are listed and not compared.
    both = [page for page in pages if "differs" in page and not page["size_differs"]]
    summary = {
        "files": len(records), "pages": len(pages), "by_both": len(both),
        "hayro_alone": sum("hayro_ms" in p and "pdfium_ms" not in p for p in pages),
        "pdfium_alone": sum("pdfium_ms" in p and "hayro_ms" not in p for p in pages),
        "hayro_ms_median": float(numpy.median([p["hayro_ms"] for p in both])) if both else None,
        "pdfium_ms_median": float(numpy.median([p["pdfium_ms"] for p in both])) if both else None,
    }
    for share in (0.02, 0.05, CLEAR, 0.25):
        over = [p for p in both if p["differs"] > share]
        summary[f"over_{share}"] = {"pages": len(over), "noticed": sum("noticed" in p for p in over)}
    summary["noticed"] = sum("noticed" in p for p in both)
    summary["noticed_but_alike"] = sum("noticed" in p and p["differs"] <= 0.02 for p in both)
    print(json.dumps(summary, indent=1))
    for page in sorted((p for p in pages if "differs" in p), key=lambda p: -p["differs"]):
        if page["differs"] > CLEAR or page["size_differs"] or "noticed" in page:
            print(f"{page['differs']:.3f} lacks {page['hayro_lacks']:.3f} {page['file']} page {page['page']} "
                  f"{page.get('noticed', '')} {'sizes differ' if page['size_differs'] else ''}")
    for record in records:
        if "hayro_ended" in record or "pdfium_ended" in record:
            print(record["file"], "| hayro:", record.get("hayro_ended", "ok"), "| pdfium:",
                  record.get("pdfium_ended", "ok"))
    file = harness.write_result(options, "renderers", {"summary": summary, "files": records})
    # Some hundred pages: packed, as nobody reads them line by line.
    file.with_suffix(".json.gz").write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))
    file.unlink()


if __name__ == "__main__":
    main()
