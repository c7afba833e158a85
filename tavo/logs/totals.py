"""The counts of all blocks of a run: by actor, key and model for each hour, and what was new.

Rules this module keeps:
- blocks are added in the order of the files, so that the same logs give the same counts on however
  many processes;
- its size is bounded: names, hours, values and pairs beyond the most are not counted, and `full`
  says of what there were more;
- a place is a number: source times `LINES` plus line, from 0.

Units: hours since 1970, times in seconds since 1970, tokens, US dollars, milliseconds.
"""

from __future__ import annotations

import ipaddress
from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tavo.logs.tally import ACTOR, KINDS, Tally

__all__ = ["GAP_S", "LINES", "Hour", "New", "Pair", "Template", "Totals", "network_of"]

LINES = 1 << 32
GAP_S = 3600.0
"""The longest time between two calls of tools that follow each other."""

_MOST_CELLS = {"actor": 120_000, "key": 80_000, "model": 20_000}
_MOST_VALUES = 200_000
_MOST_SESSIONS = 50_000
_MOST_PAIRS = 20_000
_MOST_TEMPLATES = 5_000
_HOUR_BITS = 24
_HOURS = (1 << _HOUR_BITS) - 1


class Hour(NamedTuple):
    """What one actor, key or model did in one hour; `place` is the record with the most tokens."""

    hour: int
    requests: float
    tokens: float
    cost: float
    failures: float
    refusals: float
    latency: float | None
    timed: float
    place: int


class New:
    """A value that an actor used: how often, first when, and where."""

    __slots__ = ("count", "first", "place")

    def __init__(self, count: int, first: float, place: int) -> None:
        self.count, self.first, self.place = count, first, place


class Pair:
    """A tool that was called after another: how often, by whom, and where the first times."""

    __slots__ = ("actors", "count", "first", "places")

    def __init__(self) -> None:
        self.count = 0
        self.actors: set[str] = set()
        self.first = 0.0
        self.places: list[int] = []


class Template:
    """A system prompt of somebody's: how often, first when, where, and how it begins."""

    __slots__ = ("count", "first", "place", "text")

    def __init__(self, count: int, first: float, place: int, text: str) -> None:
        self.count, self.first, self.place, self.text = count, first, place, text


