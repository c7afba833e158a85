"""Hits of rules -> incidents: what one actor did in one stretch of time, with its timeline.

Rules this module keeps:
- hits of a rule by the same actor, no further apart than the gap, are one incident; the actor is
  the user, else the key, else the address, else the conversation;
- an incident keeps the first records and counts the others, so that its size is bounded, and so is
  the number of incidents of a rule: what is over it is counted in the last one;
- the order in which hits come does not matter;
- credentials are masked in all that a finding shows.

Units: times in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from tavo.logs.masking import masked
from tavo.logs.times import as_text
from tavo.plugins import Finding, Location, Region, Rule, Step
from tavo.printable import counted

__all__ = ["GAP_S", "Incident", "Incidents", "Place", "actor_of", "finding_of", "plain"]

GAP_S = 3600.0
_ACTOR = ("user.id", "api_key.id", "client.address", "gen_ai.conversation.id")
_MOST_RECORDS = 12
_MOST_OF_A_RULE = 5000
_MOST_VALUES = 8


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a record is, and when it was; `line` from 1, `offset` and `length` in bytes."""

    source: str
    line: int
    offset: int
    length: int
    time: float | None
    snippet: str = ""


class Incident:
    """One incident that is being made."""

    __slots__ = ("actor", "count", "first", "last", "numbers", "places", "seen", "values")

    def __init__(self, actor: tuple[str, str]) -> None:
        self.actor = actor
        self.count = 0
        self.first: float | None = None
        self.last: float | None = None
        self.places: list[Place] = []
        self.seen: dict[str, str] = {}
        self.values: dict[str, dict[str, int]] = {}
        self.numbers: dict[str, str] = {}

    def take(self, place: Place, brief: Mapping[str, str], seen: Mapping[str, str]) -> None:
        """Add a record."""
        self.count += 1
        if place.time is not None:
            self.first = place.time if self.first is None else min(self.first, place.time)
            self.last = place.time if self.last is None else max(self.last, place.time)
        if len(self.places) < _MOST_RECORDS:
            self.places.append(place)
        if not self.seen:
            self.seen.update(seen)
        for field, value in brief.items():
            counts = self.values.setdefault(field, {})
            if value in counts or len(counts) < _MOST_VALUES:
                counts[value] = counts.get(value, 0) + 1


class Incidents:
    """All incidents of a run, by rule."""

    def __init__(self, gap_s: float = GAP_S) -> None:
        self._gap = gap_s
        self._of_rule: dict[str, dict[tuple[str, str], list[Incident]]] = {}
        self._count: dict[str, int] = {}

    def add(
        self, rule: str, place: Place, brief: Mapping[str, str], seen: Mapping[str, str]
    ) -> None:
        """Take a hit of a rule."""
        self._incident(rule, actor_of(brief, place), place.time).take(place, brief, seen)

    def add_group(
        self,
        rule: str,
        actor: tuple[str, str],
        places: list[Place],
        numbers: Mapping[str, str],
        *,
        count: int | None = None,
    ) -> Incident:
        """Take what a correlation found: a group, its records, and the figures that met it.

        `count` is how many records there are where not all of them are given.
        """
        incident = self._new(rule, actor)
        for place in places:
            incident.take(place, {}, {})
        incident.count = len(places) if count is None else count
        incident.numbers.update(numbers)
        return incident

    def grow(
        self, rule: str, incident: Incident, places: Iterable[Place], numbers: Mapping[str, str]
    ) -> Incident:
        """Take more records of what a correlation found; new figures are larger ones."""
        for place in places:
            incident.take(place, {}, {})
        incident.numbers.update(numbers)
        return incident

    def _incident(self, rule: str, actor: tuple[str, str], time: float | None) -> Incident:
        known = self._of_rule.setdefault(rule, {}).get(actor, ())
        for incident in reversed(known):
            if time is None or incident.first is None or incident.last is None:
                if (time is None) == (incident.first is None):
                    return incident
            elif incident.first - self._gap <= time <= incident.last + self._gap:
                return incident
        return self._new(rule, actor)

    def _new(self, rule: str, actor: tuple[str, str]) -> Incident:
        count = self._count[rule] = self._count.get(rule, 0) + 1
        if count > _MOST_OF_A_RULE:
            actor = ("others", "more than can be listed one by one")
        known = self._of_rule.setdefault(rule, {}).setdefault(actor, [])
        if count > _MOST_OF_A_RULE and known:
            return known[0]
        incident = Incident(actor)
        known.append(incident)
        return incident

    def findings(self, rules: Mapping[str, Rule]) -> Iterator[tuple[Finding, Rule]]:
        """Yield a finding for each incident, by the file and line of its first record."""
        every = [
            (incident, rules[rule])
            for rule, by_actor in self._of_rule.items()
            for incidents in by_actor.values()
            for incident in incidents
        ]
        every.sort(key=lambda one: (one[0].places[0].source, one[0].places[0].line, one[1].id))
        for incident, rule in every:
            yield finding_of(incident, rule), rule

    def __iter__(self) -> Iterator[Incident]:
        for by_actor in self._of_rule.values():
            for incidents in by_actor.values():
                yield from incidents

    def of_rule(self, rule: str) -> list[Incident]:
        """Return the incidents of a rule."""
        return [one for incidents in self._of_rule.get(rule, {}).values() for one in incidents]

    def __len__(self) -> int:
        return sum(len(one) for by in self._of_rule.values() for one in by.values())


