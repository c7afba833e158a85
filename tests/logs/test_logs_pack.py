"""Our own rules: each finds its samples and nothing else there, and none needs every record."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tavo.logs.fields import FIELDS
from tavo.logs.sigma.rules import PACK, LogRule, load_rules
from tavo.logs.sigma.samples import try_samples

RULES = list(load_rules([PACK]).rules.values())
HELPERS = {"genai-some-refusals"}  # a step of a correlation, tried with it


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_samples_of_a_rule(rule: LogRule, pack: list[LogRule]) -> None:
    known = next(one for one in pack if one.id == rule.id)
    tried = try_samples(known, pack)
    assert tried.differences == ()
    assert tried.samples >= 2 or rule.id in HELPERS


def test_a_rule_that_is_broken_on_purpose_fails_its_samples(tmp_path: Path) -> None:
    text = (PACK / "genai-crypto-mining.yml").read_text().replace("- xmrig", "- nothing-of-that")
    (tmp_path / "a.yml").write_text(text.replace("stratum+tcp", "also-nothing", 1))
    rules = list(load_rules([tmp_path]).rules.values())
    assert [one[:21] for one in try_samples(rules[0], rules).differences] == [
        "match 1 is not matche"
    ]


def test_the_pack_is_as_large_and_as_mapped_as_it_says() -> None:
    assert len(RULES) >= 60
    assert len({rule.about.title for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.about.description, rule.id
        assert rule.about.owasp or rule.about.tags, rule.id
        assert rule.file.stem == rule.id
    named = Counter(one[:5] for rule in RULES for one in rule.about.owasp)
    assert {f"LLM{n:02}" for n in (1, 2, 3, 5, 6, 7, 10)} <= set(named)
    assert sum(any(tag.startswith("AML.") for tag in rule.about.tags) for rule in RULES) > 40


def test_no_rule_of_ours_must_see_every_record() -> None:
    assert [rule.id for rule in RULES if rule.gate is not None and rule.gate.open] == []


def test_rules_name_fields_that_are_documented() -> None:
    assert {f for rule in RULES for f in rule.fields if f not in FIELDS} == set()


def test_the_page_of_the_fields_is_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs/log-fields.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| (yes|no) \| (.+) \|$", page, re.M)
    assert rows == [
        (name, field.kind, "yes" if field.copied else "no", field.text)
        for name, field in FIELDS.items()
    ]
