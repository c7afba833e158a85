"""Both ways in which a worker starts, for tests that must hold in both."""

from collections.abc import Iterator

import pytest

from tavo.host.zygotes import ZYGOTES

MANY = 1000


@pytest.fixture(params=["alone", "forked"])
def start(request: pytest.FixtureRequest) -> Iterator[str]:
    """The next worker starts by itself, or is forked from a zygote where that can be had."""
    ZYGOTES.close()
    if request.param == "forked":
        ZYGOTES.expect(MANY)
    yield request.param
    ZYGOTES.close()
