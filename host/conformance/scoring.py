"""How text is compared: words as a bag, characters in order, and the text of our own outputs.

* Word F1: case-folded runs of letters and digits after NFKC, as a multiset; order is not judged.
* Character error rate: NFKC, white space folded to single blanks, edit distance over the length of the truth.
* A second rate joins words divided at line ends on both sides first, so that neither keeping nor joining the hyphen
  counts as an error.
"""

import collections
import html
import re
import unicodedata

from rapidfuzz.distance import Levenshtein


def fold(text):
    return " ".join(unicodedata.normalize("NFKC", text).split())


def words(text):
    return collections.Counter(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold()))


def word_counts(truth, found):
    """Matched, expected and found words."""
    expected, got = words(truth), words(found)
    return sum((expected & got).values()), sum(expected.values()), sum(got.values())


def f1(matched, expected, found):
    if expected + found == 0:
        return 1.0
    return 2 * matched / (expected + found)


def join_divided(text):
    """`weath- ered` and `weath-` + line end + `ered` become `weathered`."""
    return re.sub(r"(?<=[^\W\d_])[-\u00ad]\s+(?=[^\W\d_A-Z])", "", text)


def character_errors(truth, found, joined=False):
    """Edits and length of the truth."""
    if joined:
        truth, found = join_divided(truth), join_divided(found)
    truth, found = fold(truth), fold(found)
    return Levenshtein.distance(truth, found), len(truth)


# ---- our own outputs -------------------------------------------------------------------------------------------


def document_text(document):
    """All text of a DoclingDocument in reading order, running heads and feet included.

    The body tree gives the order. Items that hang elsewhere (the `furniture` group of older documents) follow at
    the end, so nothing that was read is left out of the score.
    """
    lines, seen = [], set()

    def resolve(reference):
        node = document
        for step in reference.lstrip("#/").split("/"):
            node = node[int(step)] if isinstance(node, list) else node[step]
        return node

    def visit(node):
        reference = node.get("self_ref")
        if reference in seen:
            return
        seen.add(reference)
        if "data" in node and isinstance(node["data"], dict) and "table_cells" in node["data"]:
            for kind in ("captions",):
                for child in node.get(kind, []):
                    visit(resolve(child["$ref"]))
            rows = collections.defaultdict(list)
            for cell in node["data"]["table_cells"]:
                rows[cell["start_row_offset_idx"]].append((cell["start_col_offset_idx"], cell["text"]))
            for _, cells in sorted(rows.items()):
                lines.append(" ".join(text for _, text in sorted(cells)))
        elif node.get("text"):
            marker = node.get("marker") if node.get("enumerated") else None
            text = node["text"]
            lines.append(f"{marker} {text}" if marker and not text.startswith(marker) else text)
        for kind in ("captions", "children", "footnotes"):
            for child in node.get(kind, []):
                visit(resolve(child["$ref"]))

    visit(document["body"])
    for kind in ("texts", "tables", "pictures"):
        for node in document.get(kind, []):
            visit(node)
    return "\n".join(lines)


def markdown_text(markdown):
    """Markdown with its marks taken off: headings, emphasis, list bullets, tables, images, comments, escapes."""
    text = re.sub(r"<!--.*?-->", " ", markdown, flags=re.S)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", text)
    text = re.sub(r"</?(?:table|thead|tbody|tr|td|th|br|p|div|figure|figcaption|sup|sub|b|i|em|strong|span|img)\b[^>]*>",
                  " ", text)
    lines = []
    for line in text.splitlines():
        if re.fullmatch(r"\s*\|?(?:\s*:?-{3,}:?\s*\|)+\s*:?-*:?\s*", line) or re.fullmatch(r"\s*(?:-{3,}|\*{3,}|_{3,})\s*", line):
            continue
        if line.lstrip().startswith("|"):
            line = re.sub(r"(?<!\\)\|", " ", line)
        line = re.sub(r"^\s*(?:>\s*)*(?:#{1,6}\s+|[-*+]\s+)?", "", line)
        lines.append(line)
    text = "\n".join(lines)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"(?<![\\\w])\*(?=\S)([^*\n]+?)(?<=\S)\*(?!\w)", r"\1", text)
    text = re.sub(r"\\([\\`*_{}\[\]()#+\-.!|<>~$&])", r"\1", text)
    return html.unescape(text)
