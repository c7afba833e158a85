"""What stands above the list of findings in the page: counts by severity, and charts.

Each is text and SVG, with what the script filters by in attributes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tavo.plugins import Location, Severity
from tavo.results.export.html_logs import actors_of, time_chart
from tavo.results.export.html_text import as_text
from tavo.results.export.summary import by_severity, ignored_in_words, rules_of
from tavo.results.values import Reported

__all__ = ["charts", "tiles"]

_MOST_BARS = 10
_BAR = 100
_LONGEST_LABEL = 24


def tiles(shown: Sequence[Reported], ignored: Sequence[Reported]) -> Iterator[str]:
    counts = dict(by_severity(shown))
    for severity in reversed(Severity):
        count = counts.get(severity, 0)
        yield (
            f"<li class='tile s{severity.rank}{'' if count else ' none'}' data-filter=s"
            f" data-value={severity.rank}><b>{count:,}</b> <span>{severity.value}</span></li>"
        )
    if ignored:
        yield (
            f"<li class='tile ignored' title='{as_text(ignored_in_words(ignored))}'>"
            f"<b>{len(ignored):,}</b> <span>ignored</span></li>"
        )


def charts(shown: Sequence[Reported]) -> Iterator[str]:
    if not shown:
        return
    yield _ring(by_severity(shown))
    rules = sorted(rules_of(shown), key=lambda rule: -rule[2])
    yield from time_chart(shown)
    yield _chart("By rule", "r", [(name, name, count, worst) for worst, name, count in rules])
    actors = actors_of(shown)
    if actors:  # logs have people behind them, and hardly ever folders
        yield _chart("By actor", "q", [(name, name, count, top) for name, count, top in actors])
        return
    folders: Counter[str] = Counter()
    worst: dict[str, Severity] = {}
    for one in shown:
        folder = _folder(one.finding.location)
        folders[folder] += 1
        worst[folder] = max(worst.get(folder, one.finding.severity), one.finding.severity)
    yield _chart(
        "By folder", "p",
        [(folder, folder, count, worst[folder]) for folder, count in folders.most_common()],
    )  # fmt: skip


def _ring(counts: Sequence[tuple[Severity, int]]) -> str:
    """Return the chart of severities: a ring whose length is 100, and its numbers."""
    total = sum(count for _, count in counts)
    arcs, lines, start = [], [], 0.0
    for severity, count in counts:
        share = 100 * count / total
        gap = 0.6 if len(counts) > 1 else 0.0
        arcs.append(
            f"<circle class=s{severity.rank} cx=21 cy=21 r=15.915 pathLength=100"
            f' stroke-dasharray="{max(share - gap, 0.4):.2f} 100"'
            f" stroke-dashoffset={-start:.2f} />"
        )
        lines.append(
            f"<li class=s{severity.rank} data-filter=s data-value={severity.rank}>"
            f"<span class=label>{severity.value}</span><span class=count>{count:,}</span>"
            f"<span class=count>{share:.0f} %</span></li>"
        )
        start += share
    return (
        "<section class='chart ring'><h2>By severity</h2><div>"
        f"<svg viewBox='0 0 42 42' aria-hidden=true>{''.join(arcs)}"
        f"<text x=21 y=23.2>{total:,}</text></svg>"
        f"<ul>{''.join(lines)}</ul></div></section>"
    )


def _chart(title: str, kind: str, bars: Sequence[tuple[str, str, int, Severity]]) -> str:
    most = max(count for _, _, count, _ in bars)
    lines = [f"<section class=chart><h2>{title}</h2><ul>"]
    for label, value, count, severity in bars[:_MOST_BARS]:
        width = max(round(_BAR * count / most, 1), 0.8)
        lines.append(
            f'<li data-filter={kind} data-value="{as_text(value)}"><span class=label'
            f' title="{as_text(label)}">{as_text(_end_of(label) if kind == "p" else label)}</span>'
            f"<svg viewBox='0 0 {_BAR} 8' preserveAspectRatio=none aria-hidden=true>"
            f"<rect class=s{severity.rank} width={width} height=8 rx=1 /></svg>"
            f"<span class=count>{count:,}</span></li>"
        )
    lines.append("</ul>")
    if len(bars) > _MOST_BARS:
        rest = sum(count for _, _, count, _ in bars[_MOST_BARS:])
        lines.append(f"<p class=rest>and {len(bars) - _MOST_BARS:,} others with {rest:,}</p>")
    return "".join([*lines, "</section>"])


def _end_of(label: str) -> str:
    """Return what fits beside a bar: of a long path its last parts."""
    if len(label) <= _LONGEST_LABEL or "/" not in label:
        return label
    cut = label[-_LONGEST_LABEL:]
    return f"…{cut[cut.index('/') :] if '/' in cut else cut}"


def _folder(location: Location) -> str:
    return str(location.path.parent) if location.path.parent.parts else "./"
