"""The result store: one SQLite file that holds runs, findings, and what was not done.

Rules this module keeps:
- one transaction per batch; a run is finished by its last statement, so one that was killed stays
  marked as not finished and not complete;
- a file that is not a result store is refused, never changed;
- the tables are a contract: they change only with a new schema version and a migration.

The schema is described in docs/results.md.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from tavo.errors import InputError, UsageError
from tavo.plugins import Confidence, Finding, Location, Region, Rule, Severity, Step
from tavo.results.fingerprint import Fingerprints
from tavo.results.values import Notice, PluginRun, Reported, Run, RunInfo, Suppression

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "ResultStore"]

APPLICATION_ID = 0x7461766F  # "tavo"
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, tool_version TEXT NOT NULL,
    command TEXT NOT NULL, root TEXT NOT NULL, rules INTEGER NOT NULL, started_at TEXT NOT NULL,
    finished_at TEXT, complete INTEGER NOT NULL DEFAULT 0, exit_code INTEGER,
    files INTEGER NOT NULL DEFAULT 0, cpu_s REAL NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE rules (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    tool TEXT NOT NULL, rule_id TEXT NOT NULL, title TEXT NOT NULL, severity TEXT NOT NULL,
    confidence TEXT NOT NULL, description TEXT NOT NULL, help TEXT NOT NULL, cwe TEXT NOT NULL,
    owasp TEXT NOT NULL, tags TEXT NOT NULL, refs TEXT NOT NULL, UNIQUE (run_id, tool, rule_id)
) STRICT;
CREATE TABLE findings (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    rule INTEGER NOT NULL REFERENCES rules (id) ON DELETE CASCADE, fingerprint TEXT NOT NULL,
    severity TEXT NOT NULL, confidence TEXT NOT NULL, path TEXT NOT NULL, start_line INTEGER,
    start_column INTEGER, end_line INTEGER, end_column INTEGER, message TEXT NOT NULL,
    snippet TEXT NOT NULL, evidence TEXT NOT NULL, flow TEXT NOT NULL, fix TEXT,
    suppression_kind TEXT, suppression_reason TEXT, suppression_line INTEGER
) STRICT;
CREATE INDEX findings_by_run ON findings (run_id, path, start_line);
CREATE INDEX findings_by_fingerprint ON findings (fingerprint);
CREATE TABLE notices (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, incomplete INTEGER NOT NULL
) STRICT;
CREATE TABLE plugin_runs (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    plugin TEXT NOT NULL, version TEXT NOT NULL, package TEXT NOT NULL, sandbox TEXT NOT NULL,
    files INTEGER NOT NULL, calls INTEGER NOT NULL, findings INTEGER NOT NULL,
    skipped INTEGER NOT NULL, host_cpu_s REAL NOT NULL, worker_cpu_s REAL NOT NULL,
    wall_s REAL NOT NULL, peak_bytes INTEGER NOT NULL
) STRICT;
"""


