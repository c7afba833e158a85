"""Counts by actor and hour while logs are followed, and the anomalies of the hours that are over.

Rules this module keeps:
- an hour is judged once, when no record of it is expected any more;
- memory is bounded: hours older than two weeks are dropped, and beyond the most cells the oldest
  hours; those are counted.

Units: hours since 1970.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TypeAlias

from tavo.logs.anomaly import Alarm, rates
from tavo.logs.tally import Tally
from tavo.logs.totals import LINES, Hour

__all__ = ["Cell", "Counts"]

_MOST_CELLS = 60_000
_KEPT_HOURS = 14 * 24

Cell: TypeAlias = "array[float]"
"""Requests, tokens, cost, failures; the most tokens of a record, and where that record is."""


class Counts:
    """What was counted. `touched` are the cells that changed, `dropped` counts those given up."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.cells: dict[tuple[str, int], Cell] = {}
        self.touched: set[tuple[str, int]] = set()
        self.dropped = 0
        self.judged = 0

    def merge(self, other: Tally, source: int, base: int) -> None:
        """Add the counts of a block whose first line is the line `base` of a source, from 0."""
        if other.first is not None:
            self.first = other.first if self.first is None else min(self.first, other.first)
        cells = self.cells
        for key, theirs in other.cells[0].items():
            ours = cells.get(key)
            if ours is None:
                ours = cells[key] = array("d", (0, 0, 0, 0, -1, 0))
            for number in range(4):
                ours[number] += theirs[number]
            if theirs[6] >= ours[4]:
                ours[4], ours[5] = theirs[6], source * LINES + base + theirs[7]
        self.touched.update(other.cells[0])
        if len(cells) > _MOST_CELLS:
            self._forget(_MOST_CELLS * 3 // 4)

    def restore(self, actor: str, hour: int, cell: Cell) -> None:
        """Take back a cell."""
        self.cells[actor, hour] = cell

    def hours(self, kind: str) -> Iterator[tuple[str, list[Hour]]]:
        """Yield each actor with its hours, in order; other kinds are not counted here."""
        by_actor: dict[str, list[Hour]] = {}
        for (actor, hour), one in self.cells.items() if kind == "actor" else ():
            by_actor.setdefault(actor, []).append(
                Hour(hour, one[0], one[1], one[2], one[3], 0.0, None, 0.0, int(one[5]))
            )
        for actor, hours in by_actor.items():
            yield actor, sorted(hours)

    def over(self, horizon: float) -> Iterator[Alarm]:
        """Yield the anomalies of the hours that are over at a time and were not judged."""
        hour = int(horizon // 3600)
        first = self.judged or int((self.first or horizon) // 3600)
        self.judged = max(self.judged, hour)
        if first >= hour:
            return
        for one in rates(self):
            if first <= one.hour < hour:
                yield one
        for key in [key for key in self.cells if key[1] < hour - _KEPT_HOURS]:
            self._drop(key)

    def cell(self, key: tuple[str, int]) -> Cell | None:
        """Return a cell, None for one that was dropped."""
        return self.cells.get(key)

    def _forget(self, most: int) -> None:
        by_hour = sorted(self.cells, key=lambda key: key[1])
        for key in by_hour[: len(by_hour) - most]:
            self._drop(key)
            self.dropped += 1

    def _drop(self, key: tuple[str, int]) -> None:
        del self.cells[key]
        self.touched.add(key)
