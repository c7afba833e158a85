"""Workers forked from a process that has our modules loaded, where that pays and can be had.

Rules this module keeps:
- one zygote for each interpreter, started when more than one worker is expected or was started;
- a zygote that is gone, slow or refused costs time and nothing else: the caller starts the worker
  by itself;
- a zygote is never used by a copy of this process: its workers would be the children of another.

Linux only: elsewhere nobody gives a process to another as its child. Units: times in seconds.
"""

from __future__ import annotations

import atexit
import io
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from marketplace_db.manifest import Limits
from tavo.host.bounds import environment
from tavo.host.payload import BOOT, payload
from tavo.host.process import WorkerProcess

__all__ = ["ZYGOTES", "Forked", "Zygotes"]

_PATIENCE_S = 10.0
_END_S = 1.0
_NOBODY = Path("/nonexistent")


@dataclass(frozen=True, slots=True)
class Forked:
    """A worker that was forked, and the processor time since the fork before that it took.

    `zygote_cpu_s` is that of the zygote, `starter_cpu_s` that of our thread that starts zygotes.
    """

    process: WorkerProcess
    zygote_cpu_s: float
    starter_cpu_s: float


class Zygotes:
    """All zygotes of this process. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._known: dict[Path, _Zygote] = {}
        self._useless: set[Path] = set()
        self._started = self._expected = 0

    def expect(self, workers: int) -> None:
        """Say how many workers a run is going to start, if all of its plugins have work."""
        with self._lock:
            self._expected = max(self._expected, workers)

    def fork(self, python: Path, channel: int, arena: int) -> Forked | None:
        """Return a new worker with these descriptors, or None: then start it another way."""
        if not sys.platform.startswith("linux"):
            return None
        with self._lock:
            self._check_owner()
            more = self._expected > 1 or self._started > 0
            self._expected, self._started = self._expected - 1, self._started + 1
            if python in self._useless or not more:
                return None  # a single worker is cheaper alone
            zygote = self._known.get(python)
            try:
                if zygote is None or zygote.has_ended():
                    self._useless.add(python)
                    zygote = self._known[python] = _Zygote(python)
                forked = zygote.fork(channel, arena)
            except (OSError, _UnusableError):
                if zygote is not None:
                    zygote.close()
                return None
            self._useless.discard(python)
            return forked

    def close(self) -> None:
        """End all zygotes; their workers go on. The next worker is a first one again."""
        with self._lock:
            self._check_owner()
            for zygote in self._known.values():
                zygote.close()
            self._forget()

    def _check_owner(self) -> None:
        if self._owner != os.getpid():
            self._forget()

    def _forget(self) -> None:
        self._owner = os.getpid()
        self._known, self._useless = {}, set()
        self._started = self._expected = 0


class _UnusableError(Exception):
    """This zygote makes no workers."""


class _Zygote:
    """One process that others are forked from."""

    def __init__(self, python: Path) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = WorkerProcess.start(
                    [*interpreter(python), BOOT, str(theirs.fileno()), f"-{os.getpid()}"],
                    environment=environment(_NOBODY, Limits()), folder=Path("/"),
                    keep=(theirs.fileno(),),
                )  # fmt: skip
            ours.settimeout(_PATIENCE_S)
            ours.sendall(payload(python))
        except BaseException:
            ours.close()
            raise
        self._channel = ours
        self._counted_s = 0.0

    def fork(self, channel: int, arena: int) -> Forked:
        """Fork a worker. Raises OSError, _UnusableError."""
        reader, writer = os.pipe()
        try:
            try:
                socket.send_fds(self._channel, [b"f"], [channel, arena, writer])
            finally:
                os.close(writer)
            answer = self._channel.recv(4)
            number = int.from_bytes(answer, "little")
            if len(answer) != 4 or number == 0:
                raise _UnusableError
        except BaseException:
            os.close(reader)
            raise
        process = WorkerProcess(number, io.FileIO(reader))
        starter_cpu_s, self._process.starter_cpu_s = self._process.starter_cpu_s, 0.0
        return Forked(process, self._spent(), starter_cpu_s)

    def has_ended(self) -> bool:
        return self._process.has_ended()

    def close(self) -> None:
        """End the process; it is idle, so it ends at once."""
        self._channel.close()
        deadline = time.monotonic() + _END_S
        while not self._process.has_ended() and time.monotonic() < deadline:
            time.sleep(0.001)
        self._process.kill()
        self._process.close()

    def _spent(self) -> float:
        """Return the processor time since the last call."""
        total = self._process.cpu_now()
        spent, self._counted_s = total - self._counted_s, total
        return spent


def interpreter(python: Path) -> list[str]:
    """Return the command that starts an interpreter with nothing of the user's or the system's."""
    return [str(python), "-I", "-S", "-B", "-u", "-X", "utf8", "-c"]


ZYGOTES = Zygotes()
atexit.register(ZYGOTES.close)
