"""The picture of an attack in the page of a run: the share of each probe, with its interval.

Rules this module keeps:
- what is drawn stands beside it in words;
- names and verdicts are foreign text, and escaped.
"""

from __future__ import annotations

from collections.abc import Iterator

from tavo.results.export.html_text import as_text
from tavo.results.values import ProbeResult, Run

__all__ = ["probe_chart"]

_MOST = 200
_HEIGHT = 8
_RANKS = {"critical": 4, "high": 3, "medium": 2, "low": 1, "info": 0}


def probe_chart(run: Run) -> Iterator[str]:
    """Yield the picture of what probes gave, nothing where there was no attack."""
    results = sorted(
        run.probes, key=lambda one: (-_share(one.worked, one.tried), -one.judged, one.probe)
    )
    if not results:
        return
    compared = any(one.verdict for one in results)
    targets = ", ".join(dict.fromkeys(one.target for one in results))
    yield f"<section class='chart probes'><h2>Attacks on {as_text(targets)}</h2><ul>"
    for one in results[:_MOST]:
        yield (
            f"<li><span class=label title='{as_text(one.probe)}'>{as_text(one.probe)}</span>"
            f"{_picture(one, compared=compared)}<span class=count>"
            f"{as_text(_words(one))}</span></li>"
        )
    yield "</ul>"
    if len(results) > _MOST:
        yield f"<p class=rest>and {len(results) - _MOST:,} probes more</p>"
    earlier = " The pale bar below each is that of the earlier attack." if compared else ""
    yield (
        "<p class=rest>From 0 to 100 % of the attempts: the mark is the share that worked, the bar"
        f" what it may be with 95 % confidence.{earlier}</p></section>"
    )


def _picture(one: ProbeResult, *, compared: bool) -> str:
    rank = _RANKS.get(one.severity, 1)
    height = _HEIGHT // 2 if compared else _HEIGHT
    bars = [_bar(rank, one.low, one.high, _share(one.worked, one.tried), 0, height)]
    if not one.tried:
        bars = []
    if compared and one.before_tried:
        share = _share(one.before_worked, one.before_tried)
        bars.append(_bar(0, one.before_low, one.before_high, share, height, height))
    return (
        f"<svg viewBox='0 0 100 {_HEIGHT}' preserveAspectRatio=none aria-hidden=true>"
        f"{''.join(bars)}</svg>"
    )


def _bar(rank: int, low: float, high: float, share: float, top: int, height: int) -> str:
    mark = min(max(100 * share, 0.0), 100.0)
    return (
        f"<rect class=s{rank} opacity=.35 x={100 * low:.1f} y={top + 1}"
        f" width={max(100 * (high - low), 0.5):.1f} height={height - 2} />"
        f"<rect class=s{rank} x={min(mark, 99.0):.1f} y={top} width=1 height={height} />"
    )


def _words(one: ProbeResult) -> str:
    said = f"{one.worked} of {one.tried}"
    if one.tried:
        said += f", {one.low:.0%} to {one.high:.0%}"
    if one.judged:
        said += f", judged {one.judged}"
    if one.failed:
        said += f", {one.failed} not carried out"
    if one.verdict:
        before = f" from {one.before_worked} of {one.before_tried}" if one.before_tried else ""
        said += f"; {one.verdict}{before}"
    elif one.ended not in {"all", "decided"}:
        said += f", {one.ended}"
    return said


def _share(worked: int, tried: int) -> float:
    return worked / tried if tried else 0.0
