"""The values that plugins and engines exchange: rules, locations, findings.

Rules this module keeps:
- standard library only: it is loaded in a plugin's process beside the plugin's own libraries;
- every value is frozen, slotted, keyword-only and checks itself when made (`ValueError`);
- there is one `Finding` in tavo: built-in rules and plugins make the same type.

Units: lines and columns count from 1, columns count code points, an end column is exclusive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tavo.plugins.levels import Confidence, Severity

__all__ = [
    "Confidence",
    "Finding",
    "Location",
    "Region",
    "Rule",
    "Severity",
    "Step",
]

_RULE_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?\Z")
_CWE = re.compile(r"CWE-[1-9][0-9]{0,5}\Z")
_OWASP = re.compile(r"(?:LLM|ASI)(?:0[1-9]|10)(?::20[0-9]{2})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to look for. SARIF calls it a reportingDescriptor.

    `id` is 1 to 128 of `A-Z a-z 0-9 . _ -`, unique within its pack or plugin; ours are lower case.
    `cwe` holds `CWE-94` forms, `owasp` holds `LLM05:2025` or `ASI05:2026` forms.
    `help` is Markdown: why it matters, how to mend it, before and after.
    """

    id: str
    title: str
    severity: Severity
    confidence: Confidence = Confidence.MEDIUM
    description: str = ""
    help: str = ""
    cwe: tuple[str, ...] = ()
    owasp: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _RULE_ID.match(self.id):
            raise ValueError(
                f"rule id {self.id!r}: use letters, digits, '.', '_', '-', at most 128"
            )
        if not self.title.strip():
            raise ValueError(f"rule {self.id}: the title is empty")
        _check_type(self.severity, Severity, f"rule {self.id}: severity")
        _check_type(self.confidence, Confidence, f"rule {self.id}: confidence")
        for entry in self.cwe:
            if not _CWE.match(entry):
                raise ValueError(f"rule {self.id}: {entry!r} is not a CWE id like CWE-94")
        for entry in self.owasp:
            if not _OWASP.match(entry):
                raise ValueError(f"rule {self.id}: {entry!r} is not an OWASP id like LLM05:2025")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Region:
    """A stretch of a text file; lines and columns from 1, the end column is exclusive."""

    start_line: int
    start_column: int = 1
    end_line: int
    end_column: int

    def __post_init__(self) -> None:
        for name in ("start_line", "start_column", "end_line", "end_column"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"region: {name} is {value!r}, expected a whole number from 1")
        if (self.end_line, self.end_column) < (self.start_line, self.start_column):
            raise ValueError(
                f"region ends at {self.end_line}:{self.end_column}, before its start"
                f" {self.start_line}:{self.start_column}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where something is: a file, and in a text file a region with its source lines.

    `path` is relative to the root of the scan, with `/` between its parts and no `..`.
    `snippet` holds the whole source lines of the region, without the last line end.
    `region` is None for a file as a whole, such as a binary.
    """

    path: PurePosixPath
    region: Region | None = None
    snippet: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.path, PurePosixPath):
            raise ValueError(f"location: path {self.path!r} is not a PurePosixPath")
        if self.path.is_absolute() or ".." in self.path.parts or not self.path.parts:
            raise ValueError(f"location: path {str(self.path)!r} is not relative to the scan")
        if "\0" in str(self.path):
            raise ValueError("location: path holds a NUL character")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step on the way of tainted data: where it is and what happens there."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One claim that a rule holds at a location, with its evidence. SARIF calls it a result.

    `evidence` maps short names to short texts (metavariable bindings, an opcode, a score).
    `flow` leads from the source to the sink, in order, when the claim is about data flow.
    `fix` is replacement text for the location's region, when a safe one is known.
    """

    rule_id: str
    message: str
    location: Location
    severity: Severity
    confidence: Confidence = Confidence.MEDIUM
    evidence: Mapping[str, str] = field(default_factory=dict)
    flow: tuple[Step, ...] = ()
    fix: str | None = None

    def __post_init__(self) -> None:
        if not _RULE_ID.match(self.rule_id):
            raise ValueError(f"finding: rule id {self.rule_id!r} is not a valid rule id")
        if not self.message.strip():
            raise ValueError(f"finding of {self.rule_id}: the message is empty")
        _check_type(self.severity, Severity, f"finding of {self.rule_id}: severity")
        _check_type(self.confidence, Confidence, f"finding of {self.rule_id}: confidence")
        _check_type(self.location, Location, f"finding of {self.rule_id}: location")
        for key, value in self.evidence.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise ValueError(f"finding of {self.rule_id}: evidence {key!r} is not text")
        object.__setattr__(self, "evidence", dict(self.evidence))


def _check_type(value: object, expected: type, what: str) -> None:
    if not isinstance(value, expected):
        raise ValueError(f"{what} is {value!r}, expected a {expected.__name__}")
