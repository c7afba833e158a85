"""Generic patterns: what they find in a text, as Semgrep finds it, and that the work is bounded."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.scan.engine import scan_source
from tavo.scan.rules import load_rules
from tests.scan.test_scan_text import texts


def found(tmp_path: Path, rule: dict[str, Any] | str, source: str) -> tuple[list[str], list[str]]:
    body = {"pattern": rule} if isinstance(rule, str) else rule
    file = tmp_path / "rules.yaml"
    usual = {"id": "r", "message": "m", "severity": "LOW", "languages": ["generic"]}
    file.write_text(json.dumps({"rules": [{**usual, **body}]}))
    loaded = load_rules([file])
    if loaded.problems:
        return [], [loaded.problems[0].reason]
    result = scan_source(source.encode(), PurePosixPath("any.conf"), loaded)
    return texts(result, source), list(result.problems)


TEN = "".join(f"{number}\n" for number in range(10))


@pytest.mark.parametrize(
    ("rule", "source", "wanted"),
    [
        ("foo ... bar", "foo a b bar\nfoo\n" + TEN + "bar foo x bar",
         ["foo a b bar", "foo x bar"]),
        ("foo(...)", "foo(a, (b), c) foo(\n x)\nfoo(a", ["foo(a, (b)", "foo(\n x)"]),
        ("foo ...", "  foo a\n  b\nc", ["foo a\n  b"]),
        ("a: $X\nb: $X", "a: 1\nb: 1\na: 1\nb: 2", ["a: 1\nb: 1"]),
        ("a:\n  b: $X", "a:\n  b: 1\na:\n  c: 2\n  b: 3\na: b: 4", ["a:\n  b: 1"]),
        ("a:\n  ...\n  b: $X", "a:\n  b: 1\na:\n  c: 2\n  b: 3\nq:\n  a: b: 4",
         ["a:\n  b: 1", "a:\n  c: 2\n  b: 3"]),
        ("... x", "1 2\n3 x\n  4 x", ["1 2\n3 x", "4 x"]),
        ('k = "$...X" ;', 'k = "a b c" ;  k = "" ;', ['k = "a b c" ;', 'k = "" ;']),
        ("$X = $X", "a = a b = c", ["a = a"]),
        ('"..."', 'x = "abc def" y="q"', ['"abc def"', '" y="', '"q"']),
        ("<a $...ATTR>", '<a href="x" y>\n<a>', ['<a href="x" y>', "<a>"]),
        ("a.b....c", "a.b....c", ["a.b....c"]),
        ("é $X", "é abc", ["é abc"]),
        ("foo bar", "food bar foo barn", []),
        ({"patterns": [{"pattern-inside": "{ ... }"}, {"pattern": "$X = ..."}]},
         "{ a = 1; }\n b = 2", ["a = 1;"]),
        ({"pattern": "foo ... bar", "options": {"generic_ellipsis_max_span": 0}},
         "foo a bar\nfoo\nbar", ["foo a bar"]),
        ({"pattern": "foo bar", "options": {"generic_comment_style": "c"}},
         "foo /* x */ bar", ["foo /* x */ bar"]),
        ({"pattern": "foo bar", "options": {"generic_comment_style": "shell"}},
         "foo # x\nbar", ["foo # x\nbar"]),
        ({"patterns": [{"pattern": "key $...V;"}, {"metavariable-regex":
          {"metavariable": "$...V", "regex": r"(?!.*safe)"}}]}, "key a b; key safe;", ["key a b;"]),
        ({"patterns": [{"pattern": "url = $...U"}, {"metavariable-pattern":
          {"metavariable": "$...U", "language": "generic", "pattern": "http://$HOST"}}]},
         "url = x http://host\nurl2\n", ["url = x http://host\nurl2"]),
    ],
)  # fmt: skip
def test_what_a_pattern_finds(
    tmp_path: Path, rule: dict[str, Any] | str, source: str, wanted: list[str]
) -> None:
    assert found(tmp_path, rule, source) == (wanted, [])


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("...", "rule.pattern: a pattern that is only '...' matches everything"),
        ("", "rule.pattern: the pattern is empty"),
        ("a $...X $...Y", "rule.pattern: '$...Y' follows another '...' at once"),
        ("a " * 15_000, "rule.pattern: the pattern is longer than 20,000 characters"),
        ({"pattern": "a", "options": {"generic_engine": "aliengrep"}},
         "option 'generic_engine: aliengrep' is not supported"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(
    tmp_path: Path, rule: dict[str, Any] | str, reason: str
) -> None:
    assert found(tmp_path, rule, "a") == ([], [reason])


def test_a_pattern_that_takes_too_many_steps_is_stopped_and_named(tmp_path: Path) -> None:
    pattern = "a " + "... a " * 8 + "... b"
    spans, problems = found(tmp_path, pattern, "b " + "a " * 400)
    assert spans == []
    assert problems == ["rule r was stopped: more than 2,000,000 steps"]


def test_a_long_pattern_and_deep_indentation_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    words = " ".join(f"w{number}" for number in range(2_500))
    assert found(tmp_path, words, words)[0] == [words]
    deep = "\n".join(" " * number + "(" * 5 + "x" for number in range(2_000))
    assert len(found(tmp_path, "( x", deep)[0]) > 0
