"""What GitHub documents about SARIF for code scanning, checked on every kind of report.

Source: GitHub's page "SARIF support for code scanning": properties that it reads, and limits.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import pytest

from tavo.plugins import Step
from tavo.results.export.sarif import run_to_sarif
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tests.fakes.results import (
    NOTICES,
    PLUGIN_RUN,
    everything,
    location,
    many_findings,
    replace,
    stored_run,
    taint_finding,
)

LEVELS = {"none", "note", "warning", "error"}
PRECISIONS = {"very-high", "high", "medium", "low"}


def text_of(findings: list[Reported], notices: tuple[Notice, ...] = ()) -> str:
    store = ResultStore()
    run_id = stored_run(store, findings, notices, [PLUGIN_RUN], exit_code=1)
    return run_to_sarif(store.run(run_id), store.findings(run_id))


def check(text: str) -> dict[str, Any]:
    """Raise AssertionError for what GitHub would refuse, cut or show wrongly; return the run."""
    assert len(gzip.compress(text.encode(), 1)) <= 10_000_000
    log = json.loads(text)
    assert log["version"] == "2.1.0"
    assert "sarif-schema-2.1.0" in log["$schema"]
    assert 1 <= len(log["runs"]) <= 20
    for run in log["runs"]:
        check_run(run)
    return dict(log["runs"][0])


def check_run(run: dict[str, Any]) -> None:
    driver, extensions = run["tool"]["driver"], run["tool"].get("extensions", [])
    assert driver["name"]
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)*.*", driver["semanticVersion"])
    assert len(extensions) <= 100
    rules = [rule for one in (driver, *extensions) for rule in one.get("rules", [])]
    assert len(rules) <= 25_000
    for component in (driver, *extensions):
        ids = [rule["id"] for rule in component.get("rules", [])]
        assert len(ids) == len(set(ids))
    for rule in rules:
        check_rule(rule)
    assert re.fullmatch(r".+/.*", run["automationDetails"]["id"]), "a category ends with a slash"
    assert len(run["results"]) <= 25_000
    for result in run["results"][:: max(1, len(run["results"]) // 2_000)]:
        check_result(result)
    ranks = [float(result["properties"]["security-severity"]) for result in run["results"]]
    if len(ranks) > 5_000:
        assert ranks == sorted(ranks, reverse=True), "GitHub keeps the first ones"


def check_rule(rule: dict[str, Any]) -> None:
    assert rule["id"]
    assert len(rule["name"]) <= 255
    assert 0 < len(rule["shortDescription"]["text"]) <= 1024
    assert 0 < len(rule["fullDescription"]["text"]) <= 1024
    assert rule["help"]["text"]
    assert rule["help"]["markdown"]
    assert rule["defaultConfiguration"]["level"] in LEVELS
    properties = rule["properties"]
    assert properties["precision"] in PRECISIONS
    assert isinstance(properties["security-severity"], str), "a number in a text"
    assert 0.0 <= float(properties["security-severity"]) <= 10.0
    assert "security" in properties["tags"], "without it the severity is not shown"
    assert len(properties["tags"]) == len(set(properties["tags"])) <= 20
    assert all(
        re.fullmatch(r"external/cwe/cwe-[0-9]+", tag)
        for tag in properties["tags"] if tag.startswith("external/cwe/")
    )  # fmt: skip


def check_result(result: dict[str, Any]) -> None:
    assert result["ruleId"]
    assert result["level"] in LEVELS
    assert result["message"]["text"]
    assert 1 <= len(result["locations"]) <= 1000
    for one in (*result["locations"], *result.get("relatedLocations", [])):
        check_place(one["physicalLocation"])
    assert re.fullmatch(r"[0-9a-f]{32}", result["partialFingerprints"]["tavo/v1"])
    steps = [
        step for flow in result.get("codeFlows", []) for thread in flow["threadFlows"]
        for step in thread["locations"]
    ]  # fmt: skip
    assert len(steps) <= 10_000
    for step in steps:
        assert step["location"]["message"]["text"]
        check_place(step["location"]["physicalLocation"])
    assert "suppressions" not in result, "GitHub would show it as open"


def check_place(place: dict[str, Any]) -> None:
    uri = place["artifactLocation"]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9%/._~-]+", uri), "relative, percent-encoded"
    assert not uri.startswith("/")
    assert ".." not in PurePosixPath(unquote(uri)).parts
    assert place["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
    region = place.get("region")
    if region is not None:
        assert region["startLine"] >= 1
        assert region["endLine"] >= region["startLine"]
        assert min(region["startColumn"], region["endColumn"]) >= 1


def notes(run: dict[str, Any]) -> list[str]:
    return [
        one["message"]["text"] for one in run["invocations"][0]["toolExecutionNotifications"]
        if one["descriptor"]["id"] == "tavo/report-not-done"
    ]  # fmt: skip


@pytest.mark.parametrize("findings", [[], [taint_finding()], everything(), many_findings(500)])
@pytest.mark.parametrize("notices", [(), NOTICES])
def test_every_report_is_as_github_wants_it(
    findings: list[Reported], notices: tuple[Notice, ...]
) -> None:
    assert notes(check(text_of(findings, notices))) == []


def test_thirty_thousand_findings_stay_inside_the_limits_and_it_is_said() -> None:
    findings = many_findings(30_000)
    run = check(text_of(findings))
    shown = [one for one in findings if one.suppression is None]
    assert notes(run)[0] == (
        f"report SARIF: {len(shown) - 25_000} findings of the lowest severity are left out, at most"
        " 25000 fit"
    )
    kept = [result["properties"]["severity"] for result in run["results"]]
    for severity in ("critical", "high", "medium"):
        assert kept.count(severity) == sum(o.finding.severity.value == severity for o in shown)


def test_long_texts_flows_and_tags_stay_inside_the_limits() -> None:
    one = taint_finding()
    rule = replace(one.rule, title="t" * 3000, description="d" * 3000, help="h" * 9000,
                   tags=tuple(f"tag-{n}" for n in range(50)))  # fmt: skip
    steps = tuple(
        Step(location=location("a.py", n, 1, 2, "x"), message=f"step {n}") for n in range(1, 12_000)
    )
    run = check(text_of([replace(one, rule=rule, finding=replace(one.finding, flow=steps))]))
    assert notes(run) == [
        "report SARIF: 1 data flows are shortened to 1000 steps",
        "report SARIF: 1 rules keep 20 of their tags",
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run["results"][0].update(locations=run["results"][0]["locations"] * 1001),
        lambda run: run["results"][0]["locations"][0]["physicalLocation"][
            "artifactLocation"
        ].update(uri="/etc/passwd"),
        lambda run: run["tool"]["driver"]["rules"][0]["properties"].update(
            {"security-severity": 9}
        ),
        lambda run: run["tool"]["driver"]["rules"][0]["properties"]["tags"].clear(),
        lambda run: run["results"][0].update(suppressions=[{"kind": "external"}]),
        lambda run: run["automationDetails"].update(id="tavo"),
    ],
)
def test_the_checks_can_fail(spoil: Any) -> None:
    log = json.loads(text_of([taint_finding()]))
    check(json.dumps(log))
    spoil(log["runs"][0])
    with pytest.raises(AssertionError):
        check(json.dumps(log))
