"""Rule files: what is read, what is refused by name, and that one rule never takes the others."""

from pathlib import Path, PurePosixPath
from textwrap import dedent

import pytest

from tavo.errors import ConfigError
from tavo.plugins import Confidence, Severity
from tavo.scan.engine import scan_source
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules

ATTACKS = Path(__file__).parents[1] / "attacks" / "rules"
RULE = """
rules:
  - id: bad-call
    message: Do not call $X. It is bad.
    severity: ERROR
    languages: [python]
    pattern: bad($X)
"""


def load(tmp_path: Path, text: str) -> RuleSet:
    file = tmp_path / "rules.yaml"
    file.write_text(dedent(text))
    return load_rules([file])


def reasons(loaded: RuleSet) -> list[str]:
    return [f"{problem.rule_id}: {problem.reason}" for problem in loaded.problems]


def test_a_rule_becomes_a_rule_of_ours(tmp_path: Path) -> None:
    loaded = load(tmp_path, """
        rules:
          - id: bad-call
            message: |
              Do not call
              this. It is bad.
            severity: WARNING
            languages: [python, javascript]
            pattern: bad()
            fix: good()
            metadata:
              title: Bad call
              confidence: HIGH
              cwe: ["CWE-94: Code Injection"]
              owasp: ["LLM05:2025", "A03:2021"]
              references: [https://example.org]
              remediation: Call good().
        """)  # fmt: skip
    found = loaded.rules["bad-call"]
    rule = found.rule
    assert (rule.title, rule.severity, rule.confidence) == (
        "Bad call", Severity.MEDIUM, Confidence.HIGH,
    )  # fmt: skip
    assert (rule.cwe, rule.owasp) == (("CWE-94",), ("LLM05:2025",))
    assert (rule.help, rule.references) == ("Call good().", ("https://example.org",))
    assert (found.message, found.fix) == ("Do not call this. It is bad.", "good()")
    assert loaded.problems == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ERROR", Severity.HIGH), ("WARNING", Severity.MEDIUM), ("INFO", Severity.LOW),
        ("CRITICAL", Severity.CRITICAL), ("HIGH", Severity.HIGH), ("MEDIUM", Severity.MEDIUM),
        ("LOW", Severity.LOW), ("critical", Severity.CRITICAL), ("info", Severity.INFO),
    ],
)  # fmt: skip
def test_severities(tmp_path: Path, name: str, wanted: Severity) -> None:
    loaded = load(tmp_path, RULE.replace("ERROR", name))
    assert loaded.rules["bad-call"].rule.severity is wanted


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("id: bad-call", "name: bad-call", "a rule has no id"),
        ("id: bad-call", "id: bad call", "use "),
        ("severity: ERROR", "severity: LOUD", "severity 'LOUD' is unknown"),
        ("languages: [python]", "languages: [java]", "language 'java' is not supported"),
        ("languages: [python]", "languages: python", "languages: expected a list"),
        ("message: Do", "msg: Do", "'msg' is not supported"),
        ("pattern: bad($X)", "pattern-where: x", "'pattern-where' is not supported"),
        ("pattern: bad($X)", "pattern-eihter: []", "did you mean 'pattern-either'?"),
        ("pattern: bad($X)", "patterns: [{pattern-insid: a}]", "did you mean 'pattern-inside'?"),
        ("pattern: bad($X)", "pattern: a\n    options: {symetric_eq: true}",
         "did you mean 'symmetric_eq'?"),
        ("pattern: bad($X)", "patterns: [{pattern: a}, {metavariable-analysis: {}}]",
         "None is not a metavariable"),
        ("pattern: bad($X)", "{pattern: a, mode: join}", "not YAML"),
        ("pattern: bad($X)", "pattern: a\n    mode: join", "mode 'join' is not supported"),
        ("pattern: bad($X)", "pattern: 'def f('", "not Python"),
        ("pattern: bad($X)", "pattern: a\n    options: {generic_engine: aliengrep}",
         "option 'generic_engine: aliengrep' is not supported"),
        ("pattern: bad($X)", "pattern: a\n    options: {ac_matching: 1}", "expected true or false"),
        ("pattern: bad($X)", "pattern: a\n    options: {colour: red}", "option 'colour' is not"),
        ("pattern: bad($X)", "pattern: a\n    options: {ac_matching: false}",
         "option 'ac_matching: false' is not supported"),
        ("pattern: bad($X)", "pattern: a\n    options: {generic_ellipsis_max_span: -1}",
         "option 'generic_ellipsis_max_span: -1' is not supported"),
        ("pattern: bad($X)", "pattern: a\n    fix-regex: {regex: '(?<=a*)', replacement: b}",
         "fix-regex.regex: not a regular expression for Python's re: look-behind"),
        ("pattern: bad($X)", "pattern: a\n    paths: {only: [x]}", "include and exclude"),
        ("pattern: bad($X)", "pattern: a\n    metadata: {cwe: 79}", "is not a CWE id"),
        ("pattern: bad($X)", "pattern: a\n    metadata: {confidence: SURE}", "'SURE' is unknown"),
    ],
)  # fmt: skip
def test_a_rule_is_refused_by_name_and_the_others_still_run(
    tmp_path: Path, before: str, after: str, reason: str
) -> None:
    good = RULE.replace("bad-call", "good-rule").replace("rules:\n", "")
    loaded = load(tmp_path, RULE.replace(before, after) + ("" if "{pattern" in after else good))
    assert any(reason in problem for problem in reasons(loaded)), reasons(loaded)
    assert set(loaded.rules) == (set() if "{pattern" in after else {"good-rule"})


