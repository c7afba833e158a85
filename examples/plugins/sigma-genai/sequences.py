"""Correlations of Sigma: what several events of one group say together.

Rules this module keeps:
- events come in the order of time; an event counts for a span after it, and then is forgotten;
- state is bounded: groups, times and values of a group; what had to be forgotten is counted;
- a group that was reported is quiet until nothing of it happened for a span.

Source: the Sigma correlation rules specification 2.1. Units: seconds.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sigma import SigmaError, values_of

__all__ = ["Correlation", "Happened", "read_correlation"]

_MOST_GROUPS = 20_000
_MOST_VALUES = 1_000
_LONGEST_KEY = 200
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_TYPES = ("event_count", "value_count", "temporal_ordered", "temporal")
_KEYS = {"type", "rules", "group-by", "timespan", "condition"}


class Happened(NamedTuple):
    """A correlation that was met: for which group, and by how much of what."""

    group: str
    count: int
    since: float
    detail: str


class _Group:
    """What is known of one group."""

    __slots__ = ("quiet_until", "stages", "times", "values")

    def __init__(self) -> None:
        self.times: deque[float] = deque()
        self.values: dict[str, float] = {}
        self.stages: dict[str, float] = {}
        self.quiet_until = float("-inf")


class Correlation:
    """One correlation rule with its state over the run."""

    def __init__(
        self, kind: str, rules: Sequence[str], by: Sequence[str], span: float, most: int, field: str
    ) -> None:
        self.rules = tuple(rules)
        self.forgotten = 0
        self._kind = kind
        self._by = tuple(by)
        self._span = span
        self._most = most
        self._field = field
        self._groups: OrderedDict[tuple[str, ...], _Group] = OrderedDict()

    def see(self, matched: frozenset[str], fields: Mapping[str, Any], at: float) -> Happened | None:
        """Take one event that matched some of its rules; tell whether that completes it."""
        key = tuple(_key(values_of(fields, name)) for name in self._by)
        if not all(key):
            return None  # it belongs to no group
        group = self._group(key)
        found = self._counted(group, fields, at) if self._kind.endswith("_count") else (
            self._stepped(group, matched, at)
        )  # fmt: skip
        if found is None:
            return None
        is_new = at >= group.quiet_until
        group.quiet_until = at + self._span
        count, since, detail = found
        name = ", ".join(f"{n} {v}" for n, v in zip(self._by, key, strict=True))
        return Happened(name, count, since, detail) if is_new else None

    def _group(self, key: tuple[str, ...]) -> _Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
            if len(self._groups) > _MOST_GROUPS:
                self._groups.popitem(last=False)
                self.forgotten += 1
        else:
            self._groups.move_to_end(key)
        return group

    def _counted(
        self, group: _Group, fields: Mapping[str, Any], at: float
    ) -> tuple[int, float, str] | None:
        if self._kind == "event_count":
            group.times.append(at)
            while len(group.times) > self._most or group.times[0] < at - self._span:
                group.times.popleft()
            if len(group.times) < self._most:
                return None
            return self._most, group.times[0], f"{self._most} events or more, "
        if value := _key(values_of(fields, self._field)):  # a list is one value
            group.values.pop(value, None)
            group.values[value] = at
        while group.values and (
            len(group.values) > _MOST_VALUES or next(iter(group.values.values())) < at - self._span
        ):
            del group.values[next(iter(group.values))]
        if len(group.values) < self._most:
            return None
        shown = ", ".join(list(group.values)[-5:])
        since = next(iter(group.values.values()))
        return len(group.values), since, f"{len(group.values)} values of {self._field}: {shown}, "

    def _stepped(
        self, group: _Group, matched: frozenset[str], at: float
    ) -> tuple[int, float, str] | None:
        stages = group.stages
        if self._kind == "temporal":
            for name in matched:
                stages[name] = at
            if any(stages.get(name, float("-inf")) < at - self._span for name in self.rules):
                return None
            return len(self.rules), min(stages.values()), ""
        done = None
        for number in reversed(range(len(self.rules))):  # one event is one step
            name = self.rules[number]
            if name not in matched:
                continue
            began = at if number == 0 else stages.get(self.rules[number - 1])
            if began is None or began < at - self._span:
                continue
            if number == len(self.rules) - 1:
                done = began
            else:
                stages[name] = began
        return None if done is None else (len(self.rules), done, "")


def read_correlation(value: object) -> Correlation:
    """Return a correlation with nothing seen. Raises SigmaError."""
    if not isinstance(value, Mapping):
        raise SigmaError("correlation: expected type, rules, group-by and timespan")
    if unknown := set(value) - _KEYS:
        raise SigmaError(f"correlation: {min(map(str, unknown))!r} is not supported")
    kind, rules, by = value.get("type"), value.get("rules"), value.get("group-by")
    if kind not in _TYPES:
        raise SigmaError(f"correlation: type {kind!r} is none of {', '.join(_TYPES)}")
    for name, listed in (("rules", rules), ("group-by", by)):
        if (
            not isinstance(listed, list)
            or not listed
            or not all(isinstance(one, str) for one in listed)
        ):
            raise SigmaError(f"correlation: {name}: expected a list of names")
    span = _SPAN.fullmatch(str(value.get("timespan", "")))
    if span is None:
        raise SigmaError("correlation: timespan: expected a number with s, m, h or d, such as 30m")
    field, most = "", 0
    if kind.endswith("_count"):
        condition = value.get("condition")
        if not isinstance(condition, Mapping):
            raise SigmaError("correlation: condition: expected gte or gt with a number")
        field = str(condition.get("field", ""))
        if (kind == "value_count") is not bool(field):
            raise SigmaError("correlation: value_count, and only that, has a field to count")
        bounds = {name: number for name, number in condition.items() if name != "field"}
        if list(bounds) not in (["gte"], ["gt"]) or type(next(iter(bounds.values()))) is not int:
            raise SigmaError("correlation: condition: expected gte or gt with a number")
        most = bounds.get("gte", bounds.get("gt", 0) + 1)
        if not 1 <= most <= _MOST_VALUES:
            raise SigmaError(f"correlation: condition: expected 1 to {_MOST_VALUES}")
    seconds = float(int(span[1]) * _UNITS[span[2]])
    assert isinstance(rules, list)  # noqa: S101 - looked at above
    assert isinstance(by, list)  # noqa: S101
    return Correlation(kind, rules, by, seconds, most, field)


def _key(values: Sequence[Any]) -> str:
    """Return values as a short name; long ones are told apart by their digest."""
    text = " ".join(map(str, values))
    if len(text) <= _LONGEST_KEY:
        return text
    return f"{text[:40]}… ({hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]})"
