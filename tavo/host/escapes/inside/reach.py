"""What an attack works with: its targets' names, and system calls by number.

Every attack is bounded: without any sandbox it takes at most a few seconds and what `HOLD_S`, the
sizes in its file and the host's clean-up allow.
"""

from __future__ import annotations

import ctypes
import os
import stat
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["NUMBERS", "At"]

HOLD_S = 0.4  # how long an attack stays where it is, so that it can be seen from outside
# system call -> numbers on x86_64 and aarch64
NUMBERS = {
    "add_key": (248, 217), "bpf": (321, 280), "clone3": (435, 435), "execveat": (322, 281),
    "io_uring_setup": (425, 425), "keyctl": (250, 219), "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138), "userfaultfd": (323, 282),
}  # fmt: skip


class At:
    """Where the targets are: the host's configuration as attributes, and the scratch folder."""

    def __init__(self, config: Mapping[str, Any], scratch: str) -> None:
        self.__dict__.update(config)
        self.scratch = scratch
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.parent = os.getppid()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this attack has no target {name}")

    @staticmethod
    def hold(seconds: float = HOLD_S) -> None:
        """Stay where it is, whatever signal comes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                time.sleep(left)
            except BaseException:
                continue

    @staticmethod
    def channel() -> int:
        """Return the descriptor of the connection to the host: the socket among the open files."""
        for number in range(3, 1024):
            try:
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    return number
            except OSError:
                continue
        raise LookupError("there is no connection to the host")

    def call(self, name: str, *arguments: object) -> int:
        """Make a system call by its number. Raises OSError."""
        number = NUMBERS[name][0 if os.uname().machine == "x86_64" else 1]
        plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        return self.checked(int(self.libc.syscall(ctypes.c_long(number), *plain)))

    @staticmethod
    def checked(result: int) -> int:
        """Raise what the C library reports as an OSError."""
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
