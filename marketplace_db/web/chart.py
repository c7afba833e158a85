"""Downloads over time as a picture that needs no script: an SVG with its numbers as text beside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

__all__ = ["downloads_chart"]

_WIDTH, _HEIGHT, _FLOOR = 640, 120, 104


def downloads_chart(days: Sequence[tuple[str, int]], today: date, length: int) -> str:
    """Return the picture of the downloads of each of the last days; all of it is made here."""
    counts = dict(days)
    shown = [today - timedelta(days=length - 1 - number) for number in range(length)]
    values = [counts.get(day.isoformat(), 0) for day in shown]
    most = max([*values, 1])
    step = _WIDTH / length
    bars = "".join(
        f'<rect class="bar" x="{number * step:.1f}" y="{_FLOOR - value / most * 96:.1f}"'
        f' width="{step * 0.8:.1f}" height="{value / most * 96:.1f}">'
        f"<title>{day.isoformat()}: {value}</title></rect>"
        for number, (day, value) in enumerate(zip(shown, values, strict=True))
        if value
    )
    total = sum(values)
    name = f"{total} downloads in {length} days, at most {max(values)} on one day"
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">'
        f'<line class="floor" x1="0" y1="{_FLOOR}" x2="{_WIDTH}" y2="{_FLOOR}"/>{bars}'
        f'<text x="0" y="118">{shown[0].isoformat()}</text>'
        f'<text x="{_WIDTH}" y="118" text-anchor="end">{shown[-1].isoformat()}</text></svg>'
        f'<p class="quiet">{name}.</p>'
    )
