"""A run for people: lines of styled spans, which the command line colours or leaves plain.

Rules this module keeps:
- quiet when clean, and never "no findings" for a run that did not look at everything;
- the last lines say what was looked at, and what was not, with the reasons; where something was
  not, the very last line is one sentence about that;
- text from scanned code is made printable: nothing in it can steer a terminal;
- no line of code or of a data flow is wider than the terminal.

Units: widths in columns of a terminal, where a wide character takes two.
"""

from __future__ import annotations

import itertools
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import PurePosixPath

from tavo.plugins import Finding, Location, Step
from tavo.printable import counted, one_line, printable, uncommanded
from tavo.results.export.summary import (
    headline,
    ignored_in_words,
    looked_at,
    name_of,
    ran_here,
    reasons_of,
    rules_of,
    seconds,
    split,
)
from tavo.results.export.text_gate import gate_lines, last_line
from tavo.results.values import ALSO, Notice, PluginRun, Reported, Run

__all__ = ["Line", "columns_of", "finding_to_lines", "message_to_lines", "run_to_lines"]

Line = tuple[tuple[str, str], ...]
_INDENT = " " * 11
_MANY = 25
_MOST_RULES = 10
_MOST_LISTED = 20
_MOST_EVIDENCE = 6
_MOST_EXPLAINED = 5
_LONGEST_HELP = 400
_WIDEST = 110
_NARROWEST = 24


def columns_of(text: str) -> int:
    """Return how many columns of a terminal printable text takes."""
    return len(text) if text.isascii() else sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def run_to_lines(
    run: Run, findings: Iterable[Reported], *, width: int = 100, verbose: bool = False
) -> Iterator[Line]:
    """Yield the report of a run; `width` is that of the terminal.

    `verbose` shows all lines of the code, and the findings that do not count with their reasons.
    """
    for line in _lines(run, findings, max(width, _NARROWEST), verbose=verbose):
        text = "".join(part for _, part in line)
        safe = uncommanded(text)
        yield line if safe == text else (("", safe),)


def finding_to_lines(one: Reported, *, width: int = 100) -> Iterator[Line]:
    """Yield one finding with its path, as it comes, before there is a report."""
    width = max(width, _NARROWEST)
    path = (("path", printable(str(one.finding.location.path))),)
    for line in itertools.chain([path], _finding(one, width, verbose=False, again=False)):
        text = "".join(part for _, part in line)
        safe = uncommanded(text)
        yield line if safe == text else (("", safe),)


def message_to_lines(one: Reported, word: str, *, width: int = 100) -> Iterator[Line]:
    """Yield the first line of what a finding says, after a word, as one that is less than that."""
    text = one.finding.message.split("\n", 1)[0]
    for line in _wrapped(f"{word}: {name_of(one)}: {text}", max(width, _NARROWEST), indent="  "):
        yield (("dim", uncommanded("".join(part for _, part in line))),)
    yield ()


def _lines(run: Run, findings: Iterable[Reported], width: int, *, verbose: bool) -> Iterator[Line]:
    items = list(findings)
    shown, ignored = split(items)
    for path, group in groupby(shown, key=lambda one: str(one.finding.location.path)):
        yield (("path", printable(path)),)
        told: set[tuple[str, str, str]] = set()
        for one in group:
            what = (one.tool, one.rule.id, one.finding.message)
            yield from _finding(one, width, verbose=verbose, again=what in told)
            told.add(what)
    if verbose and ignored:
        yield from _ignored(ignored, width)
    if len(shown) >= _MANY:
        yield from _by_rule(shown, width)
    yield from _hint(shown, width)

    def wrap(text: str, indent: str, style: str) -> Iterator[Line]:
        return _wrapped(text, width, indent=indent, style=style)

    yield from gate_lines(run, ignored, items, wrap)
    yield from _summary(run, shown, ignored, width)
    for plugin in filter(ran_here, run.plugins):
        yield from _wrapped(_spent(plugin), width, indent="  ", style="dim")
    yield from _not_done(run, width)


# -- one finding


def _finding(one: Reported, width: int, *, verbose: bool, again: bool) -> Iterator[Line]:
    """Yield a finding; `again`: its message stands above, at another finding of the file."""
    finding = one.finding
    severity = finding.severity.value
    name = name_of(one)
    yield (
        ("", f"  {_place(finding.location):>7}  "),
        (severity, f"{severity:<8}"),
        ("", "  "),
        ("bold", printable(name)),
    )
    for paragraph in () if again and not verbose else finding.message.splitlines():
        yield from _wrapped(paragraph, width, indent=_INDENT)
    if finding.location.region is not None and ALSO in finding.evidence:
        text = f"The same flaw by other rules: {finding.evidence[ALSO]}"
        yield from _wrapped(text, width, indent=_INDENT, style="dim")
    most = 10 if verbose else 3
    yield from _code(finding, width, most=most)
    seen = _lines_of(finding, most)
    for number, step in enumerate(finding.flow, start=1):
        region = step.location.region
        place = (step.location.path, region.start_line if region is not None else None)
        line = _step(number, step, finding, width, code=place not in seen)
        if line[-1][0] == "dim":  # there was room for the code
            seen.add(place)
        yield line
    yield ()


