"""The chain of an audit log: how a row is sealed, and whether a file is what was written.

A file that was changed, shortened in its middle or put together of others does not verify. One
that was cut at its end does, up to there: who wants to notice that keeps the last hash elsewhere
(the admin port tells it) and asks for it with `--expect`.

Units: rows from 1, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import msgspec

__all__ = ["FIRST", "Links", "Verified", "last_of", "sealed", "verify"]

FIRST = "0" * 64
_MARK = b',"hash":"'
_END = 64 + len(b'"}')
_LONGEST = 16 << 20


class Verified(msgspec.Struct, kw_only=True):
    """What a file holds. `broken` says where and why it is not what was written, or is empty."""

    rows: int = 0
    exchanges: int = 0
    blocked: int = 0
    open: int = 0
    torn: int = 0
    missed: int = 0
    observed: int = 0
    would_block: int = 0
    first: str = ""
    last: str = ""
    head: str = FIRST
    broken: str = ""


def sealed(row: bytes, previous: str) -> tuple[bytes, str]:
    """Return the line of a row, an object of JSON without its last bracket, and its hash."""
    digest = sha256(previous.encode("ascii") + row).hexdigest()
    return b'%b,"hash":"%b"}\n' % (row, digest.encode("ascii")), digest


def last_of(path: Path, size: int) -> tuple[int, str, bytes]:
    """Return number and hash of the last whole row, and what stands cut off behind it.

    Raises OSError, and ValueError for a file that is no audit log.
    """
    with path.open("rb") as stream:
        stream.seek(max(0, size - _LONGEST))
        data = stream.read(_LONGEST)
    whole, _, torn = data.rpartition(b"\n")
    if not whole and not torn.startswith(b'{"seq":'):
        raise ValueError("it does not begin like one")
    while whole:
        whole, _, line = whole.rpartition(b"\n")
        found = _unsealed(line)
        if found is not None:
            return int(found[1].get("seq", 0)), found[2], torn
        if not line.startswith(b'{"seq":'):
            raise ValueError("a line of it is no row")
    if size <= _LONGEST and not whole:
        return 0, FIRST, torn
    raise ValueError("its last row cannot be read")


def verify(path: Path, *, last: int = 0) -> Verified:
    """Look at every row of a file, or at those in its `last` bytes. Raises OSError.

    Of a part the first row is believed, and lines are counted from the one after it.
    """
    found = Verified()
    pending: set[str] = set()
    links = Links()
    with path.open("rb") as stream:
        if last and path.stat().st_size > last:
            links.previous, links.number = _first_in(stream, path.stat().st_size - last)
        for line in _lines(stream):
            row = links.take(line)
            if links.broken:
                break
            if row is not None:
                _count(found, row, pending)
    found.torn, found.broken = links.torn_rows, links.broken
    if links.torn and not found.broken:
        found.torn += 1
    found.open = len(pending)
    found.head = links.previous or FIRST
    return found


class Links:
    """Follows the chain of a file line by line. `broken` says where and why it ends, or is empty.

    `previous` and `number` are hash and number of the last row; empty and 0 where it begins.
    """

    def __init__(self, previous: str = "", number: int = 0, line: int = 0) -> None:
        self.previous, self.number, self.line = previous, number, line
        self.torn = b""  # a line that is no row, until a start says why
        self.torn_rows = 0
        self.broken = ""

    def take(self, line: bytes) -> dict[str, Any] | None:
        """Return the row of the next line; None for one that is none, or breaks the chain."""
        self.line += 1
        at = self.line
        parts = _unsealed(line.rstrip(b"\n")) if line.endswith(b"\n") else None
        if parts is None:
            if self.torn:
                self.broken = f"line {at - 1} is no row"
            self.torn = line.rstrip(b"\n")
            return None
        body, row, digest = parts
        if not self.previous:  # a file begins with zeros, or with the end of the file before it
            first = row.get("seq")
            self.previous = str(row.get("after", ""))
            self.number = first - 1 if type(first) is int else -1
            if row.get("kind") != "start" or self.number < 0:
                self.broken = f"line {at} is not the start of a log"
                return None
        if self.torn and not _explained(row, self.torn):
            self.broken = f"line {at - 1} is no row, and no start after it says so"
            return None
        self.torn_rows += bool(self.torn)
        self.torn = b""
        if sha256(self.previous.encode("utf-8") + body).hexdigest() != digest:
            self.broken = f"line {at} does not follow the line before it"
        elif row.get("seq") != self.number + 1:
            self.broken = f"line {at} has number {row.get('seq')}, expected {self.number + 1}"
        if self.broken:
            return None
        self.number, self.previous = self.number + 1, digest
        return row


# -- inside


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    while line := stream.readline(_LONGEST):
        yield line


def _first_in(stream: IO[bytes], at: int) -> tuple[str, int]:
    """Go behind the first whole row from a place on; return its hash and number."""
    stream.seek(at)
    stream.readline()
    for line in _lines(stream):
        parts = _unsealed(line.rstrip(b"\n"))
        if parts is not None:
            return parts[2], int(parts[1].get("seq", 0))
    stream.seek(0)
    return "", 0


def _unsealed(line: bytes) -> tuple[bytes, dict[str, Any], str] | None:
    """Return what was hashed, the row and its hash; None for what is no row."""
    start = len(line) - _END - len(_MARK)
    if start < 0 or line[start : start + len(_MARK)] != _MARK or not line.endswith(b'"}'):
        return None
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("hash"), str):
        return None
    return line[:start], row, row["hash"]


def _explained(row: dict[str, Any], torn: bytes) -> bool:
    said = row.get("torn")
    return (
        row.get("kind") == "start"
        and isinstance(said, dict)
        and said.get("bytes") == len(torn)
        and said.get("sha256") == sha256(torn).hexdigest()
    )


def _count(found: Verified, row: dict[str, Any], pending: set[str]) -> None:
    found.rows += 1
    at = str(row.get("at", ""))
    found.first = found.first or at
    found.last = at
    missed = row.get("missed")
    if isinstance(missed, int):
        found.missed = max(found.missed, missed)
    kind, name = row.get("kind"), str(row.get("id", ""))
    if kind == "asked":
        pending.add(name)
    elif kind == "done":
        pending.discard(name)
        found.exchanges += 1
        found.blocked += row.get("verdict") == "block"
        if row.get("observed") is True:
            found.observed += 1
            found.would_block += row.get("would") == "block"
