"""Capability `ocr.recognize`: read regions of an image again on the host's engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._host import call, interface, lift
from .errors import HostError, HostFailed
from .image import Image
from .page import Span, _Arena
from .types import Rect, _Named


class Task(_Named):
    """What to do with a region. An engine that cannot answers that region with `HostFailed`."""

    TEXT = 0
    MARKDOWN = 1
    TABLE = 2
    FORMULA = 3
    FIGURE = 4
    LOCATE = 5
    DESCRIBE = 6


@dataclass(frozen=True, slots=True)
class Region:
    """A region to read. `hint` is a language tag for text and markdown, and the words looked for with `LOCATE`."""

    area: Rect
    task: Task = Task.TEXT
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Recognition:
    """What was read: for most tasks `text` is the answer; `spans` are its blocks, in pixels of the image given."""

    text: str
    spans: list[Span]
    tokens: int


def recognize(image: Image, regions: Sequence[Region]) -> list[Recognition | HostError]:
    """Reads regions, at most 256; one answer each, in their sequence. Hand over all at once, so that the host can batch."""

    def lifted(answer) -> Recognition | HostError:
        value = answer.value
        if not hasattr(value, "spans"):
            return lift(value) or HostFailed(str(value))
        arena = _Arena(value.text)
        spans = [Span(raw, i, arena, ()) for i, raw in enumerate(value.spans)]
        return Recognition(value.text, spans, value.tokens)

    answers = call(interface("ocr").recognize, image._raw, list(regions))
    return [lifted(answer) for answer in answers]
