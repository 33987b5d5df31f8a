"""The host behind the SDK: the component's imports, or the one in memory that `ocr_plugin.testing` puts in their place.

Both speak the contract's functions (`output.main()`, `image.canvas`); the other modules wrap what they answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import errors
from .types import Quota

#: Bytes that a single call carries at most; larger pieces are split.
CALL_BYTES = 256 * 1024

_interfaces: dict[str, Any] = {}


def bind(interfaces: dict[str, Any]) -> None:
    """Says which host there is, by the contract's interface names."""
    _interfaces.clear()
    _interfaces.update(interfaces)


def interface(name: str) -> Any:
    """An interface of the host."""
    try:
        return _interfaces[name]
    except KeyError:
        raise RuntimeError(
            f"`{name}` is not there: its functions work while the host runs the plugin, in a kind of plugin whose world has"
            " them, or inside `ocr_plugin.testing`"
        ) from None


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls the host; what it refuses is raised as a `HostError`."""
    try:
        return function(*arguments)
    except Exception as error:
        refused = lift(getattr(error, "value", None))
        if refused is None:
            raise
        raise refused from None


def lift(value: Any) -> errors.HostError | None:
    """The exception for the contract's `host-error`, known by the names of its cases."""
    case = type(value).__name__.removeprefix("HostError_")
    if case == "Denied":
        return errors.Denied(value.value)
    if case == "Quota":
        hit = value.value
        return errors.QuotaReached(Quota(hit.what.value), hit.limit, hit.used)
    if case == "Cancelled":
        return errors.Cancelled()
    if case == "Invalid":
        return errors.Invalid(value.value)
    if case == "Failed":
        return errors.HostFailed(value.value)
    return None


class Handle:
    """A resource of the host. It is given back when the last reference goes, or at the end of a `with` block."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Any):
        self._raw = raw

    def close(self) -> None:
        """Gives it back now."""
        self._raw.__exit__(None, None, None)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
