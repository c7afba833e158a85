"""The tables of a result store, and how an older store becomes a newer one.

Rules this module keeps:
- the tables are a contract, described in docs/results.md: a change is a new version, a step here;
- a step and the record that it ran are one transaction;
- a file that is not a result store, or is from a newer tavo, is refused and not changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "STEPS", "NotAStoreError", "prepare"]

APPLICATION_ID = 0x7461766F  # "tavo"

_VERSION_1 = """
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
    line_hash TEXT NOT NULL, severity TEXT NOT NULL, confidence TEXT NOT NULL, path TEXT NOT NULL,
    start_line INTEGER, start_column INTEGER, end_line INTEGER, end_column INTEGER,
    message TEXT NOT NULL, snippet TEXT NOT NULL, evidence TEXT NOT NULL, flow TEXT NOT NULL,
    fix TEXT, suppression_kind TEXT, suppression_reason TEXT, suppression_line INTEGER
) STRICT;
CREATE INDEX findings_by_run ON findings (run_id, path, start_line);
CREATE INDEX findings_by_rule ON findings (rule);
CREATE INDEX findings_by_fingerprint ON findings (fingerprint);
CREATE TABLE notices (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, incomplete INTEGER NOT NULL
) STRICT;
CREATE INDEX notices_by_run ON notices (run_id);
CREATE TABLE plugin_runs (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    plugin TEXT NOT NULL, version TEXT NOT NULL, package TEXT NOT NULL, sandbox TEXT NOT NULL,
    files INTEGER NOT NULL, calls INTEGER NOT NULL, findings INTEGER NOT NULL,
    skipped INTEGER NOT NULL, host_cpu_s REAL NOT NULL, worker_cpu_s REAL NOT NULL,
    wall_s REAL NOT NULL, peak_bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX plugin_runs_by_run ON plugin_runs (run_id);
"""

_VERSION_2 = """
CREATE TABLE exchanges (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    plugin TEXT NOT NULL, request TEXT NOT NULL, response TEXT, error TEXT NOT NULL,
    started_at TEXT NOT NULL, wall_s REAL NOT NULL, prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL
) STRICT;
CREATE INDEX exchanges_by_run ON exchanges (run_id);
ALTER TABLE plugin_runs ADD COLUMN requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE plugin_runs ADD COLUMN cached INTEGER NOT NULL DEFAULT 0;
"""

_VERSION_3 = """
ALTER TABLE findings ADD COLUMN baseline_state TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN suppression_expires TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN suppression_approved_by TEXT NOT NULL DEFAULT '';
ALTER TABLE notices ADD COLUMN allowed INTEGER NOT NULL DEFAULT 0;
CREATE TABLE gates (
    run_id INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    fail_on TEXT NOT NULL, fail_on_confidence TEXT NOT NULL, baseline TEXT NOT NULL,
    policy TEXT NOT NULL, evaluator TEXT NOT NULL
) STRICT;
CREATE TABLE absent (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL, rule_id TEXT NOT NULL, tool TEXT NOT NULL, path TEXT NOT NULL,
    line INTEGER NOT NULL, message TEXT NOT NULL
) STRICT;
CREATE INDEX absent_by_run ON absent (run_id);
CREATE TABLE policy_results (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, rule TEXT NOT NULL, message TEXT NOT NULL, details TEXT NOT NULL,
    fingerprint TEXT NOT NULL, excepted INTEGER NOT NULL
) STRICT;
CREATE INDEX policy_results_by_run ON policy_results (run_id);
"""

_VERSION_4 = """
CREATE TABLE probe_results (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    target TEXT NOT NULL, probe TEXT NOT NULL, severity TEXT NOT NULL, tried INTEGER NOT NULL,
    worked INTEGER NOT NULL, judged INTEGER NOT NULL, failed INTEGER NOT NULL, low REAL NOT NULL,
    high REAL NOT NULL, ended TEXT NOT NULL, before_tried INTEGER NOT NULL,
    before_worked INTEGER NOT NULL, before_low REAL NOT NULL, before_high REAL NOT NULL,
    chance REAL NOT NULL, verdict TEXT NOT NULL
) STRICT;
CREATE INDEX probe_results_by_run ON probe_results (run_id);
"""

STEPS: tuple[str, ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)
"""The statements that lead from version n to version n + 1; never changed once released."""

SCHEMA_VERSION = len(STEPS)


class NotAStoreError(Exception):
    """The file is a database of something else, or of a newer tavo; the message says which."""


def prepare(connection: sqlite3.Connection, steps: Sequence[str] = STEPS) -> None:
    """Make the tables, or bring older ones up to the newest version.

    The connection is in autocommit mode. Raises NotAStoreError, and then has changed nothing.
    """
    if _version(connection, len(steps)) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Looked at again under the lock: another process may have been faster.
        for step in steps[_version(connection, len(steps)) :]:
            for statement in step.split(";"):
                if statement.strip():
                    connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, newest: int) -> int:
    """Return a store's version, 0 for an empty file."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application == APPLICATION_ID and version > newest:
        raise NotAStoreError(
            f"was written by a newer tavo (schema {version}, this one knows {newest})"
        )
    if application == APPLICATION_ID and version >= 1:
        return version
    if (
        application
        or version
        or connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    ):
        raise NotAStoreError("is a database of something else")
    return 0
