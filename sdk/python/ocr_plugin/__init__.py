"""Write ocr-host plugins in Python.

A plugin is a WebAssembly component: an output formatter (`Formatter`), a page processor (`Processor`) or an input adapter
(`Adapter`). Subclass one, put `@export` above it, and `ocr-host plugin build` makes the component:

    from ocr_plugin import Config, DocInfo, Formatter, Page, export, output

    @export
    class Text(Formatter):
        def __init__(self, doc: DocInfo, config: Config):
            self.out = output.main()

        def page(self, page: Page) -> None:
            for span in page.reading_order():
                self.out.write(span.text + "\\n")

A plugin has no file system, network, clock or environment. Outside a component the same calls reach a host in memory: see
`ocr_plugin.testing`.
"""

from . import control, log, ocr, output, pdf
from .edits import (
    DocumentEdit,
    DropSpan,
    Edit,
    Insert,
    NewCell,
    RedactArea,
    RedactText,
    ReflowText,
    SetArea,
    SetCell,
    SetCells,
    SetKind,
    SetLevel,
    SetMarkup,
    SetName,
    SetOrder,
    SetParent,
    SetText,
    SetTitle,
)
from .errors import (
    Cancelled,
    ConfigError,
    Denied,
    Encrypted,
    Failed,
    HostError,
    HostFailed,
    Invalid,
    InvalidInput,
    PluginError,
    QuotaReached,
    Unsupported,
    WrongPassword,
)
from .image import Canvas, Decoder, Encoding, Image, PixelFormat
from .page import Anchor, Cell, Line, Page, Span, Word
from .plugin import Adapter, Config, Formatter, InputPage, OpenOptions, Processor, export
from .source import Source
from .types import (
    BlockKind,
    CellKind,
    Diagnostic,
    DocInfo,
    LayerWord,
    Outcome,
    PageInfo,
    Point,
    Quad,
    Quota,
    Recovery,
    Rect,
    Severity,
    Slice,
    TextLayer,
)

__all__ = [
    "Adapter",
    "Anchor",
    "BlockKind",
    "Cancelled",
    "Canvas",
    "Cell",
    "CellKind",
    "Config",
    "ConfigError",
    "Decoder",
    "Denied",
    "Diagnostic",
    "DocInfo",
    "DocumentEdit",
    "DropSpan",
    "Edit",
    "Encoding",
    "Encrypted",
    "Failed",
    "Formatter",
    "HostError",
    "HostFailed",
    "Image",
    "InputPage",
    "Insert",
    "Invalid",
    "InvalidInput",
    "LayerWord",
    "Line",
    "NewCell",
    "OpenOptions",
    "Outcome",
    "Page",
    "PageInfo",
    "PixelFormat",
    "PluginError",
    "Point",
    "Processor",
    "Quad",
    "Quota",
    "QuotaReached",
    "Recovery",
    "Rect",
    "RedactArea",
    "RedactText",
    "ReflowText",
    "SetArea",
    "SetCell",
    "SetCells",
    "SetKind",
    "SetLevel",
    "SetMarkup",
    "SetName",
    "SetOrder",
    "SetParent",
    "SetText",
    "SetTitle",
    "Severity",
    "Slice",
    "Source",
    "Span",
    "TextLayer",
    "Unsupported",
    "Word",
    "WrongPassword",
    "control",
    "export",
    "log",
    "ocr",
    "output",
    "pdf",
]
