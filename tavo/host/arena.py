"""The memory in which a worker finds the content of files; we write, it can only read.

Units: sizes in bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Arena"]

_KEPT = 32 << 20
_AT_ONCE = 512  # fewer than any system takes in one call


class Arena:
    """Memory that we write and the worker reads, through a descriptor that cannot write."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._writer = os.memfd_create("tavo-arena", os.MFD_CLOEXEC)
            # Landlock does not cover such files: without this the worker could open it anew
            os.fchmod(self._writer, 0o400)
            self.reader = os.open(f"/proc/self/fd/{self._writer}", os.O_RDONLY | os.O_CLOEXEC)
        else:
            self._writer, name = tempfile.mkstemp(prefix="tavo-arena-")
            self.reader = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            Path(name).unlink()
        self.size = 0

    def fill(self, contents: Sequence[bytes | memoryview]) -> list[int]:
        """Replace the content; return where each piece starts."""
        if self.size > _KEPT:
            os.ftruncate(self._writer, 0)  # else the same pages are written again
        offsets = []
        end = 0
        for content in contents:
            offsets.append(end)
            end += len(content)
        self.size = 0
        os.lseek(self._writer, 0, os.SEEK_SET)
        for first in range(0, len(contents), _AT_ONCE):
            pieces = [memoryview(content) for content in contents[first : first + _AT_ONCE]]
            while pieces:
                written = os.writev(self._writer, pieces)
                self.size += written
                while pieces and written >= len(pieces[0]):
                    written -= len(pieces.pop(0))
                if pieces:
                    pieces[0] = pieces[0][written:]
        return offsets

    def close(self) -> None:
        os.close(self.reader)
        os.close(self._writer)
