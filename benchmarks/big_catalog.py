"""A signed repository with a large catalog, and a market behind one, for benchmarks.

The rows are made up; the signatures, the files and their verification are real. Unless told, there
are 10,000 plugins with three versions each.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from marketplace_db.schema import (  # noqa: E402
    CATALOG_APPLICATION_ID,
    CATALOG_DDL,
    CATALOG_PAGE_SIZE,
    CATALOG_VERSION,
)
from signing.keyring import Keyring  # noqa: E402
from signing.keys import PrivateKey  # noqa: E402
from signing.publishers import Namespace, Publishers  # noqa: E402
from signing.repository import Repository  # noqa: E402

PLUGINS, VERSIONS = 10_000, 3
_WORDS = ("scanner", "prompt", "agent", "secrets", "models", "filter", "logs", "attack", "policy")


def write(folder: Path, plugins: int = PLUGINS, versions: int = VERSIONS) -> Path:
    """Write the repository into the folder, once; return the folder."""
    repository = folder / "repository"
    if (folder / "root.json").exists():
        return repository
    folder.mkdir(parents=True, exist_ok=True)
    catalog = folder / "catalog.db"
    catalog.unlink(missing_ok=True)
    fill(catalog, plugins, versions)
    made = Repository.create(repository, Keyring.generate(development=True), datetime.now(UTC))
    key = PrivateKey.generate().public
    who = Publishers(namespaces={"acme": Namespace(keys={key.key_id: key}, official=False)})
    made.publish(catalog=catalog, publishers=who.to_bytes(), now=datetime.now(UTC))
    (folder / "root.json").write_bytes(made.root_bytes)
    return repository


def fill(path: Path, plugins: int, versions: int) -> None:
    """Write a catalog of so many plugins with so many versions each."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size = {CATALOG_PAGE_SIZE}")
    connection.execute(f"PRAGMA application_id = {CATALOG_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {CATALOG_VERSION}")
    for statement in CATALOG_DDL[CATALOG_VERSION]:
        connection.execute(statement)
    now = "2026-01-01T00:00:00Z"
    connection.execute(
        "INSERT INTO publishers VALUES (1, ?, 'acme', 'Acme', '', 0, ?)", (_uuid("acme"), now)
    )
    plugin_rows, version_rows = [], []
    for number in range(1, plugins + 1):
        name = f"{_WORDS[number % 9]}-{number}"
        latest = number * versions
        plugin_rows.append((
            number, _uuid(name), 1, name, f"acme/{name}", name.title(),
            f"Looks for {_WORDS[number % 7]} in {_WORDS[number % 5]}, number {number}.", "static",
            "Acme", "Apache-2.0", "free", "[]", json.dumps([_WORDS[number % 3]]), latest, now, now,
        ))  # fmt: skip
        for minor in range(versions):
            seq = (number - 1) * versions + minor + 1
            digest = hashlib.sha256(f"{name} {minor}".encode()).digest()
            manifest = json.dumps({
                "api": 1, "id": name, "publisher": "acme", "name": name.title(),
                "version": f"1.{minor}.0", "plugin_type": "static", "entry_point": "main:Plugin",
                "description": "Made up.", "author": "Acme", "license": "Apache-2.0",
            })  # fmt: skip
            version_rows.append((
                seq, _uuid(f"{name} {minor}"), number, seq, f"1.{minor}.0", 1, digest, 10_000,
                digest, None, digest, digest, manifest, now, None, None,
            ))  # fmt: skip
    connection.executemany(f"INSERT INTO plugins VALUES ({','.join('?' * 16)})", plugin_rows)
    connection.executemany(
        f"INSERT INTO plugin_versions VALUES ({','.join('?' * 16)})", version_rows
    )
    connection.commit()
    connection.close()


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


if __name__ == "__main__":
    where = write(Path(sys.argv[1]))
    size = next(where.glob("targets/catalog/*.db")).stat().st_size
    sys.stdout.write(f"{where}: {size / 1e6:.1f} MB\n")
