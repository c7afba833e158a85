"""Both ways in which a worker starts, for tests that must hold in both."""

from collections.abc import Iterator

import pytest

from tavo.host import bounds, filters, session, zygotes
from tavo.host.zygotes import ZYGOTES

MANY = 1000


@pytest.fixture(autouse=True)
def _zygotes_have_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zygote that comes late is none; on a busy machine each one would."""
    monkeypatch.setattr(zygotes, "_PATIENCE_S", 60.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is told to stop a call has time for it: a busy machine is no refusal."""
    for module in (bounds, filters, session):
        monkeypatch.setattr(module, "CANCEL_S", 30.0)


@pytest.fixture(params=["alone", "forked"])
def start(request: pytest.FixtureRequest) -> Iterator[str]:
    """The next worker starts by itself, or is forked from a zygote where that can be had."""
    ZYGOTES.close()
    if request.param == "forked":
        ZYGOTES.expect(MANY)
    yield request.param
    ZYGOTES.close()
