"""From the contract's exported resources to the classes of this package. It runs inside components alone.

`ocr-host plugin build` writes the two modules that `componentize-py` looks for: the application, and one named after the exported
interface with the resource's class. Both only name what is here.
"""

from __future__ import annotations

import functools
import importlib
import json
from typing import Any

from . import _host, _still, errors
from .edits import NewCell, SetTitle
from .page import Cell, Page, Span
from .plugin import Adapter, Export, Formatter, InputPage, OpenOptions, Processor
from .source import Source
from .types import Diagnostic, DocInfo, Severity

#: What each world imports besides `types`, and the base class of its plugins.
WORLDS: dict[str, tuple[type, list[str]]] = {
    "output-formatter": (Formatter, ["log", "control", "image", "ocr", "output"]),
    "page-processor": (Processor, ["log", "control", "image", "ocr"]),
    "input-adapter": (Adapter, ["log", "control", "image", "source", "pdf"]),
}

#: Places of a fault that the log gets; a function that calls itself has no end of them.
PLACES = 32

_types: Any
_exports: Any


@functools.cache
def load(world: str, module: str) -> type:
    """Binds the SDK to the component's imports and answers the plugin's class."""
    global _types, _exports
    base, names = WORLDS[world]
    _types = importlib.import_module("wit_world.imports.types")
    _host.bind({name: importlib.import_module(f"wit_world.imports.{name}") for name in names})
    _exports = importlib.import_module(f"wit_world.exports.{base.__name__.lower()}")
    _still.before_loading()
    Export.plugin = None
    importlib.import_module(module)
    plugin = Export.plugin
    if plugin is None:
        raise TypeError(f"module `{module}` exports no plugin; put `@export` above its class")
    if not issubclass(plugin, base):
        raise TypeError(f"`{plugin.__name__}` is no {base.__name__}, but pyproject.toml says `world = \"{world}\"`")
    return plugin


def lower(error: BaseException) -> Any:
    """What an exception is in the contract."""
    from componentize_py_types import Err

    if isinstance(error, errors.HostError):
        return Err(_types.PluginError_Host(_lower_host(error)))
    if isinstance(error, errors.InvalidInput):
        return Err(_types.PluginError_InvalidInput(str(error)))
    if isinstance(error, errors.Unsupported):
        return Err(_types.PluginError_Unsupported(str(error)))
    if isinstance(error, errors.ConfigError):
        return Err(_types.PluginError_Config(error.diagnostics))
    if isinstance(error, errors.Failed):
        return Err(_types.PluginError_Failed(error.diagnostic))
    # The host shows one line; the place of the fault belongs in it. The log gets all places.
    places = _places(error)
    log = _host.interface("log").write
    log(Severity.NOTE, f"{type(error).__name__}: {error}")
    for place in places[:PLACES]:
        log(Severity.NOTE, f"  at {place}")
    own = [place for place in places if not place.startswith("ocr_plugin/")]
    message = f"{type(error).__name__}: {error}" + (f" (at {own[0]})" if own else "")
    _host.interface("log").report(Diagnostic(Severity.ERROR, "exception", message))
    # A fault ends in a trap, as a panic does in Rust.
    return RuntimeError(message)


def _places(error: BaseException) -> list[str]:
    """Where an exception was raised and what called that, the innermost first. `traceback` would look for the sources' lines."""
    places = []
    frame = error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        name = code.co_filename.split("/")
        places.append(f"{'/'.join(name[-2:]) if 'ocr_plugin' in name else name[-1]}:{frame.tb_lineno}, in {code.co_name}")
        frame = frame.tb_next
    return places[::-1]


def _lower_host(error: errors.HostError) -> Any:
    if isinstance(error, errors.Denied):
        return _types.HostError_Denied(str(error))
    if isinstance(error, errors.QuotaReached):
        return _types.HostError_Quota(_types.QuotaHit(error.what, error.limit, error.used))
    if isinstance(error, errors.Cancelled):
        return _types.HostError_Cancelled()
    if isinstance(error, errors.Invalid):
        return _types.HostError_Invalid(str(error))
    return _types.HostError_Failed(str(error))


