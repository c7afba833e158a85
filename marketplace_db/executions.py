"""Runs on the operator's machines: asked for once, begun at most once, ended exactly once.

Rules this module keeps:
- the same key of an organisation is the same run, however often it is asked for; with another
  question it is refused;
- a run is claimed before its first request leaves, and never claimed again: when its worker dies it
  has failed, and says so, because an attack may have changed what it attacked;
- how a run ended is written once, together with its result and what it cost;
- a run, its result and its cost belong to one organisation;
- results are deleted when their time is over; what was used and what it cost stays.

Units: seconds, times UTC; both come in as arguments.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from marketplace_db.accounts import Account
from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.execution_limits import ExecutionLimits
from marketplace_db.execution_room import check_room
from marketplace_db.prices import Metered, PriceList, cost
from marketplace_db.targets import Targets
from marketplace_db.transaction import step
from marketplace_db.usage import release_key
from signing.roles import format_time

__all__ = ["Claimed", "End", "Execution", "Executions", "Question"]

STATES = ("waiting", "running", "done", "failed", "cancelled")
_LONGEST_OUTCOME = 500
_USED = Metered.__struct_fields__
_COLUMNS = f"""
    e.uuid, u.name || '/' || p.plugin_id AS plugin, v.version, e.organization, e.user,
    coalesce(t.name, '') AS target, e.key, e.state, e.asked_at, e.started_at, e.finished_at,
    e.cancel_at, e.complete, e.outcome, e.sandbox, e.quotas, e.findings, e.billed, e.cost_micro,
    e.prices, e.result_sha256, e.result_bytes, e.result_until, e.request, e.config, e.id AS number,
    v.package, t.removed_at AS target_removed, t.description, t.networks,
    {", ".join(f"e.{name}" for name in _USED)}
    FROM plugin_executions e JOIN plugin_versions v ON v.id = e.plugin_version_id
    JOIN plugins p ON p.id = v.plugin_id JOIN publishers u ON u.id = p.publisher_id
    LEFT JOIN targets t ON t.id = e.target_id"""


class Execution(NamedTuple):
    """One run. `state` is waiting, running, done, failed or cancelled; `number` stays here.

    `complete` tells that all was tried; `outcome` says why not, or why it failed. `result_until` is
    when the result is deleted, None where there is none any more.
    """

    uuid: str
    plugin: str
    version: str
    organization: str
    user: str
    target: str
    key: str
    state: str
    asked_at: str
    started_at: str | None
    finished_at: str | None
    cancelling: bool
    complete: bool
    outcome: str
    sandbox: str
    quotas: Mapping[str, float]
    findings: int
    used: Metered
    billed: bool
    cost_micro: int
    prices: PriceList
    result_sha256: str
    result_bytes: int
    result_until: str | None
    number: int


class Question(NamedTuple):
    """What is asked for, as the client wrote it: `version` is empty for the newest."""

    plugin: str
    version: str
    target: str
    key: str
    config: Mapping[str, Any]

    @property
    def settings(self) -> str:
        """Return the configuration as JSON, the same for the same."""
        return json.dumps(dict(self.config), sort_keys=True)

    @property
    def digest(self) -> str:
        """Return what tells one question from another, whatever is the newest version by then."""
        words = json.dumps([self.plugin, self.version, self.target, self.settings])
        return hashlib.sha256(words.encode()).hexdigest()


class Claimed(NamedTuple):
    """A run that a worker has claimed, with what it needs to begin it."""

    execution: Execution
    package: str
    config: Mapping[str, Any]
    description: str
    networks: tuple[str, ...]


class End(NamedTuple):
    """How a run ended. `billed` is false for what our side made fail."""

    state: Literal["done", "failed", "cancelled"]
    outcome: str = ""
    complete: bool = False
    billed: bool = False
    sandbox: str = ""
    findings: int = 0
    used: Metered = Metered()
    result: bytes | None = None


class Executions:
    """The runs in a market's database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def ask(
        self,
        who: Account,
        version: str,
        *,
        question: Question,
        limits: ExecutionLimits,
        now: datetime,
    ) -> tuple[Execution, bool]:
        """Ask for a run of a version; return it, and whether it is new.

        Raises NotInCatalogError, WorkingDatabaseError for an unknown target and for a key that was
        used for something else, QueueFullError where too much waits or was used up.
        """
        plugin, target, key = question.plugin, question.target, question.key
        with step(self.connection):
            known = self.known(who, question)
            if known is not None:
                return known, False
            release = release_key(self.connection, plugin, version)
            chosen = Targets(self.connection).target(who.organization, target)
            check_room(self.connection, who.organization, limits, now)
            identifier = str(uuid.uuid4())
            self.connection.execute(
                "INSERT INTO plugin_executions (uuid, plugin_version_id, organization, user,"
                " target_id, key, request, config, state, asked_at, quotas, prices)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?, ?)",
                (
                    identifier, release, who.organization, who.user, chosen.number, key,
                    question.digest, question.settings, format_time(now), json.dumps(limits.quotas),
                    msgspec.json.encode(limits.prices).decode(),
                ),
            )  # fmt: skip
        return self.execution(who.organization, identifier), True

    def known(self, who: Account, question: Question) -> Execution | None:
        """Return the run that was asked for with this key before, None where none was.

        Raises WorkingDatabaseError where that was another question.
        """
        row = self._one("e.organization = ? AND e.key = ?", (who.organization, question.key))
        if row is not None and row["request"] != question.digest:
            raise WorkingDatabaseError(
                f"the key {question.key!r:.80} was used for another run",
                hint="A new run needs a new key.",
            )
        return None if row is None else _execution(row)

    def execution(self, organization: str, identifier: str) -> Execution:
        """Return a run of an organisation. Raises WorkingDatabaseError if it has none such."""
        row = self._one("e.organization = ? AND e.uuid = ?", (organization, identifier))
        if row is None:
            raise WorkingDatabaseError(f"there is no execution {identifier!r:.60}")
        return _execution(row)

    def executions(
        self, organization: str, *, before: int | None = None, limit: int = 100
    ) -> list[Execution]:
        """Return runs of an organisation, the newest first, from below a number on."""
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} WHERE e.organization = ? AND (? IS NULL OR e.id < ?)"
            " ORDER BY e.id DESC LIMIT ?",
            (organization, before, before, limit),
        )
        return [_execution(row) for row in rows]

    def finished_in(self, organization: str, month: str) -> list[Execution]:
        """Return the runs of an organisation that ended in a month like 2026-11, as they ended."""
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} WHERE e.organization = ? AND e.finished_at >= ?"
            " AND e.finished_at < ? ORDER BY e.finished_at, e.id",
            (organization, month, f"{month}~"),
        )
        return [_execution(row) for row in rows]

    def cancel(self, organization: str, identifier: str, *, now: datetime) -> Execution:
        """Cancel a run: one that waits at once, one that runs when its worker hears of it.

        One that has ended stays as it is. Raises WorkingDatabaseError for one that there is not.
        """
        self.execution(organization, identifier)
        moment = format_time(now)
        with step(self.connection):
            self.connection.execute(
                "UPDATE plugin_executions SET state = 'cancelled', finished_at = ?, config = '{}',"
                " outcome = 'cancelled before it began'"
                " WHERE organization = ? AND uuid = ? AND state = 'waiting'",
                (moment, organization, identifier),
            )
            self.connection.execute(
                "UPDATE plugin_executions SET cancel_at = coalesce(cancel_at, ?)"
                " WHERE organization = ? AND uuid = ? AND state = 'running'",
                (moment, organization, identifier),
            )
        return self.execution(organization, identifier)

    def result(self, organization: str, identifier: str) -> bytes | None:
        """Return the result of a run, None where there is none, not yet or not any more."""
        row = self.connection.execute(
            "SELECT r.content FROM execution_results r JOIN plugin_executions e"
            " ON e.id = r.execution_id WHERE e.organization = ? AND e.uuid = ?",
            (organization, identifier),
        ).fetchone()
        return None if row is None else bytes(row["content"])

    def counts(self) -> dict[str, int]:
        """Return how many runs are in each state."""
        rows = self.connection.execute(
            "SELECT state, count(*) AS runs FROM plugin_executions GROUP BY state"
        )
        found = {row["state"]: int(row["runs"]) for row in rows}
        return {state: found.get(state, 0) for state in STATES}

    # -- for workers

    def claim(
        self, worker: str, *, running: Callable[[str], int], lease_s: float, now: datetime
    ) -> Claimed | None:
        """Take the oldest run that waits and whose organisation has not too many that run.

        `running` says how many it may have. A run is given out once: no other call returns it.
        """
        with step(self.connection):
            self._fail_left(now)
            busy = {
                row["organization"]: int(row["runs"])
                for row in self.connection.execute(
                    "SELECT organization, count(*) AS runs FROM plugin_executions"
                    " WHERE state = 'running' GROUP BY organization"
                )
            }
            oldest = self.connection.execute(
                "SELECT min(id) AS id, organization FROM plugin_executions"
                " WHERE state = 'waiting' GROUP BY organization ORDER BY 1"
            ).fetchall()
            for row in oldest:
                if busy.get(row["organization"], 0) < running(row["organization"]):
                    break
            else:
                return None
            self.connection.execute(
                "UPDATE plugin_executions SET state = 'running', worker = ?, lease_until = ?,"
                " started_at = ? WHERE id = ? AND state = 'waiting'",
                (
                    worker, format_time(now + timedelta(seconds=lease_s)), format_time(now),
                    row["id"],
                ),
            )  # fmt: skip
            found = self._one("e.id = ?", (row["id"],))
        return _claimed(found)

    def renew(
        self, execution: Execution, worker: str, *, lease_s: float, now: datetime
    ) -> Literal["go on", "cancel", "lost"]:
        """Keep a claim for longer; return whether to go on, whoever asked for another thing."""
        with step(self.connection):
            row = self.connection.execute(
                "UPDATE plugin_executions SET lease_until = ?"
                " WHERE uuid = ? AND worker = ? AND state = 'running' RETURNING cancel_at",
                (format_time(now + timedelta(seconds=lease_s)), execution.uuid, worker),
            ).fetchone()
        if row is None:
            return "lost"
        return "go on" if row["cancel_at"] is None else "cancel"

    def finish(
        self, execution: Execution, worker: str, end: End, *, result_days: int, now: datetime
    ) -> bool:
        """Write how a run ended, with its result; return whether it was still this worker's."""
        until = format_time(now + timedelta(days=result_days)) if end.result is not None else None
        content = end.result or b""
        used = msgspec.to_builtins(end.used)
        values: dict[str, object] = {
            "state": end.state,
            "finished_at": format_time(now),
            "lease_until": None,
            "config": "{}",  # it may name what belongs to nobody else, and is not needed again
            "complete": int(end.complete),
            "outcome": end.outcome[:_LONGEST_OUTCOME],
            "sandbox": end.sandbox,
            "findings": end.findings,
            "billed": int(end.billed),
            "cost_micro": cost(execution.prices, end.used) if end.billed else 0,
            "result_sha256": hashlib.sha256(content).hexdigest() if until else "",
            "result_bytes": len(content),
            "result_until": until,
            **used,
        }
        assignments = ", ".join(f"{name} = ?" for name in values)
        with step(self.connection):
            row = self.connection.execute(
                f"UPDATE plugin_executions SET {assignments}"  # noqa: S608  # names of ours
                " WHERE uuid = ? AND worker = ? AND state = 'running' RETURNING id",
                (*values.values(), execution.uuid, worker),
            ).fetchone()
            if row is not None and until is not None:
                self.connection.execute(
                    "INSERT INTO execution_results (execution_id, content) VALUES (?, ?)",
                    (row["id"], content),
                )
        return row is not None

    def fail_left(self, *, now: datetime) -> int:
        """Fail the runs whose workers let their leases run out; return how many."""
        with step(self.connection):
            return self._fail_left(now)

    def fail_all_open(self, outcome: str, *, now: datetime) -> int:
        """Fail what waits and what runs, for a reason; return how many. None of them costs."""
        with step(self.connection):
            cursor = self.connection.execute(
                "UPDATE plugin_executions SET state = 'failed', finished_at = ?, config = '{}',"
                " lease_until = NULL, outcome = ? WHERE state IN ('waiting', 'running')",
                (format_time(now), outcome),
            )
        return cursor.rowcount

    def delete_results(self, *, now: datetime) -> int:
        """Delete the results whose time is over, from the file, too; return how many."""
        moment = format_time(now)
        with step(self.connection):
            self.connection.execute("PRAGMA secure_delete = ON")
            cursor = self.connection.execute(
                "DELETE FROM execution_results WHERE execution_id IN"
                " (SELECT id FROM plugin_executions WHERE result_until <= ?)",
                (moment,),
            )
            self.connection.execute(
                "UPDATE plugin_executions SET result_until = NULL WHERE result_until <= ?",
                (moment,),
            )
        return cursor.rowcount

    # -- inside

    def _fail_left(self, now: datetime) -> int:
        moment = format_time(now)
        cursor = self.connection.execute(
            "UPDATE plugin_executions SET state = 'failed', finished_at = ?, lease_until = NULL,"
            " config = '{}', outcome = 'its worker died; an attack is never begun a second time,"
            " and this one costs nothing' WHERE state = 'running' AND lease_until <= ?",
            (moment, moment),
        )
        return cursor.rowcount

    def _one(self, where: str, values: tuple[object, ...]) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.connection.execute(
            f"SELECT {_COLUMNS} WHERE {where}", values
        ).fetchone()
        return row


def _execution(row: sqlite3.Row) -> Execution:
    values = {name: row[name] for name in Execution._fields if name in row.keys()}  # noqa: SIM118
    return Execution(
        **{
            **values,
            "cancelling": row["state"] == "running" and row["cancel_at"] is not None,
            "complete": bool(row["complete"]),
            "billed": bool(row["billed"]),
            "quotas": json.loads(row["quotas"]),
            "prices": msgspec.json.decode(row["prices"], type=PriceList),
            "used": Metered(**{name: row[name] for name in _USED}),
        }
    )


def _claimed(row: sqlite3.Row | None) -> Claimed:
    if row is None:
        raise WorkingDatabaseError("a run that was just claimed is not there")
    return Claimed(
        execution=_execution(row),
        package=row["package"],
        config=json.loads(row["config"]),
        description=row["description"] if row["target_removed"] is None else "",
        networks=tuple(json.loads(row["networks"] or "[]")),
    )
