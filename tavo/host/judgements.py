"""What dynamic, proxy and log plugins answer, judged. Nothing it says is believed.

Rules this module keeps:
- an answer becomes a value of the plugin API or a problem in words, never half of both;
- a filter may answer only what its manifest's type allows: a decision about the message it was
  given, with replacement messages of the roles that were there;
- a log finding is about an event that the plugin was sent;
- texts lose control and direction characters; the replacement of a filter keeps every character,
  because it is content and not a text for people.

Pure functions, no I/O. Units: lengths in characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tavo.host.answers import check_findings, clean
from tavo.host.messages import WireAnalysis, WireAttack, WireFilterResult, WireFinding
from tavo.plugins.types import Finding, Region, Rule, Severity
from tavo.plugins.values import (
    AttackResult,
    Attempt,
    ChatMessage,
    Decision,
    FilterResult,
)

__all__ = ["CheckedAnalysis", "LogSources", "check_analysis", "check_attack", "check_filter"]

_LONGEST_OUTPUT = 16384
_LONGEST_REPLACEMENT = 4 << 20


def check_attack(wire: WireAttack, rules: Mapping[str, Rule]) -> AttackResult:
    """Return the result of one goal. Raises ValueError for one that cannot hold."""
    if wire.rule not in rules:
        raise ValueError(f"a result names the rule {clean(wire.rule, 128)!r}, not declared")
    return AttackResult(
        rule_id=wire.rule,
        goal=clean(wire.goal),
        severity=Severity(wire.severity),
        score=wire.score,
        attempts=tuple(
            Attempt(
                prompt=clean(attempt.prompt, _LONGEST_OUTPUT),
                outputs=tuple(clean(output, _LONGEST_OUTPUT) for output in attempt.outputs),
                score=attempt.score,
            )
            for attempt in wire.attempts
        ),
        error=clean(wire.error),
    )


def check_filter(wire: WireFilterResult, messages: Sequence[ChatMessage]) -> FilterResult:
    """Return a filter's decision about messages. Raises ValueError for one that cannot hold."""
    roles = {message.role for message in messages}
    size = 0
    for replaced in wire.replacement:
        size += len(replaced.content)
        if replaced.role not in roles:
            raise ValueError(f"its replacement has a message of the role {replaced.role}")
        if any(0xD800 <= ord(char) < 0xE000 for char in replaced.content):
            raise ValueError("its replacement holds half a character")
    if size > _LONGEST_REPLACEMENT:
        raise ValueError(f"its replacement has {size} characters")
    return FilterResult(
        decision=Decision(wire.decision),
        reason=clean(wire.reason),
        replacement=tuple(
            ChatMessage(role=one.role, content=one.content, name=clean(one.name, 200))
            for one in wire.replacement
        ),
        labels=tuple(clean(label, 100) for label in wire.labels),
    )


@dataclass(slots=True)
class LogSources:
    """The sources that a log plugin has been sent, and how far."""

    numbers: dict[PurePosixPath, int] = field(default_factory=dict)
    newest: dict[PurePosixPath, int] = field(default_factory=dict)

    def seen(self, source: PurePosixPath, number: int) -> None:
        """Note one event."""
        self.numbers.setdefault(source, len(self.numbers))
        if number > self.newest.get(source, 0):
            self.newest[source] = number


@dataclass(frozen=True, slots=True)
class CheckedAnalysis:
    """The findings and figures that hold, and what was wrong with the others."""

    findings: tuple[Finding, ...]
    metrics: Mapping[str, float]
    problems: tuple[str, ...]


def check_analysis(
    wire: WireAnalysis,
    *,
    rules: Mapping[str, Rule],
    sources: LogSources,
    text_of: Mapping[tuple[PurePosixPath, int], str],
) -> CheckedAnalysis:
    """Judge what a log plugin makes of a batch; `text_of` has the events that are at hand.

    Raises ViolationError for a source that it was not sent.
    """
    files = {number: path for path, number in sources.numbers.items()}
    bare = [_without_region(finding) for finding in wire.findings]
    findings: list[Finding] = []
    problems: list[str] = []
    for sent, one in zip(wire.findings, bare, strict=True):
        checked = check_findings(
            [one], capped=False, rules=rules, files=files, lines_of=lambda _: None
        )
        problems += checked.problems
        for finding in checked.findings:
            path = finding.location.path
            line = sent.at.region[0] if sent.at.region else 0
            if not 1 <= line <= sources.newest[path]:
                problems.append(f"a finding is about event {line} of {path}, which it was not sent")
                continue
            findings.append(_at_event(finding, line, text_of.get((path, line), "")))
    if wire.capped:
        problems.append("more findings than one answer may have; the rest is left out")
    metrics = {clean(name, 200): value for name, value in wire.metrics.items()}
    return CheckedAnalysis(tuple(findings), metrics, tuple(problems[:20]))


def _without_region(wire: WireFinding) -> WireFinding:
    import msgspec

    at = msgspec.structs.replace(wire.at, region=None)
    return msgspec.structs.replace(wire, at=at, flow=[])


def _at_event(finding: Finding, number: int, text: str) -> Finding:
    from dataclasses import replace

    region = Region(start_line=number, end_line=number, end_column=len(text) + 1)
    location = replace(finding.location, region=region, snippet=clean(text))
    return replace(finding, location=location)
