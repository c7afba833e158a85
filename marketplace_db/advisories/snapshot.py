"""All advisories of some ecosystems in one SQLite file, `advisories.db`.

Rules this module keeps:
- the same records give the same bytes: a snapshot is signed as an artifact of the repository;
- a record that cannot be read ends the import with its name: a snapshot that silently lacks one
  would call something safe;
- it is opened for reading only, and what it says of itself is checked.

The file's form, version 1: `snapshot(format, records, newest)`, `advisories`, `affected`, as below.
Withdrawn advisories are not in it.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from marketplace_db.advisories.records import Advisory, Affected, affects, read_advisory
from marketplace_db.advisories.versions import normal_name
from marketplace_db.archive import ArchiveLimits, read_archive
from marketplace_db.errors import AdvisoryError
from marketplace_db.package import read_bounded
from marketplace_db.schema import forget_writer

__all__ = ["Advisories", "Match", "Snapshot", "read_records", "write_snapshot"]

APPLICATION_ID = 0x7461766A
FORMAT = 1
_LARGEST_RECORD = 4 << 20
_SQLITE = b"SQLite format 3\0"
_LIMITS = ArchiveLimits(archive_bytes=1 << 30, entries=1_000_000, total_bytes=8 << 30, ratio=1000)

_DDL = (
    "CREATE TABLE snapshot (format INTEGER NOT NULL, records INTEGER NOT NULL,"
    " newest TEXT NOT NULL) STRICT",
    "CREATE TABLE advisories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " aliases TEXT NOT NULL, summary TEXT NOT NULL, severity TEXT NOT NULL,"
    " published TEXT NOT NULL, modified TEXT NOT NULL) STRICT",
    "CREATE TABLE affected (id INTEGER PRIMARY KEY,"
    " advisory INTEGER NOT NULL REFERENCES advisories (id), ecosystem TEXT NOT NULL,"
    " package TEXT NOT NULL, versions TEXT NOT NULL, ranges TEXT NOT NULL) STRICT",
    "CREATE INDEX affected_by_package ON affected (ecosystem, package)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An advisory that is about a version; `certain` is false where that cannot be told."""

    advisory: Advisory
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How many advisories a snapshot holds, and when the newest was changed (RFC 3339)."""

    records: int
    newest: str


def read_records(source: Path) -> Iterator[Advisory]:
    """Read the records of a zip as osv.dev has it, a folder of JSON files, a file, or a snapshot.

    Raises AdvisoryError for a record that cannot be read, PackageError for a zip that is not whole,
    and OSError.
    """
    if source.is_dir():
        for path in sorted(source.rglob("*.json")):
            yield _read(read_bounded(path, _LARGEST_RECORD), str(path.relative_to(source)))
        return
    with source.open("rb") as stream:
        is_snapshot = stream.read(len(_SQLITE)) == _SQLITE
    if is_snapshot:
        with Advisories(source) as known:
            yield from known.all()
        return
    data = read_bounded(source, _LIMITS.archive_bytes)
    if not data.startswith(b"PK"):
        yield _read(data, source.name)
        return
    archive = read_archive(data, label=source.name, limits=_LIMITS)
    for entry in archive.entries:
        if entry.name.endswith(".json"):
            if entry.size > _LARGEST_RECORD:
                raise AdvisoryError(f"{source.name}: {entry.name} has {entry.size} bytes")
            yield _read(archive.read(entry), entry.name)


def write_snapshot(records: Iterable[Advisory], out: Path) -> Snapshot:
    """Write a snapshot; a withdrawn advisory is left out. Raises AdvisoryError, OSError."""
    kept = sorted(
        (one for one in records if not one.withdrawn and one.affected), key=lambda one: one.id
    )
    for before, after in itertools.pairwise(kept):
        if before.id == after.id:
            raise AdvisoryError(f"{after.id}: is there twice")
    newest = max((one.modified for one in kept), default="")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out.parent) as folder:
        made = Path(folder) / out.name
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("PRAGMA page_size = 4096")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            for statement in _DDL:
                connection.execute(statement)
            connection.execute("INSERT INTO snapshot VALUES (?, ?, ?)", (FORMAT, len(kept), newest))
            for number, one in enumerate(kept, start=1):
                connection.execute(
                    "INSERT INTO advisories VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (number, one.id, json.dumps(one.aliases), one.summary, one.severity,
                     one.published, one.modified),
                )  # fmt: skip
                connection.executemany(
                    "INSERT INTO affected (advisory, ecosystem, package, versions, ranges)"
                    " VALUES (?, ?, ?, ?, ?)",
                    [
                        (number, part.ecosystem, part.package, json.dumps(part.versions),
                         json.dumps(part.ranges))
                        for part in one.affected
                    ],
                )  # fmt: skip
            connection.commit()
            connection.execute("VACUUM")
        with made.open("r+b") as stream:
            forget_writer(stream)
            stream.flush()
            os.fsync(stream.fileno())
        made.replace(out)
    return Snapshot(records=len(kept), newest=newest)


class Advisories:
    """An open snapshot. Use it as a context manager, or call `close`."""

    def __init__(self, path: Path) -> None:
        """Open a snapshot for reading. Raises AdvisoryError if the file is not one."""
        self.path = path
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True
            )
            self._connection.execute("PRAGMA trusted_schema = OFF")
            (application,) = self._connection.execute("PRAGMA application_id").fetchone()
            if application != APPLICATION_ID:
                raise AdvisoryError(f"{path}: is not a snapshot of advisories")
            form, records, newest = self._connection.execute(
                "SELECT format, records, newest FROM snapshot"
            ).fetchone()
        except sqlite3.Error as error:
            raise AdvisoryError(f"{path}: cannot be read: {error}") from error
        if form != FORMAT:
            raise AdvisoryError(
                f"{path}: has the format {form!r:.20}, expected {FORMAT}",
                hint="Use the tavo that wrote it.",
            )
        self.info = Snapshot(records=int(records), newest=str(newest))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Advisories:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def all(self) -> Iterator[Advisory]:
        """Yield every advisory, by name. Raises AdvisoryError where the file is damaged."""
        try:
            rows = self._connection.execute(
                "SELECT a.name, a.aliases, a.summary, a.severity, a.published, a.modified,"
                " f.ecosystem, f.package, f.versions, f.ranges FROM advisories a"
                " JOIN affected f ON f.advisory = a.id ORDER BY a.name, f.id"
            )
            for _, group in itertools.groupby(rows, key=lambda row: row[0]):
                listed = list(group)
                row = listed[0]
                affected = tuple(_affected(one[6], one[7], one[8], one[9]) for one in listed)
                yield Advisory(
                    id=row[0], aliases=tuple(json.loads(row[1])), summary=row[2], severity=row[3],
                    published=row[4], modified=row[5], withdrawn="", affected=affected,
                )  # fmt: skip
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise AdvisoryError(f"{self.path}: is damaged: {error}") from error

    def about(self, ecosystem: str, package: str, version: str) -> list[Match]:
        """Return the advisories about a version of a package, by name.

        Raises AdvisoryError where the file is damaged, ValueError for an unknown ecosystem.
        """
        name = normal_name(ecosystem, package)
        found: dict[str, Match] = {}
        try:
            rows = self._connection.execute(
                "SELECT a.name, a.aliases, a.summary, a.severity, a.published, a.modified,"
                " f.versions, f.ranges FROM affected f JOIN advisories a ON a.id = f.advisory"
                " WHERE f.ecosystem = ? AND f.package = ? ORDER BY a.name",
                (ecosystem, name),
            ).fetchall()
            for row in rows:
                part = _affected(ecosystem, name, row[6], row[7])
                answer = affects(part, version)
                known = found.get(row[0])
                if answer == "no" or (known is not None and known.certain):
                    continue
                advisory = Advisory(
                    id=row[0], aliases=tuple(json.loads(row[1])), summary=row[2], severity=row[3],
                    published=row[4], modified=row[5], withdrawn="", affected=(part,),
                )  # fmt: skip
                found[row[0]] = Match(advisory=advisory, certain=answer == "yes")
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise AdvisoryError(f"{self.path}: is damaged: {error}") from error
        return list(found.values())


def _affected(ecosystem: str, package: str, versions: str, ranges: str) -> Affected:
    """Read a row of `affected`. Raises TypeError, ValueError."""
    return Affected(
        ecosystem=ecosystem,
        package=package,
        versions=tuple(json.loads(versions)),
        ranges=tuple(tuple((kind, at) for kind, at in one) for one in json.loads(ranges)),
    )


def _read(data: bytes, where: str) -> Advisory:
    try:
        return read_advisory(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise AdvisoryError(f"{where}: is not JSON: {error}") from None
    except AdvisoryError as error:
        raise AdvisoryError(f"{where}: {error}") from None
