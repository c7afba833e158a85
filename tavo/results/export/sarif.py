"""A run as SARIF 2.1.0, with what code scanning on GitHub asks for beyond the standard.

Rules this module keeps:
- the output validates against the schema of OASIS;
- suppressed results are left out unless asked for: GitHub would show them as open;
- an incomplete run says so: `executionSuccessful` is false, and each notice is a notification;
- GitHub's limits hold, and what they cut off is said in a notification;
- the text is plain ASCII; code in a message never becomes a link.

Source: OASIS SARIF 2.1.0; GitHub, "SARIF support for code scanning".
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from tavo.plugins import Location, Step
from tavo.results.export.json import uncommanded_json
from tavo.results.export.sarif_tool import (
    LEVELS,
    MOST_TAGS,
    NOTICE_KINDS,
    SCORES,
    Components,
    notice_id,
    tags_of,
)
from tavo.results.export.summary import worst_first
from tavo.results.values import CONFIRMS, Notice, PolicyResult, Reported, Run, Suppression

__all__ = ["run_to_sarif", "run_to_sarif_value"]

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_SHOWN_RESULTS = 5_000
_MOST_RESULTS = 25_000
_MOST_STEPS = 1_000
_MOST_EXTENSIONS = 100
_LARGEST_UPLOAD = 10_000_000
_LEAST_KEPT = 100
_READ_BY_PEOPLE = 1_000
_LINK = re.compile(r"\[(?=[^\]]*\]\()")


def run_to_sarif(
    run: Run, findings: Iterable[Reported], *, suppressed: bool = False, category: str = "tavo"
) -> str:
    """Return a run with its findings as SARIF text.

    `suppressed` takes in the findings that do not count. `category` tells the uploads of one commit
    apart, where several scans of it are uploaded.
    """
    items = _reported_here(findings, suppressed=suppressed)
    most = min(len(items), _MOST_RESULTS)
    text = _dumps(run_to_sarif_value(run, items, suppressed=suppressed, category=category))
    while (size := _uploaded(text)) > _LARGEST_UPLOAD and most > _LEAST_KEPT:
        # Results are most of it, and the least severe ones are cut off: a little more than needed.
        most = max(_LEAST_KEPT, int(most * min(0.95 * _LARGEST_UPLOAD / size, 0.9)))
        kept = worst_first(items)[:most]
        notice = _report_notice(
            f"{len(items) - most} findings of the lowest severity are left out, as compressed at"
            f" most {_LARGEST_UPLOAD // 1_000_000} MB can be uploaded"
        )
        text = _dumps(
            run_to_sarif_value(
                run, kept, suppressed=suppressed, category=category, notices=(notice,)
            )
        )
    if size > _LARGEST_UPLOAD:
        notice = _report_notice("compressed it is still larger than can be uploaded")
        text = _dumps(
            run_to_sarif_value(
                run, worst_first(items)[:most], suppressed=suppressed, category=category,
                notices=(notice,),
            )
        )  # fmt: skip
    return text


def _uploaded(text: str) -> int:
    """Return the size of a report as it is uploaded."""
    return len(text) if len(text) <= _LARGEST_UPLOAD else len(zlib.compress(text.encode()))


def run_to_sarif_value(
    run: Run,
    findings: Iterable[Reported],
    *,
    suppressed: bool = False,
    category: str = "tavo",
    notices: Sequence[Notice] = (),
) -> dict[str, Any]:
    """Return a run with its findings as JSON-able values; `notices` come on top of the run's."""
    items = _reported_here(findings, suppressed=suppressed)
    items, plugins, cuts = _within_limits(run, items)
    components = Components(run, items, plugins)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": components.driver, "extensions": components.extensions},
                "automationDetails": {"id": f"{category}/", "guid": run.uuid},
                "invocations": [_invocation(run, [*run.notices, *cuts, *notices])],
                "originalUriBaseIds": {
                    "%SRCROOT%": {"description": {"text": "The folder that was scanned."}}
                },
                "columnKind": "unicodeCodePoints",
                "taxonomies": components.taxonomies,
                "results": [_result(one, components) for one in items],
            }
        ],
    }


def _reported_here(findings: Iterable[Reported], *, suppressed: bool) -> list[Reported]:
    return [one for one in findings if suppressed or one.suppression is None or _is_known(one)]


