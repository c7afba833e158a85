"""Hits of rules, put together in the order of the files: incidents, and what correlations find.

Rules this module keeps:
- a correlation of correlations sees what they find;
- what a correlation found and reported may go on: then its incident grows, and no other begins;
- what correlations left out, or had to forget, is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from tavo.logs.incidents import Incident, Place, plain
from tavo.logs.reports import LogProblem, span_in_words
from tavo.logs.sigma.correlation import Correlation
from tavo.logs.sigma.correlator import Batch, Correlator, Group, Met
from tavo.logs.sigma.rules import LogRule
from tavo.logs.work import Fed, Hit
from tavo.printable import counted

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
        self._ranks = {rule.id: rank for rank, rule in enumerate(rules)}
        self.correlators = correlators or {
            rule.id: Correlator(rule.correlation) for rule in rules if rule.correlation is not None
        }
        self._chained: dict[str, list[str]] = {}
        for rule in rules:
            for name in rule.correlation.rules if rule.correlation is not None else ():
                self._chained.setdefault(name, []).append(rule.id)

    def take(
        self, hits: Iterable[Hit], fed: Iterable[Fed] = (), *, name: str, line: int, offset: int
    ) -> None:
        """Take what a block of the log `name` shows, which begins with a line and an offset.

        The line counts from 0.
        """
        batches: dict[str, list[Batch]] = {}
        by_rule: dict[tuple[str, str], Batch] = {}
        for hit in hits:
            place = Place(
                name, line + hit.line + 1, offset + hit.offset, hit.length, hit.time, hit.snippet
            )
            known = self._rules.get(hit.rule)
            if known is None or known.reported:
                self.incidents.add(hit.rule, place, hit.brief, hit.seen)
            for correlated, group, value in hit.groups:
                if group is None or hit.time is None:
                    self.correlators[correlated].left_out += 1
                    continue
                batch = by_rule.get((correlated, hit.rule))
                if batch is None:
                    batch = Batch(hit.rule, self._ranks[hit.rule], name, line, [], [], [], [], [])
                    by_rule[correlated, hit.rule] = batch
                    batches.setdefault(correlated, []).append(batch)
                batch.add(hit.line, hit.time, group, value, place)
        for one in fed:
            self.correlators[one.correlation].left_out += one.left_out
            batches.setdefault(one.correlation, []).append(Batch(
                one.rule, self._ranks[one.rule], name, line, one.lines, one.times, one.groups,
                one.values,
            ))  # fmt: skip
        for correlated, taken in batches.items():
            taken.sort(key=_rank)
            for met in self.correlators[correlated].take(taken):
                self._met(correlated, met)

    def _met(self, correlated: str, met: Met) -> None:
        correlation = self.correlators[correlated].correlation
        numbers = {_measured(correlation): plain(met.number)}
        if met.again:
            stretch = self.stretches.get((correlated, met.group))
            if stretch is not None:
                incident, most = stretch
                incident = self.incidents.grow(
                    correlated, incident, met.places, numbers if met.number > most else {}
                )
                self.stretches[correlated, met.group] = incident, max(most, met.number)
            return
        self.met.add(correlated)
        values = dict(zip(correlation.group_by, met.group, strict=True))
        self._chain(correlated, values, met.last, met.by)
        if not self._rules[correlated].reported:
            return
        actor = ("others", "all")
        if met.group:
            actor = (", ".join(correlation.group_by), ", ".join(met.group))
        incident = self.incidents.add_group(correlated, actor, met.places, numbers)
        self.stretches[correlated, met.group] = incident, met.number

    def _chain(self, rule: str, values: Mapping[str, str], last: float, place: Place) -> None:
        """Let correlations of correlations see one."""
        for name in self._chained.get(rule, ()):
            correlation = self.correlators[name].correlation
            fields = correlation.fields_for(rule, self._rules[rule].names)
            group = tuple(values[one] for one in fields) if values.keys() >= set(fields) else None
            if group is None:
                self.correlators[name].left_out += 1
                continue
            at = msgspec.structs.replace(place, time=last)
            batch = Batch(rule, self._ranks[rule], place.source, 0, [], [], [], [], [])
            batch.add(0, last, group, values.get(correlation.field), at)
            for met in self.correlators[name].take([batch]):
                self._met(name, met)

    def problems(self) -> Iterator[LogProblem]:
        """Yield which correlations were not complete."""
        for name, correlator in self.correlators.items():
            if correlator.left_out:
                count = counted(correlator.left_out, "record")
                needed = _needed(correlator.correlation)
                yield LogProblem(
                    subject=name, incomplete=False,
                    reason=f"{count} took no part in the correlation: without {needed}",
                )  # fmt: skip
            if correlator.forgotten:
                yield LogProblem(
                    subject=name,
                    reason=f"{correlator.forgotten} groups were forgotten before their time: there were too many at once",  # noqa: E501
                )


def _needed(correlation: Correlation) -> str:
    """Return what a record must have to take part, in words."""
    fields = dict.fromkeys((*correlation.group_by, correlation.field))
    named = ", ".join(one for one in fields if one)
    return f"a time, or without {named}" if named else "a time"


def _rank(one: Batch) -> int:
    return one.rank


def _measured(correlation: Correlation) -> str:
    """Return what a correlation counts, in words."""
    of = f" of {correlation.field}" if correlation.field else ""
    return f"{correlation.kind.replace('_', ' ')}{of} in {span_in_words(correlation.span_s)}"