class ResultStore:
    """An open result store. Use it as a context manager, or call `close`."""

    def __init__(self, path: Path | None = None, *, must_exist: bool = False) -> None:
        """Open or create a store; without a path it lives in memory.

        Raises UsageError if the file is not a result store, InputError if it cannot be used.
        """
        self.path = path
        if path is not None:
            if must_exist and not path.is_file():
                raise InputError(
                    f"{path}: no such result store",
                    hint="`tavo scan PATH --save RESULTS.db` makes one.",
                )
            if path.is_dir() or not path.resolve().parent.is_dir():
                raise InputError(
                    f"{path}: cannot be a result store here", hint="Name a file in a folder."
                )
        try:
            self._connection = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{path}: is not a result store: {error}",
                hint="Name a new file, or one that `--save` wrote.",
            ) from error
        self._fingerprints: dict[int, Fingerprints] = {}
        self._rules: dict[tuple[int, str, str], int] = {}

    def close(self) -> None:
        """Close the file."""
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
                    str(uuid.uuid4()), info.tool_version, json.dumps(info.command), info.root,
                    info.rules, info.started_at,
                ),
            )  # fmt: skip
        run_id = int(cursor.lastrowid or 0)
        self._fingerprints[run_id] = Fingerprints()
        return run_id

    def add(self, run_id: int, reported: Iterable[Reported]) -> None:
        """Add findings in one transaction; each file's findings come in their order."""
        fingerprints = self._fingerprints.setdefault(run_id, Fingerprints())
        with self._batch():
            self._connection.executemany(
                "INSERT INTO findings (run_id, rule, fingerprint, severity, confidence, path,"
                " start_line, start_column, end_line, end_column, message, snippet, evidence,"
                " flow, fix, suppression_kind, suppression_reason, suppression_line)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [self._row(run_id, one, fingerprints) for one in reported],
            )

    def add_notices(self, run_id: int, notices: Iterable[Notice]) -> None:
        """Record what was not done."""
        with self._batch():
            self._connection.executemany(
                "INSERT INTO notices (run_id, kind, subject, reason, incomplete)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (run_id, n.kind, _storable(n.subject), _storable(n.reason), int(n.incomplete))
                    for n in notices
                ],
            )

    def add_plugin_run(self, run_id: int, run: PluginRun) -> None:
        """Record what a plugin did and cost."""
        with self._batch():
            self._connection.execute(
                "INSERT INTO plugin_runs (run_id, plugin, version, package, sandbox, files, calls,"
                " findings, skipped, host_cpu_s, worker_cpu_s, wall_s, peak_bytes)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id, run.plugin, run.version, run.package, run.sandbox, run.files,
                    run.calls, run.findings, run.skipped, run.host_cpu_s, run.worker_cpu_s,
                    run.wall_s, run.peak_bytes,
                ),
            )  # fmt: skip

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
        rows = self._connection.execute(_RUNS + " ORDER BY id DESC")
        return [_run(row) for row in rows]

    def run(self, run_id: int | None = None) -> Run:
        """Return a run, the newest without a number. Raises UsageError if there is none."""
        where = "WHERE r.id = ?" if run_id is not None else ""
        values = (run_id,) if run_id is not None else ()
        row = self._connection.execute(
            f"{_RUNS} {where} ORDER BY id DESC LIMIT 1", values
        ).fetchone()
        if row is None:
            number = f"run {run_id}" if run_id is not None else "a run"
            raise UsageError(
                f"{self.path or 'this store'}: does not hold {number}",
                hint="`tavo results list` shows the runs of a store.",
            )
        found = row["id"]
        notices = self._connection.execute(
            "SELECT kind, subject, reason, incomplete FROM notices WHERE run_id = ? ORDER BY id",
            (found,),
        )
        plugins = self._connection.execute(
            "SELECT plugin, version, package, sandbox, files, calls, findings, skipped, host_cpu_s,"
            " worker_cpu_s, wall_s, peak_bytes FROM plugin_runs WHERE run_id = ? ORDER BY id",
            (found,),
        )
        return _run(
            row,
            notices=tuple(
                Notice(kind=n["kind"], subject=n["subject"], reason=n["reason"],
                       incomplete=bool(n["incomplete"]))
                for n in notices
            ),
            plugins=tuple(PluginRun(**dict(p)) for p in plugins),
        )  # fmt: skip

    def findings(self, run_id: int) -> Iterator[Reported]:
        """Yield the findings of a run by path and line."""
        rules = {
            row["id"]: (row["tool"], _rule(row))
            for row in self._connection.execute("SELECT * FROM rules WHERE run_id = ?", (run_id,))
        }
        rows = self._connection.execute(
            "SELECT * FROM findings WHERE run_id = ? ORDER BY path, start_line, start_column, id",
            (run_id,),
        )
        for row in rows:
            tool, rule = rules[row["rule"]]
            yield _reported(row, tool, rule)

    # -- inside

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA foreign_keys = ON")
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if application == APPLICATION_ID and version == SCHEMA_VERSION:
            return
        if application == APPLICATION_ID and version > SCHEMA_VERSION:
            raise UsageError(
                f"{self.path}: was written by a newer tavo (schema {version}, this one knows"
                f" {SCHEMA_VERSION})",
                hint="Use that tavo, or name a new file.",
            )
        if tables:
            raise UsageError(
                f"{self.path}: is a database of something else",
                hint="Name a new file, or one that `--save` wrote.",
            )
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )

    def _batch(self) -> _Batch:
        return _Batch(self._connection, self.path)

    def _row(self, run_id: int, one: Reported, fingerprints: Fingerprints) -> tuple[Any, ...]:
        finding = one.finding
        region = finding.location.region
        places = (
            (region.start_line, region.start_column, region.end_line, region.end_column)
            if region is not None
            else (None, None, None, None)
        )
        suppression = one.suppression
        return (
            run_id,
            self._rule_number(run_id, one),
            fingerprints.of(one.tool, finding),
            finding.severity.value,
            finding.confidence.value,
            _storable(str(finding.location.path)),
            *places,
            _storable(finding.message),
            _storable(finding.location.snippet),
            _dumps(dict(finding.evidence)),
            _dumps([_step(step) for step in finding.flow]),
            finding.fix if finding.fix is None else _storable(finding.fix),
            suppression.kind if suppression else None,
            _storable(suppression.reason) if suppression else None,
            suppression.line if suppression else None,
        )

    def _rule_number(self, run_id: int, one: Reported) -> int:
        key = (run_id, one.tool, one.rule.id)
        if key not in self._rules:
            rule = one.rule
            cursor = self._connection.execute(
                "INSERT INTO rules (run_id, tool, rule_id, title, severity, confidence,"
                " description, help, cwe, owasp, tags, refs)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id, one.tool, rule.id, _storable(rule.title), rule.severity.value,
                    rule.confidence.value, _storable(rule.description), _storable(rule.help),
                    _dumps(rule.cwe), _dumps(rule.owasp), _dumps(rule.tags),
                    _dumps(rule.references),
                ),
            )  # fmt: skip
            self._rules[key] = int(cursor.lastrowid or 0)
        return self._rules[key]


