"""Rule files that were written to exhaust or crash the loader or the matcher."""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath

import pytest

from tavo.errors import ConfigError
from tavo.scan.engine import scan_source
from tavo.scan.rule_source import RuleSource
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_no_rule_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        RuleSource([tmp_path / "pipe.yaml"])
    source = RuleSource([tmp_path])
    assert len(source.digest) == 64
    assert [problem.reason for problem in source.problems] == ["is no file"]
