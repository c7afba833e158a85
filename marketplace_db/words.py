"""The index of words beside a catalog: which plugins a search has to look at, in which order.

Rules this module keeps:
- nothing in it is believed: it names plugins to look at, the search reads each of them from the
  verified catalog and compares the words again; an index that lies hides hits, and no more;
- it belongs to one catalog, by that one's digest, and is made from it, once;
- it is written whole or not at all, and its whole schema is compared before the first query;
- where there is none (a SQLite without FTS5, a folder that cannot be written, a damaged file, a
  catalog so small that reading it is quicker), the search reads all rows, with the same result.

A text is kept as the set of its runs of three characters, folded (FTS5's `trigram`, `detail=none`):
a word that is part of a text has all its runs there. https://www.sqlite.org/fts5.html
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from signing.digests import Digest
from signing.files import write_atomically

if TYPE_CHECKING:
    from marketplace_db.catalog import Catalog

__all__ = ["WordIndex"]

_APPLICATION_ID = int.from_bytes(b"tvwd", "big")
_FORMAT = 1
_DDL = (
    "CREATE TABLE catalog (digest TEXT NOT NULL) STRICT",
    """CREATE TABLE places (
  place INTEGER PRIMARY KEY,
  full_id TEXT NOT NULL,
  plugin_id TEXT NOT NULL
) STRICT""",
    "CREATE INDEX places_by_plugin_id ON places (plugin_id)",
    "CREATE VIRTUAL TABLE words USING"
    " fts5(text, content='', columnsize=0, detail=none, tokenize='trigram')",
)
_RUN = 3
_MOST_RUNS = 30  # more leave hardly anything out; the search compares whole words anyway
_MOST_STARTS = 400
_WORTH_IT = 5_000  # plugins: below, reading all rows takes 2 ms
_LONG = 30_000  # plugins: from here on making an index takes so long that it is said
_KEPT = 4
_LEFT_BEHIND_S = 3600.0


class WordIndex:
    """The index of one catalog. Any thread may search with it."""

    def __init__(self, path: Path, digest: Digest) -> None:
        """Use `of`."""
        self.path = path
        self._digest = digest

    @classmethod
    def of(
        cls, catalog: Catalog, folder: Path, *, say: Callable[[str], object] = lambda _: None
    ) -> WordIndex | None:
        """Return the catalog's index in `folder`, made now if there is none; None without one.

        `say` gets a sentence before a long wait.
        """
        plugins = catalog.plugins_at_most()
        if plugins < _WORTH_IT:
            return None
        digest = catalog.verified.digest
        index = cls(folder / f"{digest.hex}.words.db", digest)
        try:
            index._open().close()
        except (sqlite3.Error, UnicodeDecodeError, MemoryError):
            index.drop()
        else:
            return index
        try:
            _expected_schema()
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK) or not hasattr(sqlite3.Connection, "serialize"):
                return None  # before anything is said, and made in vain
            if plugins >= _LONG:
                say(f"Indexing the words of {plugins} plugins, once for this catalog.")
            write_atomically(index.path, _made(catalog), mode=0o600)
        except (OSError, sqlite3.Error):
            return None
        _tidy(folder, index.path)
        return index

    def candidates(self, words: Sequence[str], plugin_id: str) -> Iterator[str] | None:
        """Yield the full ids of plugins that may hold all words; those of `plugin_id` first.

        Each is there at most once. None if the index cannot narrow these words down.
        Raises sqlite3.Error for an index that cannot be read or was tampered with, and what
        Python makes of such a file: UnicodeDecodeError, MemoryError.
        """
        connection = self._open()
        try:
            expression = _expression(connection, words)
        except BaseException:
            connection.close()
            raise
        if expression is None:
            connection.close()
            return None
        return self._matching(connection, expression, plugin_id)

    def drop(self) -> None:
        """Delete a file that turned out to be damaged; the next search makes another one."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _matching(
        self, connection: sqlite3.Connection, expression: str, plugin_id: str
    ) -> Iterator[str]:
        with closing(connection):
            named = connection.execute(
                "SELECT place, full_id FROM places WHERE plugin_id = ? ORDER BY place",
                [plugin_id],
            ).fetchall()
            yield from (full_id for _, full_id in named)
            before = {place for place, _ in named}
            if not expression:
                return
            last = -1
            for place, full_id in connection.execute(
                "SELECT w.rowid, p.full_id FROM words w CROSS JOIN places p ON p.place = w.rowid"
                " WHERE w.words MATCH ? ORDER BY w.rowid",
                [expression],
            ):
                if place <= last:
                    raise sqlite3.DatabaseError("the index repeats itself")
                last = place
                if place not in before:
                    yield full_id

    def _open(self) -> sqlite3.Connection:
        """Open the file read only and compare what it is. Raises sqlite3.Error."""
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON"):
                connection.execute(f"PRAGMA {pragma}")
            found = (
                connection.execute("PRAGMA application_id").fetchone()[0],
                connection.execute("PRAGMA user_version").fetchone()[0],
                _schema(connection),
            )
            if found != (_APPLICATION_ID, _FORMAT, _expected_schema()):
                raise sqlite3.DatabaseError("not an index of this version")
            if connection.execute("SELECT digest FROM catalog").fetchall() != [(self._digest.hex,)]:
                raise sqlite3.DatabaseError("the index of another catalog")
            connection.execute("CREATE VIRTUAL TABLE temp.runs USING fts5vocab(main, words, row)")
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection


