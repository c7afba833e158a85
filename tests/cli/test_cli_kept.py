"""Results of scans kept from run to run: what is looked at again, and who can lie about it."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from msgspec.structs import replace

from tavo import kept
from tavo.scan import engine, incremental
from tavo.scan.files import SourceFile
from tavo.scan.results import Beside, FileResult
from tavo.scan.rule_source import PACK, RuleSource
from tests.cli.conftest import Run

FLAW = "import subprocess\n\n\ndef tool(cmd):\n    subprocess.run(cmd, shell=True)\n"
RULE = """\
rules:
  - {id: mine, message: m, severity: ERROR, languages: [python], pattern: secret($X)}
"""
Scan = Callable[..., tuple[list[str], int]]


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe times of files that were written just now."""
    monkeypatch.setattr(kept, "_SETTLED_NS", -(10**15))


@pytest.fixture
def scan(tavo: Run, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Scan the folder; return the findings' places, and how many files were looked at."""
    Path("a.py").write_text(FLAW)
    Path("b.py").write_text("x = 1\n")
    looked: list[Path] = []
    real = engine.scan_file

    def counted(file: SourceFile, *words: Any, **named: Any) -> FileResult:
        looked.append(file.path)
        return real(file, *words, **named)

    monkeypatch.setattr(engine, "scan_file", counted)

    def run(*words: object) -> tuple[list[str], int]:
        looked.clear()
        done = tavo("scan", ".", "--format", "json", *words)
        report = json.loads(done.out)
        return [_place(one) for one in report["findings"]], len(looked)

    return run


def _place(finding: dict[str, Any]) -> str:
    place = finding["location"]
    return f"{place['path']}:{place['region']['start_line']} {finding['rule_id']}"


FOUND = ["a.py:5 function-argument-to-shell"]


def database(home: Path) -> Path:
    (file,) = (home / ".local/state/tavo/scans").iterdir()
    return file


def test_what_has_not_changed_is_not_looked_at_again_and_says_the_same(tavo: Run) -> None:
    Path("a.py").write_text(FLAW + "    subprocess.run(cmd, shell=True)  # nosemgrep\n")
    Path("b.py").write_text("def broken(:\n    eval(x)\n")

    def report() -> dict[str, Any]:
        value = json.loads(tavo("scan", ".", "--format", "json").out)
        for name in ("id", "uuid", "started_at", "finished_at", "cpu_s"):
            value["run"].pop(name, None)
        return value

    first = report()
    assert report() == first
    assert len(first["findings"]) == 2


def test_only_what_changed_is_looked_at(scan: Scan) -> None:
    assert scan() == (FOUND, 2)
    assert scan() == (FOUND, 0)
    Path("b.py").write_text(FLAW)
    assert scan() == ([*FOUND, "b.py:5 function-argument-to-shell"], 1)
    Path("a.py").unlink()
    assert scan() == (["b.py:5 function-argument-to-shell"], 0)


def test_the_option_looks_at_everything(scan: Scan) -> None:
    scan()
    assert scan("--no-cache") == (FOUND, 2)


def test_a_content_is_known_again_whatever_its_times(scan: Scan) -> None:
    scan()
    text = Path("a.py").read_text()
    Path("a.py").write_text("")
    Path("a.py").write_text(text)
    os.utime("a.py", (1, 1))
    assert scan() == (FOUND, 0)


def test_other_rules_are_another_question(scan: Scan) -> None:
    scan()
    Path("r.yaml").write_text(RULE)
    assert scan("--rules", "r.yaml") == (FOUND, 3)  # the rule file is a text, too
    assert scan("--rules", "r.yaml") == (FOUND, 0)
    Path("r.yaml").write_text(RULE.replace("secret", "tool"))
    assert scan("--rules", "r.yaml")[1] == 3


def test_another_build_of_the_engine_is_another_question(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan()
    monkeypatch.setattr(incremental, "engine_digest", lambda: "another")
    assert scan() == (FOUND, 2)


def edit(home: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(database(home)) as connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


LIES = [
    "UPDATE answers SET answer = '' WHERE answer != ''",
    "UPDATE files SET key = (SELECT key FROM files WHERE path = 'b.py') WHERE path = 'a.py'",
    "UPDATE answers SET answer = '', seal = (SELECT seal FROM answers WHERE answer = '')"
    " WHERE answer != ''",
]


@pytest.mark.parametrize("lie", LIES)
def test_an_edited_store_makes_nothing_clean(scan: Scan, home: Path, lie: str) -> None:
    scan()
    edit(home, lie)
    places, looked = scan()
    assert places == FOUND
    assert looked >= 0


@pytest.mark.parametrize("lie", LIES)
def test_control_without_the_seal_it_would(
    scan: Scan, home: Path, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan()
    edit(home, lie)
    monkeypatch.setattr(kept.Kept, "_holds", lambda self, seal, kind, *parts: True)
    assert scan() == ([], 0)


def test_a_store_that_was_made_with_another_key_does_not_count(scan: Scan, home: Path) -> None:
    scan()
    key = home / ".local/state/tavo/kept.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    assert scan() == (FOUND, 2)
    assert scan() == (FOUND, 0)


def test_a_key_that_others_can_read_is_made_anew(scan: Scan, home: Path) -> None:
    scan()
    (home / ".local/state/tavo/kept.key").chmod(0o644)
    assert scan() == (FOUND, 2)
    scan()
    assert scan() == (FOUND, 0)


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_store_costs_time_and_nothing_else(
    scan: Scan, home: Path, content: bytes
) -> None:
    scan()
    database(home).write_bytes(content)
    assert scan() == (FOUND, 2)
    assert scan() == (FOUND, 0)


def test_a_folder_that_others_may_write_to_is_not_used(scan: Scan, home: Path) -> None:
    scan()
    (home / ".local/state/tavo/scans").chmod(0o777)
    assert scan() == (FOUND, 2)


def test_a_result_that_depends_on_another_file_is_asked_again_when_that_changes(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = engine.scan_file

    def depending(file: SourceFile, *words: Any, **named: Any) -> FileResult:
        result = counted(file, *words, **named)
        other = incremental.hashlib.sha256(Path("b.py").read_bytes()).digest()
        beside = Beside(PurePosixPath("b.py"), other)
        return replace(result, others=(beside,)) if file.path.name == "a.py" else result

    monkeypatch.setattr(engine, "scan_file", depending)
    scan()
    assert scan() == (FOUND, 0)
    Path("b.py").write_text("x = 2\n")
    assert scan() == (FOUND, 2)


def test_what_ran_out_of_time_is_not_kept(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = engine.scan_file
    monkeypatch.setattr(
        engine, "scan_file", lambda *a, **n: replace(counted(*a, **n), lasting=False)
    )
    scan()
    assert scan() == (FOUND, 2)


def test_results_are_the_same_on_one_and_two_processes_and_from_memory(
    tavo: Run, home: Path
) -> None:
    for number in range(60):
        Path(f"f{number:02}.py").write_text(FLAW * (number % 3) + f"x = {number}\n")
    reports = [
        json.loads(tavo("scan", ".", "--format", "json", *words).out)["findings"]
        for words in (
            ["--jobs", "1", "--no-cache"], ["--jobs", "2", "--no-cache"], ["--jobs", "2"], [],
        )
    ]  # fmt: skip
    assert len(reports[0]) == 60
    assert reports[1:] == reports[:1] * 3


def test_a_store_is_bounded(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / ".local/state/tavo/scans"
    folder.mkdir(parents=True, mode=0o700)
    now = time.time()
    for number in range(4):
        (folder / f"{number}.db").write_bytes(b"x" * 100)
        os.utime(folder / f"{number}.db", (now + number, now + number))
    monkeypatch.setattr(kept, "_LARGEST_FOLDER", 250)
    kept._sweep(folder.glob("*.db"))
    assert sorted(file.name for file in folder.iterdir()) == ["2.db", "3.db"]


def test_rules_are_not_loaded_when_nothing_changed(scan: Scan) -> None:
    scan()
    source = RuleSource([PACK])
    assert source.digest == RuleSource([PACK]).digest
    assert "loaded" not in vars(source)


FLOW = """\
rules:
  - id: flow
    message: m
    severity: ERROR
    languages: [python]
    mode: taint
    options: {interfile: true}
    pattern-sources: [{pattern: src()}]
    pattern-sinks: [{pattern: sink($X)}]
"""


def test_what_two_files_show_together_is_looked_for_again_when_one_of_them_changed(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("flow.yaml").write_text(FLOW)
    Path("a.py").write_text("def run(x):\n    sink(x)\n")
    Path("b.py").write_text("from a import run\n\nrun('nothing')\n")
    words = ("--no-default-rules", "--rules", "flow.yaml", "--exit-zero")
    assert scan(*words) == ([], 2)
    assert scan(*words) == ([], 0)
    Path("b.py").write_text("from a import run\n\nrun(src())\n")
    assert scan(*words) == (["a.py:2 flow"], 1)  # the sink's file is the one that did not change

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing changed, and it was looked for again")

    with monkeypatch.context() as unchanged:
        unchanged.setattr("tavo.scan.project.scan_across", never)
        assert scan(*words) == (["a.py:2 flow"], 0)
    Path("b.py").write_text("from a import run\n\nrun('mended')\n")
    assert scan(*words) == ([], 1)
