"""Pages made in memory, block by block."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Self

from ..types import BlockKind, CellKind, PageInfo, Quad, Rect, Slice


class PageBuilder:
    """An A4 page of 595 x 842 px, to which blocks are added in reading order:

    >>> page = PageBuilder(1).span(BlockKind.HEADING, "Grüezi", level=1).span(BlockKind.PARAGRAPH, "Text")
    """

    def __init__(self, number: int = 1, **info: Any):
        self._info = replace(PageInfo(index=max(0, number - 1), number=number), **info)
        self._bytes = b""
        self._labels: list[str] = []
        self._spans: list[SimpleNamespace] = []
        self._lines: list[SimpleNamespace] = []
        self._words: list[SimpleNamespace] = []
        self._cells: list[SimpleNamespace] = []
        self._markdown: tuple[str, list[SimpleNamespace]] | None = None
        self._raw = ""

    def _slice(self, text: str) -> Slice:
        data = text.encode()
        start = len(self._bytes)
        self._bytes += data
        return Slice(start, len(data))

    def span(
        self,
        kind: BlockKind,
        text: str,
        *,
        level: int = 0,
        markup: str = "",
        parent: int | None = None,
        area: Rect | None = None,
        confidence: float | None = 0.9,
        label: str | None = None,
    ) -> Self:
        """Adds a block after the others in reading order. Without an area it sits below the last one, 20 px high."""
        order = len(self._spans)
        label = str(kind) if label is None else label
        if label not in self._labels:
            self._labels.append(label)
        top = 20 + 30 * order
        self._spans.append(
            SimpleNamespace(
                kind=kind,
                label=self._labels.index(label),
                level=level,
                order=order,
                parent=parent,
                area=area or Rect(50, top, 545, top + 20),
                confidence=confidence,
                text=self._slice(text),
                markup=self._slice(markup),
            )
        )
        return self

    def line(self, text: str, area: Rect | None = None, confidence: float | None = None) -> Self:
        """Adds a line to the block added last, with one word for each of its words, spread over `area`."""
        span = self._spans[-1]
        area = area or span.area
        whole = self._slice(text)
        line = SimpleNamespace(
            span=len(self._spans) - 1, outline=Quad.from_rect(area), confidence=confidence, text=whole
        )
        self._lines.append(line)
        at, per_byte = 0, area.width / max(1, whole.len)
        for word in text.split(" "):
            length = len(word.encode())
            box = Rect(area.x0 + int(per_byte * at), area.y0, area.x0 + int(per_byte * (at + length)), area.y1)
            if word:
                self._words.append(
                    SimpleNamespace(
                        line=len(self._lines) - 1,
                        outline=Quad.from_rect(box),
                        confidence=confidence,
                        text=Slice(whole.start + at, length),
                    )
                )
            at += length + 1
        return self

    def cell(
        self,
        row: int,
        column: int,
        text: str,
        kind: CellKind = CellKind.DATA,
        row_span: int = 1,
        column_span: int = 1,
    ) -> Self:
        """Adds a cell to the block added last."""
        self._cells.append(
            SimpleNamespace(
                table=len(self._spans) - 1,
                kind=kind,
                row=row,
                column=column,
                row_span=row_span,
                column_span=column_span,
                area=None,
                confidence=None,
                text=self._slice(text),
            )
        )
        return self

    def markdown(self, *pieces: str | tuple[int, str]) -> Self:
        """Sets the markdown: pieces, those of a span with its index. Without it, the blocks' texts parted by empty lines."""
        text, anchors = "", []
        for piece in pieces:
            span, piece = (None, piece) if isinstance(piece, str) else piece
            if span is not None:
                anchors.append(SimpleNamespace(span=span, start=len(text.encode()), len=len(piece.encode())))
            text += piece
        self._markdown = (text, anchors)
        return self

    def raw_output(self, raw: str) -> Self:
        """Sets the model's raw output."""
        self._raw = raw
        return self

    def lent_by(self, host: Any) -> SimpleNamespace:
        """The page as the contract's resource."""
        text = self._bytes.decode()
        if self._markdown is None:
            arena = [self._bytes[s.text.start :][: s.text.len].decode() for s in self._spans]
            pieces: list[str | tuple[int, str]] = []
            for i, block in enumerate(arena):
                pieces += ([] if i == 0 else ["\n\n"]) + [(i, block)]
            self.markdown(*pieces)
        return SimpleNamespace(
            info=lambda: self._info,
            text=lambda: text,
            labels=lambda: self._labels,
            spans=lambda: self._spans,
            lines=lambda: self._lines,
            words=lambda: self._words,
            cells=lambda: self._cells,
            markdown=lambda: self._markdown,
            raw=lambda: self._raw,
            raster=lambda: host.raster(self._info),
        )