def _dumps(value: dict[str, Any]) -> str:
    # A long report is for programs only, and without its blanks half as long.
    indent = 1 if len(value["runs"][0]["results"]) <= _READ_BY_PEOPLE else None
    text = json.dumps(value, indent=indent, ensure_ascii=True).replace("\x7f", "\\u007f")
    return uncommanded_json(text)


# -- what GitHub takes


def _within_limits(
    run: Run, items: list[Reported]
) -> tuple[list[Reported], list[str], list[Notice]]:
    """Return the results and plugins that fit, and what to say about the others."""
    notices = []
    worst = [one.tool for one in worst_first(items)]
    tools = dict.fromkeys([*worst, *(ran.plugin for ran in run.plugins)])
    plugins = [tool for tool in tools if tool != "tavo"]
    if len(plugins) > _MOST_EXTENSIONS:
        dropped = set(plugins[_MOST_EXTENSIONS:])
        plugins = plugins[:_MOST_EXTENSIONS]
        items = [one for one in items if one.tool not in dropped]
        notices.append(
            _report_notice(
                f"{len(dropped)} plugins and their findings are left out, at most"
                f" {_MOST_EXTENSIONS} fit"
            )
        )
    if len(items) > _MOST_RESULTS:
        left_out = len(items) - _MOST_RESULTS
        items = worst_first(items)[:_MOST_RESULTS]
        notices.append(_report_notice(f"{left_out} findings of the lowest severity are left out, at"
                                      f" most {_MOST_RESULTS} fit"))  # fmt: skip
    if len(items) > _SHOWN_RESULTS:
        items = worst_first(items)
        notices.append(
            _report_notice(f"{len(items)} findings, of which GitHub shows {_SHOWN_RESULTS}")
        )
    long = sum(len(one.finding.flow) > _MOST_STEPS for one in items)
    if long:
        notices.append(_report_notice(f"{long} data flows are shortened to {_MOST_STEPS} steps"))
    tagged = {(one.tool, one.rule.id) for one in items if len(tags_of(one.rule)) > MOST_TAGS}
    if tagged:
        notices.append(_report_notice(f"{len(tagged)} rules keep {MOST_TAGS} of their tags"))
    return items, plugins, notices


def _report_notice(reason: str) -> Notice:
    return Notice(kind="report", subject="SARIF", reason=reason, incomplete=False)


# -- results


def _result(one: Reported, components: Components) -> dict[str, Any]:
    finding = one.finding
    result: dict[str, Any] = {
        "ruleId": one.rule.id,
        **components.reference(one),
        "level": LEVELS[finding.severity],
        "message": {"text": _plain(finding.message)},
        "locations": [{"physicalLocation": _physical(finding.location)}],
        "partialFingerprints": {"tavo/v1": one.fingerprint},
        "properties": {
            "severity": finding.severity.value,
            "confidence": finding.confidence.value,
            "security-severity": SCORES[finding.severity],
        },
    }
    if one.line_hash:
        result["partialFingerprints"]["primaryLocationLineHash"] = one.line_hash
    if finding.evidence:
        result["properties"]["evidence"] = dict(finding.evidence)
    if finding.flow and CONFIRMS in finding.evidence:
        result["relatedLocations"] = [
            {
                "id": number,
                "physicalLocation": _physical(step.location),
                "message": {"text": _plain(step.message)},
            }
            for number, step in enumerate(finding.flow)
        ]
    elif finding.flow:
        result["codeFlows"] = [{"threadFlows": [{"locations": _steps(finding.flow)}]}]
    if finding.fix is not None and finding.location.region is not None:
        result["fixes"] = [_fix(one, finding.fix)]
    if one.baseline_state:
        result["baselineState"] = one.baseline_state
    if one.suppression is not None and not _is_known(one):
        result["suppressions"] = [_suppression(one.suppression, finding.location)]
    return result


def _is_known(one: Reported) -> bool:
    """Tell whether only the baseline speaks for a finding: in SARIF that is a state of its own."""
    why = one.suppression
    return (
        one.baseline_state == "unchanged"
        and why is not None
        and why.kind == "external"
        and not why.expires
    )


def _plain(text: str) -> str:
    """Keep text from becoming a link, which SARIF writes as in Markdown (section 3.11.6)."""
    return _LINK.sub(r"\\[", text)


