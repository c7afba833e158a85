"""The process that looks at texts for the server: one for what is typed, one for whole folders.

Rules this module keeps:
- it reads only what it is told to: texts that it is sent, and files below one folder; it writes
  nothing but kept results in the user's own folder;
- whatever a file does to it, the server goes on: the process can die or be ended at any time;
- it ends when the server is gone, also in the middle of a file.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO

import msgspec

from tavo.errors import TavoError
from tavo.lsp import exchange
from tavo.lsp.ignoring import insertion
from tavo.plugins import Rule
from tavo.processes import bound_memory
from tavo.progress import Reporter
from tavo.scan.engine import no_collection, scan_file
from tavo.scan.files import SourceFile, walk
from tavo.scan.incremental import KeptResults, scan_files
from tavo.scan.results import FileResult
from tavo.scan.rule_source import RuleSource

__all__ = ["main"]

_COLLECT_EVERY = 16
_REPORT_EVERY_S = 0.25
_BATCH = 64
_JOBS = 2
_MOST_WALKED = 200_000


def main() -> int:
    """Serve until the server closes our input."""
    orders, replies = _streams()
    bound_memory()
    first = exchange.read_order(orders)
    if not isinstance(first, exchange.Begin):
        return 0
    analyst = _Analyst(first, replies)
    with contextlib.suppress(OSError):  # the server is gone
        analyst.serve(orders)
    return 0


def _streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return what orders come from and replies go to; nothing else can read or write there."""
    orders = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return orders, replies


class _Analyst:
    def __init__(self, begin: exchange.Begin, replies: IO[bytes]) -> None:
        self._rules = RuleSource(begin.rules)
        self._begin = begin
        self._replies = replies
        self._stopped = threading.Event()
        self._tasks = 0

    def serve(self, orders: IO[bytes]) -> None:
        """Do what is ordered, one after the other, in the main thread: there rules have timers."""
        waiting: queue.Queue[exchange.Order] = queue.Queue()
        threading.Thread(target=self._listen, args=(orders, waiting), daemon=True).start()
        _ = self._rules.loaded
        gc.collect()
        gc.freeze()
        while True:
            order = waiting.get()
            match order:
                case exchange.Look():
                    self._look(order)
                case exchange.Place():
                    self._place(order)
                case exchange.Survey():
                    self._survey(order)

    def _listen(self, orders: IO[bytes], waiting: queue.Queue[exchange.Order]) -> None:
        while True:
            try:
                order = exchange.read_order(orders)
            except Exception:  # noqa: BLE001  (whatever it was, nothing more can be understood)
                order = None
            if order is None:
                os._exit(0)
            if isinstance(order, exchange.Stop):
                self._stopped.set()
            else:
                if isinstance(order, exchange.Survey):
                    self._stopped.clear()
                waiting.put(order)

    def _look(self, order: exchange.Look) -> None:
        began = time.process_time()
        file = SourceFile(Path(order.path.name), order.path, content=order.content)
        with no_collection():
            result = scan_file(file, self._rules.loaded, largest=self._begin.largest)
        spent = time.process_time() - began
        exchange.send(
            self._replies,
            exchange.Looked(order.number, result, self._named([result]), spent),
        )
        self._tasks += 1
        if self._tasks % _COLLECT_EVERY == 0:
            gc.collect()

    def _place(self, order: exchange.Place) -> None:
        found = insertion(order.path, order.content, order.rule, order.line)
        exchange.send(self._replies, exchange.Placed(order.number, found))

    def _survey(self, order: exchange.Survey) -> None:
        files = 0
        problem = ""
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, 0, 10)
        try:
            files, problem = self._all(order)
        except TavoError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{order.root}: cannot be read: {error.strerror}"
        problems = tuple(str(one) for one in self._rules.problems[:20])
        exchange.send(self._replies, exchange.Done(order.number, files, problem, problems))

    def _all(self, order: exchange.Survey) -> tuple[int, str]:
        """Look at all files; return how many, and why it was not all of them."""
        found = chain(
            walk([order.root], order.root, exclude=order.exclude, left_out=[]), _unwritten(order)
        )
        files: list[SourceFile] = []
        for number, one in enumerate(found):
            if self._stopped.is_set():
                return 0, "stopped"
            if number >= _MOST_WALKED:
                return 0, f"more than {_MOST_WALKED} files of any kind"
            if len(files) > order.most:
                break
            if one.problem or not self._rules.wants(one.relative):
                continue
            content = order.open.get(one.relative)
            changed = SourceFile(one.path, one.relative, content=content)
            files.append(one if content is None else changed)
        if len(files) > order.most:
            return 0, (
                f"more than {order.most} files: data is not followed from file to file here;"
                " `tavo scan` does that, and --max-files raises the limit"
            )
        kept = None
        if self._begin.results is not None:
            kept = KeptResults(
                self._begin.results, self._rules, root=order.root, largest=order.largest
            )
        try:
            return self._files(order, files, kept)
        finally:
            if kept is not None:
                kept.close()

    def _files(
        self, order: exchange.Survey, files: Sequence[SourceFile], kept: KeptResults | None
    ) -> tuple[int, str]:
        scan = scan_files(
            files, self._rules, kept=kept, jobs=_JOBS, largest=order.largest, reporter=Reporter()
        )
        told = time.monotonic()
        held: tuple[list[FileResult], list[FileResult]] = [], []
        for number, result in enumerate(scan):
            if self._stopped.is_set():
                return number, "stopped"
            together = number >= len(files)
            if result.hits or result.problems:
                held[together].append(result)
            if time.monotonic() - told > _REPORT_EVERY_S or len(held[together]) >= _BATCH:
                told = time.monotonic()
                self._tell(order.number, held)
                done = min(number + 1, len(files))
                exchange.send(self._replies, exchange.Progress(order.number, done, len(files)))
        self._tell(order.number, held)
        return len(files), ""

    def _tell(self, number: int, held: tuple[list[FileResult], list[FileResult]]) -> None:
        """Hand over what is held, of single files and of several together."""
        for together, results in enumerate(held):
            if results:
                told = tuple(msgspec.structs.replace(one, outline=None) for one in results)
                named = self._named(results)
                found = exchange.Found(number, told, named, together=bool(together))
                exchange.send(self._replies, found)
                results.clear()

    def _named(self, results: Iterable[FileResult]) -> tuple[Rule, ...]:
        ids = {hit.finding.rule_id for one in results for hit in one.hits}
        return tuple(self._rules.rule(rule_id) for rule_id in sorted(ids))


def _unwritten(order: exchange.Survey) -> Iterator[SourceFile]:
    """Yield the texts that are open and on no disk yet."""
    for relative in sorted(order.open):
        path = order.root / relative
        if not os.path.lexists(path):
            yield SourceFile(path, relative)
