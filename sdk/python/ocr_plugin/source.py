"""Random access to an input's bytes, without a file system."""

from __future__ import annotations

from typing import Self

from ._host import CALL_BYTES, Handle, call, interface
from .errors import HostFailed


class Source(Handle):
    """The bytes of an input."""

    __slots__ = ()

    @classmethod
    def from_bytes(cls, name: str, data: bytes) -> Self:
        """An input made by the plugin: an attachment, a picture inside a document."""
        return cls(call(interface("source").Source.from_bytes, name, data))

    @property
    def name(self) -> str:
        """Its file name, without folders."""
        return self._raw.name()

    def __len__(self) -> int:
        return self._raw.len()

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end."""
        pieces = []
        while length > 0:
            piece = call(self._raw.read_at, offset, min(length, CALL_BYTES))
            pieces.append(piece)
            if len(piece) < min(length, CALL_BYTES):
                break
            offset, length = offset + len(piece), length - len(piece)
        return b"".join(pieces)

    def read_all(self) -> bytes:
        """All bytes, fetched in pieces."""
        data = self.read_at(0, len(self))
        if len(data) != len(self):
            raise HostFailed(f"`{self.name}` ends after {len(data)} of its {len(self)} bytes")
        return data

    def window(self, name: str, offset: int, length: int) -> Source:
        """An input that is a part of this one; no copy."""
        return Source(call(self._raw.window, name, offset, length))
