"""The unit tests of the olmOCR sample on the host's Markdown: present, absent, order, table, and blank pages.

    python3 olmocr.py --host ocr-host --data DATA
    python3 olmocr.py --markdown DATA/olmocr-sample/olmocr_pipeline --data DATA    # score Markdown that exists

Rules, as the benchmark describes them and as read here:

* Text is compared after folding white space, quotes and dashes, taking off emphasis and line-break tags, and NFC.
  `max_diffs` edits are forgiven (none by default), `case_sensitive` is on by default, `first_n` and `last_n` look at
  that many characters of the page only.
* `order`: some place of `before` begins ahead of some place of `after`.
* `table`: some table cell says `cell`, and its neighbour (`left`, `right`, `up`, `down`) or one of the cells above it
  in its column (`top_heading`) or ahead of it in its row (`left_heading`) says what the test names. Spans cover all
  the cells they span. Pipe tables and HTML tables count alike.
* `baseline` with `max_length`: a blank page gives at most that many characters. Every other page must give some
  letters and must not end in one short piece repeated over and over; both are counted apart as `not empty`.
* `math` needs formulas rendered side by side and is not applicable: the host writes formulas as plain text.
"""

import html
import html.parser
import json
import re
import tempfile
import unicodedata
from pathlib import Path

import harness

KINDS = ["present", "absent", "order", "table", "blank", "not empty"]
FOLDED = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2010": "-", "\u2011": "-",
    "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00a0": " ", "\u00ad": None,
})


def normalise(text):
    text = re.sub(r"<br\s*/?>", " ", text)
    text = re.sub(r"<!--.*?-->", " ", text, flags=re.S)
    text = re.sub(r"\\([\\`*_{}\[\]()#+\-.!|<>~$&])", r"\1", html.unescape(text))
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"(?<![\w*])([*_])(?=\S)([^*_\n]+?)(?<=\S)\1(?![\w*])", r"\2", text)
    return " ".join(unicodedata.normalize("NFC", text).translate(FOLDED).split())


def places(needle, text, edits):
    """Where `needle` occurs in `text` with at most `edits` edits: (first possible start, last possible start)."""
    if not needle:
        return []
    if edits == 0:
        found, at = [], text.find(needle)
        while at >= 0:
            found.append(at)
            at = text.find(needle, at + 1)
        return found
    # Sellers' search: the cheapest way to end a match at each character, with the start that it came from.
    column = [(row, 0) for row in range(len(needle) + 1)]
    found = []
    for end, letter in enumerate(text, 1):
        fresh = [(0, end)]
        for row, wanted in enumerate(needle, 1):
            fresh.append(min(
                (column[row - 1][0] + (wanted != letter), column[row - 1][1]),
                (column[row][0] + 1, column[row][1]),
                (fresh[row - 1][0] + 1, fresh[row - 1][1]),
            ))
        column = fresh
        if column[-1][0] <= edits:
            found.append(column[-1][1])
    return sorted(set(found))


def same(wanted, got, edits):
    if edits == 0:
        return wanted == got
    from rapidfuzz.distance import Levenshtein
    return Levenshtein.distance(wanted, got) <= edits


# ---- tables ----------------------------------------------------------------------------------------------------


class _Tables(html.parser.HTMLParser):
    """HTML tables as lists of rows of (text, columns spanned, rows spanned)."""

    def __init__(self):
        super().__init__()
        self.tables, self.open, self.cell = [], [], None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "table":
            self.open.append([])
        elif tag == "tr" and self.open:
            self.open[-1].append([])
        elif tag in ("td", "th") and self.open:
            if not self.open[-1]:
                self.open[-1].append([])
            spans = [max(1, min(100, int(value))) if str(value).isdigit() else 1
                     for value in (attributes.get("colspan", 1), attributes.get("rowspan", 1))]
            self.cell = ["", *spans]
        elif tag == "br" and self.cell:
            self.cell[0] += " "

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self.cell and self.open:
            self.open[-1][-1].append(tuple(self.cell))
            self.cell = None
        elif tag == "table" and self.open:
            self.tables.append(self.open.pop())

    def handle_data(self, data):
        if self.cell:
            self.cell[0] += data