def _lines_of(finding: Finding, most: int) -> set[tuple[PurePosixPath, int | None]]:
    """Return the lines whose code stands above the flow."""
    region = finding.location.region
    if region is None or not finding.location.snippet:
        return set()
    last = min(region.end_line, region.start_line + most - 1)
    return {(finding.location.path, line) for line in range(region.start_line, last + 1)}


def _place(location: Location) -> str:
    region = location.region
    if region is not None:
        return f"{region.start_line}:{region.start_column}"
    return "target" if location.snippet else "file"  # a goal stands where code would


def _wrapped(text: str, width: int, *, indent: str, style: str = "") -> Iterator[Line]:
    room = max(min(width, _WIDEST) - len(indent), _NARROWEST - 4)
    for line in textwrap.wrap(one_line(text), room):
        yield ((style, indent + line),)


def _code(finding: Finding, width: int, *, most: int) -> Iterator[Line]:
    region = finding.location.region
    if region is None or not finding.location.snippet:
        for name, value in sorted(finding.evidence.items())[:_MOST_EVIDENCE]:
            yield from _wrapped(f"{name}: {value}", width, indent=_INDENT, style="dim")
        return
    lines = finding.location.snippet.split("\n")
    for number, code in enumerate(lines[:most], start=region.start_line):
        first = region.start_column - 1 if number == region.start_line else 0
        last = region.end_column - 1 if number == region.end_line else len(code)
        spans = [("code", code[:first]), ("marker", code[first:last]), ("code", code[last:])]
        yield (("gutter", f"{number:>9} | "), *_window(spans, width - 13))
    if region.end_line - region.start_line + 1 > min(most, len(lines)):
        yield (("gutter", f"{'…':>9} |"),)


