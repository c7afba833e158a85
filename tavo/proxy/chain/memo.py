"""What was said about texts and heads before: an agent sends its whole history each time.

Rules this module keeps:
- a verdict is found by a keyed hash of everything that it depends on: the version of each filter,
  the dialect, the phase, the role and kind of the text, and the text; nothing else leads to it;
- no text is kept: places and rules only; what stood there is read from the text at hand;
- what was not asked for lately goes first, when there are too many: they are kept in two halves,
  and when the newer one is full, the older one goes as a whole. Nothing is taken out one by one,
  for a table that is filled and emptied at the same time grows.
"""

from __future__ import annotations

import hashlib
from typing import Generic, NamedTuple, TypeVar

from tavo.llm.dialect import Operation
from tavo.proxy.chain.values import Where
from tavo.proxy.messages import Headers, RequestHead

__all__ = ["GoodHeads", "Head", "Memo"]

V = TypeVar("V")
_MOST = 50_000
_MOST_HEADS = 256


class Memo(Generic[V]):
    """A bounded memory; `version` stands for the whole chain."""

    def __init__(self, key: bytes, version: str, most: int = _MOST) -> None:
        self._base = hashlib.blake2b(version.encode(), key=key[:64], digest_size=16)
        self._newer: dict[bytes, V] = {}
        self._older: dict[bytes, V] = {}
        self._half = most // 2
        self.hits = 0
        self.misses = 0

    def key(self, data: bytes, where: Where, dialect: str) -> bytes:
        """Return where a verdict about a text is kept."""
        digest = self._base.copy()
        head = f"\0{dialect}\0{where.phase}\0{where.role}\0{where.kind}\0{int(where.restores)}\0"
        digest.update(head.encode())
        digest.update(data)
        return digest.digest()

    def get(self, key: bytes) -> V | None:
        """Return a verdict, None where there is none."""
        found = self._newer.get(key)
        if found is None:
            found = self._older.get(key)
            if found is None:
                self.misses += 1
                return None
            self.put(key, found)
        self.hits += 1
        return found

    def put(self, key: bytes, value: V) -> None:
        """Remember a verdict."""
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, {}
        self._newer[key] = value

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)


class Head(NamedTuple):
    """A head that was found good: what it asks for, how its body is coded, what goes up."""

    path: bytes
    query: bytes
    headers: Headers
    operation: Operation
    coding: bytes
    outbound: Headers


class GoodHeads:
    """Heads that were found good, by the list of their headers, which the wire keeps."""

    def __init__(self) -> None:
        self._kept: dict[int, Head] = {}

    def find(self, head: RequestHead) -> Head | None:
        """Return what is known of a head."""
        found = self._kept.get(id(head.headers))
        if (
            found is None or found.headers is not head.headers or found.path != head.path
            or found.query != head.query
        ):  # fmt: skip
            return None
        return found

    def keep(self, head: Head) -> None:
        """Keep one; it keeps the list, so that nothing else has its place in memory."""
        if len(self._kept) >= _MOST_HEADS:
            self._kept.clear()
        self._kept[id(head.headers)] = head
