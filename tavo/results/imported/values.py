"""Reading the JSON of a SARIF file, in which anything may be of any type.

Rules this module keeps:
- what has the wrong type is as if it were not there, except where that loses a finding;
- text is bounded, and what is lost on the way is counted, with the first example.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tavo.printable import one_line

__all__ = ["Lost", "bounded", "index_in", "mapping", "mappings", "plain_text", "text", "whole"]

_EMPTY: Mapping[str, Any] = {}
_MARK = re.compile(r"\\([\[\]])|\[((?:[^\[\]\\]|\\.)*)\]\(([^()\s]*)\)|\{\{|\}\}|\{(\d{1,3})\}")
_ESCAPED = re.compile(r"\\([\\\[\]])")


class Lost:
    """What could not be taken over, counted by reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._findings: set[str] = set()

    def add(self, reason: str, example: str = "", *, finding: bool = False) -> None:
        """Count one; `finding`: a claim was lost, not only a part of one."""
        self._counts[reason] += 1
        self._first.setdefault(reason, example)
        if finding:
            self._findings.add(reason)

    def sentences(self) -> Iterator[tuple[str, bool]]:
        """Yield a clause for each reason, and whether findings were lost."""
        for reason, count in self._counts.items():
            example = self._first[reason]
            first = f" (first: {one_line(example)[:200]})" if example else ""
            yield f"{reason}: {count}{first}", reason in self._findings


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, Mapping) else _EMPTY


def mappings(value: Any) -> Sequence[Mapping[str, Any]]:
    """Return a list with an object at each place, an empty list for anything else."""
    return [mapping(one) for one in value] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Return a text, an empty one for anything else."""
    return value if isinstance(value, str) else ""


def whole(value: Any, *, least: int) -> int | None:
    """Return a whole number from `least` to 2^31, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if least <= value < 1 << 31 and value == int(value) else None


def index_in(value: Any, items: Sequence[Any]) -> int | None:
    """Return an index into a list; SARIF's -1, and what is out of it, is none."""
    index = whole(value, least=0)
    return index if index is not None and index < len(items) else None


def bounded(value: str, most: int) -> str:
    """Return a text with at most so many characters, a cut one with an ellipsis."""
    return value if len(value) <= most else f"{value[: most - 1]}…"


def plain_text(value: str, arguments: Sequence[Any] = ()) -> str:
    """Return a message as a person reads it: links as text, placeholders filled (section 3.11)."""

    def shown(found: re.Match[str]) -> str:
        escaped, label, target, number = found.groups()
        if escaped is not None:
            return escaped
        if label is not None:
            label = _ESCAPED.sub(r"\1", label)
            return label if not target or target.isdigit() else f"{label} ({target})"
        if not arguments:
            return found.group()
        if number is None:
            return found.group()[0]
        at = int(number)
        return text(arguments[at]) if at < len(arguments) else found.group()

    return _MARK.sub(shown, value)
