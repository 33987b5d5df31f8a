"""Replaces a word wherever it was read."""

from ocr_plugin import Config, DocInfo, Edit, Page, Processor, SetText, export


@export
class MyPlugin(Processor):
    def __init__(self, doc: DocInfo, config: Config):
        self.find: str = config["find"]
        self.replace: str = config["replace"]

    def process(self, page: Page) -> list[Edit]:
        edits: list[Edit] = []
        for span in page.reading_order():
            words = [self.replace if word == self.find else word for word in span.text.split(" ")]
            mended = " ".join(words)
            if mended != span.text:
                edits.append(SetText(span, mended))
        return edits
