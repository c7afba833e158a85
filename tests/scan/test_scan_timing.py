"""The timer that stops a rule in its middle: in our code, and only there."""

from __future__ import annotations

import gc
import time
from types import FunctionType

import pytest

from tavo.scan.timing import Bounds, Clock, TimeUpError

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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_that_the_interpreter_swallows_comes_again() -> None:
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
