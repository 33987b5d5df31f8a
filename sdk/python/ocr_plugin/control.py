"""Being stopped, and telling how far the work has come."""

from __future__ import annotations

from ._host import call, interface


def checkpoint() -> None:
    """Raises `Cancelled` once the user has asked to stop. Call it in loops that take longer than a second."""
    call(interface("control").checkpoint)


def progress(done: int, total: int | None = None) -> None:
    """Steps done, of how many where known."""
    interface("control").progress(done, total)
