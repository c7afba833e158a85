"""Downloads over time as a picture that needs no script, with its numbers as text beside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from marketplace_db.bars import Bar, bars

__all__ = ["downloads_chart"]


def downloads_chart(days: Sequence[tuple[str, int]], today: date, length: int) -> str:
    """Return the picture of the downloads of each of the last days; all of it is made here."""
    counts = dict(days)
    shown = [today - timedelta(days=length - 1 - number) for number in range(length)]
    values = [counts.get(day.isoformat(), 0) for day in shown]
    name = f"{sum(values)} downloads in {length} days, at most {max(values)} on one day"
    found = [
        Bar(f"{day.isoformat()}: {value}", [("bar", value)])
        for day, value in zip(shown, values, strict=True)
    ]
    picture = bars(found, name=name, first=shown[0].isoformat(), last=shown[-1].isoformat())
    return f'{picture}<p class="quiet">{name}.</p>'
