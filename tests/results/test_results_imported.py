"""SARIF of other tools, in the shapes that the standard allows, becomes findings of ours."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from tavo.plugins import Confidence, Region, Severity
from tavo.results.imported.descriptors import rule_id_of, tool_name
from tavo.results.imported.findings import ImportedRun, read_run
from tavo.results.imported.places import OUTSIDE, Places
from tavo.results.values import Reported

ROOT = "file:///home/me/project/"
FILES = {
    "src/a.py": "import os\n\u00e9\U0001f600x = eval(y)\nlast\n",
    "b c.js": "one\ntwo\n",
}


def places(run: dict[str, Any], *bases: str) -> Places:
    return Places(run, root=ROOT, bases=bases, read=lambda path: FILES.get(str(path)))


def read(run: dict[str, Any], *bases: str) -> ImportedRun:
    run.setdefault("tool", {"driver": {"name": "Some Tool"}})
    return read_run(run, places(run, *bases))


def one(result: dict[str, Any], **run: Any) -> Reported:
    result = {"ruleId": "r", "message": {"text": "said"}, **result}
    found = read({"results": [result], **run})
    (reported,) = found.reported
    return reported


def at(uri: str, region: dict[str, Any] | None = None, **artifact: Any) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri, **artifact}}
    if region is not None:
        physical["region"] = region
    return {"locations": [{"physicalLocation": physical}]}


# -- names


def test_a_tool_is_never_called_like_tavo_or_a_plugin() -> None:
    assert tool_name("Semgrep OSS") == "sarif:semgrep-oss"
    assert tool_name("tavo") == "sarif:tavo"
    assert tool_name("acme/leaky") == "sarif:acme-leaky"
    assert tool_name("\u202e\x1b[31m") == "sarif:31m"
    assert tool_name("\u2603") == "sarif:unnamed"


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("py/sql-injection", "py.sql-injection"), ("@typescript-eslint/no-eval",
         "typescript-eslint.no-eval"),
        ("CKV_AWS_1", "CKV_AWS_1"), ("a b\x1bc", "a-b-c"), ("...", "unnamed"), ("x" * 300, None),
    ],
)  # fmt: skip
def test_ids_become_ids_of_ours(given: str, ours: str | None) -> None:
    found = rule_id_of(given)
    assert found == ours if ours is not None else (len(found) <= 128 and found.startswith("xxx"))


def test_two_rules_whose_ids_would_become_the_same_stay_two() -> None:
    run = {"results": [{"ruleId": "a/b", "message": {"text": "1"}},
                       {"ruleId": "a.b", "message": {"text": "2"}}]}  # fmt: skip
    assert len({reported.rule.id for reported in read(run).reported}) == 2


# -- rules


def test_rules_are_found_by_index_guid_id_and_in_extensions() -> None:
    tool = {
        "driver": {"name": "CodeQL", "rules": [{"id": "own", "shortDescription": {"text": "Own"}}]},
        "extensions": [
            {"name": "pack", "guid": "g-1", "rules": [
                {"id": "py/a", "guid": "r-1", "shortDescription": {"text": "A"}},
                {"id": "py/b", "shortDescription": {"text": "B"}, "deprecatedIds": ["old/b"]},
            ]},
        ],
    }  # fmt: skip
    wanted = {
        "Own": {"ruleIndex": 0, "ruleId": "own"},
        "A": {"rule": {"guid": "r-1"}},
        "B": {"ruleId": "py/b", "rule": {"index": 1, "toolComponent": {"index": 0}}},
    }
    for title, result in wanted.items():
        found = read({"tool": tool, "results": [{**result, "message": {"text": "x"}}]})
        assert found.reported[0].rule.title == title
        assert found.reported[0].tool == "sarif:codeql"
    by_name = {"rule": {"index": 0, "toolComponent": {"name": "pack"}}, "message": {"text": "x"}}
    by_old_id = {"ruleId": "old/b", "message": {"text": "x"}}
    below = {"ruleId": "own/part", "message": {"text": "x"}}
    found = read({"tool": tool, "results": [by_name, by_old_id, below]})
    assert [one.rule.title for one in found.reported] == ["A", "B", "Own"]
    assert found.reported[0].finding.evidence["rule set"] == "pack"


def test_what_a_rule_is_about_comes_from_tags_relationships_and_taxa() -> None:
    rule = {
        "id": "r",
        "properties": {"tags": ["security", "external/cwe/cwe-089", "CWE-78: Injection",
        "LLM05:2025", "x"]},
        "relationships": [{"target": {"id": "94", "toolComponent": {"name": "CWE"}}}],
    }  # fmt: skip
    run = {
        "tool": {"driver": {"name": "t", "rules": [rule]}},
        "taxonomies": [{"name": "CWE", "taxa": [{"id": "22"}]}],
        "results": [{"ruleIndex": 0, "message": {"text": "m"},
                     "taxa": [{"index": 0, "toolComponent": {"index": 0}}]}],
    }  # fmt: skip
    found = read(run).reported[0].rule
    assert found.cwe == ("CWE-89", "CWE-78", "CWE-94", "CWE-22")
    assert found.owasp == ("LLM05:2025",)
    assert found.tags == ("x",)


@pytest.mark.parametrize(
    ("result", "rule", "invocation", "severity"),
    [
        ({}, {}, {}, Severity.MEDIUM),
        ({"level": "error"}, {}, {}, Severity.HIGH),
        ({"level": "none"}, {}, {}, Severity.INFO),
        ({}, {"defaultConfiguration": {"level": "note"}}, {}, Severity.LOW),
        ({}, {"properties": {"security-severity": "9.1"}}, {}, Severity.CRITICAL),
        ({"level": "error"}, {"properties": {"security-severity": "4.0"}}, {}, Severity.MEDIUM),
        ({"properties": {"security-severity": "0.0"}}, {"properties": {"security-severity": "9"}},
         {},
         Severity.INFO),
        ({}, {"properties": {"security-severity": "high"}}, {}, Severity.MEDIUM),
        ({}, {"properties": {"security-severity": "11"}}, {}, Severity.MEDIUM),
        ({}, {"defaultConfiguration": {"level": "note"}},
         {"ruleConfigurationOverrides": [{"descriptor": {"index": 0},
          "configuration": {"level": "error"}}]},
         Severity.HIGH),
        ({"kind": "informational", "level": "error"}, {}, {}, Severity.INFO),
    ],
)  # fmt: skip
def test_severity(result: Any, rule: Any, invocation: Any, severity: Severity) -> None:
    found = one(
        {"ruleIndex": 0, **result}, tool={"driver": {"name": "t", "rules": [{"id": "r", **rule}]}},
        invocations=[{"executionSuccessful": True, **invocation}],
    )  # fmt: skip
    assert found.finding.severity is severity


def test_confidence_is_that_of_the_result_then_of_the_rule() -> None:
    tool = {
        "driver": {"name": "t", "rules": [{"id": "r", "properties": {"precision": "very-high"}}]}
    }
    assert one({"ruleIndex": 0}, tool=tool).finding.confidence is Confidence.HIGH
    low = one({"ruleIndex": 0, "properties": {"issue_confidence": "LOW"}}, tool=tool)
    assert low.finding.confidence is Confidence.LOW
    assert one({"kind": "review"}).finding.confidence is Confidence.LOW


# -- messages


def test_messages_fill_placeholders_and_lose_links() -> None:
    tool = {"driver": {
        "name": "t", "globalMessageStrings": {"g": {"text": "global {0}"}},
        "rules": [{"id": "r", "messageStrings": {"m": {"text": "{1} of {0} {{x}}"}}}],
    }}  # fmt: skip
    said = one({"ruleIndex": 0, "message": {"id": "m", "arguments": ["a", "b"]}}, tool=tool)
    assert said.finding.message == "b of a {x}"
    said = one({"ruleIndex": 0, "message": {"id": "g", "arguments": ["a"]}}, tool=tool)
    assert said.finding.message == "global a"
    said = one({"message": {"text": r"see [this](1), [that](https://x/) and a\[0\](1), {0}"}})
    assert said.finding.message == "see this, that (https://x/) and a[0](1), {0}"
    assert one({"message": {}}).finding.message == "r"


# -- places


@pytest.mark.parametrize(
    ("artifact", "path"),
    [
        ({"uri": "src/a.py"}, "src/a.py"), ({"uri": "./src/../src/a.py"}, "src/a.py"),
        ({"uri": "b%20c.js"}, "b c.js"), ({"uri": "src\\a.py"}, "src/a.py"),
        ({"uri": "file:///home/me/project/src/a.py"}, "src/a.py"),
        ({"uri": "/home/me/project/src/a.py"}, "src/a.py"),
        ({"uri": "a.py", "uriBaseId": "SRC"}, "src/a.py"),
        ({"uri": "a.py", "uriBaseId": "NOT DEFINED"}, "a.py"),
        ({"uri": "src/a.py", "uriBaseId": "%SRCROOT%"}, "src/a.py"),
        ({"index": 0}, "src/a.py"),
        ({"uri": "file:///c:/work/app/x.py"}, "x.py"),
        ({"uri": "../etc/passwd"}, "(outside)/etc/passwd"),
        ({"uri": "src/../../x"}, "(outside)/x"), ({"uri": "%2Fetc/passwd"}, "(outside)/etc/passwd"),
        ({"uri": "file:///etc/passwd"}, "(outside)/etc/passwd"),
        ({"uri": "file:///home/me/project2/a.py"}, "(outside)/home/me/project2/a.py"),
        ({"uri": "lib.py", "uriBaseId": "LIBRARY"}, "(outside)/usr/lib/lib.py"),
        ({"uri": "https://example.org/x/a.py"}, "(outside)/example.org/x/a.py"),
        ({"uri": "."}, "(no file)"), ({}, "(no file)"), ({"uri": 7}, "(no file)"),
    ],
)  # fmt: skip
def test_paths(artifact: dict[str, Any], path: str) -> None:
    run = {
        "originalUriBaseIds": {
            "%SRCROOT%": {"uri": "file:///ci/build/"},
            "SRC": {"uri": "src/", "uriBaseId": "%SRCROOT%"},
            "LIBRARY": {"uri": "file:///usr/lib/"},
            "LOOP": {"uri": "x/", "uriBaseId": "LOOP"},
        },
        "artifacts": [{"location": {"uri": "src/a.py", "uriBaseId": "%SRCROOT%"}}],
    }
    assert places(run, "file:///c:/work/app/").path(artifact) == PurePosixPath(path)
    assert places(run).path({"uri": "y", "uriBaseId": "LOOP"})  # ends


def test_no_file_of_the_project_is_taken_for_one_that_is_elsewhere() -> None:
    asked: list[PurePosixPath] = []
    there = Places({}, root=ROOT, bases=(), read=lambda path: asked.append(path) or "root:x\n")
    location, _ = there.location({
        "artifactLocation": {"uri": "../src/a.py"}, "region": {"startLine": 1},
    })  # fmt: skip
    assert location.path.parts[0] == OUTSIDE
    assert location.snippet == ""
    assert asked == []


def region_of(region: dict[str, Any], uri: str = "src/a.py", **run: Any) -> Region | None:
    return one(at(uri, region), **run).finding.location.region


def test_columns_are_code_points_whatever_the_tool_counts() -> None:
    wanted = Region(start_line=2, start_column=7, end_line=2, end_column=14)
    in_points = {"startLine": 2, "startColumn": 7, "endColumn": 14}
    in_units = {"startLine": 2, "startColumn": 8, "endColumn": 15}
    assert region_of(in_points) == wanted
    assert region_of(in_points, columnKind="unicodeCodePoints") == wanted
    assert region_of(in_units, columnKind="utf16CodeUnits") == wanted
    assert region_of({"charOffset": 16, "charLength": 7}) == wanted
    assert region_of({"byteOffset": 20, "byteLength": 7}) == wanted


def test_a_region_may_say_little() -> None:
    assert region_of({"startLine": 1}) == Region(
        start_line=1, start_column=1, end_line=1, end_column=10
    )
    assert region_of({"startLine": 1, "endLine": 3}) == Region(
        start_line=1, start_column=1, end_line=3, end_column=5
    )
    assert region_of({"startLine": 4}, "gone.py") == Region(
        start_line=4, start_column=1, end_line=4, end_column=1
    )
    assert one({}).finding.location.region is None


@pytest.mark.parametrize(
    "region",
    [
        {"startLine": 9}, {"startLine": 2, "endLine": 1}, {"startLine": 0}, {"startLine": True},
        {"startLine": 1, "startColumn": -1}, {"charOffset": 900}, {"byteOffset": 900},
        {"snippet": {"text": "x"}}, {"startLine": 1, "endColumn": "7"},
    ],
)  # fmt: skip
def test_a_region_that_makes_no_sense_is_said_and_the_file_stays(region: dict[str, Any]) -> None:
    found = read({"results": [{"ruleId": "r", "message": {"text": "m"}, **at("src/a.py", region)}]})
    assert found.reported[0].finding.location.region is None
    assert str(found.reported[0].finding.location.path) == "src/a.py"
    (notice,) = found.notices
    assert "the file as a whole is named" in notice.reason
    assert not notice.incomplete


def test_the_code_comes_from_the_file_or_from_what_the_tool_quotes() -> None:
    assert one(at("src/a.py", {"startLine": 1})).finding.location.snippet == "import os"
    quoted = {"startLine": 5, "startColumn": 3, "endColumn": 6, "snippet": {"text": "abc"}}
    assert one(at("gone.py", quoted)).finding.location.snippet == "  abc"
    line = {"startLine": 5, "startColumn": 3, "endColumn": 6, "snippet": {"text": "x abc y\n"}}
    assert one(at("gone.py", line)).finding.location.snippet == "x abc y"
    held = {"artifacts": [{"location": {"uri": "gone.py"}, "contents": {"text": "from the file"}}]}
    assert one(at("gone.py", {"startLine": 1}, index=0), **held).finding.location.snippet == (
        "from the file"
    )


# -- flows, fixes, suppressions


def test_a_flow_is_taken_over_and_a_second_one_is_counted() -> None:
    def step(line: int, said: str) -> dict[str, Any]:
        (place,) = at("src/a.py", {"startLine": line})["locations"]
        return {"location": {**place, "message": {"text": said}}}

    flow = {"threadFlows": [{"locations": [{"index": 0}, step(2, "sink"), {"location": {}}]}]}
    found = read({
        "threadFlowLocations": [step(1, "source")],
        "results": [{"ruleId": "r", "message": {"text": "m"}, "codeFlows": [flow, flow]}],
    })  # fmt: skip
    (reported,) = found.reported
    assert [step.message for step in reported.finding.flow] == ["source", "sink"]
    assert {notice.reason for notice in found.notices} == {
        "results with several data flows, of which the first is kept: 1",
        "steps of data flows without a file, left out: 1",
    }


def test_a_fix_counts_only_where_it_replaces_the_place_of_the_finding() -> None:
    region = {"startLine": 1, "startColumn": 1, "endColumn": 7}
    change = {"artifactLocation": {"uri": "src/a.py"},
              "replacements": [{"deletedRegion": region,
              "insertedContent": {"text": "from"}}]}  # fmt: skip
    fixes = {"fixes": [{"artifactChanges": [change]}]}
    assert one({**at("src/a.py", region), **fixes}).finding.fix == "from"
    elsewhere = {**at("src/a.py", {"startLine": 2}), **fixes}
    found = read({"results": [{"ruleId": "r", "message": {"text": "m"}, **elsewhere}]})
    assert found.reported[0].finding.fix is None
    assert "fixes of other places" in found.notices[0].reason


@pytest.mark.parametrize(
    ("suppressions", "kind"),
    [
        ([], None), ([{"kind": "inSource"}], "inSource"), ([{"kind": "external"}], "external"),
        ([{"kind": "external", "status": "accepted"}], "external"),
        ([{"kind": "external", "status": "underReview"}], None),
        ([{"kind": "external", "status": "rejected"}], None),
        ([{"kind": "inSource"}, {"kind": "external", "status": "underReview"}], None),
    ],
)  # fmt: skip
def test_only_an_accepted_suppression_is_one(suppressions: Any, kind: str | None) -> None:
    found = one({"suppressions": suppressions}).suppression
    assert (found.kind if found else None) == kind
    if found is not None:
        assert found.reason == "suppressed in sarif:some-tool"


# -- what is no finding, and what was not done


def test_what_is_no_finding_is_counted_and_what_cannot_be_read_makes_it_incomplete() -> None:
    found = read({"results": [
        {"ruleId": "r", "kind": "pass", "message": {"text": "m"}},
        {"ruleId": "r", "kind": "notApplicable", "message": {"text": "m"}},
        {"ruleId": "r", "baselineState": "absent", "message": {"text": "m"}},
        {"message": {"text": "no rule"}}, 7,
    ]})  # fmt: skip
    assert found.reported == ()
    assert [(notice.reason, notice.incomplete) for notice in found.notices] == [
        ("results that say 'pass', so no findings: 1", False),
        ("results that say 'notApplicable', so no findings: 1", False),
        ("results that say 'absent', so not there any more: 1", False),
        ("results that cannot be read: 2 (first: results[3]: it names no rule)", True),
    ]


def test_a_tool_that_failed_makes_it_incomplete() -> None:
    found = read({
        "results": [],
        "invocations": [{
            "executionSuccessful": False, "exitCodeDescription": "out of memory",
            "toolExecutionNotifications": [
                {"level": "error", "message": {"text": "cannot parse"}, **at("src/a.py")},
                {"level": "note", "message": {"text": "by the way"}},
                {"level": "none", "message": {"text": "nothing"}},
                {"descriptor": {"id": "TIMEOUT"}},
            ],
        }],
    })  # fmt: skip
    assert [(notice.reason, notice.incomplete) for notice in found.notices] == [
        ("it says that it did not succeed: out of memory", True),
        ("src/a.py: cannot parse", True), ("by the way", False), ("TIMEOUT", False),
    ]  # fmt: skip
    assert {notice.subject for notice in found.notices} == {"sarif:some-tool"}
    assert read({}).notices[0].incomplete  # no results at all: it did not scan
    assert read({"results": 3}).notices[0].incomplete
