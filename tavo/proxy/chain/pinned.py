"""What tools were when they were first seen: one table for all workers, which a reload keeps.

The table lies in a file that all workers map: one without a name, made before they are forked, or
one that the configuration names, which a restart keeps as well.

Rules this module keeps:
- a tool is entered once; whoever comes second compares, whichever worker it is;
- a table that is full takes no new tool, and who asks holds it;
- the table holds digests, never a name or a definition.

Units: sizes in bytes.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO

from tavo.errors import ConfigError

__all__ = ["Pinned"]

_SLOTS = 16_384
_NAME, _DIGEST = 16, 32
_SLOT = _NAME + 2 * _DIGEST
_MAGIC = b"tavo-pins/1\n".ljust(_SLOT, b"\0")
_SIZE = _SLOT * (_SLOTS + 1)
_NOTHING = bytes(_DIGEST)


class Pinned:
    """The table. `pinned` is the digest that was seen first, `held` the one that is held now."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the table at a path, or make one that ends with its processes.

        Raises ConfigError for a file that is no table.
        """
        self._stream = _without_name() if path is None else _opened(path)
        with self._locked():
            if os.fstat(self._stream.fileno()).st_size == 0:
                self._stream.write(_MAGIC)
                self._stream.truncate(_SIZE)
        self._stream.seek(0)
        if self._stream.read(_SLOT) != _MAGIC or self._stream.seek(0, os.SEEK_END) != _SIZE:
            raise ConfigError(
                f"{path}: is no table of pins", hint="Name a file that is not there yet."
            )
        self._cells = mmap.mmap(self._stream.fileno(), _SIZE)

    def first(self, name: str, digest: str) -> str | None:
        """Return the digest that a tool was first seen with: this one, if nobody saw it before.

        None if the table is full.
        """
        with self._locked():
            at = self._place(name)
            if at is None:
                return None
            found = self._cells[at + _NAME : at + _NAME + _DIGEST]
            if found == _NOTHING:
                found = bytes.fromhex(digest)
                self._cells[at : at + _NAME + _DIGEST] = _key(name) + found
            return found.hex()

    def hold(self, name: str, digest: str) -> None:
        """Note that a tool is held with a definition; an empty one lets it go."""
        with self._locked():
            at = self._place(name)
            if at is not None:
                self._cells[at : at + _NAME] = _key(name)
                start = at + _NAME + _DIGEST
                self._cells[start : start + _DIGEST] = bytes.fromhex(digest) if digest else _NOTHING

    def held(self, name: str) -> str:
        """Return the definition that a tool is held with, empty if it is not."""
        at = self._place(name)
        if at is None:
            return ""
        start = at + _NAME + _DIGEST
        found = self._cells[start : start + _DIGEST]
        return "" if found == _NOTHING else found.hex()

    def _place(self, name: str) -> int | None:
        key = _key(name)
        start = int.from_bytes(key[:4], "little")
        for step in range(_SLOTS):
            at = ((start + step) % _SLOTS + 1) * _SLOT
            held = self._cells[at : at + _NAME]
            if held == key or not any(held):
                return at
        return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the other workers out; their locks end with them. One process needs none."""
        if sys.platform == "win32":
            yield
            return
        import fcntl

        fcntl.lockf(self._stream, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._stream, fcntl.LOCK_UN)


def _without_name() -> IO[bytes]:
    return tempfile.TemporaryFile("w+b", buffering=0)


def _opened(path: Path) -> IO[bytes]:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
    except OSError as error:
        raise ConfigError(
            f"{path}: the table of pins cannot be opened: {error.strerror or error}"
        ) from error


def _key(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_NAME).digest()
