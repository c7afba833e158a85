"""The checkpoint of a follow: one SQLite file with all that a restart needs.

Rules this module keeps:
- how far logs were read, what is remembered of them, and the alarms that came of it are one
  transaction: after a crash each record was either looked at, with its alarms, or was not;
- an alarm stays in the outbox until whoever takes alarms has said that he has it;
- only what changed is written; a file that is not a checkpoint, or is from a newer tavo, is refused
  and not changed; two processes cannot follow with one checkpoint.

The form is described in docs/decisions/0049-a-follow-and-its-checkpoint.md. Times in seconds since
1970, values as msgpack.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tavo.errors import InputError, UsageError
from tavo.logs.follow_alarms import Alarm
from tavo.logs.follow_counts import Cell
from tavo.logs.follow_parts import Position
from tavo.logs.incidents import Incident, Place
from tavo.logs.sigma.correlator import Group, Window

__all__ = ["Checkpoint", "Message"]

_APPLICATION_ID = 0x74617666  # "tavf"
_VERSION = 1
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE positions (id INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE alarms (number INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE windows (
    rule TEXT NOT NULL, grp BLOB NOT NULL, value BLOB NOT NULL, alarm INTEGER NOT NULL,
    most REAL NOT NULL, PRIMARY KEY (rule, grp)
) STRICT, WITHOUT ROWID;
CREATE TABLE cells (
    actor TEXT NOT NULL, hour INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (actor, hour)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, value BLOB NOT NULL, minor INTEGER NOT NULL
) STRICT;
"""
_encode = msgspec.msgpack.encode


class _Incident(msgspec.Struct, array_like=True):
    actor: tuple[str, str]
    count: int
    first: float | None
    last: float | None
    places: list[Place]
    seen: dict[str, str]
    values: dict[str, dict[str, int]]
    numbers: dict[str, str]


class _Alarm(msgspec.Struct, array_like=True):
    number: int
    rule: str
    incident: _Incident
    row: int
    told: int


