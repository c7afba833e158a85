"""What a web server answers for a file of a mirror: read only, with ranges and entity tags.

Rules this module keeps:
- only the files of a repository are there: metadata, targets, blobs and mirror.json; no folder is
  listed, no link is followed, and nothing that begins with a dot is there;
- metadata that changes is never cached; what is named by its digest never changes.

Source: RFC 9110, sections 13 and 14, of which one range from a beginning on is enough.

Units: bytes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from signing.roles import ARTIFACT_NAME

__all__ = ["Answer", "answer", "is_file_of_mirror"]

_PATH = re.compile(
    r"mirror\.json|metadata/[a-z0-9][a-z0-9.]{0,60}\.json"
    rf"|targets(?:/[a-z]+){{1,4}}/{ARTIFACT_NAME}"
    r"|blobs/sha256/[0-9a-f]{2}/[0-9a-f]{64}"
)
_NAMED = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\..*)?")
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")


class Answer(NamedTuple):
    """Status and headers, and for 200 and 206 an open file, where to begin in it and how long."""

    status: int
    headers: Mapping[str, str]
    handle: int | None = None
    start: int = 0
    length: int = 0


def is_file_of_mirror(path: str) -> bool:
    """Tell whether a path, without its first slash, has the form of a repository's file."""
    return _PATH.fullmatch(path) is not None


def answer(folder: Path, path: str, header: Callable[[str], str]) -> Answer:
    """Answer a GET for a file of the mirror in `folder`, which is resolved.

    `header` returns a header of the request, empty if it was not sent. Whoever asks closes the
    handle.
    """
    handle = _open(folder, path)
    if handle is None:
        return Answer(404, {"Content-Length": "0"})
    facts = os.fstat(handle)
    named = _NAMED.fullmatch(path)
    tag = f'"{named[1]}"' if named else f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Cache-Control": "public, max-age=31536000, immutable" if named else "no-cache",
    }
    if tag in header("If-None-Match"):
        os.close(handle)
        return Answer(304, headers)
    start, end, status = 0, facts.st_size, 200
    asked = header("Range")
    if asked and (header("If-Range") or tag) == tag:
        found = _RANGE.fullmatch(asked.strip())
        if found and (not found[2] or int(found[1]) <= int(found[2])):
            start = int(found[1])
            end = min(end, int(found[2]) + 1) if found[2] else end
            if start >= facts.st_size:
                os.close(handle)
                return Answer(
                    416, {"Content-Length": "0", "Content-Range": f"bytes */{facts.st_size}"}
                )
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{facts.st_size}"
    headers["Content-Length"] = str(end - start)
    return Answer(status, headers, handle, start, end - start)


def _open(folder: Path, path: str) -> int | None:
    if not is_file_of_mirror(path):
        return None
    place = folder / path
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if place.resolve() != place:
            return None
        handle = os.open(place, flags | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    return handle
