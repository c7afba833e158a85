"""Policies: what they see and say, what is refused, and that both evaluators agree."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tavo.errors import ConfigError, InputError
from tavo.programs import find_program
from tavo.results.policy import evaluate, regopy
from tavo.results.policy.documents import documents, input_schema
from tavo.results.policy.evaluate import PolicyOutcome, check_policy, evaluated
from tavo.results.policy.files import read_policy
from tavo.results.policy.opa import by_opa
from tavo.results.policy.regopy import by_regopy, has_regopy
from tavo.results.policy.unbound import check_bound
from tavo.results.values import Suppression
from tests.fakes.results import NOTICES, PLUGIN_RUN, everything, replace
from tests.fakes.snapshots import check_snapshot

HERE = Path(__file__).parent
ATTACKS = HERE.parent / "attacks" / "policies"
PUBLISHED = HERE.parents[1] / "docs" / "schemas" / "tavo-policy-input-1.json"
OPA = find_program("opa")
EVALUATORS = [
    pytest.param("regopy", marks=pytest.mark.skipif(not has_regopy(), reason="no regopy here")),
    pytest.param("opa", marks=pytest.mark.skipif(OPA is None, reason="no opa on PATH")),
]
HEAD = "package main\nimport rego.v1\n"


@pytest.fixture(params=EVALUATORS)
def evaluator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let one evaluator evaluate, whatever is here."""
    way: Any = by_regopy
    if request.param == "opa":
        assert OPA is not None
        way = lambda files, docs: by_opa(OPA, files, docs)  # noqa: E731
    monkeypatch.setattr(evaluate, "_answers", way)
    return str(request.param)


def findings() -> list[Any]:
    """Findings that a store has numbered, some of which do not count."""
    return [replace(one, fingerprint=f"{n:032x}") for n, one in enumerate(everything())]


def seen(found: list[Any]) -> list[bytes]:
    return documents(found, NOTICES, [PLUGIN_RUN], files=3, rules=21, tool_version="0.1.0")


@pytest.fixture
def say(tmp_path: Path) -> Callable[..., PolicyOutcome]:
    def run(text: str, *, data: dict[str, Any] | None = None) -> PolicyOutcome:
        policy = tmp_path / "p.rego"
        policy.write_text(text if text.startswith("package") else HEAD + text)
        given = []
        if data is not None:
            (tmp_path / "d.json").write_text(json.dumps(data))
            given = [tmp_path / "d.json"]
        files = read_policy([policy], given)
        check_policy(files)
        found = findings()
        return evaluated(files, seen(found), found)

    return run


def said(outcome: PolicyOutcome) -> list[tuple[str, str, str]]:
    assert outcome.problem == ""
    return [(one.kind, one.rule, one.message) for one in outcome.results]


# -- what a policy sees


def test_the_published_schema_is_the_one_of_the_code() -> None:
    check_snapshot(PUBLISHED, json.dumps(input_schema(), indent=2) + "\n")
    jsonschema.Draft202012Validator.check_schema(input_schema())


def test_every_document_is_valid_and_about_one_thing() -> None:
    validator = jsonschema.Draft202012Validator(input_schema())
    values = [json.loads(one) for one in seen(findings())]
    for value in values:
        assert list(validator.iter_errors(value)) == []
        assert len({"finding", "suppressed", "summary"} & set(value)) == 1
    assert sum("suppressed" in value for value in values) == 1
    assert "summary" in values[-1]
    assert list(validator.iter_errors({"schema": "tavo-policy-input/2"})), "it can fail"


def test_a_finding_that_does_not_count_is_no_finding_to_a_policy(evaluator: str, say: Any) -> None:
    text = "deny contains input.finding.path\nwarn contains input.suppressed.suppression.reason"
    results = said(say(text))
    assert ("warn", "warn", "constant expression, see DEV-12") in results
    assert ("deny", "deny", "tools/calc.py") not in results
    assert sum(kind == "deny" for kind, _, _ in results) == len(findings()) - 1


