"""Locks on folders that two processes must not write at once.

Rules this module keeps:
- the system releases a lock when its process dies: nothing stale is ever in the way.

Units: seconds.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from signing.errors import BusyError

__all__ = ["hold"]


@contextlib.contextmanager
def hold(path: Path, wait_s: float, doing: str) -> Iterator[None]:
    """Hold the lock file for this process; raises BusyError when another one keeps it longer.

    `doing` completes the sentence "another process ...".
    """
    end = time.monotonic() + wait_s
    with path.open("ab") as stream:
        while not _try_lock(stream.fileno()):
            if time.monotonic() >= end:
                raise BusyError(
                    f"{path}: another process {doing}",
                    hint="Wait until it has finished, then try again.",
                )
            time.sleep(0.05)
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
