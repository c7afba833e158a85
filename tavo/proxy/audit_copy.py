"""A copy of audit logs in SQLite, for Datasette and for queries of one's own.

Rules this module keeps:
- a copy, never the record: it can be deleted and made again; what proves something is the log;
- each file's chain is followed while it is copied; behind a row that breaks it nothing is taken;
- what was copied is remembered with its place in the file, in the same transaction, so that the
  copy goes on where it ended, also after it was killed, and also over files that were rotated;
- texts are not copied unless they are asked for.

Units: sizes in bytes, durations in milliseconds, cost in US dollars, times UTC.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from tavo.errors import InputError
from tavo.proxy.audit_chain import Links

__all__ = ["VERSION", "AuditCopy", "Copied"]

VERSION = 1
_BATCH = 2_000
_LONGEST = 16 << 20
_SCHEMA = """
CREATE TABLE files (
    path TEXT NOT NULL, first TEXT NOT NULL, place INTEGER NOT NULL, line INTEGER NOT NULL,
    seq INTEGER NOT NULL, head TEXT NOT NULL, broken TEXT NOT NULL, PRIMARY KEY (path, first)
) STRICT;
CREATE TABLE exchanges (
    id TEXT PRIMARY KEY, at TEXT NOT NULL, client TEXT, upstream TEXT, method TEXT, path TEXT,
    dialect TEXT, model TEXT, status INTEGER, outcome TEXT, verdict TEXT, would TEXT,
    observed INTEGER NOT NULL DEFAULT 0, code TEXT, unjudged TEXT, ms REAL, first_ms REAL,
    bytes_in INTEGER, bytes_out INTEGER, tokens_in INTEGER, tokens_out INTEGER,
    tokens_cached INTEGER, cost REAL, asked_sha256 TEXT, answer_sha256 TEXT, asked_text TEXT,
    answer_text TEXT, file TEXT NOT NULL, asked_seq INTEGER, done_seq INTEGER
) STRICT;
CREATE INDEX exchanges_at ON exchanges (at);
CREATE INDEX exchanges_model ON exchanges (model, at);
CREATE INDEX exchanges_client ON exchanges (client, at);
CREATE INDEX exchanges_verdict ON exchanges (verdict, at);
CREATE TABLE said (
    exchange TEXT NOT NULL REFERENCES exchanges (id), filter TEXT NOT NULL, action TEXT NOT NULL,
    phase TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE INDEX said_exchange ON said (exchange);
CREATE INDEX said_filter ON said (filter, action);
CREATE TABLE starts (
    file TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL, tavo TEXT,
    pid INTEGER, observe INTEGER NOT NULL, torn INTEGER NOT NULL
) STRICT;
CREATE VIEW blocks AS
    SELECT at, id, client, model, status, code, iif(observed, would, verdict) AS verdict, observed,
        (SELECT group_concat(filter || ' ' || detail, '; ') FROM said
         WHERE exchange = id AND action = 'block') AS why
    FROM exchanges WHERE verdict = 'block' OR would = 'block' ORDER BY at DESC;
CREATE VIEW by_minute AS
    SELECT substr(at, 1, 16) AS minute, count(*) AS exchanges,
        sum(outcome IN ('refused', 'blocked')) AS refused, sum(status >= 500) AS failed,
        sum(tokens_in + tokens_out) AS tokens, round(sum(cost), 6) AS cost,
        round(avg(ms), 1) AS mean_ms, max(ms) AS max_ms
    FROM exchanges GROUP BY minute ORDER BY minute DESC;
CREATE VIEW by_filter AS
    SELECT filter, action, phase, detail, count(*) AS times, max(at) AS last
    FROM said JOIN exchanges ON id = exchange GROUP BY filter, action, phase, detail
    ORDER BY times DESC;
"""
_GROUPED = """
CREATE VIEW {name} AS
    WITH ranked AS (
        SELECT *, row_number() OVER (PARTITION BY {by} ORDER BY ms) AS place,
            count(ms) OVER (PARTITION BY {by}) AS among
        FROM exchanges)
    SELECT {by}, count(*) AS exchanges, sum(outcome IN ('refused', 'blocked')) AS refused,
        sum(would = 'block') AS would_be_blocked, sum(status >= 500) AS failed,
        min(CASE WHEN place * 2 >= among THEN ms END) AS p50_ms,
        min(CASE WHEN place * 20 >= among * 19 THEN ms END) AS p95_ms,
        min(CASE WHEN place * 100 >= among * 99 THEN ms END) AS p99_ms,
        round(avg(first_ms), 1) AS mean_first_ms, sum(tokens_in) AS tokens_in,
        sum(tokens_out) AS tokens_out, round(sum(cost), 6) AS cost
    FROM ranked GROUP BY {by} ORDER BY exchanges DESC;
"""
_ASKED = ("client", "upstream", "method", "path", "dialect", "model")
_DONE = ("status", "verdict", "would", "code", "unjudged", "ms", "first_ms", "bytes_in",
         "bytes_out", "tokens_in", "tokens_out", "tokens_cached", "cost")  # fmt: skip


_NUMBERS = frozenset({"status", "observed", "bytes_in", "bytes_out", "tokens_in", "tokens_out",
                      "tokens_cached", "asked_seq", "done_seq"})  # fmt: skip
_FRACTIONS = frozenset({"ms", "first_ms", "cost"})


def _fitting(name: str, value: Any) -> Any:
    """Return a value as its column takes it; a chain says who wrote a row, not that it is sound."""
    if value is None or name in _NUMBERS:
        return value if type(value) is int and abs(value) < 1 << 62 else None
    if name in _FRACTIONS:
        return float(value) if type(value) in (int, float) else None
    return str(value).encode("utf-8", "replace").decode()


class Copied:
    """What one look at the files brought: rows taken, and files whose chain is broken."""

    def __init__(self) -> None:
        self.rows = 0
        self.broken: dict[Path, str] = {}


class AuditCopy:
    """One database. Raises InputError for a file that is none of ours."""

    def __init__(self, path: Path, *, texts: bool = False) -> None:
        self.path = path
        self._texts = texts
        new = not path.exists()
        if new:  # what is in it was not for everybody's eyes either
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            empty = not self._db.execute("SELECT 1 FROM sqlite_master").fetchone()
            if version == 0 and empty:
                self._make()
            elif version != VERSION:
                raise InputError(
                    f"{path}: is no copy of audit logs of this version of tavo",
                    hint="Name another file, or delete it: a copy can be made again.",
                )
            self._db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be used as a database: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Put everything into the one file, and close it."""
        try:
            self._db.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:
            pass  # somebody reads it just now
        self._db.close()

    def take(self, files: Iterable[Path]) -> Copied:
        """Copy what is new in the files. Raises InputError."""
        done = Copied()
        for path in files:
            try:
                self._take(path, done)
            except OSError as error:
                raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
            except sqlite3.Error as error:
                raise InputError(f"{self.path}: cannot be written: {error}") from error
        return done

    # -- inside

    def _make(self) -> None:
        views = _GROUPED.format(name="by_model", by="model, upstream") + _GROUPED.format(
            name="by_client", by="client"
        )
        self._db.executescript(f"BEGIN;{_SCHEMA}{views}PRAGMA user_version = {VERSION};COMMIT;")

    def _take(self, path: Path, done: Copied) -> None:
        with path.open("rb") as stream:
            head = stream.readline(_LONGEST)
            if not head.endswith(b"\n"):
                return
            first = head[-67:-3].decode("latin-1")  # a file that was rotated has another first row
            known = self._db.execute(
                "SELECT place, line, seq, head, broken FROM files WHERE path = ? AND first = ?",
                (str(path), first),
            ).fetchone()
            place, line, number, previous, broken = known or (0, 0, 0, "", "")
            if broken:
                done.broken[path] = broken
                return
            links = Links(previous, number, line)
            stream.seek(place)
            while True:
                rows: list[dict[str, Any]] = []
                at = place
                while len(rows) < _BATCH:
                    text = stream.readline(_LONGEST)
                    if not text.endswith(b"\n"):
                        break
                    at += len(text)
                    row = links.take(text)
                    if links.broken:
                        break
                    if row is not None:
                        rows.append(row)
                        place, line = at, links.line
                if not rows and not links.broken:
                    return
                self._write(path, first, rows, (place, line, links))
                done.rows += len(rows)
                if links.broken:
                    done.broken[path] = links.broken
                    return

    def _write(
        self, path: Path, first: str, rows: list[dict[str, Any]], state: tuple[int, int, Links]
    ) -> None:
        place, line, links = state
        execute = self._db.execute
        execute("BEGIN IMMEDIATE")
        try:
            for row in rows:
                kind = row.get("kind")
                if kind == "asked":
                    self._asked(str(path), row)
                elif kind == "done":
                    self._done(str(path), row)
                elif kind in ("start", "end"):
                    execute(
                        "INSERT INTO starts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (str(path), row["seq"], str(row.get("at")), kind, str(row.get("tavo", "")),
                         _fitting("status", row.get("pid")),
                         int(row.get("observe") is True), int("torn" in row)),
                    )  # fmt: skip
            execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " place = excluded.place, line = excluded.line, seq = excluded.seq,"
                " head = excluded.head, broken = excluded.broken",
                (str(path), first, place, line, links.number, links.previous, links.broken),
            )
        except BaseException:
            execute("ROLLBACK")
            raise
        execute("COMMIT")

    def _asked(self, file: str, row: dict[str, Any]) -> None:
        values = {name: row.get(name) for name in _ASKED}
        values |= {"asked_sha256": row.get("sha256"), "asked_seq": row["seq"]}
        if self._texts:
            values["asked_text"] = row.get("text")
        self._put(file, row, values)

    def _done(self, file: str, row: dict[str, Any]) -> None:
        values = {name: row[name] for name in (*_ASKED, *_DONE) if name in row}
        values |= {"outcome": row.get("how"), "done_seq": row["seq"],
                   "observed": int(row.get("observed") is True)}  # fmt: skip
        for ours, theirs in (("answer_sha256", "sha256"), ("asked_sha256", "asked_sha256")):
            if theirs in row:
                values[ours] = row[theirs]
        if self._texts:
            for ours, theirs in (("answer_text", "text"), ("asked_text", "asked_text")):
                if theirs in row:
                    values[ours] = row[theirs]
        self._put(file, row, values)
        name, said = str(row.get("id")), row.get("said")
        self._db.executemany(
            "INSERT INTO said VALUES (?, ?, ?, ?, ?)",
            [
                (name, str(one.get("filter")), str(one.get("action")), str(one.get("where")),
                 str(one.get("detail")))
                for one in (said if isinstance(said, list) else ()) if isinstance(one, dict)
            ],
        )  # fmt: skip

    def _put(self, file: str, row: dict[str, Any], values: dict[str, Any]) -> None:
        values = {"id": str(row.get("id")), "at": str(row.get("at")), "file": file, **values}
        values = {name: _fitting(name, value) for name, value in values.items()}
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        changes = ", ".join(
            f"{name} = excluded.{name}" for name in values if name not in ("id", "at", "file")
        )
        self._db.execute(
            f"INSERT INTO exchanges ({names}) VALUES ({marks})"  # noqa: S608 (names of our own)
            f" ON CONFLICT DO UPDATE SET {changes}",
            list(values.values()),
        )
