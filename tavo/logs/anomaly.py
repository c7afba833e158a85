"""Hours in which an actor did far more than it usually does, with the figures that say so.

Rules this module keeps:
- an actor is compared with itself only: the median of its hours, and their median deviation, which
  one wild hour does not move;
- an alarm says value, baseline, spread and how many hours the baseline is made of;
- too few hours make no baseline, and small absolute numbers no alarm.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import msgspec

from tavo.logs.tally import LINES, MEASURES, OTHERS, Cell, Tally
from tavo.plugins import Confidence, Rule, Severity

__all__ = ["RULES", "Anomaly", "anomalies"]

_LEAST_HOURS = 8
_DEVIATIONS = 8.0
_TIMES = 5.0
_FLOOR = {"requests": 60.0, "tokens": 50_000.0, "cost": 1.0, "failures": 20.0}
_SPREAD = 1.4826  # makes a median deviation of a normal distribution its standard deviation
_MOST = 200

RULES = {
    measure: Rule(
        id=f"anomaly-{measure}",
        title=title,
        severity=severity,
        confidence=Confidence.MEDIUM,
        description=(
            f"In one hour this actor had {what} far beyond its own usual hours: more than"
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
    )
}


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm; `place`: the number of the source, and the line, of the hour's largest record."""

    measure: str
    actor: str
    hour: int
    value: float
    baseline: float
    spread: float
    hours: int
    requests: int
    place: tuple[int, int]


def anomalies(tally: Tally) -> Iterator[Anomaly]:
    """Yield the alarms, the largest first, at most 200."""
    by_actor: dict[str, list[tuple[int, Cell]]] = {}
    for (actor, hour), cell in tally.cells.items():
        if actor != OTHERS:
            by_actor.setdefault(actor, []).append((hour, cell))
    found: list[tuple[float, Anomaly]] = []
    for actor, hours in by_actor.items():
        if len(hours) >= _LEAST_HOURS:
            found += _of_actor(actor, hours)
    found.sort(key=lambda one: -one[0])
    yield from (one for _, one in found[:_MOST])


def _of_actor(actor: str, hours: list[tuple[int, Cell]]) -> Iterator[tuple[float, Anomaly]]:
    for number, measure in enumerate(MEASURES):
        values = [cell[number] for _, cell in hours]
        if max(values) < _FLOOR[measure]:
            continue
        usual = median(values)
        deviation = median(abs(one - usual) for one in values)
        spread = max(deviation * _SPREAD, usual * 0.1, _FLOOR[measure] / 50)
        for (hour, cell), value in zip(hours, values, strict=True):
            score = (value - usual) / spread
            if value < _FLOOR[measure] or value < _TIMES * usual or score < _DEVIATIONS:
                continue
            source, line = divmod(cell[5], LINES)
            yield score, Anomaly(
                measure=measure, actor=actor, hour=hour, value=value, baseline=usual,
                spread=deviation, hours=len(hours), requests=int(cell[0]),
                place=(int(source), int(line)),
            )  # fmt: skip
