"""Times as logs write them -> seconds since 1970, UTC.

Rules this module keeps:
- a time without a zone is UTC; a number is seconds, milliseconds, microseconds or nanoseconds by
  its size; what is no time is None, and never raises.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

__all__ = ["as_text", "parse_time"]

_LATEST = 4_102_444_800.0  # 2100
_MONTHS = {
    m: i
    for i, m in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}


def parse_time(value: Any) -> float | None:
    """Return the time that a value of a log means."""
    if value.__class__ is float and 0.0 < value < _LATEST:
        return value
    if isinstance(value, str):
        if value[-1:] == "Z" and value[10:11] == "T":  # the usual form, and all are different
            try:
                return datetime.fromisoformat(value).timestamp()
            except (ValueError, OverflowError, OSError):
                return _of_text(value)
        return _of_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _of_number(float(value))


def _of_number(number: float) -> float | None:
    if not math.isfinite(number) or number <= 0:
        return None
    for factor in (1.0, 1e3, 1e6, 1e9):
        if number / factor < _LATEST:
            return number / factor
    return None


@lru_cache(4096)
def _of_text(text: str) -> float | None:
    text = text.strip()[:64]
    if not text:
        return None
    if text[0].isdigit() and text.replace(".", "", 1).isdigit():
        return _of_number(float(text))
    try:
        found = datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(",", "."))
    except ValueError:
        found = None
    if found is None:
        found = _by_shape(text)
    if found is None:
        return None
    try:
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError, OSError):
        return None


def _by_shape(text: str) -> datetime | None:
    """Read `10/Oct/2026:13:55:36 +0200`, `2025/07/16 - 22:25:26`, `Sun Nov 29 09:25:37.4 2026`."""
    try:
        if len(text) >= 24 and text[3] == " " and text[7] == " " and text[4:7] in _MONTHS:
            clock, _, year = text[11:].partition(" ")
            day = f"{int(text[8:10]):02}"
            return datetime.fromisoformat(f"{year}-{_MONTHS[text[4:7]]:02}-{day}T{clock}")
        if len(text) >= 20 and text[2] == "/" and text[6] == "/":
            month = _MONTHS[text[3:6]]
            return datetime.fromisoformat(
                f"{text[7:11]}-{month:02}-{text[:2]}T{text[12:20]}{text[21:24]}:{text[24:26]}"
                if len(text) >= 26
                else f"{text[7:11]}-{month:02}-{text[:2]}T{text[12:20]}"
            )
        if text[4] == "/" and text[7] == "/":
            return datetime.fromisoformat(text.replace(" - ", " ").replace("/", "-"))
    except (KeyError, ValueError, IndexError):
        return None
    return None


def as_text(time: float | None) -> str:
    """Return a time for people, empty for None."""
    if time is None:
        return ""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
