"""What a worker, or a program of its own, may use: what the kernel keeps, and what we look at.

Rules this module keeps:
- a limit that the kernel can keep for one process is the kernel's; the others (threads, memory
  really used, the size of a folder, silence) are looked at while a worker is silent;
- what is locked up may read the system's libraries and what it was given, write to its scratch
  folder, and reach nothing else.

Units: sizes in bytes, times in seconds of the monotonic clock.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace_db.manifest import Limits
from tavo.host.process import Sample, WorkerProcess
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.work_folder import MOST_SCRATCH_FILES, LockedUpFolder, disk_use
from tavo.plugins.frames import FLUSH_EVERY_S

__all__ = [
    "CANCEL_S",
    "TICK_S",
    "Cancel",
    "Watch",
    "environment",
    "resource_limits",
    "sandbox_order",
    "too_full",
    "too_much",
]

CANCEL_S = 0.25
TICK_S = 0.2
# What everything that runs locked up may read beside its own: libraries and time zones.
_SYSTEM_FOLDERS = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store",
    "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random")
_ADDRESSES_OF_INTERPRETER = 192 << 20
_STACK = 8 << 20
_MEMORY_OF_INTERPRETER = 64 << 20


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


def sandbox_order(
    level: SandboxLevel,
    limits: Limits,
    folder: LockedUpFolder,
    *,
    kernel: Mapping[str, int],
    readable: Iterable[Path],
    proxy: int = 0,
    program: Path | None = None,
    more: Iterable[str] = (),
) -> dict[str, Any]:
    """Return what the sandbox of a process is told, in the words of `tavo.host.sandbox.apply`.

    `kernel` are the limits that the kernel keeps, `readable` the files and folders of its own that
    it may read, `more` those of the system beside its libraries. `proxy` is as in `environment`,
    `program` the file that the process is to become.
    """
    return {
        "level": int(level),
        "limits": dict(kernel),
        "read": [*map(str, readable), *_SYSTEM_FOLDERS, *more],
        "write": [str(folder.scratch)] if limits.scratch_mb else [],
        "devices": list(_DEVICES),
        "proxy": proxy,
        "program": "" if program is None else str(program),
        "canary": str(folder.canary),
        "scratch": {
            "folder": str(folder.scratch),
            "bytes": limits.scratch_mb << 20,
            "entries": MOST_SCRATCH_FILES,
        },
    }


def too_much(sample: Sample, limits: Limits) -> tuple[str, str]:
    """Say of which thing a process uses too much, as a word and a clause; empty if of none."""
    if sample.threads > limits.threads + 1:
        return "threads", f"it started {sample.threads} threads, {limits.threads} allowed"
    if sample.peak_memory > (limits.memory_mb << 20) + _MEMORY_OF_INTERPRETER:
        used = sample.peak_memory >> 20
        return "memory", f"it used {used} MB, {limits.memory_mb} MB allowed"
    return "", ""


def too_full(scratch: Path, limits: Limits) -> str:
    """Say with what a scratch folder is too full, empty if it is not."""
    size, count = disk_use(scratch)
    if size <= limits.scratch_mb << 20 and count <= MOST_SCRATCH_FILES:
        return ""
    return f"{size} bytes in {count} files, {limits.scratch_mb} MB allowed"
