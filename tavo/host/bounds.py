"""What a worker may use: limits that the kernel keeps, and those that we look at from outside.

Rules this module keeps:
- a limit that the kernel can keep for one process is the kernel's; the others (threads, memory
  really used, the size of a folder, silence) are looked at while a worker is silent;
- nothing in a worker's folder is followed: it may have been made to lead somewhere else.

Units: sizes in bytes, times in seconds of the monotonic clock.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import shutil
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from marketplace_db.manifest import Limits
from tavo.host.locks import hold, let_go
from tavo.host.process import WorkerProcess
from tavo.plugins.frames import FLUSH_EVERY_S

__all__ = [
    "CANCEL_S",
    "DEVICES",
    "FOLDER_PREFIX",
    "MOST_SCRATCH_FILES",
    "SYSTEM_FOLDERS",
    "TICK_S",
    "Cancel",
    "Watch",
    "delete_folder",
    "disk_use",
    "environment",
    "resource_limits",
    "sweep_folders",
]

FOLDER_PREFIX = "tavo-worker-"
CANCEL_S = 0.25
TICK_S = 0.2
MOST_SCRATCH_FILES = 10_000
# What every worker may read beside what is its own: libraries and time zones.
SYSTEM_FOLDERS = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store",
    "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random")
_LEFT_BEHIND_AFTER_S = 60.0
_ADDRESSES_OF_INTERPRETER = 192 << 20
_STACK = 8 << 20


@dataclass(frozen=True, slots=True)
class Cancel:
    """A call that was over a limit and stopped when it was told to."""

    kind: str
    reason: str


class Watch:
    """The clocks of one request: silence, processor time per file, total time, cancel."""

    def __init__(self, limits: Limits, left_s: float, cpu_s: float) -> None:
        now = time.monotonic()
        self._limits = limits
        self._end_of_total = now + left_s
        self._progress_at = now
        self._progress_cpu = cpu_s
        self._dies_at = math.inf
        self.cancelled: Cancel | None = None

    def next_look(self) -> float:
        """Return until when to wait before looking at the worker."""
        if self.cancelled:
            return self._dies_at
        return min(time.monotonic() + TICK_S, self._silent_at(), self._end_of_total)

    def progress(self, process: WorkerProcess) -> None:
        """Note that items were answered."""
        self._progress_at = time.monotonic()
        self._progress_cpu = process.sample().cpu_s

    def pause(self, waited_s: float) -> None:
        """Note that the worker waited for us so long: its clocks stood still."""
        self._end_of_total += waited_s
        self._progress_at = time.monotonic()

    def must_die(self) -> bool:
        """Tell whether a cancelled worker had its time."""
        return time.monotonic() >= self._dies_at

    def is_over(self, cpu_s: float) -> bool:
        """Decide whether to cancel now; start the last period if so."""
        now = time.monotonic()
        limits = self._limits
        if self.cancelled:
            return False
        if now >= self._end_of_total:
            reason = f"it used up its {limits.wall_s_total:g} s for the whole run"
            self.cancelled = Cancel("total", reason)
        elif now >= self._silent_at():
            reason = f"it took longer than {limits.wall_s_per_call:g} s"
            self.cancelled = Cancel("timeout", reason)
        elif cpu_s - self._progress_cpu > limits.cpu_s_per_file:
            reason = f"it used more than {limits.cpu_s_per_file:g} s of processor time"
            self.cancelled = Cancel("cpu", reason)
        else:
            return False
        self._dies_at = now + CANCEL_S
        return True

    def _silent_at(self) -> float:
        return self._progress_at + self._limits.wall_s_per_call + FLUSH_EVERY_S


def environment(scratch: Path, limits: Limits, *, proxy: int = 0) -> dict[str, str]:
    """Return the whole environment of a worker: nothing of ours, its scratch folder as home.

    `proxy` is the port of a proxy on its own loopback address, 0 for none.
    """
    address = f"http://127.0.0.1:{proxy}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy") if proxy else ()
    folder = str(scratch)
    threads = str(min(limits.threads, os.cpu_count() or 1))
    return {
        "HOME": folder,
        "TMPDIR": folder,
        "LOGNAME": "tavo",  # getpass and others ask for a name, and no list of users is there
        "USER": "tavo",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PATH": "/nonexistent",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "MALLOC_ARENA_MAX": "2",
        **dict.fromkeys(names, address),
    }


def resource_limits(
    limits: Limits, *, endless: bool = False, cpu_s: float | None = None
) -> dict[str, int]:
    """Return the limits that the kernel keeps; what it cannot count is watched from outside.

    `endless` says that the plugin's whole time has no end that could be known; `cpu_s` is the
    processor time of its process, where somebody bounds that, too.
    """
    values = {
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 256,
        "RLIMIT_FSIZE": max(limits.scratch_mb, 1) << 20,
    }
    if not endless:
        processors = min(limits.threads, os.cpu_count() or 1)
        values["RLIMIT_CPU"] = math.ceil(limits.wall_s_total) * processors + 10
    if cpu_s is not None:
        most = math.ceil(cpu_s)
        values["RLIMIT_CPU"] = min(values.get("RLIMIT_CPU", most), most)
    if sys.platform.startswith("linux"):
        # addresses, not memory: what is really used is looked at while the plugin works
        values["RLIMIT_AS"] = (
            (limits.memory_mb << 20) + _ADDRESSES_OF_INTERPRETER + limits.threads * _STACK
        )
        values["RLIMIT_MEMLOCK"] = 0
        values["RLIMIT_MSGQUEUE"] = 0
    return values


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
