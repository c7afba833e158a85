"""Private folders in which workers and programs work: made, held, measured, deleted.

Rules this module keeps:
- a folder belongs to the process that made it, which holds it as long as it lives; what killed
  processes have left behind is deleted by the next one;
- nothing in a folder is followed: what worked there may have made it lead somewhere else.

Units: sizes in bytes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tavo.host.locks import hold, let_go

__all__ = [
    "FOLDER_PREFIX",
    "MOST_SCRATCH_FILES",
    "LockedUpFolder",
    "WorkFolder",
    "delete_folder",
    "disk_use",
    "sweep_folders",
]

FOLDER_PREFIX = "tavo-worker-"
MOST_SCRATCH_FILES = 10_000
_LEFT_BEHIND_AFTER_S = 60.0


class WorkFolder:
    """A new folder at `path`, held until it is deleted. Use it as a context manager, or `delete`.

    Making one raises OSError.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        self._lock = -1
        try:
            self._lock = hold(self.path, exclusive=False)
            self._furnish()
        except BaseException:
            self.delete()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.delete()

    def delete(self) -> None:
        """Let it go and delete it with everything in it."""
        let_go(self._lock)
        self._lock = -1
        delete_folder(self.path)

    def _furnish(self) -> None:
        """Put into it what is there from the beginning."""


class LockedUpFolder(WorkFolder):
    """The folder of a process in a sandbox: `scratch` is its own, `canary` must be out of reach."""

    def __init__(self) -> None:
        sweep_folders(Path(tempfile.gettempdir()))
        super().__init__()

    @property
    def scratch(self) -> Path:
        """Return the folder to which it may write."""
        return self.path / "scratch"

    @property
    def canary(self) -> Path:
        """Return the file that it tries to read, to see that the sandbox holds."""
        return self.path / "canary"

    def _furnish(self) -> None:
        self.scratch.mkdir(mode=0o700)
        self.canary.write_bytes(b"not for who is locked up\n")


def disk_use(folder: Path) -> tuple[int, int]:
    """Return bytes and entries below a folder that somebody may be changing meanwhile."""
    size = count = 0
    for _, folders, files, handle in os.fwalk(folder):
        count += len(folders) + len(files)
        if count > MOST_SCRATCH_FILES:
            break
        for name in files:
            with contextlib.suppress(OSError):
                status = os.stat(name, dir_fd=handle, follow_symlinks=False)
                size += max(status.st_blocks * 512, status.st_size)
    return size, count


@functools.cache
def sweep_folders(parent: Path) -> None:
    """Delete what workers of killed hosts have left behind; look once per process.

    A folder that is ours, is not new, and that no living host holds has been left behind.
    """
    with contextlib.suppress(OSError):
        for folder in parent.glob(f"{FOLDER_PREFIX}*"):
            with contextlib.suppress(OSError):
                status = folder.lstat()
                new = time.time() - status.st_mtime < _LEFT_BEHIND_AFTER_S
                if new or status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
                    continue
                handle = hold(folder, exclusive=True)
                try:
                    delete_folder(folder)
                finally:
                    let_go(handle)


def delete_folder(folder: Path) -> None:
    """Delete a folder that a dead worker left, whatever modes it gave."""

    def make_writable(_: object, path: str, __: object) -> None:
        with contextlib.suppress(OSError):
            Path(path).parent.chmod(0o700)
            if stat.S_ISDIR(os.lstat(path).st_mode):
                Path(path).chmod(0o700)

    for _ in range(3):
        shutil.rmtree(folder, onerror=make_writable)
        if not folder.exists():
            return
