"""The order of versions, as each ecosystem has it.

Rules this module keeps:
- a version that its ecosystem could not have has no place in the order: None, never a guess;
- "0" in an advisory stands before every version.

Sources: PEP 440 through `packaging`; Semantic Versioning 2.0.0, section 11; OSV schema, section
"affected[].ranges[].events".
"""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

__all__ = ["EARLIEST", "ECOSYSTEMS", "normal_name", "place"]

ECOSYSTEMS = ("PyPI", "npm")

_SEMVER = re.compile(
    r"v?(?P<numbers>(?:0|[1-9][0-9]{0,30})(?:\.(?:0|[1-9][0-9]{0,30})){2})"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?\Z"
)
_LONGEST = 200


@total_ordering
class _Earliest:
    """Stands before every version."""

    def __eq__(self, other: object) -> bool:
        return other is self

    def __lt__(self, other: object) -> bool:
        return other is not self

    def __hash__(self) -> int:
        return 0


EARLIEST = _Earliest()


def place(ecosystem: str, text: str) -> Any:
    """Return where a version stands: a value that compares with others of the same ecosystem.

    None for a text that is no version there. Raises ValueError for an unknown ecosystem.
    """
    if text == "0":
        return EARLIEST
    if len(text) > _LONGEST:
        return None
    if ecosystem == "PyPI":
        try:
            return Version(text)
        except InvalidVersion:
            return None
    if ecosystem == "npm":
        return _semver(text)
    raise ValueError(f"{ecosystem!r} is none of {', '.join(ECOSYSTEMS)}")


def normal_name(ecosystem: str, name: str) -> str:
    """Return a package's name in the form in which its ecosystem compares names."""
    return canonicalize_name(name) if ecosystem == "PyPI" else name


def _semver(text: str) -> tuple[object, ...] | None:
    found = _SEMVER.match(text)
    if found is None:
        return None
    numbers = tuple(int(part) for part in found["numbers"].split("."))
    if found["pre"] is None:
        return (*numbers, 1)
    # Numbers stand before words; fewer parts before more.
    parts = tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in found["pre"].split(".")
    )
    return (*numbers, 0, parts)
