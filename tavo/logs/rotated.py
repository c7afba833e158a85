"""Parts of a log that was rotated, put in the order of time by their names: the oldest first.

Rules this module keeps:
- `app.log.2.gz`, `app.log.1`, `app.log` are one log, and so are `app.log-20261127` and `app.log`; a
  higher number is older, a later date is newer, and the name without either is the newest;
- what belongs together comes where the first of it stood; anything else keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["in_order", "part_of"]

Rank = tuple[int, str, int]
"""Dated parts by their dates, then numbered ones from the highest number, then the log itself."""

_PACKED = re.compile(r"\.(?:gz|zst|bz2|xz)\Z", re.I)
_DATED = re.compile(
    r"(.+)[.-](\d{4}-?\d\d-?\d\d(?:[T_.-]?\d\d(?:[:_.-]?\d\d){0,2})?|\d{10})(?:\.(\d{1,5}))?\Z"
)
_NUMBERED = re.compile(r"(.+)\.(\d{1,5})\Z")
_Named = TypeVar("_Named")


def part_of(name: str) -> tuple[str, Rank]:
    """Return the log that a file is a part of, by its name, and its place among the parts."""
    name = _PACKED.sub("", name)
    if (found := _DATED.fullmatch(name)) is not None:
        digits = "".join(filter(str.isdigit, found[2])).ljust(14, "0")
        return found[1], (0, digits, int(found[3] or 0))
    if (found := _NUMBERED.fullmatch(name)) is not None:
        return found[1], (1, "", -int(found[2]))
    if name.endswith(".old"):
        return name.removesuffix(".old"), (2, "", 0)
    return name, (3, "", 0)


def in_order(named: Sequence[tuple[str, _Named]]) -> list[_Named]:
    """Return things by their names' order of time; names of different folders stay apart."""
    families: dict[str, list[tuple[Rank, int, _Named]]] = {}
    for number, (name, one) in enumerate(named):
        log, rank = part_of(name)
        families.setdefault(log, []).append((rank, number, one))
    return [
        one for parts in families.values() for _, _, one in sorted(parts, key=lambda part: part[:2])
    ]
