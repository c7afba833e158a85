"""A run for people: lines of styled spans, which the command line colours or leaves plain.

Rules this module keeps:
- quiet when clean, and never "no findings" for a run that did not look at everything;
- the last lines say what was looked at, and what was not, with the reasons;
- text from scanned code is made printable: nothing in it can steer a terminal;
- no line of code or of a data flow is wider than the terminal.

Units: widths in columns of a terminal, where a wide character takes two.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tavo.plugins import Finding, Location, Severity, Step
from tavo.printable import one_line, printable
from tavo.results.values import Notice, PluginRun, Reported, Run

__all__ = ["Line", "columns_of", "first_of", "place_and_clause", "run_to_lines"]

Line = tuple[tuple[str, str], ...]
_INDENT = " " * 11
_MOST_LISTED = 20
_MOST_SUBJECTS = 5
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
    items = list(findings)
    width = max(width, _NARROWEST)
    shown = [one for one in items if one.suppression is None]
    ignored = [one for one in items if one.suppression is not None]
    for path, group in groupby(shown, key=lambda one: str(one.finding.location.path)):
        yield (("path", printable(path)),)
        for one in group:
            yield from _finding(one, width, verbose=verbose)
    if verbose and ignored:
        yield from _ignored(ignored, width)
    yield from _hint(shown, width)
    yield from _summary(run, shown, ignored, width)
    for plugin in filter(_ran_here, run.plugins):
        yield from _wrapped(_spent(plugin), width, indent="  ", style="dim")
    yield from _not_done(run, width)


# -- one finding


def _finding(one: Reported, width: int, *, verbose: bool) -> Iterator[Line]:
    finding = one.finding
    severity = finding.severity.value
    name = one.rule.id if one.tool == "tavo" else f"{one.tool} {one.rule.id}"
    yield (
        ("", f"  {_place(finding.location):>7}  "),
        (severity, f"{severity:<8}"),
        ("", "  "),
        ("bold", printable(name)),
    )
    for paragraph in finding.message.splitlines():
        yield from _wrapped(paragraph, width, indent=_INDENT)
    yield from _code(finding, width, most=10 if verbose else 3)
    for number, step in enumerate(finding.flow, start=1):
        yield _step(number, step, finding, width)
    yield ()


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


def _step(number: int, step: Step, finding: Finding, width: int) -> Line:
    region = step.location.region
    line = f"line {region.start_line}" if region is not None else "the file"
    other = "" if step.location.path == finding.location.path else f"{step.location.path} "
    lead = f"{_INDENT}{number}. "
    text = " ".join(printable(f"{other}{line}: {step.message}").split())
    room = width - len(lead) - columns_of(text) - 3
    if room < 0:
        cut = _window((("", text),), width - len(lead))
        return (("dim", lead), *(("", part) for _, part in cut))
    code = step.location.snippet.split("\n")[0].strip()
    if not code or room < 16:
        return (("dim", lead), ("", text))
    shown = "".join(part for _, part in _window((("dim", code),), room))
    return (("dim", lead), ("", text), ("dim", f"   {shown}"))


def _ignored(items: Sequence[Reported], width: int) -> Iterator[Line]:
    yield (("dim", f"Ignored ({len(items)}):"),)
    for one in items:
        place = f"{one.finding.location.path}:{_place(one.finding.location)}"
        reason = one.suppression.reason if one.suppression is not None else ""
        yield from _wrapped(f"{place} {one.rule.id}: {reason}", width, indent="  ", style="dim")
    yield ()


# -- what was looked at, and what was not


def _summary(
    run: Run, shown: Sequence[Reported], ignored: Sequence[Reported], width: int
) -> Iterator[Line]:
    counts = Counter(one.finding.severity for one in shown)
    rules = f"{run.info.rules} {_plural(run.info.rules, 'rule')}"
    looked = f"{run.files} {_plural(run.files, 'file')} with {rules}"
    if not run.info.rules and not run.files and run.plugins:
        looked = "no files" if any(map(_ran_here, run.plugins)) else "nothing was scanned here"
    plugins = "; ".join(_plugin(plugin) for plugin in run.plugins)
    tail = f"{looked}{'; ' + plugins if plugins else ''}; {_seconds(run.cpu_s)} CPU"
    kinds = Counter(one.suppression.kind for one in ignored if one.suppression is not None)
    external = kinds.pop("external", 0)
    comments = kinds.total()
    besides = f", {comments} ignored by comments" if comments else ""
    besides += f", {external} {_elsewhere(ignored)}" if external else ""
    if shown:
        parts = [f"{counts[s]} {s.value}" for s in reversed(Severity) if counts[s]]
        noun = _plural(len(shown), "finding")
        style, head = "bold", f"{len(shown)} {noun} ({', '.join(parts)}){besides}:"
    elif not _is_complete(run):
        style, head = "warning", f"Not complete{besides}:"
    elif not run.files and not any(map(_has_looked, run.plugins)):
        style, head = "warning", "Nothing to look at:"
    else:
        style, head = "good", f"No findings{besides}:"
    first, *others = textwrap.wrap(f"{head} {tail}.", width, subsequent_indent="  ")
    yield (
        ((style, head), ("", first.removeprefix(head)))
        if first.startswith(head)
        else ((style, first),)
    )
    for line in others:
        yield (("", line),)


def _is_complete(run: Run) -> bool:
    return run.complete and not any(notice.incomplete for notice in run.notices)


def _elsewhere(ignored: Sequence[Reported]) -> str:
    """Say what findings are that no comment accepts: old ones, or such as their tool accepts."""
    reasons = [
        one.suppression.reason
        for one in ignored
        if one.suppression is not None and one.suppression.kind == "external"
    ]
    old = all(reason.startswith("already there") for reason in reasons)
    return "already there" if old else "accepted elsewhere"


def _ran_here(run: PluginRun) -> bool:
    """Tell whether it ran in this run, and was not imported: what runs has a sandbox."""
    return bool(run.sandbox)


def _has_looked(run: PluginRun) -> bool:
    return bool(run.files or run.requests) or not _ran_here(run)


def _plugin(run: PluginRun) -> str:
    looked = f"on {run.files} {_plural(run.files, 'file')}"
    if run.requests:
        looked = f"with {run.requests} {_plural(run.requests, 'request')}"
    if not _ran_here(run):
        noun = _plural(run.findings, "finding")
        return one_line(f"{run.plugin} {run.version} with {run.findings} {noun}, imported")
    return printable(f"{run.plugin} {run.version} {looked}, sandbox {run.sandbox}")


def _spent(run: PluginRun) -> str:
    known = f", {run.cached} files known from before" if run.cached else ""
    return (
        f"{run.plugin}: {run.calls} {_plural(run.calls, 'call')},"
        f" {run.findings} {_plural(run.findings, 'finding')}, {run.skipped} skipped{known};"
        f" {_seconds(run.host_cpu_s + run.worker_cpu_s)} CPU, {_seconds(run.wall_s)} waited for,"
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
    if not run.finished_at:
        yield (("warning", "The run was interrupted before its end."),)
    elif not run.complete and not missing:
        yield (("warning", "Not everything was looked at."),)


def _listed(notices: Sequence[Notice], width: int) -> Iterator[Line]:
    """Yield one entry for each reason, with the first of the files or rules it is about."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for notice in notices:
        if notice.kind == "plugin":
            place, clause = place_and_clause(notice.reason)
            places = reasons.setdefault((notice.kind, notice.subject, clause), [])
            places += [place] if place else []
        else:
            reasons.setdefault((notice.kind, "", notice.reason), []).append(notice.subject)
    for (kind, plugin, reason), subjects in list(reasons.items())[:_MOST_LISTED]:
        noun = kind if plugin else _plural(len(subjects), kind)
        text = " ".join(filter(None, (noun, plugin, first_of(subjects))))
        for number, (line,) in enumerate(_wrapped(f"{text}: {reason}", width - 2, indent="  ")):
            yield (("", f"  {line[1]}" if number else line[1]),)
    if len(reasons) > _MOST_LISTED:
        yield (("dim", f"  and {len(reasons) - _MOST_LISTED} more; --format json lists all"),)


def place_and_clause(reason: str) -> tuple[str, str]:
    """Take what a plugin failed at apart: the file, if it is about one, and the clause.

    A failure of one file is told as `path: it …`.
    """
    place, mark, clause = reason.partition(": it ")
    return (place, f"it {clause}") if mark else ("", reason)


def first_of(names: Sequence[str]) -> str:
    """Name the first of several, and how many more there are."""
    more = len(names) - _MOST_SUBJECTS
    return ", ".join(names[:_MOST_SUBJECTS]) + (f" and {more} more" if more > 0 else "")


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


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
