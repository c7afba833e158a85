"""The timer that stops a rule in its middle: in our code, and only there."""

from __future__ import annotations

import gc
import re
import signal
import sys
import time
from pathlib import PurePosixPath
from types import FrameType, FunctionType

import pytest

from tavo.scan import timing
from tavo.scan.engine import scan_source
from tavo.scan.languages import parse_file
from tavo.scan.rules import PACK, load_rules
from tavo.scan.timing import Bounds, Clock, Limit, TimeUpError

SPIN = """
def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""


def spinning(module: str) -> FunctionType:
    """Return a function of a module with this name that uses processor time."""
    names = {"__name__": module, "time": time}
    exec(SPIN, names)
    found = names["spin"]
    assert isinstance(found, FunctionType)
    return found


def test_a_rule_is_stopped_in_its_middle() -> None:
    clock = Clock(Bounds(file_s=10.0, rule_s=0.05))
    began = time.process_time()
    with pytest.raises(TimeUpError), clock.one():
        spinning("tavo.scan.some_rule")(5.0)
    assert time.process_time() - began < 4.0


class _Spinner:
    """Uses processor time while it is let go of."""

    def __del__(self) -> None:
        spinning("somebody.else")(0.3)


def test_a_stop_that_the_interpreter_swallows_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest's own would be stopped, too, as it shows what was swallowed
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    clock = Clock(Bounds(file_s=10.0, rule_s=0.05))
    ours = spinning("tavo.scan.some_rule")
    began = time.process_time()
    held = [_Spinner()]

    def rule() -> None:
        held.clear()
        ours(5.0)

    with pytest.raises(TimeUpError), clock.one():
        rule()
    assert time.process_time() - began < 4.0


def test_the_collector_does_not_run_in_a_rule_and_does_afterwards() -> None:
    clock = Clock(Bounds(file_s=10.0, rule_s=5.0))
    assert gc.isenabled()
    with clock.one():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_nothing_is_stopped_afterwards() -> None:
    clock = Clock(Bounds(file_s=10.0, rule_s=0.05))
    ours = spinning("tavo.scan.some_rule")
    with pytest.raises(TimeUpError), clock.one():
        ours(5.0)
    ours(0.2)


def test_a_stop_is_heard_only_inside_a_bound_and_not_where_it_is_made() -> None:
    ours = sys._getframe()
    names: dict[str, object] = {"__name__": timing.__name__}
    exec("import sys; frame = sys._getframe()", names)
    timing._stop(signal.SIGPROF, ours)
    with Limit(5.0):
        timing._stop(signal.SIGPROF, names["frame"])  # type: ignore[arg-type]
        with pytest.raises(TimeUpError):
            timing._stop(signal.SIGPROF, ours)


# texts for which the parser's time is the square of their length
BOMBS = {
    "comments.js": b"/* " * 200_000,
    "expressions.js": b"/[" * 200_000,
    "quotes.js": b'"' * 400_001,
    "quotes.json": b'"' * 400_001,
    "continuations.py": b"a\\\n" * 100_000,
    "lines.py": b"\\\n" * 200_000,
    "strings.py": b'"""a' * 200_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_text_that_takes_the_parser_for_ever_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_PARSING_S", 0.3)
    monkeypatch.setattr(timing, "_PARSING_S_EACH_MB", 0.1)
    began = time.process_time()
    file = parse_file(BOMBS[name], f".{name.partition('.')[2]}")
    assert time.process_time() - began < 5.0
    # the timer counts in ticks of the system, and may be first, also before the parser is asked
    assert re.match(r"not parsed: (parsing|it) takes more than 0\.3", file.problems[0])
    assert not file.lasting
    result = scan_source(
        BOMBS[name] + b"\n# eval exec openai", PurePosixPath(name), load_rules([PACK])
    )
    assert result.problems or not result.hits


def test_a_parser_that_takes_all_memory_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    if not timing._resident():
        pytest.skip("the system does not say how much memory a process has")
    monkeypatch.setattr(timing, "_PARSING_MEMORY", 50 << 20)
    file = parse_file(b"a<b>(" * 100_000, ".ts")
    assert file.problems == ["not parsed: parsing needs more than 50 MB"]


def test_a_bound_inside_another_one_is_the_outer_one() -> None:
    ours = spinning("tavo.scan.some_rule")
    began = time.process_time()
    with pytest.raises(TimeUpError), Limit(0.1), Limit(1000.0):
        ours(5.0)
    assert time.process_time() - began < 4.0


def test_while_a_bound_ends_no_code_runs_that_its_timer_stops() -> None:
    """What it stops there would leave the timer running, and stop whatever comes next."""
    running: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and signal.getitimer(signal.ITIMER_PROF)[0]:
            running.add(frame.f_globals["__name__"])

    with Limit(1000.0):
        sys.setprofile(note)
    sys.setprofile(None)
    assert running == {"tavo.scan.timing"}


def test_after_a_bomb_the_parser_reads_the_next_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_PARSING_S", 0.1)
    monkeypatch.setattr(timing, "_PARSING_S_EACH_MB", 0.1)
    assert parse_file(BOMBS["lines.py"], ".py").problems
    assert parse_file(b"eval(1)\n", ".py").problems == []
