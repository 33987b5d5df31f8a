"""The host in memory: the contract's functions as far as a test needs them.

It has no image decoders, encoders, recognition or PDF renderer: decoders and those capabilities answer `Denied`, and an image is
"encoded" as a line that names its format and size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from ..errors import Denied, Invalid
from ..image import Encoding, PixelFormat
from ..types import Diagnostic, PageInfo, Rect, Severity


@dataclass
class Grants:
    """What the host allows. The default is everything it has."""

    #: Whether `output.create` works; off as when a run writes to standard output.
    files: bool = True
    #: Whether pages show their raster: a white image of the page's size.
    raster: bool = True
    #: Whether rows of images can be read.
    rows: bool = True


@dataclass
class State:
    """What a plugin left behind."""

    grants: Grants = field(default_factory=Grants)
    files: dict[str, bytearray] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    log: list[tuple[Severity, str]] = field(default_factory=list)

    def interfaces(self) -> dict[str, Any]:
        """What `_host.bind` takes."""
        refuse = lambda what: SimpleNamespace(open=lambda *_: _raise(Denied(what)))  # noqa: E731
        return {
            "log": SimpleNamespace(
                write=lambda level, message: self.log.append((level, message)),
                report=self.diagnostics.append,
            ),
            "control": SimpleNamespace(checkpoint=lambda: None, progress=lambda done, total: None),
            "output": SimpleNamespace(main=self._main, create=self._create),
            "source": SimpleNamespace(Source=MemorySource),
            "image": SimpleNamespace(
                Canvas=SimpleNamespace(create=self._canvas, finish=lambda canvas: canvas.image),
                Decoder=refuse("the host in memory has no image decoders"),
            ),
            "pdf": SimpleNamespace(Document=refuse("capability `pdf.render` is not granted")),
            "ocr": SimpleNamespace(
                recognize=lambda *_: _raise(Denied("capability `ocr.recognize` is not granted"))
            ),
        }

    def raster(self, info: PageInfo) -> MemoryImage:
        if not self.grants.raster:
            raise Denied("capability `page.raster` is not granted")
        white = bytearray(b"\xff" * (info.width * info.height))
        return MemoryImage(self, info.width, info.height, PixelFormat.GRAY8, white)

    def _main(self) -> MemoryFile:
        self.files.setdefault("main", bytearray())
        return MemoryFile("main", self.files["main"])

    def _create(self, name: str, _media_type: str) -> MemoryFile:
        if not self.grants.files:
            raise Denied("this run writes to standard output and has no folder for further files")
        name = f"main.files/{name}"
        if name in self.files:
            raise Invalid(f"`{name}` exists already")
        self.files[name] = bytearray()
        return MemoryFile(name, self.files[name])

    def _canvas(self, width: int, height: int, format: PixelFormat) -> MemoryCanvas:
        if not (0 < width <= 65_535 and 0 < height <= 65_535):
            raise Invalid(f"a canvas of {width} x {height} px")
        pixels = bytearray(b"\xff" * (width * height * format.bytes))
        return MemoryCanvas(MemoryImage(self, width, height, format, pixels))


def _raise(error: Exception) -> Any:
    raise error


class _Resource:
    def __exit__(self, *_: object) -> None:
        pass


class MemoryFile(_Resource):
    def __init__(self, name: str, data: bytearray):
        self._name, self._data = name, data

    def name(self) -> str:
        return self._name

    def len(self) -> int:
        return len(self._data)

    def write(self, chunk: bytes) -> None:
        self._data += chunk

    def write_image(self, image: MemoryImage, encoding: Encoding, _quality: int) -> int:
        text = f"<{encoding} {image.width()}x{image.height()}>".encode()
        self._data += text
        return len(text)

    def write_image_base64(self, image: MemoryImage, encoding: Encoding, _quality: int) -> int:
        text = f"{encoding}-{image.width()}x{image.height()}".encode()
        self._data += text
        return len(text)


class MemoryImage(_Resource):
    def __init__(self, state: State, width: int, height: int, format: PixelFormat, pixels: bytearray):
        self._state, self._width, self._height = state, width, height
        self._format, self._pixels = format, pixels

    def width(self) -> int:
        return self._width

    def height(self) -> int:
        return self._height

    def _pixel(self, x: int, y: int) -> bytes:
        n = self._format.bytes
        at = (y * self._width + x) * n
        return bytes(self._pixels[at : at + n])

    def _gather(self, width: int, height: int, place: Any) -> MemoryImage:
        if not (0 < width <= 65_535 and 0 < height <= 65_535):
            raise Invalid(f"an image of {width} x {height} px")
        pixels = b"".join(self._pixel(*place(x, y)) for y in range(height) for x in range(width))
        return MemoryImage(self._state, width, height, self._format, bytearray(pixels))

    def crop(self, area: Rect) -> MemoryImage:
        part = area.intersect(Rect(0, 0, self._width, self._height))
        return self._gather(part.width, part.height, lambda x, y: (x + part.x0, y + part.y0))

    def resize(self, width: int, height: int) -> MemoryImage:
        return self._gather(
            width, height, lambda x, y: (x * self._width // width, y * self._height // height)
        )

    def rotate(self, quarters: int) -> MemoryImage:
        w, h = self._width, self._height
        turn = quarters % 4
        if turn == 1:
            return self._gather(h, w, lambda x, y: (y, h - 1 - x))
        if turn == 2:
            return self._gather(w, h, lambda x, y: (w - 1 - x, h - 1 - y))
        if turn == 3:
            return self._gather(h, w, lambda x, y: (w - 1 - y, x))
        return self

    def read_rows(self, first: int, count: int, format: PixelFormat) -> bytes:
        if not self._state.grants.rows:
            raise Denied("capability `image.rows` is not granted")
        if first + count > self._height:
            raise Invalid(f"rows {first}+{count} of an image of {self._height} rows")
        places = ((x, y) for y in range(first, first + count) for x in range(self._width))
        return b"".join(_convert(self._pixel(x, y), format) for x, y in places)


def _convert(pixel: bytes, to: PixelFormat) -> bytes:
    r, g, b, a = {1: lambda p: (*p, *p, *p, 255), 3: lambda p: (*p, 255), 4: tuple}[len(pixel)](pixel)
    if to is PixelFormat.GRAY8:
        return bytes([(r * 299 + g * 587 + b * 114) // 1000])
    return bytes([r, g, b]) if to is PixelFormat.RGB8 else bytes([r, g, b, a])


class MemoryCanvas(_Resource):
    def __init__(self, image: MemoryImage):
        self.image = image

    def write_rows(self, first: int, rows: bytes) -> None:
        stride = self.image._width * self.image._format.bytes
        start = first * stride
        if len(rows) % stride or start + len(rows) > len(self.image._pixels):
            raise Invalid(f"{len(rows)} bytes from row {first} on do not fit the canvas")
        self.image._pixels[start : start + len(rows)] = rows


class MemorySource(_Resource):
    def __init__(self, name: str, data: bytes):
        self._name, self._data = name, data

    @classmethod
    def from_bytes(cls, name: str, data: bytes) -> MemorySource:
        return cls(name, bytes(data))

    def name(self) -> str:
        return self._name

    def len(self) -> int:
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def window(self, name: str, offset: int, length: int) -> MemorySource:
        if offset + length > len(self._data):
            raise Invalid(f"bytes {offset}+{length} of {len(self._data)}")
        return MemorySource(name, self._data[offset : offset + length])
