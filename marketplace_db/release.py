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
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.intake import Market
from marketplace_db.manifest import manifest_from_json
from marketplace_db.schema import (
    CATALOG_APPLICATION_ID,
    CATALOG_DDL,
    CATALOG_PAGE_SIZE,
    CATALOG_VERSION,
    forget_writer,
)
from signing.digests import Digest, hash_file

if TYPE_CHECKING:
    from packaging.version import Version

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

# What the catalog has to hold, table by table, in the order of their references; digests are
# hexadecimal in the market.
_TABLES = (
    "publishers", "plugins", "plugin_versions", "wheels", "approvals", "plugin_reviews",
)  # fmt: skip
_DIGESTS = frozenset({
    "package", "manifest_digest", "lock_digest", "permission_digest", "publisher_envelope",
    "digest", "envelope",
})  # fmt: skip
_PLUGIN_COLUMNS = (
    "id", "uuid", "publisher_id", "plugin_id", "full_id", "name", "description", "plugin_type",
    "author", "license", "pricing_tier", "categories", "tags", "latest_version_id", "created_at",
    "updated_at",
)  # fmt: skip
_WANTED: dict[str, tuple[tuple[str, ...], str]] = {
    "publishers": (
        ("id", "uuid", "name", "display_name", "url", "official", "created_at"),
        "SELECT id, uuid, name, display_name, url, official, created_at FROM market.publishers",
    ),
    "plugin_versions": (
        ("id", "uuid", "plugin_id", "seq", "version", "api", "package", "package_length",
         "manifest_digest", "lock_digest", "permission_digest", "publisher_envelope", "manifest",
         "published_at", "yanked_at", "yanked_reason"),
        "SELECT id, uuid, plugin_id, seq, version, api, package, package_length, manifest_digest,"
        " lock_digest, permission_digest, publisher_envelope, manifest, published_at, yanked_at,"
        " yanked_reason FROM market.plugin_versions",
    ),
    "wheels": (
        ("id", "plugin_version_id", "filename", "digest", "length"),
        "SELECT w.id, v.id AS plugin_version_id, w.filename, w.digest, w.length"
        " FROM market.submission_wheels w"
        " JOIN market.plugin_versions v ON v.submission_id = w.submission_id",
    ),
    "approvals": (
        ("id", "plugin_version_id", "key_id", "envelope", "issued"),
        "SELECT a.id, v.id AS plugin_version_id, a.key_id, a.envelope, a.issued"
        " FROM market.approvals a JOIN market.plugin_versions v"
        " ON v.submission_id = a.submission_id WHERE a.decision = 'approve'",
    ),
    "plugin_reviews": (
        ("id", "uuid", "plugin_version_id", "author", "rating", "title", "body", "created_at"),
        "SELECT id, uuid, plugin_version_id, author, rating, title, body, created_at"
        " FROM market.plugin_reviews WHERE state = 'published'",
    ),
}  # fmt: skip

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


def release_catalog(
    market: Market,
    out: Path,
    *,
    previous: Path | None = None,
    stored: bool = False,
) -> ReleasedCatalog:
    """Write the catalog of everything that is approved to `out`, starting from `previous`.

    `stored` says that the blobs of all rows of `previous` are stored where they are needed, as
    they are when it is what a repository has published. Raises WorkingDatabaseError when the
    previous catalog holds something that this market did not release, or released differently.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out.parent) as folder:
        work = Path(folder) / "catalog.db"
        if previous is not None:
            shutil.copyfile(previous, work)
        try:
            with closing(sqlite3.connect(work, isolation_level=None, uri=True)) as connection:
                since = _newest(connection) if stored and previous is not None else (0, 0)
                counts = _update(connection, market, new=previous is None)
        except sqlite3.Error as error:
            raise WorkingDatabaseError(f"the new catalog cannot be written: {error}") from error
        with work.open("rb+") as stream:
            if previous is None or any(counts):
                forget_writer(stream)
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
        blobs=tuple(_blobs(market, since)),
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
    # The market as it is at one moment, whatever is approved meanwhile.
    connection.execute("ATTACH ? AS market", (f"{market.file.resolve().as_uri()}?mode=ro",))
    connection.execute("BEGIN IMMEDIATE")
    if new:
        connection.execute(f"PRAGMA application_id = {CATALOG_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {CATALOG_VERSION}")
        for statement in CATALOG_DDL[CATALOG_VERSION]:
            connection.execute(statement)
    added = changed = removed = 0
    for table in _TABLES:
        counts = _apply(connection, table)
        added, changed, removed = added + counts[0], changed + counts[1], removed + counts[2]
    if new or added or changed or removed:
        connection.execute("COMMIT")
    else:
        connection.execute("ROLLBACK")
    connection.execute("DETACH market")
    (answer,) = connection.execute("PRAGMA quick_check").fetchone()
    if answer != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
        raise WorkingDatabaseError(f"the new catalog is damaged: {answer}")
    return added, changed, removed


def _newest(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the keys of the last release and the last approval of a catalog."""
    release, approval = connection.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM plugin_versions),"
        " (SELECT coalesce(max(id), 0) FROM approvals)"
    ).fetchone()
    return int(release), int(approval)


