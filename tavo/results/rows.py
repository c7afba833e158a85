"""Findings, rules and runs as rows of the result store, and back.

What is read back is checked by who reads: a row that is not as expected raises ValueError, KeyError
or TypeError.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import PurePosixPath
from typing import Any

from tavo.plugins import Confidence, Finding, Location, Region, Rule, Severity, Step
from tavo.results.values import (
    Gate,
    Notice,
    PluginRun,
    ProbeResult,
    Reported,
    Run,
    RunInfo,
    Suppression,
)

__all__ = [
    "INSERT_FINDING",
    "INSERT_RULE",
    "dumps",
    "finding_row",
    "flow_column",
    "notice_of",
    "plugin_run_of",
    "probe_of",
    "reported_of",
    "rule_of",
    "rule_row",
    "run_of",
    "storable",
]

_FINDING = (
    "run_id", "rule", "fingerprint", "line_hash", "severity", "confidence", "path", "start_line",
    "start_column", "end_line", "end_column", "message", "snippet", "evidence", "flow", "fix",
    "suppression_kind", "suppression_reason", "suppression_line", "suppression_expires",
    "suppression_approved_by", "baseline_state",
)  # fmt: skip
INSERT_FINDING = (
    f"INSERT INTO findings ({', '.join(_FINDING)})"  # noqa: S608
    f" VALUES ({', '.join('?' * len(_FINDING))})"
)
"""What writes one finding; `finding_row` has the values."""
INSERT_RULE = (
    "INSERT INTO rules (run_id, tool, rule_id, title, severity, confidence,"
    " description, help, cwe, owasp, tags, refs)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""What writes one rule; `rule_row` has the values."""


def finding_row(run_id: int, rule: int, fingerprint: str, one: Reported) -> tuple[Any, ...]:
    """Return what `INSERT_FINDING` takes; `rule` is the number of the rule's row."""
    finding = one.finding
    region = finding.location.region
    places = (
        (region.start_line, region.start_column, region.end_line, region.end_column)
        if region is not None
        else (None, None, None, None)
    )
    suppression = one.suppression
    return (
        run_id,
        rule,
        fingerprint,
        one.line_hash,
        finding.severity.value,
        finding.confidence.value,
        storable(str(finding.location.path)),
        *places,
        storable(finding.message),
        storable(finding.location.snippet),
        dumps(dict(finding.evidence)),
        flow_column(finding),
        finding.fix if finding.fix is None else storable(finding.fix),
        suppression.kind if suppression else None,
        storable(suppression.reason) if suppression else None,
        suppression.line if suppression else None,
        suppression.expires if suppression else "",
        storable(suppression.approved_by) if suppression else "",
        one.baseline_state,
    )


def flow_column(finding: Finding) -> str:
    """Return the steps of a finding as its column holds them."""
    return dumps([_step(step) for step in finding.flow])


def rule_row(run_id: int, tool: str, rule: Rule) -> tuple[Any, ...]:
    """Return what `INSERT_RULE` takes."""
    return (
        run_id, tool, rule.id, storable(rule.title), rule.severity.value, rule.confidence.value,
        storable(rule.description), storable(rule.help), dumps(rule.cwe), dumps(rule.owasp),
        dumps(rule.tags), dumps(rule.references),
    )  # fmt: skip


def run_of(
    row: sqlite3.Row, *, notices: tuple[Notice, ...] = (), plugins: tuple[PluginRun, ...] = (),
    gate: Gate | None = None, probes: tuple[ProbeResult, ...] = (),
) -> Run:  # fmt: skip
    """Return a run of its row; the row counts the findings."""
    return Run(
        id=row["id"],
        uuid=row["uuid"],
        info=RunInfo(
            command=tuple(json.loads(row["command"])),
            root=row["root"],
            tool_version=row["tool_version"],
            started_at=row["started_at"],
            rules=row["rules"],
        ),
        finished_at=row["finished_at"] or "",
        complete=bool(row["complete"]),
        exit_code=row["exit_code"],
        files=row["files"],
        findings=row["findings"],
        cpu_s=row["cpu_s"],
        notices=notices,
        plugins=plugins,
        gate=gate,
        probes=probes,
    )


def notice_of(row: sqlite3.Row) -> Notice:
    """Return a notice of its row."""
    return Notice(
        kind=row["kind"],
        subject=row["subject"],
        reason=row["reason"],
        incomplete=bool(row["incomplete"]),
        allowed=bool(row["allowed"]),
    )


def plugin_run_of(row: sqlite3.Row) -> PluginRun:
    """Return of its row what a plugin did."""
    return PluginRun(**{name: row[name] for name in PluginRun.__struct_fields__})


def probe_of(row: sqlite3.Row) -> ProbeResult:
    """Return of its row what a probe gave."""
    return ProbeResult(**{name: row[name] for name in ProbeResult.__struct_fields__})


def rule_of(row: sqlite3.Row) -> Rule:
    """Return a rule of its row."""
    return Rule(
        id=row["rule_id"],
        title=row["title"],
        severity=Severity(row["severity"]),
        confidence=Confidence(row["confidence"]),
        description=row["description"],
        help=row["help"],
        cwe=tuple(json.loads(row["cwe"])),
        owasp=tuple(json.loads(row["owasp"])),
        tags=tuple(json.loads(row["tags"])),
        references=tuple(json.loads(row["refs"])),
    )


def reported_of(row: sqlite3.Row, tool: str, rule: Rule) -> Reported:
    """Return a finding of its row, with the rule that the row names."""
    suppression = None
    if row["suppression_kind"] is not None:
        suppression = Suppression(
            kind=row["suppression_kind"],
            reason=row["suppression_reason"],
            line=row["suppression_line"],
            expires=row["suppression_expires"],
            approved_by=row["suppression_approved_by"],
        )
    places = [row[name] for name in ("start_line", "start_column", "end_line", "end_column")]
    return Reported(
        finding=Finding(
            rule_id=rule.id,
            message=row["message"],
            location=_location(row["path"], places, row["snippet"]),
            severity=Severity(row["severity"]),
            confidence=Confidence(row["confidence"]),
            evidence=json.loads(row["evidence"]),
            flow=tuple(
                Step(
                    location=_location(step["path"], step["region"], step["snippet"]),
                    message=step["message"],
                )
                for step in json.loads(row["flow"])
            ),
            fix=row["fix"],
        ),
        rule=rule,
        tool=tool,
        suppression=suppression,
        fingerprint=row["fingerprint"],
        line_hash=row["line_hash"],
        baseline_state=row["baseline_state"],
    )


def _step(step: Step) -> dict[str, Any]:
    region = step.location.region
    return {
        "path": str(step.location.path),
        "region": [region.start_line, region.start_column, region.end_line, region.end_column]
        if region
        else None,
        "snippet": step.location.snippet,
        "message": step.message,
    }


def _location(path: str, places: list[Any] | None, snippet: str) -> Location:
    region = None
    if places is not None and places[0] is not None:
        first_line, first_column, last_line, last_column = places
        region = Region(
            start_line=first_line,
            start_column=first_column,
            end_line=last_line,
            end_column=last_column,
        )
    return Location(path=PurePosixPath(path), region=region, snippet=snippet)


def storable(text: str) -> str:
    """Write lone surrogates, which stand for undecodable bytes, as `\\udc80` forms.

    Neither SQLite nor UTF-8 can hold them, and replacing all by one sign would make two file names
    the same.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def dumps(value: Any) -> str:
    """Return JSON as the store holds it."""
    return storable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