def _window(spans: Sequence[tuple[str, str]], room: int) -> Line:
    """Cut code to the room that there is, so that the start of the marked part stays in sight."""
    cells = [(style, c, _columns(c)) for style, text in spans for c in printable(text)]
    if sum(columns for _, _, columns in cells) <= room:
        return tuple((style, printable(text)) for style, text in spans if text)
    marked = next((at for at, cell in enumerate(cells) if cell[0] == "marker"), 0)
    start = 0
    if sum(columns for _, _, columns in cells[:marked]) >= room * 2 // 3:
        start = min(_back(cells, marked, room // 3), _back(cells, len(cells), room - 1))
    out: list[tuple[str, str]] = [("gutter", "…")] if start else []
    used = len(out)
    left = sum(columns for _, _, columns in cells[start:])
    for style, character, columns in cells[start:]:
        if used + left > room and used + columns > room - 1:
            out.append(("gutter", "…"))
            break
        used += columns
        left -= columns
        if out and out[-1][0] == style:
            out[-1] = (style, out[-1][1] + character)
        else:
            out.append((style, character))
    return tuple(out)


def _back(cells: Sequence[tuple[str, str, int]], end: int, room: int) -> int:
    """Return the first cell from which those up to `end` fit into the room."""
    while end > 0 and room >= cells[end - 1][2]:
        end -= 1
        room -= cells[end][2]
    return end


def _step(number: int, step: Step, finding: Finding, width: int, *, code: bool) -> Line:
    """Return one step of a flow; `code`: with the code of its line."""
    region = step.location.region
    line = f"line {region.start_line}" if region is not None else "the file"
    other = "" if step.location.path == finding.location.path else f"{step.location.path} "
    lead = f"{_INDENT}{number}. "
    text = " ".join(printable(f"{other}{line}: {step.message}").split())
    room = width - len(lead) - columns_of(text) - 3
    if room < 0:
        cut = _window((("", text),), width - len(lead))
        return (("dim", lead), *(("", part) for _, part in cut))
    line_of_code = step.location.snippet.split("\n")[0].strip()
    if not code or not line_of_code or room < 16:
        return (("dim", lead), ("", text))
    shown = "".join(part for _, part in _window((("dim", line_of_code),), room))
    return (("dim", lead), ("", text), ("dim", f"   {shown}"))


def _ignored(items: Sequence[Reported], width: int) -> Iterator[Line]:
    yield (("dim", f"Ignored ({len(items)}):"),)
    for one in items:
        place = f"{one.finding.location.path}:{_place(one.finding.location)}"
        reason = one.suppression.reason if one.suppression is not None else ""
        yield from _wrapped(f"{place} {one.rule.id}: {reason}", width, indent="  ", style="dim")
    yield ()


def _by_rule(shown: Sequence[Reported], width: int) -> Iterator[Line]:
    """Yield which rules most findings are of: the list above is longer than a screen."""
    rules = rules_of(shown)
    for severity, name, count in rules[:_MOST_RULES]:
        lead = ((("", f"{count:>7}  ")), (severity.value, f"{severity.value:<8}"))
        yield (*lead, *_window((("", f"  {name}"),), width - 17))
    if len(rules) > _MOST_RULES:
        rest = sum(count for _, _, count in rules[_MOST_RULES:])
        yield (("dim", f"{rest:>7}  of {len(rules) - _MOST_RULES} other rules"),)
    yield ()


# -- what was looked at, and what was not


def _summary(
    run: Run, shown: Sequence[Reported], ignored: Sequence[Reported], width: int
) -> Iterator[Line]:
    plugins = "; ".join(_plugin(plugin) for plugin in run.plugins)
    tail = f"{looked_at(run)}{'; ' + plugins if plugins else ''}; {seconds(run.cpu_s)} CPU"
    besides = ignored_in_words(ignored)
    said = headline(run, shown)
    style = "bold" if shown else "good" if said == "No findings" else "warning"
    head = f"{said}{', ' + besides if besides else ''}:"
    first, *others = textwrap.wrap(f"{head} {tail}.", width, subsequent_indent="  ")
    yield (
        ((style, head), ("", first.removeprefix(head)))
        if first.startswith(head)
        else ((style, first),)
    )
    for line in others:
        yield (("", line),)


def _plugin(run: PluginRun) -> str:
    looked = f"on {counted(run.files, 'file')}"
    if run.requests:
        looked = f"with {counted(run.requests, 'request')}"
    if not ran_here(run):
        found = counted(run.findings, "finding")
        return one_line(f"{run.plugin} {run.version} with {found}, imported")
    return printable(f"{run.plugin} {run.version} {looked}, sandbox {run.sandbox}")


def _spent(run: PluginRun) -> str:
    known = f", {run.cached} files known from before" if run.cached else ""
    return (
        f"{run.plugin}: {counted(run.calls, 'call')},"
        f" {counted(run.findings, 'finding')}, {run.skipped} skipped{known};"
        f" {seconds(run.host_cpu_s + run.worker_cpu_s)} CPU, {seconds(run.wall_s)} waited for,"
        f" {run.peak_bytes >> 20} MB at most"
    )


def _not_done(run: Run, width: int) -> Iterator[Line]:
    missing = [notice for notice in run.notices if notice.incomplete]
    notes = [notice for notice in run.notices if not notice.incomplete]
    if notes:
        yield (("dim", f"Notes ({len(notes)}):"),)
        yield from _listed(notes, width)
    if missing:
        yield (("warning", f"Not looked at, or not in full ({len(missing)}):"),)
        yield from _listed(missing, width)
        yield from last_line(
            missing, lambda text, indent, style: _wrapped(text, width, indent=indent, style=style)
        )
    if not run.finished_at:
        yield (("warning", "The run was interrupted before its end."),)
    elif not run.complete and not missing:
        yield (("warning", "Not everything was looked at."),)


def _listed(notices: Sequence[Notice], width: int) -> Iterator[Line]:
    """Yield one entry for each reason, with the first of the files or rules it is about."""
    entries = list(reasons_of(notices))
    for subjects, reason in entries[:_MOST_LISTED]:
        told = f"{subjects}: {reason}"
        for number, (line,) in enumerate(_wrapped(told, width - 2, indent="  ")):
            yield (("", f"  {line[1]}" if number else line[1]),)
    if len(entries) > _MOST_LISTED:
        yield (("dim", f"  and {len(entries) - _MOST_LISTED} more; --format json lists all"),)


def _hint(shown: Sequence[Reported], width: int) -> Iterator[Line]:
    """Say why, and how to mend it: for our rules where it stands, for plugins' what they say."""
    foreign = {
        (one.tool, one.rule.id): one.rule.help or one.rule.description
        for one in shown if one.tool != "tavo"
    }  # fmt: skip
    told = [(rule, text) for (_, rule), text in foreign.items() if text.strip()]
    for rule, text in told[:_MOST_EXPLAINED]:
        cut = text if len(text) <= _LONGEST_HELP else text[: _LONGEST_HELP - 1] + "…"
        yield from _wrapped(
            f"Why, and how to mend it ({rule}): {cut}", width, indent="", style="dim"
        )
    if len(told) > _MOST_EXPLAINED:
        yield (
            ("dim", f"and {len(told) - _MOST_EXPLAINED} rules more; --format json has their help"),
        )
    ours = [one for one in shown if one.tool == "tavo"]
    if ours:
        worst = max(ours, key=lambda one: one.finding.severity)
        yield (("dim", f"Why, and how to mend it: tavo explain {worst.rule.id}"),)
