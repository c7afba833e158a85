"""Literals of a manifest: which files a static plugin is handed, and whether it is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.fakes.authors import author_plugin, static_main

EVERY_FILE = static_main("yield self.found(file_path)\n")


@pytest.fixture(autouse=True)
def _accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", "L2:acme/sample")


def scan(tavo: Run, folder: Path, literals: str) -> tuple[list[str], dict[str, Any]]:
    """Scan the current folder with a plugin that reports each file it is handed."""
    plugin = author_plugin(folder, main_py=EVERY_FILE)
    manifest = plugin / "plugin.yaml"
    manifest.write_text(manifest.read_text() + literals)
    digest = json.loads(tavo("plugin", "validate", plugin, "--json").out)["package"]
    done = tavo(
        "scan", ".", "--static-plugins", plugin, "--accept-local", digest, "--format", "json"
    )
    assert done.code in {0, 1}, done
    report = json.loads(done.out)
    return [one["location"]["path"] for one in report["findings"]], report["plugins"][0]


@pytest.fixture(autouse=True)
def _files(tavo: Run) -> None:
    Path("first.txt").write_text("x = torch.load(name)\n")
    Path("other.txt").write_text("x = Torch.Load(name)\ny = torchXload\n")
    Path("umlaut.txt").write_text("größe\n")
    Path("utf16.txt").write_bytes("torch.load\n".encode("utf-16"))
    Path("empty.txt").write_bytes(b"")


def test_only_files_that_hold_a_literal_are_handed_over(tavo: Run, tmp_path: Path) -> None:
    literals = "literals: ['torch.load', 'größe', 'no such text']\n"
    paths, row = scan(tavo, tmp_path / "plugin", literals)
    assert paths == ["first.txt", "umlaut.txt", "utf16.txt"]
    assert row["files"] == 3


def test_without_literals_every_file_is(tavo: Run, tmp_path: Path) -> None:
    assert len(scan(tavo, tmp_path / "plugin", "")[0]) == 5


def test_a_plugin_without_a_candidate_is_not_started(tavo: Run, tmp_path: Path) -> None:
    paths, row = scan(tavo, tmp_path / "plugin", "literals: [TORCH.LOAD]\n")
    assert paths == []
    assert (row["files"], row["calls"], row["worker_cpu_s"]) == (0, 0, 0)
    assert row["sandbox"] == "not started"
