"""The kit out of the single file: templates, harness and helpers are all in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.authors import TYPES, author_plugin
from tests.fakes.single_file import PYZ, Machine


@pytest.mark.parametrize("plugin_type", TYPES)
def test_it_writes_and_tests_what_the_sources_do(plugin_type: str, tmp_path: Path) -> None:
    assert PYZ.exists(), "run the tests with `python3 build.py test`, which builds the file first"
    machine = Machine(tmp_path / "home", TAVO_ACCEPT_SANDBOX="L2:acme/sample")
    machine.run("plugin", "init", "sample", "--publisher", "acme", "--type", plugin_type)
    expected = author_plugin(tmp_path / "expected", plugin_type)
    files = {p.relative_to(expected): p.read_bytes() for p in expected.rglob("*") if p.is_file()}
    written = machine.home / "sample"
    assert files == {
        p.relative_to(written): p.read_bytes() for p in written.rglob("*") if p.is_file()
    }
    report = json.loads(machine.run("plugin", "test", "sample", "--json").stdout)
    assert report["passed"] is True
    assert len(report["tests"]) >= 3
    assert report["rules_not_shown"] == []
