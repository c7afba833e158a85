"""Processes that look at files for a scan across files, whatever the next one needs.

Rules this module keeps:
- they are copies of this process, with its rules, where the system has that;
- an interrupted scan leaves no process behind.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import msgspec

from tavo.processes import hear_no_interrupt, starting
from tavo.scan.linking import Looked, Task
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules

__all__ = ["ask", "end", "processes"]

_MOST_UNCOLLECTED = 200_000
"""Bytes of source whose trees may be garbage before it is collected."""


class _Setting(msgspec.Struct, frozen=True):
    """What every process needs; `rules` only reach a process that is a copy of this one."""

    rules: RuleSet
    rule_paths: tuple[Path, ...]
    largest: int


_setting: _Setting | None = None
_uncollected = 0


def processes(
    rules: RuleSet, *, rule_paths: Sequence[Path], jobs: int, largest: int
) -> ProcessPoolExecutor:
    """Return processes that have the rules."""
    return _pool(_Setting(rules, tuple(rule_paths), largest), jobs)


def ask(pool: ProcessPoolExecutor, task: Task) -> Future[Looked]:
    """Give a task to the processes, which are started with the first one."""
    with starting():
        return pool.submit(_look_there, task)


def _look_there(task: Task) -> Looked:
    """Do a task of a scan across files on one of the processes."""
    global _uncollected
    if _setting is None:
        raise RuntimeError("the process was started without rules")
    from tavo.scan.looking import look

    looked = look(task, _setting.rules)
    try:
        _uncollected += task.file.path.stat().st_size
    except OSError:
        _uncollected = _MOST_UNCOLLECTED + 1
    if _uncollected > _MOST_UNCOLLECTED:
        _uncollected = 0
        gc.collect()
    return looked


def end(pool: ProcessPoolExecutor, *, at_work: bool) -> None:
    """End processes, and let what they were copies of be collected again.

    `at_work`: without waiting for what they do. (From Python 3.14 on, `terminate_workers` does
    that.)
    """
    if at_work:
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.kill()
    pool.shutdown(wait=True, cancel_futures=True)
    gc.unfreeze()


def _start_copied() -> None:
    hear_no_interrupt()
    gc.disable()


def _start_fresh(rule_paths: Sequence[Path], largest: int) -> None:
    global _setting
    _start_copied()
    _setting = _Setting(load_rules(rule_paths), tuple(rule_paths), largest)


def _pool(setting: _Setting, jobs: int) -> ProcessPoolExecutor:
    global _setting
    if "fork" in multiprocessing.get_all_start_methods():
        _setting = setting
        gc.freeze()  # what is here already is not looked at again by the copies
        context = multiprocessing.get_context("fork")
        return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_copied)
    return ProcessPoolExecutor(
        jobs,
        initializer=_start_fresh,
        initargs=(setting.rule_paths, setting.largest),
    )
