"""A run as one page of HTML that needs nothing else: no network, and no JavaScript to be read.

Rules this module keeps:
- every finding is in the page as text; the script only hides, sorts and counts what is there;
- the page's policy allows its own style and script by their digests, and nothing else: no request,
  no form, no frame, no other code, whatever text it shows;
- all foreign text goes through `html_text`; addresses are links only if they begin with https://;
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

from tavo.plugins import Finding, Rule, Severity, Step
from tavo.printable import counted
from tavo.results.export.html_attacks import probe_chart
from tavo.results.export.html_charts import charts, tiles
from tavo.results.export.html_text import as_markdown, as_text
from tavo.results.export.summary import (
    denies,
    headline,
    is_complete,
    looked_at,
    name_of,
    place_of,
    policy_headline,
    policy_said,
    reasons_of,
    seconds,
    split,
    worst_first,
)
from tavo.results.values import Reported, Run

__all__ = ["run_to_html"]

_MOST = 10_000
_LARGEST = 2_900_000
_LONG = 1_000
_MOST_LINES = 10
_LONGEST_LINE = 240
_MOST_STEPS = 20
_MOST_EVIDENCE = 6
_MOST_SAID = 50
_LONGEST_TEXT = 2_000


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
        "title": f"{as_text(headline(run, shown))} · {as_text(name)}",
        "name": as_text(name),
        "run": _about(run),
        "state": "".join(
            [*_said(run, shown), *_state(run, len(items) - len(listed), bare),
             *_gate(run, {one.fingerprint: one for one in items})]
        ),
        "tiles": "".join(tiles(shown, ignored)),
        "charts": "".join([*charts(shown), *probe_chart(run)]),
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
            yield f"<section class=rule id=r{self._numbers[name]}><h3>{as_text(name)}</h3>"
            yield f"<p class=lead>{as_text(rule.title)}</p>"
            if self._long:
                yield f"<p class=said>{as_text(self._usual[name][:_LONGEST_TEXT])}</p>"
            if tags:
                yield f"<p class=tags>{''.join(f'<span>{as_text(tag)}</span>' for tag in tags)}</p>"
            if rule.description and rule.description != rule.title:
                yield f"<p>{as_text(rule.description)}</p>"
            yield f"<div class=help>{as_markdown(rule.help)}</div>"
            links = [r for r in rule.references if re.fullmatch(r"https://[!-~]+", r)]
            if links:
                yield "<p class=links>"
                for link in links:
                    yield (
                        f'<a href="{as_text(link)}" rel="noreferrer noopener">'
                        f"{as_text(link.removeprefix('https://'))}</a> "
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
    return " · ".join(as_text(part) for part in parts)


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
    yield f"<div class={'warning' if denied else 'good'}><b>Policy:</b> {as_text(said)}."
    results = policy_said(run.gate, findings)
    if results:
        yield "<ul>"
        for _, text, about in results[:_MOST_SAID]:
            places = [place_of(found.finding.location) for found in about[:_MOST_STEPS]]
            more = f" and {len(about) - _MOST_STEPS} more" if len(about) > _MOST_STEPS else ""
            where = f" ({as_text(', '.join(places))}{more})" if places else ""
            yield f"<li>{as_text(text[:_LONGEST_TEXT])}{where}</li>"
        if len(results) > _MOST_SAID:
            yield f"<li>and {counted(len(results) - _MOST_SAID, 'more result')}</li>"
        yield "</ul>"
    yield "</div>"


def _filters(items: Sequence[Reported], rules: _Rules) -> Iterator[str]:
    severities = sorted({one.finding.severity.rank for one in items}, reverse=True)
    names = {severity.rank: severity.value for severity in Severity}
    yield _select("s", "Severity", [(str(rank), names[rank]) for rank in severities])
    yield _select("r", "Rule", [(str(number), name) for number, name in rules.names()])
    tools = sorted({one.tool for one in items})
    if len(tools) > 1:
        yield _select("t", "Tool", [(tool, tool) for tool in tools])


def _select(kind: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f'<option value="{as_text(v)}">{as_text(text)}</option>' for v, text in options)
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
    tool = "" if one.tool == "tavo" else f' data-t="{as_text(one.tool)}"'
    ignored = " i" if one.suppression is not None else ""
    return "".join(
        [
            f"<details class='f s{rank}{ignored}' data-r={number}{tool}><summary>"
            f"<b>{finding.severity.value}</b> <code>{as_text(place_of(finding.location))}</code>"
            f" <i>{as_text(name_of(one))}</i></summary>",
            *(() if bare else _inside(one, told=rules.says(one))),
            f"<p class=m><a href=#r{number}>Why, and how to mend it</a>"
            f"<small>{one.fingerprint}</small></p></details>\n",
        ]
    )


def _inside(one: Reported, *, told: bool) -> Iterator[str]:
    """Yield what an opened finding shows; `told`: its message stands with the rule."""
    if not told:
        yield f"<p class=said>{as_text(one.finding.message[:_LONGEST_TEXT])}</p>"
    yield from _suppressed(one)
    yield from _code(one.finding)
    yield from _flow(one.finding)
    yield from _fix(one.finding)


def _suppressed(one: Reported) -> Iterator[str]:
    if one.suppression is not None:
        yield f"<p class=reason><b>Ignored:</b> {as_text(one.suppression.reason)}</p>"


def _code(finding: Finding) -> Iterator[str]:
    region = finding.location.region
    if region is None or not finding.location.snippet:
        entries = sorted(finding.evidence.items())[:_MOST_EVIDENCE]
        if entries:
            yield "<dl>"
            for name, value in entries:
                yield f"<dt>{as_text(name)}</dt><dd>{as_text(value[:_LONGEST_TEXT])}</dd>"
            yield "</dl>"
        return
    lines = finding.location.snippet.split("\n")[:_MOST_LINES]
    yield "<pre>"
    for number, code in enumerate(lines, start=region.start_line):
        first = region.start_column - 1 if number == region.start_line else 0
        last = region.end_column - 1 if number == region.end_line else len(code)
        code, first, last = _cut(code, first, last)
        marked = f"<mark>{as_text(code[first:last])}</mark>" if code[first:last].strip() else ""
        yield f"<u>{number}</u>{as_text(code[:first])}{marked}{as_text(code[last:])}\n"
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
        yield f"<li><b>{as_text(place)}</b> {as_text(step.message[:_LONGEST_TEXT])}"
        code = step.location.snippet.split("\n")[0].strip()
        if code and (step.location.path, line) not in seen and not _is_shown(step, finding):
            yield f"<code>{as_text(code[:_LONGEST_LINE])}</code>"
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
        yield f"<p class=fix>Replace the marked part by</p><pre>{as_text(finding.fix)}</pre>"


# -- below the list


def _notices(run: Run) -> Iterator[str]:
    for title, wanted in (("Not looked at, or not in full", True), ("Notes", False)):
        entries = list(reasons_of(n for n in run.notices if n.incomplete is wanted))
        if entries:
            yield f"<section id={'notices' if wanted else 'notes'}><h2>{title}</h2><ul>"
            for subjects, reason in entries:
                yield f"<li><b>{as_text(subjects)}</b>: {as_text(reason)}"
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
        yield f"<tr>{''.join(f'<td>{as_text(str(cell))}' for cell in cells)}"
    yield "</table></div></section>"


# -- the template


def _part(name: str) -> str:
    data = get_data(__name__, f"page/{name}")
    assert data is not None  # noqa: S101
    return data.decode("utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
