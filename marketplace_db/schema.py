"""The tables of the two databases: the operator's `market.db` and the signed `catalog.db`.

Rules this module keeps:
- keys are sequential integers, given by the market, never reused; UUIDs are the names for others;
- the catalog has exactly the tables below: no indexes beyond these, no FTS, triggers, views or
  counters, so that a day's change touches few pages and a reader can compare the whole schema;
- the market is upgraded by migrations that commit together with their record.

`docs/schema.md` explains each column. Digests are hexadecimal text in the market and 32-byte blobs
in the catalog; times are text like 2026-11-22T10:00:00Z.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import IO

from marketplace_db.errors import WorkingDatabaseError

__all__ = [
    "CATALOG_APPLICATION_ID",
    "CATALOG_DDL",
    "CATALOG_PAGE_SIZE",
    "CATALOG_VERSION",
    "MARKET_APPLICATION_ID",
    "forget_writer",
    "outer_id",
    "upgrade_market",
]

CATALOG_APPLICATION_ID = int.from_bytes(b"tvct", "big")
MARKET_APPLICATION_ID = int.from_bytes(b"tvmk", "big")
CATALOG_VERSION = 1
CATALOG_PAGE_SIZE = 4096


_CATALOG_1 = (
    """CREATE TABLE publishers (
  id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL,
  name TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  url TEXT NOT NULL,
  official INTEGER NOT NULL,
  created_at TEXT NOT NULL
) STRICT""",
    """CREATE TABLE plugins (
  id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL,
  publisher_id INTEGER NOT NULL REFERENCES publishers(id),
  plugin_id TEXT NOT NULL,
  full_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  plugin_type TEXT NOT NULL,
  author TEXT NOT NULL,
  license TEXT NOT NULL,
  pricing_tier TEXT NOT NULL,
  categories TEXT NOT NULL,
  tags TEXT NOT NULL,
  latest_version_id INTEGER,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT""",
    """CREATE TABLE plugin_versions (
  id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL,
  plugin_id INTEGER NOT NULL REFERENCES plugins(id),
  seq INTEGER NOT NULL,
  version TEXT NOT NULL,
  api INTEGER NOT NULL,
  package BLOB NOT NULL,
  package_length INTEGER NOT NULL,
  manifest_digest BLOB NOT NULL,
  lock_digest BLOB,
  permission_digest BLOB NOT NULL,
  publisher_envelope BLOB NOT NULL,
  manifest TEXT NOT NULL,
  published_at TEXT NOT NULL,
  yanked_at TEXT,
  yanked_reason TEXT,
  UNIQUE (plugin_id, version)
) STRICT""",
    """CREATE TABLE wheels (
  id INTEGER PRIMARY KEY,
  plugin_version_id INTEGER NOT NULL REFERENCES plugin_versions(id),
  filename TEXT NOT NULL,
  digest BLOB NOT NULL,
  length INTEGER NOT NULL
) STRICT""",
    """CREATE TABLE approvals (
  id INTEGER PRIMARY KEY,
  plugin_version_id INTEGER NOT NULL REFERENCES plugin_versions(id),
  key_id TEXT NOT NULL,
  envelope BLOB NOT NULL,
  issued TEXT NOT NULL
) STRICT""",
    """CREATE TABLE plugin_reviews (
  id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL,
  plugin_version_id INTEGER NOT NULL REFERENCES plugin_versions(id),
  author TEXT NOT NULL,
  rating INTEGER NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT""",
    "CREATE INDEX wheels_by_version ON wheels (plugin_version_id)",
    "CREATE INDEX approvals_by_version ON approvals (plugin_version_id)",
    "CREATE INDEX plugin_reviews_by_version ON plugin_reviews (plugin_version_id)",
)

CATALOG_DDL: dict[int, tuple[str, ...]] = {1: _CATALOG_1}

_MARKET_1 = (
    """CREATE TABLE publishers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  url TEXT NOT NULL DEFAULT '',
  official INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL
) STRICT""",
    """CREATE TABLE plugins (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  publisher_id INTEGER NOT NULL REFERENCES publishers(id),
  plugin_id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  UNIQUE (publisher_id, plugin_id)
) STRICT""",
    """CREATE TABLE submissions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  publisher_id INTEGER NOT NULL REFERENCES publishers(id),
  full_id TEXT NOT NULL,
  version TEXT NOT NULL,
  package TEXT NOT NULL,
  package_length INTEGER NOT NULL,
  publisher_envelope TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('submitted', 'approved', 'rejected')),
  reason TEXT NOT NULL DEFAULT '',
  submitted_at TEXT NOT NULL,
  decided_at TEXT
) STRICT""",
    """CREATE TABLE submission_wheels (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  submission_id INTEGER NOT NULL REFERENCES submissions(id),
  filename TEXT NOT NULL,
  digest TEXT NOT NULL,
  length INTEGER NOT NULL,
  UNIQUE (submission_id, filename)
) STRICT""",
    """CREATE TABLE checks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  submission_id INTEGER NOT NULL REFERENCES submissions(id),
  name TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('passed', 'failed', 'not done')),
  report TEXT NOT NULL,
  checked_at TEXT NOT NULL
) STRICT""",
    """CREATE TABLE approvals (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  submission_id INTEGER NOT NULL REFERENCES submissions(id),
  key_id TEXT NOT NULL,
  decision TEXT NOT NULL CHECK (decision IN ('approve', 'reject')),
  envelope TEXT NOT NULL,
  reports TEXT NOT NULL,
  issued TEXT NOT NULL,
  recorded_at TEXT NOT NULL,
  UNIQUE (submission_id, key_id)
) STRICT""",
    """CREATE TABLE plugin_versions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  plugin_id INTEGER NOT NULL REFERENCES plugins(id),
  submission_id INTEGER NOT NULL UNIQUE REFERENCES submissions(id),
  seq INTEGER NOT NULL UNIQUE,
  version TEXT NOT NULL,
  api INTEGER NOT NULL,
  package TEXT NOT NULL,
  package_length INTEGER NOT NULL,
  manifest_digest TEXT NOT NULL,
  lock_digest TEXT,
  permission_digest TEXT NOT NULL,
  publisher_envelope TEXT NOT NULL,
  manifest TEXT NOT NULL,
  published_at TEXT NOT NULL,
  yanked_at TEXT,
  yanked_reason TEXT,
  UNIQUE (plugin_id, version)
) STRICT""",
    """CREATE TABLE plugin_reviews (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  plugin_version_id INTEGER NOT NULL REFERENCES plugin_versions(id),
  author TEXT NOT NULL,
  rating INTEGER NOT NULL CHECK (rating BETWEEN 1 AND 5),
  title TEXT NOT NULL DEFAULT '',
  body TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'published', 'hidden')),
  created_at TEXT NOT NULL,
  UNIQUE (plugin_version_id, author)
) STRICT""",
    """CREATE TABLE plugin_installations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  plugin_version_id INTEGER NOT NULL REFERENCES plugin_versions(id),
  organization TEXT NOT NULL DEFAULT '',
  client_version TEXT NOT NULL DEFAULT '',
  installed_at TEXT NOT NULL
) STRICT""",
    """CREATE TABLE plugin_executions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  plugin_version_id INTEGER NOT NULL REFERENCES plugin_versions(id),
  organization TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
  started_at TEXT,
  finished_at TEXT,
  cpu_ms INTEGER NOT NULL DEFAULT 0,
  peak_memory_bytes INTEGER NOT NULL DEFAULT 0,
  findings INTEGER NOT NULL DEFAULT 0
) STRICT""",
    """CREATE TABLE tokens (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  organization TEXT NOT NULL DEFAULT '',
  hash TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  created_at TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT
) STRICT""",
    "CREATE INDEX submissions_by_state ON submissions (state, id)",
    "CREATE INDEX plugin_versions_by_plugin ON plugin_versions (plugin_id)",
)

# The marketplace as a service: who may ask for what, what they say and fetch, and what waits for a
# worker. Columns are only added, so that nothing of a first version's file is lost.
_MARKET_2 = (
    """CREATE TABLE organizations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT""",
    """CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  organization_id INTEGER NOT NULL REFERENCES organizations(id),
  name TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL
) STRICT""",
    """CREATE TABLE organization_publishers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  organization_id INTEGER NOT NULL REFERENCES organizations(id),
  publisher_id INTEGER NOT NULL REFERENCES publishers(id),
  created_at TEXT NOT NULL,
  UNIQUE (organization_id, publisher_id)
) STRICT""",
    """CREATE TABLE plugin_downloads (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  plugin_version_id INTEGER NOT NULL REFERENCES plugin_versions(id),
  day TEXT NOT NULL,
  downloads INTEGER NOT NULL,
  UNIQUE (plugin_version_id, day)
) STRICT""",
    """CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('vet', 'release')),
  subject TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  worker TEXT NOT NULL DEFAULT '',
  lease_until TEXT,
  outcome TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL,
  finished_at TEXT
) STRICT""",
    "ALTER TABLE tokens ADD COLUMN user_id INTEGER REFERENCES users(id)",
    "ALTER TABLE submissions ADD COLUMN organization TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_reviews ADD COLUMN organization TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_reviews ADD COLUMN updated_at TEXT",
    "ALTER TABLE plugin_reviews ADD COLUMN decided_by TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_reviews ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX submissions_by_organization ON submissions (organization, id)",
    "CREATE INDEX plugin_reviews_by_state ON plugin_reviews (state, id)",
    "CREATE INDEX plugin_installations_by_organization ON plugin_installations (organization, id)",
    "CREATE INDEX plugin_installations_by_version ON plugin_installations (plugin_version_id)",
    "CREATE UNIQUE INDEX jobs_open ON jobs (kind, subject) WHERE state IN ('waiting', 'running')",
)

# Runs on the operator's machines: who may attack what, what ran, what it used and what it cost.
_MARKET_3 = (
    """CREATE TABLE targets (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid TEXT NOT NULL UNIQUE,
  organization TEXT NOT NULL,
  name TEXT NOT NULL,
  url TEXT NOT NULL,
  description TEXT NOT NULL,
  networks TEXT NOT NULL,
  created_at TEXT NOT NULL,
  removed_at TEXT
) STRICT""",
    """CREATE TABLE execution_results (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  execution_id INTEGER NOT NULL UNIQUE REFERENCES plugin_executions(id),
  content BLOB NOT NULL
) STRICT""",
    "ALTER TABLE plugin_executions ADD COLUMN target_id INTEGER REFERENCES targets(id)",
    "ALTER TABLE plugin_executions ADD COLUMN user TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_executions ADD COLUMN key TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_executions ADD COLUMN request TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_executions ADD COLUMN config TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE plugin_executions ADD COLUMN asked_at TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_executions ADD COLUMN worker TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_executions ADD COLUMN lease_until TEXT",
    "ALTER TABLE plugin_executions ADD COLUMN cancel_at TEXT",
    "ALTER TABLE plugin_executions ADD COLUMN complete INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN outcome TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_executions ADD COLUMN sandbox TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_executions ADD COLUMN quotas TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE plugin_executions ADD COLUMN wall_ms INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN requests INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN bytes_out INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN bytes_in INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN prompt_tokens INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN answer_tokens INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN billed INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN cost_micro INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN prices TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE plugin_executions ADD COLUMN result_sha256 TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plugin_executions ADD COLUMN result_bytes INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE plugin_executions ADD COLUMN result_until TEXT",
    "CREATE UNIQUE INDEX targets_open ON targets (organization, name) WHERE removed_at IS NULL",
    "CREATE UNIQUE INDEX plugin_executions_by_key ON plugin_executions (organization, key)"
    " WHERE key != ''",
    "CREATE INDEX plugin_executions_by_state ON plugin_executions (state, id)",
    "CREATE INDEX plugin_executions_by_organization ON plugin_executions (organization, id)",
)

_MARKET_MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("0001_first_tables", _MARKET_1),
    ("0002_service", _MARKET_2),
    ("0003_execution", _MARKET_3),
)


def forget_writer(stream: IO[bytes]) -> None:
    """Zero the place where SQLite notes its own version, so that equal contents are equal bytes.

    That is SQLITE_VERSION_NUMBER of the last writer, for people only (SQLite file format, section
    1.3.16). `stream` is the closed database's file, open for writing.
    """
    stream.seek(96)
    stream.write(bytes(4))


def outer_id(kind: str, name: str) -> str:
    """Return the UUID of something with a unique name; the same on every machine."""
    import uuid

    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tavo:marketplace")
    return str(uuid.uuid5(namespace, f"{kind}:{name}"))


def upgrade_market(connection: sqlite3.Connection, *, place: str) -> None:
    """Create the market's tables or bring them up to date.

    Raises WorkingDatabaseError for another application's file and for a later version's.
    """
    from sqlite_utils import Database, Migrations

    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != MARKET_APPLICATION_ID and (application or objects):
        raise WorkingDatabaseError(
            f"{place}: is a SQLite file of something else (application id {application})",
            hint="Name the folder of a market, or an empty one.",
        )
    migrations = Migrations("marketplace_db")
    for name, statements in _MARKET_MIGRATIONS:
        migrations(name=name)(_runner(statements))
    database = Database(connection)
    done = {migration.name for migration in migrations.applied(database)}
    if unknown := sorted(done - {name for name, _ in _MARKET_MIGRATIONS}):
        raise WorkingDatabaseError(
            f"{place}: was written by a later version of tavo (it has {unknown[0]})",
            hint="Use that version.",
        )
    if len(done) < len(_MARKET_MIGRATIONS):
        connection.execute(f"PRAGMA application_id = {MARKET_APPLICATION_ID}")
        migrations.apply(database)


def _runner(statements: tuple[str, ...]) -> Callable[[object], None]:
    def run(database: object) -> None:
        for statement in statements:
            database.execute(statement)  # type: ignore[attr-defined]

    return run
