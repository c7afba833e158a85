"""Rules run on a table of ClickHouse: hits come from there, and are judged as those of files are.

Rules this module keeps:
- the table is described first; a field has the column with its name (dots may be `_`), or the one
  that a mapping names;
- every row that comes is looked at again with the exact test; one that does not hold is said, and
  the run is not complete;
- a rule that cannot be asked is named with the reason, and the others are.
"""

from __future__ import annotations

import copy
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tavo.logs.clickhouse.client import Client
from tavo.logs.clickhouse.correlated import Groups
from tavo.logs.clickhouse.sql import Column, Columns, condition, is_name, kind_of, name
from tavo.logs.engine import Analysis
from tavo.logs.event import LogEvent
from tavo.logs.fields import FIELDS
from tavo.logs.gathering import Gathering
from tavo.logs.incidents import GAP_S, Incidents
from tavo.logs.mapping import Mapping as Table
from tavo.logs.mapping import readers
from tavo.logs.reports import LogProblem, SourceReport
from tavo.logs.sigma.rules import LogRule
from tavo.logs.sigma.tests import SigmaError
from tavo.logs.totals import Totals
from tavo.logs.work import Looker, Seen

__all__ = ["Asked", "analyze_table", "ask", "columns_of"]

_TOGETHER = 60
_BATCH = 5_000


class Asked(msgspec.Struct, kw_only=True):
    """The statements for some rules, the rules of each, and those that cannot be asked."""

    statements: list[tuple[str, list[LogRule]]]
    refused: dict[str, str]


def columns_of(described: Mapping[str, str], mapping: Table | None) -> Columns:
    """Return the columns of a table by field; `described` are their types by name."""
    kinds = {
        column: kind for column, declared in described.items()
        if is_name(column) and (kind := kind_of(declared))
    }  # fmt: skip
    low = {column.lower(): column for column in kinds}
    out: dict[str, Column] = {}
    for field in FIELDS:
        for candidate in (field, field.replace(".", "_")):
            column = low.get(candidate.lower())
            if column is not None:
                out[field] = Column(column, kinds[column])
                break
    used = {one.name for one in out.values()}
    for column, kind in kinds.items():  # rules for raw records name columns
        if column not in used:
            out[column] = Column(column, kind)
    for field, places in mapping.fields.items() if mapping is not None else ():
        found = next((p[0] for p in places if len(p) == 1 and p[0] in kinds), None)
        if found is not None:
            out[field] = Column(found, kinds[found])
    if "time" not in out:
        found = next(
            (c for c in ("timestamp", "event_time", "ts", "@timestamp") if c in kinds), None
        )
        if found is not None:
            out["time"] = Column(found, kinds[found])
    return Columns(out)


def time_of(columns: Columns) -> str:
    """Return the expression of an event's time, in seconds since 1970."""
    column = columns.get("time")
    if column is None:
        return "CAST(NULL, 'Nullable(Float64)')"
    quoted = name(column.name)
    if column.kind == "time":
        return f"toFloat64(toUnixTimestamp64Micro(toDateTime64({quoted}, 6, 'UTC'))) / 1000000"
    if column.kind == "number":
        n = f"toFloat64({quoted})"
        return (
            f"multiIf({n} <= 0, NULL, {n} < 4102444800, {n}, {n} < 4102444800000, {n} / 1000,"
            f" {n} < 4102444800000000, {n} / 1000000, {n} / 1000000000)"
        )
    parsed = f"parseDateTime64BestEffortOrNull({column.first}, 6, 'UTC')"
    return f"toFloat64(toUnixTimestamp64Micro({parsed})) / 1000000"


def ask(rules: Mapping[str, LogRule], columns: Columns, *, database: str, table: str) -> Asked:
    """Return the statements for rules; each row has the event's fields and a flag for each rule."""
    where = f"{name(database)}.{name(table)}"
    time = time_of(columns)
    asked = Asked(statements=[], refused={})
    known: dict[str, str] = {}

    def of_rule(rule: LogRule) -> str:
        if rule.id not in known:
            if rule.tree is None:
                raise SigmaError("it has no condition")
            known[rule.id] = condition(rule.tree, columns)
        return known[rule.id]

    groups = Groups(rules, columns, table=where, time=time, condition=of_rule)
    gates: dict[str, list[str]] = {}
    for rule in rules.values():
        if rule.correlation is None:
            continue
        try:
            met = groups.of(rule)
            new = [
                (one, f"{groups.group(rule.correlation, rules[one])} IN ({met})")
                for one in rule.correlation.rules if rules[one].correlation is None
            ]  # fmt: skip
        except SigmaError as error:
            asked.refused[rule.id] = str(error)
            continue
        for one, gate in new:
            gates.setdefault(one, []).append(gate)
    flags: list[tuple[LogRule, str]] = []
    for rule in rules.values():
        if rule.tree is None or not (rule.reported or rule.id in gates):
            continue
        try:
            holds = of_rule(rule)
        except SigmaError as error:
            asked.refused[rule.id] = str(error)
            continue
        if not rule.reported:
            holds = f"({holds} AND ({' OR '.join(gates[rule.id])}))"
        flags.append((rule, holds))
    for at in range(0, len(flags), _TOGETHER):
        part = flags[at : at + _TOGETHER]
        asked.statements.append((_statement(part, columns, where, time), [r for r, _ in part]))
    return asked


