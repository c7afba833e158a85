"""A source that counts what goes over the wire, and asks for no delta twice.

Units: bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from signing.chain import DELTAS
from signing.sources import Deadline, Resumable, Source

__all__ = ["Counted"]

_MOST_KEPT = 32 << 20


class Counted:
    """Passes another source on; `requests` and `bytes` count the files asked for and their bodies.

    Deltas are read twice by a mirror: to make the catalog, and to hand them on. They are kept in
    memory until then, up to 32 MB. Several threads may read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.requests = self.bytes = 0

    @property
    def name(self) -> str:
        """Return the source's name."""
        return self._source.name

    def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes; see `Source`."""
        if path in self._kept:
            yield self._kept.pop(path)
            return
        kept = bytearray() if path.startswith(f"targets/{DELTAS}") else None
        for chunk in self._count(self._source.read(path, deadline)):
            if kept is not None:
                kept += chunk
                if sum(map(len, self._kept.values())) + len(kept) > _MOST_KEPT:
                    kept = None
            yield chunk
        if kept is not None:
            self._kept[path] = bytes(kept)

    def read_from(self, path: str, start: int, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes from `start` on; see `Resumable`."""
        if isinstance(self._source, Resumable):
            yield from self._count(self._source.read_from(path, start, deadline))
            return
        for chunk in self._count(self._source.read(path, deadline)):
            kept, start = chunk[start:], max(0, start - len(chunk))
            if kept:
                yield kept

    def root_versions(self) -> frozenset[int] | None:
        """Return what the source says."""
        return self._source.root_versions()

    def _count(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._lock:
            self.requests += 1
        for chunk in chunks:
            with self._lock:
                self.bytes += len(chunk)
            yield chunk
