"""The file of a catalog: opened, and checked before anything is asked of it.

Rules this module keeps:
- the file is read only and immutable, and nothing in it can run code (`trusted_schema` off);
- its header and its whole schema are compared with what this version knows.
"""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

from marketplace_db.catalog_rows import STALE, unreadable
from marketplace_db.errors import CatalogError
from marketplace_db.schema import (
    CATALOG_APPLICATION_ID,
    CATALOG_DDL,
    CATALOG_PAGE_SIZE,
    CATALOG_VERSION,
)
from signing.digests import VerifiedFile

__all__ = ["connect", "open_checked"]


def open_checked(verified: VerifiedFile, *, thorough: bool) -> sqlite3.Connection:
    """Open a verified catalog; `thorough` also checks every page of it. Raises CatalogError."""
    version = _check_header(verified.path, verified.length)
    connection = connect(verified)
    try:
        _check_schema(connection, version, verified.path)
        if thorough:
            _check_pages(connection, verified.path)
    except sqlite3.Error as error:
        connection.close()
        raise unreadable(verified.path, error) from error
    except CatalogError:
        connection.close()
        raise
    return connection


def connect(verified: VerifiedFile, *, any_thread: bool = False) -> sqlite3.Connection:
    """Open the file read only and immutable; only for what `open_checked` has opened before.

    Raises CatalogError.
    """
    uri = f"{verified.path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=not any_thread
        )
        connection.row_factory = sqlite3.Row
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        raise unreadable(verified.path, error) from error
    return connection


def _check_header(path: Path, length: int) -> int:
    """Check the first 100 bytes without SQLite; return the schema version. Raises CatalogError.

    Source: https://www.sqlite.org/fileformat2.html, section 1.3.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(100)
        found = path.stat().st_size
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}", hint=STALE) from error
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise CatalogError(f"{path.name}: is not a SQLite file", hint=STALE)
    (page_size,) = struct.unpack_from(">H", header, 16)
    version: int
    version, _, application = struct.unpack_from(">III", header, 60)
    if application != CATALOG_APPLICATION_ID:
        raise CatalogError(f"{path.name}: is a SQLite file, but not a tavo catalog", hint=STALE)
    if version > CATALOG_VERSION:
        raise CatalogError(
            f"{path.name}: has schema version {version}, this version of tavo reads up to"
            f" {CATALOG_VERSION}",
            hint="Update tavo.",
        )
    if version not in CATALOG_DDL:
        raise CatalogError(
            f"{path.name}: has schema version {version}, which tavo no longer reads", hint=STALE
        )
    if header[18:20] != b"\1\1":
        raise CatalogError(f"{path.name}: is in WAL mode; a published catalog never is")
    if page_size != CATALOG_PAGE_SIZE or found % CATALOG_PAGE_SIZE or found != length:
        raise CatalogError(f"{path.name}: has {found} bytes, expected {length}", hint=STALE)
    return version


def _check_schema(connection: sqlite3.Connection, version: int, path: Path) -> None:
    """Compare all that the file defines with what this version expects. Raises CatalogError."""
    expected = sorted(CATALOG_DDL[version])
    found = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    for name, sql in found:
        if sql is None and str(name).startswith("sqlite_autoindex_"):
            continue
        if sql not in expected:
            raise CatalogError(
                f"{path.name}: defines {name!r}, which schema version {version} does not have"
            )
    if len([sql for _, sql in found if sql is not None]) != len(expected):
        raise CatalogError(f"{path.name}: lacks tables of schema version {version}", hint=STALE)


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Have SQLite look at every page, and at every reference. Raises CatalogError."""
    (answer,) = connection.execute("PRAGMA quick_check").fetchone()
    if answer != "ok":
        raise CatalogError(f"{path.name}: is damaged: {answer}", hint=STALE)
    if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
        raise CatalogError(f"{path.name}: a row of {broken[0]} points to nothing", hint=STALE)
