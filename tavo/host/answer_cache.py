"""What a static plugin said about a file, kept until the file, the plugin or its setting changes.

Rules this module keeps:
- an answer belongs to one content at one path, one package, one configuration and one interpreter;
- a file is taken for unchanged if size, both times, number and device are the same, and its times
  are older than the run that looked at it: nobody without root sets the time of a change;
- it lies with the user's state, not with what may be shared or restored: who can write here can
  also agree to plugins;
- failures are never kept; a cache that is damaged is made anew and costs time, nothing else.

Units: times in nanoseconds since 1970, as the file system gives them; days since 1970.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tavo.errors import RefusedError
from tavo.host.private import check_private, make_private
from tavo.host.sandbox.levels import SandboxLevel
from tavo.plugins.types import Finding, Rule

__all__ = ["AnswerCache", "cache_key"]

_FORMAT = 1
_SCHEMA = """
CREATE TABLE about (format INTEGER NOT NULL, level INTEGER NOT NULL, rules TEXT NOT NULL) STRICT;
CREATE TABLE answers (
    key BLOB PRIMARY KEY, findings TEXT NOT NULL, day INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE files (
    root TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL,
    changed INTEGER NOT NULL, inode INTEGER NOT NULL, device INTEGER NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (root, path)
) STRICT, WITHOUT ROWID;
"""
_LARGEST = 256 << 20
_KEPT_DAYS = 30
_SETTLED_NS = 2_000_000_000
_DAY_S = 86_400


def cache_key(package: str, config: Mapping[str, Any]) -> str:
    """Return the name of a plugin's cache: what else than a file decides about an answer."""
    setting = json.dumps(config, sort_keys=True)
    text = f"{_FORMAT} {package} {sys.implementation.cache_tag} {setting}"
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """The kept answers of one plugin in one configuration, below one root folder.

    Reading never fails: what cannot be read is not there.
    """

    def __init__(self, folder: Path, key: str, *, root: Path, lowest: SandboxLevel) -> None:
        """Open what is there; answers that were given at a level below `lowest` do not count."""
        self._path = folder / f"{key}.db"
        self._root = root
        self._began = time.time_ns()
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self._new_files: list[tuple[object, ...]] = []
        self._new_answers: list[tuple[bytes, str, int]] = []
        self._seen: set[str] = set()
        self.rules: dict[str, Rule] = {}
        self.level = SandboxLevel.NONE
        self.hits = 0
        self._root_text = os.fsencode(root).decode("utf-8", "backslashreplace")
        self._connection = self._open(lowest)

    @property
    def is_there(self) -> bool:
        """Tell whether there are answers from an earlier run."""
        return self._connection is not None

    def find(self, path: Path, relative: PurePosixPath) -> tuple[Finding, ...] | None:
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
        return self._decoded(known[1])

    def find_content(self, key: bytes) -> tuple[Finding, ...] | None:
        """Return the answer about a content, whatever file holds it now, or None."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(
                "SELECT findings FROM answers WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.Error:
            return None
        return None if row is None else self._decoded(row[0])

    @staticmethod
    def key_of(relative: PurePosixPath, kind: str, data: bytes | memoryview) -> bytes:
        """Return the key of a content at a path of the scan."""
        head = f"{kind}\0{relative}\0".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(head, digest_size=24)
        digest.update(data)
        return digest.digest()

    def keep(
        self,
        path: Path,
        relative: PurePosixPath,
        key: bytes,
        findings: Sequence[Finding] | None,
    ) -> None:
        """Note the answer about a file; None for one that is in the cache already."""
        name = str(relative)
        self._seen.add(name)
        try:
            name.encode()
            if findings is not None:
                text = msgspec.json.encode(findings, enc_hook=str).decode() if findings else ""
                self._new_answers.append((key, text, _today()))
            status = path.stat()
        except (OSError, UnicodeEncodeError):
            return
        if max(status.st_ctime_ns, status.st_mtime_ns) < self._began - _SETTLED_NS:
            self._new_files.append((self._root_text, name, *_identity(status), key))

    def save(self, *, level: SandboxLevel, rules: Mapping[str, Rule]) -> None:
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
            lowest = min(level, self.level) if self.rules else level
            about = msgspec.json.encode(list(rules.values())).decode()
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute("DELETE FROM about")
                self._connection.execute(
                    "INSERT INTO about VALUES (?, ?, ?)", (_FORMAT, int(lowest), about)
                )
                self._connection.executemany(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", self._new_answers
                )
                self._connection.executemany("DELETE FROM files WHERE root = ? AND path = ?", gone)
                self._connection.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._new_files
                )
                self._connection.execute(
                    "DELETE FROM answers WHERE day < ? AND key NOT IN (SELECT key FROM files)",
                    (_today() - _KEPT_DAYS,),
                )

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def _open(self, lowest: SandboxLevel) -> sqlite3.Connection | None:
        try:
            check_private(self._path.parent)
            if self._path.stat().st_size > _LARGEST:
                raise ValueError("it has grown too large")
            connection = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        except (FileNotFoundError, RefusedError):
            return None  # nothing is there, or it need not be ours
        except (OSError, ValueError, sqlite3.Error):
            self._forget()
            return None
        try:
            ((form, level, rules),) = connection.execute("SELECT * FROM about")
            if form != _FORMAT or level < lowest:
                raise ValueError("it is of another kind")
            self.level = SandboxLevel(level)
            self.rules = {rule.id: rule for rule in msgspec.json.decode(rules, type=list[Rule])}
            for name, *identity, findings in connection.execute(
                "SELECT path, size, modified, changed, inode, device, findings FROM files"
                " JOIN answers USING (key) WHERE root = ?",
                (self._root_text,),
            ):
                self._known[name] = (tuple(identity), findings)
            os.utime(self._path)
        except (sqlite3.Error, OSError, ValueError, msgspec.MsgspecError):
            connection.close()
            self._known, self.rules = {}, {}
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

    def _decoded(self, text: str) -> tuple[Finding, ...] | None:
        if not text:
            self.hits += 1
            return ()
        try:
            findings = msgspec.json.decode(text, type=tuple[Finding, ...], dec_hook=_path_of)
        except (msgspec.MsgspecError, ValueError):
            return None
        if any(finding.rule_id not in self.rules for finding in findings):
            return None
        self.hits += 1
        return findings


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_size, status.st_mtime_ns, status.st_ctime_ns, _signed(status.st_ino),
        _signed(status.st_dev),
    )  # fmt: skip


def _signed(number: int) -> int:
    """Return an unsigned number of 64 bits as SQLite can hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _path_of(kind: type, value: Any) -> Any:
    if kind is PurePosixPath:
        return PurePosixPath(value)
    raise TypeError(f"{kind} is not read")


def _today() -> int:
    return int(time.time() // _DAY_S)


def _sweep(files: Iterable[Path]) -> None:
    """Delete caches that nobody has used for a month."""
    for file in files:
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < time.time() - _KEPT_DAYS * _DAY_S:
                file.unlink()
