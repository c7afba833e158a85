"""What can be asked of a block of a log as bytes, before anything in it is read.

Units: positions and sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tavo.logs.intel import begins_word

__all__ = ["has_twins", "is_utf8", "line_at", "lines_with", "starts_of"]


def line_at(data: bytes, start: int) -> bytes:
    """Return the line that begins at a place, without its end."""
    end = data.find(b"\n", start)
    return data[start : end if end >= 0 else len(data)]


def lines_with(low: bytes, word: bytes, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield start and bytes of the lines in which a word stands by itself, or below a domain."""
    at = low.find(word)
    while at >= 0:
        end = at + len(word)
        after = low[end : end + 1]
        if begins_word(low, at) and not (after.isalnum() or after == b"-"):
            start = low.rfind(b"\n", 0, at) + 1
            line = line_at(data, start)
            yield start, line
            end = start + len(line)
        at = low.find(word, end)


def starts_of(data: bytes) -> list[int]:
    """Return where each line begins, and where the next one would."""
    starts = [0]
    at = 0
    for line in data.split(b"\n"):
        at += len(line) + 1
        starts.append(at)
    return starts


def is_utf8(data: bytes) -> bool:
    """Tell whether bytes are valid UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def has_twins(raw: bytes, record: Any) -> bool:
    """Tell whether a record may have lost a key that stood twice in it."""
    keys = 0
    stack = [record]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            keys += len(value)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    return raw.count(b'":') + raw.count(b'" :') > keys
