"""Run a plugin in a unit test, against a host that lives in memory.

    from ocr_plugin import BlockKind, testing

    def test_text():
        page = testing.PageBuilder(1).span(BlockKind.PARAGRAPH, "Grüezi")
        assert testing.format(Hello, [page]).main == "Grüezi\\n"

What a plugin raises reaches the test as it is. Settings that a test does not give have the defaults of the project's pyproject.toml,
as the host fills them in.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .. import _host
from ..edits import DocumentEdit, Edit
from ..image import Image, PixelFormat
from ..page import Page
from ..plugin import Adapter, Config, Formatter, OpenOptions, Processor
from ..source import Source
from ..types import Diagnostic, DocInfo, Severity
from .host import Grants, MemorySource, State
from .pages import PageBuilder

__all__ = ["Grants", "PageBuilder", "Processed", "Run", "format", "open_input", "pixels", "process"]

_A = TypeVar("_A", bound=Adapter)


@dataclass
class Run:
    """What a formatter left behind."""

    #: Its files by name, as links spell it; the one that the user asked for is `main`.
    files: dict[str, bytes]
    #: What it reported.
    diagnostics: list[Diagnostic]
    #: What it logged.
    log: list[tuple[Severity, str]]

    @property
    def main(self) -> str:
        """The text of the file that the user asked for."""
        return self.files.get("main", b"").decode()


@dataclass
class Processed:
    """What a processor left behind."""

    #: Its changes to the document.
    document: Sequence[DocumentEdit]
    #: Its changes, page by page.
    pages: list[Sequence[Edit]]
    diagnostics: list[Diagnostic]
    log: list[tuple[Severity, str]]


def _begin(grants: Grants | None) -> State:
    state = State(grants or Grants())
    _host.bind(state.interfaces())
    return state


def _config(plugin: type, given: Config | None) -> Config:
    """The settings given, completed by the defaults in the nearest pyproject.toml above the plugin's module."""
    try:
        folders = Path(inspect.getfile(plugin)).resolve().parents
    except (OSError, TypeError):
        return dict(given or {})
    described: dict[str, Any] = {}
    for folder in folders:
        project = folder / "pyproject.toml"
        if project.is_file():
            described = tomllib.loads(project.read_text("utf-8")).get("tool", {}).get("ocr-host", {}).get("config", {})
            break
    defaults = {key: schema["default"] for key, schema in described.items() if "default" in schema}
    return defaults | (given or {})


def format(
    plugin: type[Formatter],
    pages: Iterable[PageBuilder],
    config: Config | None = None,
    *,
    doc: DocInfo | None = None,
    grants: Grants | None = None,
) -> Run:
    """Runs a formatter over pages."""
    state = _begin(grants)
    formatter = plugin(doc or DocInfo("test.png", "image/png"), _config(plugin, config))
    for page in pages:
        formatter.page(Page(page.lent_by(state)))
    formatter.finish()
    files = {name: bytes(data) for name, data in state.files.items()}
    return Run(files, state.diagnostics, state.log)


def process(
    plugin: type[Processor],
    pages: Iterable[PageBuilder],
    config: Config | None = None,
    *,
    doc: DocInfo | None = None,
    grants: Grants | None = None,
) -> Processed:
    """Runs a processor over pages; the edits are answered, not made."""
    state = _begin(grants)
    processor = plugin(doc or DocInfo("test.png", "image/png"), _config(plugin, config))
    document = processor.edit_document()
    edits = [processor.process(Page(page.lent_by(state))) for page in pages]
    return Processed(document, edits, state.diagnostics, state.log)


def open_input(
    plugin: type[_A],
    name: str,
    data: bytes,
    config: Config | None = None,
    *,
    password: str | None = None,
    grants: Grants | None = None,
) -> _A:
    """Opens an input with an adapter; read its pages by `read`."""
    _begin(grants)
    return plugin(Source(MemorySource(name, data)), OpenOptions(_config(plugin, config), password))


def pixels(image: Image) -> tuple[int, int, bytes]:
    """An image's width, height and RGB rows, whatever the grants."""
    raw = image._raw
    raw._state.grants.rows, granted = True, raw._state.grants.rows
    try:
        return raw.width(), raw.height(), raw.read_rows(0, raw.height(), PixelFormat.RGB8)
    finally:
        raw._state.grants.rows = granted
