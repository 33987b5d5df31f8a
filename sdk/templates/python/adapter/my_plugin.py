"""Reads gray images in the format PGM: `P5`, width, height and 255 in words, then a byte for each pixel."""

import re

from ocr_plugin import Adapter, Canvas, DocInfo, InputPage, InvalidInput, OpenOptions, PixelFormat, Source, export

HEADER = re.compile(rb"P5\s+([1-9]\d*)\s+([1-9]\d*)\s+255\s")


@export
class MyPlugin(Adapter):
    @staticmethod
    def sniff(name: str, head: bytes) -> int:
        return 80 if HEADER.match(head) else 0

    def __init__(self, source: Source, options: OpenOptions):
        header = HEADER.match(source.read_at(0, 4096))
        if header is None:
            raise InvalidInput("its header is no PGM header")
        self.source = source
        self.width, self.height = int(header[1]), int(header[2])
        self.pixels = header.end()
        self.dpi: float = options.config["dpi"]

    def info(self) -> DocInfo:
        return DocInfo(self.source.name, "image/x-portable-graymap", pages=1)

    def read(self, index: int, dpi: float) -> InputPage | None:
        if index > 0:
            return None
        canvas = Canvas(self.width, self.height, PixelFormat.GRAY8)
        band = max(1, 262_144 // self.width)
        for row in range(0, self.height, band):
            rows = min(band, self.height - row)
            pixels = self.source.read_at(self.pixels + row * self.width, rows * self.width)
            if len(pixels) < rows * self.width:
                raise InvalidInput(f"it ends after {row + len(pixels) // self.width} of {self.height} rows")
            canvas.write_rows(row, pixels)
        return InputPage(canvas.finish(), self.dpi)
