"""The same scan on several processes.

Rules this module keeps:
- results come in the order of the files, whatever process had them;
- a process that dies takes one file with it at most, which is named; the others are scanned again;
- an interrupted scan leaves no process behind.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import msgspec

from tavo.scan.engine import FileResult, scan_file
from tavo.scan.files import SourceFile
from tavo.scan.linking import Looked, Task
from tavo.scan.rules import RuleSet, load_rules

__all__ = ["look_there", "processes", "scan_parallel", "stop"]

_BATCH = 24


class _Setting(msgspec.Struct, frozen=True):
    """What every process needs; `rules` only reach a process that is a copy of this one."""

    rules: RuleSet
    rule_paths: tuple[Path, ...]
    jobs: int
    largest: int
    outlined: bool


_setting: _Setting | None = None
_looks = 0


def scan_parallel(
    files: Sequence[SourceFile],
    rules: RuleSet,
    *,
    rule_paths: Sequence[Path],
    jobs: int,
    largest: int,
    outlined: bool = False,
) -> Iterator[FileResult]:
    """Scan files on `jobs` processes; yield one result each, in their order.

    Where a process cannot be started as a copy of this one, it loads `rule_paths` again.
    """
    setting = _Setting(rules, tuple(rule_paths), jobs, largest, outlined)
    batches = [list(files[at : at + _BATCH]) for at in range(0, len(files), _BATCH)]
    at = 0
    while at < len(batches):
        pool = _pool(setting, jobs)
        try:
            for done in _ordered(pool, batches[at:], jobs):
                at += 1
                yield from done
        except BrokenProcessPool:
            # Some file killed a process. Scan this batch file by file, then go on.
            yield from _one_by_one(batches[at], setting)
            at += 1
        except BaseException:
            stop(pool)  # interrupted: nobody waits for the batches that are under way
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            gc.unfreeze()


def stop(pool: ProcessPoolExecutor) -> None:
    """End the pool's processes now. (`terminate_workers` does that from Python 3.14 on.)"""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()


def _start_copied() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()


def _start_fresh(rule_paths: Sequence[Path], largest: int, outlined: bool) -> None:
    global _setting
    _start_copied()
    _setting = _Setting(load_rules(rule_paths), tuple(rule_paths), 1, largest, outlined)


def _scan_batch(files: Sequence[SourceFile]) -> list[FileResult]:
    if _setting is None:
        raise RuntimeError("the process was started without rules")
    results = [
        scan_file(file, _setting.rules, largest=_setting.largest, outlined=_setting.outlined)
        for file in files
    ]
    gc.collect()
    return results


def look_there(task: Task) -> Looked:
    """Do a task of a scan across files on one of the processes."""
    global _looks
    if _setting is None:
        raise RuntimeError("the process was started without rules")
    from tavo.scan.looking import look

    looked = look(task, _setting.rules)
    _looks += 1
    if _looks % _BATCH == 0:
        gc.collect()
    return looked


def processes(
    rules: RuleSet, *, rule_paths: Sequence[Path], jobs: int, largest: int
) -> ProcessPoolExecutor:
    """Return processes that have the rules."""
    return _pool(_Setting(rules, tuple(rule_paths), jobs, largest, outlined=False), jobs)


def _ordered(
    pool: Executor, batches: Sequence[Sequence[SourceFile]], jobs: int
) -> Iterator[list[FileResult]]:
    """Yield results in order, with a few batches under way beyond the one that is waited for."""
    waiting: list[Future[list[FileResult]]] = []
    upcoming = iter(batches)
    for batch in upcoming:
        waiting.append(pool.submit(_scan_batch, batch))
        if len(waiting) > jobs * 3:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()


def _one_by_one(files: Sequence[SourceFile], setting: _Setting) -> Iterator[FileResult]:
    for file in files:
        with _pool(setting, 1) as pool:
            try:
                yield from pool.submit(_scan_batch, [file]).result()
            except BrokenProcessPool:
                yield FileResult(
                    file.relative, problems=("the scanner died on this file",), scanned=False
                )


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
        initargs=(setting.rule_paths, setting.largest, setting.outlined),
    )