def _made(catalog: Catalog) -> bytes:
    """Make the index of a catalog. Raises sqlite3.Error."""
    with closing(_new()) as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO catalog VALUES (?)", [catalog.verified.digest.hex])
        places: list[tuple[int, str, str]] = []
        texts: list[tuple[int, str]] = []
        for place, (full_id, plugin_id, *fields) in enumerate(catalog.texts()):
            places.append((place, full_id, plugin_id))
            # No word holds a line's end, and behind each character of a text are two more.
            texts.append((place, "\n".join((*fields, "", ""))))
        connection.executemany("INSERT INTO places VALUES (?, ?, ?)", places)
        connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", texts)
        connection.execute("COMMIT")
        return connection.serialize()


def _new() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
        for statement in _DDL:
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def _expected_schema() -> tuple[tuple[str, str, str | None], ...]:
    """Return what this SQLite makes of an index, with the tables behind FTS5's."""
    with closing(_new()) as connection:
        return _schema(connection)


def _schema(connection: sqlite3.Connection) -> tuple[tuple[str, str, str | None], ...]:
    rows = connection.execute("SELECT type, name, sql FROM main.sqlite_master ORDER BY name")
    return tuple((str(kind), str(name), sql) for kind, name, sql in rows)


def _expression(connection: sqlite3.Connection, words: Sequence[str]) -> str | None:
    """Return what FTS5 has to look for, nothing if no text can hold the words.

    None if everything may. The text of a word is data here: quoted, and never a column or operator.
    """
    if any("\0" in word for word in words):
        return None
    if runs := [run for word in words for run in _runs(word)]:
        return " AND ".join(_quoted(run) for run in list(dict.fromkeys(runs))[:_MOST_RUNS])
    groups = []
    for word in words:
        if not word.isascii():
            continue  # how FTS5 folds it is not known here
        starts = [
            str(run)
            for (run,) in connection.execute(
                "SELECT term FROM temp.runs WHERE term >= ? AND term <= ? LIMIT ?",
                [word.lower(), word.lower() + "\U0010ffff", _MOST_STARTS],
            )
        ]
        if not starts:
            return ""
        if len(starts) < _MOST_STARTS:
            groups.append(f"({' OR '.join(_quoted(run) for run in starts)})")
    return " AND ".join(groups) or None


def _runs(word: str) -> list[str]:
    return [word[at : at + _RUN] for at in range(len(word) - _RUN + 1)]


def _quoted(run: str) -> str:
    return '"' + run.replace('"', '""') + '"'


def _tidy(folder: Path, newest: Path) -> None:
    """Delete the indexes of catalogs long past, and what killed processes left behind."""
    with contextlib.suppress(OSError):
        others = [path for path in folder.iterdir() if path != newest]
        changed = {path: path.stat().st_mtime for path in others}
        old = sorted(
            (path for path in others if path.name.endswith(".words.db")),
            key=lambda path: changed[path],
            reverse=True,
        )[_KEPT - 1 :]
        long_ago = time.time() - _LEFT_BEHIND_S
        left = [
            path for path in others if path.name.startswith(".new-") and changed[path] < long_ago
        ]
        for path in (*old, *left):
            path.unlink()
