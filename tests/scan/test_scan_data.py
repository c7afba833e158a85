"""YAML and JSON as trees: what patterns find, with which range, and documents that are none."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.scan.engine import FileResult, scan_source
from tavo.scan.languages.data import parse_json, parse_yaml
from tavo.scan.rules import load_rules
from tests.scan.test_scan_text import texts


def scanned(tmp_path: Path, rule: dict[str, Any] | str, source: str, language: str) -> FileResult:
    body = {"pattern": rule} if isinstance(rule, str) else rule
    file = tmp_path / "rules.yaml"
    usual = {"id": "r", "message": "m", "severity": "LOW", "languages": [language]}
    file.write_text(json.dumps({"rules": [{**usual, **body}]}))
    loaded = load_rules([file])
    assert loaded.problems == []
    return scan_source(source.encode(), PurePosixPath(f"file.{language}"), loaded)


@pytest.mark.parametrize(
    ("rule", "source", "wanted"),
    [
        ("a: 1", "a: 1\nb: 2\n", ["a: 1"]),
        ("a: $X", "x:\n  a: 1\n  b: 2\ny:\n - a: {q: 1}\n", ["a: 1", "a: {q: 1}"]),
        ("a: 1\nb: 2", "b: 2\na: 1\nc: 3\n", []),
        ("a: 1\nb: 2", "b: 2\na: 1\n", ["b: 2\na: 1"]),
        ("a: 1\n...\nb: 2", "a: 1\nc: 3\nb: 2\nd: 4\n", ["a: 1\nc: 3\nb: 2\nd: 4"]),
        ("a:\n  ...\n  b: $X", "a:\n  c: é\n  b: 3\n  d: 1\n", ["a:\n  c: é\n  b: 3\n  d: 1"]),
        ("a:\n  b: $X", "a:\n  c: 1\n  b: 3\n", []),
        ("a:\n  ...", "a:\n  c: 1\n---\na: 1\n---\na:\n  - 1\n",
         ["a:\n  c: 1", "a: 1", "a:\n  - 1"]),
        ("a:\n  - ...\n  - b: 1\n    ...\n  - ...", "a:\n  - x\n  - b: 1\n    c: 2\n",
         ["a:\n  - x\n  - b: 1\n    c: 2"]),
        ("- ...\n  b: $X", "- a: 1\n  b: 2\n- c: 3\n", ["a: 1\n  b: 2"]),
        ("[..., 2, ...]", "a:\n  - 1\n  - 2\n  - 3\nb: [1,2]\n", ["- 1\n  - 2\n  - 3", "[1,2]"]),
        ("$K: foo", "x: foo\ny: \"foo\"\nw: bar\n", ["x: foo", 'y: "foo"']),
        ("a: true", 'a: true\n---\na: yes\n---\na: "true"\n', ["a: true", "a: yes"]),
        ("a: $X\nb: $X", "a: 1\nb: 1\n---\na: 1\nb: 2\n", ["a: 1\nb: 1"]),
        ('image: "=~/:latest$/"', "image: x:latest\n---\nimage: x:1\n", ["image: x:latest"]),
        ({"patterns": [{"pattern-inside": "a:\n  ...\n"}, {"pattern": "b: $X"}]},
         "a:\n  b: 1\nc:\n  b: 2\n", ["b: 1"]),
        ({"patterns": [{"pattern": "run: $X"}, {"metavariable-pattern":
          {"metavariable": "$X", "language": "generic", "pattern": "${{ github.event ... }}"}}]},
         "run: |\n  echo ${{ github.event.issue }}\n---\nrun: echo\n",
         ["run: |\n  echo ${{ github.event.issue }}"]),
        ({"patterns": [{"pattern": "$K:\n  ...\n  image: $X\n  ..."},
                       {"focus-metavariable": "$X"}]},
         "s:\n  image: foo:latest\n  x: 1\n", ["foo:latest"]),
        ({"patterns": [{"pattern": "a: {...}"}, {"pattern-not": "a: {..., b: 1, ...}"}]},
         "a:\n  b: 1\n---\na:\n  c: 1\n", ["a:\n  c: 1"]),
    ],
)  # fmt: skip
def test_what_a_pattern_finds_in_yaml(
    tmp_path: Path, rule: dict[str, Any] | str, source: str, wanted: list[str]
) -> None:
    result = scanned(tmp_path, rule, source, "yaml")
    assert texts(result, source) == wanted
    assert result.problems == ()


@pytest.mark.parametrize(
    ("rule", "source", "wanted"),
    [
        ('"a": 1', '{"a": 1, "b": {"a": 1}}', ['"a": 1', '"a": 1']),
        ('{..., "a": $X, ...}', '[{"a": "é", "b": 2}, {"c": 1}]', ['{"a": "é", "b": 2}']),
        ('{"a": 1, "b": 2}', '[{"b": 2, "a": 1}, {"a": 1, "b": 2, "c": 3}]',
         ['{"b": 2, "a": 1}']),
        ('"$K": "=~/^http:/"', '{"u": "http://x", "s": "https://x"}', ['"u": "http://x"']),
        ('"Action": "*"', '{\n // a comment\n "Action": "*"}', ['"Action": "*"']),
    ],
)  # fmt: skip
def test_what_a_pattern_finds_in_json(
    tmp_path: Path, rule: dict[str, Any] | str, source: str, wanted: list[str]
) -> None:
    result = scanned(tmp_path, rule, source, "json")
    assert texts(result, source) == wanted
    assert result.problems == ()


def test_what_parses_in_part_is_scanned_and_named(tmp_path: Path) -> None:
    result = scanned(tmp_path, "a: 1", "a: 1\nb: {{ x }}: }\n", "yaml")
    assert len(result.hits) == 1
    assert result.problems == ("parsed in part: line 2, column 11 is not valid YAML",)
    result = scanned(tmp_path, '"a": 1', '{"a": 1, "b": }', "json")
    assert len(result.hits) == 1
    assert result.problems == ("parsed in part: not valid JSON",)


@pytest.mark.parametrize(
    "source",
    [
        "[" * 10_000, "- " * 10_000, "{a: " * 5_000, "a: &x [*x, *x]\n", "\x00", "\ufeff", "%", "",
        "a: " + "x" * 1_000_000, "a: !!python/object/apply:os.system [true]",
        "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
    ],
)  # fmt: skip
def test_hostile_documents_are_read_or_named(source: str) -> None:
    data = source.encode("utf-8", "surrogatepass")
    for parse in (parse_yaml, parse_json):
        parsed = parse(data)
        assert sum(1 for _ in parsed.root.walk()) < 2_000_000
