"""Rule files that were written to exhaust or crash the loader or the matcher."""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath

import pytest

from tavo.scan.engine import scan_source
from tavo.scan.rules import load_rules
from tests.fakes.hostile_rules import CASES

SECONDS = 30.0


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_hostile_rule_is_named_and_the_others_run(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    case.write(tmp_path)
    began = time.process_time()
    rules = load_rules([tmp_path])
    result = scan_source(case.code, PurePosixPath("a.py"), rules)
    assert time.process_time() - began < SECONDS
    said = [str(problem) for problem in rules.problems]
    assert case.says in "\n".join(said)
    assert all(len(one) < 2_000 for one in said)
    found = {hit.finding.rule_id for hit in result.hits}
    assert ("good" in found) == case.keeps
    assert all("defect" not in problem for problem in result.problems)
    for hit in result.hits:
        assert len(hit.finding.message) < 5_000
        assert len(hit.finding.fix or "") < 300_000
