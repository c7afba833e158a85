"""A run as one page of HTML that needs nothing else: no network, and no JavaScript to be read.

Rules this module keeps:
- every finding is in the page as text; the script only hides, sorts and counts what is there;
- the page's policy allows its own style and script by their digests, and nothing else: no request,
  no form, no frame, no other code, whatever text it shows;
- all foreign text goes through `_text`; addresses are links only if they begin with https://;
- the size is bounded: what is left out, of the least severe findings, is said at the top;
- in a long page a message that most findings of a rule share stands once, with the rule.

The template, the style and the script stand in `page/`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import get_data

from tavo.plugins import Finding, Location, Rule, Severity, Step
from tavo.printable import printable, uncommanded
from tavo.results.export.html_attacks import probe_chart
from tavo.results.export.html_logs import actors_of, time_chart
from tavo.results.export.summary import (
    by_severity,
    counted,
    denies,
    headline,
    ignored_in_words,
    is_complete,
    looked_at,
    name_of,
    place_of,
    policy_headline,
    policy_said,
    reasons_of,
    rules_of,
    seconds,
    split,
    worst_first,
)
from tavo.results.values import Reported, Run

__all__ = ["run_to_html"]

_MOST = 10_000
_LARGEST = 2_900_000
_LONG = 1_000
_MOST_BARS = 10
_MOST_LINES = 10
_LONGEST_LINE = 240
_MOST_STEPS = 20
_MOST_EVIDENCE = 6
_MOST_SAID = 50
_LONGEST_TEXT = 2_000
_BAR = 100
_LONGEST_LABEL = 24


def run_to_html(run: Run, findings: Iterable[Reported]) -> str:
    """Return a run with its findings as a page."""
    shown, ignored = split(findings)
    items = worst_first(shown) + ignored
    listed = items[:_MOST]
    rules = _Rules(listed)
    entries, bare = _entries(listed, rules)
    style, script = _part("page.css"), _part("page.js")
    name = Path(run.info.root).name or run.info.root
    values = {
        "policy": "; ".join(
            ["default-src 'none'", f"style-src '{_digest(style)}'",
             f"script-src '{_digest(script)}'", "base-uri 'none'", "form-action 'none'"]
        ),
        "style": style,
        "script": script,
        "title": f"{_text(headline(run, shown))} · {_text(name)}",
        "name": _text(name),
        "run": _about(run),
        "state": "".join(
            [*_said(run, shown), *_state(run, len(items) - len(listed), bare),
             *_gate(run, {one.fingerprint: one for one in items})]
        ),
        "tiles": "".join(_tiles(shown, ignored)),
        "charts": "".join([*_charts(shown), *probe_chart(run)]),
        "filters": "".join(_filters(listed, rules)),
        "findings": "".join(entries),
        "rules": "".join(rules.sections()),
        "notices": "".join(_notices(run)),
        "plugins": "".join(_plugins(run)),
    }  # fmt: skip
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found.group(1)], _part("page.html"))


class _Rules:
    """The rules that are in the page, numbered as the findings name them."""

    def __init__(self, items: Iterable[Reported]) -> None:
        self._rules: dict[str, Rule] = {}
        messages: dict[str, Counter[str]] = {}
        for one in items:
            self._rules.setdefault(name_of(one), one.rule)
            messages.setdefault(name_of(one), Counter())[one.finding.message] += 1
        self._numbers = {name: number for number, name in enumerate(self._rules)}
        self._usual = {name: found.most_common(1)[0][0] for name, found in messages.items()}
        self._long = sum(found.total() for found in messages.values()) > _LONG

    def number(self, one: Reported) -> int:
        return self._numbers[name_of(one)]

    def says(self, one: Reported) -> bool:
        """Tell whether the message of a finding stands with its rule."""
        return self._long and self._usual[name_of(one)] == one.finding.message

    def names(self) -> list[tuple[int, str]]:
        """Return the numbers and names, by name."""
        return sorted(((n, name) for name, n in self._numbers.items()), key=lambda pair: pair[1])

    def sections(self) -> Iterator[str]:
        if self._rules:
            yield "<h2>Rules</h2>\n"
        for name, rule in self._rules.items():
            tags = [*rule.cwe, *rule.owasp]
            yield f"<section class=rule id=r{self._numbers[name]}><h3>{_text(name)}</h3>"
            yield f"<p class=lead>{_text(rule.title)}</p>"
            if self._long:
                yield f"<p class=said>{_text(self._usual[name][:_LONGEST_TEXT])}</p>"
            if tags:
                yield f"<p class=tags>{''.join(f'<span>{_text(tag)}</span>' for tag in tags)}</p>"
            if rule.description and rule.description != rule.title:
                yield f"<p>{_text(rule.description)}</p>"
            yield f"<div class=help>{_markdown(rule.help)}</div>"
            links = [r for r in rule.references if re.fullmatch(r"https://[!-~]+", r)]
            if links:
                yield "<p class=links>"
                for link in links:
                    yield (
                        f'<a href="{_text(link)}" rel="noreferrer noopener">'
                        f"{_text(link.removeprefix('https://'))}</a> "
                    )
                yield "</p>"
            yield "</section>\n"


# -- above the list


def _about(run: Run) -> str:
    ended = run.finished_at or "interrupted"
    parts = [
        f"tavo {run.info.tool_version}", f"{run.info.started_at[:19].replace('T', ' ')} UTC",
        looked_at(run), f"{seconds(run.cpu_s)} CPU", *([] if run.finished_at else [ended]),
    ]  # fmt: skip
    return " · ".join(_text(part) for part in parts)


def _said(run: Run, shown: Sequence[Reported]) -> Iterator[str]:
    if not shown and is_complete(run):
        said = headline(run, shown)
        yield f"<p class={'good' if said == 'No findings' else 'warning'}><b>{said}</b></p>"


def _state(run: Run, left_out: int, bare: int) -> Iterator[str]:
    """Yield what people must know first; of `bare` findings only the place is in the page."""
    if not is_complete(run):
        missing = sum(notice.incomplete for notice in run.notices)
        what = (
            f'<a href="#notices">{counted(missing, "thing")} not looked at, or not in full</a>'
            if missing
            else "it was interrupted before its end" if not run.finished_at
            else "not everything was looked at"
        )  # fmt: skip
        yield f"<p class=warning role=alert><b>The scan is not complete:</b> {what}.</p>"
    parts = [f"{counted(left_out, 'finding')} of the lowest severity"] if left_out else []
    parts += [f"the code of {counted(bare, 'finding')} of low severity"] if bare else []
    if parts:
        yield (
            f"<p class=warning><b>Not in this page:</b> {', and '.join(parts)}."
            " <code>--format json</code> has everything.</p>"
        )


def _gate(run: Run, findings: Mapping[str, Reported]) -> Iterator[str]:
    """Yield what is gone since the baseline, and what the policy said."""
    if run.gate is not None and run.gate.absent:
        yield f"<p class=good>{counted(len(run.gate.absent), 'finding')} of the baseline gone.</p>"
    said = policy_headline(run.gate)
    if not said or run.gate is None:
        return
    denied = any(map(denies, run.gate.policy_results))
    yield f"<div class={'warning' if denied else 'good'}><b>Policy:</b> {_text(said)}."
    results = policy_said(run.gate, findings)
    if results:
        yield "<ul>"
        for _, text, about in results[:_MOST_SAID]:
            places = [place_of(found.finding.location) for found in about[:_MOST_STEPS]]
            more = f" and {len(about) - _MOST_STEPS} more" if len(about) > _MOST_STEPS else ""
            where = f" ({_text(', '.join(places))}{more})" if places else ""
            yield f"<li>{_text(text[:_LONGEST_TEXT])}{where}</li>"
        if len(results) > _MOST_SAID:
            yield f"<li>and {counted(len(results) - _MOST_SAID, 'more result')}</li>"
        yield "</ul>"
    yield "</div>"


def _tiles(shown: Sequence[Reported], ignored: Sequence[Reported]) -> Iterator[str]:
    counts = dict(by_severity(shown))
    for severity in reversed(Severity):
        count = counts.get(severity, 0)
        yield (
            f"<li class='tile s{severity.rank}{'' if count else ' none'}' data-filter=s"
            f" data-value={severity.rank}><b>{count:,}</b> <span>{severity.value}</span></li>"
        )
    if ignored:
        yield (
            f"<li class='tile ignored' title='{_text(ignored_in_words(ignored))}'>"
            f"<b>{len(ignored):,}</b> <span>ignored</span></li>"
        )


def _charts(shown: Sequence[Reported]) -> Iterator[str]:
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
            f'<li data-filter={kind} data-value="{_text(value)}"><span class=label'
            f' title="{_text(label)}">{_text(_end_of(label) if kind == "p" else label)}</span>'
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


def _filters(items: Sequence[Reported], rules: _Rules) -> Iterator[str]:
    severities = sorted({one.finding.severity.rank for one in items}, reverse=True)
    names = {severity.rank: severity.value for severity in Severity}
    yield _select("s", "Severity", [(str(rank), names[rank]) for rank in severities])
    yield _select("r", "Rule", [(str(number), name) for number, name in rules.names()])
    tools = sorted({one.tool for one in items})
    if len(tools) > 1:
        yield _select("t", "Tool", [(tool, tool) for tool in tools])


def _select(kind: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f'<option value="{_text(v)}">{_text(text)}</option>' for v, text in options)
    return (
        f"<label>{label} <select data-filter={kind}><option value=''>all</option>{lines}</select>"
        "</label>"
    )


# -- one finding


def _entries(items: Sequence[Reported], rules: _Rules) -> tuple[list[str], int]:
    """Return the findings in full while there is room, then their places; and how many those are.

    Each has room for its place, so that the others can have what is left.
    """
    places = [_finding(one, rules, bare=True) for one in items]
    room = _LARGEST - sum(map(len, places))
    entries: list[str] = []
    for number, one in enumerate(items):
        entry = _finding(one, rules, bare=False)
        room -= len(entry.encode()) - len(places[number])
        if room < 0:
            return [*entries, *places[number:]], len(items) - number
        entries.append(entry)
    return entries, 0


def _finding(one: Reported, rules: _Rules, *, bare: bool) -> str:
    finding = one.finding
    rank, number = finding.severity.rank, rules.number(one)
    tool = "" if one.tool == "tavo" else f' data-t="{_text(one.tool)}"'
    ignored = " i" if one.suppression is not None else ""
    return "".join(
        [
            f"<details class='f s{rank}{ignored}' data-r={number}{tool}><summary>"
            f"<b>{finding.severity.value}</b> <code>{_text(place_of(finding.location))}</code>"
            f" <i>{_text(name_of(one))}</i></summary>",
            *(() if bare else _inside(one, told=rules.says(one))),
            f"<p class=m><a href=#r{number}>Why, and how to mend it</a>"
            f"<small>{one.fingerprint}</small></p></details>\n",
        ]
    )


def _inside(one: Reported, *, told: bool) -> Iterator[str]:
    """Yield what an opened finding shows; `told`: its message stands with the rule."""
    if not told:
        yield f"<p class=said>{_text(one.finding.message[:_LONGEST_TEXT])}</p>"
    yield from _suppressed(one)
    yield from _code(one.finding)
    yield from _flow(one.finding)
    yield from _fix(one.finding)


def _suppressed(one: Reported) -> Iterator[str]:
    if one.suppression is not None:
        yield f"<p class=reason><b>Ignored:</b> {_text(one.suppression.reason)}</p>"


def _code(finding: Finding) -> Iterator[str]:
    region = finding.location.region
    if region is None or not finding.location.snippet:
        entries = sorted(finding.evidence.items())[:_MOST_EVIDENCE]
        if entries:
            yield "<dl>"
            for name, value in entries:
                yield f"<dt>{_text(name)}</dt><dd>{_text(value[:_LONGEST_TEXT])}</dd>"
            yield "</dl>"
        return
    lines = finding.location.snippet.split("\n")[:_MOST_LINES]
    yield "<pre>"
    for number, code in enumerate(lines, start=region.start_line):
        first = region.start_column - 1 if number == region.start_line else 0
        last = region.end_column - 1 if number == region.end_line else len(code)
        code, first, last = _cut(code, first, last)
        marked = f"<mark>{_text(code[first:last])}</mark>" if code[first:last].strip() else ""
        yield f"<u>{number}</u>{_text(code[:first])}{marked}{_text(code[last:])}\n"
    if region.end_line - region.start_line + 1 > len(lines):
        yield "<u>…</u>"
    yield "</pre>"


def _cut(code: str, first: int, last: int) -> tuple[str, int, int]:
    """Cut a long line around its marked part."""
    if len(code) <= _LONGEST_LINE:
        return code, first, last
    start = max(0, min(first - _LONGEST_LINE // 3, len(code) - _LONGEST_LINE))
    end = start + _LONGEST_LINE
    lead, rest = "…" if start else "", "…" if end < len(code) else ""
    shift = len(lead) - start
    return f"{lead}{code[start:end]}{rest}", first + shift, min(last, end) + shift


def _flow(finding: Finding) -> Iterator[str]:
    if not finding.flow:
        return
    steps: Sequence[Step] = finding.flow
    if len(steps) > _MOST_STEPS:
        steps = (*steps[: _MOST_STEPS - 1], steps[-1])
    yield "<ol>"
    seen = set()
    for step in steps:
        region = step.location.region
        line = "" if region is None else f":{region.start_line}"
        path = "" if step.location.path == finding.location.path else str(step.location.path)
        place = f"{path}{line}" if path else f"line {line[1:]}" if line else "the file"
        yield f"<li><b>{_text(place)}</b> {_text(step.message[:_LONGEST_TEXT])}"
        code = step.location.snippet.split("\n")[0].strip()
        if code and (step.location.path, line) not in seen and not _is_shown(step, finding):
            yield f"<code>{_text(code[:_LONGEST_LINE])}</code>"
        seen.add((step.location.path, line))
    yield "</ol>"
    if len(finding.flow) > _MOST_STEPS:
        yield f"<p class=rest>{len(finding.flow) - _MOST_STEPS} steps before the last left out</p>"


def _is_shown(step: Step, finding: Finding) -> bool:
    """Tell whether the code of a step is that of the finding."""
    one, other = step.location.region, finding.location.region
    return (
        one is not None
        and other is not None
        and step.location.path == finding.location.path
        and one.start_line == other.start_line
    )


def _fix(finding: Finding) -> Iterator[str]:
    if finding.fix is not None:
        yield f"<p class=fix>Replace the marked part by</p><pre>{_text(finding.fix)}</pre>"


# -- below the list


def _notices(run: Run) -> Iterator[str]:
    for title, wanted in (("Not looked at, or not in full", True), ("Notes", False)):
        entries = list(reasons_of(n for n in run.notices if n.incomplete is wanted))
        if entries:
            yield f"<section id={'notices' if wanted else 'notes'}><h2>{title}</h2><ul>"
            for subjects, reason in entries:
                yield f"<li><b>{_text(subjects)}</b>: {_text(reason)}"
            yield "</ul></section>"


def _plugins(run: Run) -> Iterator[str]:
    if not run.plugins:
        return
    yield (
        "<section><h2>Plugins</h2><div class=scroll><table><thead><tr><th>Plugin<th>Version"
        "<th>Sandbox<th>Files<th>Requests<th>Findings<th>CPU<tbody>"
    )
    for one in run.plugins:
        cells = (one.plugin, one.version, one.sandbox, one.files, one.requests, one.findings,
                 seconds(one.host_cpu_s + one.worker_cpu_s))  # fmt: skip
        yield f"<tr>{''.join(f'<td>{_text(str(cell))}' for cell in cells)}"
    yield "</table></div></section>"


# -- the one place where text becomes HTML

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_SPECIAL = re.compile("[&<>\"']")


def _text(text: str) -> str:
    """Return text that is text in an element, and in the quotes of an attribute."""
    safe = "\n".join(uncommanded(printable(line)) for line in text.split("\n"))
    return _SPECIAL.sub(lambda found: _ENTITIES[found.group()], safe)


def _markdown(text: str) -> str:
    """Return the help of a rule: fenced code, lists and paragraphs with code; the rest as it is."""
    out: list[str] = []
    for number, part in enumerate(re.split(r"^```[^\n]*\n?", text, flags=re.MULTILINE)):
        if number % 2:
            out.append(f"<pre>{_text(part.rstrip())}</pre>")
            continue
        for block in re.split(r"\n\s*\n", part.strip()):
            lines = block.split("\n")
            if re.match(r"[-*] ", lines[0]):
                items = re.split(r"^[-*] ", block, flags=re.MULTILINE)[1:]
                out.append(f"<ul>{''.join(f'<li>{_inline(item)}' for item in items)}</ul>")
            elif block:
                out.append(f"<p>{_inline(re.sub(r'^#+ ', '', block))}</p>")
    return "".join(out)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text.strip()))


# -- the template


def _part(name: str) -> str:
    data = get_data(__name__, f"page/{name}")
    assert data is not None  # noqa: S101
    return data.decode("utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
