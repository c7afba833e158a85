"""Regular expressions that RE2 cannot run, in a process of their own with a deadline.

Rules this module keeps:
- RE2 looks first, with a wider expression: where that finds nothing, the real one is not tried;
- the real one runs in a child process, which is started for the first text that needs it, has a
  memory limit, and is killed when an answer is late; what was late says so;
- an expression that was late a few times is given up for the rest of the process;
- only the scanner uses this: the proxy and the log analyzer refuse such expressions by name.

Units: spans in bytes of UTF-8, deadlines in seconds.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tavo.detect.perl import translate
from tavo.detect.regex import LateError, Regex, RegexError, Spans

if TYPE_CHECKING:
    import subprocess

__all__ = ["DEADLINE_S", "BoundedRegex", "perl_regex"]

DEADLINE_S = 2.0
_STARTING_S = 10.0
_MOST_LATE = 3
_MOST_MATCHES = 20_000
_LONGEST_SHOWN = 60
_ENVIRONMENT = ("SYSTEMROOT",)  # without it Windows starts no Python

# What the child runs: one request a line, one answer a line. It imports nothing of ours.
_CHILD = r"""
import json, re, signal, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
known = {}
timer = getattr(signal, "setitimer", None)
for line in sys.stdin:
    asked = json.loads(line)
    if timer:
        timer(signal.ITIMER_REAL, asked["s"] + 1)
    key = asked["p"], asked["f"]
    if key not in known:
        known[key] = re.compile(*key)
    text = asked["t"]
    if asked["o"] == "all":
        answer = []
        for found in known[key].finditer(text, asked["at"]):
            answer.append([found.span(n) for n in range(known[key].groups + 1)])
            if len(answer) > asked["n"]:
                break
    elif asked["o"] == "sub":
        try:
            answer = known[key].sub(asked["r"], text, asked["n"])
        except (re.error, IndexError):
            answer = text
    else:
        way = known[key].match if asked["o"] == "match" else known[key].search
        answer = way(text) is not None
    if timer:
        timer(signal.ITIMER_REAL, 0)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
"""


class BoundedRegex(Regex):
    """An expression with look-around and the like. Raises RegexError for what cannot be run.

    All methods may raise LateError.
    """

    def __init__(self, pattern: str, *, multiline: bool = False) -> None:
        found = translate(pattern)
        self._flags = int(re.ASCII | (re.MULTILINE if multiline else 0))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compiled = re.compile(found.python, self._flags)
        except (re.error, RecursionError, OverflowError, MemoryError) as error:
            raise RegexError(f"not a regular expression for Python's re: {error}") from None
        try:
            super().__init__(found.wider, multiline=multiline, plain=True)
        except RegexError:
            super().__init__("", multiline=multiline, plain=True)
        self._python = found.python
        self._late = 0
        self.pattern = pattern
        names = {number: name for name, number in compiled.groupindex.items()}
        self.groups = tuple(
            names.get(number, str(number)) for number in range(1, compiled.groups + 1)
        )

    def starts(self, text: str) -> bool:
        return super().starts(text) and bool(self._ask("match", text))

    def found_in(self, text: str) -> bool:
        return super().found_in(text) and bool(self._ask("search", text))

    def replaced(self, text: str, replacement: str, *, count: int = 0) -> str:
        if not super().found_in(text):
            return text
        return str(self._ask("sub", text, n=count, r=replacement))

    def matches(self, data: bytes) -> Iterator[Spans]:
        first = next(super().matches(data), None)
        if first is None:
            return
        text = data.decode("utf-8", "replace")
        at = len(data[: first[0][0]].decode("utf-8", "replace"))
        found = self._ask("all", text, at=at, n=_MOST_MATCHES)
        if text.isascii():
            for spans in found:
                yield tuple((start, end) for start, end in spans)
            return
        offsets = _byte_offsets(text)
        for spans in found:
            yield tuple(
                (offsets[start], offsets[end]) if start >= 0 else (-1, -1) for start, end in spans
            )

    def _ask(self, way: str, text: str, **more: object) -> Any:
        shown = self.pattern[:_LONGEST_SHOWN] + ("…" if len(self.pattern) > _LONGEST_SHOWN else "")
        if self._late >= _MOST_LATE:
            raise LateError(
                f"the regular expression {shown!r} was given up: it was late {_MOST_LATE} times"
            )
        request = {"o": way, "p": self._python, "f": self._flags, "t": text, **more}
        answer = _WORKER.ask(request, deadline_s=DEADLINE_S)
        if answer is _NOTHING:
            self._late += 1
            raise LateError(
                f"the regular expression {shown!r} took longer than {DEADLINE_S:.0f} s"
                f" on {len(text):,} characters"
            )
        return answer


def perl_regex(pattern: str, *, multiline: bool = False) -> Regex:
    """Compile an expression for RE2 where that only reads it differently, else a bounded one.

    Raises RegexError.
    """
    found = translate(pattern)
    if found.needs:
        return BoundedRegex(pattern, multiline=multiline)
    return Regex(found.wider, multiline=multiline, plain=True)


_NOTHING = object()


class _Worker:
    """The child process: at most one for each process of ours, and never one that was inherited."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self, request: dict[str, object], *, deadline_s: float) -> object:
        """Return the answer, or `_NOTHING` when it was late; the child is gone then."""
        with self._lock:
            fresh = self._child is None or self._owner != os.getpid()
            child = self._start() if fresh or self._child is None else self._child
            if child.stdin is None or child.stdout is None:
                raise RuntimeError("the child has no pipes")
            line = json.dumps({**request, "s": deadline_s}) + "\n"
            timer = threading.Timer(deadline_s + (_STARTING_S if fresh else 0), child.kill)
            timer.daemon = True
            timer.start()
            try:
                child.stdin.write(line)
                child.stdin.flush()
                answer = child.stdout.readline()
            except OSError:
                answer = ""
            finally:
                timer.cancel()
            if not answer.endswith("\n"):
                self.stop()
                return _NOTHING
            return json.loads(answer)

    def _start(self) -> subprocess.Popen[str]:
        import subprocess  # a rule that is only listed starts nothing

        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CHILD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            encoding="ascii", start_new_session=True,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )  # fmt: skip
        self._owner = os.getpid()
        return self._child

    def stop(self) -> None:
        """End the child if it is one of this process."""
        child, self._child = self._child, None
        if child is not None and self._owner == os.getpid():
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:
                        pass


_WORKER = _Worker()
atexit.register(_WORKER.stop)


def _byte_offsets(text: str) -> list[int]:
    """Return for each code point, and for the end, where it is in UTF-8."""
    offsets, at = [0] * (len(text) + 1), 0
    for number, character in enumerate(text):
        offsets[number] = at
        code = ord(character)
        at += 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
    offsets[-1] = at
    return offsets
