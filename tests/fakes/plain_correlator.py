"""A correlation as it is meant, one event after the other and nothing put aside: for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tavo.logs.sigma.correlation import Correlation

Event = tuple[str, float, str, Any, int]
"""Rule, time, group, value, line."""


class PlainCorrelator:
    """Takes events one by one; keeps all of them."""

    def __init__(self, correlation: Correlation) -> None:
        self.correlation = correlation
        self.events: dict[str, list[Event]] = {}
        self.fresh: dict[str, list[Event]] = {}
        self.reported: dict[str, float] = {}

    def take(self, event: Event) -> Iterator[tuple[str, float, float, list[int], bool]]:
        """Yield group, number, last time, lines, and whether it goes on, where it is met."""
        _, time, group, _, _ = event
        span = self.correlation.span_s
        events = self.events.setdefault(group, [])
        events.append(event)
        fresh = self.fresh.setdefault(group, [])
        fresh.append(event)
        for each in (events, fresh):
            each.sort(key=lambda one: one[1])
        reached = [one[1] for one in events if time < one[1] <= time + span]
        for end in (time, max(reached, default=None)):
            if end is None:
                continue
            piece = [one for one in events if end - span <= one[1] <= end]
            number = self.measure(piece)
            if not self.correlation.meets(number):
                continue
            first, last = piece[0][1], piece[-1][1]
            before = self.reported.get(group, float("-inf"))
            again = first <= before <= last + span
            self.reported[group] = max(before, last)
            new = [one for one in fresh if first <= one[1] <= last]
            self.fresh[group] = [one for one in fresh if one[1] > last]
            yield group, number, last, [one[4] for one in (new if again else piece)], again
            return

    def measure(self, piece: list[Event]) -> float:
        """Return what a span holds."""
        values = [one[3] for one in piece]
        match self.correlation.kind:
            case "event_count":
                return float(len(piece))
            case "value_count":
                return float(len({str(one) for one in values}))
            case "value_sum":
                return float(sum(values))
            case "value_avg":
                return float(sum(values) / len(values))
            case "value_median" | "value_percentile":
                values.sort()
                at = self.correlation.percentile / 100 * (len(values) - 1)
                low, high = int(at), min(int(at) + 1, len(values) - 1)
                return float(values[low] + (values[high] - values[low]) * (at - low))
            case "temporal":
                return float(len({one[0] for one in piece}))
        wanted = list(self.correlation.rules)
        for one in piece:
            if wanted and one[0] == wanted[0]:
                del wanted[0]
        return float(len(self.correlation.rules) - len(wanted))
