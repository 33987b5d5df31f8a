"""The three kinds of plugin, and the decorator that makes a class the component's export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from .edits import DocumentEdit, Edit
from .image import Image
from .page import Page
from .source import Source
from .types import DocInfo, TextLayer

#: Settings by name, as the user gave them: the host has checked them against the schema in `[tool.ocr-host.config]` and filled its
#: defaults in.
Config = dict[str, Any]


class Formatter:
    """Turns recognised pages into files. One object lives as long as one document."""

    def __init__(self, doc: DocInfo, config: Config):
        """Starts a document."""

    def page(self, page: Page) -> None:
        """Takes the next page, in the order of the document. Failed pages come too, empty and with `info.outcome` and
        `info.diagnostics`: say so in the output."""
        raise NotImplementedError

    def finish(self) -> None:
        """Ends the document. The host commits the files when this has succeeded."""


class Processor:
    """Improves recognised pages. One object lives as long as one document, so it can carry what it learnt from page to page."""

    def __init__(self, doc: DocInfo, config: Config):
        """Starts a document."""

    def edit_document(self) -> Sequence[DocumentEdit]:
        """The changes to make to what formatters are told of the document; asked for once, before its first page."""
        return []

    def process(self, page: Page) -> Sequence[Edit]:
        """The changes to make to a page; the host makes them in their sequence, and all or none."""
        raise NotImplementedError


@dataclass(slots=True)
class InputPage:
    """A page to be recognised: its pixels, upright and on white, and its size in points. Without a size, the resolution tells it."""

    image: Image
    dpi: float
    width_points: float | None = None
    height_points: float | None = None
    text_layer: TextLayer | None = None


@dataclass(slots=True)
class OpenOptions:
    """What the user gave to open a document with. Use the password, never log it."""

    config: Config
    password: str | None = None


class Adapter:
    """Turns an input into page images. One object lives as long as one document."""

    @staticmethod
    def sniff(name: str, head: bytes) -> int:
        """How sure this adapter is that it can read the input, 0 to 100, judged by the file's name and its first bytes (4 KiB, or all
        there are). 0 is no; 50 and more means by its bytes. Nothing of the host may be called here."""
        raise NotImplementedError

    def __init__(self, source: Source, options: OpenOptions):
        """Opens a document. `Encrypted` and `WrongPassword` are for those who ask for a password; a document without a page is
        `InvalidInput`."""

    def info(self) -> DocInfo:
        """What is known of the document."""
        raise NotImplementedError

    def read(self, index: int, dpi: float) -> InputPage | Source | None:
        """The item at `index` from 0, drawn at `dpi` where the source has no pixels of its own: a page, or a document inside the
        document; none past the last. Asked for in rising sequence, with gaps when the user chose pages. An error costs that item
        alone."""
        raise NotImplementedError


_Class = TypeVar("_Class", bound=type)


class Export:
    """The class that `export` was last given."""

    plugin: ClassVar[type | None] = None


def export(plugin: _Class) -> _Class:
    """Makes a class the component's export: `@export` above a `Formatter`, `Processor` or `Adapter`."""
    if not issubclass(plugin, Formatter | Processor | Adapter):
        raise TypeError(f"@export: `{plugin.__name__}` is no subclass of Formatter, Processor or Adapter")
    Export.plugin = plugin
    return plugin
