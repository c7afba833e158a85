"""One generation of a log that is followed: its identity, how far it was read, and its rest.

Rules this module keeps:
- a file is known by its device and number and, because numbers are given again, by the digests of
  its first bytes and of those before the place up to which it was read;
- what was rotated away is looked for beside the log, also renamed, copied or compressed, and read
  from the place up to which it was read; a file that only has such a name is not taken for it;
- only whole lines are read; the last line of a file that nobody writes to any more counts as whole.

Units: sizes and offsets in bytes, of a compressed file those of the text in it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tavo.logs.sources import LONGEST_LINE, Source, SourceProblem, blocks

__all__ = ["Part", "Piece", "Position", "is_part_of", "parts_beside"]

_HEAD = 1024
_TAIL = 256
_STEP = 1 << 20
_FIRST = 128 << 10
_PACKED = r"(?:\.(?:gz|zst|bz2|xz))?"
_STAMP = r"(?:\d{1,6}|old|\d{4}-?\d\d-?\d\d(?:[T_.-]?\d{1,6}){0,4})"


class Position(msgspec.Struct, kw_only=True):
    """How far a generation was read; `path` is that of its log, `name` what findings call it.

    `line` counts the lines before `offset`; `reader` is the format's name, empty while it is not
    known; `leaving` says that it was rotated away, `done` that nothing more is expected of it, and
    `unread` how much of it was not read then.
    """

    name: str
    path: str
    device: int = 0
    inode: int = 0
    offset: int = 0
    line: int = 0
    head: str = ""
    head_size: int = 0
    tail: str = ""
    reader: str = ""
    wrapping: str = ""
    skipping: bool = False
    leaving: bool = False
    done: bool = False
    unread: int = 0


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Whole lines of a log; `end` is the position after them. `cut` lines were too long."""

    data: bytes
    offset: int
    line: int
    end: int
    cut: int = 0


def is_part_of(name: str, log: str) -> bool:
    """Tell whether a file's name is one that rotation gives to a part of a log."""
    stem, dot, suffix = log.rpartition(".")
    forms = [rf"{re.escape(log)}[.-]{_STAMP}{_PACKED}", rf"{re.escape(log)}{_PACKED}"]
    if dot and stem:
        forms.append(rf"{re.escape(stem)}[.-]{_STAMP}\.{re.escape(suffix)}{_PACKED}")
    return name != log and any(re.fullmatch(form, name) for form in forms)


