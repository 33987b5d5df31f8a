"""The contract's plain data (`wit/v0.1.0/types.wit`), with the helpers that plugin code asks for.

Enumerators have the contract's numbers, and fields its names, so these values cross to the host as they are; a test holds them
against the WIT.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class _Named(Enum):
    """An enumeration whose text is the contract's spelling: `str(BlockKind.LIST_ITEM)` is `list-item`."""

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


class BlockKind(_Named):
    """What a block of content is."""

    TITLE = 0
    HEADING = 1
    PARAGRAPH = 2
    LIST_ITEM = 3
    TABLE = 4
    FORMULA = 5
    FIGURE = 6
    CAPTION = 7
    HEADER = 8
    FOOTER = 9
    PAGE_NUMBER = 10
    FOOTNOTE = 11
    CODE = 12
    OTHER = 13

    @property
    def is_furniture(self) -> bool:
        """Whether it is repeated on each page and no part of the text that runs through them."""
        return self in (BlockKind.HEADER, BlockKind.FOOTER, BlockKind.PAGE_NUMBER)


class CellKind(_Named):
    """What a table cell is."""

    DATA = 0
    COLUMN_HEADER = 1
    ROW_HEADER = 2
    ROW_SECTION = 3


class Outcome(_Named):
    """What became of a page's text."""

    COMPLETE = 0
    TRUNCATED = 1
    REPETITION = 2
    FAILED = 3


class Recovery(_Named):
    """How a page's text was won."""

    NONE = 0
    RETRIED = 1
    FALLBACK = 2


class Severity(_Named):
    """How much a diagnostic matters."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


class Quota(_Named):
    """What the host counts for each plugin."""

    MEMORY = 0
    TIME = 1
    OUTPUT_BYTES = 2
    OUTPUT_FILES = 3
    FILE_BYTES = 4
    HOST_CALLS = 5
    CALL_BYTES = 6
    HANDLES = 7
    LOG_BYTES = 8
    IMAGE_BYTES = 9
    GPU = 10


@dataclass(frozen=True, slots=True)
class Rect:
    """A half-open rectangle in pixels, from the raster's top left."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return max(0, self.x1 - self.x0)

    @property
    def height(self) -> int:
        return max(0, self.y1 - self.y0)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.width == 0 or self.height == 0

    def intersect(self, other: Rect) -> Rect:
        """The common part, empty where there is none."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Rect(x0, y0, max(x0, min(self.x1, other.x1)), max(y0, min(self.y1, other.y1)))


@dataclass(frozen=True, slots=True)
class Point:
    """A position in pixels, from the raster's top left."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Quad:
    """Four corners, clockwise from the text's own top left: they carry skew and rotation."""

    a: Point
    b: Point
    c: Point
    d: Point

    @staticmethod
    def from_rect(r: Rect) -> Quad:
        """The upright quad of a rectangle."""
        return Quad(Point(r.x0, r.y0), Point(r.x1, r.y0), Point(r.x1, r.y1), Point(r.x0, r.y1))

    @property
    def corners(self) -> tuple[Point, Point, Point, Point]:
        return (self.a, self.b, self.c, self.d)


@dataclass(frozen=True, slots=True)
class Slice:
    """A UTF-8 byte range of a page's text arena."""

    start: int
    len: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message about a page or a document. `code` is stable, kebab-case and for programs; `message` is for people."""

    severity: Severity
    code: str
    message: str
    page: int | None = None
    area: Rect | None = None


@dataclass(slots=True)
class PageInfo:
    """What is known of a page besides its content."""

    index: int
    number: int
    part: str | None = None
    outcome: Outcome = Outcome.COMPLETE
    recovery: Recovery = Recovery.NONE
    width: int = 595
    height: int = 842
    width_points: float = 595.0
    height_points: float = 842.0
    to_source: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, -1.0, 0.0, 842.0)
    language: str | None = None
    engine: str = ""
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def to_points(self, x: float, y: float) -> tuple[float, float]:
        """Where raster position (x, y) lies on the source page, in points from its bottom left."""
        a, b, c, d, e, f = self.to_source
        return (a * x + c * y + e, b * x + d * y + f)


@dataclass(slots=True)
class DocInfo:
    """What is known of a document."""

    name: str
    media_type: str
    pages: int | None = None
    selected: int | None = None
    sha256: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class LayerWord:
    """A word that a source already carries, and its place."""

    text: str
    outline: Quad


@dataclass(slots=True)
class TextLayer:
    """The words of a page, in the source's own order."""

    words: list[LayerWord] = field(default_factory=list)
