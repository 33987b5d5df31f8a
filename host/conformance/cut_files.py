"""Files that were cut off: whether each page that looks otherwise than in the whole file is told of.

    cargo build --release --example draw_pages
    python3 cut_files.py --draw ../../target/release/examples/draw_pages --data DATA

Every PDF of the data folder up to 3 MB, and `report.pdf`, is drawn whole (at most 30 pages) and cut at eight places (at most
six pages), natively, as `pdf-in` draws it. A page is told of where `pdf-in` would say that something of it is lost. One that
has the pixels of any of the whole file's pages looks like it. A file that does not open any more has no pages to be
mistaken for whole ones.
"""

import hashlib
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import harness

SHARES = (30, 45, 55, 65, 75, 85, 92, 98)
MOST_BYTES = 3_000_000
DPI = "40"
LOST = ["lost", "lost_fonts", "lost_pictures", "lost_others"]


def pages(draw, path, most):
    """Of each page its head and a digest of its pixels."""
    try:
        raw = subprocess.run([draw, path, DPI, str(most)], capture_output=True, timeout=60).stdout
    except subprocess.TimeoutExpired:
        return []
    found, at = [], 0
    while (end := raw.find(b"\n", at)) >= 0:
        head = json.loads(raw[at:end])
        at = end + 1 + head["width"] * head["height"] * 3
        found.append((head, hashlib.sha256(raw[end + 1:at]).hexdigest()))
    return found


def is_told(head):
    return any(head[key] for key in LOST) or head["end"] == "CutChange"


def main():
    parser = harness.arguments(__doc__.splitlines()[0], host=False)
    parser.add_argument("--draw", type=Path, required=True, help="the example draw_pages of pdf-in")
    parser.add_argument("--examples", type=Path, default=harness.HERE.parent.parent / "examples")
    options = parser.parse_args()
    counts, missed, told_of_whole = Counter(), [], []
    files = [options.examples / "report.pdf"] + sorted(options.data.rglob("*.pdf"))
    with tempfile.TemporaryDirectory() as work:
        cut = Path(work) / "cut.pdf"
        for path in files:
            content = path.read_bytes()
            whole = pages(options.draw, path, 30) if len(content) <= MOST_BYTES else []
            told_of_whole += [f"{path.name} page {at}" for at, (head, _) in enumerate(whole, 1) if is_told(head)]
            counts["pages of whole files"] += len(whole)
            looks = {look for _, look in whole}
            for share in SHARES if whole else ():
                cut.write_bytes(content[:len(content) * share // 100])
                for at, (head, look) in enumerate(pages(options.draw, cut, 6), 1):
                    counts["pages of cut files"] += 1
                    name = ("told of" if is_told(head) else "not told of") + (", alike" if look in looks else ", other")
                    counts[name] += 1
                    if name == "not told of, other":
                        missed.append(f"{path.name} at {share} %, page {at}")
    print(dict(counts), "told of whole files:", told_of_whole)
    print("\n".join(missed))
    harness.write_result(options, "cut-files", {"counts": counts, "missed": missed, "told_of_whole": told_of_whole})


if __name__ == "__main__":
    main()
