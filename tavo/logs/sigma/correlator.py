"""Runs a correlation: events of rules, counted and ordered within a span of time, by group.

Rules this module keeps:
- events come in any order, as those of several logs of the same day do; when one comes, the span
  that ends with it is looked at, and the one that ends with the last event that it reaches;
- events come in batches, those of one rule in one block. An outline says for which groups something
  may be met; the events of all others are put aside as they came, and nothing is done with them
  until their group is near to being met;
- memory is bounded: a group that is looked at keeps its latest 5,000 events, and there is a most of
  all events together. What is too old to be in a span with the newest event goes first; where an
  event that comes late would have needed it, or more had to go, it is counted and said;
- what belongs to a stretch that was reported is not reported again: one long attack is one finding,
  and it is said by which events it became longer;
- an event without a time, or without one of the fields to group by, takes no part, and is counted.

Times in seconds since 1970.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from tavo.logs.incidents import Place
from tavo.logs.sigma.correlation import Correlation
from tavo.logs.sigma.outline import Group, Outline

__all__ = ["Batch", "Correlator", "Group", "Met", "Window"]

_VALUES = {"value_sum", "value_avg", "value_percentile", "value_median"}
_MOST_ENTRIES = 200_000
_MOST_IN_WINDOW = 5_000

_Entry = tuple[float, int, int, Any, Place]


class Batch(msgspec.Struct, frozen=True):
    """Events of one rule in one block of a log: lines in it, times, groups, and values if any.

    `rank` is the place of the rule among all, `first` the line of the block in the log, from 0;
    `places` has those that are known already.
    """

    rule: str
    rank: int
    name: str
    first: int
    lines: list[int]
    times: list[float]
    groups: list[Group]
    values: list[Any]
    places: list[Place] = []

    def add(self, line: int, time: float, group: Group, value: Any, place: Place) -> None:
        """Add an event of which the place is known."""
        self.lines.append(line)
        self.times.append(time)
        self.groups.append(group)
        self.values.append(value)
        self.places.append(place)


class _Aside:
    """A batch that was put aside; `serial` is that of the first line of its block."""

    __slots__ = ("_events", "batch", "latest", "serial")

    def __init__(self, batch: Batch, serial: int) -> None:
        self.batch = batch
        self.serial = serial
        self.latest = max(batch.times)
        self._events: dict[Group, list[int]] | None = None

    def of(self, group: Group) -> Sequence[int]:
        """Return the events of a group, by their places in the batch."""
        if self._events is None:
            self._events = {}
            for event, one in enumerate(self.batch.groups):
                self._events.setdefault(one, []).append(event)
        return self._events.get(group, ())


class Met(NamedTuple):
    """A correlation that is met: by which group and number, where, and with which event.

    `again`: it was reported before, and `places` are those that are new.
    """

    group: Group
    number: float
    last: float
    places: list[Place]
    by: Place
    again: bool


class Window:
    """The latest events of one group, in the order of their times; `fresh` are in no finding.

    An event is its time, a serial number, the number of its rule, its value and its place;
    `reported` is up to when they are in a finding.
    """

    __slots__ = ("entries", "fresh", "reported")

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.fresh: list[_Entry] = []
        self.reported = float("-inf")


class Correlator:
    """Runs one correlation over the events of its rules, in whatever order they come.

    `most_entries` bounds the events that are remembered. `touched` are the groups that changed, if
    that is asked for; then each group has its window from its first event on.
    """

    def __init__(
        self, correlation: Correlation, *, most_entries: int = _MOST_ENTRIES, touching: bool = False
    ) -> None:
        self.correlation = correlation
        self.touched: set[Group] | None = set() if touching else None
        self.left_out = 0
        self._most_entries = most_entries
        self._number = {name: at for at, name in enumerate(correlation.rules)}
        self._outline = Outline(correlation)
        self._aside: list[_Aside] = []
        self._windows: dict[Group, Window] = {}
        self._entries = 0
        self._serial = 0
        self._newest = float("-inf")
        self._horizon = float("-inf")
        self._short: set[Group] = set()
        self._cut = 0

    @property
    def forgotten(self) -> int:
        """How many groups lack events that may have been needed."""
        return len(self._short) + self._cut

    def take(self, batches: Sequence[Batch]) -> list[Met]:
        """Take the events of one block; return where the correlation is met.

        Batches come in the order of their rules.
        """
        taken = [one for batch in batches if (one := self._measurable(batch)).lines]
        if not taken:
            return []
        if self._entries >= self._most_entries:
            self._make_room()
        now = [_Aside(batch, self._serial + 1) for batch in taken]
        self._serial += 1 + max(max(batch.lines) for batch in taken)
        self._newest = max(self._newest, *(one.latest for one in now))
        touched = []
        for batch in taken:
            self._note_late(batch)
            number = self._number[batch.rule]
            touched += self._outline.add(number, batch.groups, batch.times, batch.values)
        near = {group for at, groups in touched for group in self._outline.near(at, groups)}
        wanted = set().union(*(groups for _, groups in touched))
        if self.touched is None:
            wanted = near | (wanted & self._windows.keys())
        else:
            self.touched |= wanted
        met: list[Met] = []
        if wanted:
            for group in dict.fromkeys(group for one in taken for group in one.groups):
                if group in wanted:
                    met += self._look(group, now, measuring=group in near)
        if self.touched is None:
            self._aside += now
            self._entries += sum(len(one.lines) for one in taken)
        return met

    def _measurable(self, batch: Batch) -> Batch:
        """Return a batch without the events that have nothing to measure."""
        kind = self.correlation.kind
        if not kind.startswith("value_"):
            return batch
        values = batch.values
        if kind in _VALUES:
            values = [_as_number(one) for one in values]
        if None not in values:
            return msgspec.structs.replace(batch, values=values)
        kept = [at for at, one in enumerate(values) if one is not None]
        self.left_out += len(values) - len(kept)
        return msgspec.structs.replace(
            batch,
            lines=[batch.lines[at] for at in kept],
            times=[batch.times[at] for at in kept],
            groups=[batch.groups[at] for at in kept],
            values=[values[at] for at in kept],
            places=[batch.places[at] for at in kept] if batch.places else [],
        )

    def _note_late(self, batch: Batch) -> None:
        """Count the groups of events that came too late for what was dropped."""
        horizon = self._horizon + self.correlation.span_s
        if min(batch.times) < horizon:
            rows = zip(batch.groups, batch.times, strict=True)
            self._short.update(group for group, time in rows if time < horizon)

    def _look(self, group: Group, now: Sequence[_Aside], *, measuring: bool) -> Iterator[Met]:
        """Put the new events of a group into its window, and look at each span that they make."""
        window = self._windows.get(group)
        if window is None:
            window = self._windows[group] = Window()
            before = [entry for one in self._aside for entry in self._entries_of(one, group)]
            before = sorted(before, key=_order)[-_MOST_IN_WINDOW:]
            window.entries, window.fresh = before, before.copy()
            self._entries += len(before)
        rows = [(one.batch.rank, entry) for one in now for entry in self._entries_of(one, group)]
        rows.sort(key=lambda row: (row[1][1], row[0]))  # as their lines are
        for _, entry in rows:
            self._put(window, entry)
            if measuring and (met := self._measured(group, window, entry)) is not None:
                yield met

    def _entries_of(self, one: _Aside, group: Group) -> Iterator[_Entry]:
        batch, number = one.batch, self._number[one.batch.rule]
        for at in one.of(group):
            line, time = batch.lines[at], batch.times[at]
            place = (
                batch.places[at] if batch.places
                else Place(batch.name, batch.first + line + 1, 0, 0, time)
            )  # fmt: skip
            value = batch.values[at] if batch.values else None
            yield time, one.serial + line, number, value, place

    def _put(self, window: Window, entry: _Entry) -> None:
        entries = window.entries
        insort(entries, entry, key=_order)
        insort(window.fresh, entry, key=_order)
        self._entries += 1
        if len(window.fresh) > _MOST_IN_WINDOW:
            del window.fresh[0]
        if len(entries) > _MOST_IN_WINDOW:
            correlation = self.correlation
            near = entry[0] - entries[0][0] <= correlation.span_s
            self._cut += near and correlation.kind.startswith("value_")
            del entries[0]
            self._entries -= 1

    def _measured(self, group: Group, window: Window, entry: _Entry) -> Met | None:
        correlation, entries = self.correlation, window.entries
        for first, end in self._pieces(entries, entry[0]):
            if correlation.kind == "event_count" and not correlation.meets(float(end - first)):
                continue  # without a copy of what may be thousands
            piece = entries[first:end]
            number = self._measure(piece)
            if number is None or not correlation.meets(number):
                continue
            last = piece[-1][0]
            again = piece[0][0] <= window.reported <= last + correlation.span_s
            window.reported = max(window.reported, last)
            new = _taken(window.fresh, piece[0][0], last)
            places = new if again else [one[4] for one in piece]
            return Met(group, number, last, places, entry[4], again)
        return None

    def _pieces(self, entries: list[_Entry], time: float) -> Iterator[tuple[int, int]]:
        """Yield the span that ends with an event, and the one to the last that it reaches."""
        span = self.correlation.span_s
        end = bisect_right(entries, time, key=_time)
        yield bisect_left(entries, time - span, key=_time), end
        if end < len(entries) and entries[end][0] <= time + span:
            end = bisect_right(entries, time + span, key=_time)
            yield bisect_left(entries, entries[end - 1][0] - span, key=_time), end

    def _measure(self, piece: list[_Entry]) -> float | None:
        kind = self.correlation.kind
        if not piece:
            return None
        if kind == "event_count":
            return float(len(piece))
        if kind == "value_sum":
            return float(sum(one[3] for one in piece))
        if kind == "value_avg":
            return float(sum(one[3] for one in piece) / len(piece))
        if kind == "value_count":
            return float(len({str(one[3]) for one in piece}))
        if kind in {"value_percentile", "value_median"}:
            values = sorted(one[3] for one in piece)
            at = self.correlation.percentile / 100 * (len(values) - 1)
            low = int(at)
            high = min(low + 1, len(values) - 1)
            return float(values[low] + (values[high] - values[low]) * (at - low))
        seen = [one[2] for one in piece]
        if kind == "temporal":
            return float(len(set(seen)))
        return float(_in_order(seen, len(self._number)))

    # -- what is remembered

    def _make_room(self) -> None:
        """Drop what is too old for a span with the newest event, then what is older than most."""
        self._drop(self._newest - 2 * self.correlation.span_s)
        if self._entries > self._most_entries * 3 // 4:
            times = sorted(
                [time for one in self._aside for time in one.batch.times]
                + [entry[0] for window in self._windows.values() for entry in window.entries]
            )
            horizon = times[len(times) // 2]
            self._short.update(
                group for one in self._aside if one.latest < horizon for group in one.batch.groups
            )
            self._short.update(
                group for group, one in self._windows.items() if one.entries[-1][0] < horizon
            )
            self._drop(horizon)

    def _drop(self, horizon: float) -> None:
        """Drop the batches and windows that end before a time, and the events of others."""
        self._horizon = max(self._horizon, horizon)
        self._aside = [one for one in self._aside if one.latest >= horizon]
        for group, window in list(self._windows.items()):
            if window.entries[0][0] < horizon:
                del window.entries[: bisect_left(window.entries, horizon, key=_time)]
                del window.fresh[: bisect_left(window.fresh, horizon, key=_time)]
                if self.touched is not None:
                    self.touched.add(group)
            if not window.entries:
                del self._windows[group]
        self._outline.drop(horizon)
        self._entries = sum(len(one.batch.lines) for one in self._aside)
        self._entries += sum(len(one.entries) for one in self._windows.values())

    def expire(self, before: float) -> list[Group]:
        """Drop the groups whose last event is older than a time; return them."""
        old = [one for one, window in self._windows.items() if window.entries[-1][0] < before]
        for group in old:
            self._entries -= len(self._windows.pop(group).entries)
        if self.touched is not None:
            self.touched.update(old)
        self._outline.drop(before)
        return old

    def window(self, group: Group) -> Window | None:
        """Return what is remembered of a group, None for one that was dropped."""
        return self._windows.get(group)

    def restore(self, group: Group, window: Window) -> None:
        """Take back what was remembered of a group."""
        self._windows[group] = window
        self._entries += len(window.entries)
        self._serial = max(self._serial, *(one[1] for one in window.entries))
        self._newest = max(self._newest, window.entries[-1][0])
        for time, _, number, value, _ in window.entries:
            self._outline.add(number, (group,), (time,), () if value is None else (value,))


def _taken(fresh: list[_Entry], first: float, last: float) -> list[Place]:
    """Take the events of a stretch out of those that are in no finding, and drop older ones."""
    end = bisect_right(fresh, last, key=_time)
    places = [one[4] for one in fresh[bisect_left(fresh, first, key=_time) : end]]
    del fresh[:end]
    return places


def _order(entry: _Entry) -> tuple[float, int]:
    return entry[0], entry[1]


def _time(entry: _Entry) -> float:
    return entry[0]


def _in_order(seen: list[int], rules: int) -> int:
    """Return how many of the rules, from the first on, occur in their order."""
    wanted = 0
    for one in seen:
        if one == wanted:
            wanted += 1
            if wanted == rules:
                break
    return wanted


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value) if isinstance(value, int | float) or len(value) < 40 else math.nan
    except (ValueError, TypeError, OverflowError):
        return None
    return number if math.isfinite(number) else None
