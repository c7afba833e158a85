"""The errors of the plugin API. Standard library only, so they are no `TavoError`s."""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "CancelledCall",
    "ConfigError",
    "HttpError",
    "NotAvailableError",
    "PluginError",
    "ProgramError",
    "ProjectFileError",
    "TargetError",
]


class PluginError(Exception):
    """Root of the plugin API's errors."""


class ConfigError(PluginError):
    """Raised by a plugin's `start`: its configuration is wrong. The message reaches the user."""


class NotAvailableError(PluginError):
    """Not lent to this plugin: not declared in its manifest, not granted, or not built yet."""


class TargetError(PluginError):
    """Raised by `Target.send`: no answer came. The message says why; the next one may come."""


class BudgetError(TargetError):
    """Raised by `Target.send`: the run's budget is used up. Yield what there is, and return."""


class HttpError(PluginError):
    """Raised by `Context.http`: no response came. The message says why."""


class ProjectFileError(PluginError):
    """Raised by `Context.read_project` and `project_files`: the message says which, and why."""


class ProgramError(PluginError):
    """Raised by `Context.run`: the program did not start, or was stopped. The message says why."""


class CancelledCall(BaseException):
    """Raised inside a plugin's call that ran out of time. Do not catch it.

    It derives from BaseException so that `except Exception` in a plugin lets it pass. A plugin that
    holds it back is killed a moment later.
    """
