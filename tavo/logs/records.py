"""One record of a log, read from its file at a known place, for people to look at.

Rules this module keeps:
- credentials are masked, and no more than 64 kB of a record are shown;
- a file that is not what it was is said, not shown.

Units: sizes in bytes; in a compressed file those of the text in it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tavo.logs.event import LogEvent
from tavo.logs.explore import fields_of
from tavo.logs.lines import line_reader
from tavo.logs.masking import masked
from tavo.logs.sniff import Guess
from tavo.logs.sources import Source, SourceProblem, blocks
from tavo.logs.wrapped import unwrapped

__all__ = ["Records"]

_LONGEST = 64 << 10


class Records:
    """Reads records of logs, each with its format."""

    def __init__(self, logs: Iterable[tuple[Source, Guess | None]]) -> None:
        self._logs = {source.name: (source, found) for source, found in logs}

    def __call__(
        self, name: str, offset: int, length: int
    ) -> tuple[str | None, str, dict[str, str]]:
        """Return a record, what is to be said of it, and its fields; None: it cannot be shown."""
        source, found = self._logs.get(name, (None, None))
        return _record_at(source, found, offset, length)


def _record_at(
    source: Source | None, found: Guess | None, offset: int, length: int
) -> tuple[str | None, str, dict[str, str]]:
    if source is None or source.path is None:
        return None, "Its log is not here any more.", {}
    try:
        straight = source.straight
        data = _plain(source, offset, length) if straight else _streamed(source, offset, length)
    except (OSError, SourceProblem) as error:
        return None, f"Its log cannot be read: {error}", {}
    if data is None:
        return None, "Its log has changed since: at this place no such line stands any more.", {}
    cut = data[:_LONGEST]
    said = f"Only its first {_LONGEST:,} bytes are shown." if len(data) > len(cut) else ""
    return masked(cut.decode("utf-8", "replace")), said, _fields(data, found)


def _fields(line: bytes, found: Guess | None) -> dict[str, str]:
    if found is None:
        return {}
    if found.wrapping:
        line = unwrapped([line], found.wrapping)[0]
    records = line_reader(found.mapping)(line)[0]
    return fields_of(LogEvent(records[0], found.mapping)) if records else {}


def _plain(source: Source, offset: int, length: int) -> bytes | None:
    assert source.path is not None  # noqa: S101
    with source.path.open("rb") as file:
        start = max(0, offset - 1)
        file.seek(start)
        data = file.read(offset - start + length + 1)
    before, line, after = data[: offset - start], data[offset - start :][:length], data[-1:]
    if len(line) != length or before not in (b"", b"\n") or b"\n" in line:
        return None
    ends = len(data) == offset - start + length or after == b"\n"
    return line if ends else None


def _streamed(source: Source, offset: int, length: int) -> bytes | None:
    for block in blocks(source):
        at = offset - block.offset
        if 0 <= at < len(block.data):
            line = block.data[at : at + length]
            starts = at == 0 or block.data[at - 1 : at] == b"\n"
            return line if starts and len(line) == length and b"\n" not in line else None
    return None
