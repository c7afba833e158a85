"""Reports of vetting: the published form, their bounds, and the list of checks."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from tavo.kit.schema import schema_of, schema_text
from tavo.operator.vetting import NAMES
from tavo.operator.vetting.report import Outcome, Report, report_of
from tests.operator.test_vetting_hostile import done, material

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "tavo-vetting-1.json").read_text())
CHECKS = ROOT / "tavo" / "operator" / "vetting" / "checks"


def test_every_file_is_a_check_and_every_check_a_file() -> None:
    files = {path.stem for path in CHECKS.glob("*.py")} - {"__init__"}
    assert sorted(NAMES) == sorted(files)
    for name in NAMES:
        assert callable(importlib.import_module(f"tavo.operator.vetting.checks.{name}").run)


def test_the_published_schema_is_the_one_that_is_written() -> None:
    made = schema_text(schema_of(Report, "What one check of tavo market vet found"))
    assert json.loads(made) == SCHEMA, "run `python -m tavo.operator.vetting.report`"


@pytest.mark.parametrize("check", ["package", "permissions", "licence", "behaviour", "scan"])
def test_reports_fit_the_schema_and_are_the_same_again(check: str, tmp_path: Path) -> None:
    texts = []
    for folder in ("a", "b"):
        given = material(tmp_path / folder)
        report = report_of(check, given.package, done(check, given))
        jsonschema.validate(json.loads(msgspec.json.encode(report)), SCHEMA)
        texts.append(msgspec.json.encode(report))
    assert texts[0] == texts[1]  # no times and no paths of this machine
    assert str(tmp_path).encode() not in texts[0]


def test_a_report_is_bounded_and_says_what_is_left_out(tmp_path: Path) -> None:
    large = {f"file-{number}": "0" * 64 for number in range(10_000)}
    many = Outcome(outcome="failed", sentences=("x\n" * 900,) * 80, facts=large)
    report = report_of("scan", material(tmp_path).package, many)
    assert len(report.sentences) == 50
    assert report.more == 30
    assert all(len(one) <= 400 for one in report.sentences)
    jsonschema.validate(json.loads(msgspec.json.encode(report)), SCHEMA)
    assert report.facts["left_out"].endswith("at most 524288 are kept")