class _Batch:
    """One transaction; a failure of the disk becomes an InputError that names the file."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._connection = connection
        self._path = path

    def __enter__(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._connection.execute("COMMIT" if error is None else "ROLLBACK")
        except sqlite3.Error as failure:
            raise self._failed(failure) from failure
        if isinstance(error, sqlite3.Error):
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> InputError:
        return InputError(
            f"{self._path or 'the result store'}: cannot be written: {error}",
            hint="Check the free space, the permissions, and that no other program holds the file.",
        )


_RUNS = (
    "SELECT r.*, (SELECT count(*) FROM findings f WHERE f.run_id = r.id"
    " AND f.suppression_kind IS NULL) AS findings FROM runs r"
)


def _run(
    row: sqlite3.Row, *, notices: tuple[Notice, ...] = (), plugins: tuple[PluginRun, ...] = ()
) -> Run:
    return Run(
        id=row["id"],
        uuid=row["uuid"],
        info=RunInfo(
            command=tuple(json.loads(row["command"])),
            root=row["root"],
            tool_version=row["tool_version"],
            started_at=row["started_at"],
            rules=row["rules"],
        ),
        finished_at=row["finished_at"] or "",
        complete=bool(row["complete"]),
        exit_code=row["exit_code"],
        files=row["files"],
        findings=row["findings"],
        cpu_s=row["cpu_s"],
        notices=notices,
        plugins=plugins,
    )


def _rule(row: sqlite3.Row) -> Rule:
    return Rule(
        id=row["rule_id"],
        title=row["title"],
        severity=Severity(row["severity"]),
        confidence=Confidence(row["confidence"]),
        description=row["description"],
        help=row["help"],
        cwe=tuple(json.loads(row["cwe"])),
        owasp=tuple(json.loads(row["owasp"])),
        tags=tuple(json.loads(row["tags"])),
        references=tuple(json.loads(row["refs"])),
    )


def _reported(row: sqlite3.Row, tool: str, rule: Rule) -> Reported:
    suppression = None
    if row["suppression_kind"] is not None:
        suppression = Suppression(
            kind=row["suppression_kind"],
            reason=row["suppression_reason"],
            line=row["suppression_line"],
        )
    places = [row[name] for name in ("start_line", "start_column", "end_line", "end_column")]
    return Reported(
        finding=Finding(
            rule_id=rule.id,
            message=row["message"],
            location=_location(row["path"], places, row["snippet"]),
            severity=Severity(row["severity"]),
            confidence=Confidence(row["confidence"]),
            evidence=json.loads(row["evidence"]),
            flow=tuple(
                Step(
                    location=_location(step["path"], step["region"], step["snippet"]),
                    message=step["message"],
                )
                for step in json.loads(row["flow"])
            ),
            fix=row["fix"],
        ),
        rule=rule,
        tool=tool,
        suppression=suppression,
        fingerprint=row["fingerprint"],
    )


def _step(step: Step) -> dict[str, Any]:
    region = step.location.region
    return {
        "path": str(step.location.path),
        "region": [region.start_line, region.start_column, region.end_line, region.end_column]
        if region
        else None,
        "snippet": step.location.snippet,
        "message": step.message,
    }


def _location(path: str, places: list[Any] | None, snippet: str) -> Location:
    region = None
    if places is not None and places[0] is not None:
        first_line, first_column, last_line, last_column = places
        region = Region(
            start_line=first_line,
            start_column=first_column,
            end_line=last_line,
            end_column=last_column,
        )
    return Location(path=PurePosixPath(path), region=region, snippet=snippet)


def _storable(text: str) -> str:
    """Replace lone surrogates, which neither SQLite nor UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
