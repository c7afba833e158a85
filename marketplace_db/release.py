"""The next catalog.db out of the market, and the blobs that go with it.

Rules this module keeps:
- the catalog is updated in place, row by row, in one transaction: rows are added and changed,
  keys are never reused, nothing that was released is changed or removed, so that few pages differ
  from the day before; only user reviews may disappear;
- the same market and the same previous catalog give the same bytes, also with another version
  of SQLite that lays out pages alike: the place where it notes its version is zero;
- an unchanged market gives back the previous catalog byte for byte;
- `out` is the previous file or the complete new one, whenever the process dies.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.intake import Market
from marketplace_db.manifest import manifest_from_json
from marketplace_db.schema import (
    CATALOG_APPLICATION_ID,
    CATALOG_DDL,
    CATALOG_PAGE_SIZE,
    CATALOG_VERSION,
)
from signing.digests import Digest, hash_file

__all__ = ["ReleasedCatalog", "release_catalog"]

_MUTABLE = {
    "publishers": ("display_name", "url", "official"),
    "plugins": (
        "name", "description", "plugin_type", "author", "license", "pricing_tier", "categories",
        "tags", "latest_version_id", "updated_at",
    ),
    "plugin_versions": ("yanked_at", "yanked_reason"),
    "wheels": (),
    "approvals": (),
    "plugin_reviews": ("rating", "title", "body"),
}  # fmt: skip
_REMOVABLE = frozenset({"plugin_reviews"})

# SQLITE_VERSION_NUMBER of the last writer, for people only (SQLite file format, section 1.3.16).
_WRITER_OFFSET = 96

_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedCatalog:
    """A new catalog file; `blobs` are the files that its rows name, for the repository."""

    path: Path
    digest: Digest
    length: int
    added: int
    changed: int
    removed: int
    blobs: tuple[Path, ...]


def release_catalog(market: Market, out: Path, *, previous: Path | None = None) -> ReleasedCatalog:
    """Write the catalog of everything that is approved to `out`, starting from `previous`.

    Raises WorkingDatabaseError when the previous catalog holds something that this market did
    not release, or released differently.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out.parent) as folder:
        work = Path(folder) / "catalog.db"
        if previous is not None:
            shutil.copyfile(previous, work)
        try:
            with closing(sqlite3.connect(work, isolation_level=None)) as connection:
                counts = _update(connection, market, new=previous is None)
        except sqlite3.Error as error:
            raise WorkingDatabaseError(f"the new catalog cannot be written: {error}") from error
        with work.open("rb+") as stream:
            if previous is None or any(counts):
                stream.seek(_WRITER_OFFSET)
                stream.write(bytes(4))
            os.fsync(stream.fileno())
        digest, length = hash_file(work)
        work.chmod(0o644)
        work.replace(out)
    return ReleasedCatalog(
        path=out,
        digest=digest,
        length=length,
        added=counts[0],
        changed=counts[1],
        removed=counts[2],
        blobs=tuple(_blobs(market)),
    )


def _update(connection: sqlite3.Connection, market: Market, *, new: bool) -> tuple[int, int, int]:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    if new:
        connection.execute(f"PRAGMA page_size = {CATALOG_PAGE_SIZE}")
        connection.execute("PRAGMA encoding = 'UTF-8'")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("PRAGMA journal_mode = DELETE")
    else:
        _check_previous(connection)
    connection.execute("BEGIN IMMEDIATE")
    if new:
        connection.execute(f"PRAGMA application_id = {CATALOG_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {CATALOG_VERSION}")
        for statement in CATALOG_DDL[CATALOG_VERSION]:
            connection.execute(statement)
    added = changed = removed = 0
    for table, (columns, rows) in _read_market(market.connection).items():
        counts = _apply(connection, table, columns, rows)
        added, changed, removed = added + counts[0], changed + counts[1], removed + counts[2]
    if new or added or changed or removed:
        connection.execute("COMMIT")
    else:
        connection.execute("ROLLBACK")
    (answer,) = connection.execute("PRAGMA quick_check").fetchone()
    if answer != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
        raise WorkingDatabaseError(f"the new catalog is damaged: {answer}")
    return added, changed, removed