def _steps(flow: Sequence[Step]) -> list[dict[str, Any]]:
    if len(flow) > _MOST_STEPS:  # the source and the sink are what matters most
        flow = (*flow[: _MOST_STEPS - 1], flow[-1])
    last = len(flow) - 1
    return [
        {
            "location": {
                "physicalLocation": _physical(step.location),
                "message": {"text": _plain(step.message)},
            },
            "importance": "essential" if number in (0, last) else "important",
        }
        for number, step in enumerate(flow)
    ]


def _fix(one: Reported, replacement: str) -> dict[str, Any]:
    location = one.finding.location
    return {
        "description": {"text": f"The fix that the rule {one.rule.id} suggests"},
        "artifactChanges": [
            {
                "artifactLocation": _artifact(str(location.path)),
                "replacements": [
                    {"deletedRegion": _region(location), "insertedContent": {"text": replacement}}
                ],
            }
        ],
    }


def _suppression(suppression: Suppression, location: Location) -> dict[str, Any]:
    value: dict[str, Any] = {
        "kind": "external" if suppression.kind == "external" else "inSource",
        "status": "accepted",
        "justification": _plain(suppression.reason),
    }
    if value["kind"] == "inSource" and suppression.line >= 1:
        value["location"] = {
            "physicalLocation": {
                "artifactLocation": _artifact(str(location.path)),
                "region": {"startLine": suppression.line},
            }
        }
    return value


# -- locations


def _physical(location: Location) -> dict[str, Any]:
    value: dict[str, Any] = {"artifactLocation": _artifact(str(location.path))}
    region = location.region
    if region is not None:
        value["region"] = _region(location)
        if location.snippet:
            # A snippet holds whole lines, so it is the region's surroundings, not its text.
            lines = location.snippet.count("\n") + 1
            value["contextRegion"] = {
                "startLine": region.start_line,
                "endLine": min(region.end_line, region.start_line + lines - 1),
                "snippet": {"text": location.snippet},
            }
    return value


def _artifact(path: str) -> dict[str, Any]:
    # Undecodable bytes of a file name come back as the bytes that they were.
    return {"uri": quote(path, errors="surrogateescape"), "uriBaseId": "%SRCROOT%"}


def _region(location: Location) -> dict[str, Any]:
    region = location.region
    if region is None:
        return {}
    return {
        "startLine": region.start_line,
        "startColumn": region.start_column,
        "endLine": region.end_line,
        "endColumn": region.end_column,
    }


# -- the invocation


def _invocation(run: Run, notices: Sequence[Notice]) -> dict[str, Any]:
    value: dict[str, Any] = {
        "executionSuccessful": run.complete,
        "startTimeUtc": run.info.started_at,
        "toolExecutionNotifications": [
            *(_notification(n) for n in notices if n.kind != "rule"),
            *(_said(one) for one in (run.gate.policy_results if run.gate else ())),
        ],
        "toolConfigurationNotifications": [_notification(n) for n in notices if n.kind == "rule"],
    }
    if run.finished_at:
        value["endTimeUtc"] = run.finished_at
    if run.exit_code is not None:
        value["exitCode"] = run.exit_code
    return value


def _said(one: PolicyResult) -> dict[str, Any]:
    """Return what a policy said: about the run and its gate, so no result of its own."""
    level = "note" if one.excepted else "warning" if one.kind == "warn" else "error"
    value: dict[str, Any] = {
        "level": level,
        "message": {"text": _plain(f"policy {one.rule}: {one.message}")},
        "descriptor": {"id": notice_id("policy"), "index": list(NOTICE_KINDS).index("policy")},
        "properties": {"kind": one.kind, "rule": one.rule, "excepted": one.excepted},
    }
    if one.fingerprint:
        value["properties"]["fingerprint"] = one.fingerprint
    return value


def _notification(notice: Notice) -> dict[str, Any]:
    value: dict[str, Any] = {
        "level": "error" if notice.incomplete and not notice.allowed else "note",
        "message": {"text": _plain(f"{notice.kind} {notice.subject}: {notice.reason}")},
    }
    if notice.kind in NOTICE_KINDS:
        index = list(NOTICE_KINDS).index(notice.kind)
        value["descriptor"] = {"id": notice_id(notice.kind), "index": index}
    if notice.kind in ("file", "comment"):
        location = {"physicalLocation": {"artifactLocation": _artifact(notice.subject)}}
        value["locations"] = [location]
    return value
