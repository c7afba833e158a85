"""OCSF events: valid by the published schema, for findings of scans and of logs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.plugins import Finding, Location, Region, Rule, Severity
from tavo.results.export.ocsf import VERSION, ocsf_event, ocsf_line, run_to_ocsf
from tavo.results.store import ResultStore
from tavo.results.values import Reported
from tests.fakes.results import everything, stored_run

SCHEMA = json.loads((Path(__file__).parent / "ocsf-1.8.0.json").read_text())
NUMBERS = {"integer_t": int, "long_t": int, "float_t": float, "boolean_t": bool}


def wrong(value: Mapping[str, Any], about: Mapping[str, Any], path: str = "event") -> list[str]:
    """Return what of an object is not as the schema says."""
    found = []
    known = about["attributes"]
    for name, row in known.items():
        if row.get("required") and name not in value:
            found.append(f"{path}.{name} is missing")
    for name, one in value.items():
        row = known.get(name)
        if row is None:
            found.append(f"{path}.{name} is not in the schema")
            continue
        many = one if row.get("array") else [one]
        if not isinstance(many, list):
            found.append(f"{path}.{name} is no list")
            continue
        for item in many:
            kind = SCHEMA["types"].get(row["type"], row["type"])
            if not kind.endswith("_t"):
                if not isinstance(item, dict):
                    found.append(f"{path}.{name} is no object")
                elif kind != "object":
                    found += wrong(item, SCHEMA["objects"][kind], f"{path}.{name}")
            elif kind != "json_t" and type(item) is not NUMBERS.get(kind, str):
                found.append(f"{path}.{name} is {item!r}, not {kind}")
            if "enum" in row and item not in row["enum"]:
                found.append(f"{path}.{name} is {item!r}, which it cannot be")
    for constraint, names in about.get("constraints", {}).items():
        if constraint == "at_least_one" and not set(names) & value.keys():
            found.append(f"{path} has none of {names}")
    return found


def of_log(**evidence: str) -> Reported:
    rule = Rule(id="anomaly-x", title="T", severity=Severity.HIGH, tags=("AML.T0051",),
                owasp=("LLM01:2025",), help="Do that.")  # fmt: skip
    location = Location(
        path=PurePosixPath("logs/a.jsonl"),
        region=Region(start_line=3, end_line=3, end_column=2), snippet="\x1b[2J ##[x]",
    )  # fmt: skip
    finding = Finding(rule_id=rule.id, message="M\u202e", location=location, severity=rule.severity,
                      evidence={"records": "2", "first": "2026-01-01T00:00:00Z",
                                "last": "2026-01-01T01:00:00Z", **evidence})  # fmt: skip
    return Reported(finding=finding, rule=rule, fingerprint="f" * 32)


def test_the_schema_is_the_one_that_is_named() -> None:
    assert SCHEMA["version"] == VERSION


def test_every_finding_of_a_scan_is_valid() -> None:
    store = ResultStore()
    run_id = stored_run(store, everything())
    lines = run_to_ocsf(store.run(run_id), store.findings(run_id)).splitlines()
    findings = list(store.findings(run_id))
    assert len(lines) == len(findings) > 3
    for line, one in zip(lines, findings, strict=True):
        event = json.loads(line)
        assert wrong(event, SCHEMA["class"]) == []
        assert event["type_uid"] == 200401
        assert event["finding_info"]["uid"] == one.fingerprint
        assert event["status_id"] == (1 if one.suppression is None else 3)


@pytest.mark.parametrize("activity", [1, 2, 3])
def test_an_alarm_of_a_log_is_valid(activity: int) -> None:
    one = of_log(**{"user.id": "eve", "client.address": "203.0.113.7"})
    event = ocsf_event(one, run="r", at="2026-01-01T02:00:00Z", activity=activity, uid="r-7",
                       sequence=9)  # fmt: skip
    assert wrong(event, SCHEMA["class"]) == []
    assert event["type_uid"] == 200400 + activity
    assert (event["start_time"], event["end_time"]) == (1767225600000, 1767229200000)
    assert event["time"] == 1767232800000
    assert event["finding_info"]["analytic"]["type"] == "Statistical"
    assert event["finding_info"]["attacks"] == [{"technique": {"uid": "AML.T0051"}}]
    assert [one["value"] for one in event["observables"]] == ["203.0.113.7", "eve"]


def test_values_that_are_counted_are_no_identities() -> None:
    one = of_log(**{"user.id": "eve (2), bob (1)", "client.address": "203.0.113.*"})
    event = ocsf_event(one, run="r", at="2026-01-01T02:00:00Z")
    assert "observables" not in event
    assert "actor" not in event["evidences"][0]


def test_a_line_is_one_line_of_ascii() -> None:
    line = ocsf_line(ocsf_event(of_log(), run="r", at="x"))
    assert line.isascii()
    assert line.count("\n") == 1
    for bad in ("\x1b", "##["):
        assert bad not in line


def test_the_check_itself_finds_what_is_wrong() -> None:
    event = ocsf_event(of_log(), run="r", at="2026-01-01T02:00:00Z")
    bad = {**event, "severity_id": 7, "madeup": 1, "finding_info": {"title": 5}}
    del bad["metadata"]
    assert sorted(wrong(bad, SCHEMA["class"])) == [
        "event.finding_info.title is 5, not string_t", "event.finding_info.uid is missing",
        "event.madeup is not in the schema", "event.metadata is missing",
        "event.severity_id is 7, which it cannot be",
    ]  # fmt: skip