def test_texts_arrive_as_they_are(evaluator: str, tmp_path: Path) -> None:
    text = 'say "hi" \\ back\nline é 😀 \u2028 nul\0 %s {{ \\u0041'
    one = findings()[0]
    one = replace(one, finding=replace(one.finding, message=text))
    policy = tmp_path / "p.rego"
    policy.write_text(HEAD + "deny contains input.finding.message")
    outcome = evaluated(read_policy([policy]), seen([one]), [one])
    assert [result.message for result in outcome.results] == [text]
    assert outcome.results[0].fingerprint == one.fingerprint


# -- conventions


def test_the_conventions_of_conftest(evaluator: str, say: Any) -> None:
    outcome = say(
        'deny contains "plain" if input.summary\n'
        'deny_a contains {"msg": "object"} if input.summary\n'
        'violation_b contains {"msg": "more", "details": {"n": 1}} if input.summary\n'
        'warn_c_d contains "look" if input.summary\n'
        'exception contains rules if { rules := ["a", "c_d"] }\n'
    )
    assert [
        (one.kind, one.rule, one.message, dict(one.details), one.excepted)
        for one in outcome.results
    ] == [
        ("deny", "deny", "plain", {}, False),
        ("deny", "deny_a", "object", {}, True),
        ("violation", "violation_b", "more", {"details": {"n": 1}}, False),
        ("warn", "warn_c_d", "look", {}, True),
    ]


def test_the_empty_suffix_excepts_the_rules_without_one(evaluator: str, say: Any) -> None:
    (one,) = say('deny contains "x" if input.summary\nexception contains [""]').results
    assert one.excepted


def test_a_rule_that_is_not_defined_for_a_finding_says_nothing(evaluator: str, say: Any) -> None:
    assert said(say('deny := ["x"] if input.summary.findings > 1000')) == []


def test_data_is_handed_in(evaluator: str, say: Any) -> None:
    text = 'deny contains "banned" if { some c in input.finding.cwe; c in data.banned }'
    assert said(say(text, data={"banned": ["CWE-94"]}))
    assert not said(say(text, data={"banned": []}))


def test_data_of_a_folder_stands_below_its_folders(tmp_path: Path) -> None:
    (tmp_path / "data" / "teams").mkdir(parents=True)
    (tmp_path / "data" / "teams" / "a.yaml").write_text("owners: [ada]\n")
    (tmp_path / "data" / "b.json").write_text('{"most": 3}')
    (tmp_path / "p.rego").write_text(HEAD + 'deny contains "x"')
    files = read_policy([tmp_path / "p.rego"], [tmp_path / "data"])
    assert files.data == {"most": 3, "teams": {"owners": ["ada"]}}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("d.json", "[1]", "is no object at the top"),
        ("d.json", "{", "is not JSON"),
        ("d.json", '{"main": {}}', "data.main is the policy's own package"),
        ("d.yaml", "a: *b", "alias"),
        ("d.json", "[" * 100_000, "is not JSON"),
    ],
)
def test_data_that_is_wrong_is_named(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "p.rego").write_text(HEAD + 'deny contains "x"')
    with pytest.raises(ConfigError, match=reason):
        read_policy([tmp_path / "p.rego"], [tmp_path / name])


def test_data_that_says_something_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(HEAD + 'deny contains "x"')
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"most": 3}')
    with pytest.raises(ConfigError, match="most is data of another file already"):
        read_policy([tmp_path / "p.rego"], [tmp_path / "a.json", tmp_path / "b.json"])


def test_tests_of_policies_are_left_out_and_other_packages_are_libraries(
    evaluator: str, tmp_path: Path
) -> None:
    (tmp_path / "main.rego").write_text(
        HEAD + 'import data.lib\ndeny contains "x" if lib.serious(input.summary)'
    )
    (tmp_path / "main_test.rego").write_text("package main\nthis is not read")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "lib.rego").write_text(
        "package lib\nimport rego.v1\nserious(s) if s.findings > 1"
    )
    found = findings()
    outcome = evaluated(read_policy([tmp_path]), seen(found), found)
    assert said(outcome) == [("deny", "deny", "x")]


