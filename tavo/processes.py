"""Numbered tasks on several processes, none of which can take the others with it.

Rules this module keeps:
- answers come in the order of the numbers, whatever process had them;
- a process that dies, for whatever reason, takes one task with it, the one that it was at, which is
  named with the reason; what it had done and not yet handed over is done again, the rest goes on;
- a task has a bound of processor time, which the system keeps whatever code runs, and one of wall
  time, which the parent keeps; a process has a bound of memory where the system has one;
- a child never waits for a parent that is gone, and an end in the middle leaves no child behind;
- an interrupt from the keyboard is the parent's to hear: no child hears one, not even in the moment
  between its start and its first line of ours.

Units: seconds, bytes.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

__all__ = [
    "TASK_CPU_S",
    "TASK_MEMORY",
    "TASK_WALL_S",
    "Work",
    "bound_memory",
    "hear_no_interrupt",
    "in_processes",
    "starting",
]

TASK_CPU_S = 120.0
"""The processor time in user code that one task may take before the system ends its process."""

TASK_WALL_S = 900.0
"""The time by the clock that one task may take before the parent ends its process."""

TASK_MEMORY = 2 << 30
"""The address space that a process may take besides what its parent had."""

_BATCH = 24
_BATCHES_EACH = 2
_AHEAD = 8
_LOOK_S = 5.0
_LOOK_EVERY = 8
_WAITING, _ANSWERING = -1, -2
_SIZES = Path("/proc/self/statm")

_R = TypeVar("_R")
_Answer = TypeVar("_Answer", covariant=True)


class Work(Protocol[_Answer]):
    """What is done in the processes. Where they are no copies of this one, it is pickled."""

    def __call__(self, number: int, /) -> _Answer:
        """Do one task. An exception of it ends the process, as if it had died."""


def in_processes(
    count: int,
    work: Work[_R],
    lost: Callable[[int, str], _R],
    *,
    jobs: int,
    batch: int = _BATCH,
    ahead: int = _AHEAD,
    bounded: bool = True,
) -> Iterator[_R]:
    """Yield the answers of the tasks 0 to `count` - 1 in their order, done by `jobs` processes.

    `lost` makes the answer of a task whose process died, from its number and the reason. The
    processes are started with the first answer that is asked for. Closing the iterator ends them.
    Each process may be `ahead` batches of tasks in front of the answer that is asked for. Tasks
    that may last as long as they like, and whose memory is bounded elsewhere, are not `bounded`.
    """
    crew = _Crew(count, work, lost, max(1, jobs), batch, ahead, bounded)
    try:
        yield from crew.answers()
    finally:
        crew.end()


class _Counter:
    """The number of the task that a process is at, in memory that a copy of this process shares."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.value = _WAITING

    @property
    def value(self) -> int:
        return int.from_bytes(self._memory[:8], signed=True)

    @value.setter
    def value(self, number: int) -> None:
        self._memory[:8] = number.to_bytes(8, signed=True)


class _Worker:
    """A child process, the end of its pipe that is ours, and the batches that it has."""

    def __init__(self, process: Any, pipe: Connection, at: Any) -> None:
        self.process = process
        self.pipe = pipe
        self.at = at
        self.batches: deque[Sequence[int]] = deque()
        self._seen = _WAITING
        self._since = 0.0

    def is_late(self) -> bool:
        """Tell whether it has been at one task for too long; to be asked now and then."""
        now = time.monotonic()
        if self.at.value != self._seen:
            self._seen, self._since = self.at.value, now
        return self._seen >= 0 and now - self._since > TASK_WALL_S


