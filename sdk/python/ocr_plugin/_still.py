"""What a plugin does not have, so that asking for it is an exception with a reason: inside a component there is nothing behind these
calls, and the call of the plugin would end in a trap without a word.

Time stands still and chance repeats itself, as for plugins in other languages: the output follows from the input. What is printed
goes to the host's log.
"""

from __future__ import annotations

import importlib
import io
import os
import random
import sys
import time
from typing import Any, NoReturn

from ._host import interface
from .types import Severity

#: Audit events of things that reach outside, and what to say of them.
_OUTSIDE = {
    "open": "a plugin has no files; read what it needs where its module is loaded, when the component is built",
    "os.": "a plugin has no files, environment or processes",
    "socket.": "a plugin has no network",
    "subprocess.": "a plugin starts no programs",
    "shutil.": "a plugin has no files",
    "tempfile.": "a plugin has no files",
    "glob.": "a plugin has no files",
}


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: raises where a call would reach outside."""
    if event == "import":
        name = arguments[0]
        if name not in sys.builtin_module_names:
            raise ImportError(
                f"module `{name}` is not in the component: modules are loaded when it is built; import it at the top of a module",
                name=name,
            )
    for prefix, why in _OUTSIDE.items():
        if event == prefix or (prefix.endswith(".") and event.startswith(prefix)):
            raise PermissionError(f"{event}: {why}")


def _no_chance(*_: object) -> NoReturn:
    raise PermissionError("a plugin has no source of chance; `random` gives every document the same numbers")


class _Log(io.TextIOBase):
    """A stream whose lines go to the host's log."""

    def __init__(self, level: Severity):
        self._level, self._line = level, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            interface("log").write(self._level, line)
        return len(text)


def before_loading() -> None:
    """Clocks and chance, before the plugin's module takes them by name."""
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        setattr(time, name, lambda: 0.0)
        setattr(time, f"{name}_ns", lambda: 0)
    gmtime = time.gmtime
    time.sleep = lambda _: None
    time.gmtime = lambda seconds=0: gmtime(seconds or 0)
    time.localtime = time.gmtime
    # `datetime` in C asks the clock itself, past all this; the one in Python asks `time`. `zoneinfo` in C wants that in C.
    for in_c in ("_datetime", "_zoneinfo"):
        sys.modules[in_c] = None  # type: ignore[assignment]
    for name in ("datetime", "zoneinfo"):
        sys.modules.pop(name, None)
    # What `strptime` would load at its first call.
    importlib.import_module("_strptime")
    random.seed(0)
    os.urandom = _no_chance
    random._urandom = _no_chance  # type: ignore[attr-defined]


_has_begun = False


def begin() -> None:
    """The rest, at a component's first call: while it is built, modules and files are read, and what is printed goes to the author."""
    global _has_begun
    if _has_begun:
        return
    _has_begun = True
    random.seed(0)
    sys.stdout = _Log(Severity.NOTE)
    sys.stderr = _Log(Severity.WARNING)
    sys.addaudithook(_refuse)
