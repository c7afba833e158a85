"""The processor time that one file, its parsing, and one rule on it, may take.

Rules this module keeps:
- time is that of this process, not of the clock: a busy machine does not change results;
- a rule that takes too long is stopped in the middle where the system has a timer for that, which
  is Linux and macOS in the main thread of a process; elsewhere after its next step;
- a parser, which is no Python, is stopped where it asks for the next piece of the text;
- code that was made small for browsers, a few lines of thousands of characters, gets less: there is
  little to find in it, and much of it.

Units: CPU seconds, bytes.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tree_sitter import Parser, Tree

__all__ = [
    "MINIFIED", "USUAL", "Bounds", "Clock", "Limit", "TimeUpError", "bounds_of", "has_stopped",
    "is_limited", "parsing_s", "tree_of",
]  # fmt: skip

_PARSING_S, _PARSING_S_EACH_MB, _PARSING_S_MOST = 2.0, 6.0, 20.0
_PARSING_MEMORY = 768 << 20
_PIECE = 4096  # a parser that goes back and forth inside one piece is not stopped
_PIECES_EACH = 16
_SMALL = 16 << 10  # the square of so little is less than a second

_DENSE_FROM = 50_000
_DENSE_LINE = 500
_AGAIN_S = 0.01


class TimeUpError(Exception):
    """A rule, all rules on a file, or its parser, took more than they may; the message is what."""


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


def parsing_s(size: int) -> float:
    """Return what reading a text of so many bytes as a tree may take."""
    return min(_PARSING_S + _PARSING_S_EACH_MB * size / (1 << 20), _PARSING_S_MOST)


class Clock:
    """Watches over the rules of one file."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._began = time.process_time()

    @property
    def is_up(self) -> bool:
        """Tell whether the file has had its time."""
        return time.process_time() - self._began >= self.bounds.file_s

    def one(self) -> Limit:
        """Watch one rule, in a `with` block. Raises TimeUpError out of its middle."""
        left = self.bounds.file_s - (time.process_time() - self._began)
        return Limit(min(self.bounds.rule_s, max(left, 0.001)))


class Limit:
    """Stops what takes longer in its middle, with TimeUpError. Inside another bound that one holds.

    Used in a `with` block. Where the system has no timer, nothing is stopped.

    It ends in code of this module, in which the timer raises nothing: one that raised there, in the
    standard library's code around a generator, would go on after the block. Where it calls others,
    `_is_limited` is not set, so that nothing is raised there either.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._holds = False

    def __enter__(self) -> None:
        global _is_limited, _is_up
        if _is_limited or not _has_timer():
            return
        self._holds = True
        self._collects = gc.isenabled()
        gc.disable()  # in the collector's callbacks the error would be swallowed
        self._before = signal.signal(signal.SIGPROF, _stop)
        _is_limited, _is_up = True, False
        signal.setitimer(signal.ITIMER_PROF, self._seconds, _AGAIN_S)

    def __exit__(self, *_: object) -> None:
        global _is_limited, _is_up
        if not self._holds:
            return
        _is_limited = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before or signal.SIG_DFL)
        _is_up = False
        if self._collects:
            gc.enable()


def has_stopped() -> None:
    """End the timer of a bound whose error was caught: what was found until then is summed up."""
    if _is_limited and _has_timer():
        signal.setitimer(signal.ITIMER_PROF, 0)


def is_limited() -> bool:
    """Tell whether a bound holds here that somebody else set."""
    return _is_limited


_is_limited = False
_is_up = False


def _has_timer() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop the rule. In a `__del__` the interpreter swallows that, so the timer goes on."""
    global _is_up
    if not _is_limited:
        return
    _is_up = True
    if frame is None or frame.f_globals.get("__name__") != __name__:
        raise TimeUpError


# -- parsers


def tree_of(parser: Parser, data: bytes) -> Tree:
    """Parse UTF-8. Raises TimeUpError when that takes too much time or memory.

    A parser takes quadratic time for some texts that are no programs, such as many `/* `.

    The parser's library never gives back what it is handed in pieces (py-tree-sitter 0.26: its
    `parser_read_wrapper` keeps a reference for each call), so it is handed one and the same buffer.
    It has let go of that whenever it asks for the next piece.
    """
    if len(data) <= _SMALL:
        return parser.parse(data)
    began, memory, seconds = time.process_time(), _resident(), parsing_s(len(data))
    count = 0
    reason = ""
    buffer = _own.buffer

    def piece(at: int, _: object) -> bytearray:
        nonlocal count, reason
        count += 1
        if not reason:
            if _is_up or time.process_time() - began > seconds:
                reason = f"parsing takes more than {seconds:.2g} s"
            elif count % _PIECES_EACH == 0 and _resident() - memory > _PARSING_MEMORY:
                reason = f"parsing needs more than {_PARSING_MEMORY >> 20} MB"
        buffer[:] = b"" if reason else data[at : at + _PIECE]  # as if the text ended here
        return buffer

    tree = parser.parse(piece)
    if reason:
        parser.reset()
        raise TimeUpError(reason)
    return tree


class _Own(threading.local):
    """What each thread has for itself: the buffer that its parsers read from."""

    def __init__(self) -> None:
        self.buffer = bytearray()


_own = _Own()


def _resident() -> int:
    """Return how much memory this process holds, 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as stream:  # noqa: PTH123  (asked for often)
            return int(stream.read().split()[1]) * _PAGE
    except OSError:
        return 0


_PAGE = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096
