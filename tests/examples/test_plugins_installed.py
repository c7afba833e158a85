"""Each official plugin, installed from the signed catalog by the built file, on real input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.fakes.shown import SHELF, carry_out, is_here, read
from tests.fakes.single_file import PYZ, ROOT, Machine

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


def test_one_text_in_invisible_characters_is_one_finding(tmp_path: Path) -> None:
    """Our rule sees the characters, the plugin reads what they say; with control."""
    machine = Machine(tmp_path / "home")
    shutil.copytree(ROOT / "tests" / "examples" / "inputs" / "mcp-config", tmp_path / "project")
    machine.run("registry", "install", "mcp-config", "--yes")

    def found(*words: str) -> list[tuple[str, str]]:
        report = tmp_path / "report.json"
        machine.run("scan", tmp_path / "project", *words, "--output", f"json={report}", code=1)
        names = {"agent-instructions-invisible-text", "hidden-text-says"}
        return [
            (one["rule_id"], one["evidence"].get("also", ""))
            for one in json.loads(report.read_bytes())["findings"]
            if one["rule_id"] in names
        ]

    ours = "agent-instructions-invisible-text"
    assert found() == [(ours, "")]
    assert found("--static-plugins", "mcp-config") == [("hidden-text-says", ours)]
