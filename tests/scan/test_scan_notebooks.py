"""Notebooks: findings of code cells, at their lines in the notebook and with their cell."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.scan.engine import FileResult, scan_source
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules

RULES = """\
rules:
  - {id: call, message: called, severity: LOW, languages: [python], pattern: lib.run(...)}
"""


@pytest.fixture
def rules(tmp_path: Path) -> RuleSet:
    (tmp_path / "rules.yaml").write_text(RULES)
    return load_rules([tmp_path / "rules.yaml"])


def notebook(*cells: str | list[str], **metadata: Any) -> str:
    return json.dumps({
        "cells": [{"cell_type": "markdown", "source": ["lib.run(0)"]}]
        + [{"cell_type": "code", "outputs": [], "source": cell} for cell in cells],
        "metadata": metadata, "nbformat": 4,
    }, indent=1, ensure_ascii=False)  # fmt: skip


def scanned(source: str, rules: RuleSet) -> FileResult:
    return scan_source(source.encode(), PurePosixPath("a.ipynb"), rules)


def found(result: FileResult, source: str) -> list[tuple[str, str]]:
    lines = source.split("\n")
    out = []
    for hit in result.hits:
        region = hit.finding.location.region
        assert region is not None
        assert region.start_line == region.end_line
        text = lines[region.start_line - 1][region.start_column - 1 : region.end_column - 1]
        out.append((text, hit.finding.message))
    return out


def test_positions_are_those_of_the_notebook_with_the_cell(rules: RuleSet) -> None:
    source = notebook(
        ["%pip install x\n", "import lib as t\n", "x = !ls\n", "if x:\n", "    !rm y\n",
         '    s = "é\\"q"; t.run("a")\n', "t.run(2)"],
        "t.run(3)\nfor i in x:\n    t.run(4)",
    )  # fmt: skip
    result = scanned(source, rules)
    assert result.problems == ()
    assert found(result, source) == [
        ('t.run(\\"a\\")', "called (cell 2)"),
        ("t.run(2)", "called (cell 2)"),
        ("t.run(3)", "called (cell 3)"),
        ("t.run(4)", "called (cell 3)"),
    ]
    assert result.hits[1].finding.location.snippet.strip() == "t.run(2)"


def test_ignore_comments_in_cells(rules: RuleSet) -> None:
    source = notebook(
        ["import lib\n", "lib.run(1)  # tavo: ignore[call] a test\n", "# nosemgrep\n",
         "lib.run(2)\n", "lib.run(3)"]
    )  # fmt: skip
    assert [hit.ignore is not None for hit in scanned(source, rules).hits] == [True, True, False]


def test_cells_of_other_languages_are_left_out(rules: RuleSet) -> None:
    cells = ["import lib", "%%bash\nlib.run(1)", "%%time\nlib.run(2)"]
    source = notebook(*cells)
    assert [text for text, _ in found(scanned(source, rules), source)] == ["lib.run(2)"]
    source = notebook(*cells, kernelspec={"language": "R"})
    assert scanned(source, rules).hits == ()


@pytest.mark.parametrize(
    "source", ["", "[]", "{", '{"cells": 1}', '{"cells": [1, {"cell_type": "code"}]', "\\" * 50]
)
def test_what_is_no_notebook_is_named(rules: RuleSet, source: str) -> None:
    result = scanned(source + " lib run", rules)
    assert result.hits == ()


def test_a_cell_that_is_no_python_is_named_and_the_others_are_scanned(rules: RuleSet) -> None:
    source = notebook("import lib", "def f(:\n", "lib.run(1)")
    result = scanned(source, rules)
    assert [text for text, _ in found(result, source)] == ["lib.run(1)"]
    assert result.problems == ("parsed in part: some cell is not valid Python",)


def test_large_outputs_are_passed_over_and_too_much_code_is_named(rules: RuleSet) -> None:
    source = notebook("import lib", "lib.run(1)", "x = 1\n" * 400_000, "lib.run(2)")
    result = scanned(source, rules)
    assert [text for text, _ in found(result, source)] == ["lib.run(1)"]
    assert result.problems == ("more than 2 MB of code: the cells from 4 on were left out",)
    numbers = ", ".join(["1"] * 1_000_000)
    source = notebook("import lib", "lib.run(1)").replace(
        '"outputs": []', f'"outputs": [{numbers}]'
    )
    result = scanned(source, rules)
    assert result.problems == ()
    assert len(result.hits) == 1