class _Crew(Generic[_R]):
    """The processes, what is to be done, and what is done and not asked for yet."""

    def __init__(
        self,
        count: int,
        work: Work[_R],
        lost: Callable[[int, str], _R],
        jobs: int,
        batch: int,
        ahead: int,
        bounded: bool,
    ) -> None:
        self._count = count
        self._work = work
        self._lost = lost
        self._jobs = jobs
        self._ahead = batch * jobs * ahead
        self._look_every = min(batch, _LOOK_EVERY)
        self._bounded = bounded
        self._todo: deque[Sequence[int]] = deque(
            range(at, min(at + batch, count)) for at in range(0, count, batch)
        )
        self._done: dict[int, _R] = {}
        self._workers: list[_Worker] = []
        self._copies = "fork" in multiprocessing.get_all_start_methods()
        self._context = multiprocessing.get_context("fork" if self._copies else "spawn")
        if self._copies:
            gc.freeze()  # what is here already is not looked at again by the copies

    def answers(self) -> Iterator[_R]:
        """Yield all answers in their order."""
        for number in range(self._count):
            while number not in self._done:
                self._hand_out(number)
                self._take_in(_LOOK_S)
            yield self._done.pop(number)
            if number % self._look_every == 0:  # whoever asks may take their time
                self._take_in(0)
                self._hand_out(number)

    def end(self) -> None:
        """End all processes, at once if they are at something."""
        for worker in self._workers:
            if worker.batches:
                worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()
        if self._copies:
            gc.unfreeze()

    def _hand_out(self, number: int) -> None:
        """See to it that each process has a batch and another one, not too far from `number`."""
        while self._todo and self._todo[0][0] <= number + self._ahead:
            if len(self._workers) < self._jobs:
                worker = self._start()
            else:
                worker = min(self._workers, key=lambda one: len(one.batches))
                if len(worker.batches) >= _BATCHES_EACH:
                    return
            batch = self._todo.popleft()
            worker.batches.append(batch)
            try:
                worker.pipe.send(batch)
            except OSError:
                self._bury(worker)

    def _take_in(self, timeout: float) -> None:
        """Wait for something to happen, and note what was done."""
        by_pipe = {worker.pipe: worker for worker in self._workers}
        by_end = {worker.process.sentinel: worker for worker in self._workers}
        if not by_pipe:
            return
        ready = wait([*by_pipe, *by_end], timeout=timeout)
        for pipe, worker in by_pipe.items():
            if pipe in ready:
                self._read(worker)
        for end, worker in by_end.items():
            if end in ready and worker in self._workers:
                self._bury(worker)
        if not ready and self._bounded:
            for worker in list(self._workers):
                if worker.is_late():
                    worker.process.kill()
                    self._bury(worker, f"took longer than {TASK_WALL_S:g} s")

    def _read(self, worker: _Worker) -> None:
        """Take what a process has said, which counts also if it has died since."""
        try:
            while worker.pipe.poll():
                answers = worker.pipe.recv()
                self._done.update(zip(worker.batches.popleft(), answers, strict=True))
        except (EOFError, OSError):
            self._bury(worker)

    def _bury(self, worker: _Worker, reason: str = "") -> None:
        """Name the task that a process died of; what else it had is to be done by others.

        One that died at no task, of what was asked or answered, leaves its tasks one by one.
        """
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        guilty = worker.at.value
        for batch in reversed(worker.batches):
            if batch is not worker.batches[0]:
                self._todo.appendleft(batch)
                continue
            if guilty not in batch and len(batch) == 1:
                guilty = batch[0]
            left = [number for number in batch if number != guilty]
            if guilty in batch:
                self._done[guilty] = self._lost(guilty, reason or _reason(worker.process.exitcode))
                self._todo.extendleft([left] if left else [])
            else:
                self._todo.extendleft([number] for number in reversed(left))

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        at = _Counter() if self._copies else self._context.RawValue("q", _WAITING)
        others = [ours, *(worker.pipe for worker in self._workers)] if self._copies else []
        process = self._context.Process(  # type: ignore[attr-defined]
            target=_serve, args=(theirs, at, self._work, others, self._bounded), daemon=True
        )
        with starting():
            process.start()
            theirs.close()
            worker = _Worker(process, ours, at)
            self._workers.append(worker)
        return worker


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Let an interrupt from the keyboard wait while processes are started in here.

    A child that is a copy of this process would else hear it before it can say that it does not
    want to, and write what it was at to the terminal. Where there are other threads, one of them
    may hear it for this process, but never for the child.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reason(code: int | None) -> str:
    """Say in words how a process ended."""
    if code is None or code >= 0:
        return f"ended with code {code}"
    if -code == getattr(signal, "SIGVTALRM", 0):
        return f"took longer than {TASK_CPU_S:g} s of processor time"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"


# -- in the child


def hear_no_interrupt() -> None:
    """Ignore an interrupt from the keyboard: to be called first in a child of `starting`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _serve(
    pipe: Connection, at: Any, work: Work[object], others: list[Connection], bounded: bool
) -> None:
    """Answer batch after batch until the parent closes the pipe."""
    hear_no_interrupt()
    gc.disable()
    for other in others:
        other.close()  # or a sibling would not notice that the parent is gone
    if bounded:
        bound_memory()
    while True:
        try:
            batch = pipe.recv()
        except (EOFError, OSError):
            return
        answers = []
        for number in batch:
            at.value = number
            _bound_time(TASK_CPU_S if bounded else 0)
            answers.append(work(number))
        _bound_time(0)
        at.value = _ANSWERING
        gc.collect()
        try:
            pipe.send(answers)
        except OSError:
            return
        at.value = _WAITING


def _bound_time(seconds: float) -> None:
    """Let the system end this process after so much processor time; 0 takes that back."""
    if hasattr(signal, "ITIMER_VIRTUAL"):
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)


def bound_memory() -> None:
    """Bound this process's memory where the system has a bound, and never leave a core file."""
    try:
        import resource
    except ImportError:
        return
    has_timer = getattr(signal, "SIGVTALRM", None)
    if has_timer is not None:
        signal.signal(has_timer, signal.SIG_DFL)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        here = int(_SIZES.read_text("ascii").split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        soft = here + TASK_MEMORY
        if hard == resource.RLIM_INFINITY or soft < hard:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    except (OSError, ValueError):
        return
