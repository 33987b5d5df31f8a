"""The changes that a processor makes to a page.

Spans and cells are named by the page's own objects or by their indices, which stay what they were while the edits of one call are
made. The host makes them in their sequence, and all or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .page import Cell, Span
from .types import BlockKind, CellKind, Rect


@dataclass(frozen=True, slots=True)
class SetText:
    """Replaces a span's text; its lines and words are dropped."""

    span: Span | int
    text: str


@dataclass(frozen=True, slots=True)
class ReflowText:
    """Replaces a span's text as it is read, and keeps its lines and words as they are printed."""

    span: Span | int
    text: str


@dataclass(frozen=True, slots=True)
class SetMarkup:
    """Replaces a span's markup."""

    span: Span | int
    markup: str


@dataclass(frozen=True, slots=True)
class SetKind:
    """Makes a span something else."""

    span: Span | int
    kind: BlockKind


@dataclass(frozen=True, slots=True)
class SetLevel:
    """Sets heading depth or list nesting."""

    span: Span | int
    level: int


@dataclass(frozen=True, slots=True)
class SetOrder:
    """Moves a span to this position of the reading order; the others keep theirs among themselves."""

    span: Span | int
    order: int


@dataclass(frozen=True, slots=True)
class SetParent:
    """Attaches a span to another, or detaches it."""

    span: Span | int
    parent: Span | int | None


@dataclass(frozen=True, slots=True)
class SetArea:
    """Moves a span's area, in pixels of the page's raster."""

    span: Span | int
    area: Rect


@dataclass(frozen=True, slots=True)
class SetCell:
    """Replaces a cell's text."""

    cell: Cell | int
    text: str


@dataclass(frozen=True, slots=True)
class NewCell:
    """A cell of a table that `SetCells` writes anew."""

    row: int
    column: int
    text: str
    kind: CellKind = CellKind.DATA
    row_span: int = 1
    column_span: int = 1
    area: Rect | None = None


@dataclass(frozen=True, slots=True)
class SetCells:
    """Replaces all cells of a table, and its text and markup by what follows from them."""

    table: Span | int
    cells: Sequence[NewCell]


@dataclass(frozen=True, slots=True)
class DropSpan:
    """Removes a span with its lines, words and cells."""

    span: Span | int


@dataclass(frozen=True, slots=True)
class Insert:
    """Adds a span after the one at this position of the reading order (past the end: as the last)."""

    after: int
    kind: BlockKind
    area: Rect
    text: str


@dataclass(frozen=True, slots=True)
class RedactArea:
    """Erases an area everywhere: spans, lines, words, cells, markdown, raw output and raster."""

    area: Rect


@dataclass(frozen=True, slots=True)
class RedactText:
    """The same for a range of UTF-8 bytes of `page.text`; `span.text_slice` and `str.encode` help to find it."""

    start: int
    length: int


Edit = (
    SetText
    | ReflowText
    | SetMarkup
    | SetKind
    | SetLevel
    | SetOrder
    | SetParent
    | SetArea
    | SetCell
    | SetCells
    | DropSpan
    | Insert
    | RedactArea
    | RedactText
)


@dataclass(frozen=True, slots=True)
class SetTitle:
    """Replaces the title that the source states about itself, or takes it away."""

    title: str | None


@dataclass(frozen=True, slots=True)
class SetName:
    """Replaces the document's name as formatters are told it."""

    name: str


DocumentEdit = SetTitle | SetName
