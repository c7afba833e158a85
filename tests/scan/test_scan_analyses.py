"""What looks random, and which regular expressions explode; compared with Semgrep's answers."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath

import pytest

from tavo.scan.analyses import can_explode, looks_random
from tavo.scan.engine import scan_source
from tavo.scan.rules import load_rules


@pytest.mark.parametrize(
    "text", ["x9Kq2LpZr8TbV3nM7wQs", "0123456789abcdef", "550e8400-e29b-41d4-a716-446655440000"]
)
def test_keys_look_random(text: str) -> None:
    assert looks_random(text)


@pytest.mark.parametrize(
    "text",
    ["", "x", "password123", "thisisalongsentence", "correcthorsebatterystaple", "a" * 40,
     "ab" * 20, "your-api-key-here", "1234567890", "qwertyuiop", "admin"],
)  # fmt: skip
def test_words_do_not(text: str) -> None:
    assert not looks_random(text)


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+$", r"^(.*)*$", r"([a-z]+)*x", r"(\w+\s?)*$", r"^(([a-z])+.)+[A-Z]([a-z])+$",
     r"(x+x+)+y", r"(a+|b+)*c", r"(.+)+=x", r"(?:\.[a-z]+)*$", r"(a+b)+c", r"(a{1,3})+b",
     r"(a+b){3,5}c", r"-(?:x|[0-9]+(?:[.][0-9]+)*)$", r"(a+){4}b",
     r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+$"],
)  # fmt: skip
def test_expressions_that_explode(pattern: str) -> None:
    assert can_explode(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"(a+b)+", r"(ab)+", r"a+b+", r"(a|b)+", r"(a+){10}", r"(a+,)+", r"[a-z]+", r"(.|\n)*", "(",
     r"(\w|\d)+", "(?R)", "x" * 5_000, r"(a{2})+b", r"(a+b)?c", r"(a|aa)+c", r"((a+b)+)|c",
     r"(a+){3}b", r"(a?)+b"],
)  # fmt: skip
def test_expressions_that_do_not(pattern: str) -> None:
    assert not can_explode(pattern)


def test_control_what_is_said_to_explode_does() -> None:
    """The first expression takes twice the time for each character more; the last does not."""
    import time

    def cost(pattern: str, size: int) -> float:
        started = time.process_time()
        re.search(pattern, "a" * size + "!")
        return time.process_time() - started

    assert cost(r"(a+)+$", 22) > 20 * cost(r"a+$", 22)


def test_as_conditions_of_a_rule(tmp_path: Path) -> None:
    def rule(name: str, analyzer: str) -> dict[str, object]:
        return {
            "id": name, "message": "m", "severity": "LOW", "languages": ["python", "js"],
            "patterns": [
                {"pattern": "f($X)"},
                {"metavariable-analysis": {"metavariable": "$X", "analyzer": analyzer}},
            ],
        }  # fmt: skip

    def typed(*types: str) -> dict[str, object]:
        return {
            "id": "typed", "message": "m", "severity": "LOW", "languages": ["python"],
            "patterns": [
                {"pattern": "f($X)"},
                {"metavariable-type": {"metavariable": "$X", "types": list(types)}},
            ],
        }  # fmt: skip

    file = tmp_path / "rules.yaml"
    rules = [rule("key", "entropy"), rule("bomb", "redos"), typed("string", "int")]
    file.write_text(json.dumps({"rules": rules}))
    source = 'f("x9Kq2LpZr8TbV3nM7wQs")\nf("(a+)+$")\nf("hello")\nf(1)\nf(x)\nf(None)\n'
    result = scan_source(source.encode(), PurePosixPath("a.py"), load_rules([file]))
    found: dict[str, list[int]] = {}
    for hit in result.hits:
        region = hit.finding.location.region
        assert region is not None
        found.setdefault(hit.finding.rule_id, []).append(region.start_line)
    assert found == {"key": [1], "bomb": [2], "typed": [1, 2, 3, 4]}
