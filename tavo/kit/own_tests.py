"""The author's own tests, run inside the worker: plain functions, classes, unittest.

Rules this module keeps:
- a test that never ends is ended, and after a few of them the rest is not run: an endless loop in
  a plugin is said in a minute, not in ten;
- a failed assert says what was compared: its source and the values on both sides;
- nothing that a test raises ends the others, except a cancel of the host.

Standard library only: it runs beside the plugin. Units: times in seconds.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import linecache
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from tavo.plugins.errors import CancelledCall
from tavo.plugins.raised import describe

__all__ = ["Patience", "TooLongError", "attempt", "run_module"]

_LONGEST_TEST_S = 10
_MOST_LATE = 2
_LONGEST_VALUE = 300
_LONGEST_MESSAGE = 1500

Note = Callable[..., None]


class TooLongError(BaseException):
    """Raised inside what takes too long. No `except Exception` of a plugin holds it."""


class Patience:
    """Bounds each of several things, and says when to try no more."""

    def __init__(self, limit_s: float = _LONGEST_TEST_S) -> None:
        self.limit_s = limit_s
        self.late = 0

    @property
    def is_used_up(self) -> bool:
        """Tell whether so many took too long that the next ones would too."""
        return self.late >= _MOST_LATE

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """Raise TooLongError in the block when its time is over, and again if it goes on."""

        def ring(*_: object) -> None:
            raise TooLongError(f"it took longer than {self.limit_s:g} s")

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, self.limit_s, 1.0)
        try:
            yield
        except TooLongError:
            self.late += 1
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def attempt(act: Callable[[], str], patience: Patience, folder: Path) -> tuple[str, str]:
    """Return what a plugin, whose files are in `folder`, answered, or what went wrong."""
    try:
        with patience.bounded():
            return act(), ""
    except CancelledCall:
        raise
    except TooLongError as error:
        return "", str(error)
    except BaseException as error:  # noqa: BLE001
        return "", str(describe(error, str(folder))["message"])


def run_module(
    path: Path, folder: Path, outcomes: list[dict[str, str]], patience: Patience
) -> None:
    """Run the tests of one file below the plugin's folder; add what came of each."""
    import unittest

    name = path.relative_to(folder).as_posix()
    root = str(folder)

    def note(test: str, outcome: str, message: str = "") -> None:
        text = message[-_LONGEST_MESSAGE:]
        outcomes.append({"name": f"{name}::{test}", "outcome": outcome, "message": text})

    spec = importlib.util.spec_from_file_location(f"tavo_tests_{len(outcomes)}", path)
    assert spec is not None  # noqa: S101
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    try:
        with patience.bounded():
            spec.loader.exec_module(module)
    except CancelledCall:
        raise
    except ImportError as error:
        hint = ""
        if (error.name or "").partition(".")[0] == "pytest":
            hint = ": pytest is not in the sandbox; write plain functions and assert, or unittest"
        note("import", "failed", f"{describe(error, root)['message']}{hint}")
        return
    except BaseException as error:  # noqa: BLE001
        note("import", "failed", _told(error, root))
        return
    for test, value in list(vars(module).items()):
        if isinstance(value, type) and value.__module__ != module.__name__:
            continue
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            for case in unittest.defaultTestLoader.loadTestsFromTestCase(value):
                method = getattr(case, "_testMethodName", "?")
                _run_case(case, f"{test}.{method}", note, patience)
        elif isinstance(value, type) and test.startswith("Test"):
            for method in sorted(vars(value)):
                if method.startswith("test"):
                    _run_one(
                        lambda v=value, m=method: getattr(v(), m),  # type: ignore[misc]
                        f"{test}.{method}", note, root, patience,
                    )  # fmt: skip
        elif inspect.isfunction(value) and test.startswith("test"):
            _run_one(lambda v=value: v, test, note, root, patience)  # type: ignore[misc]


def _run_case(case: Any, test: str, note: Note, patience: Patience) -> None:
    import unittest

    if patience.is_used_up:
        note(test, "skipped", "not run: tests before it took too long")
        return
    result = unittest.TestResult()
    try:
        with patience.bounded():
            case.run(result)
    except TooLongError as error:
        note(test, "failed", str(error))
        return
    bad = [*result.failures, *result.errors]
    if bad:
        note(test, "failed", bad[0][1])
    elif result.skipped:
        note(test, "skipped", result.skipped[0][1])
    elif result.unexpectedSuccesses:
        note(test, "failed", "it passed, but was expected to fail")
    else:
        note(test, "passed")


def _run_one(
    make: Callable[[], Callable[[], Any]], test: str, note: Note, root: str, patience: Patience
) -> None:
    if patience.is_used_up:
        note(test, "skipped", "not run: tests before it took too long")
        return
    try:
        function = make()
        needed = [
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.default is parameter.empty
        ]
        if needed:
            note(test, "skipped", f"takes {', '.join(needed)}: there are no fixtures here")
            return
        with patience.bounded():
            function()
    except CancelledCall:
        raise
    except TooLongError as error:
        note(test, "failed", str(error))
    except BaseException as error:  # noqa: BLE001
        note(test, "failed", _told(error, root))
    else:
        note(test, "passed")


def _told(error: BaseException, root: str) -> str:
    """Say what was raised; for an assert what was compared, else the way through the plugin."""
    said = describe(error, root)
    lines = [said["message"]]
    if isinstance(error, AssertionError):
        with contextlib.suppress(Exception):  # what the values say is foreign, and only a help
            lines += [f"  {line}" for line in _compared(error.__traceback__)]
    elif said["traceback"].count("File ") > 1:
        lines += said["traceback"].rstrip().splitlines()[1:-1]
    return "\n".join(lines)


def _compared(trace: TracebackType | None) -> list[str]:
    """Return the source of the assert that failed, and the values that it looked at."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return []
    frame, number = trace.tb_frame, trace.tb_lineno
    source = "".join(linecache.getlines(frame.f_code.co_filename))
    found = [
        node for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assert) and node.lineno <= number <= (node.end_lineno or 0)
    ]  # fmt: skip
    if not found:
        return []
    test = found[-1].test
    lines = [" ".join((ast.get_source_segment(source, found[-1]) or "").split())]
    parts: list[ast.expr] = [test]
    if isinstance(test, ast.Compare):
        parts = [test.left, *test.comparators]
    for part in parts:
        if isinstance(part, ast.Constant):
            continue
        # once more, in the frame as it was left: the code is the author's own, in its sandbox
        code = compile(ast.Expression(part), "<assert>", "eval")
        value = repr(eval(code, frame.f_globals, frame.f_locals))  # noqa: S307
        shown = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"
        if (name := " ".join(ast.unparse(part).split())) != value:
            lines.append(f"{name} = {shown}")
    return lines
