"""The errors of the plugin API. Standard library only, so they are no `TavoError`s."""

from __future__ import annotations

__all__ = ["CancelledCall", "ConfigError", "NotAvailableError", "PluginError"]


class PluginError(Exception):
    """Root of the plugin API's errors."""


class ConfigError(PluginError):
    """Raised by a plugin's `start`: its configuration is wrong. The message reaches the user."""


class NotAvailableError(PluginError):
    """Declared in the plugin API, but not available in this version."""


class CancelledCall(BaseException):
    """Raised inside a plugin's call that ran out of time. Do not catch it.

    It derives from BaseException so that `except Exception` in a plugin lets it pass. A plugin that
    holds it back is killed a moment later.
    """
