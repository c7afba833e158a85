"""Sigma's correlations: events of rules, counted and ordered within a span of time, by group.

Rules this module keeps:
- events come in any order, as those of several logs of the same day do; when one comes, the span
  that ends with it is looked at, and the one that ends with the last event that it reaches;
- memory is bounded: a group keeps its latest 5,000 events, and there is a most of all groups
  together; where that could have hidden something, it is counted and said;
- what belongs to a stretch that was reported is not reported again: one long attack is one finding,
  and `grown` says by which events it became longer;
- an event without a time, or without one of the fields to group by, takes no part, and is counted.

Source: the Sigma specification 2.1, correlation rules.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from typing import Any

from tavo.logs.sigma.tests import SigmaError

__all__ = ["TYPES", "Correlation", "Correlator", "Group", "Window", "read_correlation"]

TYPES = ("event_count", "value_count", "value_sum", "value_avg", "value_percentile",
         "value_median", "temporal", "temporal_ordered")  # fmt: skip
_VALUES = {"value_sum", "value_avg", "value_percentile", "value_median"}
_SPAN = re.compile(r"(\d{1,9})\s*([smhdwM])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000}
_OPERATORS = {"gt", "gte", "lt", "lte", "eq", "neq"}
_MOST_GROUPS = 100_000
_MOST_ENTRIES = 200_000
_MOST_IN_WINDOW = 5_000

Group = tuple[str, ...]
Place = Any
_Entry = tuple[float, int, int, Any, Place]


class Correlation:
    """A correlation as its rule writes it. Times are in seconds."""

    def __init__(
        self,
        *,
        kind: str,
        rules: tuple[str, ...],
        group_by: tuple[str, ...],
        span_s: float,
        condition: Mapping[str, float],
        field: str,
        aliases: Mapping[str, Mapping[str, str]],
        percentile: float,
    ) -> None:
        self.kind = kind
        self.rules = rules
        self.group_by = group_by
        self.span_s = span_s
        self.condition = condition
        self.field = field
        self.aliases = aliases
        self.percentile = percentile

    def fields_for(self, rule: str, names: frozenset[str]) -> tuple[str, ...]:
        """Return the fields to group the events of a rule by; `names` are what it is called."""
        found = []
        for one in self.group_by:
            alias = self.aliases.get(one)
            if alias is None:
                found.append(one)
            else:
                known = [field for name, field in alias.items() if name == rule or name in names]
                found.append(known[0] if known else one)
        return tuple(found)

    def meets(self, number: float) -> bool:
        """Tell whether a number meets the condition."""
        for operator, bound in self.condition.items():
            holds = {
                "gt": number > bound, "gte": number >= bound, "lt": number < bound,
                "lte": number <= bound, "eq": number == bound, "neq": number != bound,
            }[operator]  # fmt: skip
            if not holds:
                return False
        return True


def read_correlation(value: Any) -> Correlation:
    """Read the correlation of a rule. Raises SigmaError."""
    if not isinstance(value, Mapping):
        raise SigmaError("its correlation is not a map")
    kind = value.get("type")
    if kind not in TYPES:
        raise SigmaError(f"a correlation of type {kind!r} is not one of {', '.join(TYPES)}")
    rules = value.get("rules")
    rules = [rules] if isinstance(rules, str) else rules
    if not isinstance(rules, list) or not rules or not all(isinstance(one, str) for one in rules):
        raise SigmaError("its correlation names no rules")
    span = _SPAN.match(str(value.get("timespan", "")))
    if span is None:
        raise SigmaError("its timespan is not like 30s, 5m, 1h or 7d")
    condition, field = _condition(value.get("condition"), kind, len(rules))
    group_by = value.get("group-by", [])
    group_by = [group_by] if isinstance(group_by, str) else group_by
    aliases = value.get("aliases") or {}
    if not isinstance(group_by, list) or not isinstance(aliases, Mapping):
        raise SigmaError("its group-by or aliases are not what Sigma says")
    return Correlation(
        kind=kind, rules=tuple(rules), group_by=tuple(map(str, group_by)),
        span_s=float(int(span[1]) * _SECONDS[span[2]]), condition=condition, field=field,
        aliases={str(k): dict(v) for k, v in aliases.items() if isinstance(v, Mapping)},
        percentile=_percentile(value.get("condition"), kind),
    )  # fmt: skip


def _condition(value: Any, kind: str, rules: int) -> tuple[dict[str, float], str]:
    if value is None and kind.startswith("temporal"):
        return {"gte": float(rules)}, ""
    if not isinstance(value, Mapping):
        raise SigmaError("its correlation lacks a condition such as `gte: 10`")
    condition = {}
    for key, bound in value.items():
        if key in {"field", "percentile"}:
            continue
        if key not in _OPERATORS or isinstance(bound, bool) or not isinstance(bound, int | float):
            raise SigmaError(f"its condition has {key!r}: expected gt, gte, lt, lte, eq or neq")
        condition[key] = float(bound)
    field = value.get("field", "")
    field = field[0] if isinstance(field, list) and field else field
    if (kind.startswith("value_")) and not (isinstance(field, str) and field):
        raise SigmaError(f"a {kind} needs the field whose values it is about")
    if not condition:
        raise SigmaError("its correlation lacks a condition such as `gte: 10`")
    return condition, str(field or "")


def _percentile(value: Any, kind: str) -> float:
    if kind == "value_median":
        return 50.0
    if kind != "value_percentile":
        return 0.0
    number = value.get("percentile") if isinstance(value, Mapping) else None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 100:
        raise SigmaError("a value_percentile needs `percentile`, a number from 0 to 100")
    return float(number)


class Window:
    """The latest events of one group, in the order of their times; `fresh` are in no finding.

    An event is its time, a serial number, the number of its rule, its value and its place;
    `reported` is up to when they are in a finding.
    """

    __slots__ = ("entries", "fresh", "reported")

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.fresh: list[_Entry] = []
        self.reported = float("-inf")


class Correlator:
    """Runs one correlation over the events of its rules, in whatever order they come.

    `most_entries` bounds the events that are remembered. `touched` are the groups that changed.
    """

    def __init__(self, correlation: Correlation, *, most_entries: int = _MOST_ENTRIES) -> None:
        self.correlation = correlation
        self.touched: set[Group] = set()
        self._most_entries = most_entries
        self._most_groups = min(_MOST_GROUPS, most_entries)
        self._number = {name: at for at, name in enumerate(correlation.rules)}
        self._groups: dict[Group, Window] = {}
        self._entries = 0
        self._serial = 0
        self.left_out = 0
        self.forgotten = 0
        self.grown: tuple[Group, float, list[Place]] | None = None

    def feed(
        self, rule: str, time: float | None, group: Group | None, value: Any, place: Place
    ) -> Iterator[tuple[Group, float, float, list[Place]]]:
        """Take an event of a rule; yield group, number, last time and places where it is met.

        Where that was reported already, `grown` has group, number and the places that are new.
        """
        self.grown = None
        if time is None or group is None:
            self.left_out += 1
            return
        correlation = self.correlation
        if correlation.kind in _VALUES:
            value = _as_number(value)
        if correlation.kind.startswith("value_") and value is None:
            self.left_out += 1
            return
        if self._entries >= self._most_entries or (
            len(self._groups) >= self._most_groups and group not in self._groups
        ):
            self._forget()
        window = self._groups.get(group)
        if window is None:
            window = self._groups[group] = Window()
        self.touched.add(group)
        self._serial += 1
        entry = (time, self._serial, self._number[rule], value, place)
        entries = window.entries
        insort(entries, entry, key=_order)
        insort(window.fresh, entry, key=_order)
        if len(window.fresh) > _MOST_IN_WINDOW:
            del window.fresh[0]
        self._entries += 1
        if len(entries) > _MOST_IN_WINDOW:
            if correlation.kind.startswith("value_") and time - entries[0][0] <= correlation.span_s:
                self.forgotten += 1
            del entries[0]
            self._entries -= 1
        for first, end in self._pieces(entries, time):
            if correlation.kind == "event_count" and not correlation.meets(float(end - first)):
                continue  # without a copy of what may be thousands
            piece = entries[first:end]
            number = self._measure(piece)
            if number is None or not correlation.meets(number):
                continue
            last = piece[-1][0]
            again = piece[0][0] <= window.reported <= last + correlation.span_s
            window.reported = max(window.reported, last)
            new = _taken(window.fresh, piece[0][0], last)
            if again:
                self.grown = group, number, new
            else:
                yield group, number, last, [one[4] for one in piece]
            return

    def _pieces(self, entries: list[_Entry], time: float) -> Iterator[tuple[int, int]]:
        """Yield the span that ends with an event, and the one to the last that it reaches."""
        span = self.correlation.span_s
        end = bisect_right(entries, time, key=_time)
        yield bisect_left(entries, time - span, key=_time), end
        if end < len(entries) and entries[end][0] <= time + span:
            end = bisect_right(entries, time + span, key=_time)
            yield bisect_left(entries, entries[end - 1][0] - span, key=_time), end

    def _measure(self, piece: list[_Entry]) -> float | None:
        kind = self.correlation.kind
        if not piece:
            return None
        if kind == "event_count":
            return float(len(piece))
        if kind == "value_sum":
            return float(sum(one[3] for one in piece))
        if kind == "value_avg":
            return float(sum(one[3] for one in piece) / len(piece))
        if kind == "value_count":
            return float(len({str(one[3]) for one in piece}))
        if kind in {"value_percentile", "value_median"}:
            values = sorted(one[3] for one in piece)
            at = self.correlation.percentile / 100 * (len(values) - 1)
            low = int(at)
            high = min(low + 1, len(values) - 1)
            return float(values[low] + (values[high] - values[low]) * (at - low))
        seen = [one[2] for one in piece]
        if kind == "temporal":
            return float(len(set(seen)))
        return float(_in_order(seen, len(self._number)))

    def _forget(self) -> None:
        """Drop the half of the groups whose last event is the oldest."""
        oldest = sorted(self._groups, key=lambda one: self._groups[one].entries[-1][0])
        for group in oldest[: max(1, len(oldest) // 2)]:
            self._drop(group)
            self.forgotten += 1

    def _drop(self, group: Group) -> None:
        self._entries -= len(self._groups.pop(group).entries)
        self.touched.add(group)

    def expire(self, before: float) -> list[Group]:
        """Drop the groups whose last event is older than a time; return them."""
        old = [one for one, window in self._groups.items() if window.entries[-1][0] < before]
        for group in old:
            self._drop(group)
        return old

    def window(self, group: Group) -> Window | None:
        """Return what is remembered of a group, None for one that was dropped."""
        return self._groups.get(group)

    def restore(self, group: Group, window: Window) -> None:
        """Take back what was remembered of a group."""
        self._groups[group] = window
        self._entries += len(window.entries)
        self._serial = max(self._serial, *(one[1] for one in window.entries))


def _taken(fresh: list[_Entry], first: float, last: float) -> list[Place]:
    """Take the events of a stretch out of those that are in no finding, and drop older ones."""
    end = bisect_right(fresh, last, key=_time)
    places = [one[4] for one in fresh[bisect_left(fresh, first, key=_time) : end]]
    del fresh[:end]
    return places


def _order(entry: _Entry) -> tuple[float, int]:
    return entry[0], entry[1]


def _time(entry: _Entry) -> float:
    return entry[0]


def _in_order(seen: list[int], rules: int) -> int:
    """Return how many of the rules, from the first on, occur in their order."""
    wanted = 0
    for one in seen:
        if one == wanted:
            wanted += 1
            if wanted == rules:
                break
    return wanted


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) and len(value) < 40 else None
    except ValueError:
        return None
