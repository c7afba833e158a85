"""A run as JSON, schema `tavo-results/1`, published in docs/schemas/tavo-results-1.json.

Rules this module keeps:
- the fields are a contract: none is renamed, removed or given another meaning within a version;
  new ones may be added, so readers skip what they do not know;
- the text is plain ASCII: on a terminal nothing in it can act, and no tool needs to guess.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec

from tavo.plugins import Confidence, Location, Rule, Severity
from tavo.results.rows import storable
from tavo.results.values import Reported, Run

__all__ = ["SCHEMA", "json_schema", "run_to_json", "run_to_value", "uncommanded_json"]

SCHEMA = "tavo-results/1"
_State = Literal["new", "unchanged"]
_Kind = Literal["deny", "violation", "warn"]
_STATES: dict[str, _State] = {"new": "new", "unchanged": "unchanged"}
_KINDS: dict[str, _Kind] = {"deny": "deny", "violation": "violation", "warn": "warn"}
_SCHEMA_ID = "urn:tavo:schema:results:1"
_NOT_ASCII = re.compile(r"[^\x20-\x7e\n]+")

_FromOne = Annotated[int, msgspec.Meta(ge=1)]
_FromZero = Annotated[int, msgspec.Meta(ge=0)]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]
_Time = Annotated[str, msgspec.Meta(description="UTC, ISO 8601, such as 2026-11-23T13:45:14Z.")]
_Tool = Annotated[
    str,
    msgspec.Meta(
        description="`tavo` for built-in rules, a plugin's full id, or `sarif:` and the name of"
        " the tool whose findings were imported."
    ),
]


class _RegionValue(msgspec.Struct, frozen=True):
    """Lines and columns from 1, columns in code points, the end column exclusive."""

    start_line: _FromOne
    start_column: _FromOne
    end_line: _FromOne
    end_column: _FromOne


class _LocationValue(msgspec.Struct, frozen=True):
    """A file, relative to the run's root with `/` between the parts; region null: all of it."""

    path: str
    region: _RegionValue | None
    snippet: str


class _StepValue(msgspec.Struct, frozen=True):
    """One step on the way of tainted data."""

    location: _LocationValue
    message: str


class _SuppressionValue(msgspec.Struct, frozen=True):
    """Why a finding does not count."""

    kind: Annotated[str, msgspec.Meta(description="`inSource` for a comment, else `external`.")]
    reason: str
    line: int
    expires: Annotated[str, msgspec.Meta(description="The last day it holds, or empty.")] = ""
    approved_by: Annotated[str, msgspec.Meta(description="Who agreed, or empty.")] = ""


class _FindingValue(msgspec.Struct, frozen=True):
    """One claim that a rule holds at a location. `rule_id` and `tool` lead to `rules`."""

    rule_id: str
    tool: _Tool
    severity: Severity
    confidence: Confidence
    message: str
    location: _LocationValue
    evidence: dict[str, str]
    flow: list[_StepValue]
    fix: Annotated[str | None, msgspec.Meta(description="Replaces the text of the region.")]
    fingerprint: Annotated[
        str, msgspec.Meta(description="The same for the same finding in other runs.")
    ]
    suppression: Annotated[
        _SuppressionValue | None, msgspec.Meta(description="Not null: it does not count.")
    ]
    baseline_state: Annotated[
        _State | None,
        msgspec.Meta(description="Compared with the baseline; null: there was none."),
    ] = None


class _RuleValue(msgspec.Struct, frozen=True):
    """A rule that has findings in this run."""

    tool: _Tool
    id: str
    title: str
    severity: Severity
    confidence: Confidence
    description: str
    help: Annotated[str, msgspec.Meta(description="Markdown.")]
    cwe: list[str]
    owasp: list[str]
    tags: list[str]
    references: list[str]


class _NoticeValue(msgspec.Struct, frozen=True):
    """Something that was asked for and not done, or not in full."""

    kind: Annotated[
        str,
        msgspec.Meta(
            description="`file`, `rule`, `plugin`, `engine`, `comment`, `step`, `suppression` or"
            " `policy`."
        ),
    ]
    subject: str
    reason: str
    incomplete: Annotated[bool, msgspec.Meta(description="True: it makes the run incomplete.")]
    allowed: Annotated[
        bool,
        msgspec.Meta(description="True: --allow-incomplete, it does not decide the exit code."),
    ] = False


