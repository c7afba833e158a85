"""The plugins of a run beside each other and beside the built-in engine.

Rules this module keeps:
- each plugin has a thread of ours and a process of its own; only the caller touches the store;
- outcomes come in the order of the plan, whoever is ready first, so that two runs read the same;
- leaving early kills every worker, and waits for no plugin and no target.

Units: times in seconds.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from tavo.host.stopping import Stopper

if TYPE_CHECKING:
    from tavo.runs.outcome import PluginOutcome

__all__ = ["Abreast", "Work"]

_GRACE_S = 2.0


class Work(Protocol):
    """Runs one plugin; ends soon when the stopper says so."""

    def __call__(self, *, stopper: Stopper) -> PluginOutcome:
        """Run it. Raises what means that it could not be run at all."""


class Abreast:
    """Runs plugins in threads, at most one more than there are processors at a time.

    Use it as a context manager. A process that starts others as copies of itself should have done
    so before `start`.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        """Prepare to run each plugin by its work."""
        self._works = tuple(works)
        self._futures: list[Future[PluginOutcome]] = []
        self._threads: list[threading.Thread] = []
        self._stopper = Stopper()
        self._room = threading.Semaphore((os.cpu_count() or 1) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._stopper.stop()
            for thread in self._threads:
                thread.join(_GRACE_S)

    def start(self) -> None:
        """Start all plugins, once."""
        if self._threads:
            return
        for work in self._works:
            future: Future[PluginOutcome] = Future()
            self._futures.append(future)
            # a daemon: one that waits for a slow target must not keep an interrupted run alive
            thread = threading.Thread(target=self._run, args=(work, future), daemon=True)
            self._threads.append(thread)
            thread.start()

    def check(self) -> None:
        """Raise what a plugin raised that could not be run at all, if one did by now."""
        for future in self._futures:
            if future.done() and (error := future.exception()) is not None:
                raise error

    def outcomes(self) -> Iterator[PluginOutcome]:
        """Wait for the plugins; yield what each did, in the plan's order. Raises as they do."""
        self.start()
        for future in self._futures:
            while not future.done():
                wait([one for one in self._futures if not one.done()], return_when=FIRST_COMPLETED)
                self.check()
            yield future.result()

    def _run(self, work: Work, future: Future[PluginOutcome]) -> None:
        with self._room:
            try:
                future.set_result(work(stopper=self._stopper))
            except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
                future.set_exception(error)
