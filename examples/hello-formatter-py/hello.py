"""The shortest useful formatter: plain text, with a line above each page.

`ocr-host plugin build` makes the component; tests: `PYTHONPATH=../../sdk/python python3 -m unittest`.
"""

from ocr_plugin import Config, DocInfo, Formatter, Outcome, Page, export, output


@export
class Hello(Formatter):
    def __init__(self, doc: DocInfo, config: Config):
        self.out = output.main()
        self.rule: str = config["rule"]

    def page(self, page: Page) -> None:
        self.out.write(f"{self.rule} page {page.info.number}\n")
        if page.info.outcome is Outcome.FAILED:
            self.out.write("(this page could not be read)\n")
        for span in page.reading_order():
            self.out.write(span.text + "\n")
