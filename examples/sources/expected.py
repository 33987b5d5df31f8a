"""The text of an example page in reading order: what a perfect reader would write down.

One paragraph, heading, list item, caption or table row a line; the cells of a row are separated by a tab; a form
feed stands between pages. Running heads and feet are lines of their own. Words inside the figure are left out: a
reader may give them or not.
"""

from html.parser import HTMLParser

LINES = {"h1", "h2", "h3", "p", "li", "caption", "figcaption", "tr", "div"}
SILENT = {"svg", "title", "style"}


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.pages, self.line, self.silent, self.numbers = [[]], "", 0, []

    def end_line(self):
        text = "\t".join(" ".join(cell.split()) for cell in self.line.split("\t")).strip(" ")
        if text.strip():
            self.pages[-1].append(text)
        self.line = ""

    def handle_starttag(self, tag, attributes):
        if tag in SILENT:
            self.silent += 1
        if tag in LINES or tag == "br":
            self.end_line()
        if tag == "section" and self.pages[-1]:
            self.pages.append([])
        if tag in ("ol", "ul"):
            self.numbers.append(0 if tag == "ol" else None)
        if tag == "li" and self.numbers[-1] is not None:
            self.numbers[-1] += 1
            self.line = f"{self.numbers[-1]}. "

    def handle_endtag(self, tag):
        if tag in SILENT:
            self.silent -= 1
        if tag in LINES:
            self.end_line()
        if tag in ("ol", "ul"):
            self.numbers.pop()
        if tag in ("td", "th"):
            self.line = self.line.rstrip() + "\t"
        if tag == "span":
            self.end_line()

    def handle_data(self, data):
        if not self.silent:
            self.line += data if "\t" in self.line else data.lstrip("\n") if not self.line else data


def expected_text(html):
    reader = _Reader()
    reader.feed(html)
    reader.end_line()
    return "\f".join("\n".join(line.rstrip("\t") for line in page) + "\n" for page in reader.pages if page)
