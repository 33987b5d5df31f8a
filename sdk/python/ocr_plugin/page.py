"""One recognised page, fetched from the host piece by piece and each piece once.

A formatter that only reads `page.markdown` pays for nothing else. Texts of blocks, lines, words and cells are byte ranges of one
UTF-8 arena in the contract; here they are strings: `span.text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from ._host import call
from .image import Image
from .types import (
    BlockKind,
    CellKind,
    Diagnostic,
    Outcome,
    PageInfo,
    Point,
    Quad,
    Recovery,
    Rect,
    Severity,
    Slice,
)


def _rect(raw: Any) -> Rect:
    return Rect(raw.x0, raw.y0, raw.x1, raw.y1)


def _quad(raw: Any) -> Quad:
    return Quad(*(Point(p.x, p.y) for p in (raw.a, raw.b, raw.c, raw.d)))


def _diagnostic(raw: Any) -> Diagnostic:
    area = None if raw.area is None else _rect(raw.area)
    return Diagnostic(Severity(raw.severity.value), raw.code, raw.message, raw.page, area)


class _Arena:
    """Text that is sliced by UTF-8 bytes."""

    __slots__ = ("text", "_bytes")

    def __init__(self, text: str):
        self.text = text
        # A text without other characters has its bytes at the places of its characters.
        self._bytes = None if text.isascii() else text.encode()

    def slice(self, start: int, length: int) -> str:
        if self._bytes is None:
            return self.text[start : start + length]
        return self._bytes[start : start + length].decode(errors="replace")


class _Item:
    """Something on a page that has a place in a list and text in the arena."""

    __slots__ = ("_raw", "_arena", "index")

    def __init__(self, raw: Any, index: int, arena: _Arena):
        self._raw = raw
        self._arena = arena
        #: Its index in the page's list.
        self.index = index

    @property
    def text(self) -> str:
        """Its text."""
        return self._arena.slice(self._raw.text.start, self._raw.text.len)

    @property
    def text_slice(self) -> Slice:
        """The UTF-8 bytes of `page.text` that are its text."""
        return Slice(self._raw.text.start, self._raw.text.len)

    @property
    def confidence(self) -> float | None:
        """How sure the engine is, 0 to 1; none where it does not say."""
        return self._raw.confidence

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.index}, {self.text!r})"


class Span(_Item):
    """One block of content."""

    __slots__ = ("_labels", "kind")

    def __init__(self, raw: Any, index: int, arena: _Arena, labels: Sequence[str]):
        super().__init__(raw, index, arena)
        self._labels = labels
        #: What it is.
        self.kind = BlockKind(raw.kind.value)

    @property
    def markup(self) -> str:
        """The engine's markup of the same content: LaTeX of a formula, HTML of a table; often empty. It is model output."""
        return self._arena.slice(self._raw.markup.start, self._raw.markup.len)

    @property
    def label(self) -> str:
        """The engine's own name for it, empty where it has none."""
        return self._labels[self._raw.label] if self._raw.label < len(self._labels) else ""

    @property
    def level(self) -> int:
        """Heading depth or list nesting from 1, 0 where it has no meaning."""
        return self._raw.level

    @property
    def order(self) -> int:
        """Its position in reading order."""
        return self._raw.order

    @property
    def parent(self) -> int | None:
        """Index of the span this one belongs to (a caption's figure)."""
        return self._raw.parent

    @property
    def area(self) -> Rect:
        """Where it stands, in pixels of the page's raster."""
        return _rect(self._raw.area)


class Line(_Item):
    """One line of text inside a span."""

    __slots__ = ()

    @property
    def span(self) -> int:
        """Index of its span."""
        return self._raw.span

    @property
    def outline(self) -> Quad:
        """Where it stands, in pixels of the page's raster."""
        return _quad(self._raw.outline)


class Word(_Item):
    """One word of a line."""

    __slots__ = ()

    @property
    def line(self) -> int:
        """Index of its line."""
        return self._raw.line

    @property
    def outline(self) -> Quad:
        """Where it stands, in pixels of the page's raster."""
        return _quad(self._raw.outline)