def grid(rows):
    """Rows with spans as a dictionary (row, column) -> text."""
    cells = {}
    for row, entries in enumerate(rows):
        column = 0
        for text, across, down in entries:
            while (row, column) in cells:
                column += 1
            for y in range(row, min(row + down, len(rows))):
                for x in range(column, column + across):
                    cells.setdefault((y, x), normalise(text))
            column += across
    return cells


def tables(markdown):
    parser = _Tables()
    parser.feed(markdown)
    found = [grid(rows) for rows in parser.tables]
    rows = []
    for line in [*markdown.splitlines(), ""]:
        if line.strip().startswith("|"):
            if not re.fullmatch(r"\s*\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?)?\s*", line):
                cells = re.split(r"(?<!\\)\|", line.strip().strip("|") if not line.strip().endswith("\\|") else line.strip()[1:])
                rows.append([(cell, 1, 1) for cell in cells])
        elif rows:
            found.append(grid(rows))
            rows = []
    return found


def table_holds(test, markdown):
    edits = test.get("max_diffs", 0)
    wanted = {key: normalise(test[key]) for key in
              ("cell", "left", "right", "up", "down", "top_heading", "left_heading") if test.get(key)}
    cell = wanted.pop("cell")
    steps = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
    seen = tables(markdown)
    if not seen:
        return False, "no table on the page"
    reason = f"no cell says `{cell}`"
    for cells in seen:
        for (row, column), text in cells.items():
            if not same(cell, text, edits):
                continue
            missing = []
            for relation, value in wanted.items():
                if relation in steps:
                    down, across = steps[relation]
                    near = [cells.get((row + down, column + across), "")]
                elif relation == "top_heading":
                    near = [cells[y, x] for (y, x) in cells if x == column and y < row]
                else:
                    near = [cells[y, x] for (y, x) in cells if y == row and x < column]
                if not any(same(value, other, edits) for other in near):
                    missing.append(f"{relation} of `{cell}` is {near[:3]}, not `{value}`")
            if not missing:
                return True, ""
            reason = missing[0]
    return False, reason


# ---- the tests -------------------------------------------------------------------------------------------------


def ends_in_repetition(text, times=30, longest=5):
    """Whether the last words repeat a piece of up to `longest` words `times` times."""
    words = text.split()
    for size in range(1, longest + 1):
        piece, count = words[-size:], 0
        while count < times and words[len(words) - size * (count + 1): len(words) - size * count] == piece:
            count += 1
        if piece and count >= times:
            return True
    return False


def holds(test, markdown):
    """Whether a test passes on a page, and why not."""
    kind, edits = test["type"], test.get("max_diffs", 0)
    text = normalise(markdown)
    if kind in ("present", "absent"):
        needle = normalise(test["text"])
        if not test.get("case_sensitive", True):
            needle, text = needle.lower(), text.lower()
        parts = [text[:test["first_n"]]] if test.get("first_n") else []
        parts += [text[-test["last_n"]:]] if test.get("last_n") else []
        found = any(places(needle, part, edits) for part in parts or [text])
        return found == (kind == "present"), "" if found == (kind == "present") else f"`{test['text'][:80]}`"
    if kind == "order":
        before, after = (places(normalise(test[key]), text, edits) for key in ("before", "after"))
        if not before or not after:
            return False, f"{'before' if not before else 'after'} not found: `{test['before' if not before else 'after'][:70]}`"
        return min(before) < max(after), f"`{test['before'][:40]}` stands behind `{test['after'][:40]}`"
    if kind == "table":
        return table_holds(test, markdown)
    if kind == "blank":
        return len(text) <= test["max_length"], f"{len(text)} characters: `{text[:60]}`"
    if kind == "not empty":
        if not re.search(r"\w", text):
            return False, "no letters"
        return not ends_in_repetition(text), "ends in a repetition"
    raise ValueError(f"unknown test type {kind}")


