"""Everything that is wrong is named at once, and nothing is run to find it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from marketplace_db.package import build_package
from tavo.errors import UsageError
from tavo.kit.validate import Validation, validate
from tests.fakes.authors import author_plugin
from tests.fakes.snapshots import check_snapshot


def problems(found: Validation, kind: str = "problem") -> list[str]:
    return [f"{p.where}: {p.what}" for p in found.problems if p.kind == kind]


def test_all_problems_at_once(tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "broken",
        plugin_yaml="""\
api: 1
id: Broken Name
publisher: acme
name: "x\\u202e"
version: 1.0-beta
plugin_type: static
entrypoint: main:Sample
description: d
author: a
permissions:
  network: ["http://example.com"]
  files: everything
limits:
  memory_mb: 7
x-mine: 1
""",
        main_py="def broken(:\n",
        more_py="raise RuntimeError('this was run')\n",
    )
    (folder / "LICENSE").unlink()
    (folder / "fast.so").write_bytes(b"\x7fELF")
    (folder / "aux.txt").write_text("")
    (folder / "link").symlink_to("/etc/passwd")
    found = validate(folder)
    assert not found.passed
    text = "".join(f"{p.kind}: {p.where}: {p.what}\n    {p.hint}\n" for p in found.problems)
    check_snapshot(Path(__file__).parent / "snapshots" / "all-problems.txt", text)


def test_nothing_is_executed(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    body = f"open({str(marker)!r}, 'w')\nfrom tavo.plugins import StaticAnalysisPlugin\n"
    body += "class Sample(StaticAnalysisPlugin):\n    rules = ()\n"
    body += "    def analyze_file(self, p, c): return ()\n"
    folder = author_plugin(tmp_path / "new", main_py=body)
    assert validate(folder).passed
    assert not marker.exists()
    exec(compile(body, "main.py", "exec"), {})  # the control
    assert marker.exists()


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        ("class Other: pass\n", "main.py: holds no class Sample"),
        ("class Sample: pass\n", "main.py line 1: Sample derives from nothing"),
        ("def f():\n    class Sample: pass\n", "main.py: holds no class Sample"),
        ("import tavo.plugins as t\nclass Sample(t.LogAnalysisPlugin): pass\n",
         "main.py line 2: Sample is a LogAnalysisPlugin, but plugin_type is static"),
        ("from tavo.plugins import *\nclass Sample(StaticAnalysisPlugin): pass\n",
         "main.py line 2: Sample defines no analyze_file or"),
        ("type X = int\n", "main.py line 1: is not Python 3.11"),
        ("x = (\n", "main.py line 1: is not Python 3.11"),
    ],
)  # fmt: skip
def test_the_entry_point_is_found_without_running(main: str, expected: str, tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new", main_py=main)
    assert any(problem.startswith(expected) for problem in problems(validate(folder)))


def test_what_only_running_shows_is_left_to_the_test(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new", main_py="from inner import Sample\n", inner_py="")
    assert problems(validate(folder)) == []


def test_notes_fail_nothing(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new")
    (folder / "main.py").write_text((folder / "main.py").read_text() + "\nprint(1)\n")
    (folder / "LICENSE").write_text("All rights reserved\n")
    (folder / "tests" / "test_main.py").unlink()
    found = validate(folder)
    assert found.passed
    notes = problems(found, "note")
    assert [note.split(":")[0].split(" line")[0] for note in notes] == [
        "tests/", "LICENSE", "scores.json", "main.py",
    ]  # fmt: skip


FIGURE = {"data": "a corpus", "metric": "recall", "value": 0.91, "rows": 400}


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"format": 1, "held_out": [FIGURE]}, ""),
        (
            {
                "format": 1,
                "held_out": [{**FIGURE, "metric": "alarms per 10,000 lines", "value": 7}],
            },
            "",
        ),
        ({"format": 2, "held_out": [FIGURE]}, "has another form: Invalid enum value 2"),
        ({"format": 1, "held_out": []}, "has another form: Expected `array` of length >= 1"),
        ({"format": 1, "held_out": [FIGURE] * 21}, "has another form"),
        ({"format": 1, "held_out": [{**FIGURE, "by": "me"}]}, "unknown field `by`"),
        ({"format": 1, "held_out": [FIGURE], "notes": ""}, "unknown field `notes`"),
        ({"format": 1, "held_out": [{"data": "x"}]}, "missing required field `metric`"),
        ({"format": 1, "held_out": [{**FIGURE, "rows": 0}]}, "Expected `int` >= 1"),
        ({"format": 1, "held_out": [{**FIGURE, "data": "a\u202e"}]}, "cannot be shown"),
        ({"format": 1, "held_out": [{**FIGURE, "value": 91}]}, "recall' of 91 is out of range"),
        ({"format": 1, "held_out": [FIGURE, FIGURE]}, "figures 1 and 2 are of the same data"),
        ([FIGURE], "has another form"),
        ("{", "is not JSON"),
        ("[" * 50_000, "has another form"),
        (" " * 70_000, "is larger than 64 KB"),
    ],
)
def test_figures_are_looked_at(figures: object, said: str, tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new")
    text = figures if isinstance(figures, str) else json.dumps(figures)
    (folder / "scores.json").write_text(text)
    found = validate(folder)
    notes = [note for note in problems(found, "note") if note.startswith("scores.json: ")]
    assert found.passed  # they are notes: the plugin itself is as it is
    assert (said in notes[0] and len(notes) == 1) if said else notes == []


def test_a_package_is_looked_into(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new")
    digest = build_package(folder, tmp_path / "new.zip")
    assert validate(tmp_path / "new.zip").package == digest.hex
    data = (tmp_path / "new.zip").read_bytes()
    (tmp_path / "bad.zip").write_bytes(b"#!/bin/sh\n" + data)
    assert not validate(tmp_path / "bad.zip").passed


def test_what_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        validate(tmp_path / "nothing")


def test_an_empty_folder_names_the_way_to_start(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = validate(tmp_path / "empty")
    assert "plugin init" in found.problems[0].hint
    assert [p.where for p in found.problems if p.kind == "problem"] == [
        "plugin.yaml", "README.md", "LICENSE",
    ]  # fmt: skip


def test_a_hostile_folder_is_looked_at_within_bounds(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new")
    (folder / "plugin.yaml").write_bytes(b"# " + b"x" * (1 << 20))
    (folder / "deep.py").write_text("(" * 100_000)
    (folder / "large.py").write_text("x = 1\n" * 400_000)
    (folder / "nul.py").write_bytes(b"\0\0")
    (folder / "escape.py").write_text("x = '\\d'\n")
    (folder / "LICENSE").unlink()
    os.mkfifo(folder / "LICENSE")
    inner = folder
    for _ in range(600):
        inner = inner / "d"
        inner.mkdir()
    (inner / "a.txt").write_text("")
    found = problems(validate(folder))
    assert any(p.startswith("plugin.yaml: ") for p in found)
    assert any(p.startswith("deep.py") for p in found)
    assert any("large.py: cannot be parsed: is larger than" in p for p in found)
    assert any(p.startswith("nul.py") for p in found)
    assert any("folders deep" in p or "longer than" in p for p in found)
    assert "LICENSE: is a link or a device; a package holds only files" in found
    assert not any(p.startswith("escape.py") for p in found)


@pytest.mark.parametrize(
    ("python", "said"),
    [
        (">=3.11,<3.13", ""), ("==3.12.*", ""), (">=3.13", ""),
        (">=3.15", "takes none of CPython 3.11 to 3.14"), ("<3", "takes none of CPython"),
        ("==3.12", "takes only 3.12.0, not its later fixes"),
    ],
)  # fmt: skip
def test_a_range_of_pythons_that_nobody_means(tmp_path: Path, python: str, said: str) -> None:
    folder = author_plugin(tmp_path / "one")
    with (folder / "plugin.yaml").open("a") as stream:
        stream.write(f"python: '{python}'\n")
    found = [one.what for one in validate(folder).problems if one.what.startswith("python")]
    assert (found == []) if not said else (said in found[0])
