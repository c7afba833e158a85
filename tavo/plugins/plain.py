"""Rules and findings as plain JSON, on the worker's side of the wire.

Rules this module keeps:
- texts are cut at a limit, lists at a number, so that one answer stays within a frame;
- standard library only, and nothing that a static plugin does not need.

Units: lengths in characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from tavo.plugins.types import Finding, Location, Rule

__all__ = [
    "clip",
    "finding_to_plain",
    "permission_asked",
    "rule_to_plain",
]

_LONGEST_TEXT = 4096
_MOST_STEPS = 256
_MOST_EVIDENCE = 64


def permission_asked(kind: str, content: Mapping[str, Any]) -> tuple[str, str]:
    """Return which permission a question to the host needs, and for what."""
    if kind == "http":
        return "network", str(content.get("url")).partition("://")[2].partition("/")[0]
    if kind == "run":
        return "subprocess", str(content.get("program"))
    return "files", str(content.get("path") or content.get("pattern"))


def clip(text: str, limit: int = _LONGEST_TEXT) -> str:
    """Return the text, cut at the limit with a sign that it was."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def rule_to_plain(rule: Rule) -> dict[str, Any]:
    """Return a declared rule."""
    return {
        "id": rule.id, "title": rule.title, "severity": rule.severity.value,
        "confidence": rule.confidence.value, "description": rule.description, "help": rule.help,
        "cwe": list(rule.cwe), "owasp": list(rule.owasp), "tags": list(rule.tags),
        "references": list(rule.references),
    }  # fmt: skip


def finding_to_plain(finding: object, numbers: Mapping[PurePosixPath, int]) -> dict[str, Any]:
    """Return a finding; `numbers` gives the number of each file that it may be about.

    Raises TypeError for what is no finding, ValueError for one about another file.
    """
    if not isinstance(finding, Finding):
        raise TypeError(f"yielded {clip(repr(finding), 200)}, expected tavo.plugins.Finding")
    return {
        "rule": finding.rule_id,
        "message": clip(finding.message),
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "at": _location(finding.location, numbers),
        "evidence": {
            clip(k, 200): clip(v) for k, v in _first(finding.evidence.items(), _MOST_EVIDENCE)
        },
        "flow": [
            {"at": _location(step.location, numbers), "message": clip(step.message)}
            for step in finding.flow[:_MOST_STEPS]
        ],
        "fix": None if finding.fix is None else clip(finding.fix),
    }


def _location(location: Location, numbers: Mapping[PurePosixPath, int]) -> dict[str, Any]:
    number = numbers.get(location.path)
    if number is None:
        raise ValueError(f"a finding is about {location.path}, which this call was not given")
    region = location.region
    return {
        "file": number,
        "region": None
        if region is None
        else [region.start_line, region.start_column, region.end_line, region.end_column],
    }


def _first(items: Iterable[tuple[str, str]], most: int) -> Iterator[tuple[str, str]]:
    for count, item in enumerate(items):
        if count >= most:
            return
        yield item
