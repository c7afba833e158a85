"""Sigma's correlations as rules write them; `tavo.logs.sigma.correlator` runs them.

Source: the Sigma specification 2.1, correlation rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tavo.logs.sigma.tests import SigmaError

__all__ = ["TYPES", "Correlation", "read_correlation"]

TYPES = ("event_count", "value_count", "value_sum", "value_avg", "value_percentile",
         "value_median", "temporal", "temporal_ordered")  # fmt: skip
_SPAN = re.compile(r"(\d{1,9})\s*([smhdwM])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000}
_OPERATORS = {"gt", "gte", "lt", "lte", "eq", "neq"}


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
