"""What `dehyphenate` makes of words that real documents cut at the ends of lines.

    cargo build --release --example join
    python3 dehyphenation.py --join ../../target/release/examples/join --data DATA [--pdfium FOLDER] [--list]

The text layers of the data folder's PDFs are read by pdfium, which marks each hyphen at the end of a line. Every such place
is cut again, and the document's text goes through the plugin's own rule. Whether a hyphen belongs to the word was
judged by hand, reading each place: `HYPHENS` lists those that do; all others belong to the cut. Places that are no cut word
(columns that run into each other, letters that OCR has broken) are in `NOISE` and not counted, and neither are words that are
written either way (`EITHER`). `--pdfium` is a folder with the package `pypdfium2`.
"""

import re
import subprocess
import sys
from collections import Counter

import harness

FOLDERS = ["olmocr-sample", "gnarly", "ocrmypdf", "pdfjs-robust"]
# Its text is the output of a poor OCR.
LEFT_OUT = {"horribleocr.pdf"}
CUT = re.compile(r"([\w'’-]*[^\W\d_])[\ufffe\x02\xad]\s*([^\W\d_][\w'’-]*)")
HYPHENS = set("""Spatio|temporal spatio|temporal high|level domain|experts St|graph st|graph human|human human|object
    encoder|RNN-decoder state|of-the-art S|RNN long|term Time-to|maneuver end|to-end task|specific problem|solving
    source|level mixed|mode act|then-reflect Morey|Burrows MURI|WF911NF-15-1-0479""".split())
EITHER = set("sub|motions sub|optimal back|propagated post|conflict".split())
NOISE = set("""af|Algorithm cul|complete with|minister scholar|between mor|their Pixy|Moon indig|S Portu|gu HALA-W|EWA
    Hu|man3 va-ietl|es -E|St In|o't-Smith""".split())


def texts(options):
    """Name and pages of each document that has cut words."""
    import pypdfium2

    for path in sorted(p for folder in FOLDERS for p in (options.data / folder).rglob("*.pdf")):
        if path.name in LEFT_OUT:
            continue
        try:
            document = pypdfium2.PdfDocument(path)
            pages = [document[index].get_textpage().get_text_range() for index in range(min(len(document), 60))]
        except pypdfium2.PdfiumError:
            continue
        if any(CUT.search(page) for page in pages):
            yield str(path.relative_to(options.data)), pages


def judged(join, pages):
    """Each cut place with what became of it: `whole`, `hyphen` or `apart`."""
    # An empty line parts blocks, and a form feed pages.
    pages = [re.sub(r"\s*\n\s*", "\n", page.replace("\r", "").replace("\f", " ")) for page in pages]
    cut = "\f".join(CUT.sub(r"\1-\n\2", page) for page in pages)
    ran = subprocess.run([join], input=cut.encode(), capture_output=True, check=True)
    joined, at = ran.stdout.decode(), 0
    for left, right in (found for page in pages for found in CUT.findall(page)):
        forms = {"whole": left + right, "hyphen": f"{left}-{right}", "apart": f"{left}-\n{right}"}
        places = {name: joined.find(form, at) for name, form in forms.items()}
        places = {name: place for name, place in places.items() if place >= 0}
        name = min(places, key=places.get)
        at = places[name] + len(left)
        yield f"{left}|{right}", name


def main():
    parser = harness.arguments(__doc__.splitlines()[0], host=False)
    parser.add_argument("--join", required=True, help="the example join of dehyphenate")
    parser.add_argument("--pdfium", help="a folder with the package pypdfium2")
    parser.add_argument("--list", action="store_true", help="print every place")
    options = parser.parse_args()
    if options.pdfium:
        sys.path.insert(0, options.pdfium)
    counts, wrong, documents = Counter(), [], 0
    for name, pages in texts(options):
        documents += 1
        for place, became in judged(options.join, pages):
            if place in NOISE or place in EITHER:
                counts["not counted"] += 1
                continue
            truth = "hyphen" if place in HYPHENS else "whole"
            counts[f"{truth}, became {became}"] += 1
            if options.list:
                print(name, place, became)
            if became != truth:
                wrong.append({"document": name, "place": place, "became": became})
    counted = sum(count for key, count in counts.items() if key != "not counted")
    summary = {"documents": documents, "places": counted, "right": counted - len(wrong), **counts}
    for line in wrong:
        print(line)
    print(summary)
    harness.write_result(options, "dehyphenation", {"summary": summary, "wrong": wrong})


if __name__ == "__main__":
    main()
