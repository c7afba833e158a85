"""Rules that feed correlations and that columns decide: their events go there without being built.

Rules this module keeps:
- only a rule that is not reported by itself comes here, whose test is of fields that are columns,
  and whose correlations group and measure by columns, too;
- what comes of it is what the exact test of each event would have brought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tavo.logs.record import leaves
from tavo.logs.shown import short
from tavo.logs.sigma.conditions import All, Tree
from tavo.logs.sigma.gates import Column
from tavo.logs.sigma.rules import LogRule
from tavo.logs.sigma.tests import FieldTest
from tavo.logs.times import parse_time

__all__ = ["Fed", "Straight", "accepted"]

_Columns = Mapping[str, list[Any]]
_Group = tuple[str, ...]
_MOST_KNOWN = 20_000
_SCALARS = frozenset({int, float})


class Fed(msgspec.Struct, frozen=True, array_like=True):
    """Events of a rule for a correlation: lines in the block, times, groups, and values if any."""

    rule: str
    correlation: str
    lines: list[int]
    times: list[float]
    groups: list[_Group]
    values: list[Any]
    left_out: int


class Straight:
    """One such rule. `columns` must all accept; `fields` are all that it needs."""

    def __init__(
        self, rule: LogRule, columns: Sequence[Column], correlations: Iterable[LogRule]
    ) -> None:
        self.rule = rule
        self.columns = columns
        self._feeds: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        self._known: dict[str, _Group] = {}
        self.fields = {column.field for column in columns} | {"time"}
        for one in correlations:
            if one.correlation is not None:
                by = one.correlation.fields_for(rule.id, rule.names)
                self._feeds.setdefault(by, []).append((one.id, one.correlation.field))
                self.fields |= {*by, one.correlation.field} - {""}

    @staticmethod
    def of(rule: LogRule, correlations: Sequence[LogRule]) -> Straight | None:
        """Return a rule as one that columns can decide, None where they cannot."""
        tests = _tests(rule.tree)
        if rule.reported or not correlations or not tests:
            return None
        columns = [Column(test.field or "", test.check, test.absent) for test in tests]
        return Straight(rule, columns, correlations)

    def feed(self, columns: _Columns) -> Iterator[Fed]:
        """Yield the events of a block for each correlation."""
        first, *others = self.columns
        lines = sorted(accepted(first, columns[first.field]))
        for column in others:
            also = set(accepted(column, columns[column.field]))
            lines = [line for line in lines if line in also]
        if not lines:
            return
        given = columns["time"]
        times: list[Any] = [parse_time(given[line]) for line in lines]
        for by, correlations in self._feeds.items():
            groups: list[Any] = self._groups(lines, [columns[field] for field in by])
            held, at = lines, times
            if None in groups or None in times:
                kept = [
                    one for one, group in enumerate(groups)
                    if group is not None and times[one] is not None
                ]  # fmt: skip
                held, at = [lines[one] for one in kept], [times[one] for one in kept]
                groups = [groups[one] for one in kept]
            for name, field in correlations:
                told = columns[field] if field else []
                values = [
                    one if (one := told[line]).__class__ in _SCALARS else _value(one)
                    for line in held
                ] if field else []  # fmt: skip
                left_out = len(lines) - len(held)
                yield Fed(self.rule.id, name, held, at, groups, values, left_out)

    def _groups(self, lines: list[int], names: list[list[Any]]) -> list[_Group | None]:
        """Return the group of each event, None where it lacks a field."""
        known = self._known
        if len(known) > _MOST_KNOWN:
            known.clear()
        if len(names) == 1:
            values = [names[0][line] for line in lines]
            try:
                groups = list(map(known.get, values))
            except TypeError:  # a list or a map among them
                groups = [None] * len(values)
            if None in groups:
                for at, group in enumerate(groups):
                    if group is None:
                        groups[at] = self._group(values[at : at + 1])
            return groups
        return [self._group([column[line] for column in names]) for line in lines]

    def _group(self, values: list[Any]) -> _Group | None:
        found = [_first(value) for value in values]
        if None in found:
            return None
        group = tuple(map(short, found))
        if len(values) == 1 and values[0].__class__ is str:
            self._known[values[0]] = group
        return group


def _tests(tree: Tree | None) -> list[FieldTest]:
    """Return the tests of fields that must all hold, nothing where a rule is something else."""
    parts = tree.parts if isinstance(tree, All) else [tree]
    tests = [one for one in parts if isinstance(one, FieldTest) and one.field and not one.other]
    return tests if len(tests) == len(parts) else []


def _first(value: Any) -> Any:
    """Return the first scalar of a value, None where there is none."""
    if value is None or value == "":
        return None
    return next(iter(leaves(value)), None) if isinstance(value, dict | list) else value


def _value(value: Any) -> Any:
    found = _first(value)
    return found if isinstance(found, int | float | str) else None


def accepted(column: Column, values: list[Any]) -> Iterator[int]:
    """Yield the numbers of the values that a column accepts; each distinct value is asked once."""
    accepts, absent = column.accepts, column.absent
    try:
        distinct = set(values)
    except TypeError:  # a list or a map among them
        distinct = None
    if distinct is None or True in distinct or False in distinct:  # which are 1 and 0 in a set
        for number, value in enumerate(values):
            empty = value is None or value == "" or value == [] or value == {}
            if absent if empty else _accepts_any(accepts, value):
                yield number
        return
    good = {one for one in distinct if (absent if one is None or one == "" else accepts(one))}
    if good:
        for number, value in enumerate(values):
            if value in good:
                yield number


def _accepts_any(accepts: Callable[[Any], bool], value: Any) -> bool:
    return any(map(accepts, leaves(value)))
