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
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from signing.digests import Digest
from tavo.errors import InputError
from tavo.host.private import make_private

if TYPE_CHECKING:
    from marketplace_db.acceptance import AcceptedPackage

__all__ = ["State"]

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
)


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

    def save_trust(self, repository: str, value: Mapping[str, Any]) -> None:
        """Remember what was accepted from a repository."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO trust VALUES (?, ?, ?)",
                (repository, json.dumps(value, allow_nan=False), now_text()),
            )

    def grant(self, accepted: AcceptedPackage) -> None:
        """Remember that the user accepted the permissions of a package."""
        manifest = accepted.inspected.manifest
        from marketplace_db.manifest import permission_digest

        with self.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO grants VALUES (?, ?, ?, ?)",
                (manifest.publisher, manifest.id, permission_digest(manifest).hex, now_text()),
            )

    def is_granted(self, full_id: str, permissions: Digest) -> bool:
        """Tell whether the user accepted exactly this set of permissions for a plugin."""
        namespace, _, plugin = full_id.partition("/")
        return bool(
            self.query(
                "SELECT 1 FROM grants WHERE namespace = ? AND plugin = ? AND permissions = ?",
                namespace,
                plugin,
                permissions.hex,
            )
        )

    def drop_grants(self, namespace: str) -> int:
        """Forget every grant of a namespace, after a transfer or a stolen key; return how many."""
        with self.transaction() as connection:
            return connection.execute(
                "DELETE FROM grants WHERE namespace = ?", (namespace,)
            ).rowcount

    def confirm_local(self, digest: Digest, *, path: str, full_id: str) -> None:
        """Remember that the user agreed to run exactly this local plugin."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO local_plugins VALUES (?, ?, ?, ?)",
                (digest.hex, path, full_id, now_text()),
            )

    def is_confirmed_local(self, digest: Digest) -> bool:
        """Tell whether the user agreed to run the local plugin with this content."""
        return bool(self.query("SELECT 1 FROM local_plugins WHERE digest = ?", digest.hex))

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
            for script in _MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            if version < known:
                connection.execute(f"PRAGMA user_version = {known}")


def now_text() -> str:
    """Return the system's time as it is stored."""
    return datetime.now(UTC).isoformat(timespec="seconds")