def _check_previous(connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) != (CATALOG_APPLICATION_ID, CATALOG_VERSION):
        raise WorkingDatabaseError(
            f"the previous catalog has schema version {version}, expected {CATALOG_VERSION}",
            hint="Release from the catalog that this version of tavo wrote last.",
        )


def _apply(connection: sqlite3.Connection, table: str) -> tuple[int, int, int]:
    """Make one table equal to what the market says, by its keys; return what was done."""
    columns, rows, gone = (_plugins if table == "plugins" else _differing)(connection, table)
    names = ", ".join(columns)
    mutable = _MUTABLE[table]
    inserts: list[_Row] = []
    updates: list[_Row] = []
    for row in rows:
        before = connection.execute(
            f"SELECT {names} FROM main.{table} WHERE id = ?",  # noqa: S608
            (row[0],),
        ).fetchone()
        if before is None:
            inserts.append(row)
        else:
            _check_immutable(table, columns, before, row)
            updates.append((*(row[columns.index(column)] for column in mutable), row[0]))
    if gone and table not in _REMOVABLE:
        raise WorkingDatabaseError(
            f"the previous catalog has row {min(gone)} in {table}, which this market never had",
            hint="Restore the market from its backup, or start from the right catalog.",
        )
    marks = ", ".join("?" * len(columns))
    connection.executemany(
        f"INSERT INTO main.{table} ({names}) VALUES ({marks})",  # noqa: S608
        sorted(inserts),
    )
    if updates:
        assignments = ", ".join(f"{column} = ?" for column in mutable)
        connection.executemany(
            f"UPDATE main.{table} SET {assignments} WHERE id = ?",  # noqa: S608
            updates,
        )
    connection.executemany(
        f"DELETE FROM main.{table} WHERE id = ?",  # noqa: S608
        [(key,) for key in sorted(gone)],
    )
    return len(inserts), len(updates), len(gone)


def _check_immutable(table: str, columns: Sequence[str], before: _Row, row: _Row) -> None:
    for column, old, new in zip(columns, before, row, strict=True):
        lifted = column in {"yanked_at", "yanked_reason"} and old is not None
        if old != new and (column not in _MUTABLE[table] or lifted):
            raise WorkingDatabaseError(
                f"row {row[0]} of {table} was released with another {column}: releases never"
                " change",
                hint="Restore the market from its backup.",
            )


def _differing(
    connection: sqlite3.Connection, table: str
) -> tuple[tuple[str, ...], list[_Row], list[int]]:
    """Return the columns, the market's rows that the catalog lacks or has otherwise, keys it lost.

    SQLite compares: of a large catalog a handful of rows comes back.
    """
    columns, wanted = _WANTED[table]
    differ = " OR ".join(
        f"w.{column} IS NOT "
        + (f"CASE WHEN c.{column} IS NOT NULL THEN hex(c.{column}) END COLLATE NOCASE"
           if column in _DIGESTS else f"c.{column}")
        for column in columns
    )  # fmt: skip
    rows = connection.execute(
        f"SELECT w.*, c.id IS NULL FROM ({wanted}) w LEFT JOIN main.{table} c"  # noqa: S608
        f" ON c.id = w.id WHERE c.id IS NULL OR {differ}"
    )
    binary = [column in _DIGESTS for column in columns]
    found, new = [], 0
    for *row, is_new in rows:
        new += is_new
        found.append(tuple(
            bytes.fromhex(value) if is_digest and value is not None else value
            for value, is_digest in zip(row, binary, strict=True)
        ))  # fmt: skip
    return columns, found, _gone(connection, table, wanted, new)


def _gone(connection: sqlite3.Connection, table: str, wanted: str, new: int) -> list[int]:
    """Return the keys that the catalog has and the market, of which `new` rows are new, has not.

    Counting costs half of what looking for them does, and there is hardly ever one.
    """
    here, there = connection.execute(
        f"SELECT (SELECT count(*) FROM main.{table}), (SELECT count(*) FROM ({wanted}))"  # noqa: S608
    ).fetchone()
    if here == there - new:
        return []
    gone = connection.execute(
        f"SELECT id FROM main.{table} EXCEPT SELECT id FROM ({wanted})"  # noqa: S608
    )
    return [key for (key,) in gone]


