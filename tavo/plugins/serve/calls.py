"""Calls into plugin code: guarded, cancellable, described when they fail.

Rules this module keeps:
- nothing that a plugin raises leaves a guarded call, except an exit of the whole process;
- a cancel reaches the call that it was meant for and no other;
- a shielded stretch is not interrupted: half a frame would end the conversation;
- standard library only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

from tavo.plugins.errors import CancelledCall
from tavo.plugins.raised import describe

__all__ = ["Calls", "Outcome", "Served"]

Outcome = tuple[Any, dict[str, Any] | None]


class Served(Protocol):
    """One type of plugin, served: what it is asked, and how it answers."""

    requests: frozenset[str]

    def ready(self) -> dict[str, Any]:
        """Return what the plugin declares, for the host."""

    def answer(self, message: dict[str, Any]) -> None:
        """Answer a request exactly once."""


class Calls:
    """Runs plugin code. `marker` is a descriptor whose first 8 bytes name the call to cancel.

    `folder` is where the plugin's files are: failures are told by them.
    """

    def __init__(self, marker: int = -1, folder: str = "") -> None:
        self._marker = marker
        self._folder = folder
        self._current: int | None = None
        self._shields = 0
        self._held_back = False

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """Handle the host's signal: end the call that runs, if it is the one that is meant."""
        if self._current is None:
            return
        if self._marker >= 0:
            meant = int.from_bytes(os.pread(self._marker, 8, 0), "little")
            if meant != self._current:
                return
        if self._shields:
            self._held_back = True
            return
        self._current = None
        raise CancelledCall

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """Hold a cancel back until the end of the block."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._held_back and not self._shields:
            self._held_back = False
            if self._current is not None:
                self._current = None
                raise CancelledCall

    def guarded(self, request: int, call: Callable[[], Any]) -> Outcome:
        """Return what the call returns and None, or None and how it failed.

        The kind of a failure is `cancelled` or `raised`.
        """
        self._held_back = False
        try:
            self._current = request
            value = call()
            self._current = None
        except CancelledCall:
            return None, {"kind": "cancelled", "message": ""}
        except BaseException as error:  # noqa: BLE001
            self._current = None
            return None, {"kind": "raised", **describe(error, self._folder)}
        finally:
            self._current = None
        return value, None
