"""What `tavo plugin validate` says of a plugin's folder, and how its checks read that folder.

A check returns problems; each says where it is, what it is and what to do. Files are strangers':
their number and what is read of each have a bound. Units: sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec

from marketplace_db.sources import listed

__all__ = ["LARGEST_MANIFEST", "LARGEST_SOURCE", "Problem", "beginning", "packed"]

LARGEST_MANIFEST = 64 * 1024
LARGEST_SOURCE = 1 << 20
_MOST_FILES = 10_000


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to mend. A `note` is a piece of advice: the plugin can be packed as it is."""

    where: str
    what: str
    hint: str = ""
    kind: Literal["problem", "note"] = "problem"


def packed(folder: Path) -> Iterator[Path]:
    """Yield what a package would hold, links too, in order, up to a bound."""
    yield from sorted(islice(listed(folder), _MOST_FILES))


def beginning(path: Path, limit: int) -> bytes:
    """Return at most so many bytes of a file. Raises OSError."""
    with path.open("rb") as stream:
        return stream.read(limit)
