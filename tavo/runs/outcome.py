"""What one plugin did in a run."""

from __future__ import annotations

import msgspec

from tavo.results.values import Exchange, Notice, PluginRun, Reported

__all__ = ["PluginOutcome"]


class PluginOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin found, what it cost, what it did not do, and what it asked of a target.

    `output` is the end of what it logged and printed, for its author.
    """

    reported: tuple[Reported, ...]
    run: PluginRun
    notices: tuple[Notice, ...]
    exchanges: tuple[Exchange, ...] = ()
    output: str = ""
