"""The pictures of a run over logs in its page: findings over time, and the actors behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from tavo.plugins import Severity
from tavo.results.export.timeline import timeline
from tavo.results.values import Reported

__all__ = ["actors_of", "time_chart"]

_ACTOR = ("user.id", "api_key.id", "client.address", "gen_ai.conversation.id")


def time_chart(shown: Sequence[Reported]) -> Iterator[str]:
    """Yield the picture of findings over time, nothing where none is about records of logs."""
    found = [
        {"first": first, "rank": one.finding.severity.rank}
        for one in shown
        if (first := _seconds(one.finding.evidence.get("first", ""))) is not None
        and "records" in one.finding.evidence
    ]
    if found:
        said = timeline([], found)
        yield (
            f"<section class='chart time'><h2>Over time, {escape(said['unit'])}</h2>"
            f"{said['found_chart']}<p class=rest>{escape(said['found_said'])}</p></section>"
        )


def actors_of(shown: Sequence[Reported]) -> list[tuple[str, int, Severity]]:
    """Return who is behind most findings about records of logs, with the worst severity."""
    counts: Counter[str] = Counter()
    worst: dict[str, Severity] = {}
    for one in shown:
        evidence = one.finding.evidence
        actor = next((evidence[name] for name in _ACTOR if evidence.get(name)), "")
        if actor and "records" in evidence and ", " not in actor:
            counts[actor] += 1
            worst[actor] = max(worst.get(actor, one.finding.severity), one.finding.severity)
    return [(name, count, worst[name]) for name, count in counts.most_common()]


def _seconds(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
