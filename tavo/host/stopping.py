"""Ending plugins from another thread than the one that runs them.

Rules this module keeps:
- after `stop` nothing that was attached goes on, and what is attached later ends at once;
- what is called is safe from any thread: it kills, and leaves the cleaning up to the owner.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

__all__ = ["Stopper"]


class Stopper:
    """A switch that several plugins of one run share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []
        self._is_stopped = False

    @property
    def is_stopped(self) -> bool:
        """Tell whether the run was stopped."""
        return self._is_stopped

    def stop(self) -> None:
        """End everything that is attached, and will be."""
        with self._lock:
            self._is_stopped = True
            ends = list(self._ends)
        for end in ends:
            end()

    def attach(self, end: Callable[[], None]) -> None:
        """Have `end` called when the run is stopped, now if it was already."""
        with self._lock:
            self._ends.append(end)
            late = self._is_stopped
        if late:
            end()

    def detach(self, end: Callable[[], None]) -> None:
        """Forget what was attached."""
        with self._lock:
            if end in self._ends:
                self._ends.remove(end)

    @contextlib.contextmanager
    def ending(self, stop: Callable[[str], None]) -> Iterator[None]:
        """Have a program stopped, with the reason, when the run is."""

        def end() -> None:
            stop("it was stopped with the run")

        self.attach(end)
        try:
            yield
        finally:
            self.detach(end)
