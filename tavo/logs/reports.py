"""What an analysis says of its logs besides findings: what was seen, and what was not done.

Rules this module keeps:
- a line that the strict parser refuses is counted, and the first of a log are named;
- what the lenient parser read in full makes nothing incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tavo.logs.lenient import SEVERAL, TWICE
from tavo.logs.work import Seen
from tavo.printable import counted

__all__ = [
    "LogProblem",
    "SourceReport",
    "add_seen",
    "broken_problems",
    "span_in_words",
]

_MOST_NAMED = 3

_HARMLESS = {SEVERAL, TWICE, "half a surrogate", "NaN as a number",
             "a number out of range", "Infinity as a number", "-Infinity as a number",
             "text before the JSON", "not valid UTF-8", "nested too deeply"}  # fmt: skip


class LogProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What was not done. `incomplete`: something may have been missed."""

    subject: str
    reason: str
    incomplete: bool = True


class SourceReport(msgspec.Struct, kw_only=True):
    """What was seen of one log. Sizes in bytes."""

    name: str
    format: str = ""
    how_sure: str = ""
    lines: int = 0
    events: int = 0
    candidates: int = 0
    size: int = 0
    broken: dict[str, int] = {}


def add_seen(report: SourceReport, named: list[str], seen: Seen, line: int) -> None:
    """Add what a block showed, which begins with a line, from 0; the first bad ones are named."""
    for number, what in seen.named:
        if len(named) < _MOST_NAMED:
            named.append(f"line {line + number + 1}: {what}")
    for what, count in seen.broken.items():
        report.broken[what] = report.broken.get(what, 0) + count
    report.lines += seen.lines
    report.events += seen.events
    report.candidates += seen.candidates


def broken_problems(report: SourceReport, named: Sequence[str]) -> Iterator[LogProblem]:
    """Yield what was wrong with lines of a log; `named` are the first, as `line 3: what`."""
    bad = {what: n for what, n in report.broken.items() if what not in _HARMLESS}
    good = {what: n for what, n in report.broken.items() if what in _HARMLESS}
    for group, incomplete in ((bad, True), (good, False)):
        if not group:
            continue
        listed = ", ".join(f"{what} ({count})" for what, count in sorted(group.items()))
        first = [one for one in named if one.partition(": ")[2] in group]
        where = f"; {'; '.join(first)}" if first else ""
        yield LogProblem(
            subject=report.name, incomplete=incomplete,
            reason=f"{counted(sum(group.values()), 'record')} that the strict parser refuses: {listed}{where}",  # noqa: E501
        )  # fmt: skip


def span_in_words(seconds: float) -> str:
    """Return a span of time as rules write it: 30s, 5m, 1h, 7d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"
