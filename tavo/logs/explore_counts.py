"""What all events of logs add up to: by hour, by actor, by model.

Rules this module keeps:
- it is bounded: names beyond the most are counted together;
- the counts of a block are the same read by columns and event by event.

Units: hours since 1970, tokens, US dollars.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from tavo.logs.event import LogEvent
from tavo.logs.times import parse_time
from tavo.printable import printable

__all__ = ["FIELDS", "NOBODY", "OTHERS", "Overview", "shown"]

_ACTOR = ("user.id", "api_key.id", "client.address")
_MODEL = ("gen_ai.request.model", "gen_ai.response.model")
_NUMBERS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "usage.cost")
FIELDS = ("time", *_ACTOR, *_MODEL, *_NUMBERS, "outcome")
"""The fields that are counted."""

OTHERS, NOBODY = "(others)", "(none)"
_MOST_NAMES = 20_000
_MOST_HOURS = 100_000
_LONGEST = 200

_Sums = list[Any]


class Counted(NamedTuple):
    """What an event counts for."""

    actor: str
    model: str
    tokens: int
    cost: float


class Overview:
    """Counts of all events; `timeless` are those without a time."""

    def __init__(self) -> None:
        self.events = 0
        self.timeless = 0
        self._hours: dict[int, _Sums] = {}
        self._actors: dict[str, _Sums] = {}
        self._models: dict[str, _Sums] = {}

    def add_columns(self, columns: Mapping[str, list[Any]]) -> None:
        """Count the events of a block by their columns, all of one length."""
        count = len(next(iter(columns.values()), []))
        nothing = [None] * count
        rows = [columns.get(name, nothing) for name in FIELDS]
        for time, *values in zip(*rows, strict=True):
            self._add(parse_time(time), values)

    def add_event(self, event: LogEvent) -> None:
        """Count one event."""
        self._add(event.time, [event.first(name) for name in FIELDS[1:]])

    @staticmethod
    def of_event(event: LogEvent) -> Counted:
        """Return what an event counts for."""
        return _counted([event.first(name) for name in FIELDS[1:]])[0]

    def _add(self, time: float | None, values: list[Any]) -> None:
        one, failed = _counted(values)
        self.events += 1
        rows = [_row(self._actors, one.actor, _MOST_NAMES),
                _row(self._models, one.model, _MOST_NAMES)]  # fmt: skip
        if time is None:
            self.timeless += 1
        else:
            hour = int(time // 3600)
            if hour in self._hours or len(self._hours) < _MOST_HOURS:
                rows.append(self._hours.setdefault(hour, [0, 0, 0.0, 0]))
        for row in rows:
            row[0] += 1
            row[1] += one.tokens
            row[2] += one.cost
            row[3] += failed

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the counts into their tables."""
        for table, counts in (
            ("hours", self._hours), ("actors", self._actors), ("models", self._models),
        ):  # fmt: skip
            named: Mapping[Any, _Sums] = counts
            connection.executemany(
                f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)",  # noqa: S608
                [(name, *row) for name, row in named.items()],
            )


def _row(table: dict[str, _Sums], name: str, most: int) -> _Sums:
    row = table.get(name)
    if row is None:
        name = name if len(table) < most else OTHERS
        row = table.setdefault(name, [0, 0, 0.0, 0])
    return row


def _counted(values: list[Any]) -> tuple[Counted, bool]:
    user, key, address, asked, answered, given, came, cost, outcome = values
    actor = _name(user) or _name(key) or _name(address) or NOBODY
    model = _name(answered) or _name(asked) or NOBODY
    tokens = sum(int(n) for n in (given, came) if _is_number(n))
    return (
        Counted(actor, model, tokens, float(cost) if _is_number(cost) else 0.0),
        outcome == "failure",
    )


def _name(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        return ""
    return shown((value if isinstance(value, str) else str(value))[:_LONGEST])


def shown(text: str) -> str:
    """Return a text as it is stored: nothing in it steers a terminal or the order of a page."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