def _statement(
    flags: Sequence[tuple[LogRule, str]], columns: Columns, where: str, time: str
) -> str:
    fields = columns.of_field  # all: a rule without fields looks at every text
    shown = [f"{name(column.name)} AS `f{at}`" for at, column in enumerate(fields.values())]
    listed = ", ".join(f"toUInt8({holds}) AS `r{at}`" for at, (_, holds) in enumerate(flags))
    any_of = " OR ".join(f"`r{at}`" for at in range(len(flags)))
    order = columns.get("event.id")
    ties = f", {order.first}" if order is not None else ""
    return (  # nothing of a rule is in it but what `sql` has written
        f"SELECT {time} AS `t`, {', '.join(shown)}, {listed} FROM {where}"
        f" WHERE {any_of} ORDER BY `t`{ties}"
    )


def analyze_table(
    client: Client,
    rules: Sequence[LogRule],
    *,
    database: str,
    table: str,
    source: str,
    mapping: Table | None = None,
    gap_s: float = GAP_S,
) -> Analysis:
    """Look at a table with rules. Raises InputError where it cannot be asked."""
    described = {
        str(row.get("name")): str(row.get("type"))
        for row in client.rows(f"DESCRIBE TABLE {name(database)}.{name(table)}")
    }
    columns = columns_of(described, mapping)
    reader = copy.copy(readers()["event"])
    if mapping is not None:
        reader.logsource = mapping.logsource or reader.logsource
    fitting = {
        rule.id: rule for rule in rules
        if rule.correlation is not None or reader.fits(rule.logsource)
    }  # fmt: skip
    for rule in list(fitting.values()):
        if rule.correlation is not None and not set(rule.correlation.rules) <= set(fitting):
            del fitting[rule.id]
    asked = ask(fitting, columns, database=database, table=table)
    out = Analysis(incidents=Incidents(gap_s), sources=[], problems=[], tally=Totals())
    for ident, reason in asked.refused.items():
        out.problems.append(LogProblem(subject=ident, reason=reason))
    usable = [one for one in fitting.values() if one.id not in asked.refused]
    count = next(iter(client.rows(f"SELECT count() AS n FROM {name(database)}.{name(table)}")))
    report = SourceReport(
        name=source, format="clickhouse", how_sure=f"{len(columns.of_field)} columns",
        lines=int(count["n"]), events=int(count["n"]), broken={},
    )  # fmt: skip
    out.sources.append(report)
    if not any(one in FIELDS and one != "time" for one in columns.of_field):
        out.problems.append(LogProblem(subject=source, reason=(
            "none of its columns has the name of a field that rules look at, so no finding means"
            " nothing here; name them with `--mapping FILE` (docs/log-fields.md)"
        )))  # fmt: skip
    if "time" not in columns.of_field:
        out.problems.append(LogProblem(
            subject=source, reason="it has no column for the time, so nothing is correlated"
        ))  # fmt: skip
    _take(client, asked, usable, columns, reader, source, out)
    return out


def _take(
    client: Client, asked: Asked, usable: Sequence[LogRule], columns: Columns, reader: Table,
    source: str, out: Analysis,
) -> None:  # fmt: skip
    """Judge the rows as lines of a file, in the order of their times."""
    correlations = [one for one in usable if one.correlation is not None]
    looker = Looker(reader, usable, correlations, counting=False)
    numbers = {rule.id: number for number, rule in enumerate(looker.rules)}
    gathering = Gathering(out.incidents, usable)
    differing: dict[str, int] = {}
    streams = [
        _rows(client.lines(statement), [numbers[one.id] for one in rules], columns)
        for statement, rules in asked.statements
    ]
    seen = Seen(broken={}, named=[], hits=[])
    line = 0
    for _, raw, record, flagged in heapq.merge(*streams, key=lambda row: row[0]):
        before = len(seen.hits)
        looker.judge(LogEvent(record, reader), flagged, raw, line, seen)
        held = {hit.rule for hit in seen.hits[before:]}
        for number in flagged:
            ident = looker.rules[number].id
            if ident not in held:
                differing[ident] = differing.get(ident, 0) + 1
        line += 1
        if len(seen.hits) >= _BATCH:
            gathering.take(seen.hits, name=source, line=0, offset=0)
            seen.hits = []
    gathering.take(seen.hits, name=source, line=0, offset=0)
    out.sources[0].candidates = line
    out.problems += gathering.problems()
    for ident, count in differing.items():
        out.problems.append(LogProblem(subject=ident, reason=(
            f"ClickHouse found it in {count} rows in which the exact test does not, so others may"
            " be missing; export the events and analyse the file"
        )))  # fmt: skip


def _rows(
    lines: Iterable[bytes], numbers: Sequence[int], columns: Columns
) -> Iterator[tuple[float, bytes, dict[str, Any], set[int]]]:
    """Yield time, bytes, record and rules of each row."""
    names = list(columns.of_field)
    for line in lines:
        if not line.strip():
            continue
        row = msgspec.json.decode(line)
        record = {
            field: value for at, field in enumerate(names)
            if (value := row.get(f"f{at}")) not in (None, "", [])
        }  # fmt: skip
        time = row.get("t")
        record["time"] = time
        flagged = {number for at, number in enumerate(numbers) if row.get(f"r{at}")}
        yield (float(time or 0.0), msgspec.json.encode(record), record, flagged)
