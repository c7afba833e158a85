"""Advisory locks on folders and files, which the system lets go when their holder ends.

A folder is held shared by who uses it and exclusively by who wants to delete it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["hold", "let_go", "try_lock"]


def hold(folder: Path, *, exclusive: bool) -> int:
    """Lock a folder while the returned descriptor is open; it follows no link.

    Raises OSError when it is missing, BlockingIOError when it is locked the other way.
    """
    if sys.platform == "win32":
        return -1  # folders cannot be opened there
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not try_lock(handle, exclusive=exclusive):
        os.close(handle)
        raise BlockingIOError(f"{folder} is in use")
    return handle


def let_go(handle: int) -> None:
    """End what `hold` began."""
    if handle >= 0:
        os.close(handle)


def try_lock(handle: int, *, exclusive: bool) -> bool:
    """Take a lock on an open file without waiting; tell whether it was had."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
