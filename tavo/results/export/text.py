"""A run for people: lines of styled spans, which the command line colours or leaves plain.

Rules this module keeps:
- quiet when clean, and never "no findings" for a run that did not look at everything;
- the last lines say what was looked at, and what was not, with the reasons;
- text from scanned code is made printable: nothing in it can steer a terminal.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tavo.plugins import Severity
from tavo.results.values import Notice, PluginRun, Reported, Run

__all__ = ["Line", "printable", "run_to_lines"]

Line = tuple[tuple[str, str], ...]
_MOST_LISTED = 20
_LONGEST_CODE = 160


def printable(text: str) -> str:
    """Replace characters that could steer a terminal: controls, overrides, unassigned ones."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _shown(c) for c in text)


def _shown(character: str) -> str:
    if character == "\t":
        return "    "
    return (
        " "
        if unicodedata.category(character) in {"Zl", "Zp", "Zs"}
        else "\N{REPLACEMENT CHARACTER}"
    )


def run_to_lines(
    run: Run, findings: Iterable[Reported], *, width: int = 100, verbose: bool = False
) -> Iterator[Line]:
    """Yield the report of a run; `width` is that of the terminal, in columns."""
    items = list(findings)
    shown = [one for one in items if one.suppression is None]
    suppressed = len(items) - len(shown)
    for path, group in groupby(shown, key=lambda one: str(one.finding.location.path)):
        yield (("path", printable(path)),)
        for one in group:
            yield from _finding(one, width, verbose=verbose)
    yield from _summary(run, shown, suppressed)
    yield from _not_done(run.notices, width)
    yield from _rules_hint(shown)


def _finding(one: Reported, width: int, *, verbose: bool) -> Iterator[Line]:
    finding = one.finding
    region = finding.location.region
    where = f"{region.start_line}:{region.start_column}" if region is not None else "file"
    severity = finding.severity.value
    name = one.rule.id if one.tool == "tavo" else f"{one.tool} {one.rule.id}"
    yield (
        ("", f"  {where:>7}  "),
        (severity, f"{severity:<8}"),
        ("", "  "),
        ("bold", printable(name)),
    )
    for line in textwrap.wrap(printable(finding.message), max(40, min(width, 110) - 11)):
        yield (("", " " * 11 + line),)
    if region is not None and finding.location.snippet:
        lines = finding.location.snippet.split("\n")
        for number, code in enumerate(lines[: 10 if verbose else 3], start=region.start_line):
            yield _code(number, code, width)
    for number, step in enumerate(finding.flow, start=1):
        place = step.location.region
        line = f"line {place.start_line}" if place is not None else "the file"
        other = "" if step.location.path == finding.location.path else f"{step.location.path} "
        code = step.location.snippet.split("\n")[0].strip()
        yield (
            ("dim", f"{' ' * 11}{number}. "),
            ("", printable(f"{other}{line}: {step.message}")),
            ("dim", printable(f"   {_cut(code, max(20, width - 50))}")),
        )
    yield ()


def _code(number: int, code: str, width: int) -> Line:
    return (
        ("gutter", f"{number:>9} | "),
        ("code", _cut(printable(code), max(20, min(width - 13, _LONGEST_CODE)))),
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _summary(run: Run, shown: Sequence[Reported], suppressed: int) -> Iterator[Line]:
    counts = Counter(one.finding.severity for one in shown)
    looked = f"{run.files} {_plural(run.files, 'file')} with {run.info.rules} rules"
    plugins = ", ".join(_plugin(plugin) for plugin in run.plugins)
    tail = f"{looked}{' and ' + plugins if plugins else ''}, {run.cpu_s:.1f} s CPU"
    ignored = f", {suppressed} ignored by comments" if suppressed else ""
    incomplete = any(notice.incomplete for notice in run.notices) or not run.complete
    if not shown and incomplete:
        yield (("warning", f"Not complete{ignored}: "), ("", f"{tail}."))
    elif not shown and not run.files and not any(plugin.files for plugin in run.plugins):
        yield (("warning", "Nothing to look at: "), ("", f"{tail}."))
    elif not shown:
        yield (("good", f"No findings{ignored}: "), ("", f"{tail}."))
    else:
        parts = [f"{counts[s]} {s.value}" for s in reversed(Severity) if counts[s]]
        noun = _plural(len(shown), "finding")
        yield (
            ("bold", f"{len(shown)} {noun} ({', '.join(parts)}){ignored}: "),
            ("", f"{tail}."),
        )


def _plugin(run: PluginRun) -> str:
    return f"{run.plugin} {run.version} on {run.files} {_plural(run.files, 'file')} ({run.sandbox})"


def _not_done(notices: Sequence[Notice], width: int) -> Iterator[Line]:
    missing = [notice for notice in notices if notice.incomplete]
    notes = [notice for notice in notices if not notice.incomplete]
    if missing:
        yield (("warning", f"Not looked at, or not in full ({len(missing)}):"),)
        yield from _listed(missing, width)
    if notes:
        yield (("dim", f"Notes ({len(notes)}):"),)
        yield from _listed(notes, width)


def _listed(notices: Sequence[Notice], width: int) -> Iterator[Line]:
    for notice in notices[:_MOST_LISTED]:
        text = printable(f"{notice.kind} {notice.subject}: {notice.reason}")
        for line in textwrap.wrap(text, max(40, width - 4), subsequent_indent="    ") or [text]:
            yield (("", f"  {line}"),)
    if len(notices) > _MOST_LISTED:
        yield (("dim", f"  and {len(notices) - _MOST_LISTED} more; --format json lists all"),)


def _rules_hint(shown: Sequence[Reported]) -> Iterator[Line]:
    ours = sorted({one.rule.id for one in shown if one.tool == "tavo"})
    if ours:
        yield (("dim", f"Why, and how to mend it: tavo explain {ours[0]}"),)


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
