"""What an earlier run learned about files, kept until a file changes: the store of all caches.

Rules this module keeps:
- a file is taken for unchanged if size, both times, number and device are the same, and its times
  are older than the run that looked at it: nobody without root sets the time of a change;
- it lies with the user's state, not with what may be shared or restored: who can write here can
  also agree to plugins;
- every row is sealed with a key that lies beside the folder and never in it: a row that was
  edited, cut, moved to another file's name or brought from elsewhere is not there;
- a store that is damaged is made anew and costs time, nothing else; it is bounded in size.

What the texts in it mean is their owner's: plugins' answers, or results of the scan.

Units: times in nanoseconds since 1970, as the file system gives them; days since 1970.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable
from hmac import compare_digest
from pathlib import Path, PurePosixPath

from tavo.errors import RefusedError
from tavo.private import check_private, make_private

__all__ = ["Kept", "content_key"]

_FORMAT = 2
_SCHEMA = """
CREATE TABLE about (format INTEGER NOT NULL, about TEXT NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE TABLE answers (
    key BLOB PRIMARY KEY, answer TEXT NOT NULL, day INTEGER NOT NULL, seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE files (
    root TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL,
    changed INTEGER NOT NULL, inode INTEGER NOT NULL, device INTEGER NOT NULL, key BLOB NOT NULL,
    seal BLOB NOT NULL, PRIMARY KEY (root, path)
) STRICT, WITHOUT ROWID;
"""
_LARGEST = 256 << 20
_LARGEST_FOLDER = 512 << 20
_KEPT_DAYS = 30
_SETTLED_NS = 2_000_000_000
_DAY_S = 86_400
_KEY_FILE = "kept.key"
_KEY_SIZE = 32
_READING = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_MAKING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def content_key(relative: PurePosixPath, kind: str, data: bytes | memoryview) -> bytes:
    """Return the key of a content at a path of the scan."""
    head = f"{kind}\0{relative}\0".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(head, digest_size=24)
    digest.update(data)
    return digest.digest()


class Kept:
    """One file of kept answers, below one root folder. Reading never fails.

    `about` is what its owner noted about all answers, empty where there are none.
    """

    def __init__(self, path: Path, *, root: Path, usable: Callable[[str], bool]) -> None:
        """Open what is there; what is not `usable` by its note is deleted."""
        self._path = path
        self._root = root
        self._began = time.time_ns()
        self._known: dict[str, tuple[tuple[int, ...], bytes, str]] = {}
        self._new_files: list[tuple[object, ...]] = []
        self._new_answers: list[tuple[object, ...]] = []
        self._seen: set[str] = set()
        self.about = ""
        self._root_text = os.fsencode(root).decode("utf-8", "backslashreplace")
        self._seal_key = _seal_key(path.parent.parent / _KEY_FILE)
        self._connection = self._open(usable)

    @property
    def is_there(self) -> bool:
        """Tell whether there are answers from an earlier run."""
        return self._connection is not None

    def find(self, path: Path, relative: PurePosixPath) -> str | None:
        """Return the answer about a file that has not changed since, or None."""
        name = str(relative)
        known = self._known.get(name)
        if known is None:
            return None
        try:
            status = os.stat(path)  # noqa: PTH116  # half the time of Path.stat
        except OSError:
            return None
        if known[0] != _identity(status):
            return None
        self._seen.add(name)
        return known[2]

    def key_of(self, relative: PurePosixPath) -> bytes:
        """Return the key of a file's answer that was found, empty where there is none."""
        known = self._known.get(str(relative))
        return known[1] if known is not None else b""

    def find_content(self, key: bytes) -> str | None:
        """Return the answer about a content, whatever file holds it now, or None."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(
                "SELECT answer, seal FROM answers WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.Error:
            return None
        if row is None or not self._holds(row[1], "answer", key, row[0]):
            return None
        return str(row[0])

    def keep(self, path: Path, relative: PurePosixPath, key: bytes, answer: str | None) -> None:
        """Note the answer about a file; None for one that is in the store already."""
        name = str(relative)
        self._seen.add(name)
        try:
            name.encode()
            if answer is not None:
                seal = self._seal("answer", key, answer)
                self._new_answers.append((key, answer, _today(), seal))
            status = path.stat()
        except (OSError, UnicodeEncodeError):
            return
        if max(status.st_ctime_ns, status.st_mtime_ns) < self._began - _SETTLED_NS:
            identity = _identity(status)
            seal = self._seal("file", self._root_text, name, *identity, key)
            self._new_files.append((self._root_text, name, *identity, key, seal))

    def keep_content(self, key: bytes, answer: str) -> None:
        """Note the answer about a content that no file stands for."""
        with contextlib.suppress(UnicodeEncodeError):
            answer.encode()
            self._new_answers.append((key, answer, _today(), self._seal("answer", key, answer)))

    def save(self, about: str) -> None:
        """Write what is new. What cannot be written is lost, and looked at again next time."""
        gone = [
            (self._root_text, name)
            for name in self._known.keys() - self._seen
            if not (self._root / name).exists()
        ]
        if not (self._new_answers or self._new_files or gone):
            return
        with contextlib.suppress(sqlite3.Error, OSError, RefusedError):
            if self._connection is None:
                self._connection = self._make()
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute("DELETE FROM about")
                self._connection.execute(
                    "INSERT INTO about VALUES (?, ?, ?)",
                    (_FORMAT, about, self._seal("about", _FORMAT, about)),
                )
                self._connection.executemany(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", self._new_answers
                )
                self._connection.executemany("DELETE FROM files WHERE root = ? AND path = ?", gone)
                self._connection.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    self._new_files,
                )
                self._connection.execute(
                    "DELETE FROM answers WHERE day < ? AND key NOT IN (SELECT key FROM files)",
                    (_today() - _KEPT_DAYS,),
                )

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def _open(self, usable: Callable[[str], bool]) -> sqlite3.Connection | None:
        try:
            check_private(self._path.parent)
            status = self._path.lstat()
            if not _is_own_file(status):
                return None
            if status.st_size > _LARGEST:
                raise ValueError("it has grown too large")
            connection = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        except (FileNotFoundError, RefusedError):
            return None  # nothing is there, or it need not be ours
        except (OSError, ValueError, sqlite3.Error):
            self._forget()
            return None
        try:
            ((form, about, seal),) = connection.execute("SELECT * FROM about")
            if form != _FORMAT or not self._holds(seal, "about", form, about) or not usable(about):
                raise ValueError("it is of another kind")
            for name, *identity, key, seal, answer, sealed in connection.execute(
                "SELECT path, size, modified, changed, inode, device, key, files.seal, answer,"
                " answers.seal FROM files JOIN answers USING (key) WHERE root = ?",
                (self._root_text,),
            ):
                if self._holds(seal, "file", self._root_text, name, *identity, key) and self._holds(
                    sealed, "answer", key, answer
                ):
                    self._known[name] = (tuple(identity), key, answer)
            self.about = about
            os.utime(self._path)
        except (sqlite3.Error, OSError, ValueError, TypeError):
            connection.close()
            self._known = {}
            self._forget()
            return None
        return connection

    def _make(self) -> sqlite3.Connection:
        make_private(self._path.parent)
        _sweep(self._path.parent.glob("*.db"))
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")  # losing it costs time only
        with contextlib.suppress(sqlite3.OperationalError):  # another run was first
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        return connection

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _seal(self, kind: str, *parts: object) -> bytes:
        """Return the seal of a row: nobody without the key can make one."""
        text = repr((self._path.name, kind, *parts)).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._seal_key, digest_size=16).digest()

    def _holds(self, seal: object, kind: str, *parts: object) -> bool:
        return isinstance(seal, bytes) and compare_digest(seal, self._seal(kind, *parts))


def _seal_key(file: Path) -> bytes:
    """Return this user's key for seals; one for this run alone where none can be kept."""
    try:
        make_private(file.parent)
        if not file.exists():
            _make_key(file)
        with os.fdopen(os.open(file, _READING), "rb") as stream:
            status = os.fstat(stream.fileno())
            key = stream.read(_KEY_SIZE + 1)
        if _is_own_file(status) and not status.st_mode & 0o077 and len(key) == _KEY_SIZE:
            return key
        file.unlink()  # the next run makes one
    except (OSError, RefusedError):
        pass
    return os.urandom(_KEY_SIZE)


def _make_key(file: Path) -> None:
    new = file.with_name(f".{file.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(os.open(new, _MAKING, 0o600), "wb") as stream:
        stream.write(os.urandom(_KEY_SIZE))
    new.replace(file)


def _is_own_file(status: os.stat_result) -> bool:
    owners = {os.geteuid()} if hasattr(os, "geteuid") else {status.st_uid}
    return stat.S_ISREG(status.st_mode) and status.st_uid in owners


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_size, status.st_mtime_ns, status.st_ctime_ns, _signed(status.st_ino),
        _signed(status.st_dev),
    )  # fmt: skip


def _signed(number: int) -> int:
    """Return an unsigned number of 64 bits as SQLite can hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _today() -> int:
    return int(time.time() // _DAY_S)


def _sweep(files: Iterable[Path]) -> None:
    """Delete what nobody has used for a month, and the longest unused beyond the folder's size."""
    kept: list[tuple[float, int, Path]] = []
    for file in files:
        with contextlib.suppress(OSError):
            status = file.stat()
            kept.append((status.st_mtime, status.st_size, file))
    left = _LARGEST_FOLDER
    for used, size, file in sorted(kept, reverse=True):
        left -= size
        if left < 0 or used < time.time() - _KEPT_DAYS * _DAY_S:
            with contextlib.suppress(OSError):
                file.unlink()
