"""Bars over time as a picture that needs no script: an SVG, with its numbers as text for readers.

Rules this module keeps:
- every text goes through `escape`, so that whatever it says stays text;
- colours are classes, so that the page decides about them, also in the dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

__all__ = ["Bar", "bars"]

_WIDTH, _HEIGHT, _FLOOR, _TALL = 640, 120, 104, 96


class Bar(NamedTuple):
    """One bar: what it is called, and its parts from the bottom up, as class and value."""

    label: str
    parts: Sequence[tuple[str, float]]


def bars(found: Sequence[Bar], *, name: str, first: str, last: str) -> str:
    """Return the picture of bars, with what it shows as its name and its ends in words."""
    most = max([*(sum(value for _, value in bar.parts) for bar in found), 1])
    step = _WIDTH / max(1, len(found))
    out = []
    for number, bar in enumerate(found):
        below = 0.0
        for kind, value in bar.parts:
            if value:
                tall = max(value / most * _TALL, 1.0)
                below += tall
                out.append(
                    f'<rect class="{escape(kind)}" x="{number * step:.1f}" y="{_FLOOR - below:.1f}"'
                    f' width="{step * 0.8:.1f}" height="{tall:.1f}">'
                    f"<title>{escape(bar.label)}</title></rect>"
                )
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{escape(name)}">'
        f'<line class="floor" x1="0" y1="{_FLOOR}" x2="{_WIDTH}" y2="{_FLOOR}"/>{"".join(out)}'
        f'<text x="0" y="118">{escape(first)}</text>'
        f'<text x="{_WIDTH}" y="118" text-anchor="end">{escape(last)}</text></svg>'
    )