def _check_previous(connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) != (CATALOG_APPLICATION_ID, CATALOG_VERSION):
        raise WorkingDatabaseError(
            f"the previous catalog has schema version {version}, expected {CATALOG_VERSION}",
            hint="Release from the catalog that this version of tavo wrote last.",
        )


def _apply(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[_Row]
) -> tuple[int, int, int]:
    """Make one table equal to `rows`, keyed by the first column; return what was done."""
    names = ", ".join(columns)
    found: dict[int, _Row] = {
        row[0]: tuple(row)
        for row in connection.execute(f"SELECT {names} FROM {table}")  # noqa: S608
    }
    mutable = _MUTABLE[table]
    inserts: list[_Row] = []
    updates: list[_Row] = []
    for row in rows:
        before = found.pop(row[0], None)
        if before is None:
            inserts.append(row)
        elif before != row:
            _check_immutable(table, columns, before, row)
            updates.append((*(row[columns.index(column)] for column in mutable), row[0]))
    if found and table not in _REMOVABLE:
        raise WorkingDatabaseError(
            f"the previous catalog has row {min(found)} in {table}, which this market never had",
            hint="Restore the market from its backup, or start from the right catalog.",
        )
    marks = ", ".join("?" * len(columns))
    connection.executemany(
        f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
        sorted(inserts),
    )
    if updates:
        assignments = ", ".join(f"{column} = ?" for column in mutable)
        connection.executemany(
            f"UPDATE {table} SET {assignments} WHERE id = ?",  # noqa: S608
            updates,
        )
    connection.executemany(
        f"DELETE FROM {table} WHERE id = ?",  # noqa: S608
        [(key,) for key in sorted(found)],
    )
    return len(inserts), len(updates), len(found)


def _check_immutable(table: str, columns: Sequence[str], before: _Row, row: _Row) -> None:
    for column, old, new in zip(columns, before, row, strict=True):
        lifted = column in {"yanked_at", "yanked_reason"} and old is not None
        if old != new and (column not in _MUTABLE[table] or lifted):
            raise WorkingDatabaseError(
                f"row {row[0]} of {table} was released with another {column}: releases never"
                " change",
                hint="Restore the market from its backup.",
            )


def _wanted(market: sqlite3.Connection) -> dict[str, tuple[tuple[str, ...], list[_Row]]]:
    """Read what the catalog has to hold, table by table, in the order of their references."""
    versions = market.execute(
        "SELECT v.*, u.name || '/' || p.plugin_id AS full_id, p.publisher_id, p.uuid AS"
        " plugin_uuid, p.plugin_id AS slug, p.created_at FROM plugin_versions v"
        " JOIN plugins p ON p.id = v.plugin_id JOIN publishers u ON u.id = p.publisher_id"
        " ORDER BY v.id"
    ).fetchall()
    plugins: dict[int, list[sqlite3.Row]] = {}
    for row in versions:
        plugins.setdefault(row["plugin_id"], []).append(row)
    return {
        "publishers": (
            ("id", "uuid", "name", "display_name", "url", "official", "created_at"),
            [tuple(row) for row in market.execute(
                "SELECT id, uuid, name, display_name, url, official, created_at"
                " FROM publishers ORDER BY id"
            )],
        ),
        "plugins": (
            ("id", "uuid", "publisher_id", "plugin_id", "full_id", "name", "description",
             "plugin_type", "author", "license", "pricing_tier", "categories", "tags",
             "latest_version_id", "created_at", "updated_at"),
            [_plugin_row(plugins[key]) for key in sorted(plugins)],
        ),
        "plugin_versions": (
            ("id", "uuid", "plugin_id", "seq", "version", "api", "package", "package_length",
             "manifest_digest", "lock_digest", "permission_digest", "publisher_envelope",
             "manifest", "published_at", "yanked_at", "yanked_reason"),
            [_version_row(row) for row in versions],
        ),
        "wheels": (
            ("id", "plugin_version_id", "filename", "digest", "length"),
            [(row[0], row[1], row[2], bytes.fromhex(row[3]), row[4]) for row in market.execute(
                "SELECT w.id, v.id, w.filename, w.digest, w.length FROM submission_wheels w"
                " JOIN plugin_versions v ON v.submission_id = w.submission_id ORDER BY w.id"
            )],
        ),
        "approvals": (
            ("id", "plugin_version_id", "key_id", "envelope", "issued"),
            [(row[0], row[1], row[2], bytes.fromhex(row[3]), row[4]) for row in market.execute(
                "SELECT a.id, v.id, a.key_id, a.envelope, a.issued FROM approvals a"
                " JOIN plugin_versions v ON v.submission_id = a.submission_id"
                " WHERE a.decision = 'approve' ORDER BY a.id"
            )],
        ),
        "plugin_reviews": (
            ("id", "uuid", "plugin_version_id", "author", "rating", "title", "body", "created_at"),
            [tuple(row) for row in market.execute(
                "SELECT id, uuid, plugin_version_id, author, rating, title, body, created_at"
                " FROM plugin_reviews WHERE state = 'published' ORDER BY id"
            )],
        ),
    }  # fmt: skip


