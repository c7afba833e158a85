"""Counts over the events of logs by actor and hour, from which anomalies are read.

Rules this module keeps:
- its size is bounded: actors beyond the most are counted together, under no name;
- counts of two blocks can be added in any order;
- of each actor and hour the record with the most tokens is remembered: an alarm shows it.

Units: hours since 1970, tokens, US dollars.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tavo.logs.times import parse_time

if TYPE_CHECKING:
    from tavo.logs.event import LogEvent

__all__ = ["COLUMNS", "LINES", "MEASURES", "OTHERS", "Cell", "Tally"]

_ACTOR = ("user.id", "api_key.id", "client.address")
_NUMBERS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "usage.cost")
COLUMNS = ("time", *_ACTOR, *_NUMBERS, "outcome")
"""The fields that are counted; a format may lack some."""

MEASURES = ("requests", "tokens", "cost", "failures")
OTHERS = ""
"""The name of all actors beyond the most."""

_MOST_CELLS = 150_000
_MOST_HOURS = 4096

Cell: TypeAlias = "array[float]"
"""Requests, tokens, cost, failures; the most tokens of a record, and where that record is.

The place is the number of the source times `LINES` plus the line, from 0.
"""

LINES = float(1 << 32)


class Tally:
    """What was seen: the first and the last time, and the counts by actor and hour."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last: float | None = None
        self.timeless = 0
        self.cells: dict[tuple[str, int], Cell] = {}
        self._hours: dict[str, int | None] = {}

    def add_columns(self, columns: Mapping[str, list[Any]]) -> None:
        """Count the events of a block by their columns."""
        times = columns["time"]
        nothing = [None] * len(times)
        actors = _first_of([columns[name] for name in _ACTOR if name in columns], nothing)
        given, answered, costs = (columns.get(name, nothing) for name in _NUMBERS)
        outcomes = columns.get("outcome", nothing)
        hours = self._hours_of(times)
        cells = self.cells
        rows = zip(hours, actors, given, answered, costs, outcomes, strict=True)
        for line, (hour, actor, sent, came, cost, outcome) in enumerate(rows):
            if hour is None:
                self.timeless += 1
                continue
            cell = cells.get((actor, hour))
            if cell is None:
                cell = self._cell(actor, hour)
            cell[0] += 1
            tokens = (sent if sent.__class__ is int else 0) + (came if came.__class__ is int else 0)
            cell[1] += tokens
            if cost.__class__ is float and 0 <= cost < 1e9:
                cell[2] += cost
            if outcome == "failure":
                cell[3] += 1
            if tokens >= cell[4]:
                cell[4], cell[5] = tokens, line
        self._span(times)

    def add_event(self, event: LogEvent, line: int) -> None:
        """Count one event."""
        time = event.time
        if time is None:
            self.timeless += 1
            return
        self._seen(time)
        actor = next((found for name in _ACTOR if (found := event.first(name))), OTHERS)
        cell = self._cell(actor if isinstance(actor, str) else str(actor), int(time // 3600))
        sent, came, cost = (event.first(name) for name in _NUMBERS)
        tokens = sum(int(n) for n in (sent, came) if _is_number(n))
        cell[0] += 1
        cell[1] += tokens
        cell[2] += float(cost) if _is_number(cost) else 0.0
        cell[3] += event.first("outcome") == "failure"
        if tokens >= cell[4]:
            cell[4], cell[5] = tokens, line

    def merge(self, other: Tally, source: int, base: int) -> None:
        """Add the counts of a block whose first line is the line `base` of a source, from 0."""
        for time in (other.first, other.last):
            if time is not None:
                self._seen(time)
        self.timeless += other.timeless
        for (actor, hour), theirs in other.cells.items():
            ours = self._cell(actor, hour)
            for number in range(4):
                ours[number] += theirs[number]
            if theirs[4] >= ours[4]:
                ours[4], ours[5] = theirs[4], source * LINES + base + theirs[5]

    def _cell(self, actor: Any, hour: int) -> Cell:
        if not isinstance(actor, str):
            actor = OTHERS if actor is None else str(actor)[:200]
        cell = self.cells.get((actor, hour))
        if cell is None:
            if len(self.cells) >= _MOST_CELLS:
                actor = OTHERS
            cell = self.cells.setdefault((actor, hour), array("d", (0, 0, 0, 0, -1, 0)))
        return cell

    def _hours_of(self, times: list[Any]) -> list[int | None]:
        known = self._hours
        out: list[int | None] = []
        for value in times:
            if value.__class__ is str and value[-1:] == "Z":
                key = value[:13]
                if key not in known:
                    if len(known) > _MOST_HOURS:
                        known.clear()
                    time = parse_time(value)
                    known[key] = None if time is None else int(time // 3600)
                out.append(known[key])
            else:
                time = parse_time(value)
                out.append(None if time is None else int(time // 3600))
        return out

    def _span(self, times: list[Any]) -> None:
        for value in (times[0], times[-1]) if times else ():
            if (time := parse_time(value)) is not None:
                self._seen(time)

    def _seen(self, time: float) -> None:
        self.first = time if self.first is None else min(self.first, time)
        self.last = time if self.last is None else max(self.last, time)


def _first_of(columns: list[list[Any]], nothing: list[Any]) -> list[Any]:
    """Return for each event the first of its actors that there is, as something to count by."""
    if not columns:
        return nothing
    names = columns[0]
    for column in columns[1:]:
        if None in names:
            names = [b if a is None else a for a, b in zip(names, column, strict=True)]
    try:
        set(names)
    except TypeError:
        return [None if isinstance(one, list | dict) else one for one in names]
    return names


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
