"""Each official plugin, installed from the signed catalog by the built file, on real input."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.shown import SHELF, carry_out, is_here, read
from tests.fakes.single_file import PYZ

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
PLUGINS = [
    pytest.param(plugin, marks=pytest.mark.slow if plugin in SHELF.heavy else ())
    for plugin in SHELF.plugins
]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_what_is_shown_of_it_happens(plugin: str, tmp_path: Path) -> None:
    shown = read(plugin)
    if not is_here(plugin):
        pytest.skip(f"its wheels: `python3 build.py plugins --heavy --here {plugin}`")
    outcome = carry_out(shown, tmp_path)
    said = f"{outcome.said}\n{outcome.complaints}\n{outcome.not_done}"
    assert outcome.exit == shown.exit, said
    wrong = {
        rule: (count, outcome.found.get(rule, 0))
        for rule, count in shown.found.items()
        if outcome.found.get(rule, 0) != count and not (count == "some" and rule in outcome.found)
    }
    assert not wrong, said
    assert set(outcome.found) == set(shown.found), said
    for text in shown.says:
        assert text in outcome.said, said
    assert outcome.level >= "L2", said
    assert not outcome.not_done, said
