"""What waits for a worker: rows that are claimed for a time, done once, and never forgotten.

Rules this module keeps:
- of one kind and subject at most one job is open: asking twice is asking once;
- a claim is a lease: when its worker dies, the job waits again, a bounded number of times, and then
  it has failed and says so;
- a worker whose lease ran out cannot finish the job that another one has by now.

Units: seconds, times UTC; both come in as arguments.
"""

from __future__ import annotations

import sqlite3
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from marketplace_db.transaction import step
from signing.roles import format_time

__all__ = ["Job", "Jobs"]

_MOST_ATTEMPTS = 3
_LONGEST_OUTCOME = 500


class Job(NamedTuple):
    """One job. `kind` is vet or release, `subject` a submission's id or empty."""

    uuid: str
    kind: str
    subject: str
    attempts: int


class Jobs:
    """The queue in a market's database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def ask(self, kind: str, subject: str, *, now: datetime) -> None:
        """Put a job into the queue, unless the same one is open."""
        with step(self.connection):
            self.connection.execute(
                "INSERT INTO jobs (uuid, kind, subject, state, created_at)"
                " VALUES (?, ?, ?, 'waiting', ?) ON CONFLICT DO NOTHING",
                (str(uuid.uuid4()), kind, subject, format_time(now)),
            )

    def ask_for_new(self, *, now: datetime) -> int:
        """Ask for the vetting of each open submission that nobody asked for yet; return how many.

        Such are those that the operator took in, and one of a server that was killed in between.
        """
        with step(self.connection):
            rows = self.connection.execute(
                "SELECT uuid FROM submissions s WHERE state = 'submitted' AND NOT EXISTS"
                " (SELECT 1 FROM jobs j WHERE j.kind = 'vet' AND j.subject = s.uuid)"
            ).fetchall()
            self.connection.executemany(
                "INSERT INTO jobs (uuid, kind, subject, state, created_at)"
                " VALUES (?, 'vet', ?, 'waiting', ?)",
                [(str(uuid.uuid4()), row["uuid"], format_time(now)) for row in rows],
            )
        return len(rows)

    def claim(self, worker: str, *, lease_s: float, now: datetime) -> Job | None:
        """Take the oldest job that waits, or whose worker let its lease run out; None for none."""
        moment = format_time(now)
        with step(self.connection):
            self.connection.execute(
                "UPDATE jobs SET state = 'failed', finished_at = ?,"
                " outcome = 'its worker died ' || attempts || ' times'"
                " WHERE state = 'running' AND lease_until <= ? AND attempts >= ?",
                (moment, moment, _MOST_ATTEMPTS),
            )
            row = self.connection.execute(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = ?,"
                " lease_until = ? WHERE id = (SELECT id FROM jobs WHERE state = 'waiting'"
                " OR (state = 'running' AND lease_until <= ?) ORDER BY id LIMIT 1)"
                " RETURNING uuid, kind, subject, attempts",
                (worker, format_time(now + timedelta(seconds=lease_s)), moment),
            ).fetchone()
        return None if row is None else Job(**dict(row))

    def renew(self, job: Job, worker: str, *, lease_s: float, now: datetime) -> bool:
        """Keep a claim for longer; return whether it is still this worker's."""
        with step(self.connection):
            cursor = self.connection.execute(
                "UPDATE jobs SET lease_until = ?"
                " WHERE uuid = ? AND worker = ? AND state = 'running'",
                (format_time(now + timedelta(seconds=lease_s)), job.uuid, worker),
            )
        return cursor.rowcount == 1

    def finish(self, job: Job, worker: str, *, failed: str = "", now: datetime) -> bool:
        """Record that a job is done, or why it failed; return whether it was this worker's."""
        with step(self.connection):
            cursor = self.connection.execute(
                "UPDATE jobs SET state = ?, outcome = ?, finished_at = ?, lease_until = NULL"
                " WHERE uuid = ? AND worker = ? AND state = 'running'",
                (
                    "failed" if failed else "done", failed[:_LONGEST_OUTCOME], format_time(now),
                    job.uuid, worker,
                ),
            )  # fmt: skip
        return cursor.rowcount == 1

    def put_back(self, worker: str) -> int:
        """Let the jobs of a worker that ends in order wait again, as if it had not begun them."""
        with step(self.connection):
            cursor = self.connection.execute(
                "UPDATE jobs SET state = 'waiting', worker = '', lease_until = NULL,"
                " attempts = attempts - 1 WHERE state = 'running' AND worker = ?",
                (worker,),
            )
        return cursor.rowcount

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        rows = self.connection.execute("SELECT state, count(*) AS jobs FROM jobs GROUP BY state")
        found = {row["state"]: int(row["jobs"]) for row in rows}
        return {state: found.get(state, 0) for state in ("waiting", "running", "done", "failed")}