class _PluginValue(msgspec.Struct, frozen=True):
    """What one plugin did and cost."""

    plugin: str
    version: str
    package: Annotated[str, msgspec.Meta(description="The digest of its package or file.")]
    sandbox: Annotated[
        str,
        msgspec.Meta(description="The level it ran at, such as L2; empty: it was imported."),
    ]
    files: _FromZero
    calls: _FromZero
    findings: _FromZero
    skipped: _FromZero
    host_cpu_s: _Seconds
    worker_cpu_s: _Seconds
    wall_s: _Seconds
    peak_bytes: _FromZero
    requests: Annotated[int, msgspec.Meta(ge=0, description="Requests to its target.")] = 0
    cached: Annotated[
        int, msgspec.Meta(ge=0, description="Files of `files` whose answer was known already.")
    ] = 0


class _RunValue(msgspec.Struct, frozen=True):
    """One execution of tavo."""

    id: _FromOne
    uuid: str
    tool_version: str
    command: list[str]
    root: str
    started_at: _Time
    finished_at: Annotated[str, msgspec.Meta(description="Empty: the run was interrupted.")]
    complete: Annotated[
        bool, msgspec.Meta(description="False: not everything that was asked for was done.")
    ]
    exit_code: int | None
    files: Annotated[int, msgspec.Meta(ge=0, description="Files that rules looked at.")]
    rules: Annotated[int, msgspec.Meta(ge=0, description="Built-in and own rules that ran.")]
    cpu_s: _Seconds


class _AbsentValue(msgspec.Struct, frozen=True):
    """A finding of the baseline that is gone, though its file was looked at."""

    fingerprint: str
    rule_id: str
    tool: str
    path: str
    line: Annotated[int, msgspec.Meta(ge=0, description="0: the file as a whole.")]
    message: str


class _PolicyResultValue(msgspec.Struct, frozen=True):
    """What a rule of a policy said."""

    kind: _Kind
    rule: Annotated[str, msgspec.Meta(description="Its whole name, such as deny_secrets.")]
    message: str
    details: Annotated[
        dict[str, Any], msgspec.Meta(description="What stood beside `msg`, else empty.")
    ]
    fingerprint: Annotated[
        str, msgspec.Meta(description="The finding that it is about; empty: the run.")
    ]
    excepted: Annotated[bool, msgspec.Meta(description="True: an exception covers it.")]


class _PolicyValue(msgspec.Struct, frozen=True):
    """The policy that judged the run."""

    files: list[str]
    evaluator: Annotated[str, msgspec.Meta(description="Such as regopy 1.5.2; empty: it failed.")]
    denied: Annotated[int, msgspec.Meta(ge=0, description="deny and violation; fails the run.")]
    warned: _FromZero
    results: list[_PolicyResultValue]


class _GateValue(msgspec.Struct, frozen=True):
    """What turned the run into pass or fail."""

    fail_on: Severity
    fail_on_confidence: Confidence
    baseline: Annotated[str, msgspec.Meta(description="The file; empty: there was none.")]
    new: _FromZero
    known: _FromZero
    absent: list[_AbsentValue]


class _SummaryValue(msgspec.Struct, frozen=True):
    """Counts. Suppressed findings stand in `suppressed` only."""

    findings: _FromZero
    suppressed: _FromZero
    by_severity: dict[str, int]


class _Document(msgspec.Struct, frozen=True):
    """The result of one run of tavo. Readers skip fields that they do not know."""

    schema: Literal["tavo-results/1"]
    run: _RunValue
    summary: _SummaryValue
    rules: list[_RuleValue]
    findings: list[_FindingValue]
    not_done: list[_NoticeValue]
    plugins: list[_PluginValue]
    gate: Annotated[
        _GateValue | None, msgspec.Meta(description="Null: not judged, or by an older tavo.")
    ] = None
    policy: Annotated[_PolicyValue | None, msgspec.Meta(description="Null: there was none.")] = None


def run_to_json(run: Run, findings: Iterable[Reported]) -> str:
    """Return a run with its findings as indented JSON in ASCII."""
    text = msgspec.json.format(_encoded(_document(run, findings)), indent=2).decode()
    if not text.isascii() or "\x7f" in text:
        text = _NOT_ASCII.sub(_escaped, text)
    return uncommanded_json(text)


def _encoded(document: _Document) -> bytes:
    """Return a document as JSON; bytes of a file's name that are no UTF-8 as `\\udcff` forms."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        return msgspec.json.encode(_written(msgspec.to_builtins(document)))


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_written(one) for one in value]
    if isinstance(value, dict):
        return {_written(key): _written(one) for key, one in value.items()}
    return value


def uncommanded_json(text: str) -> str:
    """Return the same JSON with nothing in it that the log of a CI system takes for a command."""
    return text.replace("##", "#\\u0023")  # only texts hold it


def run_to_value(run: Run, findings: Iterable[Reported]) -> dict[str, Any]:
    """Return a run with its findings as JSON-able values."""
    value = msgspec.to_builtins(_document(run, findings))
    assert isinstance(value, dict)  # noqa: S101
    return value


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the document."""
    schema = msgspec.json.schema(_Document)
    names = {f"_{name}Value": name for name in (
        "Region", "Location", "Step", "Suppression", "Finding", "Rule", "Notice", "Plugin", "Run",
        "Summary", "Absent", "PolicyResult", "Policy", "Gate",
    )} | {"_Document": "Document"}  # fmt: skip
    text = json.dumps(schema)
    for ours, published in names.items():
        text = text.replace(f'"{ours}"', f'"{published}"')
        text = text.replace(f'"#/$defs/{ours}"', f'"#/$defs/{published}"')
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _SCHEMA_ID,
        **json.loads(text),
    }


