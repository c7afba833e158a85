"""One operating system process of a worker: started, measured, killed, reaped.

Rules this module keeps:
- every worker, and every zygote that workers are forked from, is started by one thread that lives
  as long as this process, because on Linux a worker dies with the thread that started it
  (PR_SET_PDEATHSIG);
- a worker leads its own session and group, so that a kill reaches everything it started;
- environment and descriptors are listed, never inherited;
- figures come from the kernel, never from the worker. Peak memory is VmHWM: what wait4 reports as
  ru_maxrss is the host's own peak from before the exec.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

__all__ = ["Sample", "WorkerProcess", "sample_of", "signal_name"]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the kernel says about a running worker; zeros where it does not say."""

    cpu_s: float = 0.0
    peak_memory: int = 0
    threads: int = 0


class WorkerProcess:
    """A worker process. `last` is what the kernel said when it was asked last.

    `output` is the reading end of its standard output and error, `starter_cpu_s` the processor
    time of the thread that started it.
    """

    def __init__(
        self, pid: int, output: IO[bytes], process: subprocess.Popen[bytes] | None = None
    ) -> None:
        """Take over a child of ours that leads its group; `output` is what it prints."""
        self.pid = pid
        self.output = output
        self._process = process
        self.exit_status: int | None = None
        self.cpu_s = self.starter_cpu_s = 0.0
        self.last = Sample()
        self._reaping = threading.Lock()

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        keep: Sequence[int],
    ) -> Self:
        """Start the command in `folder` with the descriptors `keep` open. Raises OSError."""
        spent = 0.0

        def start() -> subprocess.Popen[bytes]:
            nonlocal spent
            began = time.thread_time()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                pass_fds=tuple(keep),
                start_new_session=True,
                bufsize=0,
            )
            spent = time.thread_time() - began
            return process

        process = _STARTER.run(start)
        assert process.stdout is not None  # noqa: S101
        started = cls(process.pid, process.stdout, process)
        started.starter_cpu_s = spent
        return started

    def sample(self) -> Sample:
        """Ask the kernel for the figures so far."""
        if self.exit_status is None:
            self.last = sample_of(self.pid, self.last)
        return self.last

    def cpu_now(self) -> float:
        """Return the processor time so far in the kernel's own resolution, 0 if it does not say."""
        try:
            # the clock of another process, as clock_getcpuclockid(3) makes its number
            return time.clock_gettime((~self.pid << 3) | 2)
        except (OSError, AttributeError):
            return 0.0

    def interrupt(self) -> None:
        """Send the signal that ends a call (POSIX)."""
        if self.exit_status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGUSR1)

    def abort(self) -> None:
        """Kill the whole group from any thread; the owner of this object still reaps it."""
        with self._reaping:
            if self.exit_status is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the whole group at once and reap the worker."""
        if self.exit_status is None:
            self.sample()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.reap()

    def reap(self) -> int:
        """Wait for the end, kill what is left of its group; return the exit code, negative for a
        signal."""
        if self.exit_status is None:
            if hasattr(os, "waitid"):
                # while it is not reaped its number is its own, so the group can be killed safely
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
            with self._reaping:
                _, status, usage = os.wait4(self.pid, 0)
                self._keep(status, usage.ru_utime + usage.ru_stime)
        assert self.exit_status is not None  # noqa: S101
        return self.exit_status

    def has_ended(self) -> bool:
        """Tell whether the worker has ended, without waiting."""
        if self.exit_status is not None:
            return True
        if hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        found, status, usage = os.wait4(self.pid, os.WNOHANG)
        if found:
            self._keep(status, usage.ru_utime + usage.ru_stime)
        return bool(found)

    def close(self) -> None:
        """Close the reading end of the worker's output."""
        self.output.close()

    def _keep(self, status: int, cpu_s: float) -> None:
        self.exit_status = os.waitstatus_to_exitcode(status)
        if self._process is not None:
            self._process.returncode = self.exit_status
        self.cpu_s = cpu_s


class _Starter:
    """A thread that starts processes for all other threads and never ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._jobs: queue.SimpleQueue[
            tuple[Future[subprocess.Popen[bytes]], Callable[[], subprocess.Popen[bytes]]]
        ] = queue.SimpleQueue()

    def run(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._owner != os.getpid():  # the first call, or the first after a fork
                self._owner = os.getpid()
                self._jobs = queue.SimpleQueue()
                threading.Thread(
                    target=self._serve, args=(self._jobs,), name="tavo-starter", daemon=True
                ).start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((future, job))
        return future.result()

    @staticmethod
    def _serve(
        jobs: queue.SimpleQueue[
            tuple[Future[subprocess.Popen[bytes]], Callable[[], subprocess.Popen[bytes]]]
        ],
    ) -> None:
        while True:
            future, job = jobs.get()
            try:
                future.set_result(job())
            except OSError as error:
                future.set_exception(error)


_STARTER = _Starter()


def sample_of(pid: int, last: Sample) -> Sample:
    """Ask /proc about a process; the last figures are kept where it does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return last
    peak, threads = last.peak_memory, last.threads
    for line in status.split(b"\n"):
        if line.startswith(b"VmHWM:"):
            peak = max(peak, int(line.split()[1]) * 1024)
        elif line.startswith(b"Threads:"):
            threads = int(line.split()[1])
    # the name in parentheses may hold anything; utime and stime are fields 14 and 15
    fields = stat.rpartition(b")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return Sample(cpu_s=max(cpu_s, last.cpu_s), peak_memory=peak, threads=threads)


def signal_name(number: int) -> str:
    """Return the name of a signal as the system writes it, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
