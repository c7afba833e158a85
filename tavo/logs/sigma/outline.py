"""An outline of the events of a correlation: the most that any span of time can measure.

Time is cut into stretches of one span each, so that any span lies within two that follow each
other. What an outline says of a group in those two is never less than what the span measures; where
that is not known any more, everything may be met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tavo.logs.sigma.correlation import Correlation

__all__ = ["Group", "Outline"]

Group = tuple[str, ...]

_ROUNDING = 1e-9
_LARGEST = {"value_avg", "value_median", "value_percentile"}
_NOTHING: frozenset[Group] = frozenset()


class _Stretch:
    """What one stretch holds: a count or a sum by group, or the groups that there are, by rule.

    `pairs` are the groups and values that were counted.
    """

    __slots__ = ("groups", "pairs", "weights")

    def __init__(self) -> None:
        self.weights: Counter[Group] = Counter()
        self.pairs: set[tuple[Group, str]] = set()
        self.groups: dict[int, set[Group]] = {}

    def most(self, groups: set[Group]) -> float:
        """Return the largest weight of some groups."""
        weights = self.weights
        return max(map(weights.__getitem__, groups & weights.keys()), default=0)

    def of(self, rule: int) -> set[Group] | frozenset[Group]:
        """Return the groups that a rule has events of."""
        return self.groups.get(rule, _NOTHING)


class Outline:
    """What each stretch of time holds, roughly."""

    def __init__(self, correlation: Correlation) -> None:
        self._kind = correlation.kind
        self._span = correlation.span_s
        bounds = correlation.condition
        least = max(bounds.get("gte", float("-inf")), bounds.get("eq", float("-inf")))
        above = bounds.get("gt", float("-inf"))
        if self._kind.startswith("value_"):  # sums that are added in another order may differ
            least, above = least - abs(least) * _ROUNDING, above - abs(above) * _ROUNDING
        self._least, self._above = least, above
        self._stretches: dict[int, _Stretch] = {}
        self._floor = float("-inf")  # the last stretch that was given up

    def add(
        self, number: int, groups: Sequence[Group], times: Sequence[float], values: Sequence[Any]
    ) -> list[tuple[int, set[Group]]]:
        """Add events of the rule of this number; return the stretches, with the groups in them."""
        span = self._span
        start, end = int(min(times) // span), int(max(times) // span)
        if start == end:
            self._add(start, number, groups, values)
            return [(start, set(groups))]
        parts: dict[int, list[int]] = {}
        for event, time in enumerate(times):
            parts.setdefault(int(time // span), []).append(event)
        out = []
        for at, events in parts.items():
            here = [groups[one] for one in events]
            self._add(at, number, here, [values[one] for one in events] if values else ())
            out.append((at, set(here)))
        return out

    def _add(self, at: int, number: int, groups: Sequence[Group], values: Sequence[Any]) -> None:
        stretch = self._stretches.get(at)
        if stretch is None:
            stretch = self._stretches[at] = _Stretch()
        kind = self._kind
        if kind == "event_count":
            stretch.weights.update(groups)
        elif kind == "value_count":
            new = set(zip(groups, map(str, values), strict=True)) - stretch.pairs
            stretch.pairs |= new
            stretch.weights.update([group for group, _ in new])
        elif kind == "value_sum":
            weights = stretch.weights
            for group, value in zip(groups, values, strict=True):
                if value > 0:
                    weights[group] += value
        elif kind in _LARGEST:
            rows = zip(groups, values, strict=True)
            large = [group for group, value in rows if self._may_meet(value)]
            stretch.groups.setdefault(0, set()).update(large)
        else:
            stretch.groups.setdefault(number, set()).update(groups)

    def near(self, at: int, groups: set[Group]) -> Iterable[Group]:
        """Return those of some groups in a stretch for which the condition may be met there."""
        if at - 1 <= self._floor:
            return groups
        here = self._stretches[at]
        others = [one for n in (at - 1, at + 1) if (one := self._stretches.get(n)) is not None]
        if self._kind in _LARGEST:
            return groups & set().union(*(one.groups.get(0, ()) for one in (here, *others)))
        if self._kind.startswith("temporal"):
            return self._by_rules(here, others, groups)
        beside = max((one.most(groups) for one in others), default=0)
        if not self._may_meet(here.most(groups) + beside):
            return _NOTHING
        return [
            group for group in groups
            if self._may_meet(
                here.weights[group] + max((one.weights[group] for one in others), default=0)
            )
        ]  # fmt: skip

    def _by_rules(
        self, here: _Stretch, others: Sequence[_Stretch], groups: set[Group]
    ) -> Iterable[Group]:
        found: set[Group] = set()
        for other in others or [_Stretch()]:
            rules = here.groups.keys() | other.groups.keys()
            if self._may_meet(len(rules)):
                held = Counter(
                    group for rule in rules
                    for group in groups & (here.of(rule) | other.of(rule))
                )  # fmt: skip
                found.update(group for group, count in held.items() if self._may_meet(count))
        return found

    def _may_meet(self, weight: float) -> bool:
        return weight >= self._least and weight > self._above

    def drop(self, before: float) -> None:
        """Give up the stretches that end before a time."""
        last = int(before // self._span) - 1
        old = [at for at in self._stretches if at <= last]
        for at in old:
            del self._stretches[at]
        if old:
            self._floor = max(self._floor, *old)
