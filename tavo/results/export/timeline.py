"""Events and findings over time as two pictures, in as many bars as a page has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from marketplace_db.bars import Bar, bars
from tavo.plugins import Severity

__all__ = ["timeline"]

_MOST_BARS = 168
_STEPS = ((1, "per hour"), (3, "per 3 hours"), (6, "per 6 hours"), (24, "per day"),
          (24 * 7, "per week"), (24 * 30, "per 30 days"), (24 * 365, "per 365 days"))  # fmt: skip


def timeline(
    hours: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Return the pictures, which are HTML, what they say in words, and the unit of a bar.

    `hours` have `hour` and `events`, `found` have `first`, in seconds, and `rank`.
    """
    times = [row["hour"] for row in hours]
    times += [int(row["first"] // 3600) for row in found if row["first"] is not None]
    if not times:
        nothing = "No event has a time."
        return {"unit": "", "all_chart": "", "found_chart": "", "all_said": nothing,
                "found_said": "", "span": ""}  # fmt: skip
    first, last = min(times), max(times)
    step, unit = next((one for one in _STEPS if (last - first) / one[0] < _MOST_BARS), _STEPS[-1])
    first, last = first // step, last // step
    if last - first >= 4 * _MOST_BARS:  # a record from another age: the latest are shown
        first = last - 4 * _MOST_BARS + 1
    counts: Counter[int] = Counter()
    for row in hours:
        counts[row["hour"] // step] += row["events"]
    by_rank: Counter[tuple[int, int]] = Counter()
    for row in found:
        if row["first"] is not None:
            by_rank[int(row["first"] // 3600) // step, row["rank"]] += 1
    words = {severity.rank: severity.value for severity in Severity}
    every, alarms = [], []
    for at in range(first, last + 1):
        when = _when(at * step)
        every.append(Bar(f"{when}: {counts[at]:,} events", [("all", counts[at])]))
        parts = [(rank, by_rank[at, rank]) for rank in sorted(words)]
        said = ", ".join(f"{n} {words[rank]}" for rank, n in reversed(parts) if n)
        alarms.append(Bar(f"{when}: {said}", [(f"s{rank}", n) for rank, n in parts]))
    ends = {"first": _when(first * step), "last": _when(last * step)}
    most = max(range(first, last + 1), key=lambda at: counts[at])
    events = sum(counts[at] for at in range(first, last + 1))
    count = "1 event" if events == 1 else f"{events:,} events"
    all_said = f"{count}, at most {counts[most]:,} {unit}, at {_when(most * step)}."
    timed = sum(n for (at, _), n in by_rank.items() if at >= first)
    noun = "finding" if timed == 1 else "findings"
    found_said = f"{timed:,} {noun}, each at its first record." if timed else "No finding."
    return {
        "unit": unit,
        "all_chart": bars(every, name=all_said, **ends),
        "found_chart": bars(alarms, name=found_said, **ends) if timed else "",
        "all_said": all_said,
        "found_said": found_said,
        "span": f"{ends['first']} to {_when(last * step)}, UTC.",
    }


def _when(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3600.0, UTC).strftime("%Y-%m-%d %H:%M")
