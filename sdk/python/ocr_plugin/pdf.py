"""Capability `pdf.render`: the host's own PDF renderer, in a process of its own."""

from __future__ import annotations

from typing import Self

from ._host import Handle, interface, lift
from ._host import call as host_call
from .errors import Encrypted, WrongPassword
from .image import Image
from .page import _quad
from .source import Source
from .types import LayerWord, TextLayer


class Document(Handle):
    """A PDF opened by the host. Pages count from 0."""

    __slots__ = ()

    @classmethod
    def open(cls, source: Source, password: str | None = None) -> Self:
        """Opens a PDF; `Encrypted` and `WrongPassword` may be passed on as they are."""
        try:
            return cls(interface("pdf").Document.open(source._raw, password))
        except Exception as error:
            value = getattr(error, "value", None)
            case = type(value).__name__.removeprefix("OpenError_")
            if case == "Encrypted":
                raise Encrypted() from None
            if case == "WrongPassword":
                raise WrongPassword() from None
            refused = lift(getattr(value, "value", None))
            if refused is None:
                raise
            raise refused from None

    @property
    def page_count(self) -> int:
        return self._raw.page_count()

    def page_size(self, page: int) -> tuple[float, float]:
        """A page's width and height as displayed, in points."""
        return host_call(self._raw.page_size, page)

    def render(self, page: int, dpi: float) -> Image:
        """A page as pixels on white."""
        return Image(host_call(self._raw.render, page, dpi))

    def text_layer(self, page: int) -> TextLayer | None:
        """The text that a page already carries, in pixels of a raster of 72 dpi."""
        layer = host_call(self._raw.text_layer, page)
        if layer is None:
            return None
        return TextLayer([LayerWord(word.text, _quad(word.outline)) for word in layer.words])
