"""One flaw, one finding: rules that say which others are more specific, as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.plugins import Finding, Location, Region, Severity
from tavo.scan.precedence import above, cycles, settle
from tavo.scan.rules import PACK, load_rules
from tests.cli.conftest import Run

RULES = """\
rules:
  - id: any-call
    message: called
    severity: LOW
    languages: [python]
    metadata: {yields_to: [shell-call]}
    pattern: run(...)
  - id: shell-call
    message: called with a shell
    severity: HIGH
    languages: [python]
    metadata: {yields_to: [user-call]}
    pattern: run(..., shell=True)
  - id: user-call
    mode: taint
    message: a user decides
    severity: HIGH
    languages: [python]
    options: {interfile: true}
    pattern-sources: [{pattern: user()}]
    pattern-sinks: [{pattern: run(...)}]
"""
CALLS = "run('ls')\nrun('ls', shell=True)\nrun(user(), shell=True); run('ls')\n"


def found(tavo: Run, *words: str) -> list[dict[str, Any]]:
    done = tavo("scan", ".", "--no-default-rules", "--rules", "r.yaml", "--format", "json", *words)
    return json.loads(done.out)["findings"]


def said(findings: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [
        (one["rule_id"], one["location"]["region"]["start_line"], one["evidence"].get("also", ""))
        for one in findings
    ]


def test_the_most_specific_rule_says_it_and_names_the_others(tavo: Run) -> None:
    Path("r.yaml").write_text(RULES)
    Path("a.py").write_text(CALLS)
    expected = [
        ("any-call", 1, ""),
        ("shell-call", 2, "any-call"),
        ("user-call", 3, "any-call, shell-call"),
        ("any-call", 3, ""),
    ]
    assert said(found(tavo)) == expected
    assert said(found(tavo)) == expected, "the same from what was kept"
    done = tavo("scan", "a.py", "--no-default-rules", "--rules", "r.yaml")
    assert "called with a shell\n           The same flaw by other rules: any-call\n" in done.out


def test_without_the_declaration_all_of_them_say_it(tavo: Run) -> None:
    rules = "".join(line for line in RULES.splitlines(True) if "yields_to" not in line)
    Path("r.yaml").write_text(rules)
    Path("a.py").write_text(CALLS)
    assert len(found(tavo)) == 3 + 2 + 1 + 1


def test_a_flow_through_another_file_takes_precedence_too(tavo: Run) -> None:
    Path("r.yaml").write_text(RULES)
    Path("a.py").write_text("def start(name):\n    run(name, shell=True)\n")
    Path("b.py").write_text("from a import start\n\nstart(user())\n")
    expected = [("user-call", 2, "any-call, shell-call")]
    assert said(found(tavo)) == expected
    assert said(found(tavo)) == expected
    Path("b.py").write_text("from a import start\n\nstart('ls')\n")
    assert said(found(tavo)) == [("shell-call", 2, "any-call")]


def test_an_accepted_finding_still_stands_for_the_others(tavo: Run) -> None:
    Path("r.yaml").write_text(RULES)
    Path("a.py").write_text("run('ls', shell=True)  # tavo: ignore[shell-call] fixed command\n")
    (one,) = found(tavo)
    assert one["suppression"]["reason"] == "fixed command"
    Path("a.py").write_text("run('ls', shell=True)  # tavo: ignore[any-call] fixed command\n")
    assert said(found(tavo)) == [("shell-call", 1, "any-call")]


def test_a_pipeline_counts_one_flaw_once(tavo: Run) -> None:
    Path("r.yaml").write_text(RULES)
    Path("src").mkdir()
    Path("src/a.py").write_text("run(user(), shell=True)\n")
    pipeline = (
        "pipeline: 1\nname: once\nsteps:\n  - {id: files, use: files, paths: [src]}\n"
        "  - {id: look, use: rules, rules: [r.yaml], files: files, default_rules: false}\n"
        "  - {id: door, use: gate, from: [look], most: 1}\n"
        "  - {id: again, use: rules, files: files, rules: [r.yaml], default_rules: false}\n"
    )
    Path("p.yaml").write_text(pipeline)
    done = tavo("pipeline", "run", "p.yaml")
    assert "user-call" in done.out, done.err
    assert "did not run" not in done.out
    rules = "".join(line for line in RULES.splitlines(True) if "yields_to" not in line)
    Path("r.yaml").write_text(rules)
    assert "behind the gate door, which is closed" in tavo("pipeline", "run", "p.yaml").out


def test_rules_that_cannot_be_ordered_are_refused(tavo: Run) -> None:
    head = "message: m, severity: LOW, languages: [python], pattern: run($X)"
    Path("r.yaml").write_text(
        "rules:\n"
        f"  - {{id: a, {head}, metadata: {{yields_to: [b]}}}}\n"
        f"  - {{id: b, {head}, metadata: {{yields_to: [a]}}}}\n"
        f"  - {{id: c, {head}, metadata: {{yields_to: [a, nosuch]}}}}\n"
        f"  - {{id: d, {head}, metadata: {{yields_to: [d]}}}}\n"
        f"  - {{id: e, {head}, metadata: {{yields_to: a}}}}\n"
        f"  - {{id: f, {head}, metadata: {{yields_to: [user-input-to-shell]}}}}\n"
    )
    done = tavo("rules", "validate", "r.yaml")
    assert done.code == 2
    assert done.out.splitlines() == [
        "r.yaml: rule d: metadata.yields_to: the rule names itself",
        "r.yaml: rule e: metadata.yields_to: expected a list of ids of rules",
        "r.yaml: rule a: metadata.yields_to: rules yield to each other in a circle: a -> b -> a",
        "r.yaml: rule b: metadata.yields_to: rules yield to each other in a circle: b -> a -> b",
        "r.yaml: rule c: metadata.yields_to: there is no rule 'nosuch' here or in our own pack",
    ]
    assert "1 rule can be used; 5 problems." in done.err


def test_a_rule_shows_what_it_yields_to(tavo: Run) -> None:
    said = "Left out where one of these, which say more, finds the same: user-input-to-shell,"
    assert said in tavo("explain", "function-argument-to-shell").out
    assert "yields_to:" in tavo("rules", "show", "function-argument-to-shell").out


def test_a_folder_without_rules_is_refused(tavo: Run) -> None:
    Path("empty").mkdir()
    Path("a.py").write_text("pass\n")
    done = tavo("rules", "validate", "empty")
    assert (done.code, done.out) == (
        2, "empty: no file below it ends in .yaml or .yml, so there is no rule\n",
    )  # fmt: skip
    assert "0 rules can be used; 1 problem." in done.err
    done = tavo("scan", "a.py", "--no-default-rules", "--rules", "empty")
    assert done.code == 4
    assert "rule empty: no file below it ends in .yaml or .yml" in done.out


# -- the decision by itself


def finding(rule: str, start: int, end: int, *, line: int = 1) -> Finding:
    region = Region(start_line=line, start_column=start, end_line=line, end_column=end)
    location = Location(path=PATH, region=region, snippet="x")
    return Finding(rule_id=rule, message="m", location=location, severity=Severity.LOW)


PATH = PurePosixPath("a.py")


@pytest.mark.parametrize(
    ("findings", "out", "also"),
    [
        ([("a", 1, 5), ("b", 1, 5)], {0}, {1: ("a",)}),
        ([("a", 1, 9), ("b", 3, 5)], {0}, {1: ("a",)}),
        ([("a", 1, 5), ("b", 5, 9)], set(), {}),  # another argument of the same line
        ([("a", 1, 5), ("x", 1, 5)], set(), {}),
        ([("a", 1, 5), ("c", 1, 5)], {0}, {1: ("a",)}),  # by way of one that found nothing
        ([("a", 1, 5), ("b", 1, 5), ("c", 1, 5)], {0, 1}, {2: ("a", "b")}),
    ],
)
def test_what_is_at_the_same_place(
    findings: list[tuple[str, int, int]], out: set[int], also: dict[int, tuple[str, ...]]
) -> None:
    higher = above({"a": ("b",), "b": ("c",)})
    decided = settle([(n, finding(*one), True) for n, one in enumerate(findings)], higher)
    assert (set(decided.out), decided.also) == (out, also)


def test_one_that_counts_does_not_yield_to_one_that_was_there() -> None:
    higher = above({"a": ("b",)})
    pair = [finding("a", 1, 5), finding("b", 1, 5)]
    for counts, out in (((True, False), set()), ((False, False), {0}), ((False, True), {0})):
        decided = settle(list(zip((0, 1), pair, counts, strict=True)), higher)
        assert set(decided.out) == out


def test_a_circle_between_two_sets_of_rules_loses_nothing() -> None:
    higher = above({"a": ("b",), "b": ("a",)})
    pair = [finding("a", 1, 5), finding("b", 1, 5)]
    assert not settle([(0, pair[0], True), (1, pair[1], True)], higher).out
    assert cycles({"a": ("b",), "b": ("a",), "c": ("a",)}).keys() == {"a", "b"}


def test_our_own_rules_yield_to_none_that_is_milder() -> None:
    rules = load_rules([PACK]).rules
    for rule in rules.values():
        for name in rule.yields_to:
            if name == "tavo/mcp-config:hidden-text-says":
                continue  # a plugin's, which is as severe or more so
            assert rules[name].rule.severity >= rule.rule.severity, (rule.rule.id, name)
