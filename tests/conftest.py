"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure: hypothesis allows an example 200 ms otherwise, and the making of
# ten examples a second, and calls whatever takes longer flaky. Whether a change may land is no
# matter of chance: `build.py check` draws the same examples for the same code.
settings.register_profile(
    "tavo", deadline=None, suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("SAME_EXAMPLES") == "1",
)  # fmt: skip
settings.load_profile("tavo")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Hear Ctrl-C after a test as before it.

    An interrupted command ends by ignoring it, and whatever a later test starts would do so, too.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        return (yield)
    finally:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first: a process has a whole file, and none shall end on those."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
