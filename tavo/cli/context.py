"""What every command shares for one invocation: global options, and lazily what they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tavo.errors import UsageError

if TYPE_CHECKING:
    from tavo.config import Settings

__all__ = ["Session", "session_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The global options of one invocation. Commands get it from their typer context."""

    config: Path | None = None
    offline: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = True
    json: bool = False

    def settings(self, **flags: object) -> Settings:
        """Merge flags, environment, project file and user file; raises ConfigError."""
        from tavo.config import load_settings

        raise NotImplementedError


def session_of(context: typer.Context) -> Session:
    """Return the session that the root command made."""
    session = context.find_object(Session)
    if session is None:
        raise UsageError("the command was started without the root command")
    return session
