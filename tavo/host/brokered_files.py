"""Files of the scanned project on a plugin's behalf: for who declares `files: project`.

Rules this module keeps:
- the worker has no right on any file: it names one below what is scanned, and gets its bytes;
- what is scanned are the paths that the user named, not the folder around them;
- no link is followed, of whatever folder on the way; only regular files are read, none of Git's;
- what is listed and read is bounded in number and size.

Units: sizes in bytes.
"""

from __future__ import annotations

import base64
import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tavo.host.lending import LendError

__all__ = ["FileLender"]

_GIT = ".git"
_LARGEST = 8 << 20
_MOST_BYTES = 512 << 20
_MOST_READS = 20_000
_MOST_LISTED = 10_000
_MOST_SEEN = 200_000
_MOST_TEXT = 8 << 20
_LONGEST_PATTERN = 200
_LONGEST_PATH = 4096
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class FileLender:
    """Serves `context.project_files` and `context.read_project` of one plugin."""

    def __init__(self, root: Path, targets: Sequence[Path]) -> None:
        """`root` is the folder that paths are relative to, `targets` are what is scanned below."""
        self._root = root
        self._within = tuple(
            tuple(one.resolve().relative_to(root.resolve()).parts) for one in targets
        )
        self._reads_left, self._bytes_left = _MOST_READS, _MOST_BYTES

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Read or list. Raises LendError."""
        if kind == "read":
            data = self._read(_parts(content.get("path")))
            return {"data": base64.b64encode(data).decode("ascii")}
        if kind == "files":
            return self._list(content.get("pattern"))
        raise LendError("not_available", f"{kind} is not lent to this plugin")

    def _read(self, parts: tuple[str, ...]) -> bytes:
        name = "/".join(parts)[:200]
        if not any(parts[: len(top)] == top for top in self._within) or _GIT in parts:
            raise LendError("file", f"{name}: is not part of what is scanned")
        if self._reads_left <= 0 or self._bytes_left <= 0:
            raise LendError("budget", "it read as much of the project as a run allows")
        self._reads_left -= 1
        try:
            descriptor = self._open(parts)
        except OSError as error:
            raise LendError("file", f"{name}: cannot be read: {error.strerror}") from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise LendError("file", f"{name}: is not a regular file")
            most = min(_LARGEST, self._bytes_left)
            if status.st_size > most:
                raise LendError("file", f"{name}: is larger than {most} bytes")
            pieces, room = [], most + 1
            while room > 0 and (piece := os.read(descriptor, min(room, 1 << 20))):
                pieces.append(piece)
                room -= len(piece)
        except OSError as error:
            raise LendError("file", f"{name}: cannot be read: {error.strerror}") from None
        finally:
            os.close(descriptor)
        data = b"".join(pieces)
        if len(data) > most:
            raise LendError("file", f"{name}: is growing while it is read")
        self._bytes_left -= len(data)
        return data

    def _open(self, parts: tuple[str, ...]) -> int:
        """Open a file below the root, folder by folder, so that no link is followed."""
        folder = os.open(self._root, os.O_RDONLY)
        try:
            for part in parts[:-1]:
                inner = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            return os.open(parts[-1], _FILE, dir_fd=folder)
        finally:
            os.close(folder)

    def _list(self, pattern: Any) -> dict[str, Any]:
        if not isinstance(pattern, str) or not 0 < len(pattern) <= _LONGEST_PATTERN:
            raise LendError("file", f"the pattern is no text of 1 to {_LONGEST_PATTERN} characters")
        if pattern.count("*") > 8:
            raise LendError("file", "the pattern has more than 8 stars")
        matches = re.compile(fnmatch.translate(pattern)).match
        whole = "/" in pattern
        found: list[str] = []
        size = 0
        for path in self._walk():
            text = str(path)
            if matches(text if whole else path.name) is None:
                continue
            size += len(text)
            if len(found) >= _MOST_LISTED or size > _MOST_TEXT // 8:
                raise LendError("file", f"more than {_MOST_LISTED} files are like {pattern!r}")
            found.append(text)
        return {"paths": sorted(set(found))}

    def _walk(self) -> Iterator[PurePosixPath]:
        """Yield the regular files below the root whose names are text; Git's own are left out."""
        waiting = []
        for top in sorted(set(self._within)):
            path = PurePosixPath(*top)
            if (self._root / path).is_dir():
                waiting.append(path)
            elif top:
                yield path
        seen = 0
        while waiting:
            folder = waiting.pop()
            try:
                entries = sorted(os.scandir(self._root / folder), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                seen += 1
                if seen > _MOST_SEEN:
                    raise LendError("file", f"the project has more than {_MOST_SEEN} entries")
                if not entry.name.isprintable():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != _GIT:
                        waiting.append(folder / entry.name)
                elif entry.is_file(follow_symlinks=False):
                    yield folder / entry.name


def _parts(path: Any) -> tuple[str, ...]:
    """Return the parts of a relative path. Raises LendError."""
    if not isinstance(path, str) or not 0 < len(path) <= _LONGEST_PATH or "\0" in path:
        raise LendError("file", "the path is no text that names a file")
    parts = tuple(path.split("/"))
    if any(part in {"", ".", ".."} for part in parts) or (os.sep == "\\" and "\\" in path):
        raise LendError("file", f"{path[:200]!r} is not a path below the project")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise LendError("file", "the path holds characters that no file name has") from None
    return parts
