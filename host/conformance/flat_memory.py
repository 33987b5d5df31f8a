"""Memory over a long document: 2,000 pages of one line each.

    python3 flat_memory.py --host ocr-host

Draws the document with nothing but Python, converts it with `--progress json` and notes the resident size of the
host and its children whenever a page is done. The size after page 2,000 may be at most 16 MiB above that after
page 200. A size at one instant swings with the pages that are just under way, so each mark is the median over the
fifty pages before it; the instants are printed and kept as well.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

WINDOW = 50  # pages whose median stands for a mark
MOST_GONE = 10  # last pages that may be reported and never weighed
KEPT = 20  # of so many pages, one's size is kept in the result


def one_line_pages(count):
    """A PDF of `count` A5 pages, each with its own line of text in a standard font."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", None, b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in range(1, count + 1):
        line = f"BT /F1 18 Tf 40 300 Td (Line {page} of a long document) Tj ET".encode()
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 595] /Contents {len(objects) + 2} 0 R "
                       "/Resources << /Font << /F1 3 0 R >> >> >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(line), line))
    objects[1] = f"<< /Type /Pages /Count {count} /Kids [{' '.join(kids)}] >>".encode()
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def watch(process):
    """Resident bytes after each finished page, in the order in which pages finish; other lines of stderr."""
    sizes, said = [], []
    start = time.perf_counter()
    for line in process.stderr:
        try:
            event = json.loads(line)
        except ValueError:
            said.append(line.rstrip())
            continue
        if event.get("event") in ("diagnostic", "log"):
            said.append(line.rstrip())
        if event.get("event") == "page":
            page = event.get("page", event)
            resident = sum(harness.resident_bytes(member) for member in harness.family(process.pid))
            if resident == 0 and sizes:
                # The host left between its last page and this look: the page before speaks for it.
                sizes.append({**sizes[-1], "number": page.get("number"), "gone": True})
                continue
            sizes.append({"number": page.get("number"), "mib": round(resident / harness.MIB, 2),
                          "s": round(time.perf_counter() - start, 3)})
    return sizes, said


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", type=Path, required=True, help="the ocr-host binary")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--from-page", type=int, default=200)
    parser.add_argument("--allowed", type=float, default=16, help="MiB")
    parser.add_argument("--to", default="md,json")
    parser.add_argument("--host-args", default="", help="more options for the host")
    parser.add_argument("--write-document", type=Path, help="only write the document here")
    options = parser.parse_args()
    if options.write_document:
        options.write_document.write_bytes(one_line_pages(options.pages))
        return 0

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "long.pdf"
        source.write_bytes(one_line_pages(options.pages))
        out = Path(folder) / "out"
        process = subprocess.Popen(
            [options.host.resolve(), source, "-o", out, "--to", options.to, "--progress", "json", *options.host_args.split()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        sizes, said = watch(process)
        code = process.wait()
        markdown = harness.output_of(out, source, ".md")
        text = markdown.read_text(encoding="utf-8") if markdown else ""
    right = sum(f"Line {page} of a long document" in text for page in range(1, options.pages + 1))
    print(f"exit code {code}, {len(sizes)} pages done, {right} lines read to the letter")
    for line in said[-5:]:
        print(f"  {line}")
    marks = range(options.from_page, len(sizes) + 1, options.from_page)
    at = {page: statistics.median(size["mib"] for size in sizes[max(0, page - WINDOW):page]) for page in marks}
    print()
    harness.table(["pages done", "resident MiB", "at that instant", "seconds"],
                  [[page, f"{mib:.1f}", f"{sizes[page - 1]['mib']:.1f}", sizes[page - 1]["s"]] for page, mib in at.items()])
    gone = sum(size.get("gone", False) for size in sizes)
    if gone:
        print(f"\nthe host had left before {gone} of its last pages could be weighed; the page before them stands for them")
    grown = at[options.pages] - at[options.from_page] if options.pages in at and options.from_page in at else None
    met = grown is not None and grown <= options.allowed and code == 0 and gone <= MOST_GONE
    print(f"\ngrown from page {options.from_page} to page {options.pages}: "
          f"{'not measured' if grown is None else f'{grown:.1f} MiB'}; allowed {options.allowed:.0f} MiB: {'met' if met else 'NOT MET'}")
    harness.write_result(options, "flat-memory", {
        "pages": options.pages, "code": code, "grown_mib": grown, "marks_mib": at, "met": met, "lines_right": right,
        "largest_mib": max((size["mib"] for size in sizes), default=None), "sizes": sizes[KEPT - 1::KEPT]})
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
