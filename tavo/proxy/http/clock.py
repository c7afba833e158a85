"""Deadlines of many connections, looked at by one timer: cheaper than a timer for each phase.

Whatever has a phase to bound sets `deadline`, in time of the monotonic clock, and is told once that
it is late. A deadline is met to within one beat.

Units: times in seconds.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from tavo.proxy.http.reads import Reads

__all__ = ["NEVER", "Clock", "Timed"]

NEVER = float("inf")
_BEAT_S = 0.25


class Timed(Protocol):
    """What the clock watches."""

    deadline: float

    def late(self) -> None:
        """Take it that the deadline has passed; it is `NEVER` now."""


class Clock:
    """Watches until it is stopped. `reads` has the connections that are read in one go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = time.monotonic
        self.reads = Reads(loop)
        self._watched: set[Timed] = set()
        self._timer = loop.call_later(_BEAT_S, self._beat)

    def watch(self, one: Timed) -> None:
        """Look after a connection from now on."""
        self._watched.add(one)

    def forget(self, one: Timed) -> None:
        """Look after it no more."""
        self._watched.discard(one)

    def stop(self) -> None:
        """Watch nothing any more."""
        self._timer.cancel()
        self._watched.clear()
        self.reads.close()

    def _beat(self) -> None:
        now = self.now()
        for one in [one for one in self._watched if one.deadline <= now]:
            one.deadline = NEVER
            one.late()
        self._timer = self.loop.call_later(_BEAT_S, self._beat)
