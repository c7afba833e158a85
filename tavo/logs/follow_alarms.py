"""Incidents while they go on: an alarm when one begins, and what it was when it is over.

Rules this module keeps:
- a hit belongs to the open incident of its rule and actor that is near in time, else it begins one;
- memory is bounded: beyond the most open incidents of a rule, further actors are one incident
  together, and beyond the most of all the one that was quiet for longest is closed early, counted;
- an incident is closed when no record that is still expected can belong to it.

Units: times in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tavo.logs.incidents import GAP_S, Incident, Place, actor_of

__all__ = ["Alarm", "OpenIncidents"]

_MOST = 2000
_MOST_OF_A_RULE = 400
_OTHERS = ("others", "more than can be told apart at once")


class Alarm(msgspec.Struct, kw_only=True):
    """An open incident of a rule. `number` counts all alarms of a checkpoint, from 1.

    `row` is for whoever stores it: the number of its row, 0 while it has none. `told` is how
    many records it had when it was said last, 0 before.
    """

    number: int
    rule: str
    incident: Incident
    row: int = 0
    told: int = 0


class OpenIncidents:
    """The incidents that go on. `changed` are the numbers of those that began or grew."""

    def __init__(
        self, gap_s: float = GAP_S, *, most: int = _MOST, spans_s: Mapping[str, float] | None = None
    ) -> None:
        """`spans_s` are those of correlations: what they found goes on for that long."""
        self.changed: set[int] = set()
        self.number = 0
        self.early = 0
        self.together = 0
        self._gap = gap_s
        self._spans = spans_s or {}
        self._most = most
        self._open: dict[int, Alarm] = {}
        self._by_actor: dict[tuple[str, tuple[str, str]], list[Alarm]] = {}
        self._count: dict[str, int] = {}
        self._of_incident: dict[int, Alarm] = {}
        self._closed: list[Alarm] = []

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Alarm]:
        return iter(self._open.values())

    # -- what comes

    def add(
        self, rule: str, place: Place, brief: Mapping[str, str], seen: Mapping[str, str]
    ) -> None:
        """Take a hit of a rule."""
        alarm = self._alarm(rule, actor_of(brief, place), place.time)
        alarm.incident.take(place, brief, seen)
        self.changed.add(alarm.number)

    def add_group(
        self,
        rule: str,
        actor: tuple[str, str],
        places: list[Place],
        numbers: Mapping[str, str],
        *,
        count: int | None = None,
    ) -> Incident:
        """Take what a correlation found."""
        alarm = self._new(rule, actor)
        incident = alarm.incident
        for place in places:
            incident.take(place, {}, {})
        if count is not None:
            incident.count = count
        incident.numbers.update(numbers)
        self.changed.add(alarm.number)
        return incident

    def grow(
        self, rule: str, incident: Incident, places: Iterable[Place], numbers: Mapping[str, str]
    ) -> Incident:
        """Take more records of what a correlation found; return the incident that they are in."""
        places = list(places)
        alarm = self._of_incident.get(id(incident))
        if alarm is None:  # it was closed early: what goes on is a new one
            if not places:
                return incident
            alarm = self._new(rule, incident.actor)
        for place in places:
            alarm.incident.take(place, {}, {})
        alarm.incident.numbers.update(numbers)
        self.changed.add(alarm.number)
        return alarm.incident

    def _alarm(self, rule: str, actor: tuple[str, str], time: float | None) -> Alarm:
        for alarm in reversed(self._by_actor.get((rule, actor), ())):
            first, last = alarm.incident.first, alarm.incident.last
            if time is None or first is None or last is None:
                if (time is None) == (first is None):
                    return alarm
            elif first - self._gap <= time <= last + self._gap:
                return alarm
        return self._new(rule, actor)

    def _new(self, rule: str, actor: tuple[str, str]) -> Alarm:
        if self._count.get(rule, 0) >= _MOST_OF_A_RULE:
            self.together += 1
            actor = _OTHERS
            if known := self._by_actor.get((rule, actor)):
                return known[-1]
        if len(self._open) >= self._most:
            self._close_quietest()
        self.number += 1
        alarm = Alarm(number=self.number, rule=rule, incident=Incident(actor))
        self._keep(alarm)
        return alarm

    def _keep(self, alarm: Alarm) -> None:
        self._open[alarm.number] = alarm
        self._by_actor.setdefault((alarm.rule, alarm.incident.actor), []).append(alarm)
        self._of_incident[id(alarm.incident)] = alarm
        self._count[alarm.rule] = self._count.get(alarm.rule, 0) + 1

    # -- what is over

    def close(self, before: float | None) -> None:
        """Close what cannot go on with records from a time on; everything for None.

        One without any time is closed with the last.
        """
        for alarm in list(self._open.values()):
            last = alarm.incident.last
            lasts = max(self._gap, self._spans.get(alarm.rule, 0.0))
            if before is None or (last is not None and last + lasts < before):
                self._close(alarm)

    def _close_quietest(self) -> None:
        """Close an eighth of the incidents, those that were quiet for longest."""
        by_last = sorted(self._open.values(), key=lambda one: one.incident.last or 0.0)
        for alarm in by_last[: max(1, len(by_last) // 8)]:
            self._close(alarm)
            self.early += 1

    def _close(self, alarm: Alarm) -> None:
        del self._open[alarm.number]
        del self._of_incident[id(alarm.incident)]
        key = (alarm.rule, alarm.incident.actor)
        rest = [one for one in self._by_actor[key] if one is not alarm]
        if rest:
            self._by_actor[key] = rest
        else:
            del self._by_actor[key]
        self._count[alarm.rule] -= 1
        self._closed.append(alarm)

    def taken(self) -> tuple[list[Alarm], list[Alarm]]:
        """Return the alarms that began or grew and those that are over, since it was asked."""
        closed, self._closed = self._closed, []
        gone = {alarm.number for alarm in closed}
        changed = [self._open[n] for n in sorted(self.changed - gone)]
        self.changed = set()
        return changed, closed

    # -- across a restart

    def restore(self, alarm: Alarm) -> None:
        """Take back an incident."""
        self._keep(alarm)
        self.number = max(self.number, alarm.number)

    def known(self, incident: Any) -> Alarm | None:
        """Return the alarm of an incident that is open."""
        return self._of_incident.get(id(incident))

    def numbered(self, number: int) -> Alarm | None:
        """Return an open alarm by its number."""
        return self._open.get(number)