def _escaped(found: re.Match[str]) -> str:
    # In JSON only texts hold such characters, so their escaped form can take their place.
    return json.dumps(found.group())[1:-1].replace("\x7f", "\\u007f")


def _document(run: Run, findings: Iterable[Reported]) -> _Document:
    items = list(findings)
    rules = {(one.tool, one.rule.id): one.rule for one in items}
    counts = Counter(one.finding.severity for one in items if one.suppression is None)
    info = run.info
    return _Document(
        schema="tavo-results/1",
        run=_RunValue(
            id=run.id,
            uuid=run.uuid,
            tool_version=info.tool_version,
            command=list(info.command),
            root=info.root,
            started_at=info.started_at,
            finished_at=run.finished_at,
            complete=run.complete,
            exit_code=run.exit_code,
            files=run.files,
            rules=info.rules,
            cpu_s=round(run.cpu_s, 3),
        ),
        summary=_SummaryValue(
            findings=counts.total(),
            suppressed=len(items) - counts.total(),
            by_severity={severity.value: counts[severity] for severity in reversed(Severity)},
        ),
        rules=[_rule(tool, rules[tool, name]) for tool, name in sorted(rules)],
        findings=[_finding(one) for one in items],
        not_done=[
            _NoticeValue(n.kind, n.subject, n.reason, n.incomplete, n.allowed) for n in run.notices
        ],
        plugins=[
            _PluginValue(**{name: getattr(plugin, name) for name in _PluginValue.__struct_fields__})
            for plugin in run.plugins
        ],
        gate=_gate(run, items),
        policy=_policy(run),
    )


def _gate(run: Run, items: Sequence[Reported]) -> _GateValue | None:
    gate = run.gate
    if gate is None:
        return None
    states = Counter(one.baseline_state for one in items)
    return _GateValue(
        fail_on=Severity(gate.fail_on),
        fail_on_confidence=Confidence(gate.fail_on_confidence),
        baseline=gate.baseline,
        new=states["new"],
        known=states["unchanged"],
        absent=[_AbsentValue(**msgspec.structs.asdict(one)) for one in gate.absent],
    )


def _policy(run: Run) -> _PolicyValue | None:
    gate = run.gate
    if gate is None or not gate.policy:
        return None
    counts = Counter(one.kind for one in gate.policy_results if not one.excepted)
    return _PolicyValue(
        files=list(gate.policy),
        evaluator=gate.evaluator,
        denied=counts["deny"] + counts["violation"],
        warned=counts["warn"],
        results=[
            _PolicyResultValue(
                _KINDS[one.kind],
                one.rule,
                one.message,
                dict(one.details),
                one.fingerprint,
                one.excepted,
            )
            for one in gate.policy_results
        ],
    )


def _rule(tool: str, rule: Rule) -> _RuleValue:
    return _RuleValue(
        tool=tool,
        id=rule.id,
        title=rule.title,
        severity=rule.severity,
        confidence=rule.confidence,
        description=rule.description,
        help=rule.help,
        cwe=list(rule.cwe),
        owasp=list(rule.owasp),
        tags=list(rule.tags),
        references=list(rule.references),
    )


def _finding(one: Reported) -> _FindingValue:
    finding, suppression = one.finding, one.suppression
    return _FindingValue(
        rule_id=finding.rule_id,
        tool=one.tool,
        severity=finding.severity,
        confidence=finding.confidence,
        message=finding.message,
        location=_location(finding.location),
        evidence=dict(finding.evidence),
        flow=[_StepValue(_location(step.location), step.message) for step in finding.flow],
        fix=finding.fix,
        fingerprint=one.fingerprint,
        suppression=None
        if suppression is None
        else _SuppressionValue(
            suppression.kind,
            suppression.reason,
            suppression.line,
            suppression.expires,
            suppression.approved_by,
        ),
        baseline_state=_STATES.get(one.baseline_state),
    )


def _location(location: Location) -> _LocationValue:
    region = location.region
    return _LocationValue(
        str(location.path),
        None
        if region is None
        else _RegionValue(
            region.start_line, region.start_column, region.end_line, region.end_column
        ),
        location.snippet,
    )
