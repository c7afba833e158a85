"""The JUnit report: what CI systems read, valid, with names that stay when code moves."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tavo.plugins import Severity
from tavo.results.export.junit import run_to_junit
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tests.fakes.results import (
    EVAL_RULE,
    NOTICES,
    PLUGIN_RUN,
    everything,
    finding_of,
    location,
    replace,
    stored_run,
    taint_finding,
)
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
ATTACKS = Path(__file__).parents[1] / "attacks/reports"
HOSTILE = [
    line for name in ("markup.txt", "commands.txt")
    for line in (ATTACKS / name).read_text("utf-8").splitlines()
]  # fmt: skip

# What the common schema (junit-10.xsd of Jenkins) allows of what we write:
# element: (its children, required attributes, other attributes, may hold text)
_MESSAGE = ((), (), ("type", "message"), True)
SCHEMA = {
    "testsuites": (("testsuite",), (), ("name", "time", "tests", "failures", "errors"), False),
    "testsuite": (
        ("testcase", "system-out"), ("name", "tests", "failures", "errors"),
        ("time", "skipped", "timestamp"), False,
    ),
    "testcase": (
        ("skipped", "error", "failure", "system-out"), ("name",), ("time", "classname"), False,
    ),
    "failure": _MESSAGE, "error": _MESSAGE, "skipped": _MESSAGE,
    "system-out": ((), (), (), True),
}  # fmt: skip


def report(
    findings: list[Reported], notices: tuple[Notice, ...] = (), *, finished: bool = True
) -> ElementTree.Element:
    store = ResultStore()
    run_id = stored_run(store, findings, notices, (PLUGIN_RUN,), exit_code=1, finished=finished)
    text = run_to_junit(store.run(run_id), store.findings(run_id))
    root = ElementTree.fromstring(text.encode("utf-8"))
    check(root)
    return root


def check(element: ElementTree.Element) -> None:
    """Raise AssertionError for what the schema does not allow, or numbers that do not add up."""
    children, required, others, text = SCHEMA[element.tag]
    assert set(required) <= set(element.attrib) <= {*required, *others}, element.attrib
    assert text or not (element.text or "").strip()
    assert {child.tag for child in element} <= set(children)
    if "time" in element.attrib:
        assert re.fullmatch(r"[0-9]*(\.[0-9]{0,3})?", element.attrib["time"])
    for child in element:
        assert not (child.tail or "").strip()
        check(child)
    if element.tag in ("testsuite", "testsuites"):
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
            assert int(element.attrib[name]) == sum(1 for _ in element.iter(tag)), name
    if element.tag == "testsuites":
        cases = [(one.get("classname"), one.get("name")) for one in element.iter("testcase")]
        assert len(cases) == len(set(cases)), "CI systems know a test case by its names"


def test_the_schema_can_fail() -> None:
    for wrong in ("<testsuites><testcase name='x'/></testsuites>", "<testcase/>",
                  "<testsuite name='x' tests='2' failures='0' errors='0'/>"):  # fmt: skip
        with pytest.raises(AssertionError):
            check(ElementTree.fromstring(wrong))


def test_the_report_is_as_kept() -> None:
    store = ResultStore()
    run_id = stored_run(store, everything(), NOTICES, exit_code=1)
    text = run_to_junit(store.run(run_id), store.findings(run_id))
    check_snapshot(SNAPSHOTS / "everything.junit.xml", text + "\n")


def test_a_file_is_a_suite_and_a_rule_a_case_with_all_its_places() -> None:
    one = taint_finding()
    where = location("agent/answer.py", 40, 1, 9, "eval(more)")
    other = replace(one, finding=replace(one.finding, location=where))
    root = report([one, other])
    suites = {suite.attrib["name"]: suite for suite in root}
    assert list(suites) == ["tavo", "agent/answer.py"]
    (case,) = suites["agent/answer.py"]
    assert (case.get("classname"), case.get("name")) == ("agent/answer.py", "llm-output-to-exec")
    (failure,) = case
    assert failure.get("type") == "critical"
    assert "(2 places)" in failure.attrib["message"]
    text = failure.text or ""
    assert "agent/answer.py:12:12" in text
    assert "    40 | eval(more)" in text
    assert text.count("Text written by a model is run as Python.") == 1
    assert "1. agent/answer.py:9:14: tainted here" in text


def test_names_stay_when_code_moves() -> None:
    one = taint_finding()
    moved = replace(one.finding, location=location("agent/answer.py", 99, 3, 9, "    eval(x)"))

    def names(finding: Reported) -> list[tuple[str | None, str | None]]:
        return [(c.get("classname"), c.get("name")) for c in report([finding]).iter("testcase")]

    assert names(one) == names(replace(one, finding=moved))


def test_a_clean_run_has_one_case_that_passed() -> None:
    (case,) = report([]).iter("testcase")
    assert (case.get("name"), len(case)) == ("everything was looked at", 0)


def test_what_was_not_looked_at_is_an_error() -> None:
    root = report([], NOTICES)
    assert root.get("errors") == "4"
    texts = [error.attrib["message"] for error in root.iter("error")]
    assert "plugin acme/slow: was stopped after 10 s" in texts
    assert not [case for case in root.iter("testcase") if case.get("name", "").startswith("every")]
    assert "interrupted" in next(report([], finished=False).iter("error")).attrib["message"]


def test_an_ignored_finding_is_skipped_with_its_reason_and_info_passes() -> None:
    root = report(everything())
    (skipped,) = root.iter("skipped")
    assert skipped.get("message") == "tools/calc.py:5:1: constant expression, see DEV-12"
    (info,) = [case for case in root.iter("testcase") if case.get("name") == "prompt-is-long"]
    assert [child.tag for child in info] == ["system-out"]
    low = replace(everything()[4], finding=replace(everything()[4].finding, severity=Severity.LOW))
    assert [child.tag for child in next(iter(report([low])[1]))] == ["failure"], "control"


@pytest.mark.parametrize("attack", HOSTILE)
def test_scanned_text_is_text(attack: str) -> None:
    rule = replace(EVAL_RULE, id="r")
    where = location(attack.strip().strip("/"), 1, 1, 2, attack)
    one = Reported(rule=rule, finding=finding_of(rule, where, attack))
    store = ResultStore()
    run_id = stored_run(store, [one], (Notice(kind="file", subject=attack, reason=attack),))
    text = run_to_junit(store.run(run_id), store.findings(run_id))
    root = ElementTree.fromstring(text.encode())
    check(root)
    assert not re.search(r"##[A-Za-z]*\[", text)
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    if "##" not in attack and not attack.lstrip().startswith("::"):
        (failure,) = root.iter("failure")
        assert failure.attrib["message"] == f"critical: {attack}"


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=60))
def test_any_text_is_valid_xml_and_what_xml_cannot_hold_is_seen(text: str) -> None:
    where = location("a", 1, 1, 2, text)
    one = Reported(rule=EVAL_RULE, finding=finding_of(EVAL_RULE, where, f"x{text}"))
    root = report([one], (Notice(kind="file", subject=text, reason=text),))
    shown = next(root.iter("failure")).text or ""
    assert shown.count("\ufffd") >= sum(text.count(c) for c in "\x00\x1b\x07\x0b\x7f\ufffe")
