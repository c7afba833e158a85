"""Tasks on several processes: whatever ends one of them, the others' answers come, in order."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tavo import processes
from tavo.processes import in_processes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copies here")


class Doing:
    """Answers with the number doubled; at one number it does something else before."""

    def __init__(self, at: int, act: Callable[[], object]) -> None:
        self.at = at
        self.act = act

    def __call__(self, number: int, /) -> str:
        if number == self.at:
            faulthandler.disable()  # the end is meant, and no news
            self.act()
        return str(number * 2)


def lost(number: int, reason: str) -> str:
    return f"{number}: {reason}"


def answers(count: int, work: Doing, **options: int) -> list[str]:
    return list(in_processes(count, work, lost, **{"jobs": 2, "batch": 7, **options}))


def spin() -> None:
    while True:
        pass


def fill_memory() -> None:
    held = []
    while True:
        held.append(ctypes.create_string_buffer(64 << 20))


def test_answers_come_in_order() -> None:
    nothing = Doing(-1, int)
    for count in (0, 1, 7, 8, 500):
        assert answers(count, nothing) == [str(n * 2) for n in range(count)]
        assert answers(count, nothing, jobs=1) == [str(n * 2) for n in range(count)]


ENDS: dict[str, tuple[Callable[[], object], str]] = {
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), "was ended by SIGKILL"),
    "crashed": (lambda: os.kill(os.getpid(), signal.SIGSEGV), "was ended by SIGSEGV"),
    "gave up": (os.abort, "was ended by SIGABRT"),
    "left": (lambda: os._exit(7), "ended with code 7"),
    "left as if all were well": (lambda: os._exit(0), "ended with code 0"),
    "real-time signal": (lambda: os.kill(os.getpid(), 40), "was ended by signal 40"),
}


@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize("at", [0, 6, 30, 99])
def test_a_task_that_ends_its_process_is_named(way: str, at: int) -> None:
    act, reason = ENDS[way]
    found = answers(100, Doing(at, act))
    assert found == [str(n * 2) if n != at else f"{at}: {reason}" for n in range(100)]


def test_a_task_without_end_is_ended_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TASK_CPU_S", 0.3)
    found = answers(20, Doing(9, spin))
    assert found[9] == "9: took longer than 0.3 s of processor time"
    assert found[10:] == [str(n * 2) for n in range(10, 20)]


def test_a_task_that_waits_for_ever_is_ended_by_the_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "TASK_WALL_S", 2.0)
    monkeypatch.setattr(processes, "_LOOK_S", 0.2)
    found = answers(20, Doing(9, lambda: time.sleep(1000)))
    assert found[9] == "9: took longer than 2 s"
    assert found[10:] == [str(n * 2) for n in range(10, 20)]


@pytest.mark.skipif(sys.platform != "linux", reason="no bound of memory here")
def test_a_task_that_takes_all_memory_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TASK_MEMORY", 256 << 20)
    found = answers(20, Doing(9, fill_memory))
    assert found[9] == "9: ended with code 1"  # a MemoryError that nobody catches
    assert found[10:] == [str(n * 2) for n in range(10, 20)]


def test_every_task_ends_its_process() -> None:
    class Always(Doing):
        def __call__(self, number: int, /) -> str:
            os.kill(os.getpid(), signal.SIGKILL)
            return ""

    found = answers(30, Always(0, int))
    assert found == [f"{n}: was ended by SIGKILL" for n in range(30)]


def test_a_process_that_dies_while_it_answers_costs_one_task_only() -> None:
    class Poison:
        def __reduce__(self) -> tuple[object, ...]:
            os.kill(os.getpid(), signal.SIGKILL)
            return (str, ())

    class Answering(Doing):
        def __call__(self, number: int, /) -> str:
            return Poison() if number == 11 else str(number)  # type: ignore[return-value]

    found = answers(30, Answering(0, int))
    assert found == [str(n) if n != 11 else "11: was ended by SIGKILL" for n in range(30)]


def test_large_answers_and_a_slow_reader() -> None:
    class Large(Doing):
        def __call__(self, number: int, /) -> str:
            return str(number) * 100_000

    found: Iterator[str] = in_processes(60, Large(0, int), lost, jobs=2, batch=7)
    for number, answer in enumerate(found):
        assert answer == str(number) * 100_000
        time.sleep(0.002)


def children() -> set[str]:
    found: set[str] = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended since
            found.update((task / "children").read_text().split())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_end_in_the_middle_leaves_no_process() -> None:
    before = children()
    found = in_processes(1000, Doing(20, lambda: time.sleep(1000)), lost, jobs=2, batch=7)
    assert next(found) == "0"
    assert len(children() - before) == 2
    found.close()  # type: ignore[attr-defined]
    assert children() <= before  # of which some may have ended


PARENT = """
import os, sys, time
from tavo.processes import in_processes
def work(number):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(0.3)
    return number
for answer in in_processes(4000, work, lambda n, r: n, jobs=2, batch=1):
    pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_end_with_a_parent_that_was_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers: set[int] = set()
    while len(workers) < 2:
        workers.add(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{one}").exists() for one in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


INTERRUPTED = """
import contextlib, os, signal, sys
from tavo import processes

if sys.argv[1] == "unguarded":
    processes.starting = contextlib.nullcontext
hear_none = processes.hear_no_interrupt
processes.hear_no_interrupt = lambda: (os.kill(os.getpid(), signal.SIGINT), hear_none())
for answer in processes.in_processes(9, str, lambda n, r: r, jobs=2, batch=1):
    print(answer)
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_a_child_hears_no_interrupt_in_its_first_moment(guarded: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "guarded" if guarded else "unguarded"],
        capture_output=True, text=True, check=True, timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    if guarded:
        assert done.stdout.split() == list("012345678")
        assert not done.stderr
    else:
        assert "ended with code 1" in done.stdout
        assert "KeyboardInterrupt" in done.stderr


def test_an_interrupt_of_the_parent_waits_until_its_child_is_known() -> None:
    known: list[int] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt_while_starting(known)
    finally:
        signal.signal(signal.SIGINT, before)
    assert known == [1]


def interrupt_while_starting(known: list[int]) -> None:
    with processes.starting():
        # to this thread: of several, one that does not block it would take it for all
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        known.append(1)