class Cell(_Item):
    """One cell of a table."""

    __slots__ = ()

    @property
    def table(self) -> int:
        """Index of its table's span."""
        return self._raw.table

    @property
    def kind(self) -> CellKind:
        """What it is."""
        return CellKind(self._raw.kind.value)

    @property
    def row(self) -> int:
        """First row, from 0."""
        return self._raw.row

    @property
    def column(self) -> int:
        """First column, from 0."""
        return self._raw.column

    @property
    def row_span(self) -> int:
        """Rows it covers, from 1."""
        return self._raw.row_span

    @property
    def column_span(self) -> int:
        """Columns it covers, from 1."""
        return self._raw.column_span

    @property
    def area(self) -> Rect | None:
        """Where it stands, where known."""
        return None if self._raw.area is None else _rect(self._raw.area)


class Anchor:
    """A part of a page's markdown that came from a span."""

    __slots__ = ("span", "start", "length", "text")

    def __init__(self, span: int, start: int, length: int, text: str):
        #: Index of the span.
        self.span = span
        #: Its first UTF-8 byte in the markdown, and how many there are.
        self.start, self.length = start, length
        #: That part of the markdown.
        self.text = text


class Page:
    """A recognised page, valid for the call that lends it."""

    def __init__(self, raw: Any):
        self._raw = raw

    @cached_property
    def info(self) -> PageInfo:
        """What is known of the page besides its content."""
        i = self._raw.info()
        return PageInfo(
            i.index,
            i.number,
            i.part,
            Outcome(i.outcome.value),
            Recovery(i.recovery.value),
            i.width,
            i.height,
            i.width_points,
            i.height_points,
            tuple(i.to_source),
            i.language,
            i.engine,
            [_diagnostic(d) for d in i.diagnostics],
        )

    @cached_property
    def _arena(self) -> _Arena:
        return _Arena(self._raw.text())

    @property
    def text(self) -> str:
        """The text arena: the texts of all blocks, in no particular sequence."""
        return self._arena.text

    @cached_property
    def labels(self) -> list[str]:
        """The engine's own names for its blocks."""
        return self._raw.labels()

    @cached_property
    def spans(self) -> list[Span]:
        """Blocks; see `reading_order`."""
        return [Span(raw, i, self._arena, self.labels) for i, raw in enumerate(self._raw.spans())]

    def reading_order(self) -> Iterator[Span]:
        """The blocks in reading order."""
        return iter(sorted(self.spans, key=lambda span: span.order))

    @cached_property
    def lines(self) -> list[Line]:
        """Lines of all blocks; often none."""
        return [Line(raw, i, self._arena) for i, raw in enumerate(self._raw.lines())]

    @cached_property
    def words(self) -> list[Word]:
        """Words of all lines; often none."""
        return [Word(raw, i, self._arena) for i, raw in enumerate(self._raw.words())]

    @cached_property
    def cells(self) -> list[Cell]:
        """Cells of all tables, row by row."""
        return [Cell(raw, i, self._arena) for i, raw in enumerate(self._raw.cells())]

    def lines_of(self, span: Span) -> list[Line]:
        """The lines of a block."""
        return [line for line in self.lines if line.span == span.index]

    def words_of(self, line: Line) -> list[Word]:
        """The words of a line."""
        return [word for word in self.words if word.line == line.index]

    def cells_of(self, table: Span) -> list[Cell]:
        """The cells of a table, row by row."""
        return [cell for cell in self.cells if cell.table == table.index]

    @cached_property
    def _markdown(self) -> tuple[str, Sequence[Any]]:
        return self._raw.markdown()

    @property
    def markdown(self) -> str:
        """The page as markdown: CommonMark with GitHub tables, blocks parted by one empty line."""
        return self._markdown[0]

    @cached_property
    def anchors(self) -> list[Anchor]:
        """Which parts of the markdown came from which block, in the sequence of the markdown."""
        arena = _Arena(self.markdown)
        return [Anchor(a.span, a.start, a.len, arena.slice(a.start, a.len)) for a in self._markdown[1]]

    @cached_property
    def raw(self) -> str:
        """The model's raw output, tags included; empty for engines without one."""
        return self._raw.raw()

    def raster(self) -> Image:
        """The upright raster that all areas refer to; needs the capability `page.raster`."""
        return Image(call(self._raw.raster))
