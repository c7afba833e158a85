"""A correlation -> a statement of ClickHouse that gives the groups in which it may be met.

Rules this module keeps:
- no group in which our own correlator would find something is left out: the events of the groups
  that come are fetched, and correlated here, in the order of their times;
- what has no such statement is refused by name.

A group is an array of texts; a span ends with each event and has those of the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tavo.logs.clickhouse.sql import Columns
from tavo.logs.sigma.correlation import Correlation
from tavo.logs.sigma.rules import LogRule
from tavo.logs.sigma.tests import SigmaError

__all__ = ["Groups"]

_MEASURE = {
    "event_count": "count()",
    "value_count": "uniqExact(v)",
    "value_sum": "sum(n)",
    "temporal": "uniqExact(r)",
    "temporal_ordered": "uniqExact(r)",
}
_SLACK_S = 1
_LONGEST_S = 2**31 - 1
_DEEPEST = 5


class Groups:
    """Writes the statements; `condition` gives that of a rule, `time` the time of an event."""

    def __init__(
        self,
        rules: Mapping[str, LogRule],
        columns: Columns,
        *,
        table: str,
        time: str,
        condition: Callable[[LogRule], str],
    ) -> None:
        self._rules = rules
        self._columns = columns
        self._table = table
        self._time = time
        self._condition = condition

    def of(self, rule: LogRule) -> str:
        """Return the statement that gives the groups of a correlation. Raises SigmaError."""
        return f"SELECT DISTINCT g FROM ({self._met(rule, 0)})"

    def group(self, correlation: Correlation, rule: LogRule) -> str:
        """Return the expression of the group of an event of a rule."""
        fields = correlation.fields_for(rule.id, rule.names)
        texts = []
        for field in fields:
            column = self._columns.get(field)
            if column is None:
                raise SigmaError(f"the table has no column for {field}, by which it groups")
            texts.append(column.first)
        return f"[{', '.join(texts)}]" if texts else "['']"

    def _met(self, rule: LogRule, depth: int) -> str:
        """Return the statement of the moments at which a correlation may be met: g and t."""
        correlation = rule.correlation
        if correlation is None or depth > _DEEPEST:
            raise SigmaError("its correlations are nested too deeply")
        measure = _MEASURE.get(correlation.kind)
        if measure is None:
            raise SigmaError(
                f"a correlation of type {correlation.kind} is not asked of ClickHouse; export the"
                " events and analyse the file"
            )
        if set(correlation.condition) - {"gt", "gte"}:
            raise SigmaError(
                "a correlation with another condition than gt or gte is not asked of ClickHouse;"
                " export the events and analyse the file"
            )
        events = " UNION ALL ".join(
            self._events(self._rules[one], number, correlation, depth)
            for number, one in enumerate(correlation.rules)
        )
        bounds = " AND ".join(
            f"m {'>' if sign == 'gt' else '>='} {float(bound)!r}"
            for sign, bound in correlation.condition.items()
        )
        if correlation.kind == "temporal_ordered":
            bounds = f"m >= {min(len(correlation.rules), 1000)}"
        span = min(int(correlation.span_s) + _SLACK_S, _LONGEST_S)  # of whole seconds
        return (
            f"SELECT g, t FROM (SELECT g, t, {measure} OVER (PARTITION BY g"
            f" ORDER BY toInt64(floor(t))"
            f" RANGE BETWEEN {span} PRECEDING AND CURRENT ROW) AS m FROM ({events}))"
            f" WHERE {bounds}"
        )

    def _events(self, rule: LogRule, number: int, correlation: Correlation, depth: int) -> str:
        """Return the statement of the events of a rule: time t, rule r, group g, value v and n."""
        if rule.correlation is not None:
            inner = rule.correlation
            fields = correlation.fields_for(rule.id, rule.names)
            missing = [one for one in fields if one not in inner.group_by]
            if missing:
                raise SigmaError(
                    f"{rule.id} does not group by {missing[0]}, and so it cannot be met"
                )
            taken = ", ".join(f"g[{inner.group_by.index(one) + 1}]" for one in fields) or "''"
            value = "''"
            if correlation.field in inner.group_by:
                value = f"g[{inner.group_by.index(correlation.field) + 1}]"
            return (
                f"SELECT t, {number} AS r, [{taken}] AS g, {value} AS v, toFloat64(0) AS n"
                f" FROM ({self._met(rule, depth + 1)})"
            )
        value, amount = "''", "toFloat64(0)"
        if correlation.kind.startswith("value_"):
            column = self._columns.get(correlation.field)
            if column is None:
                raise SigmaError(f"the table has no column for {correlation.field}")
            value, amount = column.first, f"ifNull({column.number}, 0)"
        group = self.group(correlation, rule)
        there = f" AND NOT has({group}, '')" if correlation.group_by else ""
        if correlation.kind.startswith("value_"):
            there += f" AND {value} != ''"
        return (
            f"SELECT {self._time} AS t, {number} AS r, {group} AS g, {value} AS v, {amount} AS n"
            f" FROM {self._table} WHERE {self._condition(rule)} AND {self._time} IS NOT NULL{there}"
        )
