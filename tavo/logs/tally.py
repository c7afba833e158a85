"""Counts over the events of a block, which later become a summary and baselines.

Rules this module keeps:
- its size is bounded by the number of hours, actors and models, each of which has a most;
- counts of two blocks can be added in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tavo.logs.times import parse_time

if TYPE_CHECKING:
    from tavo.logs.event import LogEvent

__all__ = ["COLUMNS", "Tally"]

COLUMNS = ("time",)
_MOST_MODELS = 1000


class Tally:
    """What was seen: the first and the last time, and how many events there are by hour."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last: float | None = None
        self.hours: Counter[int] = Counter()
        self.timeless = 0

    def add_columns(self, columns: Mapping[str, list[Any]]) -> None:
        """Count the events of a block by their columns."""
        for value, count in _prefixes(columns["time"]).items():
            self._add(parse_time(value), count)

    def add_event(self, event: LogEvent) -> None:
        """Count one event."""
        self._add(event.time, 1)

    def _add(self, time: float | None, count: int) -> None:
        if time is None:
            self.timeless += count
            return
        self.first = time if self.first is None else min(self.first, time)
        self.last = time if self.last is None else max(self.last, time)
        self.hours[int(time // 3600)] += count

    def merge(self, other: Tally) -> None:
        """Add the counts of another block."""
        for time in (other.first, other.last):
            if time is not None:
                self.first = time if self.first is None else min(self.first, time)
                self.last = time if self.last is None else max(self.last, time)
        self.hours.update(other.hours)
        self.timeless += other.timeless


def _prefixes(values: list[Any]) -> Counter[Any]:
    """Count times by what they begin with, down to the minute; numbers as they are."""
    try:
        if values and isinstance(values[0], str):
            return Counter([v[:16] if isinstance(v, str) else v for v in values])
        return Counter(values)
    except TypeError:
        return Counter(v if isinstance(v, str | int | float) else None for v in values)
