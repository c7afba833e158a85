"""The rows of one exchange in audit logs, by the id that its answer carried.

Units: sizes in bytes.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["LONGEST_ID", "is_id", "rows_of"]

LONGEST_ID = 40
_MOST = 16
_DIGITS = frozenset("0123456789abcdef-")


def is_id(text: str) -> bool:
    """Tell whether a text can be an `x-tavo-request-id`."""
    return 0 < len(text) <= LONGEST_ID and _DIGITS.issuperset(text)


def rows_of(name: str, files: Iterable[Path], *, last: int = 0) -> list[dict[str, Any]]:
    """Return the rows that have an id, in their order; of each file its `last` bytes, 0 for all.

    Raises OSError.
    """
    wanted = b'"id":"%b"' % name.encode("ascii")
    found: list[dict[str, Any]] = []
    for path in files:
        with path.open("rb") as stream:
            size = path.stat().st_size
            if not size:
                continue
            with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as data:
                at = data.find(wanted, max(0, size - last) if last else 0)
                while at >= 0 and len(found) < _MOST:
                    start = data.rfind(b"\n", 0, at) + 1
                    end = data.find(b"\n", at)
                    end = size if end < 0 else end
                    row = _row(data[start:end])
                    if row is not None and row.get("id") == name:
                        found.append(row)
                    at = data.find(wanted, end)
    return found


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
