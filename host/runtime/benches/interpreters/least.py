"""The least formatter on its SDK: what a page costs in Python beyond what is done with it."""

from ocr_plugin import Formatter, export, output


@export
class Least(Formatter):
    def __init__(self, doc, config):
        self.out = output.main()
        self.spans = 0

    def page(self, page):
        self.spans += len(page.spans)
        self.out.write(page.text if page.info.index == 0 else "wrong page")

    def finish(self):
        self.out.write(f" {self.spans}")
