"""The read side of the operator's working database: the queue, its checks, and what is decided.

Rules this module keeps:
- nothing is written; what blocks an approval is worked out here and decided nowhere else;
- of several checks of one name the latest counts.

Times are UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.schema import outer_id
from signing.digests import Digest
from signing.roles import blob_path

__all__ = ["Check", "MarketView", "PublisherRow", "Submission", "not_open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One submitted package; `state` is submitted, approved or rejected."""

    uuid: str
    full_id: str
    version: str
    package: Digest
    state: str
    reason: str
    submitted_at: str
    approvals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a submission: `outcome` is passed, failed or not done."""

    name: str
    outcome: str
    report: Digest
    checked_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherRow:
    """How a publisher is shown."""

    display_name: str
    url: str
    official: bool


class MarketView:
    """What a market holds. `marketplace_db.intake.Market` is the one that writes."""

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self.directory = directory
        self.connection = connection

    def blob(self, digest: Digest) -> Path:
        """Return where a stored file lies in this market."""
        return self.directory / blob_path(digest)

    def submissions(self) -> list[Submission]:
        """Return all submissions, the oldest first."""
        rows = self.connection.execute(
            "SELECT uuid, full_id, version, package, state, reason, submitted_at, (SELECT count(*)"
            " FROM approvals a WHERE a.submission_id = s.id AND a.decision = 'approve')"
            " AS approvals FROM submissions s ORDER BY id"
        )
        return [_submission(row) for row in rows]

    def submission(self, identifier: str) -> Submission:
        """Return one submission, by its id or the beginning of it that no other has.

        Raises WorkingDatabaseError.
        """
        found = [one for one in self.submissions() if one.uuid.startswith(identifier)]
        if not identifier or len(found) != 1:
            many = "several submissions" if found and identifier else "no submission"
            raise WorkingDatabaseError(
                f"{many} with the id {identifier!r:.60}",
                hint="`tavo market submissions` lists them.",
            )
        return found[0]

    def handed_in(
        self, organization: str | None, *, before: int | None, limit: int
    ) -> list[tuple[int, Submission]]:
        """Return submissions of one organisation, or of all, the newest first, with their numbers.

        `before` is the number from below which to go on.
        """
        rows = self.connection.execute(
            "SELECT id, uuid, full_id, version, package, state, reason, submitted_at,"
            " (SELECT count(*) FROM approvals a WHERE a.submission_id = s.id"
            " AND a.decision = 'approve') AS approvals FROM submissions s"
            " WHERE (? IS NULL OR organization = ?) AND (? IS NULL OR id < ?)"
            " ORDER BY id DESC LIMIT ?",
            (organization, organization, before, before, limit),
        ).fetchall()
        return [(row["id"], _submission(row)) for row in rows]

    def checks(self, submission: str) -> list[Check]:
        """Return the checks of a submission, the oldest first."""
        rows = self.connection.execute(
            "SELECT name, outcome, report, checked_at FROM checks WHERE submission_id = ?"
            " ORDER BY id",
            (self.row_of(submission)["id"],),
        )
        return [Check(**{**dict(row), "report": Digest(row["report"])}) for row in rows]

    def wheels(self, submission: str) -> dict[str, Path]:
        """Return the wheels of a submission: file name to where it is stored."""
        rows = self.connection.execute(
            "SELECT filename, digest FROM submission_wheels WHERE submission_id = ?"
            " ORDER BY filename",
            (self.row_of(submission)["id"],),
        )
        return {row["filename"]: self.blob(Digest(row["digest"])) for row in rows}

    def latest_checks(self, submission: str) -> dict[str, Check]:
        """Return the latest check of each name."""
        return {check.name: check for check in self.checks(submission)}

    def blocking(self, submission: str, required: Collection[str] = ()) -> dict[str, str]:
        """Return the checks that keep a submission from being approved, and why each does.

        Those are the ones whose latest outcome is "failed", and required ones that were not done.
        """
        latest = self.latest_checks(submission)
        found = {name: "failed" for name, check in latest.items() if check.outcome == "failed"}
        for name in required:
            if name not in latest or latest[name].outcome == "not done":
                found[name] = "was not done"
        return found

    def approvals(self, submission: str) -> list[tuple[str, str, str]]:
        """Return key, decision and time of the reviewers' statements, the oldest first."""
        rows = self.connection.execute(
            "SELECT key_id, decision, issued FROM approvals WHERE submission_id = ? ORDER BY id",
            (self.row_of(submission)["id"],),
        )
        return [(row["key_id"], row["decision"], row["issued"]) for row in rows]

    def handed_in_as(self, identifier: str) -> tuple[str, Submission] | None:
        """Return a submission by its whole id with the organisation that handed it in."""
        row = self.connection.execute(
            "SELECT id, organization FROM submissions WHERE uuid = ?", (identifier,)
        ).fetchone()
        if row is None:
            return None
        ((_, found),) = self.handed_in(None, before=row["id"] + 1, limit=1)
        return str(row["organization"]), found

    def publisher(self, name: str) -> PublisherRow | None:
        """Return how a publisher is shown, None where there is none of this name."""
        row = self.connection.execute(
            "SELECT display_name, url, official FROM publishers WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            return None
        return PublisherRow(
            display_name=row["display_name"], url=row["url"], official=bool(row["official"])
        )

    def publishers(self) -> list[str]:
        """Return the names of the publishers."""
        rows = self.connection.execute("SELECT name FROM publishers ORDER BY name")
        return [row["name"] for row in rows]

    def plugin_ids(self) -> list[str]:
        """Return the full ids of all plugins that were released or are waiting."""
        rows = self.connection.execute(
            "SELECT DISTINCT full_id FROM submissions WHERE state != 'rejected' ORDER BY full_id"
        )
        return [row["full_id"] for row in rows]

    def open_submissions(self) -> int:
        """Return how many submissions wait to be decided."""
        (count,) = self.connection.execute(
            "SELECT count(*) FROM submissions WHERE state = 'submitted'"
        ).fetchone()
        return int(count)

    def released(self) -> int:
        """Return how many releases there are, withdrawn ones too."""
        (count,) = self.connection.execute("SELECT count(*) FROM plugin_versions").fetchone()
        return int(count)

    def withdrawn(self) -> list[Digest]:
        """Return the packages of the releases that were withdrawn, also of those lifted since."""
        rows = self.connection.execute(
            "SELECT package FROM plugin_versions WHERE yanked_at IS NOT NULL ORDER BY id"
        )
        return [Digest(row["package"]) for row in rows]

    def checks_of_release(self, full_id: str, version: str) -> list[Check]:
        """Return the latest checks of the submission behind a release, none for an unknown one."""
        row = self.connection.execute(
            "SELECT s.uuid FROM plugin_versions v JOIN submissions s ON s.id = v.submission_id"
            " WHERE v.uuid = ?",
            (outer_id("version", f"{full_id}@{version}"),),
        ).fetchone()
        return [] if row is None else list(self.latest_checks(row["uuid"]).values())

    def release_of(self, full_id: str, version: str) -> Digest:
        """Return the package of a release. Raises WorkingDatabaseError if there is none."""
        row = self.connection.execute(
            "SELECT package FROM plugin_versions WHERE uuid = ?",
            (outer_id("version", f"{full_id}@{version}"),),
        ).fetchone()
        if row is None:
            raise WorkingDatabaseError(f"{full_id} {version}: was never released")
        return Digest(row["package"])

    def row_of(self, identifier: str) -> sqlite3.Row:
        """Return the row of a submission by its whole id. Raises WorkingDatabaseError."""
        row: sqlite3.Row | None = self.connection.execute(
            "SELECT * FROM submissions WHERE uuid = ?", (identifier,)
        ).fetchone()
        if row is None:
            raise WorkingDatabaseError(f"there is no submission {identifier}")
        return row


def _submission(row: sqlite3.Row) -> Submission:
    values = {name: row[name] for name in Submission.__slots__}
    return Submission(**{**values, "package": Digest(row["package"])})


def not_open(row: sqlite3.Row) -> WorkingDatabaseError:
    """Return what says that a submission was decided already."""
    return WorkingDatabaseError(
        f"{row['full_id']} {row['version']}: the submission is already {row['state']}"
    )
