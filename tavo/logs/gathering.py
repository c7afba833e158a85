"""Hits of rules, put together in the order of the files: incidents, and what correlations find.

Rules this module keeps:
- a correlation of correlations sees what they find;
- what a correlation found and reported may go on: then its incident grows, and no other begins;
- what correlations left out, or had to forget, is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tavo.logs.incidents import Incident, Place, plain
from tavo.logs.reports import LogProblem, records_in_words, span_in_words
from tavo.logs.sigma.correlation import Correlation, Correlator, Group
from tavo.logs.sigma.rules import LogRule
from tavo.logs.work import Hit

__all__ = ["Gathering", "Taker"]


class Taker(Protocol):
    """What makes incidents of hits and of what correlations find."""

    def add(
        self, rule: str, place: Place, brief: Mapping[str, str], seen: Mapping[str, str]
    ) -> None:
        """Take a hit of a rule."""

    def add_group(
        self,
        rule: str,
        actor: tuple[str, str],
        places: list[Place],
        numbers: Mapping[str, str],
        *,
        count: int | None = None,
    ) -> Incident:
        """Take what a correlation found; `count` is of records, where not all are given."""

    def grow(
        self, rule: str, incident: Incident, places: Iterable[Place], numbers: Mapping[str, str]
    ) -> Incident:
        """Take more records of what a correlation found; return the incident that they are in."""


class Gathering:
    """Takes the hits of one run. `met` are the correlations that were met."""

    def __init__(
        self,
        incidents: Taker,
        rules: Sequence[LogRule],
        correlators: Mapping[str, Correlator] | None = None,
    ) -> None:
        self.incidents = incidents
        self.met: set[str] = set()
        self.stretches: dict[tuple[str, Group], tuple[Incident, float]] = {}
        self._rules = {rule.id: rule for rule in rules}
        self.correlators = correlators or {
            rule.id: Correlator(rule.correlation) for rule in rules if rule.correlation is not None
        }
        self._chained: dict[str, list[str]] = {}
        for rule in rules:
            for name in rule.correlation.rules if rule.correlation is not None else ():
                self._chained.setdefault(name, []).append(rule.id)

    def take(self, hits: Iterable[Hit], *, name: str, line: int, offset: int) -> None:
        """Take the hits of a block of the log `name` that begins with a line and an offset.

        The line counts from 0.
        """
        for hit in hits:
            place = Place(
                name, line + hit.line + 1, offset + hit.offset, hit.length, hit.time, hit.snippet
            )
            known = self._rules.get(hit.rule)
            if known is None or known.reported:
                self.incidents.add(hit.rule, place, hit.brief, hit.seen)
            for correlated, group, value in hit.groups:
                self._feed(correlated, hit.rule, place, group, value)

    def _feed(
        self, correlated: str, rule: str, place: Place, group: Group | None, value: Any
    ) -> None:
        correlator = self.correlators[correlated]
        correlation = correlator.correlation
        for found, number, last, places in correlator.feed(rule, place.time, group, value, place):
            self.met.add(correlated)
            self._chain(
                correlated, dict(zip(correlation.group_by, found, strict=True)), last, place
            )
            if not self._rules[correlated].reported:
                continue
            actor = (
                (", ".join(correlation.group_by), ", ".join(found)) if found else ("others", "all")
            )
            numbers = {_measured(correlation): plain(number)}
            incident = self.incidents.add_group(correlated, actor, places, numbers)
            self.stretches[correlated, found] = incident, number
        if correlator.grown is not None:
            found, number, places = correlator.grown
            stretch = self.stretches.get((correlated, found))
            if stretch is not None:
                incident, most = stretch
                numbers = {_measured(correlation): plain(number)} if number > most else {}
                incident = self.incidents.grow(correlated, incident, places, numbers)
                self.stretches[correlated, found] = incident, max(most, number)

    def _chain(self, rule: str, values: Mapping[str, str], last: float, place: Place) -> None:
        """Let correlations of correlations see one."""
        for name in self._chained.get(rule, ()):
            correlation = self.correlators[name].correlation
            fields = correlation.fields_for(rule, self._rules[rule].names)
            group = tuple(values[one] for one in fields) if values.keys() >= set(fields) else None
            at = msgspec.structs.replace(place, time=last)
            self._feed(name, rule, at, group, values.get(correlation.field))

    def problems(self) -> Iterator[LogProblem]:
        """Yield which correlations were not complete."""
        for name, correlator in self.correlators.items():
            if correlator.left_out:
                yield LogProblem(
                    subject=name, incomplete=False,
                    reason=f"{records_in_words(correlator.left_out)} took no part in the correlation: without a time, or without {', '.join(correlator.correlation.group_by) or 'a number'}",  # noqa: E501
                )  # fmt: skip
            if correlator.forgotten:
                yield LogProblem(
                    subject=name,
                    reason=f"{correlator.forgotten} groups were forgotten before their time: there were too many at once",  # noqa: E501
                )


def _measured(correlation: Correlation) -> str:
    """Return what a correlation counts, in words."""
    of = f" of {correlation.field}" if correlation.field else ""
    return f"{correlation.kind.replace('_', ' ')}{of} in {span_in_words(correlation.span_s)}"
