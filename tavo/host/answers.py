"""What a worker says, judged field by field. Nothing it sends is believed.

Rules this module keeps:
- a message that is not of the protocol (unknown type or field, wrong type, NaN, bad text, deep
  nesting, a number out of range) is a violation: `ViolationError`;
- a claim about something that was not asked is a violation as well;
- a finding that cannot hold (a line beyond the file, a rule that was not declared) is left out and
  named in a problem, so that the file counts as not completely analysed;
- texts lose control and direction characters and are cut at a limit; columns are cut to the line;
- code lines are taken from the content that the host holds, never from the worker.

Pure functions, no I/O. Units: lines and columns from 1, lengths in characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tavo.plugins.frames import MOST_FINDINGS_PER_FILE
from tavo.plugins.types import Confidence, Finding, Location, Region, Rule, Severity, Step

__all__ = [
    "Bye",
    "Checked",
    "Failed",
    "Held",
    "Hello",
    "Item",
    "ItemError",
    "Message",
    "Partial",
    "Ready",
    "Refused",
    "Result",
    "ViolationError",
    "check_item",
    "check_rules",
    "clean",
    "parse",
]

_LONGEST_TEXT = 4096
_LONGEST_HELP = 65536
_LONGEST_SNIPPET = 4096
_MOST_SNIPPET_LINES = 50
_MOST_RULES = 2000
_MOST_STEPS = 256
_MOST_EVIDENCE = 64
_MOST_PROBLEMS = 20

_UNSAFE_CODES = (
    *range(0x20), *range(0x7F, 0xA0),  # control
    0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)  # fmt: skip
_UNSAFE = dict.fromkeys(_UNSAFE_CODES, "\N{REPLACEMENT CHARACTER}")
del _UNSAFE[0x09], _UNSAFE[0x0A]

SeverityName = Literal["info", "low", "medium", "high", "critical"]
ConfidenceName = Literal["low", "medium", "high"]
Count = Annotated[int, Meta(ge=0, le=2**31)]


class ViolationError(Exception):
    """The worker broke the protocol; it must not be listened to any more."""


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class At(_Wire, frozen=True):
    """A location, by the number of a file that the host sent."""

    file: Count
    region: tuple[Count, Count, Count, Count] | None


class WireStep(_Wire, frozen=True):
    """One step of a data flow."""

    at: At
    message: str


class WireFinding(_Wire, frozen=True):
    """One finding as it is sent."""

    rule: str
    message: str
    severity: SeverityName
    confidence: ConfidenceName
    at: At
    evidence: dict[str, str]
    flow: Annotated[list[WireStep], Meta(max_length=_MOST_STEPS)]
    fix: str | None


class ItemError(_Wire, frozen=True):
    """Why a call gave no complete answer."""

    kind: Literal["raised", "cancelled", "not_run", "output"]
    message: str
    traceback: str = ""


class Item(_Wire, frozen=True):
    """The answer for one file."""

    n: Count
    findings: Annotated[list[WireFinding], Meta(max_length=MOST_FINDINGS_PER_FILE)]
    error: ItemError | None
    capped: bool


class WireRule(_Wire, frozen=True):
    """One declared rule."""

    id: str
    title: str
    severity: SeverityName
    confidence: ConfidenceName
    description: str
    help: str
    cwe: list[str]
    owasp: list[str]
    tags: list[str]
    references: list[str]


class Held(_Wire, frozen=True):
    """Which layers the worker says it applied; for display, decisions rest on `Refused`."""

    level: Literal[0, 1, 2]
    limits: bool = False
    landlock: Count = 0
    seccomp: bool = False


class Hello(_Wire, frozen=True, tag_field="type", tag="hello"):
    """The worker is locked up and waits for its plugin."""

    protocol: int
    nonce: str
    python: str
    held: Held


class Refused(_Wire, frozen=True, tag_field="type", tag="refused"):
    """A layer of the sandbox could not be had; the worker ends."""

    layer: str
    reason: str


class Ready(_Wire, frozen=True, tag_field="type", tag="ready"):
    """The plugin has started."""

    rules: Annotated[list[WireRule], Meta(max_length=_MOST_RULES)]
    languages: Annotated[list[str], Meta(max_length=256)]
    analyzes: list[Literal["text", "binary", "project"]]
    start_ms: Count


class Failed(_Wire, frozen=True, tag_field="type", tag="failed"):
    """The plugin did not start."""

    kind: Literal["config", "start"]
    message: str
    traceback: str


class Partial(_Wire, frozen=True, tag_field="type", tag="partial"):
    """Some items of an answer."""

    id: Count
    items: list[Item]


class Result(_Wire, frozen=True, tag_field="type", tag="result"):
    """The last items of an answer."""

    id: Count
    items: list[Item]


class Bye(_Wire, frozen=True, tag_field="type", tag="bye"):
    """The worker ends as it was asked to."""


Message = Hello | Refused | Ready | Failed | Partial | Result | Bye
_DECODER: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings of one file that hold, and what was wrong with the others."""

    findings: tuple[Finding, ...]
    problems: tuple[str, ...]


