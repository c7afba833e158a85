"""What is far beyond what is usual: hours of actors, keys and models, with the figures that say so.

Rules this module keeps:
- everybody is compared with itself only: the median of its hours, and their median deviation,
  which one wild hour does not move; hours of earlier runs count where a file of them is given;
- what is usual at that time of the day is no alarm, and what is usual at another time may be one;
- an alarm says value, baseline, spread, of how many hours the baseline is made, and which records;
- too few hours make no baseline, and small absolute numbers no alarm.

What is new, rather than much, is in `tavo.logs.novelty`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import NamedTuple, Protocol

from tavo.logs import novelty
from tavo.logs.novelty import Alarm
from tavo.logs.tally import KINDS, MEASURES
from tavo.logs.totals import Hour, Totals
from tavo.logs.usual import NO_HISTORY, Usual
from tavo.plugins import Confidence, Rule, Severity

__all__ = ["REFUSALS", "RULES", "Alarm", "Hours", "anomalies", "rates"]

_LEAST_HOURS = 8
_LEAST_DAYS = 4
_LEAST_DAYS_ALONE = 7
_DEVIATIONS = 8.0
_TIMES = 5.0
_SPREAD = 1.4826  # makes a median deviation of a normal distribution its standard deviation
_MOST = 200
_LEAST_TIMED = 10
_FLOOR: Mapping[str, Mapping[str, float]] = {
    "actor": {"requests": 60.0, "tokens": 50_000.0, "cost": 1.0, "failures": 20.0,
              "refusals": 10.0, "latency": 5_000.0},
    "key": {"requests": 60.0, "tokens": 50_000.0, "cost": 1.0, "failures": 20.0,
            "refusals": 10.0, "latency": 5_000.0},
    "model": {"requests": 1_000.0, "tokens": 500_000.0, "cost": 20.0, "failures": 100.0,
              "refusals": 50.0, "latency": 5_000.0},
}  # fmt: skip
_DAY = 24

REFUSALS = frozenset({"genai-refusal", "genai-blocked-by-filter"})
"""Rules whose hits are answers that say no."""

RULES = {
    measure: Rule(
        id=f"anomaly-{measure}",
        title=title,
        severity=severity,
        confidence=Confidence.MEDIUM,
        description=(
            f"In one hour a user, key or model had {what} far beyond its own usual hours: more than"
            f" {_TIMES:g} times their median, and more than {_DEVIATIONS:g} deviations above it."
        ),
        owasp=("LLM10:2025",),
        tags=("AML.T0034",),
    )
    for measure, title, what, severity in (
        ("requests", "Far more requests than usual", "requests", Severity.LOW),
        ("tokens", "Far more tokens than usual", "tokens", Severity.MEDIUM),
        ("cost", "Far higher cost than usual", "a cost", Severity.MEDIUM),
        ("failures", "Far more failures than usual", "failures", Severity.LOW),
        ("refusals", "Far more refusals than usual", "refusals", Severity.MEDIUM),
        ("latency", "Far slower than usual", "a mean time to answer", Severity.LOW),
    )
} | novelty.RULES


_Found = tuple[float, str, Alarm]


class _Baseline(NamedTuple):
    usual: float
    deviation: float
    spread: float
    size: int

    def is_beyond(self, value: float) -> bool:
        return value >= _TIMES * self.usual and value - self.usual >= _DEVIATIONS * self.spread

    def score(self, value: float) -> float:
        return (value - self.usual) / self.spread


class Hours(Protocol):
    """What was counted, by hour."""

    def hours(self, kind: str) -> Iterator[tuple[str, list[Hour]]]:
        """Yield each actor, key or model with its hours, in order."""


def anomalies(totals: Totals, usual: Usual = NO_HISTORY) -> Iterator[Alarm]:
    """Yield all alarms, of each kind the strongest first, at most 200 of each."""
    yield from rates(totals, usual)
    yield from novelty.alarms(totals, usual)


def rates(totals: Hours, usual: Usual = NO_HISTORY) -> Iterator[Alarm]:
    """Yield hours that are far beyond what is usual."""
    found: list[_Found] = []
    known: set[tuple[str, int, int, float]] = set()
    for kind in KINDS:
        for name, hours in totals.hours(kind):
            earlier = usual.hours(kind, name)
            if len(hours) + len(earlier) < _LEAST_HOURS:
                continue
            for score, measure, value, alarm in _of_one(kind, name, hours, earlier):
                same = measure, alarm.hour, alarm.places[0], value
                if same not in known:  # a key of one user alarms once
                    known.add(same)
                    found.append((score, measure, alarm))
    slow = _slow(found)
    found = [
        one for one in found
        if one[1] != "latency" or one[2].kind == "model" or one[2].hour not in slow
    ]  # fmt: skip
    found.sort(key=lambda one: (-one[0], one[2].name))
    left = dict.fromkeys(MEASURES, _MOST)
    for _, measure, alarm in found:
        left[measure] -= 1
        if left[measure] >= 0:
            yield alarm


def _slow(found: list[_Found]) -> set[int]:
    """Return the hours in which a model was slow: then everybody is who asks it."""
    return {
        alarm.hour for _, measure, alarm in found if measure == "latency" and alarm.kind == "model"
    }


def _of_one(
    kind: str, name: str, hours: list[Hour], earlier: Mapping[int, Hour]
) -> Iterator[tuple[float, str, float, Alarm]]:
    by_hour = {**earlier, **{one.hour: one for one in hours}}
    more: set[int] = set()  # hours with far more requests
    for measure, floor in _FLOOR[kind].items():
        if max(_value(one, measure) or 0.0 for one in hours) < floor:
            continue
        values = {
            one.hour: value
            for one in by_hour.values() if (value := _value(one, measure)) is not None
        }  # fmt: skip
        if len(values) < _LEAST_HOURS:
            continue
        general = _baseline(list(values.values()), floor)
        for one in hours:
            value = values.get(one.hour, 0.0)
            if value < floor:
                continue
            base, which = _judged(value, one.hour, values, general, measure, floor)
            if base is None:
                continue
            if measure == "requests":
                more.add(one.hour)
            elif one.hour in more and _is_of_many(measure, one, by_hour.values()):
                continue
            numbers = {
                kind: name,
                measure: _plain(value, measure),
                f"median of {base.size} {which}": _plain(base.usual, measure),
                "median deviation": _plain(base.deviation, measure),
            }
            yield base.score(value), measure, value, Alarm(
                rule=measure, kind=kind, name=name, time=one.hour * 3600.0, numbers=numbers,
                places=(one.place,), count=int(one.requests),
            )  # fmt: skip


def _is_of_many(measure: str, one: Hour, every: Iterable[Hour]) -> bool:
    """Tell whether there is more of something only because there were more requests."""
    if measure == "latency":
        return False
    usual = median(float(getattr(other, measure)) / other.requests for other in every)
    return float(getattr(one, measure)) / one.requests <= 2 * usual


def _judged(
    value: float, hour: int, values: Mapping[int, float], general: _Baseline, measure: str,
    floor: float,
) -> tuple[_Baseline | None, str]:  # fmt: skip
    """Return the baseline that a value is far beyond, None where it is usual."""
    season = _same_time(hour, values, zeros=measure != "latency")
    of_day = _baseline(season, floor) if len(season) >= _LEAST_DAYS else None
    if general.is_beyond(value):
        if of_day is not None and of_day.usual > 0 and not of_day.is_beyond(value):
            return None, ""
        return general, "hours"
    alone = of_day is not None and len(season) >= _LEAST_DAYS_ALONE and measure != "latency"
    if alone and value >= max(3 * floor, general.usual, _TIMES * max(season)):
        return of_day, "days at this hour"
    return None, ""


def _same_time(hour: int, values: Mapping[int, float], *, zeros: bool) -> list[float]:
    """Return the values at the same time of other days; a day without any is a day of zero.

    Days of the same kind, working or not, where there are enough of them.
    """
    first, last = min(values), max(values)
    days = [one for one in range(first + (hour - first) % _DAY, last + 1, _DAY) if one != hour]
    same = [one for one in days if _is_weekend(one) == _is_weekend(hour)]
    chosen = same if len(same) >= _LEAST_DAYS else days
    return [values.get(one, 0.0) for one in chosen if zeros or one in values]


def _is_weekend(hour: int) -> bool:
    return (hour // _DAY + 3) % 7 >= 5  # the first of January 1970 was a Thursday


def _baseline(values: list[float], floor: float) -> _Baseline:
    usual = median(values)
    deviation = median(abs(one - usual) for one in values)
    return _Baseline(
        usual, deviation, max(deviation * _SPREAD, usual * 0.1, floor / 50), len(values)
    )


def _value(one: Hour, measure: str) -> float | None:
    if measure == "latency":
        return one.latency if one.timed >= _LEAST_TIMED else None
    return float(getattr(one, measure))


def _plain(value: float, measure: str) -> str:
    text = f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{text} ms" if measure == "latency" else text
