"""One step of the operator's database: all of it or nothing, and one error for what goes wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from marketplace_db.errors import WorkingDatabaseError

__all__ = ["step"]


@contextmanager
def step(connection: sqlite3.Connection) -> Iterator[None]:
    """Run one transaction that writes; the database is as before when anything fails in it.

    It waits for others that write. Raises WorkingDatabaseError for what SQLite refuses.
    """
    try:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
    except sqlite3.Error as error:
        raise WorkingDatabaseError(f"market.db: {error}") from error