class _Window(msgspec.Struct, array_like=True):
    entries: list[tuple[float, int, int, Any, Place]]
    fresh: list[int]
    reported: float


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an alarm: `kind` is opened, grew or closed. `id` grows, from 1.

    `minor`: it grew by less than as much as it was when it was said last.
    """

    id: int
    kind: str
    alarm: Alarm
    minor: bool = False


class Checkpoint:
    """An open checkpoint, which nobody else can open meanwhile. Close it."""

    def __init__(self, path: Path) -> None:
        """Open or make one. Raises UsageError for a file of something else, InputError."""
        self.path = path
        if path.is_symlink():
            raise InputError(
                f"{path}: is a symbolic link, a checkpoint is not written through one",
                hint="Name the file that it leads to.",
            )
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds beginnings of records
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        try:
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._prepare()
        except sqlite3.OperationalError as error:
            self._connection.close()
            if "locked" in str(error):
                raise UsageError(
                    f"{path}: another process follows with this checkpoint",
                    hint="End that one first, or name another file.",
                ) from error
            raise self._failed(error) from error
        except sqlite3.Error as error:
            self._connection.close()
            raise UsageError(
                f"{path}: is no checkpoint: {error}", hint="Name a new file, or one of a follow."
            ) from error
        except UsageError:
            self._connection.close()
            raise
        self.facts = dict(self._connection.execute("SELECT name, value FROM facts"))
        self.is_new = "id" not in self.facts
        self.facts.setdefault("id", uuid.uuid4().hex[:12])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _prepare(self) -> None:
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        application = run("PRAGMA application_id").fetchone()[0]
        version = run("PRAGMA user_version").fetchone()[0]
        tables = run("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if application == _APPLICATION_ID and version > _VERSION:
            raise UsageError(
                f"{self.path}: is a checkpoint of a newer tavo", hint="Use that, or a new file."
            )
        if tables and application != _APPLICATION_ID:
            raise UsageError(
                f"{self.path}: is a database of something else, no checkpoint of a follow",
                hint="Name a new file, or one that `tavo logs follow --checkpoint` made.",
            )
        if not tables:
            for statement in _TABLES.split(";"):
                if statement.strip():
                    run(statement)
            run(f"PRAGMA application_id = {_APPLICATION_ID}")
            run(f"PRAGMA user_version = {_VERSION}")
        run("COMMIT")

    # -- what it holds

    def positions(self) -> list[Position]:
        """Return how far each generation was read."""
        return [self._read(value, Position) for _, value in self._rows("id, value", "positions")]

    def alarms(self) -> Iterator[Alarm]:
        """Yield the incidents that were open."""
        for _, value in self._rows("number, value", "alarms"):
            yield _alarm(self._read(value, _Alarm))

    def windows(self) -> Iterator[tuple[str, Group, Window, int, float]]:
        """Yield what correlations remember: rule, group, window, its alarm or 0, and its most."""
        for rule, key, value, alarm, most in self._rows("rule, grp, value, alarm, most", "windows"):
            group = self._read(key, tuple[str, ...])
            found = self._read(value, _Window)
            window = Window()
            window.entries = found.entries
            fresh = set(found.fresh)
            window.fresh = [one for one in found.entries if one[1] in fresh]
            window.reported = found.reported
            yield rule, group, window, alarm, most

    def cells(self) -> Iterator[tuple[str, int, Cell]]:
        """Yield the counts by actor and hour."""
        for actor, hour, value in self._rows("actor, hour, value", "cells"):
            yield actor, hour, array("d", self._read(value, list[float]))

    def outbox(self) -> list[Message]:
        """Return the messages that were not delivered for certain."""
        return [
            Message(
                id=number, kind=kind, alarm=_alarm(self._read(value, _Alarm)), minor=bool(minor)
            )
            for number, kind, value, minor in self._rows("id, kind, value, minor", "outbox")
        ]

    # -- one step

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Make what is written within one transaction. Raises InputError."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", list(self.facts.items())
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def put_positions(self, positions: Iterable[Position]) -> None:
        """Write how far each generation was read."""
        self._connection.execute("DELETE FROM positions")
        self._many("INSERT INTO positions (value) VALUES (?)", ((_encode(p),) for p in positions))

    def put_alarms(self, changed: Iterable[Alarm], closed: Iterable[Alarm]) -> None:
        """Write open incidents, and take out those that are over."""
        self._many(
            "INSERT OR REPLACE INTO alarms VALUES (?, ?)",
            ((one.number, _encode(_plain(one))) for one in changed),
        )
        self._many("DELETE FROM alarms WHERE number = ?", ((one.number,) for one in closed))

    def put_window(
        self, rule: str, group: Group, window: Window | None, alarm: int, most: float
    ) -> None:
        """Write what a correlation remembers of a group, None: nothing any more."""
        key = _encode(group)
        if window is None:
            self._connection.execute("DELETE FROM windows WHERE rule = ? AND grp = ?", (rule, key))
            return
        fresh = [one[1] for one in window.fresh]
        value = _encode(_Window(window.entries, fresh, window.reported))
        self._connection.execute(
            "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?)", (rule, key, value, alarm, most)
        )

    def put_cells(self, cells: Iterable[tuple[str, int, Cell | None]]) -> None:
        """Write counts by actor and hour, and take those out that are None."""
        for actor, hour, cell in cells:
            if cell is None:
                self._connection.execute(
                    "DELETE FROM cells WHERE actor = ? AND hour = ?", (actor, hour)
                )
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO cells VALUES (?, ?, ?)",
                    (actor, hour, _encode(list(cell))),
                )

    def put_messages(self, messages: Iterable[Message]) -> None:
        """Put messages into the outbox."""
        self._many(
            "INSERT INTO outbox VALUES (?, ?, ?, ?)",
            ((one.id, one.kind, _encode(_plain(one.alarm)), int(one.minor)) for one in messages),
        )

    def delivered(self, alarms: Iterable[Alarm]) -> None:
        """Note that all messages were delivered, and what that has brought of the open alarms."""
        self._connection.execute("DELETE FROM outbox")
        self._many(
            "UPDATE alarms SET value = ? WHERE number = ?",
            ((_encode(_plain(one)), one.number) for one in alarms),
        )

    def _many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(statement, rows)

    def _rows(self, columns: str, table: str) -> list[Any]:
        try:
            return self._connection.execute(
                f"SELECT {columns} FROM {table} ORDER BY 1"  # noqa: S608
            ).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _read(self, value: bytes, kind: Any) -> Any:
        try:
            return msgspec.msgpack.decode(value, type=kind)
        except (msgspec.DecodeError, TypeError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> InputError:
        return InputError(
            f"{self.path}: the checkpoint cannot be read or written: {error}",
            hint="Check the free space and the permissions; a damaged one must be removed, and then"
            " the logs are followed as if for the first time.",
        )


def _plain(alarm: Alarm) -> _Alarm:
    incident = alarm.incident
    return _Alarm(
        alarm.number, alarm.rule,
        _Incident(
            incident.actor, incident.count, incident.first, incident.last, incident.places,
            incident.seen, incident.values, incident.numbers,
        ),
        alarm.row, alarm.told,
    )  # fmt: skip


def _alarm(plain: _Alarm) -> Alarm:
    incident = Incident(plain.incident.actor)
    for name in _Incident.__struct_fields__:
        setattr(incident, name, getattr(plain.incident, name))
    return Alarm(
        number=plain.number, rule=plain.rule, incident=incident, row=plain.row, told=plain.told
    )  # fmt: skip
