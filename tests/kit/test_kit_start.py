"""A new plugin of each type: complete, valid, tested, and it finds something."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace_db.package import build_package
from tavo.errors import RefusedError, UsageError
from tavo.host.local import open_local
from tavo.kit.contract import run_suite
from tavo.kit.start import write_plugin
from tavo.kit.validate import validate
from tests.fakes.authors import ACCEPT, TYPES, author_plugin


@pytest.mark.parametrize("plugin_type", TYPES)
def test_it_is_valid_and_passes_its_own_tests_and_the_contract(
    plugin_type: str, tmp_path: Path
) -> None:
    folder = author_plugin(tmp_path / "new", plugin_type)
    found = validate(folder)
    # A new plugin that detects something has not been measured yet, and is told so.
    notes = [] if plugin_type == "dynamic" else [("scores.json", "note")]
    assert [(one.where, one.kind) for one in found.problems] == notes
    assert found.plugin_type == plugin_type
    with open_local(folder) as local:
        report = run_suite(local, accept=ACCEPT)
    assert [check for check in report.checks if check.state in {"failed", "skipped"}] == []
    assert report.passed
    assert len(report.tests) >= 3
    assert report.rules_not_shown == ()
    assert report.package == found.package


@pytest.mark.parametrize("plugin_type", TYPES)
def test_it_has_all_files_and_no_placeholder_is_left(plugin_type: str, tmp_path: Path) -> None:
    written = write_plugin("my-plugin-2", tmp_path / "new", plugin_type=plugin_type, publisher="me")
    assert written == [
        ".github/workflows/plugin.yml", ".gitignore", "LICENSE", "README.md", "main.py",
        "plugin.yaml", "tests/test_main.py",
    ]  # fmt: skip
    for name in written:
        text = (tmp_path / "new" / name).read_text()
        assert not [word for word in ("@ID@", "@CLASS@", "@NAME@", "@TYPE@", "@PUBLISHER@")
                    if word in text], name  # fmt: skip
    assert "class MyPlugin2(" in (tmp_path / "new" / "main.py").read_text()


def test_the_workflow_takes_tavo_by_digest_only(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new")
    workflow = (folder / ".github" / "workflows" / "plugin.yml").read_text()
    assert "sha256sum --check --strict" in workflow
    assert workflow.index("sha256sum") < workflow.index("plugin validate")
    assert "contents: read" in workflow
    assert "pull_request_target" not in workflow


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new")
    (folder / "main.py").write_text("mine\n")
    with pytest.raises(RefusedError, match="nothing is overwritten"):
        author_plugin(folder)
    assert (folder / "main.py").read_text() == "mine\n"
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError):
        author_plugin(tmp_path / "file")


@pytest.mark.parametrize("name", ["", "My-Plugin", "../up", "a/b", "a--b", "-a", "a" * 64, "a\n"])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        write_plugin(name, tmp_path / "new", plugin_type="static", publisher="me")
    with pytest.raises(UsageError, match="cannot be the publisher"):
        write_plugin("x", tmp_path / "new", plugin_type="static", publisher=name)
    assert not (tmp_path / "new").exists()


def test_hidden_files_stay_out_of_the_package(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new")
    digest = build_package(folder, tmp_path / "one.zip")
    (folder / ".wheels").mkdir()
    (folder / ".wheels" / "x.whl").write_bytes(b"x")
    assert build_package(folder, tmp_path / "two.zip") == digest
