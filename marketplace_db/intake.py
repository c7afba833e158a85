"""The write side: the operator's working database, from a submission to an approved release.

Rules this module keeps:
- every step is one transaction; files are stored by digest before the row that names them;
- what an installation would refuse is refused at submission: package, wheels and publisher's
  statement are checked by the same code;
- approving asks the same question as installing (`marketplace_db.acceptance`), so nothing is
  released that a client would turn down;
- a check that failed, or a required one that was not done, is let pass only by reviewers who say so
  in their signed statements, each for the very report that they name;
- releases are never changed or deleted; a yank only adds to them.

A market is a folder: `market.db` and `blobs/sha256/…`. Times are UTC and come in as arguments.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path
from types import TracebackType

from marketplace_db.acceptance import accept
from marketplace_db.approved import (
    insert_release,
    prospect,
    verified_publisher,
    verified_review,
)
from marketplace_db.catalog import ReleaseRow, WheelRow
from marketplace_db.errors import NotAcceptedError, WorkingDatabaseError
from marketplace_db.market_view import Check, MarketView, Submission, not_open
from marketplace_db.origins import ORIGINS, origins_report, wheel_origins
from marketplace_db.package import InspectedPackage, inspect_package
from marketplace_db.schema import outer_id, upgrade_market
from marketplace_db.transaction import step
from marketplace_db.wheel import check_wheel
from signing.attest import (
    VerifiedStatement,
)
from signing.digests import Digest
from signing.files import write_atomically
from signing.publishers import Publishers
from signing.roles import format_time

__all__ = ["Check", "Market", "Submission"]

_OUTCOMES = ("passed", "failed", "not done")
_BUSY_S = 15.0
_NOT_WRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_WRITABLE = (
    "Whoever opens it, also to look, must be able to write the file and its folder: do it as the"
    " user who runs the service."
)


class Market(MarketView):
    """An open market. Use it as a context manager, or call `close`."""

    @classmethod
    def open(cls, directory: Path, *, any_thread: bool = False) -> Market:
        """Open the market in a folder, create it or upgrade it.

        With `any_thread` another thread may close it. Raises WorkingDatabaseError, OSError.
        """
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "market.db"
        try:
            connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=not any_thread)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            upgrade_market(connection, place=str(path))
        except sqlite3.Error as error:
            kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise WorkingDatabaseError(
                f"{path}: cannot be opened: {error}",
                hint=_WRITABLE if kind in _NOT_WRITABLE else "",
            ) from error
        return cls(directory, connection)

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def __enter__(self) -> Market:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def file(self) -> Path:
        """Return where the database lies."""
        return self.directory / "market.db"

    def register_publisher(
        self,
        name: str,
        *,
        display_name: str,
        url: str = "",
        official: bool = False,
        now: datetime,
    ) -> None:
        """Add a publisher, or change how a known one is shown.

        Its keys are not here: they stand in the offline role's document.
        """
        with self._step():
            self.connection.execute(
                "INSERT INTO publishers (uuid, name, display_name, url, official, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " display_name = excluded.display_name, url = excluded.url,"
                " official = excluded.official",
                (
                    outer_id("publisher", name), name, display_name, url, int(official),
                    format_time(now),
                ),
            )  # fmt: skip

    def submit(
        self,
        package: Path,
        publisher_envelope: bytes,
        *,
        wheels: Mapping[str, Path] | None = None,
        unverified_lengths: Mapping[str, int] | None = None,
        builds: Mapping[str, bytes] | None = None,
        publishers: Publishers,
        organization: str = "",
        now: datetime,
    ) -> str:
        """Take in a package with its publisher's statement and its wheels, by file name.

        `unverified_lengths` are for wheels that are not handed in: the catalog names them by the
        lock's digest, and nobody has looked into them. Only a build for one system does that.

        `organization` is who handed it in over the API, empty for the operator. `builds` are the
        statements about wheels that the publisher built out of sources; every other wheel must be
        found in an index by those who review. What is known about each is recorded as the check
        "wheel origins". Return the submission's id. Raises PackageError, ManifestError,
        AttestationError, and WorkingDatabaseError for an unknown publisher or a version that is
        here already.
        """
        inspected = inspect_package(package)
        manifest = inspected.manifest
        publisher_id = self._publisher(manifest.publisher)
        self._check_new(manifest.full_id, manifest.version)
        verified_publisher(inspected, publisher_envelope, publishers)
        found = self._check_wheels(inspected, wheels or {}, unverified_lengths or {})
        origins = wheel_origins(inspected, builds or {}, publishers)
        self._store(package.read_bytes(), inspected.digest)
        envelope = self._store(publisher_envelope)
        report = self._store(origins_report(origins)) if origins else None
        identifier = str(uuid.uuid4())
        with self._step():
            self._check_new(manifest.full_id, manifest.version)  # nobody was faster meanwhile
            cursor = self.connection.execute(
                "INSERT INTO submissions (uuid, publisher_id, full_id, version, package,"
                " package_length, publisher_envelope, state, submitted_at, organization)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'submitted', ?, ?)",
                (
                    identifier, publisher_id, manifest.full_id, manifest.version,
                    inspected.digest.hex, inspected.length, envelope.hex, format_time(now),
                    organization,
                ),
            )  # fmt: skip
            self.connection.executemany(
                "INSERT INTO submission_wheels (submission_id, filename, digest, length)"
                " VALUES (?, ?, ?, ?)",
                [
                    (cursor.lastrowid, wheel.filename, wheel.digest.hex, wheel.length)
                    for wheel in found
                ],
            )
            if report is not None:
                done = "passed" if all(one.build for one in origins) else "not done"
                self._insert_check(cursor.lastrowid, ORIGINS, done, report, now)
        return identifier

    def record_check(
        self, submission: str, *, name: str, outcome: str, report: bytes, now: datetime
    ) -> Digest:
        """Store a vetting report; return its digest, which reviewers name in their statements."""
        if outcome not in _OUTCOMES:
            raise ValueError(f"{outcome!r} is not one of {_OUTCOMES}")
        row = self.row_of(submission)
        digest = self._store(report)
        with self._step():
            self._insert_check(row["id"], name, outcome, digest, now)
        return digest

    def record_review(
        self,
        submission: str,
        envelope: bytes,
        *,
        publishers: Publishers,
        required: Collection[str] = (),
        now: datetime,
    ) -> str:
        """Store a reviewer's signed statement; return its decision, "approve" or "reject".

        A reviewer's later statement replaces the earlier one. `required` are the checks without
        which nothing is approved. Raises AttestationError for keys that may not review and for
        statements about something else, NotAcceptedError for an approval that does not say why a
        check that failed is let pass.
        """
        row = self.row_of(submission)
        if row["state"] != "submitted":
            raise not_open(row)
        decision, statement = verified_review(row, envelope, publishers)
        if decision == "approve":
            self._check_vetted(row, [statement], required)
        digest = self._store(envelope)
        with self._step():
            self.connection.execute(
                "INSERT INTO approvals (submission_id, key_id, decision, envelope, reports,"
                " issued, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (submission_id, key_id) DO UPDATE SET decision = excluded.decision,"
                " envelope = excluded.envelope, reports = excluded.reports,"
                " issued = excluded.issued, recorded_at = excluded.recorded_at",
                (
                    row["id"], statement.key_id, decision, digest.hex,
                    json.dumps([report.hex for report in statement.reports]),
                    format_time(statement.issued), format_time(now),
                ),
            )  # fmt: skip
        return decision

    def approve(
        self,
        submission: str,
        *,
        publishers: Publishers,
        required: Collection[str] = (),
        now: datetime,
    ) -> ReleaseRow:
        """Make a release of a submission that a client would accept; it gets the next `seq`.

        Raises NotAcceptedError and AttestationError when a client would refuse it or a check
        blocks it, and WorkingDatabaseError when a reviewer rejected it.
        """
        row = self.row_of(submission)
        if row["state"] != "submitted":
            raise not_open(row)
        reviews = self.connection.execute(
            "SELECT key_id, decision, envelope FROM approvals WHERE submission_id = ? ORDER BY id",
            (row["id"],),
        ).fetchall()
        for review in reviews:
            if review["decision"] == "reject":
                raise WorkingDatabaseError(
                    f"{row['full_id']} {row['version']}: the reviewer with key"
                    f" {review['key_id'][:12]} rejected it",
                    hint="Reject the submission, or ask the reviewer for a new statement.",
                )
        release = prospect(self, row, [Digest(review["envelope"]) for review in reviews], now)
        accepted = accept(
            release,
            publishers,
            self.blob(release.package),
            self.blob(release.publisher_envelope).read_bytes(),
            [self.blob(digest).read_bytes() for digest in release.reviewer_envelopes],
        )
        self._check_vetted(row, accepted.reviews, required)
        with self._step():
            insert_release(self.connection, row, release)
            self.connection.execute(
                "UPDATE submissions SET state = 'approved', decided_at = ? WHERE id = ?",
                (format_time(now), row["id"]),
            )
        return release

    def reject(self, submission: str, *, reason: str, now: datetime) -> None:
        """Close a submission without a release."""
        row = self.row_of(submission)
        if row["state"] != "submitted":
            raise not_open(row)
        with self._step():
            self.connection.execute(
                "UPDATE submissions SET state = 'rejected', reason = ?, decided_at = ?"
                " WHERE id = ?",
                (reason, format_time(now), row["id"]),
            )

    def yank(self, full_id: str, version: str, *, reason: str, now: datetime) -> None:
        """Withdraw a release from the next catalog on; the first reason stays."""
        with self._step():
            done = self.connection.execute(
                "UPDATE plugin_versions SET yanked_at = coalesce(yanked_at, ?),"
                " yanked_reason = coalesce(yanked_reason, ?) WHERE uuid = ?",
                (format_time(now), reason, outer_id("version", f"{full_id}@{version}")),
            )
            if not done.rowcount:
                raise WorkingDatabaseError(f"{full_id} {version}: was never released")

    def check_not_lifted(self, full_id: str, version: str, publishers: Publishers) -> None:
        """Raise WorkingDatabaseError for a release that no online key may withdraw again."""
        if self.release_of(full_id, version) in publishers.unyanked:
            raise WorkingDatabaseError(
                f"{full_id} {version}: was withdrawn and lifted, so it cannot be withdrawn again",
                hint="The holders of the offline keys can recall it: `tavo market revoke`.",
            )

    def use_wal(self) -> None:
        """Let readers and the writer not wait for each other; what is committed stays committed.

        The file keeps this mode. Raises WorkingDatabaseError where it cannot be had.
        """
        try:
            (mode,) = self.connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.Error as error:
            raise WorkingDatabaseError(f"{self.file}: {error}") from error
        if mode != "wal":
            raise WorkingDatabaseError(
                f"{self.file}: is in the mode {mode}, expected WAL",
                hint="Keep the market on a disk of this machine, not on a network drive.",
            )

    def backup(self, destination: Path) -> None:
        """Copy the database as it is at one moment into a new file. Raises OSError."""
        try:
            with closing(sqlite3.connect(destination)) as copy:
                self.connection.backup(copy)
        except sqlite3.Error as error:
            raise WorkingDatabaseError(f"{destination}: cannot be written: {error}") from error

    # -- inside

    def _step(self) -> AbstractContextManager[None]:
        return step(self.connection)

    def _store(self, data: bytes, expected: Digest | None = None) -> Digest:
        digest = Digest.of(data)
        if expected is not None and digest != expected:
            raise WorkingDatabaseError("the package changed while it was being read")
        path = self.blob(digest)
        if not path.exists():
            write_atomically(path, data)
        return digest

    def _publisher(self, name: str) -> int:
        row = self.connection.execute(
            "SELECT id FROM publishers WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            raise WorkingDatabaseError(
                f"there is no publisher {name!r} in this market", hint="Register it first."
            )
        return int(row["id"])

    def _check_new(self, full_id: str, version: str) -> None:
        row = self.connection.execute(
            "SELECT state FROM submissions WHERE full_id = ? AND version = ?"
            " AND state != 'rejected'",
            (full_id, version),
        ).fetchone()
        if row is not None:
            raise WorkingDatabaseError(
                f"{full_id} {version} is already here ({row['state']})",
                hint="A version is never replaced: raise the version number.",
            )

    def _check_wheels(
        self, inspected: InspectedPackage, wheels: Mapping[str, Path], lengths: Mapping[str, int]
    ) -> list[WheelRow]:
        locked = {wheel.filename: wheel.digest for wheel in inspected.locked}
        if missing := sorted(set(locked) - set(wheels) - set(lengths)):
            raise WorkingDatabaseError(
                f"the wheel {missing[0]} is locked, but was not submitted",
                hint="Hand in every wheel that requirements.lock names.",
            )
        if extra := sorted(set(wheels) - set(locked)):
            raise WorkingDatabaseError(f"the wheel {extra[0]} is not in requirements.lock")
        found = []
        for filename, digest in sorted(locked.items()):
            if filename not in wheels:
                row = WheelRow(filename=filename, digest=digest, length=lengths[filename])
                found.append(row)
                continue
            data = check_wheel(wheels[filename], digest, filename=filename).data
            self._store(data)
            found.append(WheelRow(filename=filename, digest=digest, length=len(data)))
        return found

    def _insert_check(
        self, submission_id: int | None, name: str, outcome: str, report: Digest, now: datetime
    ) -> None:
        self.connection.execute(
            "INSERT INTO checks (submission_id, name, outcome, report, checked_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (submission_id, name, outcome, report.hex, format_time(now)),
        )

    def _check_vetted(
        self, row: sqlite3.Row, reviews: Sequence[VerifiedStatement], required: Collection[str]
    ) -> None:
        """Raise NotAcceptedError unless each review lets every blocking check pass by name.

        An override counts for the report that its reviewer has named, never for a later one.
        """
        latest = self.latest_checks(row["uuid"])
        for name, why in sorted(self.blocking(row["uuid"], required).items()):
            report = latest[name].report if name in latest else None
            for review in reviews:
                if name in review.overrides and (report is None or report in review.reports):
                    continue
                stale = " as it is now" if name in review.overrides else ""
                first = "" if why == "failed" else "Do it: `tavo market vet`. "
                raise NotAcceptedError(
                    f"{row['full_id']} {row['version']}: the check {name} {why}, and the reviewer"
                    f" with key {review.key_id[:12]} does not let that pass{stale}",
                    hint=f"{first}Else reject it, or approve it with --although {name}=REASON,"
                    " which users read.",
                )