class Totals:
    """What a run has seen."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last: float | None = None
        self.timeless = 0
        self.full: set[str] = set()
        self.new: dict[tuple[str, str], dict[str, New]] = {}
        self.pairs: dict[tuple[str, str], Pair] = {}
        self.called: dict[str, int] = {}
        self.templates: dict[str, dict[int, Template]] = {}
        self._names: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self._rows: dict[str, dict[int, int]] = {kind: {} for kind in KINDS}
        self._columns = {kind: [array("f") for _ in range(8)] for kind in KINDS}
        self._places = {kind: array("q") for kind in KINDS}
        self._values = 0
        self._sessions: dict[str, tuple[str, float]] = {}

    def merge(self, tally: Tally, source: int, base: int) -> None:
        """Add a block whose first line is the line `base` of a source, from 0."""
        for time in (tally.first, tally.last):
            if time is not None:
                self.first = time if self.first is None else min(self.first, time)
                self.last = time if self.last is None else max(self.last, time)
        self.timeless += tally.timeless
        start = source * LINES + base
        for kind, cells in zip(KINDS, tally.cells, strict=True):
            columns, places = self._columns[kind], self._places[kind]
            top = columns[7]
            for (name, hour), cell in cells.items():
                row = self._row(kind, name, hour)
                if row < 0:
                    continue
                for at, column in enumerate((0, 1, 2, 3, 5, 6)):
                    columns[column][row] += cell[at]
                if cell[6] >= top[row]:
                    top[row] = cell[6]
                    places[row] = start + int(cell[7])
        for (what, actor, value), (count, time, line) in tally.new.items():
            self._value(what, actor, value, int(count), time, start + int(line))
        for session, actor, time, tool, line in tally.calls:
            self._call(session, actor, time, tool, start + line)
        for (whose, fingerprint), (count, time, line, text) in tally.templates.items():
            self._template(whose, fingerprint, Template(count, time, start + line, text))

    def refused(self, brief: Mapping[str, str], time: float | None) -> None:
        """Count an answer that says no, as a rule has found it."""
        if time is None:
            return
        actor = next((brief[name] for name in ACTOR if brief.get(name)), "")
        names = (actor, brief.get("api_key.id", ""), brief.get("gen_ai.request.model", ""))
        for kind, name in zip(KINDS, names, strict=True):
            row = self._row(kind, name, int(time // 3600)) if name else -1
            if row >= 0:
                self._columns[kind][4][row] += 1

    def hours(self, kind: str) -> Iterator[tuple[str, list[Hour]]]:
        """Yield each actor, key or model with its hours, in order."""
        by_name: dict[int, list[int]] = {}
        for cell in self._rows[kind]:
            by_name.setdefault(cell >> _HOUR_BITS, []).append(cell & _HOURS)
        for name, number in self._names[kind].items():
            yield name, [self._hour(kind, number, hour) for hour in sorted(by_name.get(number, ()))]

    def _hour(self, kind: str, number: int, hour: int) -> Hour:
        row = self._rows[kind][number << _HOUR_BITS | hour]
        one = [column[row] for column in self._columns[kind]]
        took = one[5] / one[6] if one[6] else None
        return Hour(
            hour, one[0], one[1], one[2], one[3], one[4], took, one[6], self._places[kind][row]
        )

    def _row(self, kind: str, name: str, hour: int) -> int:
        """Return the row of an hour, -1 where there is no room for another one."""
        names, rows = self._names[kind], self._rows[kind]
        number = names.get(name)
        if number is not None and (row := rows.get(number << _HOUR_BITS | hour)) is not None:
            return row
        if len(rows) >= _MOST_CELLS[kind] or not 0 <= hour <= _HOURS:
            self.full.add(f"hours of {kind}s")
            return -1
        if number is None:
            number = names[name] = len(names)
        row = rows[number << _HOUR_BITS | hour] = len(rows)
        for column in self._columns[kind]:
            column.append(0.0)
        self._columns[kind][7][row] = -1.0
        self._places[kind].append(0)
        return row

    def _value(
        self, what: str, actor: str, value: str, count: int, time: float, place: int
    ) -> None:
        values = self.new.get((what, actor), {})
        known = values.get(value)
        if known is not None:
            known.count += count
            if time < known.first:
                known.first, known.place = time, place
        elif self._values < _MOST_VALUES:
            self._values += 1
            self.new.setdefault((what, actor), values)[value] = New(count, time, place)
        else:
            self.full.add("addresses, tools and models of actors")

    def _call(self, session: str, actor: str, time: float, tool: str, place: int) -> None:
        self.called[tool] = self.called.get(tool, 0) + 1
        before = self._sessions.pop(session, None)
        if len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[session] = tool, time
        if before is None or not 0 <= time - before[1] <= GAP_S:
            return
        pair = self.pairs.get((before[0], tool))
        if pair is None:
            if len(self.pairs) >= _MOST_PAIRS:
                self.full.add("pairs of tools")
                return
            pair = self.pairs[before[0], tool] = Pair()
            pair.first = time
        pair.count += 1
        if len(pair.actors) < 20:
            pair.actors.add(actor)
        if len(pair.places) < 12:
            pair.places.append(place)

    def _template(self, whose: str, fingerprint: int, new: Template) -> None:
        known = self.templates.get(whose, {})
        if fingerprint in known:
            one = known[fingerprint]
            one.count += new.count
            if new.first < one.first:
                one.first, one.place = new.first, new.place
        elif sum(map(len, self.templates.values())) < _MOST_TEMPLATES:
            self.templates.setdefault(whose, known)[fingerprint] = new
        else:
            self.full.add("prompt templates")


def network_of(address: str) -> str:
    """Return the network of an address by which it is known: /24, or /48 of version 6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))
