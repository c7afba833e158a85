"""What a worker sends, judged field by field, without a worker."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.host.answers import Checked, check_item, check_rules, clean
from tavo.host.messages import Item, Partial, Ready, Result, ViolationError, parse
from tavo.plugins import Rule, Severity

PATH = PurePosixPath("app/main.py")
LINES = ["import os", "", "os.system(x)  # é", ""]
RULES = {"r": Rule(id="r", title="R", severity=Severity.LOW)}

SECRET = Rule(id="s", title="S", severity=Severity.LOW, tags=("credential",))


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "rule": "r", "message": "found", "severity": "high", "confidence": "low",
        "at": {"file": 0, "region": [3, 1, 3, 5]}, "evidence": {}, "flow": [], "fix": None,
        **changes,
    }  # fmt: skip


def at(*region: int, file: int = 0) -> dict[str, Any]:
    return {"at": {"file": file, "region": list(region) or None}}


def item_of(*findings: dict[str, Any], **changes: Any) -> Item:
    item = {"n": 0, "findings": list(findings), "error": None, "capped": False, **changes}
    body = json.dumps({"type": "result", "id": 1, "items": [item]}).encode()
    message = parse(body)
    assert isinstance(message, Result)
    return message.items[0]


def check(*findings: dict[str, Any], lines: list[str] | None = LINES, **changes: Any) -> Checked:
    return check_item(
        item_of(*findings, **changes), rules=RULES, files={0: PATH}, lines_of=lambda _: lines
    )


def test_a_good_finding_gets_its_code_lines_from_the_host() -> None:
    (found,) = check(finding(evidence={"call": "os.system"}, fix="run(x)")).findings
    assert found.location.path == PATH
    assert found.location.snippet == "os.system(x)  # é"
    assert found.severity is Severity.HIGH
    assert found.evidence == {"call": "os.system"}


@pytest.mark.parametrize(
    "change",
    [
        at(5, 1, 5, 2),
        at(1, 1, 9, 2),
        at(3, 1, 2, 1),
        at(0, 1, 1, 1),
        at(3, 0, 3, 1),
        at(3, 6, 3, 2),
        {"rule": "other"},
        {"rule": "r\x1b[31m"},
        {"message": "   "},
    ],
    ids=str,
)
def test_a_finding_that_cannot_hold_is_left_out_and_named(change: dict[str, Any]) -> None:
    checked = check(finding(**change), finding())
    assert len(checked.findings) == 1
    assert len(checked.problems) == 1
    assert "\x1b" not in checked.problems[0]


@pytest.mark.parametrize(
    "change",
    [
        {"severity": "catastrophic"},
        {"confidence": 1},
        {"at": {"file": -1, "region": None}},
        {"at": {"file": 0, "region": [1, 1, 1]}},
        {"at": {"file": 0, "region": [1, 1, 1, 1.5]}},
        {"at": {"file": 0, "region": [1, 1, 1, 2**40]}},
        {"at": {"file": 0, "region": None, "snippet": "lies"}},
        {"at": {"file": "app/other.py", "region": None}},
        {"message": None},
        {"evidence": {"a": 1}},
        {"evidence": []},
        {"flow": [{}]},
        {"fix": 1},
        {"path": "/etc/passwd"},
        {"flow": [{"at": {"file": 0, "region": None}, "message": "m"}] * 300},
    ],
    ids=lambda change: str(change)[:60],
)
def test_a_field_of_the_wrong_kind_is_a_violation(change: dict[str, Any]) -> None:
    with pytest.raises(ViolationError):
        item_of(finding(**change))


@pytest.mark.parametrize("change", [at(file=1), at(1, 1, 1, 2, file=77)], ids=str)
def test_a_finding_about_a_file_that_was_not_asked_is_a_violation(change: dict[str, Any]) -> None:
    with pytest.raises(ViolationError, match="not asked"):
        check(finding(**change))


def test_a_step_of_a_flow_about_a_foreign_file_is_a_violation() -> None:
    step = {"at": {"file": 3, "region": None}, "message": "here"}
    with pytest.raises(ViolationError, match="not asked"):
        check(finding(flow=[step]))


def test_lines_of_a_binary_file_are_refused() -> None:
    assert check(finding(), lines=None).problems
    assert check(finding(**at()), lines=None).findings


def test_columns_are_cut_to_the_line() -> None:
    (found,) = check(finding(**at(1, 500, 3, 500))).findings
    region = found.location.region
    assert region is not None
    assert (region.start_column, region.end_column) == (len(LINES[0]) + 1, len(LINES[2]) + 1)
    assert found.location.snippet == "\n".join(LINES[:3])


def test_texts_cannot_steer_a_terminal_and_are_cut() -> None:
    hostile = "\x1b]0;owned\x07 \x9b31m \u202eevil\u2066 \x00 \r"
    (found,) = check(
        finding(message=hostile + "x" * 10_000, evidence={hostile: hostile}, fix=hostile)
    ).findings
    texts = [found.message, found.fix or "", *found.evidence, *found.evidence.values()]
    for text in texts:
        assert not set(text) & set("\x1b\x07\x9b\u202e\u2066\x00\r")
    assert len(found.message) <= 4096
    assert clean("a\tb\nc") == "a\tb\nc"


def test_repeated_findings_count_once_and_a_cap_is_named() -> None:
    checked = check(finding(), finding(), capped=True)
    assert len(checked.findings) == 1
    assert "10000" in checked.problems[0]


def test_more_findings_than_the_cap_are_a_violation() -> None:
    with pytest.raises(ViolationError):
        item_of(*[finding(message=str(number)) for number in range(10_001)])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type":"bye","why":1}',
        b'{"type":"http","id":1}',
        b'{"type":"result","id":1}',
        b'{"type":"result","id":-1,"items":[]}',
        b'{"type":"result","id":true,"items":[]}',
        b'{"type":"result","id":NaN,"items":[]}',
        b'{"type":"result","id":1e400,"items":[]}',
        b'{"type":"result","id":1' + b"0" * 5000 + b',"items":[]}',
        b'{"type":"result","id":1,"items":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"type":"refused","layer":"\\ud800","reason":""}',
        b'{"type":"refused","layer":"\xed\xa0\x80","reason":""}',
        b'{"type":"refused","layer":"\xff","reason":""}',
        b'{"type":"bye"}{"type":"bye"}',
        b'\xef\xbb\xbf{"type":"bye"}',
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_what_is_not_of_the_protocol_is_a_violation(body: bytes) -> None:
    with pytest.raises(ViolationError):
        parse(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_violation(body: bytes) -> None:
    try:
        parse(body)
    except ViolationError:
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.sampled_from(sorted(finding())), JSON)
def test_any_value_in_any_field_is_judged(field: str, value: Any) -> None:
    item = {"n": 0, "findings": [finding(**{field: value})], "error": None, "capped": False}
    body = json.dumps({"type": "partial", "id": 1, "items": [item]}).encode()
    try:
        message = parse(body)
        assert isinstance(message, Partial)
        checked = check_item(
            message.items[0], rules=RULES, files={0: PATH}, lines_of=lambda _: LINES
        )
    except ViolationError:
        return
    assert len(checked.findings) + len(checked.problems) == 1
    for found in checked.findings:
        json.dumps(found.message).encode()
        found.message.encode()


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "id": "r", "title": "R", "severity": "low", "confidence": "low", "description": "",
        "help": "", "cwe": ["CWE-94"], "owasp": [], "tags": [], "references": [], **changes,
    }  # fmt: skip


def rules_of(*declared: dict[str, Any]) -> dict[str, Rule]:
    body = {"type": "ready", "rules": declared, "languages": [], "analyzes": [], "start_ms": 1}
    message = parse(json.dumps(body).encode())
    assert isinstance(message, Ready)
    return check_rules(message.rules)


def test_declared_rules_are_judged_too() -> None:
    assert rules_of(rule(title="\x1b[31mRed"))["r"].title == "\N{REPLACEMENT CHARACTER}[31mRed"
    for bad in (rule(id="../x"), rule(title=" "), rule(cwe=["94"]), rule(owasp=["A1"])):
        with pytest.raises(ViolationError):
            rules_of(bad)
    with pytest.raises(ViolationError, match="twice"):
        rules_of(rule(), rule())


def test_what_a_rule_for_credentials_points_at_is_covered_in_every_snippet() -> None:
    """Also in the snippet of another rule's finding in the same lines; columns hold."""
    lines = ["a = 'abcdefghijklmnop'; b = 'QRSTUVWX'", "", "key = 'abc'"]
    item = item_of(
        finding(rule="s", **at(1, 6, 1, 22)), finding(rule="s", **at(1, 30, 1, 38)),
        finding(**at(1, 1, 1, 5)), finding(rule="s", **at(3, 8, 3, 11)),
    )  # fmt: skip

    def shown(secret: Rule) -> list[str]:
        checked = check_item(
            item, rules={**RULES, "s": secret}, files={0: PATH}, lines_of=lambda _: lines
        )
        assert [f.location.region.end_column for f in checked.findings if f.location.region] == [
            22, 38, 5, 11,
        ]  # fmt: skip
        return [finding.location.snippet for finding in checked.findings]

    covered = "a = 'abcd************'; b = 'QR******'"
    assert shown(SECRET) == [covered, covered, covered, "key = '***'"]
    plain = Rule(id="s", title="S", severity=Severity.LOW)
    assert shown(plain)[0] == lines[0]  # so it is the tag that covers it


def test_a_secret_that_stands_in_its_line_again_is_covered_there_too() -> None:
    """A worker points at each secret once; short ones are words, which stay readable elsewhere."""
    lines = ["key('abcdefghijklmnop') # abcdefghijklmnop", "pin(1234) # 1234"]
    item = item_of(finding(rule="s", **at(1, 6, 1, 22)), finding(rule="s", **at(2, 5, 2, 9)))
    checked = check_item(
        item, rules={**RULES, "s": SECRET}, files={0: PATH}, lines_of=lambda _: lines
    )
    assert [finding.location.snippet for finding in checked.findings] == [
        "key('abcd************') # abcd************", "pin(1***) # 1234",
    ]  # fmt: skip
