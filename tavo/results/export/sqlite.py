"""One run as a result store of its own: an SQLite file.

Rules this module keeps:
- it holds this run and nothing of others, also not in pages that are free.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from tavo.errors import InputError
from tavo.results.store import ResultStore

__all__ = ["run_to_sqlite"]


def run_to_sqlite(store: ResultStore, run_id: int) -> bytes:
    """Return the bytes of a store with one run of another. Raises InputError if it cannot."""
    with tempfile.TemporaryDirectory(prefix="tavo-") as folder:
        path = Path(folder, "results.db")
        with closing(sqlite3.connect(path, isolation_level=None)) as copy:
            store.copy_to(copy)
            try:
                copy.execute("PRAGMA foreign_keys = ON")  # every table belongs to a run
                copy.execute("DELETE FROM runs WHERE id IS NOT ?", (run_id,))
                copy.execute("PRAGMA journal_mode = DELETE")
                copy.execute("VACUUM")
            except sqlite3.Error as error:
                raise InputError(
                    f"a copy of run {run_id} cannot be made: {error}",
                    hint="Check the free space for temporary files.",
                ) from error
        return path.read_bytes()
