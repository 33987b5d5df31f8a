"""What can go wrong: `HostError` is the host refusing something, `PluginError` is the plugin giving up.

Raise a `PluginError` from any method of a plugin; a `HostError` that is not caught goes up as what the plugin could not do without.
Any other exception is a fault of the plugin: its traceback reaches the report, and the document ends.
"""

from __future__ import annotations

from .types import Diagnostic, Quota, Severity


class HostError(Exception):
    """The host does not give what was asked for."""


class Denied(HostError):
    """The capability is not granted, or this run has no such thing. Try a way that does without."""


class QuotaReached(HostError):
    """A limit was met. The session ends when the plugin returns."""

    def __init__(self, what: Quota, limit: int, used: int):
        super().__init__(f"limit {what} reached: {used} of {limit}")
        self.what, self.limit, self.used = what, limit, used


class Cancelled(HostError):
    """The user asked to stop. Return at once."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class Invalid(HostError):
    """An argument breaks the contract."""


class HostFailed(HostError):
    """The host tried and failed: a damaged file, a full disk."""


class PluginError(Exception):
    """The plugin gives up. Raise one of the classes below."""


class InvalidInput(PluginError):
    """The input is damaged, or not what it claims to be."""


class Unsupported(PluginError):
    """The input is sound, but asks for something that this plugin does not do."""


class ConfigError(PluginError):
    """Settings are wrong; each argument is a sentence that names one."""

    def __init__(self, *complaints: str | Diagnostic):
        self.diagnostics = [
            c if isinstance(c, Diagnostic) else Diagnostic(Severity.ERROR, "config", c) for c in complaints
        ]
        super().__init__("; ".join(d.message for d in self.diagnostics))


class Failed(PluginError):
    """Anything else. `code` is stable, kebab-case and for programs; the message says what, which, why, what to try."""

    def __init__(self, code: str, message: str, page: int | None = None):
        super().__init__(message)
        self.diagnostic = Diagnostic(Severity.ERROR, code, message, page)


class Encrypted(Failed):
    """The document needs a password and none was given."""

    def __init__(self, message: str = "the document is encrypted; give its password"):
        super().__init__("encrypted", message)


class WrongPassword(Failed):
    """The given password does not open the document."""

    def __init__(self, message: str = "the password does not open the document"):
        super().__init__("wrong-password", message)