def _plugins(
    connection: sqlite3.Connection, table: str
) -> tuple[tuple[str, ...], list[_Row], list[int]]:
    """Return the same of the plugins, each described by its newest version."""
    columns = _PLUGIN_COLUMNS
    newest = _newest_versions(connection)
    manifests = dict(
        connection.execute(
            "SELECT id, manifest FROM market.plugin_versions"
            " WHERE id IN (SELECT value FROM json_each(?))",
            [json.dumps([version for version, _, _ in newest.values()])],
        )
    )
    known: dict[int, _Row] = {
        row[0]: row
        for row in connection.execute(f"SELECT {', '.join(columns)} FROM main.{table}")  # noqa: S608
    }
    found = []
    for row in connection.execute(
        "SELECT p.id, p.uuid, p.publisher_id, p.plugin_id, u.name || '/' || p.plugin_id,"
        " p.created_at FROM market.plugins p JOIN market.publishers u ON u.id = p.publisher_id"
        " ORDER BY p.id"
    ).fetchall():
        if row[0] in newest:
            wanted = _plugin_row(row, newest[row[0]], manifests[newest[row[0]][0]])
            if known.pop(row[0], None) != wanted:
                found.append(wanted)
    return columns, found, list(known)


def _newest_versions(connection: sqlite3.Connection) -> dict[int, tuple[int, bool, str]]:
    """Return what describes each plugin: its newest version, whether that is offered, and when the
    last of its versions was published.

    The newest is a final one that is not yanked, if there is one.
    """
    ranks = _ranks(connection)
    newest: dict[int, tuple[bool, int, int, str]] = {}
    for plugin, key, name, published, offered in connection.execute(
        "SELECT plugin_id, id, version, published_at, yanked_at IS NULL FROM market.plugin_versions"
        " ORDER BY id"
    ):
        rank, last = ranks[name], newest.get(plugin)
        if last is None:
            newest[plugin] = offered, rank, key, published
        elif (offered, rank) > last[:2]:
            newest[plugin] = offered, rank, key, max(published, last[3])
        elif published > last[3]:
            newest[plugin] = *last[:3], published
    return {
        plugin: (key, bool(offered), published)
        for plugin, (offered, _, key, published) in newest.items()
    }


def _ranks(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the place of each version that there is among all, equal ones at the same."""
    names = "SELECT DISTINCT version FROM market.plugin_versions"
    places: dict[str, int] = {}
    before: tuple[bool, Version] | None = None
    place = 0
    for rank, name in sorted((_rank(name), name) for (name,) in connection.execute(names)):
        place += rank != before
        before, places[name] = rank, place
    return places


def _plugin_row(plugin: _Row, newest: tuple[int, bool, str], text: str) -> _Row:
    """Return the catalog's row of a plugin; `text` is the manifest of its newest version."""
    version, offered, published = newest
    manifest = manifest_from_json(text)
    return (
        *plugin[:5], manifest.name, manifest.description, manifest.plugin_type,
        manifest.author, manifest.license, manifest.pricing_tier,
        _list(manifest.categories), _list(manifest.tags),
        version if offered else None, plugin[5], published,
    )  # fmt: skip


@cache
def _list(values: tuple[str, ...]) -> str:
    return json.dumps(list(values))


def _rank(text: str) -> tuple[bool, Version]:
    from packaging.version import Version

    version = Version(text)
    return not version.is_prerelease, version


def _blobs(market: Market, since: tuple[int, int]) -> list[Path]:
    """Return the files of released rows: packages, wheels, statements, vetting reports.

    Of what came up to the release and the approval of `since` only reports that came later.
    """
    queries = (
        "SELECT package FROM plugin_versions WHERE id > :release",
        "SELECT publisher_envelope FROM plugin_versions WHERE id > :release",
        "SELECT w.digest FROM submission_wheels w JOIN plugin_versions v"
        " ON v.submission_id = w.submission_id WHERE v.id > :release",
        "SELECT a.envelope FROM plugin_versions v JOIN approvals a"
        " ON a.submission_id = v.submission_id WHERE a.decision = 'approve' AND v.id > :release",
        "SELECT a.envelope FROM approvals a JOIN plugin_versions v"
        " ON v.submission_id = a.submission_id WHERE a.decision = 'approve' AND a.id > :approval",
        "SELECT c.report FROM checks c JOIN plugin_versions v"
        " ON v.submission_id = c.submission_id"
        " WHERE v.id > :release OR c.checked_at > v.published_at",
    )
    values = {"release": since[0], "approval": since[1]}
    found = (market.connection.execute(query, values) for query in queries)
    digests = {digest for rows in found for (digest, *_) in rows}
    return [market.blob(Digest(digest)) for digest in sorted(digests)]
