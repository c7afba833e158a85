"""The state of this user's machine: installations, grants, which catalogs were accepted.

Rules this module keeps:
- one SQLite file, readable by its owner only, in a folder that nobody else may write to, written in
  transactions that reach the disk;
- the schema has a version; a newer one than this tavo knows is refused, an older one is upgraded in
  the same transaction that records the new version;
- it holds what happened on this machine, never what a catalog or a project claims.

Units: times UTC in ISO 8601.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from signing.digests import Digest
from tavo.errors import InputError
from tavo.private import make_private

if TYPE_CHECKING:
    from marketplace_db.manifest import Manifest
    from tavo.host.permissions import AcceptedSet

__all__ = ["ConfirmedTime", "State"]

_MIGRATIONS = (
    """
    CREATE TABLE installations (
        full_id TEXT PRIMARY KEY,
        version TEXT NOT NULL,
        package TEXT NOT NULL,
        folder TEXT NOT NULL,
        manifest TEXT NOT NULL,
        files TEXT NOT NULL,
        wheels TEXT NOT NULL,
        interpreter TEXT NOT NULL,
        provenance TEXT NOT NULL,
        installed_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE grants (
        namespace TEXT NOT NULL,
        plugin TEXT NOT NULL,
        permissions TEXT NOT NULL,
        granted_at TEXT NOT NULL,
        PRIMARY KEY (namespace, plugin, permissions)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE trust (
        repository TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        saved_at TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE local_plugins (
        digest TEXT PRIMARY KEY,
        path TEXT NOT NULL,
        full_id TEXT NOT NULL,
        confirmed_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE grants RENAME TO old_grants;
    CREATE TABLE grants (
        repository TEXT NOT NULL,
        namespace TEXT NOT NULL,
        plugin TEXT NOT NULL,
        permissions TEXT NOT NULL,
        asked TEXT NOT NULL,
        granted TEXT NOT NULL,
        granted_at TEXT NOT NULL,
        PRIMARY KEY (repository, namespace, plugin, permissions)
    ) STRICT;
    ALTER TABLE local_plugins ADD COLUMN variables TEXT NOT NULL DEFAULT '[]';
    """,
    """
    CREATE TABLE previous_installations (
        full_id TEXT PRIMARY KEY,
        version TEXT NOT NULL,
        package TEXT NOT NULL,
        folder TEXT NOT NULL,
        manifest TEXT NOT NULL,
        files TEXT NOT NULL,
        wheels TEXT NOT NULL,
        interpreter TEXT NOT NULL,
        provenance TEXT NOT NULL,
        installed_at TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE confirmed_times (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        confirmed TEXT NOT NULL,
        reason TEXT NOT NULL,
        system_clock TEXT NOT NULL
    ) STRICT;
    """,
)
_GRANTS_AS_WORDS = 3


class ConfirmedTime(NamedTuple):
    """A time that the user confirmed, why, and what the system's clock said then."""

    confirmed: str
    reason: str
    system_clock: str


class State:
    """An open state database. It is made, with its folder, when it is not there yet."""

    def __init__(self, path: Path) -> None:
        """Open the database. Raises InputError, RefusedError."""
        self.path = path
        try:
            make_private(path.parent)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._migrate()
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"{path}: the state of this machine cannot be opened: {error}",
                hint="Check the folder's owner and mode, and whether the disk is full.",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def load_trust(self, repository: str) -> Mapping[str, Any] | None:
        """Return what was saved for a repository, or None."""
        rows = self.query("SELECT value FROM trust WHERE repository = ?", repository)
        if not rows:
            return None
        value = json.loads(rows[0]["value"])
        return value if isinstance(value, dict) else None

    def save_trust(
        self,
        repository: str,
        value: Mapping[str, Any],
        *,
        in_same_hands: Collection[str] | None = None,
    ) -> tuple[str, ...]:
        """Remember what was accepted from a repository.

        With `in_same_hands`, the grants of all its other namespaces are forgotten in the same
        transaction. Return those that had some.
        """
        lost: set[str] = set()
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO trust VALUES (?, ?, ?)",
                (repository, json.dumps(value, allow_nan=False), now_text()),
            )
            if in_same_hands is not None:
                rows = connection.execute(
                    "SELECT DISTINCT namespace FROM grants WHERE repository = ?", (repository,)
                ).fetchall()
                lost = {name for (name,) in rows}.difference(in_same_hands)
            connection.executemany(
                "DELETE FROM grants WHERE repository = ? AND namespace = ?",
                [(repository, namespace) for namespace in lost],
            )
        return tuple(sorted(lost))

    def trusted(self) -> dict[str, Mapping[str, Any]]:
        """Return what was saved for each repository."""
        rows = self.query("SELECT repository, value FROM trust ORDER BY repository")
        return {row["repository"]: json.loads(row["value"]) for row in rows}

    def confirmed_times(self) -> list[ConfirmedTime]:
        """Return every time that the user confirmed, the newest last; that one counts."""
        rows = self.query("SELECT confirmed, reason, system_clock FROM confirmed_times ORDER BY id")
        return [ConfirmedTime(*map(str, row)) for row in rows]

    def confirm_time(
        self, confirmed: str, reason: str, system: str, *, trust: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Remember a time that the user confirmed, and what is trusted by it, in one step."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO confirmed_times (confirmed, reason, system_clock) VALUES (?, ?, ?)",
                (confirmed, reason, system),
            )
            connection.executemany(
                "UPDATE trust SET value = ? WHERE repository = ?",
                [(json.dumps(value, allow_nan=False), name) for name, value in trust.items()],
            )

    def grant(self, manifest: Manifest, granted: Collection[str], *, repository: str) -> None:
        """Remember what the user granted when asked about a plugin of a repository."""
        from marketplace_db.permissions import in_order, permission_digest, permission_words

        asked = permission_words(manifest)
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO grants VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    repository, manifest.publisher, manifest.id, permission_digest(manifest).hex,
                    json.dumps(asked), json.dumps(in_order(granted)), now_text(),
                ),
            )  # fmt: skip

    def accepted_sets(self, full_id: str, *, repository: str) -> list[AcceptedSet]:
        """Return everything that was granted to a plugin of a repository, the newest last."""
        from tavo.host.permissions import AcceptedSet

        namespace, _, plugin = full_id.partition("/")
        rows = self.query(
            "SELECT asked, granted FROM grants"
            " WHERE repository = ? AND namespace = ? AND plugin = ? ORDER BY rowid",
            repository,
            namespace,
            plugin,
        )
        return [
            AcceptedSet(
                asked=frozenset(json.loads(row["asked"])),
                granted=frozenset(json.loads(row["granted"])),
            )
            for row in rows
        ]

    def take_back(self, full_id: str, words: Collection[str], *, repository: str) -> int:
        """Forget that words were granted to a plugin; return how many answers that changed."""
        namespace, _, plugin = full_id.partition("/")
        changed = 0
        with self.transaction() as connection:
            where = "repository = ? AND namespace = ? AND plugin = ?"
            rows = connection.execute(
                f"SELECT rowid, granted FROM grants WHERE {where}",  # noqa: S608
                (repository, namespace, plugin),
            ).fetchall()
            for number, text in rows:
                granted = json.loads(text)
                kept = [word for word in granted if word not in words]
                if kept != granted:
                    connection.execute(
                        "UPDATE grants SET granted = ? WHERE rowid = ?", (json.dumps(kept), number)
                    )
                    changed += 1
        return changed

    def confirm_local(
        self, digest: Digest, *, path: str, full_id: str, variables: Collection[str] = ()
    ) -> None:
        """Remember that the user agreed to run this local plugin, with these variables."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO local_plugins VALUES (?, ?, ?, ?, ?)",
                (digest.hex, path, full_id, now_text(), json.dumps(sorted(variables))),
            )

    def is_confirmed_local(self, digest: Digest) -> bool:
        """Tell whether the user agreed to run the local plugin with this content."""
        return bool(self.query("SELECT 1 FROM local_plugins WHERE digest = ?", digest.hex))

    def local_variables(self, digest: Digest) -> frozenset[str]:
        """Return the environment variables that the user granted to this local plugin."""
        rows = self.query("SELECT variables FROM local_plugins WHERE digest = ?", digest.hex)
        return frozenset(json.loads(rows[0]["variables"])) if rows else frozenset()

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Read rows. Raises InputError."""
        try:
            cursor = self._connection.cursor()
            cursor.row_factory = sqlite3.Row
            return cursor.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: cannot be read: {error}") from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for one transaction, on disk when the block ends without an error.

        Raises InputError.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: cannot be written: {error}") from error

    def _migrate(self) -> None:
        known = len(_MIGRATIONS)
        with self.transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > known:
                raise InputError(
                    f"{self.path}: is of a newer tavo (schema {version}, this one knows {known})",
                    hint="Use that tavo, or move the file away: installed plugins are forgotten.",
                )
            for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
                if number == _GRANTS_AS_WORDS:
                    _carry_grants_over(connection)
            if version < known:
                connection.execute(f"PRAGMA user_version = {known}")


def _carry_grants_over(connection: sqlite3.Connection) -> None:
    """Write the grants of schema 2, which knew the digest of a set only, as words.

    The words are those of the installed manifest with that digest; a digest that no manifest here
    explains is asked about again. Variables were not asked about one by one, so none is granted.
    """
    rows = connection.execute(
        "SELECT g.namespace, g.plugin, g.permissions, g.granted_at, i.manifest, i.provenance"
        " FROM old_grants g JOIN installations i ON i.full_id = g.namespace || '/' || g.plugin"
    ).fetchall()
    for namespace, plugin, permissions, granted_at, text, provenance in rows:
        from marketplace_db.errors import ManifestError
        from marketplace_db.manifest import manifest_from_json
        from marketplace_db.permissions import permission_digest, permission_words
        from tavo.host.permissions import needed

        try:
            manifest = manifest_from_json(text)
        except ManifestError:
            continue
        if permission_digest(manifest).hex != permissions:
            continue
        words = permission_words(manifest)
        granted = [word for word in words if word in needed(words)]
        connection.execute(
            "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                json.loads(provenance).get("repository", ""), namespace, plugin, permissions,
                json.dumps(words), json.dumps(granted), granted_at,
            ),
        )  # fmt: skip
    connection.execute("DROP TABLE old_grants")


def now_text() -> str:
    """Return the system's time as it is stored."""
    return datetime.now(UTC).isoformat(timespec="seconds")
