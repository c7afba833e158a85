"""Answers of static plugins kept from scan to scan: what is asked again, and what is not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tavo import kept
from tavo.host import answer_cache, hosted
from tavo.host.sandbox.levels import SandboxLevel
from tavo.runs import kept_answers
from tests.cli.conftest import Run
from tests.fakes.authors import author_plugin, static_main

MAIN = static_main(
    "for number, line in enumerate(content.split('\\n'), start=1):\n"
    "    if 'secret' in line:\n"
    "        yield self.found(file_path, line=number)\n"
)
Scan = Callable[..., tuple[list[str], dict[str, Any]]]


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep everything, also of fast plugins and of files that were written just now."""
    monkeypatch.setattr(kept_answers, "_WORTH_KEEPING_S", -1.0)
    monkeypatch.setattr(kept, "_SETTLED_NS", -(10**15))
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", "L2:acme/sample")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return author_plugin(tmp_path / "plugin", main_py=MAIN)


@pytest.fixture
def scan(tavo: Run, plugin: Path) -> Scan:
    """Scan the folder; return the places of findings, and the plugin's row."""
    Path("a.txt").write_text("one\nsecret\n")
    Path("b.txt").write_text("nothing\n")

    def run(*words: str, folder: str = ".") -> tuple[list[str], dict[str, Any]]:
        digest = json.loads(tavo("plugin", "validate", plugin, "--json").out)["package"]
        done = tavo(
            "scan", folder, "--static-plugins", plugin, "--accept-local", digest,
            "--format", "json", *words,
        )  # fmt: skip
        assert done.code in {0, 1, 4}, done
        report = json.loads(done.out)
        places = [
            f"{one['location']['path']}:{one['location']['region']['start_line']}"
            for one in report["findings"]
        ]
        return places, report["plugins"][0]

    return run


def test_what_has_not_changed_is_not_asked_again(scan: Scan) -> None:
    places, row = scan()
    assert (places, row["files"], row["cached"]) == (["a.txt:2"], 2, 0)
    level = row["sandbox"]
    places, row = scan()
    assert (places, row["files"], row["cached"]) == (["a.txt:2"], 2, 2)
    assert row["worker_cpu_s"] == 0
    assert row["sandbox"] == level


def test_the_option_asks_again(scan: Scan) -> None:
    scan()
    assert scan("--no-cache")[1]["cached"] == 0
    assert scan()[1]["cached"] == 2


def swap(path: Path, text: str) -> None:
    """Change a file behind the scan's back: the same size, and the old time of the change."""
    status = path.stat()
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


def test_a_change_is_seen_though_size_and_time_are_restored(scan: Scan) -> None:
    scan()
    swap(Path("b.txt"), "secret!\n")
    places, row = scan()
    assert (places, row["cached"]) == (["a.txt:2", "b.txt:1"], 1)


def test_control_without_the_time_of_the_inode_it_would_be_missed(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kept._identity
    monkeypatch.setattr(
        kept, "_identity", lambda status: (*whole(status)[:2], 0, *whole(status)[3:])
    )
    scan()
    swap(Path("b.txt"), "secret!\n")
    assert scan()[0] == ["a.txt:2"]


def test_a_file_that_changes_during_the_run_is_read_again_by_the_next(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_SETTLED_NS", 3_600 * 10**9)  # longer than any machine needs
    scan()
    reads: list[Path] = []
    find = answer_cache.AnswerCache.find_content
    monkeypatch.setattr(
        answer_cache.AnswerCache,
        "find_content",
        lambda self, key: (reads.append(Path()), find(self, key))[1],
    )
    places, row = scan()
    assert (places, row["cached"], len(reads)) == (["a.txt:2"], 2, 2)


def test_a_moved_file_has_its_own_path_in_findings(scan: Scan) -> None:
    scan()
    Path("a.txt").rename("c.txt")
    places, row = scan()
    assert (places, row["cached"]) == (["c.txt:2"], 1)


def test_another_root_has_other_paths(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sub").mkdir()
    Path("sub/d.txt").write_text("secret\n")
    assert scan()[0] == ["a.txt:2", "sub/d.txt:1"]
    monkeypatch.chdir("sub")
    assert scan()[0] == ["d.txt:1"]


def test_another_configuration_is_another_question(scan: Scan) -> None:
    scan()
    Path("c.json").write_text('{"acme/sample": {"x": 1}}')
    assert scan("--plugin-config", "c.json")[1]["cached"] == 0


def test_another_version_of_the_plugin_is_another_plugin(scan: Scan, plugin: Path) -> None:
    scan()
    (plugin / "main.py").write_text(MAIN.replace("'secret'", "'nothing'"))
    places, row = scan()
    assert (places, row["cached"]) == (["b.txt:1"], 0)


def test_a_damaged_cache_costs_time_and_nothing_else(scan: Scan, home: Path) -> None:
    scan()
    (file,) = (home / ".local/state/tavo/answers").iterdir()
    file.write_bytes(b"\0" * 5000)
    assert scan()[0] == ["a.txt:2"]
    assert scan()[1]["cached"] == 2
    assert (file.stat().st_mode & 0o777) == 0o600


def test_answers_of_a_weaker_sandbox_do_not_count(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as weaker:
        weaker.setattr(hosted, "strongest_here", lambda: SandboxLevel.LIMITS)
        weaker.setenv("TAVO_ACCEPT_SANDBOX", "L1:acme/sample")
        assert scan()[1]["sandbox"] == "L1"
    assert scan()[1]["cached"] == 0


def test_what_failed_is_asked_again(scan: Scan, plugin: Path) -> None:
    (plugin / "main.py").write_text(
        MAIN.replace("for number", "1 / ('b.txt' != str(file_path))\n        for number", 1)
    )
    scan()
    assert scan()[1]["cached"] == 1


def test_a_plugin_that_looks_at_the_whole_project_sees_all_of_it(scan: Scan, plugin: Path) -> None:
    (plugin / "main.py").write_text(
        MAIN + "    def analyze_project(self, files):\n        return ()\n"
    )
    scan()
    assert scan()[1]["cached"] == 0


def test_what_is_said_about_the_whole_project_has_its_lines(scan: Scan, plugin: Path) -> None:
    (plugin / "main.py").write_text(
        MAIN
        + "    def analyze_project(self, files):\n        yield self.found(files[-1], line=1)\n"
    )
    places, row = scan()
    assert places == ["a.txt:2", "b.txt:1"]
    assert row["skipped"] == 0


def test_a_fast_plugin_is_asked_again(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "_WORTH_KEEPING_S", 1e9)
    scan()
    assert scan()[1]["cached"] == 0


@pytest.mark.parametrize(
    "asked",
    ["files: none\n  network: [example.com]", "files: project", "files: none\n  subprocess: [git]"],
    ids=["network", "files", "subprocess"],
)
def test_what_may_change_without_the_file_is_asked_again(
    asked: str, scan: Scan, plugin: Path
) -> None:
    manifest = plugin / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace("files: none", asked))
    scan()
    assert scan()[1]["cached"] == 0
