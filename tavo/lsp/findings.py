"""What is known about each open document, and what of it is shown now.

Rules this module keeps:
- findings belong to the text that they were found in; for a later one they are shown where their
  lines are now, and not at all where these have changed;
- while a text does not parse, what was found before in lines that have not changed stays, because
  half a line that somebody is typing must not take away what the others show;
- what several files show together is shown beside what the file shows by itself, each once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tavo.lsp.documents import Spot, Subject
from tavo.lsp.lines import Span, moved
from tavo.plugins import Finding, Location, Rule, Severity
from tavo.scan.results import FileResult, Hit

__all__ = ["Known", "Shown", "span_of"]

_IN_PART = "parsed in part"


class Shown(msgspec.Struct, frozen=True):
    """A finding, its rule, and where it is now."""

    key: str
    finding: Finding
    rule: Rule
    spot: Spot


class _Answer(msgspec.Struct, frozen=True):
    """What was said about a text: its lines, the findings that count, and what was not done."""

    pieces: tuple[str, ...]
    hits: tuple[Hit, ...]
    problems: tuple[str, ...] = ()


class Known:
    """What is known about one document or notebook."""

    def __init__(self) -> None:
        self._own: _Answer | None = None
        self._whole: _Answer | None = None
        self._far: _Answer | None = None
        self.looked_at: tuple[str, ...] | None = None

    def look(self, pieces: tuple[str, ...], result: FileResult) -> None:
        """Take over what a text shows by itself."""
        answer = _Answer(pieces, _counting(result.hits), result.problems)
        self._own = answer
        self.looked_at = pieces
        if not any(problem.startswith(_IN_PART) for problem in result.problems):
            self._whole = answer

    def look_together(self, pieces: tuple[str, ...], hits: Iterable[Hit]) -> bool:
        """Take over what it shows together with other files; tell whether that is something new."""
        before = self._far
        self._far = _Answer(pieces, _counting(hits))
        known = () if before is None else before.hits
        return self._far.hits != known

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what was not done."""
        return () if self._own is None else self._own.problems

    def shown(self, subject: Subject, rules: Mapping[str, Rule], *, least: Severity) -> list[Shown]:
        """Return the findings that are shown, in the order of the text."""
        now = subject.pieces
        found: dict[tuple[str, int, int], tuple[Hit, Span]] = {}
        answers: list[_Answer | None] = [self._own, self._far]
        if self._own is not self._whole:
            answers.insert(1, self._whole)
        for answer in answers:
            for hit, span in _moved(answer, now):
                key = hit.finding.rule_id, span.start_line, span.start_column
                found.setdefault(key, (hit, span))
        shown = []
        for (rule_id, line, column), (hit, span) in sorted(found.items(), key=_place):
            spot, rule = subject.spot(span), rules.get(rule_id)
            if spot is None or rule is None or hit.finding.severity < least:
                continue
            shown.append(Shown(f"{rule_id}:{line}:{column}", hit.finding, rule, spot))
        return shown


def span_of(location: Location) -> Span:
    """Return where something is in the text that it was found in; the beginning if it says not."""
    region = location.region
    if region is None:
        return Span(1, 1, 1, 1)
    return Span(region.start_line, region.start_column, region.end_line, region.end_column)


def _counting(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    return tuple(hit for hit in hits if hit.ignore is None)


def _moved(answer: _Answer | None, now: Sequence[str]) -> Iterable[tuple[Hit, Span]]:
    if answer is None:
        return
    same = answer.pieces == now
    for hit in answer.hits:
        span = span_of(hit.finding.location)
        place = span if same else moved(answer.pieces, now, span)
        if place is not None:
            yield hit, place


def _place(item: tuple[tuple[str, int, int], object]) -> tuple[int, int, str]:
    (rule_id, line, column), _ = item
    return line, column, rule_id