# -- what is wrong


@pytest.mark.parametrize("policy", sorted(ATTACKS.glob("*.rego")), ids=lambda path: path.stem)
def test_a_wrong_policy_is_said_in_one_sentence(
    evaluator: str, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if evaluator == "opa" and policy.stem in {"loops", "too-large"}:
        pytest.skip("opa has a minute for these")
    monkeypatch.setenv("SECRET_TOKEN", "s3cret-value")
    expected = policy.with_suffix(".expected").read_text().strip()
    found = findings()
    try:
        files = read_policy([policy])
        check_policy(files)
        outcome = evaluated(files, seen(found), found)
        told, shown, hint = outcome.problem, [one.message for one in outcome.results], "none needed"
    except ConfigError as error:
        told, shown, hint = str(error), [], error.hint
    assert hint
    assert any(part in told for part in expected.split("|"))
    assert "\n" not in told
    assert "s3cret" not in told
    assert not any("s3cret" in one for one in shown)


def test_control_without_the_empty_environment_a_policy_would_read_it(
    say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_regopy():
        pytest.skip("no regopy here")
    monkeypatch.setattr(evaluate, "_answers", by_regopy)
    monkeypatch.setenv("SECRET_TOKEN", "s3cret-value")
    monkeypatch.setattr("tavo.results.policy.files._FORBIDDEN", {})
    text = 'deny contains msg if msg := concat("", [v | some v in opa.runtime().env])'
    assert "s3cret" not in str(say(text))
    monkeypatch.setattr(regopy, "_PASSED", ("SECRET_TOKEN",))
    assert "s3cret" in str(say(text)), "control"


def test_control_without_the_look_at_its_variables_a_mistake_would_let_all_pass(
    say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_regopy():
        pytest.skip("no regopy here")
    monkeypatch.setattr(evaluate, "_answers", by_regopy)
    text = 'deny contains "serious" if severty == "critical"'
    with pytest.raises(ConfigError, match="nothing gives 'severty' a value"):
        say(text)
    monkeypatch.setattr(regopy, "check_bound", lambda modules: None)
    assert said(say(text)) == [], "control: the rule never holds, and nobody says so"


FINE = [
    'deny contains msg if { some i; input.finding.tags[i] == "x"; msg := "a" }',
    'deny contains msg if { input.finding.tags[i] == "x"; msg := "a" }',
    'deny contains msg if { [a, b] := split("a b", " "); msg := a }',
    'deny contains msg if { walk(input, [p, v]); msg := "a" }',
    'deny contains msg if { some k, v in input.finding.evidence; msg := sprintf("%s", [v]) }',
    'most := 3\ndeny contains msg if { input.summary.findings > most; msg := "m" }',
    'default most := 4\ndeny contains "a" if most > 3',
    'deny contains "a" if { every t in input.finding.tags { t != "x" } }',
    'deny contains {"msg": msg, "n": n} if { msg := "a"; n := count(input.finding.tags) }',
    'deny contains msg if { split("a", "b", out); msg := "q" }',
    'r := x if { x := 3 } else := 4\ndeny contains "a" if r == 3',
    'import data.limits as z\ndeny contains "q" if input.finding.severity == z',
    "# deny if nobody == 3\ndeny contains `raw nobody == 3`",
]


@pytest.mark.parametrize("text", FINE)
def test_what_may_be_bound_is_let_pass(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(HEAD + text)
    check_bound(read_policy([tmp_path / "p.rego"]).modules)


def test_what_regopy_does_not_have_is_refused_by_name(say: Any) -> None:
    if not has_regopy():
        pytest.skip("no regopy here")
    if OPA is not None:
        pytest.skip("opa has it")
    with pytest.raises(ConfigError, match=r"calls net\.cidr_contains, which it does not") as error:
        say('deny contains "x" if net.cidr_contains("10.0.0.0/8", "10.1.1.1")')
    assert "opa" in error.value.hint


def test_what_was_said_before_a_failure_is_kept(evaluator: str, say: Any) -> None:
    outcome = say('deny contains "first"\nwarn contains 3 if input.summary')
    assert outcome.problem.startswith("warn holds a number")
    assert outcome.problem.endswith("(at the summary)")
    assert len(outcome.results) == len(findings())


def test_an_error_of_a_function_is_no_pass(evaluator: str, say: Any) -> None:
    outcome = say('deny contains "x" if to_number(input.finding.message) > 3')
    assert outcome.problem
    if evaluator == "regopy":
        assert "(at " in outcome.problem, "the finding is named"


def test_where_nothing_evaluates_both_ways_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "find_program", lambda name: None)
    monkeypatch.setattr(regopy, "has_regopy", lambda: False)
    (tmp_path / "p.rego").write_text(HEAD + 'deny contains "x"')
    with pytest.raises(ConfigError, match="nothing here evaluates Rego") as error:
        check_policy(read_policy([tmp_path / "p.rego"]))
    assert "Install opa" in error.value.hint
    assert "tavo-full.pyz" in error.value.hint


def test_a_policy_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_policy([tmp_path / "none.rego"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"there is no \.rego file"):
        read_policy([tmp_path / "empty"])
    for content, reason in ((b"\xff", "not UTF-8"), (b"package main\0", "NUL"),
                            (b"#" * (2 << 20), "larger than")):  # fmt: skip
        (tmp_path / "p.rego").write_bytes(content)
        with pytest.raises(ConfigError, match=reason):
            read_policy([tmp_path / "p.rego"])


def test_a_process_that_dies_is_a_failure_with_its_finding(
    say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_regopy():
        pytest.skip("no regopy here")
    monkeypatch.setattr(evaluate, "_answers", by_regopy)
    end = "    if lib.regoSetInput(rego, made):"
    broken = regopy._CHILD.replace(
        end, "    if asked['data'] == '{}': os.kill(os.getpid(), 9)\n" + end
    )
    assert broken != regopy._CHILD
    monkeypatch.setattr(regopy, "_CHILD", broken)
    outcome = say('deny contains "x"')
    assert "ended by SIGKILL" in outcome.problem
    assert re.search(r"\(at [\w-]+ in ", outcome.problem)


GUIDE = (HERE.parents[1] / "docs" / "user-guide.md").read_text("utf-8")


def test_the_policy_of_the_guide_works(evaluator: str, say: Any) -> None:
    (text,) = re.findall(r"^```rego\n(.*?)^```$", GUIDE, re.M | re.S)
    results = say(text, data={"accepted": ["unsafe-torch-load"]}).results
    rules = {(one.rule, one.excepted) for one in results}
    assert ("deny_serious", False) in rules
    assert ("deny_serious", True) in rules
    assert ("warn", False) in rules
    assert ("deny_incomplete", False) in rules


def test_the_guide_names_the_rules_that_are_evaluated_and_the_limits() -> None:
    assert f"more than {regopy.DOCUMENT_S:g} s for one finding" in GUIDE
    for name in ("deny", "violation", "warn", "exception contains"):
        assert f"`{name}" in GUIDE


# -- both


@pytest.mark.skipif(OPA is None or not has_regopy(), reason="both are needed: not measured")
def test_both_evaluators_give_the_same_verdicts() -> None:
    assert OPA is not None
    found = [
        *findings(),
        replace(
            findings()[0], fingerprint="f" * 32,
            suppression=Suppression(kind="external", reason="no", line=0, expires="2027-01-01"),
        ),
    ]  # fmt: skip
    policy = HERE / "policies"
    files = read_policy([policy / "guide.rego"], [policy / "guide.json"])
    one, two = by_regopy(files, seen(found)), by_opa(OPA, files, seen(found))
    assert (one.problem, two.problem) == ("", "")
    sort = lambda answers: [  # noqa: E731
        {name: [sorted(map(str, value)) for value in values] for name, values in each.items()}
        for each in answers.values
    ]
    assert sort(one) == sort(two)
    assert any(values["deny_serious"][0] for values in one.values)
