"""Writes the recognised text, with a line above each page."""

from ocr_plugin import Config, DocInfo, Formatter, Page, export, output


@export
class MyPlugin(Formatter):
    def __init__(self, doc: DocInfo, config: Config):
        self.out = output.main()
        self.rule: str = config["rule"]

    def page(self, page: Page) -> None:
        self.out.write(f"{self.rule} page {page.info.number}\n")
        for span in page.reading_order():
            self.out.write(span.text + "\n")
