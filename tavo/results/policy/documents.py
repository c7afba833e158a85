"""What a policy sees, `tavo-policy-input/1`, published in docs/schemas/tavo-policy-input-1.json.

One document for each finding that counts, as `input.finding`; one for each that does not, as
`input.suppressed`; and at the end one about the run, as `input.summary`.

Rules this module keeps:
- the fields are a contract: none is renamed, removed or given another meaning within a version;
- no time of day, no path of this machine and no variable is part of it;
- severities and confidences also come as ranks, because Rego cannot compare their names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from tavo.plugins import Confidence, Severity
from tavo.results.values import Notice, PluginRun, Reported

__all__ = ["SCHEMA", "documents", "input_schema"]

SCHEMA = "tavo-policy-input/1"
_SCHEMA_ID = "urn:tavo:schema:policy-input:1"


class _SuppressionInput(msgspec.Struct, frozen=True, kw_only=True):
    """Why a finding does not count; `expires` and `approved_by` are empty where nobody said."""

    kind: str
    reason: str
    expires: str
    approved_by: str


class _FindingInput(msgspec.Struct, frozen=True, kw_only=True):
    """One finding with what its rule says. `line` and `column` are 0 for a file as a whole."""

    rule_id: str
    tool: str
    title: str
    severity: Severity
    severity_rank: int
    confidence: Confidence
    confidence_rank: int
    message: str
    path: str
    line: int
    column: int
    cwe: tuple[str, ...]
    owasp: tuple[str, ...]
    tags: tuple[str, ...]
    evidence: dict[str, str]
    fingerprint: str
    baseline_state: str
    suppression: _SuppressionInput | None = None


class _NoticeInput(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and not done, or not in full."""

    kind: str
    subject: str
    reason: str
    incomplete: bool
    allowed: bool


class _PluginInput(msgspec.Struct, frozen=True, kw_only=True):
    """What one plugin did and cost, seconds and bytes."""

    plugin: str
    version: str
    package: str
    sandbox: str
    files: int
    findings: int
    skipped: int
    requests: int
    cpu_s: float
    wall_s: float
    peak_bytes: int


class _SummaryInput(msgspec.Struct, frozen=True, kw_only=True):
    """The run: counts of what counts, and whether everything that was asked for was done."""

    findings: int
    suppressed: int
    known: int
    by_severity: dict[str, int]
    by_confidence: dict[str, int]
    by_rule: dict[str, int]
    by_tool: dict[str, int]
    complete: bool
    files: int
    rules: int
    notices: list[_NoticeInput]
    plugins: list[_PluginInput]
    tool_version: str


class _Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema",
             tag=SCHEMA):  # fmt: skip
    """One document; it has one of the three."""

    finding: _FindingInput | None = None
    suppressed: _FindingInput | None = None
    summary: _SummaryInput | None = None


def documents(
    findings: Sequence[Reported],
    notices: Sequence[Notice],
    plugins: Sequence[PluginRun],
    *,
    files: int,
    rules: int,
    tool_version: str,
) -> list[bytes]:
    """Return the documents as lines of UTF-8 JSON: findings in their order, the run at last."""
    encode = msgspec.json.Encoder().encode
    out = []
    for one in findings:
        value = _finding(one)
        document = _Input(finding=value) if one.suppression is None else _Input(suppressed=value)
        out.append(encode(document))
    open_ones = [one for one in findings if one.suppression is None]
    severities = Counter(one.finding.severity for one in open_ones)
    confidences = Counter(one.finding.confidence for one in open_ones)
    summary = _SummaryInput(
        findings=len(open_ones),
        suppressed=len(findings) - len(open_ones),
        known=sum(one.baseline_state == "unchanged" for one in findings),
        by_severity={one.value: severities[one] for one in Severity},
        by_confidence={one.value: confidences[one] for one in Confidence},
        by_rule=dict(sorted(Counter(one.rule.id for one in open_ones).items())),
        by_tool=dict(sorted(Counter(one.tool for one in open_ones).items())),
        complete=not any(one.incomplete for one in notices),
        files=files,
        rules=rules,
        notices=[
            _NoticeInput(
                kind=one.kind,
                subject=_text(one.subject),
                reason=_text(one.reason),
                incomplete=one.incomplete,
                allowed=one.allowed,
            )
            for one in notices
        ],
        plugins=[
            _PluginInput(
                plugin=one.plugin, version=one.version, package=one.package, sandbox=one.sandbox,
                files=one.files, findings=one.findings, skipped=one.skipped,
                requests=one.requests, cpu_s=round(one.host_cpu_s + one.worker_cpu_s, 3),
                wall_s=round(one.wall_s, 3), peak_bytes=one.peak_bytes,
            )
            for one in plugins
        ],
        tool_version=tool_version,
    )  # fmt: skip
    out.append(encode(_Input(summary=summary)))
    return out


def input_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a document."""
    text = json.dumps(msgspec.json.schema(_Input))
    for name in ("Suppression", "Finding", "Notice", "Plugin", "Summary"):
        text = text.replace(f'"_{name}Input"', f'"{name}"')
        text = text.replace(f'"#/$defs/_{name}Input"', f'"#/$defs/{name}"')
    text = text.replace('"_Input"', '"Input"').replace('"#/$defs/_Input"', '"#/$defs/Input"')
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _SCHEMA_ID,
        **json.loads(text),
    }


def _finding(one: Reported) -> _FindingInput:
    finding, rule, why = one.finding, one.rule, one.suppression
    region = finding.location.region
    return _FindingInput(
        rule_id=rule.id,
        tool=one.tool,
        title=rule.title,
        severity=finding.severity,
        severity_rank=finding.severity.rank,
        confidence=finding.confidence,
        confidence_rank=finding.confidence.rank,
        message=_text(finding.message),
        path=_text(str(finding.location.path)),
        line=0 if region is None else region.start_line,
        column=0 if region is None else region.start_column,
        cwe=rule.cwe,
        owasp=rule.owasp,
        tags=rule.tags,
        evidence={_text(name): _text(value) for name, value in finding.evidence.items()},
        fingerprint=one.fingerprint,
        baseline_state=one.baseline_state,
        suppression=None
        if why is None
        else _SuppressionInput(
            kind=why.kind,
            reason=_text(why.reason),
            expires=why.expires,
            approved_by=why.approved_by,
        ),
    )


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