def parts_beside(path: Path) -> list[Path]:
    """Return the rotated parts of a log, the oldest first."""
    found: list[tuple[int, Path]] = []
    try:
        with os.scandir(path.parent) as entries:
            found += [
                (entry.stat().st_mtime_ns, Path(entry.path))
                for entry in entries
                if is_part_of(entry.name, path.name) and entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        return []
    return [one for _, one in sorted(found)]


class Part:
    """A generation that is read. Close it."""

    def __init__(self, path: Path, position: Position) -> None:
        """Open a file. Raises OSError."""
        self.path = path
        self.position = position
        self._source = Source(name=position.name, path=path, size=path.stat().st_size)
        self._file = path.open("rb", buffering=0)
        state = os.fstat(self._file.fileno())
        position.device, position.inode = state.st_dev, state.st_ino
        self.quiet_since = 0.0
        self._stamp = (-1, -1)
        self._looked_to = position.offset
        self._unpacked_head = self._unpacked_tail = b""

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    @property
    def packed(self) -> bool:
        """Tell whether it is compressed."""
        return bool(self._source.packed)

    @property
    def modified_ns(self) -> int:
        """Return when it was written to."""
        return os.fstat(self._file.fileno()).st_mtime_ns

    @property
    def size(self) -> int:
        """Return how long it is."""
        return os.fstat(self._file.fileno()).st_size

    def rewind(self) -> None:
        """Begin with the position that it was given anew."""
        self._looked_to = self.position.offset
        if not self.packed:
            self._mark()

    def is_file(self, state: os.stat_result) -> bool:
        """Tell whether a file is this one."""
        return (state.st_dev, state.st_ino) == (self.position.device, self.position.inode)

    def begin_at_end(self) -> None:
        """Skip the whole lines that are there."""
        position = self.position
        at = self.size
        while at and not position.offset:
            start = max(0, at - _STEP)
            found = self._read(start, at - start).rfind(b"\n")
            if found >= 0:
                position.offset = start + found + 1
            at = start
        for start in range(0, position.offset, _STEP):
            position.line += self._read(start, min(_STEP, position.offset - start)).count(b"\n")
        self._looked_to = position.offset
        self._mark()

    def first_lines(self) -> list[bytes]:
        """Return the first lines of those that were read or skipped, none of a packed one."""
        if self.packed:
            return []
        return self._read(0, min(_FIRST, self.position.offset)).split(b"\n")[:-1]

    def holds(self, position: Position) -> bool:
        """Tell whether what was read up to a position stands in this file."""
        if not position.offset:
            return True
        if not self.packed:
            return self.size >= position.offset and self._marks(position) == (
                position.head, position.tail
            )  # fmt: skip
        head, tail, total = b"", b"", 0
        try:
            for block in blocks(self._source):
                if len(head) < position.head_size:
                    head += block.data[: position.head_size - len(head)]
                wanted = position.offset - total
                tail = (tail + block.data[:wanted])[-_TAIL:]
                total += len(block.data)
                if total >= position.offset:
                    break
        except SourceProblem:
            return False
        return total >= position.offset and (_digest(head), _digest(tail)) == (
            position.head, position.tail
        )  # fmt: skip

    def has_changed(self) -> bool:
        """Tell whether it may have grown or been replaced since it was asked last."""
        state = os.fstat(self._file.fileno())
        stamp = (state.st_size, state.st_mtime_ns)
        changed, self._stamp = stamp != self._stamp, stamp
        if state.st_size < self._looked_to:
            self._looked_to = self.position.offset
        return changed

    def pieces(self, *, most: int, last: bool = False) -> Iterator[Piece]:
        """Yield what is there in whole lines, at most about `most` bytes.

        `last`: nobody writes to it any more, what is there is all. Each piece must be given to
        `took` before the next; one that is not ends the round. Raises OSError, SourceProblem.
        """
        if self.packed:
            yield from self._unpacked()
            return
        position, read = self.position, 0
        while read < most:
            piece = self._next(last=last)
            if piece is None:
                return
            read += len(piece.data) + 1
            yield piece
            if position.offset < piece.end:
                return  # it was not taken

    def took(self, piece: Piece) -> None:
        """Note that a piece was looked at."""
        position = self.position
        position.line = piece.line + piece.data.count(b"\n")
        position.offset = self._looked_to = piece.end
        if piece.cut:
            position.skipping = True
        if not self.packed:
            self._mark()
            return
        position.head_size = len(self._unpacked_head)
        position.head, position.tail = map(_digest, (self._unpacked_head, self._unpacked_tail))

    def _next(self, *, last: bool) -> Piece | None:
        position = self.position
        if position.skipping and not self._skip():
            return None
        start = position.offset
        end = self._end_of_lines(start, last=last)
        if end == start:
            return None
        data = self._read(start, end - start)
        cut = 1 if len(data) >= LONGEST_LINE and not data.endswith(b"\n") else 0
        return Piece(data=data, offset=start, line=position.line, end=end, cut=cut)

    def _end_of_lines(self, start: int, *, last: bool) -> int:
        """Return the end of the whole lines from `start`, of 2 MB or of one longer line."""
        data = self._read(start, 2 * _STEP) if self._looked_to == start else b""
        found = data.rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = max(self._looked_to, start + len(data))
        while at - start < LONGEST_LINE:
            more = self._read(at, _STEP)
            found = more.find(b"\n")
            if found >= 0:
                return at + found + 1
            if not more:
                break
            at += len(more)
        self._looked_to = at
        return at if last or at - start >= LONGEST_LINE else start

    def _skip(self) -> bool:
        """Skip the rest of a line that was cut; tell whether its end is there."""
        position = self.position
        while data := self._read(position.offset, _STEP):
            found = data.find(b"\n")
            position.offset += len(data) if found < 0 else found + 1
            if found >= 0:
                position.skipping = False
                position.line += 1
                self._looked_to = position.offset
                self._mark()
                return True
        self._looked_to = position.offset
        self._mark()
        return False

    def _unpacked(self) -> Iterator[Piece]:
        """Yield the rest of a compressed part. Raises SourceProblem."""
        position = self.position
        self._unpacked_head = self._unpacked_tail = b""
        for block in blocks(self._source):
            end = block.offset + len(block.data)
            self._unpacked_head = (self._unpacked_head + block.data[:_HEAD])[:_HEAD]
            self._unpacked_tail = (self._unpacked_tail + block.data[-_TAIL:])[-_TAIL:]
            if end <= position.offset:
                continue
            skip = max(0, position.offset - block.offset)
            yield Piece(
                data=block.data[skip:], offset=block.offset + skip, line=position.line, end=end
            )
            if position.offset < end:
                return

    def _mark(self) -> None:
        position = self.position
        if position.head_size < _HEAD:
            position.head_size = min(_HEAD, position.offset)
        position.head, position.tail = self._marks(position)

    def _marks(self, position: Position) -> tuple[str, str]:
        tail = max(0, position.offset - _TAIL)
        return (
            _digest(self._read(0, position.head_size)),
            _digest(self._read(tail, position.offset - tail)),
        )

    def _read(self, start: int, size: int) -> bytes:
        """Read from a place, less only at the end of the file."""
        self._file.seek(start)
        parts: list[bytes] = []
        while size > 0 and (data := self._file.read(size)):
            parts.append(data)
            size -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
