"""Counts over the events of one block of a log, from which anomalies are read.

Rules this module keeps:
- it is small and plain: it comes out of a process that looked at the block, and is added up in
  `tavo.logs.totals`, in the order of the files;
- of each hour the record with the most tokens is remembered, of each new thing the first record:
  an alarm shows it.

Units: hours since 1970, times in seconds since 1970, tokens, US dollars, milliseconds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

from tavo.logs.times import parse_time

if TYPE_CHECKING:
    from tavo.logs.event import LogEvent

__all__ = ["ACTOR", "COLUMNS", "KINDS", "MEASURES", "Cell", "Tally", "actor_in", "template_of"]

ACTOR = ("user.id", "api_key.id", "client.address")
"""Who did it: the first of these that an event has."""

KINDS = ("actor", "key", "model")
MEASURES = ("requests", "tokens", "cost", "failures", "refusals", "latency")
_KEY = "api_key.id"
_MODELS = ("gen_ai.request.model", "gen_ai.response.model")
_NUMBERS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "usage.cost", "duration_ms")
_ADDRESS = "client.address"
_TEAM = "team.id"
COLUMNS = ("time", *ACTOR, _TEAM, *_MODELS, *_NUMBERS, "outcome")
"""The fields that are counted; a format may lack some."""

_MOST_HOURS = 4096
_MOST_NEW = 20_000
_MOST_CALLS = 50_000
_MOST_TEMPLATES = 2_000
_LONGEST_NAME = 200
_TEMPLATE = 400

Cell: TypeAlias = list[float]
"""Requests, tokens, cost, failures, latency and how often it was given, most tokens, its line."""

Call: TypeAlias = tuple[str, str, float, str, int]
"""Session, actor, time, tool, line."""

_DIGITS = re.compile(rb"[0-9]+")


class Tally:
    """What a block showed."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last: float | None = None
        self.timeless = 0
        self.cells: tuple[dict[tuple[str, int], Cell], ...] = ({}, {}, {})
        self.new: dict[tuple[str, str, str], list[float]] = {}
        """(what, actor, value) -> how often, first time, line."""
        self.calls: list[Call] = []
        self.templates: dict[tuple[str, int], list[Any]] = {}
        """(whose, fingerprint) -> how often, first time, line, text."""
        self._hours: dict[str, int | None] = {}

    def add_columns(
        self, columns: Mapping[str, list[Any]], templates: Iterable[bytes | None] = ()
    ) -> None:
        """Count the events of a block by their columns."""
        times = columns["time"]
        nothing = [None] * len(times)
        actors = _first_of([columns[name] for name in ACTOR if name in columns], nothing)
        keys = columns.get(_KEY, nothing)
        models = _first_of([columns[name] for name in _MODELS if name in columns], nothing)
        given, answered, costs, took = (columns.get(name, nothing) for name in _NUMBERS)
        outcomes = columns.get("outcome", nothing)
        hours = self._hours_of(times)
        of_actor, of_key, of_model = self.cells
        kinds = ((actors, of_actor), (keys, of_key), (models, of_model))
        rows = zip(hours, given, answered, costs, took, outcomes, strict=True)
        for line, (hour, sent, came, cost, ms, outcome) in enumerate(rows):
            if hour is None:
                self.timeless += 1
                continue
            tokens = (sent if sent.__class__ is int else 0) + (came if came.__class__ is int else 0)
            price = cost if cost.__class__ is float and 0 <= cost < 1e9 else 0.0
            failed = outcome == "failure"
            timed = ms.__class__ in (float, int) and 0 <= ms < 1e9
            for names, cells in kinds:
                name = names[line]
                if name.__class__ is not str:
                    if name is None or isinstance(name, list | dict):
                        continue
                    name = str(name)
                cell = cells.get((name, hour))
                if cell is None:
                    empty: Cell = [0, 0, 0, 0, 0, 0, -1, 0]
                    cell = cells.setdefault((name[:_LONGEST_NAME], hour), empty)
                cell[0] += 1
                cell[1] += tokens
                cell[2] += price
                cell[3] += failed
                if timed:
                    cell[4] += ms
                    cell[5] += 1
                if tokens >= cell[6]:
                    cell[6], cell[7] = tokens, line
        self._span(times)
        self._new_of_columns("address", actors, columns.get(_ADDRESS, nothing), times)
        self._new_of_columns("model", actors, models, times)
        owners = _first_of([columns[name] for name in (_TEAM, _KEY) if name in columns], nothing)
        for line, text in enumerate(templates):
            if text is not None and hours[line] is not None:
                self._template(owners[line], text, times[line], line)

    def add_event(self, event: LogEvent, line: int) -> None:
        """Count one event."""
        time = event.time
        if time is None:
            self.timeless += 1
            return
        self._seen(time)
        hour = int(time // 3600)
        actor, key = actor_in(event), _name(event.first(_KEY))
        model = next((_name(found) for f in _MODELS if (found := event.first(f))), "")
        sent, came, cost, ms = (event.first(name) for name in _NUMBERS)
        tokens = sum(int(n) for n in (sent, came) if _is_number(n))
        for name, cells in zip((actor, key, model), self.cells, strict=True):
            if not name:
                continue
            cell = cells.setdefault((name, hour), [0, 0, 0, 0, 0, 0, -1, 0])
            cell[0] += 1
            cell[1] += tokens
            cell[2] += float(cost) if _is_number(cost) else 0.0
            cell[3] += event.first("outcome") == "failure"
            if _is_number(ms):
                cell[4] += float(ms)
                cell[5] += 1
            if tokens >= cell[6]:
                cell[6], cell[7] = tokens, line
        if actor:
            for what, value in (("address", _name(event.first(_ADDRESS))), ("model", model)):
                if value and value != actor:
                    self._note(what, actor, value, time, line)
        text = event.first("gen_ai.system_instructions")
        if isinstance(text, str):
            owner = event.first(_TEAM) or event.first(_KEY)
            self._template(owner, text[:_TEMPLATE].encode("utf-8", "replace"), time, line)
        self.add_calls(event, line)

    def add_calls(self, event: LogEvent, line: int) -> None:
        """Count the tools that an event calls."""
        tools = event.get("gen_ai.tool.name")
        time = event.time if tools else None
        if time is None:
            return
        actor = actor_in(event)
        session = next(
            (_name(found) for f in ("gen_ai.conversation.id", "mcp.session.id")
             if (found := event.first(f))), actor,
        )  # fmt: skip
        for tool in tools[:50]:
            name = _name(tool)
            if name and len(self.calls) < _MOST_CALLS:
                self.calls.append((session, actor, time, name, line))
                if actor:
                    self._note("tool", actor, name, time, line)

    def _new_of_columns(
        self, what: str, actors: Sequence[Any], values: Sequence[Any], times: Sequence[Any]
    ) -> None:
        try:
            pairs = list(zip(actors, values, strict=True))
            counts = Counter(pairs)
            lines = {pair: len(pairs) - 1 - at for at, pair in enumerate(reversed(pairs))}
        except TypeError:  # a list or a map among them
            return
        for pair, count in counts.items():
            actor, value = pair
            if actor.__class__ is not str or value.__class__ is not str or actor == value:
                continue
            line = lines[pair]
            time = parse_time(times[line])
            if time is not None and actor and value:
                self._note(what, actor[:_LONGEST_NAME], value[:_LONGEST_NAME], time, line, count)

    def _note(
        self, what: str, actor: str, value: str, time: float, line: int, count: int = 1
    ) -> None:
        known = self.new.get((what, actor, value))
        if known is not None:
            known[0] += count
        elif len(self.new) < _MOST_NEW:
            self.new[what, actor, value] = [count, time, line]

    def _template(self, owner: Any, text: bytes, time: Any, line: int) -> None:
        whose = _name(owner)
        fingerprint = template_of(text)
        known = self.templates.get((whose, fingerprint))
        if known is not None:
            known[0] += 1
        elif len(self.templates) < _MOST_TEMPLATES:
            at = parse_time(time)
            if at is not None:
                shown = text[:_TEMPLATE].decode("utf-8", "replace")
                self.templates[whose, fingerprint] = [1, at, line, shown]

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


@lru_cache(1024)
def template_of(text: bytes) -> int:
    """Return the fingerprint of a prompt's beginning; numbers in it do not matter."""
    return crc32(_DIGITS.sub(b"0", text[:_TEMPLATE]))


def actor_in(event: LogEvent) -> str:
    """Return who did it, empty where nobody knows."""
    return next((_name(found) for name in ACTOR if (found := event.first(name))), "")


def _name(value: Any) -> str:
    return (value if isinstance(value, str) else "" if value is None else str(value))[
        :_LONGEST_NAME
    ]


def _first_of(columns: list[list[Any]], nothing: list[Any]) -> list[Any]:
    """Return for each event the first value that there is, as something to count by."""
    if not columns:
        return nothing
    names = columns[0]
    for column in columns[1:]:
        if None in names or "" in names:
            names = [a if a or not b else b for a, b in zip(names, column, strict=True)]
    try:
        set(names)
    except TypeError:
        return [None if isinstance(one, list | dict) else one for one in names]
    return names


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
