"""Whether the host's JSON is a DoclingDocument whose boxes lie where the text stands.

    python3 docling_check.py --host ocr-host --data DATA [--examples ../../examples]

Each document is converted to JSON and loaded with the `docling-core` package, which validates every field. Then:

* every page has a size, and images give the same proportions as their pixels; PDF pages give pdfium's size in points;
* every item stands on a page that exists, its box lies inside that page (a point of tolerance) and is upright for the
  origin that it states: top above bottom, left before right;
* on PDFs with a text layer, the layer's own words under each box are the item's words: a wrong origin or a wrong unit
  cannot pass this. The whole word F1 of box against layer is given, and with the boxes turned upside down for
  comparison;
* on images, the share of dark pixels that lie under some box.

What the documents are made of (headings, lists, tables, pictures, running heads) is counted, not judged.
"""

import collections
import json
import sys
import tempfile
from pathlib import Path

import harness
import scoring

TOLERANCE_POINTS = 1.0
LEAST_LAYER_F1 = 0.80
LEAST_INK = 0.85
FROM_DATA = ["olmocr-sample/pdfs/multi_column_miss.pdf", "olmocr-sample/pdfs/earnings.pdf", "ocrmypdf/linn.png",
             "tesseract/phototest.tif"]


def provenances(document):
    """Every placed item: (item, its text, page number, box)."""
    for item, _ in document.iterate_items(included_content_layers=_all_layers()):
        for place in getattr(item, "prov", []):
            yield item, getattr(item, "text", ""), place.page_no, place.bbox


def _all_layers():
    from docling_core.types.doc import ContentLayer
    return set(ContentLayer)


def cells_text(item):
    return " ".join(cell.text for cell in item.data.table_cells)


def geometry_faults(document):
    """Boxes that are off their page, upside down, or on a page that does not exist."""
    from docling_core.types.doc import CoordOrigin
    faults = []
    for page in document.pages.values():
        if page.size.width <= 0 or page.size.height <= 0:
            faults.append(f"page {page.page_no} has no size")
    for item, _, number, box in provenances(document):
        if number not in document.pages:
            faults.append(f"{item.self_ref} stands on page {number}, which does not exist")
            continue
        size = document.pages[number].size
        low, high = (box.t, box.b) if box.coord_origin == CoordOrigin.TOPLEFT else (box.b, box.t)
        if not (box.l <= box.r and low <= high):
            faults.append(f"{item.self_ref} is upside down for origin {box.coord_origin.value}")
        if (box.l < -TOLERANCE_POINTS or low < -TOLERANCE_POINTS
                or box.r > size.width + TOLERANCE_POINTS or high > size.height + TOLERANCE_POINTS):
            faults.append(f"{item.self_ref} leaves page {number}")
    return faults


def layer_scores(document, pdf):
    """Word F1 of the text layer under the boxes against the items' text: as stated, and upside down."""
    import pypdfium2
    from docling_core.types.doc import CoordOrigin, TableItem
    totals = {"as stated": [0, 0, 0], "upside down": [0, 0, 0]}
    with pypdfium2.PdfDocument(pdf) as source:
        for item, text, number, box in provenances(document):
            text = cells_text(item) if isinstance(item, TableItem) else text
            if not text or number > len(source):
                continue
            page = source[number - 1]
            width, height = page.get_size()
            layer = page.get_textpage()
            points = box.to_bottom_left_origin(document.pages[number].size.height)
            # A little wider, since glyphs' cells overhang what is inked.
            for name, (bottom, top) in {"as stated": (points.b, points.t), "upside down": (height - points.t, height - points.b)}.items():
                under = layer.get_text_bounded(max(0, points.l - 2), max(0, bottom - 2), min(width, points.r + 2), min(height, top + 2))
                counted = scoring.word_counts(scoring.join_divided(under.replace("\ufffe", "-\n")), scoring.join_divided(text))
                totals[name] = [a + b for a, b in zip(totals[name], counted)]
    return {name: scoring.f1(*counted) for name, counted in totals.items()}