def _doc(raw: Any) -> DocInfo:
    return DocInfo(raw.name, raw.media_type, raw.pages, raw.selected, raw.sha256, raw.title)


def _index(item: Span | Cell | int) -> int:
    return item if isinstance(item, int) else item.index


def lower_edit(edit: Any) -> Any:
    """An edit as the contract's variant, whose cases have the same names."""
    fields = [getattr(edit, name) for name in edit.__slots__]
    fields = [_index(f) if isinstance(f, Span | Cell) else f for f in fields]
    if fields and isinstance(fields[-1], list | tuple) and all(isinstance(f, NewCell) for f in fields[-1]):
        fields[-1] = list(fields[-1])
    case = getattr(_exports, f"Edit_{type(edit).__name__}")
    return case(fields[0] if len(fields) == 1 else tuple(fields))


class FormatterSession:
    """A `Formatter` as the host sees it."""

    plugin: type[Formatter]
    inner: Formatter

    @classmethod
    def open(cls, doc, config_json):
        _still.begin()
        try:
            session = cls()
            session.inner = cls.plugin(_doc(doc), json.loads(config_json or "{}"))
            return session
        except Exception as error:
            raise lower(error) from None

    def add_page(self, p):
        try:
            self.inner.page(Page(p))
        except Exception as error:
            raise lower(error) from None

    @classmethod
    def finish(cls, this):
        try:
            this.inner.finish()
        except Exception as error:
            raise lower(error) from None


class ProcessorSession:
    """A `Processor` as the host sees it."""

    plugin: type[Processor]
    inner: Processor

    @classmethod
    def open(cls, doc, config_json):
        _still.begin()
        try:
            session = cls()
            session.inner = cls.plugin(_doc(doc), json.loads(config_json or "{}"))
            return session
        except Exception as error:
            raise lower(error) from None

    def edit_document(self):
        try:
            return [
                _exports.DocumentEdit_SetTitle(edit.title)
                if isinstance(edit, SetTitle)
                else _exports.DocumentEdit_SetName(edit.name)
                for edit in self.inner.edit_document()
            ]
        except Exception as error:
            raise lower(error) from None

    def process(self, p):
        try:
            return [lower_edit(edit) for edit in self.inner.process(Page(p))]
        except Exception as error:
            raise lower(error) from None


class AdapterDocument:
    """An `Adapter` as the host sees it."""

    plugin: type[Adapter]
    inner: Adapter

    @classmethod
    def open(cls, src, options):
        _still.begin()
        try:
            document = cls()
            given = OpenOptions(json.loads(options.config_json or "{}"), options.password)
            document.inner = cls.plugin(Source(src), given)
            return document
        except Exception as error:
            raise lower(error) from None

    def info(self):
        try:
            return self.inner.info()
        except Exception as error:
            # The contract has no error here: the call ends in a trap.
            lower(error)
            raise

    def read(self, index, dpi):
        try:
            item = self.inner.read(index, dpi)
            if item is None:
                return None
            if isinstance(item, InputPage):
                return _exports.Item_Page(_input_page(item))
            return _exports.Item_Embedded(item._raw)
        except Exception as error:
            raise lower(error) from None


def _input_page(page: InputPage) -> Any:
    width, height = page.width_points, page.height_points
    return _exports.InputPage(
        page.image._raw,
        page.dpi,
        page.image.width * 72 / page.dpi if width is None else width,
        page.image.height * 72 / page.dpi if height is None else height,
        page.text_layer,
    )


class AdapterExports:
    """The free function of the adapter's interface."""

    plugin: type[Adapter]

    def sniff(self, name, head):
        _still.begin()
        return max(0, min(100, int(self.plugin.sniff(name, head))))
