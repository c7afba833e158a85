"""The file of a result store: where it may lie, how it is opened, and its transactions.

Rules this module keeps:
- a file that is not a result store is refused, never changed, and none is made through a link;
- what the disk or another program does to it is said in a sentence that names the file.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType

from tavo.errors import InputError, UsageError
from tavo.results.schema import APPLICATION_ID, NotAStoreError, prepare

__all__ = ["Batch", "check_place", "check_replaced", "connect"]

_MAGIC, _HEADER = b"SQLite format 3\0", 100
_APPLICATION = slice(68, 72)  # https://www.sqlite.org/fileformat2.html#the_database_header


def check_place(path: Path, *, must_exist: bool) -> None:
    """Raise InputError where no store is, or where none may be made."""
    if must_exist:
        if not path.is_file():
            raise InputError(
                f"{path}: no such result store",
                hint="`tavo scan PATH --save RESULTS.db` makes one.",
            )
    elif path.is_symlink():
        # In a scanned project a link could choose where we write.
        raise InputError(
            f"{path}: is a symbolic link, results are not written through one",
            hint="Name the file that it leads to.",
        )
    elif path.is_dir():
        raise InputError(f"{path}: is a folder", hint="Name a file in it.")
    elif not path.absolute().parent.is_dir():
        raise InputError(
            f"{path}: there is no folder {path.parent}", hint="Make it, or name a file elsewhere."
        )


def check_replaced(path: Path) -> None:
    """Raise UsageError where a new store would replace a file that is no store."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if head and (
        not head.startswith(_MAGIC) or int.from_bytes(head[_APPLICATION], "big") != APPLICATION_ID
    ):
        what = "a database of something else" if head.startswith(_MAGIC) else "no database"
        raise UsageError(
            f"{path}: is {what}, and would be replaced",
            hint="Name a new file, or one that tavo wrote.",
        )


def connect(path: Path | None) -> sqlite3.Connection:
    """Open a store, make it or bring it up to date; without a path it lives in memory.

    Raises UsageError for a file that is none, InputError for one that cannot be used.
    """
    try:
        connection = sqlite3.connect(path.absolute() if path else ":memory:", isolation_level=None)
    except sqlite3.Error as error:
        raise _unwritable(path, error) from error
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        prepare(connection)
    except (NotAStoreError, sqlite3.Error) as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise _unwritable(path, error) from error
        reason = str(error) if isinstance(error, NotAStoreError) else f"is no database: {error}"
        raise UsageError(
            f"{path}: {reason}", hint="Name a new file, or one that `--save` wrote."
        ) from error
    return connection


class Batch:
    """One transaction; a failure of the disk becomes an InputError that names the file."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._connection = connection
        self._path = path

    def __enter__(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._connection.execute("COMMIT" if error is None else "ROLLBACK")
        except sqlite3.Error as failure:
            raise self._failed(failure) from failure
        if isinstance(error, sqlite3.Error):
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> InputError:
        return _unwritable(self._path, error)


def _unwritable(path: Path | None, error: sqlite3.Error) -> InputError:
    return InputError(
        f"{path or 'the result store'}: cannot be opened or written: {error}",
        hint="Check the free space, the permissions, and that no other program holds the file.",
    )
