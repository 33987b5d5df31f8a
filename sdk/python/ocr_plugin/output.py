"""The files a formatter writes. They are names in a tree that the host owns, checks, counts and commits."""

from __future__ import annotations

from ._host import CALL_BYTES, Handle, call, interface
from .image import Encoding, Image


class File(Handle):
    """A file being written, from its first byte to its last."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """How the main file links to this one: a relative path with forward slashes."""
        return self._raw.name()

    def __len__(self) -> int:
        """Bytes written so far."""
        return self._raw.len()

    def write(self, data: str | bytes) -> None:
        """Appends text, as UTF-8, or bytes."""
        data = data.encode() if isinstance(data, str) else data
        for start in range(0, len(data), CALL_BYTES):
            call(self._raw.write, data[start : start + CALL_BYTES])

    def write_image(self, image: Image, encoding: Encoding = Encoding.PNG, quality: int = 85) -> int:
        """Appends an image, encoded in the host; answers the bytes written. `quality` is 1 to 100 and counts for JPEG."""
        return call(self._raw.write_image, image._raw, encoding, quality)

    def write_image_base64(self, image: Image, encoding: Encoding = Encoding.PNG, quality: int = 85) -> int:
        """The same as base64 text, for `data:` URLs."""
        return call(self._raw.write_image_base64, image._raw, encoding, quality)


def main() -> File:
    """The file that the user asked for."""
    return File(call(interface("output").main))


def create(name: str, media_type: str) -> File:
    """A further file, placed by the host in a folder next to the main file; its `name` tells where. `Denied` when the run writes
    to standard output."""
    return File(call(interface("output").create, name, media_type))
