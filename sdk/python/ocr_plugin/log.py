"""What a plugin has to say beside its output."""

from __future__ import annotations

from ._host import interface
from .types import Diagnostic, Rect, Severity


def write(message: str, level: Severity = Severity.NOTE) -> None:
    """A line for the run's log."""
    interface("log").write(level, message)


def report(
    severity: Severity, code: str, message: str, page: int | None = None, area: Rect | None = None
) -> None:
    """A finding for the user's report, under its page where it names one (from 1)."""
    interface("log").report(Diagnostic(severity, code, message, page, area))