def load_tests(folder):
    tests = [json.loads(line) for line in (folder / "dataset.jsonl").read_text().splitlines() if line.strip()]
    blanks = [json.loads(line) for line in (folder / "blanks.jsonl").read_text().splitlines() if line.strip()]
    for test in blanks:
        test["type"] = "blank"
    blank_pages = {(test["pdf"], test["page"]) for test in blanks}
    for pdf, page in sorted({(test["pdf"], test["page"]) for test in tests} - blank_pages):
        tests.append({"pdf": pdf, "page": page, "id": f"{Path(pdf).stem}_{page}", "type": "not empty"})
    return tests + blanks


def markdown_by_host(options, wanted, work):
    """The host's Markdown of each (pdf, page)."""
    import pypdfium2
    pages, troubles = {}, []
    for pdf, page in wanted:
        source = options.data / "olmocr-sample" / "pdfs" / pdf
        with pypdfium2.PdfDocument(source) as document:
            only = [] if len(document) == 1 else ["--pages", str(page)]
        folder = work / f"{len(pages)}"
        run, _ = harness.convert(options.host, [source], folder, "md", [*options.host_args.split(), *only],
                                 timeout_s=options.time_limit)
        file = harness.output_of(folder, source, ".md")
        if run.code != 0 or not file:
            troubles.append(f"{pdf} page {page}: {run.outcome()}: {harness.parts_of(run)}")
        pages[pdf, page] = file.read_text(encoding="utf-8") if file else ""
    return pages, troubles


def markdown_from(folder, wanted):
    """Existing Markdown, named as the benchmark names it: `NAME_pgN_repeat1.md`."""
    pages, troubles = {}, []
    for pdf, page in wanted:
        file = folder / f"{pdf.removesuffix('.pdf')}_pg{page}_repeat1.md"
        if not file.is_file():
            troubles.append(f"{pdf} page {page}: no {file.name}")
        pages[pdf, page] = file.read_text(encoding="utf-8") if file.is_file() else ""
    return pages, troubles


def main():
    parser = harness.arguments(__doc__.splitlines()[0], host=False)
    parser.add_argument("--host", type=Path, help="the ocr-host binary")
    parser.add_argument("--markdown", type=Path, help="score this folder of Markdown instead of running the host")
    parser.add_argument("--host-args", default="", help="options for every run of the host")
    parser.add_argument("--keep", type=Path, help="keep the pages' Markdown here")
    parser.add_argument("--time-limit", type=float, default=300, help="seconds for one page")
    options = parser.parse_args()
    if bool(options.host) == bool(options.markdown):
        parser.error("give one of --host and --markdown")

    tests = load_tests(options.data / "olmocr-sample")
    wanted = sorted({(test["pdf"], test["page"]) for test in tests})
    with tempfile.TemporaryDirectory() as work:
        pages, troubles = (markdown_by_host(options, wanted, Path(work)) if options.host
                           else markdown_from(options.markdown, wanted))
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        for (pdf, page), text in pages.items():
            (options.keep / f"{Path(pdf).stem}_{page}.md").write_text(text, encoding="utf-8")

    counts = {kind: {"passed": 0, "of": 0} for kind in KINDS}
    failures, not_applicable = [], 0
    for test in tests:
        if test["type"] == "math":
            not_applicable += 1
            continue
        passed, reason = holds(test, pages[test["pdf"], test["page"]])
        counts[test["type"]]["of"] += 1
        counts[test["type"]]["passed"] += passed
        if not passed:
            failures.append({"type": test["type"], "id": test["id"], "reason": reason})
    print()
    harness.table(["test", "passed", "of"], [[kind, counts[kind]["passed"], counts[kind]["of"]] for kind in KINDS]
                  + [["math", "not applicable", not_applicable]])
    print()
    for failure in failures:
        print(f"FAILED {failure['type']} {failure['id']}: {failure['reason']}")
    for trouble in troubles:
        print(f"TROUBLE {trouble}")
    harness.write_result(options, "olmocr", {
        "counts": counts, "math_not_applicable": not_applicable, "failures": failures, "troubles": troubles,
        "scored": "the host" if options.host else options.markdown.name})


if __name__ == "__main__":
    main()
