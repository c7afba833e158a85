"""The pack for vetting: every rule is right on its sample, and the pack is used by nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tavo.operator.vetting.checks.behaviour import PACK
from tavo.plugins import Severity
from tavo.scan.rule import RuleSet
from tavo.scan.rule_source import PACK as USERS_PACK
from tavo.scan.rule_tests import run_tests
from tavo.scan.rules import load_rules

SAMPLES = Path(__file__).parents[1] / "attacks" / "vetting" / "samples"
LOADED = load_rules([PACK])
IDS = sorted(LOADED.rules)


def test_the_pack_loads_whole_and_every_sample_has_a_rule() -> None:
    assert LOADED.problems == []
    assert sorted(path.stem for path in SAMPLES.iterdir() if path.is_file()) == IDS
    assert not set(IDS) & set(load_rules([USERS_PACK]).rules)


@pytest.mark.parametrize("rule_id", IDS)
def test_rule_is_right_on_its_sample(rule_id: str) -> None:
    (done,) = run_tests(RuleSet(rules={rule_id: LOADED.rules[rule_id]}), SAMPLES)
    assert done.passed, done.differences
    assert done.right >= 2


@pytest.mark.parametrize("rule_id", IDS)
def test_rule_says_what_it_means(rule_id: str) -> None:
    rule = LOADED.rules[rule_id].rule
    assert LOADED.rules[rule_id].file.stem == rule_id
    assert rule.description.endswith(".")
    assert rule.cwe
    assert (rule.severity is Severity.INFO) is rule_id.startswith("vetting-uses-")