def _read_market(market: sqlite3.Connection) -> dict[str, tuple[tuple[str, ...], list[_Row]]]:
    """Read the market as it is at one moment, whatever is approved meanwhile."""
    market.execute("BEGIN")
    try:
        return _wanted(market)
    finally:
        market.execute("ROLLBACK")


def _version_row(row: sqlite3.Row) -> _Row:
    digests = [
        None if row[name] is None else bytes.fromhex(row[name])
        for name in ("manifest_digest", "lock_digest", "permission_digest", "publisher_envelope")
    ]
    return (
        row["id"], row["uuid"], row["plugin_id"], row["seq"], row["version"], row["api"],
        bytes.fromhex(row["package"]), row["package_length"], *digests, row["manifest"],
        row["published_at"], row["yanked_at"], row["yanked_reason"],
    )  # fmt: skip


def _plugin_row(versions: list[sqlite3.Row]) -> _Row:
    """Describe a plugin by its newest version, a final one that is not yanked if there is one."""
    from packaging.version import Version

    def rank(row: sqlite3.Row) -> tuple[bool, bool, Version]:
        version = Version(row["version"])
        return row["yanked_at"] is None, not version.is_prerelease, version

    newest = max(versions, key=rank)
    manifest = manifest_from_json(newest["manifest"])
    return (
        newest["plugin_id"], newest["plugin_uuid"], newest["publisher_id"], newest["slug"],
        newest["full_id"], manifest.name, manifest.description, manifest.plugin_type,
        manifest.author, manifest.license, manifest.pricing_tier,
        json.dumps(list(manifest.categories)), json.dumps(list(manifest.tags)),
        newest["id"] if newest["yanked_at"] is None else None, newest["created_at"],
        max(row["published_at"] for row in versions),
    )  # fmt: skip


def _blobs(market: Market) -> list[Path]:
    """Return the files of all released rows: packages, wheels, statements, vetting reports."""
    queries = (
        "SELECT package FROM plugin_versions",
        "SELECT publisher_envelope FROM plugin_versions",
        "SELECT w.digest FROM submission_wheels w JOIN plugin_versions v"
        " ON v.submission_id = w.submission_id",
        "SELECT a.envelope FROM approvals a JOIN plugin_versions v"
        " ON v.submission_id = a.submission_id WHERE a.decision = 'approve'",
        "SELECT c.report FROM checks c JOIN plugin_versions v ON v.submission_id = c.submission_id",
    )
    digests = {row[0] for query in queries for row in market.connection.execute(query)}
    return [market.blob(Digest(digest)) for digest in sorted(digests)]
