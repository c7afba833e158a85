"""The processor time that one file, and one rule on it, may take.

Rules this module keeps:
- time is that of this process, not of the clock: a busy machine does not change results;
- a rule that takes too long is stopped in the middle where the system has a timer for that, which
  is Linux and macOS in the main thread of a process; elsewhere after its next step;
- code that was made small for browsers, a few lines of thousands of characters, gets less: there is
  little to find in it, and much of it.

Units: CPU seconds.
"""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec

__all__ = ["MINIFIED", "USUAL", "Bounds", "Clock", "TimeUpError", "bounds_of"]

_DENSE_FROM = 50_000
_DENSE_LINE = 500
_AGAIN_S = 0.01


class TimeUpError(Exception):
    """A rule, or all rules on a file, took longer than they may."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one file and one rule on it may take; `kind` describes the file in a sentence."""

    file_s: float
    rule_s: float
    kind: str = ""


USUAL = Bounds(file_s=30.0, rule_s=10.0)
MINIFIED = Bounds(file_s=2.5, rule_s=0.5, kind="minified or generated: ")


def bounds_of(data: bytes) -> Bounds:
    """Return the bounds for a source by its form."""
    dense = len(data) >= _DENSE_FROM and len(data) > _DENSE_LINE * (data.count(b"\n") + 1)
    return MINIFIED if dense else USUAL


class Clock:
    """Watches over the rules of one file."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._began = time.process_time()

    @property
    def is_up(self) -> bool:
        """Tell whether the file has had its time."""
        return time.process_time() - self._began >= self.bounds.file_s

    @contextmanager
    def one(self) -> Iterator[None]:
        """Watch one rule. Raises TimeUpError out of its middle."""
        left = self.bounds.file_s - (time.process_time() - self._began)
        seconds = min(self.bounds.rule_s, max(left, 0.001))
        if not _has_timer():
            yield
            return
        collects = gc.isenabled()
        gc.disable()  # in the collector's callbacks the error would be swallowed
        before = signal.signal(signal.SIGPROF, _stop)
        signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before or signal.SIG_DFL)
            if collects:
                gc.enable()


def _has_timer() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop the rule. In a `__del__` the interpreter swallows that, so the timer goes on."""
    if frame is None or frame.f_globals.get("__name__") != __name__:
        raise TimeUpError