def test_the_newer_syntax_means_the_same(tmp_path: Path) -> None:
    loaded = load(tmp_path, """
        rules:
          - id: newer
            message: m
            severity: LOW
            languages: [python]
            match:
              all:
                - any: ["bad($X)", "worse($X)"]
                - inside: |
                    def $F(...):
                        ...
                - not: bad(1)
                - not: {inside: "with ok(): ..."}
              where:
                - {metavariable: $X, regex: "[0-9]"}
                - {comparison: $X < 5}
                - {focus: $X}
          - {id: wrong, message: m, severity: LOW, languages: [python], match: {some: [a]}}
          - {id: also, message: m, severity: LOW, languages: [python],
             match: {all: [a], where: [{colour: red}]}}
        """)  # fmt: skip
    assert reasons(loaded) == [
        "wrong: match: expected one of pattern, regex, any, all, found some",
        "also: match.where[0]: colour is not supported",
    ]
    source = b"bad(2)\ndef f():\n    bad(1)\n    bad(2)\n    worse(3)\n    worse(7)\n    bad(x)\n"
    result = scan_source(source, PurePosixPath("a.py"), loaded)
    assert [hit.finding.location.region.start_line for hit in result.hits] == [4, 5]


def test_an_id_that_is_used_twice_is_refused(tmp_path: Path) -> None:
    loaded = load(tmp_path, RULE + RULE.replace("rules:\n", ""))
    assert len(loaded.rules) == 1
    assert "the id is used in" in loaded.problems[0].reason


@pytest.mark.parametrize("file", sorted(ATTACKS.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_hostile_rule_file_is_one_sentence_and_the_next_file_still_counts(
    file: Path, tmp_path: Path
) -> None:
    expected = file.read_bytes().split(b"\n", 1)[0].decode().removeprefix("# expected: ")
    good = tmp_path / "good.yaml"
    good.write_text(RULE)
    loaded = load_rules([file, good])
    (problem,) = loaded.problems
    assert expected in problem.reason
    assert "\n" not in str(problem)
    assert set(loaded.rules) == {"bad-call"}
    assert not Path("/tmp/tavo-pwned").exists()


def test_a_huge_rule_file_is_refused_before_it_is_read_as_yaml(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    file.write_text("rules:\n" + "  - id: a\n" * 600_000)
    (problem,) = load_rules([file]).problems
    assert problem.reason == "larger than 4 MB"


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such rule file or folder"):
        load_rules([tmp_path / "nothing"])


def test_a_folder_is_all_its_rule_files_but_not_its_libraries(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "calls.yaml").write_text("patterns:\n  - pattern: bad($X)\n")
    (tmp_path / "a.yml").write_text(RULE.replace("pattern: bad($X)", "patterns: [{use: calls}]"))
    loaded = load_rules([tmp_path])
    assert set(loaded.rules) == {"bad-call"}
    assert loaded.problems == []


def test_paths_include_and_exclude(tmp_path: Path) -> None:
    rule = load(tmp_path, RULE + '    paths: {include: ["src/"], exclude: ["*_test.py"]}').rules
    assert rule["bad-call"].applies_to("src/a.py")
    assert not rule["bad-call"].applies_to("src/a_test.py")
    assert not rule["bad-call"].applies_to("docs/a.py")
