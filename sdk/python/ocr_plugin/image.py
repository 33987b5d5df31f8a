"""Pixels that the host owns. They stay there unless a plugin asks for rows."""

from __future__ import annotations

from typing import Self

from ._host import CALL_BYTES, Handle, call, interface
from .source import Source
from .types import Rect, _Named


class PixelFormat(_Named):
    """How a pixel is stored, 8 bits a channel; rows follow each other from the top without padding."""

    GRAY8 = 0
    RGB8 = 1
    RGBA8 = 2

    @property
    def bytes(self) -> int:
        """Bytes a pixel takes."""
        return (1, 3, 4)[self.value]


class Encoding(_Named):
    """How the host encodes an image."""

    PNG = 0
    JPEG = 1
    WEBP = 2

    @property
    def media_type(self) -> str:
        return f"image/{self}"

    @property
    def extension(self) -> str:
        """The usual ending of its files."""
        return ("png", "jpg", "webp")[self.value]


class Image(Handle):
    """An image in the host. It outlives the page it was cut from."""

    __slots__ = ()

    @property
    def width(self) -> int:
        return self._raw.width()

    @property
    def height(self) -> int:
        return self._raw.height()

    def crop(self, area: Rect) -> Image:
        """A view of the part inside `area`, cut to the image; `Invalid` where nothing is left."""
        return Image(call(self._raw.crop, area))

    def resize(self, width: int, height: int) -> Image:
        """The image scaled to exactly this size."""
        return Image(call(self._raw.resize, width, height))

    def rotate(self, quarters: int) -> Image:
        """The image turned clockwise by quarter turns."""
        return Image(call(self._raw.rotate, quarters % 4))

    def read_rows(self, first: int, count: int, format: PixelFormat = PixelFormat.RGB8) -> bytes:
        """Rows `first` to `first + count`, without padding; needs the capability `image.rows`."""
        band = max(1, CALL_BYTES // max(1, self.width * format.bytes))
        pieces = []
        while count > 0:
            rows = min(band, count)
            pieces.append(call(self._raw.read_rows, first, rows, format))
            first, count = first + rows, count - rows
        return b"".join(pieces)


class Canvas(Handle):
    """An image being drawn, white all over at first; rows are handed over in bands."""

    __slots__ = ("_stride",)

    def __init__(self, width: int, height: int, format: PixelFormat = PixelFormat.RGB8):
        super().__init__(call(interface("image").Canvas.create, width, height, format))
        self._stride = width * format.bytes

    def write_rows(self, first: int, rows: bytes) -> None:
        """Writes whole rows from row `first` on; any number of them, split into calls as the host wants them."""
        band = max(1, CALL_BYTES // self._stride)
        for start in range(0, len(rows), band * self._stride):
            call(self._raw.write_rows, first + start // self._stride, rows[start : start + band * self._stride])

    def finish(self) -> Image:
        """The finished image; the canvas is gone."""
        return Image(call(interface("image").Canvas.finish, self._raw))


class Decoder(Handle):
    """The host's decoders for PNG, JPEG, WebP, TIFF, BMP and GIF. The file's bytes never enter the plugin."""

    __slots__ = ()

    @classmethod
    def open(cls, source: Source) -> Self:
        """Reads the file's headers."""
        return cls(call(interface("image").Decoder.open, source._raw))

    @property
    def frames(self) -> int:
        """Images in the file: pages of a TIFF, 1 of most others."""
        return self._raw.frames()

    def frame(self, index: int) -> Image:
        """One of them, turned upright by its EXIF orientation."""
        return Image(call(self._raw.frame, index))

    def dpi(self, index: int) -> float | None:
        """Its resolution as the file states it."""
        return self._raw.dpi(index)
