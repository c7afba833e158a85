"""Where the files of this user go, by the conventions of the system.

Rules this module keeps:
- nothing is made or looked at here but the account's home folder, where no variable names it;
- a variable that holds no whole path counts as not set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tavo.errors import ConfigError

__all__ = ["Paths", "user_paths"]


class Paths(NamedTuple):
    """The folders of this user, by the conventions of the system."""

    config: Path
    data: Path
    state: Path
    cache: Path


def user_paths(environment: Mapping[str, str] | None = None) -> Paths:
    """Return this user's folders. Raises ConfigError where there is no home folder."""
    variables = os.environ if environment is None else environment
    home = _home(variables)
    if sys.platform == "win32":
        local = Path(variables.get("LOCALAPPDATA") or home / "AppData" / "Local") / "tavo"
        return Paths(
            config=local, data=local / "data", state=local / "state", cache=local / "cache"
        )
    if sys.platform == "darwin":
        support = home / "Library" / "Application Support" / "tavo"
        return Paths(
            config=support,
            data=support / "data",
            state=support / "state",
            cache=home / "Library" / "Caches" / "tavo",
        )

    def folder(variable: str, *default: str) -> Path:
        value = variables.get(variable, "")
        base = Path(value) if value and Path(value).is_absolute() else home.joinpath(*default)
        return base / "tavo"

    return Paths(
        config=folder("XDG_CONFIG_HOME", ".config"),
        data=folder("XDG_DATA_HOME", ".local", "share"),
        state=folder("XDG_STATE_HOME", ".local", "state"),
        cache=folder("XDG_CACHE_HOME", ".cache"),
    )


def _home(variables: Mapping[str, str]) -> Path:
    value = variables.get("USERPROFILE" if sys.platform == "win32" else "HOME", "")
    if value and Path(value).is_absolute():
        return Path(value)
    found = _home_of_account()
    if found is not None:
        return found
    raise ConfigError(
        "this user has no home folder, so there is no place for settings and plugins",
        hint="Set HOME to a folder that belongs to you."
        if sys.platform != "win32"
        else "Set USERPROFILE to a folder that belongs to you.",
    )


def _home_of_account() -> Path | None:
    if sys.platform == "win32":
        return None
    import pwd

    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None
    return home if home.is_absolute() and home.is_dir() else None
