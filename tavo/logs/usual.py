"""What is usual in some logs, kept between runs: hours of actors, what they used, pairs of tools.

Rules this module keeps:
- a file is the old one or the new one: it is written beside itself, synced and renamed;
- it has a version; one of another version, or that is no such file, is refused and not written to;
- analysing the same logs again changes nothing: of an hour that is known the larger count is kept;
- its size is bounded: hours older than 35 days go, and of each table what is oldest.

It holds names of users, keys, addresses and tools, no prompts: of those a checksum.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tavo.errors import ConfigError, InputError
from tavo.logs.tally import KINDS
from tavo.logs.totals import Hour, Totals

__all__ = ["NO_HISTORY", "Usual", "open_usual", "save_usual"]

_VERSION = 1
_APPLICATION = 0x7461766F
_DAYS = 35
_MOST = {"hours": 1_500_000, "known": 500_000, "pairs": 50_000, "templates": 20_000}
_SCHEMA = """
CREATE TABLE hours (
    kind TEXT NOT NULL, name TEXT NOT NULL, hour INTEGER NOT NULL, requests REAL NOT NULL,
    tokens REAL NOT NULL, cost REAL NOT NULL, failures REAL NOT NULL, refusals REAL NOT NULL,
    latency REAL, timed REAL NOT NULL, PRIMARY KEY (kind, name, hour)
) STRICT, WITHOUT ROWID;
CREATE TABLE known (
    what TEXT NOT NULL, actor TEXT NOT NULL, value TEXT NOT NULL, first REAL NOT NULL,
    last REAL NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, actor, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE pairs (
    before TEXT NOT NULL, tool TEXT NOT NULL, last REAL NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (before, tool)
) STRICT, WITHOUT ROWID;
CREATE TABLE templates (
    whose TEXT NOT NULL, fingerprint INTEGER NOT NULL, first REAL NOT NULL, last REAL NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (whose, fingerprint)
) STRICT, WITHOUT ROWID;
"""


class Usual:
    """What earlier runs have seen; without a file nothing."""

    def __init__(self, database: sqlite3.Connection | None = None) -> None:
        self._database = database

    def hours(self, kind: str, name: str) -> dict[int, Hour]:
        """Return the known hours of an actor, key or model."""
        found = self._rows(
            "SELECT hour, requests, tokens, cost, failures, refusals, latency, timed FROM hours"
            " WHERE kind = ? AND name = ?", kind, name,
        )  # fmt: skip
        return {int(row[0]): Hour._make((*row, 0)) for row in found}

    def known(self, what: str, actor: str) -> dict[str, tuple[float, int]]:
        """Return the values that an actor used: first when, and how often."""
        sql = "SELECT value, first, count FROM known WHERE what = ? AND actor = ?"
        return {value: (first, count) for value, first, count in self._rows(sql, what, actor)}

    def pairs(self) -> dict[tuple[str, str], int]:
        """Return how often a tool was called after another."""
        found = self._rows("SELECT before, tool, count FROM pairs")
        return {(before, tool): count for before, tool, count in found}

    def templates(self, whose: str) -> dict[int, tuple[float, int]]:
        """Return the prompt templates of an owner: first when, and how often."""
        sql = "SELECT fingerprint, first, count FROM templates WHERE whose = ?"
        return {print_: (first, count) for print_, first, count in self._rows(sql, whose)}

    def _rows(self, sql: str, *values: str) -> Iterator[tuple]:  # type: ignore[type-arg]
        if self._database is not None:
            yield from self._database.execute(sql, values)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()


NO_HISTORY = Usual()


def open_usual(path: Path) -> Usual:
    """Open a file of what is usual; one that is not there yet knows nothing. Raises ConfigError."""
    if not path.exists():
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no such folder to write what is usual to")
        return Usual()
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        application = database.execute("PRAGMA application_id").fetchone()[0]
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if application != _APPLICATION:
            raise ConfigError(
                f"{path}: is no file of `--usual`", hint="Name another one; it is made if needed."
            )
        if version != _VERSION:
            raise ConfigError(
                f"{path}: has version {version}, this tavo reads version {_VERSION}",
                hint="Use the tavo that wrote it, or begin with a new file.",
            )
        database.execute("SELECT count(*) FROM pairs").fetchone()
    except sqlite3.Error as error:
        database.close()
        raise ConfigError(
            f"{path}: is no file of `--usual`, or is damaged: {error}",
            hint="Move it away; a new one is made.",
        ) from error
    except ConfigError:
        database.close()
        raise
    return Usual(database)


def save_usual(path: Path, totals: Totals) -> None:
    """Add what a run has seen to a file. Raises InputError where it cannot be written."""
    number, name = -1, ""
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(number)
        _write(Path(name), path, totals)
        with Path(name).open("rb") as file:
            os.fsync(file.fileno())
        Path(name).replace(path)
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"{path}: what is usual cannot be written: {error}") from error
    finally:
        if name:
            with contextlib.suppress(OSError):
                Path(name).unlink(missing_ok=True)


def _write(new: Path, old: Path, totals: Totals) -> None:
    database = sqlite3.connect(new)
    try:
        if old.exists():
            before = sqlite3.connect(f"{old.resolve().as_uri()}?mode=ro", uri=True)
            try:
                before.backup(database)
            finally:
                before.close()
        else:
            database.executescript(_SCHEMA)
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        with database:
            _add(database, totals)
            _prune(database)
    finally:
        database.close()


def _add(database: sqlite3.Connection, totals: Totals) -> None:
    for kind in KINDS:
        database.executemany(
            "INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " requests = excluded.requests, tokens = excluded.tokens, cost = excluded.cost,"
            " failures = excluded.failures, refusals = excluded.refusals,"
            " latency = excluded.latency, timed = excluded.timed"
            " WHERE excluded.requests >= hours.requests",
            (
                (kind, name, one.hour, one.requests, one.tokens, one.cost, one.failures,
                 one.refusals, one.latency, one.timed)
                for name, hours in totals.hours(kind) for one in hours
            ),
        )  # fmt: skip
    last = totals.last or 0.0
    database.executemany(
        "INSERT INTO known VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " first = min(first, excluded.first), last = max(last, excluded.last),"
        " count = max(count, excluded.count)",
        (
            (what, actor, value, new.first, last, new.count)
            for (what, actor), values in totals.new.items() for value, new in values.items()
        ),
    )  # fmt: skip
    database.executemany(
        "INSERT INTO pairs VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " last = max(last, excluded.last), count = max(count, excluded.count)",
        ((before, tool, last, pair.count) for (before, tool), pair in totals.pairs.items()),
    )
    database.executemany(
        "INSERT INTO templates VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " first = min(first, excluded.first), last = max(last, excluded.last),"
        " count = max(count, excluded.count)",
        (
            (whose, fingerprint, one.first, last, one.count)
            for whose, known in totals.templates.items() for fingerprint, one in known.items()
        ),
    )  # fmt: skip


def _prune(database: sqlite3.Connection) -> None:
    newest = database.execute("SELECT max(hour) FROM hours").fetchone()[0]
    if newest is not None:
        database.execute("DELETE FROM hours WHERE hour < ?", (newest - _DAYS * 24,))
    for table, order in (("hours", "hour"), ("known", "last"), ("pairs", "last"),
                         ("templates", "last")):  # fmt: skip
        count = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        if count > _MOST[table]:
            kept = f"SELECT {order} FROM {table} ORDER BY {order} DESC LIMIT 1 OFFSET ?"  # noqa: S608
            bound = database.execute(kept, (_MOST[table],)).fetchone()[0]
            database.execute(f"DELETE FROM {table} WHERE {order} <= ?", (bound,))  # noqa: S608