def actor_of(brief: Mapping[str, str], place: Place) -> tuple[str, str]:
    """Return who did what a record is about: the field that says so, and its value."""
    return next(
        ((field, brief[field]) for field in _ACTOR if brief.get(field)), ("source", place.source)
    )


def finding_of(incident: Incident, rule: Rule, *, more: Mapping[str, str] | None = None) -> Finding:
    """Return an incident as a finding of its rule; `more` is more evidence."""
    places = sorted(incident.places, key=lambda p: (p.time or 0.0, p.source, p.line))
    first = incident.places[0]
    evidence = {"records": str(incident.count)}
    if incident.first is not None:
        evidence["first"] = as_text(incident.first)
        evidence["last"] = as_text(incident.last)
    evidence |= incident.numbers
    for field, counts in incident.values.items():
        evidence[field] = ", ".join(
            f"{value} ({count})" if len(counts) > 1 else value for value, count in counts.items()
        )
    evidence |= {f"seen in {field}": text for field, text in incident.seen.items()}
    evidence = {name: masked(text) for name, text in evidence.items()}
    if known := [f"{p.source}@{p.offset}+{p.length}" for p in places if p.length]:
        evidence["offsets"] = ", ".join(known)
    evidence |= more or {}
    flow: tuple[Step, ...] = ()
    if len(places) > 1:
        flow = tuple(
            Step(location=_location(place), message=as_text(place.time) or "no time")
            for place in places
        )
    return Finding(
        rule_id=rule.id,
        message=_message(incident, rule),
        location=_location(first),
        severity=rule.severity,
        confidence=rule.confidence,
        evidence=evidence,
        flow=flow,
    )


def _message(incident: Incident, rule: Rule) -> str:
    field, actor = incident.actor
    who = f" by {actor}" if field not in {"source", "others"} else ""
    parts = [f"{rule.title}: {counted(incident.count, 'record')}{who}"]
    if incident.first is not None:
        same = as_text(incident.first) == as_text(incident.last)
        parts.append(
            f"at {as_text(incident.first)}" if same
            else f"from {as_text(incident.first)} to {as_text(incident.last)}"
        )  # fmt: skip
    said = " ".join(parts) + "."
    if incident.numbers:
        said += (
            " " + "; ".join(f"{name}: {value}" for name, value in incident.numbers.items()) + "."
        )
    for seen, text in list(incident.seen.items())[:2]:
        said += f"\n{seen}: {' '.join(text.split())}"
    return masked(said)


def _location(place: Place) -> Location:
    return Location(
        path=PurePosixPath(place.source),
        region=Region(start_line=place.line, end_line=place.line, end_column=2),
        snippet=place.snippet,
    )


def plain(value: Any) -> str:
    """Return a value for people."""
    return f"{value:,.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