def parse(body: bytes) -> Message:
    """Return the message of a frame's body. Raises ViolationError."""
    try:
        message: Message = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise ViolationError(f"a message that is not of the protocol: {error}") from None
    return message


def check_rules(declared: Sequence[WireRule]) -> dict[str, Rule]:
    """Return the declared rules by id. Raises ViolationError for one that cannot be a rule."""
    rules: dict[str, Rule] = {}
    for wire in declared:
        try:
            rule = Rule(
                id=wire.id,
                title=clean(wire.title, 200),
                severity=Severity(wire.severity),
                confidence=Confidence(wire.confidence),
                description=clean(wire.description),
                help=clean(wire.help, _LONGEST_HELP),
                cwe=tuple(wire.cwe[:32]),
                owasp=tuple(wire.owasp[:32]),
                tags=tuple(clean(tag, 100) for tag in wire.tags[:64]),
                references=tuple(clean(entry, 500) for entry in wire.references[:64]),
            )
        except ValueError as error:
            raise ViolationError(f"a rule that cannot be one: {clean(str(error), 200)}") from None
        if rule.id in rules:
            raise ViolationError(f"the rule {rule.id} is declared twice")
        rules[rule.id] = rule
    return rules


def check_item(
    item: Item,
    *,
    rules: Mapping[str, Rule],
    files: Mapping[int, PurePosixPath],
    lines_of: Callable[[int], Sequence[str] | None],
) -> Checked:
    """Judge the findings of one item.

    `files` are the files that its findings may be about, by number; `lines_of` gives the lines of
    one of them, None for a file that has no lines. Raises ViolationError for a foreign file.
    """
    findings: list[Finding] = []
    problems: list[str] = []
    seen: set[bytes] = set()
    for wire in item.findings:
        try:
            encoded = msgspec.json.encode(wire)
            if encoded in seen:
                continue
            seen.add(encoded)
            findings.append(_finding(wire, rules, files, lines_of))
        except ValueError as error:
            if len(problems) < _MOST_PROBLEMS:
                problems.append(clean(str(error), 300))
    if item.capped:
        problems.append(f"more than {MOST_FINDINGS_PER_FILE} findings; the rest is left out")
    return Checked(tuple(findings), tuple(problems))


def clean(text: str, limit: int = _LONGEST_TEXT) -> str:
    """Return the text without control, direction and half characters, cut at the limit."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.translate(_UNSAFE)


def _finding(
    wire: WireFinding,
    rules: Mapping[str, Rule],
    files: Mapping[int, PurePosixPath],
    lines_of: Callable[[int], Sequence[str] | None],
) -> Finding:
    if wire.rule not in rules:
        raise ValueError(f"a finding names the rule {clean(wire.rule, 128)!r}, not declared")
    evidence = list(wire.evidence.items())[:_MOST_EVIDENCE]
    return Finding(
        rule_id=wire.rule,
        message=clean(wire.message),
        location=_location(wire.at, files, lines_of),
        severity=Severity(wire.severity),
        confidence=Confidence(wire.confidence),
        evidence={clean(key, 200): clean(value) for key, value in evidence},
        flow=tuple(
            Step(location=_location(step.at, files, lines_of), message=clean(step.message))
            for step in wire.flow
        ),
        fix=None if wire.fix is None else clean(wire.fix),
    )


def _location(
    at: At,
    files: Mapping[int, PurePosixPath],
    lines_of: Callable[[int], Sequence[str] | None],
) -> Location:
    path = files.get(at.file)
    if path is None:
        raise ViolationError(f"a finding is about file {at.file}, which was not asked")
    if at.region is None:
        return Location(path=path)
    lines = lines_of(at.file)
    if lines is None:
        raise ValueError(f"a finding names lines of {path}, which has none")
    start_line, start_column, end_line, end_column = at.region
    last = len(lines)
    if not 1 <= start_line <= end_line <= last:
        raise ValueError(f"a finding is about lines {start_line} to {end_line} of {last} in {path}")
    region = Region(
        start_line=start_line,
        start_column=min(start_column, len(lines[start_line - 1]) + 1),
        end_line=end_line,
        end_column=min(end_column, len(lines[end_line - 1]) + 1),
    )
    shown = lines[start_line - 1 : min(end_line, start_line - 1 + _MOST_SNIPPET_LINES)]
    return Location(path=path, region=region, snippet="\n".join(shown)[:_LONGEST_SNIPPET])
