"""The result store: one SQLite file that holds runs, findings, and what was not done.

Rules this module keeps:
- one transaction per batch; a run is finished by its last statement, so one that was killed stays
  marked as not finished and not complete;
- what is read back is checked like any input: a store can come from anywhere.

The tables stand in `tavo.results.schema`, the file in `tavo.results.store_file`.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tavo.errors import InputError, UsageError
from tavo.results.fingerprint import Fingerprints
from tavo.results.gate_rows import gate_of, mark, write_gate
from tavo.results.rows import (
    INSERT_FINDING,
    INSERT_RULE,
    dumps,
    finding_row,
    flow_column,
    notice_of,
    plugin_run_of,
    probe_of,
    reported_of,
    rule_of,
    rule_row,
    run_of,
    storable,
)
from tavo.results.schema import APPLICATION_ID, SCHEMA_VERSION
from tavo.results.store_file import Batch, check_place, connect
from tavo.results.values import (
    Exchange,
    Gate,
    Notice,
    PluginRun,
    PluginTotals,
    ProbeResult,
    Reported,
    Run,
    RunInfo,
)

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "ResultStore"]

_MOST_FINGERPRINTS = 50_000
_RUNS = (
    "SELECT r.*, (SELECT count(*) FROM findings f WHERE f.run_id = r.id"
    " AND f.suppression_kind IS NULL) AS findings FROM runs r"
)


class ResultStore:
    """An open result store. Use it as a context manager, or call `close`."""

    def __init__(self, path: Path | None = None, *, must_exist: bool = False) -> None:
        """Open or create a store; without a path it lives in memory.

        Raises UsageError if the file is not a result store, InputError if it cannot be used.
        """
        self.path = path
        if path is not None:
            check_place(path, must_exist=must_exist)
        self._connection = connect(path)
        self._fingerprints: dict[int, Fingerprints] = {}
        self._rules: dict[tuple[int, str, str], int] = {}

    def close(self) -> None:
        """Close the file. A run that was not finished stays marked as incomplete."""
        self._connection.close()

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- writing

    def begin(self, info: RunInfo) -> int:
        """Start a run and return its number."""
        with self._batch():
            cursor = self._connection.execute(
                "INSERT INTO runs (uuid, tool_version, command, root, rules, started_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    str(uuid.uuid4()), info.tool_version, dumps(info.command),
                    storable(info.root), info.rules, info.started_at,
                ),
            )  # fmt: skip
        run_id = int(cursor.lastrowid or 0)
        self._fingerprints[run_id] = Fingerprints()
        return run_id

    def add(self, run_id: int, reported: Iterable[Reported]) -> None:
        """Add findings, all or none; those of a file come in their order."""
        items = list(reported)
        fingerprints = self._fingerprints.setdefault(run_id, Fingerprints())
        try:
            with self._batch():
                self._connection.executemany(
                    INSERT_FINDING,
                    [self._row(run_id, one, fingerprints) for one in items],
                )
        except BaseException:
            self._rules.clear()  # some of their rows may have been rolled back
            raise

    def unfinished(self, run_uuid: str) -> int | None:
        """Take up a run that did not end; return its number, None where it ended or is not here."""
        with self._reading():
            row = self._connection.execute(
                "SELECT id FROM runs WHERE uuid = ? AND finished_at IS NULL", (run_uuid,)
            ).fetchone()
            if row is None:
                return None
            run_id = int(row["id"])
            for rule in self._rows_of(run_id, "rules"):
                self._rules[run_id, rule["tool"], rule["rule_id"]] = rule["id"]
            return run_id

    def keep(self, run_id: int, alarms: Sequence[tuple[int, str, Reported]]) -> list[int]:
        """Write findings that grow, all or none; return the numbers of their rows.

        Each comes with the number of its row and its identity, which stands in its evidence as
        `alarm`; one whose row is not of that identity is new.
        """
        fingerprints = self._fingerprints.setdefault(run_id, Fingerprints())
        if len(fingerprints) > _MOST_FINGERPRINTS:
            fingerprints = self._fingerprints[run_id] = Fingerprints()
        try:
            with self._batch():
                return [
                    self._keep(run_id, number, identity, one, fingerprints)
                    for number, identity, one in alarms
                ]
        except BaseException:
            self._rules.clear()
            raise

    def _keep(
        self, run_id: int, number: int, identity: str, one: Reported, fingerprints: Fingerprints
    ) -> int:
        finding = one.finding
        cursor = self._connection.execute(
            "UPDATE findings SET message = ?, evidence = ?, flow = ? WHERE id = ?"
            " AND json_extract(evidence, '$.alarm') = ?",
            (storable(finding.message), dumps(dict(finding.evidence)),
             flow_column(finding), number, identity),
        )  # fmt: skip
        if cursor.rowcount:
            return number
        cursor = self._connection.execute(INSERT_FINDING, self._row(run_id, one, fingerprints))
        return int(cursor.lastrowid or 0)

    def add_notices(self, run_id: int, notices: Iterable[Notice]) -> None:
        """Record what was not done."""
        with self._batch():
            self._connection.executemany(
                "INSERT INTO notices (run_id, kind, subject, reason, incomplete, allowed)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        run_id,
                        n.kind,
                        storable(n.subject),
                        storable(n.reason),
                        int(n.incomplete),
                        int(n.allowed),
                    )
                    for n in notices
                ],
            )

    def add_plugin_run(self, run_id: int, run: PluginRun) -> None:
        """Record what a plugin did and cost."""
        with self._batch():
            self._connection.execute(
                "INSERT INTO plugin_runs (run_id, plugin, version, package, sandbox, files, calls,"
                " findings, skipped, host_cpu_s, worker_cpu_s, wall_s, peak_bytes, requests,"
                " cached)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id, run.plugin, run.version, run.package, run.sandbox, run.files,
                    run.calls, run.findings, run.skipped, run.host_cpu_s, run.worker_cpu_s,
                    run.wall_s, run.peak_bytes, run.requests, run.cached,
                ),
            )  # fmt: skip

    def add_exchanges(self, run_id: int, exchanges: Iterable[Exchange]) -> None:
        """Record what was asked of a target and what it answered."""
        with self._batch():
            self._connection.executemany(
                "INSERT INTO exchanges (run_id, plugin, request, response, error, started_at,"
                " wall_s, prompt_tokens, answer_tokens) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        run_id, one.plugin, dumps(one.request),
                        None if one.response is None else dumps(one.response),
                        storable(one.error), one.started_at, one.wall_s, one.prompt_tokens,
                        one.answer_tokens,
                    )
                    for one in exchanges
                ],
            )  # fmt: skip

    def add_probes(self, run_id: int, results: Iterable[ProbeResult]) -> None:
        """Record what the probes of an attack gave."""
        names = ProbeResult.__struct_fields__
        with self._batch():
            self._connection.executemany(
                f"INSERT INTO probe_results (run_id, {', '.join(names)})"  # noqa: S608
                f" VALUES ({', '.join('?' * (len(names) + 1))})",
                [
                    (run_id, *(storable(value) if isinstance(value, str) else value
                               for value in (getattr(one, name) for name in names)))
                    for one in results
                ],
            )  # fmt: skip

    def mark(self, run_id: int, marked: Iterable[Reported]) -> None:
        """Write anew the suppression and the baseline state of findings of a run."""
        with self._batch():
            mark(self._connection, run_id, marked)

    def add_gate(self, run_id: int, gate: Gate) -> None:
        """Record how a run was judged."""
        with self._batch():
            write_gate(self._connection, run_id, gate)

    def settle(
        self, run_id: int, out: Iterable[int], evidence: Mapping[int, Mapping[str, str]]
    ) -> None:
        """Take findings of a run out, and give others new evidence; all or nothing."""
        with self._batch():
            self._connection.executemany(
                "DELETE FROM findings WHERE run_id = ? AND id = ?",
                [(run_id, number) for number in out],
            )
            self._connection.executemany(
                "UPDATE findings SET evidence = ? WHERE run_id = ? AND id = ?",
                [(dumps(dict(new)), run_id, number) for number, new in evidence.items()],
            )

    def finish(
        self, run_id: int, *, finished_at: str, complete: bool, exit_code: int, files: int,
        cpu_s: float,
    ) -> None:  # fmt: skip
        """Mark a run as finished, the last thing that happens to it."""
        with self._batch():
            self._connection.execute(
                "UPDATE runs SET finished_at = ?, complete = ?, exit_code = ?, files = ?,"
                " cpu_s = ? WHERE id = ?",
                (finished_at, int(complete), exit_code, files, cpu_s, run_id),
            )

    # -- reading

    def runs(self) -> list[Run]:
        """Return all runs, the newest first, without their notices and plugins."""
        with self._reading():
            return [run_of(row) for row in self._connection.execute(_RUNS + " ORDER BY id DESC")]

    def run(self, run_id: int | None = None) -> Run:
        """Return a run, the newest without a number. Raises UsageError if there is none."""
        where, values = ("", ()) if run_id is None else ("WHERE r.id = ?", (run_id,))
        with self._reading():
            row = self._connection.execute(
                f"{_RUNS} {where} ORDER BY id DESC LIMIT 1", values
            ).fetchone()
            if row is not None:
                return run_of(
                    row,
                    notices=tuple(notice_of(n) for n in self._rows_of(row["id"], "notices")),
                    plugins=tuple(
                        plugin_run_of(p) for p in self._rows_of(row["id"], "plugin_runs")
                    ),
                    gate=gate_of(self._connection, row["id"]),
                    probes=tuple(probe_of(p) for p in self._rows_of(row["id"], "probe_results")),
                )
        wanted = "a run" if run_id is None else f"run {run_id}"
        raise UsageError(
            f"{self.path or 'this store'}: does not hold {wanted}",
            hint="`tavo results list` shows the runs of a store.",
        )

    def findings(self, run_id: int) -> Iterator[Reported]:
        """Yield the findings of a run by path and line. Raises InputError for damaged rows."""
        for _, one in self.numbered(run_id):
            yield one

    def numbered(self, run_id: int) -> Iterator[tuple[int, Reported]]:
        """Yield the same with their numbers, which `settle` takes."""
        with self._reading():
            rules = {
                row["id"]: (row["tool"], rule_of(row)) for row in self._rows_of(run_id, "rules")
            }
            rows = self._connection.execute(
                "SELECT * FROM findings WHERE run_id = ? ORDER BY path, start_line, start_column,"
                " id",
                (run_id,),
            )
            for row in rows:
                tool, rule = rules[row["rule"]]
                yield row["id"], reported_of(row, tool, rule)

    # -- inside

    def plugin_totals(self) -> list[PluginTotals]:
        """Return what each plugin did and cost in all runs, the most expensive first."""
        with self._reading():
            rows = self._connection.execute(
                "SELECT plugin, count(*) AS runs, sum(p.files) AS files, sum(cached) AS cached,"
                " sum(requests) AS requests, sum(findings) AS findings, sum(skipped) AS skipped,"
                " sum(host_cpu_s + worker_cpu_s) AS cpu_s, sum(wall_s) AS wall_s,"
                " max(peak_bytes) AS peak_bytes, group_concat(DISTINCT sandbox) AS sandboxes,"
                " max(started_at) AS last_run FROM plugin_runs p JOIN runs ON runs.id = p.run_id"
                " GROUP BY plugin ORDER BY cpu_s DESC, plugin"
            ).fetchall()
            return [
                PluginTotals(
                    sandboxes=tuple(sorted(row["sandboxes"].split(","))),
                    **{
                        name: row[name]
                        for name in PluginTotals.__struct_fields__
                        if name != "sandboxes"
                    },
                )
                for row in rows
            ]

    def exchanges(self, run_id: int) -> Iterator[Exchange]:
        """Yield what was asked of targets in a run, in order."""
        with self._reading():
            for row in self._rows_of(run_id, "exchanges"):
                response = row["response"]
                yield Exchange(
                    plugin=row["plugin"],
                    request=json.loads(row["request"]),
                    response=None if response is None else json.loads(response),
                    error=row["error"],
                    started_at=row["started_at"],
                    wall_s=row["wall_s"],
                    prompt_tokens=row["prompt_tokens"],
                    answer_tokens=row["answer_tokens"],
                )

    def copy_to(self, other: sqlite3.Connection) -> None:
        """Copy everything into another, empty database. Raises InputError for a damaged store."""
        with self._reading():
            self._connection.backup(other)

    def _batch(self) -> Batch:
        return Batch(self._connection, self.path)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what a damaged or foreign store does to the reader into an InputError."""
        try:
            yield
        except (sqlite3.Error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.path or 'the result store'}: is damaged: {type(error).__name__}: {error}",
                hint="Scan again with --save and a new file.",
            ) from error

    def _rows_of(self, run_id: int, table: str) -> Iterator[sqlite3.Row]:
        yield from self._connection.execute(
            f"SELECT * FROM {table} WHERE run_id = ? ORDER BY id",  # noqa: S608
            (run_id,),
        )

    def _row(self, run_id: int, one: Reported, fingerprints: Fingerprints) -> tuple[Any, ...]:
        number = self._rule_number(run_id, one)
        return finding_row(run_id, number, fingerprints.of(one.tool, one.plain or one.finding), one)

    def _rule_number(self, run_id: int, one: Reported) -> int:
        key = (run_id, one.tool, one.rule.id)
        if key not in self._rules:
            cursor = self._connection.execute(INSERT_RULE, rule_row(run_id, one.tool, one.rule))
            self._rules[key] = int(cursor.lastrowid or 0)
        return self._rules[key]