def ink_under_boxes(document, image):
    """Share of dark pixels that some box of page 1 covers; lines at the very edge of a scan are left out."""
    import numpy as np
    from reference import load_bgr
    grey = load_bgr(image).mean(2)
    height, width = grey.shape
    dark = grey < (np.percentile(grey, 1) + np.percentile(grey, 60)) / 2
    margin = max(2, min(height, width) // 100)
    dark[:margin], dark[-margin:], dark[:, :margin], dark[:, -margin:] = False, False, False, False
    size = document.pages[1].size
    covered = np.zeros_like(dark)
    for _, _, number, box in provenances(document):
        if number == 1:
            box = box.to_top_left_origin(size.height)
            across, down = width / size.width, height / size.height
            covered[max(0, int(box.t * down)):int(box.b * down) + 1, max(0, int(box.l * across)):int(box.r * across) + 1] = True
    return float((dark & covered).sum() / max(1, dark.sum()))


def size_faults(document, source):
    """Page sizes against the source: points for PDFs, the same proportions for images."""
    faults = []
    if source.suffix == ".pdf":
        import pypdfium2
        with pypdfium2.PdfDocument(source) as pdf:
            if len(pdf) != len(document.pages):
                faults.append(f"{len(document.pages)} pages, the PDF has {len(pdf)}")
            for number, page in document.pages.items():
                width, height = pdf[number - 1].get_size()
                if abs(width - page.size.width) > 1 or abs(height - page.size.height) > 1:
                    faults.append(f"page {number} is {page.size.width:.1f} x {page.size.height:.1f}, not {width:.1f} x {height:.1f} points")
    else:
        from PIL import Image
        with Image.open(source) as image:
            width, height = image.size
        size = document.pages[1].size
        if abs(size.width / size.height - width / height) > 0.01 and abs(size.width / size.height - height / width) > 0.01:
            faults.append(f"page 1 is {size.width:.0f} x {size.height:.0f}, the image {width} x {height}")
    return faults


def check(source, file):
    from docling_core.types.doc import DoclingDocument
    text = file.read_text(encoding="utf-8")
    record = {"document": source.name, "faults": []}
    try:
        document = DoclingDocument.model_validate_json(text)
    except ValueError as error:
        record["faults"].append(f"no DoclingDocument: {str(error).splitlines()[0]}")
        return record
    raw = json.loads(text)
    record["schema"] = f"{raw.get('schema_name')} {raw.get('version')}"
    record["origins"] = sorted({box.coord_origin.value for *_, box in provenances(document)})
    record["items"] = dict(collections.Counter(
        item.label.value for item, _ in document.iterate_items(included_content_layers=_all_layers()) if hasattr(item, "label")))
    record["faults"] += geometry_faults(document) + size_faults(document, source)
    boxes = sum(1 for _ in provenances(document))
    record["boxes"] = boxes
    if not boxes:
        record["faults"].append("no boxes")
    if len(record["origins"]) > 1:
        record["faults"].append(f"two origins: {record['origins']}")
    if source.suffix == ".pdf" and boxes:
        record["layer_f1"] = layer_scores(document, source)
        if record["layer_f1"]["as stated"] < LEAST_LAYER_F1:
            record["faults"].append(f"text under boxes: F1 {record['layer_f1']['as stated']:.3f}")
    elif boxes:
        record["ink_covered"] = ink_under_boxes(document, source)
        if record["ink_covered"] < LEAST_INK:
            record["faults"].append(f"{100 * record['ink_covered']:.0f} % of the ink lies under boxes")
    expected = source.parent / f"{source.stem}.expected.txt"
    if expected.is_file():
        truth, found = expected.read_text(encoding="utf-8"), scoring.document_text(raw)
        record["expected_word_f1"] = scoring.f1(*scoring.word_counts(truth, found))
        edits, length = scoring.character_errors(truth, found, joined=True)
        record["expected_cer"] = edits / length
    return record


def main():
    parser = harness.arguments(__doc__.splitlines()[0], host=False)
    parser.add_argument("--host", type=Path, help="the ocr-host binary")
    parser.add_argument("--json", type=Path, help="check this folder of JSON instead of running the host")
    parser.add_argument("--examples", type=Path, default=harness.HERE.parent.parent / "examples")
    parser.add_argument("--host-args", default="", help="options for the host")
    options = parser.parse_args()
    if bool(options.host) == bool(options.json):
        parser.error("give one of --host and --json")
    sources = [options.examples / name for name in ("report.pdf", "scan.jpg", "receipt.png")]
    sources += [options.data / name for name in FROM_DATA]
    records = []
    with tempfile.TemporaryDirectory() as work:
        folder = options.json or Path(work)
        if options.host:
            run, _ = harness.convert(options.host, sources, folder, "json", options.host_args.split())
            if run.code != 0:
                print(f"the host: {run.outcome()}: {harness.parts_of(run)}")
        for source in sources:
            file = harness.output_of(folder, source, ".json")
            records.append(check(source, file) if file else {"document": source.name, "faults": ["no JSON"]})

    def number(value):
        return "-" if value is None else f"{value:.3f}"

    print()
    harness.table(
        ["document", "boxes", "origin", "layer F1 (upside down)", "ink under boxes", "word F1", "CER", "faults"],
        [[r["document"], r.get("boxes", "-"), ", ".join(r.get("origins", [])),
          f"{number(r['layer_f1']['as stated'])} ({number(r['layer_f1']['upside down'])})" if "layer_f1" in r else "-",
          number(r.get("ink_covered")), number(r.get("expected_word_f1")), harness.percent(r.get("expected_cer")),
          "; ".join(r["faults"][:3]) or "none"] for r in records])
    print()
    for record in records:
        print(f"{record['document']}: {record.get('schema', '-')}: "
              + ", ".join(f"{count} {label}" for label, count in sorted(record.get("items", {}).items())))
    harness.write_result(options, "docling", {"documents": records})
    return 1 if any(record["faults"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
