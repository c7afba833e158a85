"""What an editor shows: what the user decides, and what the opened workspace may take away.

Rules this module keeps:
- rules, plugins, policies and programs are chosen by the user's own file and by the command line
  of the server, never by anything that comes with a workspace, whatever way it takes: `tavo.toml`,
  settings of the editor, options of the start;
- what a workspace says makes less be shown: a higher severity, more left out, smaller files.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tavo.errors import ConfigError
from tavo.plugins import Severity
from tavo.scan.path_patterns import PathPatterns

__all__ = ["Noise", "UserOptions", "check_user", "noise_of_client", "noise_of_project"]

_MOST_PATTERNS = 1_000
_NAMES = frozenset({"minSeverity", "exclude"})


class UserOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the user chose. `most_files`: of a folder, to follow data from file to file in."""

    rules: tuple[Path, ...]
    exclude: tuple[str, ...] = ()
    largest: int = 2 << 20
    min_severity: Severity = Severity.INFO
    most_files: int = 5_000
    results: Path | None = None


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """What is not shown: patterns of files, what is below a severity, what is larger."""

    exclude: tuple[str, ...] = ()
    min_severity: Severity = Severity.INFO
    largest: int | None = None

    def with_more(self, other: Noise) -> Noise:
        """Return what neither of the two shows."""
        sizes = [one for one in (self.largest, other.largest) if one is not None]
        return Noise(
            exclude=tuple(dict.fromkeys((*self.exclude, *other.exclude))),
            min_severity=max(self.min_severity, other.min_severity),
            largest=min(sizes, default=None),
        )

    def hides(self, path: str) -> bool:
        """Tell whether a file is left out by its path, or a folder above it is."""
        return bool(self.exclude) and _patterns(self.exclude).verdict(path) is True


@functools.lru_cache(maxsize=64)
def _patterns(patterns: tuple[str, ...]) -> PathPatterns:
    """Return patterns, read once, because every change of a text asks them."""
    return PathPatterns(patterns)


def noise_of_project(values: Mapping[str, Any]) -> tuple[Noise, list[str]]:
    """Return what a project's `tavo.toml` hides, and sentences about what does not count here."""
    notes = [
        f"tavo.toml: {key} does not count in an editor: the user's file and the command line of"
        " `tavo lsp` decide about that"
        for key in values
        if key == "scan.rules"
    ]
    exclude, unusable = _usable(values.get("scan.exclude", ()), "tavo.toml: scan.exclude")
    noise = Noise(
        exclude=exclude,
        min_severity=values.get("lsp.min_severity", Severity.INFO),
        largest=values.get("scan.max_file_bytes"),
    )
    return noise, notes + unusable


def noise_of_client(value: Any) -> tuple[Noise, list[str]]:
    """Return what the settings of an editor hide, and sentences about what does not count.

    They may be below a key `tavo`. Nobody knows whether they are the user's or the workspace's.
    """
    if isinstance(value, Mapping) and isinstance(value.get("tavo"), Mapping):
        value = value["tavo"]
    if value is None or value == {}:
        return Noise(), []
    if not isinstance(value, Mapping):
        return Noise(), ["the settings of the editor are no object and do not count"]
    notes = [
        f"the editor's setting tavo.{str(key)[:60]} does not count: an editor's settings may say"
        " minSeverity and exclude, because a workspace can bring them along; rules are named on"
        " the command line of `tavo lsp` or in the user's tavo.toml"
        for key in list(value)[:_MOST_PATTERNS]
        if key not in _NAMES
    ]
    severity = Severity.INFO
    given = value.get("minSeverity", "info")
    try:
        severity = Severity(given)
    except ValueError:
        known = ", ".join(one.value for one in Severity)
        notes.append(f"the editor's setting tavo.minSeverity is none of {known}")
    exclude, unusable = _usable(value.get("exclude", []), "the editor's setting tavo.exclude")
    return Noise(exclude=exclude, min_severity=severity), notes + unusable


def _usable(value: Any, where: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the patterns that can be used, and what is wrong with the others."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        return (), [f"{where} is not a list of texts"]
    if len(value) > _MOST_PATTERNS:
        return (), [f"{where} has more than {_MOST_PATTERNS} patterns"]
    bad = dict(PathPatterns(value).unusable)
    notes = [f"{where}: {one[:60]!r}: {reason}" for one, reason in _first(bad.items())]
    return tuple(one for one in value if one and not _is_bad(one, bad)), notes


def _first(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(items)[:5]


def _is_bad(pattern: str, bad: Mapping[str, str]) -> bool:
    return any(pattern.startswith(one) for one in bad) if bad else False


def check_user(exclude: Iterable[str]) -> None:
    """Raise ConfigError for a pattern of the user that cannot be used."""
    for pattern, reason in PathPatterns(list(exclude)).unusable:
        raise ConfigError(f"exclude {pattern[:60]!r}: {reason}")
