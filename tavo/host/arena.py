"""The memory in which a worker finds the content of files; we write, it can only read.

Units: sizes in bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Arena"]


class Arena:
    """Memory that we write and the worker reads, through a descriptor that cannot write."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._writer = os.memfd_create("tavo-arena", os.MFD_CLOEXEC)
            self.reader = os.open(f"/proc/self/fd/{self._writer}", os.O_RDONLY | os.O_CLOEXEC)
        else:
            self._writer, name = tempfile.mkstemp(prefix="tavo-arena-")
            self.reader = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            Path(name).unlink()
        self.size = 0

    def fill(self, contents: Sequence[bytes | memoryview]) -> list[int]:
        """Replace the content; return where each piece starts."""
        os.ftruncate(self._writer, 0)
        offsets = []
        self.size = 0
        for content in contents:
            offsets.append(self.size)
            view = memoryview(content)
            while view:
                written = os.pwrite(self._writer, view, self.size)
                self.size += written
                view = view[written:]
        return offsets

    def close(self) -> None:
        os.close(self.reader)
        os.close(self._writer)
