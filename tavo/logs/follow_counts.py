"""Counts by actor and hour while logs are followed, and the anomalies of the hours that are over.

Rules this module keeps:
- an hour is judged once, when no record of it is expected any more;
- memory is bounded: hours older than two weeks are dropped, and beyond the most cells the oldest
  hours; those are counted.

Units: hours since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator

from tavo.logs.anomaly import Anomaly, anomalies
from tavo.logs.tally import Cell, Tally

__all__ = ["Counts"]

_MOST_CELLS = 60_000
_KEPT_HOURS = 14 * 24


class Counts:
    """What was counted. `touched` are the cells that changed, `dropped` counts those given up."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.touched: set[tuple[str, int]] = set()
        self.dropped = 0
        self.judged = 0

    def merge(self, other: Tally, source: int, base: int) -> None:
        """Add the counts of a block whose first line is the line `base` of a source, from 0."""
        self.tally.merge(other, source, base)
        cells = self.tally.cells
        self.touched.update(key if key in cells else ("", key[1]) for key in other.cells)
        if len(cells) > _MOST_CELLS:
            self._forget(_MOST_CELLS * 3 // 4)

    def restore(self, actor: str, hour: int, cell: Cell) -> None:
        """Take back a cell."""
        self.tally.cells[actor, hour] = cell

    def over(self, horizon: float) -> Iterator[Anomaly]:
        """Yield the anomalies of the hours that are over at a time and were not judged."""
        hour = int(horizon // 3600)
        first = self.judged or int((self.tally.first or horizon) // 3600)
        self.judged = max(self.judged, hour)
        if first >= hour:
            return
        for one in anomalies(self.tally):
            if first <= one.hour < hour:
                yield one
        for key in [key for key in self.tally.cells if key[1] < hour - _KEPT_HOURS]:
            self._drop(key)

    def cell(self, key: tuple[str, int]) -> Cell | None:
        """Return a cell, None for one that was dropped."""
        return self.tally.cells.get(key)

    def _forget(self, most: int) -> None:
        by_hour = sorted(self.tally.cells, key=lambda key: key[1])
        for key in by_hour[: len(by_hour) - most]:
            self._drop(key)
            self.dropped += 1

    def _drop(self, key: tuple[str, int]) -> None:
        del self.tally.cells[key]
        self.touched.add(key)
