"""A run as Markdown for a pull request or the summary of a job, in GitHub's dialect.

Rules this module keeps:
- text from code, paths, plugins and rules makes no markup, no mention, no link and no reference: it
  stands in code spans and fences longer than any in it, or with every sign escaped;
- it fits where it goes: what does not fit is left out whole, least severe first, and it is said;
- what was not looked at is said before the findings, and at the end.

Sources: GitHub Flavored Markdown, sections 4.5, 4.10, 6.1, 6.3; GitHub, limits of comments and of
job summaries. Units: sizes in bytes of UTF-8, never fewer than the characters that GitHub counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from tavo.plugins import Location, Severity
from tavo.printable import counted, one_line, printable, uncommanded
from tavo.results.export.summary import (
    by_severity,
    denies,
    first_of,
    headline,
    ignored_in_words,
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

__all__ = ["COMMENT", "SUMMARY", "run_to_markdown"]

COMMENT = 65_536
"""The longest comment on a pull request or an issue."""

SUMMARY = 1 << 20
"""The longest summary of a job's step."""

_ICONS = {
    Severity.CRITICAL: "🟣", Severity.HIGH: "🔴", Severity.MEDIUM: "🟠", Severity.LOW: "🟡",
    Severity.INFO: "🔵",
}  # fmt: skip
_WORST = 20
_MOST_ROWS = 1_000
_MOST_DETAILS = 50
_MOST_STEPS = 12
_MOST_REASONS = 50
_MOST_SAID = 20
_LONGEST_LINE = 200
_LONGEST_SPAN = 160
_LONGEST_MESSAGE = 600

Link = Callable[[Location], str]


def run_to_markdown(
    run: Run, findings: Iterable[Reported], *, files: str = "", limit: int = COMMENT
) -> str:
    """Return a run with its findings as Markdown of at most `limit` bytes.

    `files` is the address below which the scanned files are seen, ending with `/`; empty: paths are
    no links.
    """
    shown, ignored = split(findings)
    every = {one.fingerprint: one for one in (*shown, *ignored)}
    shown = worst_first(shown)
    head = "\n".join([*_head(run, shown, ignored), *_gate(run, every)])
    tail = "\n".join([*_not_done(run), _foot(run)])
    out = _Bounded(limit - len(f"{head}{tail}\n\n".encode()) - 400)

    def link(location: Location) -> str:
        return _link(location, files)

    rows = [_row(one, link) for one in shown[:_MOST_ROWS]]
    worst = out.table("", rows[:_WORST])
    others = 0
    details = 0
    if worst == len(rows[:_WORST]):
        details = out.blocks(
            "How the data gets there" if any(one.finding.flow for one in shown) else "The code",
            ["\n".join(_detail(one, link)) for one in shown[:_WORST]],
        )
        others = out.table(f"{counted(len(shown) - _WORST, 'more finding')}", rows[_WORST:])
        if len(shown) > _WORST and others == len(rows) - _WORST:
            details += out.blocks(
                "More code", ["\n".join(_detail(one, link)) for one in shown[_WORST:_MOST_DETAILS]]
            )
    notes = []
    if worst + others < len(shown):
        notes.append(f"{counted(len(shown) - worst - others, 'finding')} of the lowest severity")
    if details < min(len(shown), _MOST_DETAILS) or len(shown) > _MOST_DETAILS:
        notes.append(f"the code of {counted(len(shown) - details, 'finding')}")
    cut = ""
    if notes:
        cut = (
            f"\n\n> [!NOTE]\n> This summary has room for {limit:,} bytes: {' and '.join(notes)}"
            f" {'is' if len(notes) == 1 and notes[0].startswith('1 ') else 'are'} not shown here."
            " The whole report has everything."
        )
    return f"{head}{out.text}{cut}\n\n{tail}\n"


class _Bounded:
    """Text that takes in what fits, in whole pieces."""

    def __init__(self, room: int) -> None:
        self.text = ""
        self._room = room

    def table(self, title: str, rows: Sequence[str]) -> int:
        """Add a table, collapsed if it has a title; return how many rows fit."""
        lead = "\n| | Severity | Rule | Where | What |\n|---|---|---|---|---|\n"
        return self._add(title, lead, rows, "\n")

    def blocks(self, title: str, blocks: Sequence[str]) -> int:
        """Add collapsed blocks; return how many fit."""
        return self._add(title, "\n", blocks, "\n\n")

    def _add(self, title: str, lead: str, pieces: Sequence[str], between: str) -> int:
        if not pieces:
            return 0
        opened = f"\n\n<details><summary>{title}</summary>\n{lead}" if title else f"\n{lead}"
        closed = "\n\n</details>" if title else ""
        room = self._room - len(f"{opened}{closed}".encode())
        kept: list[str] = []
        for piece in pieces:
            room -= len(f"{piece}{between}".encode())
            if room < 0:
                break
            kept.append(piece)
        if kept:
            added = f"{opened}{between.join(kept)}{closed}"
            self._room -= len(added.encode())
            self.text += added
        return len(kept)


# -- the parts


def _head(run: Run, shown: Sequence[Reported], ignored: Sequence[Reported]) -> Iterator[str]:
    complete = is_complete(run)
    title = headline(run, shown).partition(" (")[0]
    icon = _ICONS[shown[0].finding.severity] if shown else "✅" if complete else "⚠️"
    yield f"## {icon} tavo: {title}"
    yield ""
    parts = [
        f"{_ICONS[severity]} {count} {severity.value}" for severity, count in by_severity(shown)
    ]
    besides = ignored_in_words(ignored)
    yield " · ".join([*parts, looked_at(run), *([besides] if besides else [])])
    if not complete:
        missing = sum(notice.incomplete for notice in run.notices)
        what = f"{counted(missing, 'thing')} not looked at" if missing else "it was interrupted"
        yield ""
        yield "> [!WARNING]"
        yield f"> **The scan is not complete:** {what}, see the end."


def _gate(run: Run, findings: Mapping[str, Reported]) -> Iterator[str]:
    """Yield what is gone since the baseline, and what the policy said."""
    if run.gate is not None and run.gate.absent:
        yield ""
        yield f"{counted(len(run.gate.absent), 'finding')} of the baseline gone."
    said = policy_headline(run.gate)
    if not said or run.gate is None:
        return
    denied = any(map(denies, run.gate.policy_results))
    yield ""
    yield f"{'🔴' if denied else '✅'} **Policy:** {said}."
    results = policy_said(run.gate, findings)
    for one, text, about in results[:_MOST_SAID]:
        places = ", ".join(_code(place_of(found.finding.location)) for found in about[:3])
        more = f" and {len(about) - 3} more" if len(about) > 3 else ""
        mark = "🔴" if denies(one) else "🟡" if not one.excepted else "⚪"
        told = _prose(text[:_LONGEST_MESSAGE])
        yield f"- {mark} {told}{f' ({places}{more})' if places else ''}"
    if len(results) > _MOST_SAID:
        yield f"- and {counted(len(results) - _MOST_SAID, 'more result')}"


def _row(one: Reported, link: Link) -> str:
    finding = one.finding
    severity = finding.severity
    cells = [
        _ICONS[severity], severity.value, _cell(_code(name_of(one))), _cell(link(finding.location)),
        _prose(one.rule.title[:_LONGEST_LINE]),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _detail(one: Reported, link: Link) -> Iterator[str]:
    finding = one.finding
    yield f"**{_ICONS[finding.severity]} {_code(name_of(one))}** {link(finding.location)}"
    yield ""
    yield _prose(finding.message[:_LONGEST_MESSAGE])
    yield ""
    code = [line[:_LONGEST_LINE] for line in finding.location.snippet.split("\n")]
    if finding.location.region is not None and any(code):
        yield _fenced(code)
    elif finding.evidence:
        yield _fenced([f"{name}: {value}" for name, value in sorted(finding.evidence.items())])
    steps = finding.flow
    if len(steps) > _MOST_STEPS:
        steps = (*steps[: _MOST_STEPS - 1], steps[-1])
    for number, step in enumerate(steps, start=1):
        if number == len(steps) and len(finding.flow) > _MOST_STEPS:
            yield f"{number}. and {len(finding.flow) - _MOST_STEPS} more steps"
            number += 1
        yield f"{number}. {link(step.location)} {_prose(step.message[:_LONGEST_LINE])}"


def _not_done(run: Run) -> Iterator[str]:
    notices = [notice for notice in run.notices if notice.incomplete]
    missing = list(reasons_of(notices))
    if not missing:
        return
    yield f"<details><summary>Not looked at, or not in full ({len(notices)})</summary>"
    yield ""
    for subjects, reason in missing[:_MOST_REASONS]:
        yield f"- {_code(subjects)}: {_prose(reason[:_LONGEST_MESSAGE])}"
    if len(missing) > _MOST_REASONS:
        yield f"- and {counted(len(missing) - _MOST_REASONS, 'more reason')}"
    yield ""
    yield "</details>"
    yield ""


def _foot(run: Run) -> str:
    plugins = first_of([f"{one.plugin} {one.version}" for one in run.plugins])
    parts = [
        f"tavo {run.info.tool_version}", *([plugins] if plugins else []),
        f"{run.info.started_at[:16].replace('T', ' ')} UTC", f"{seconds(run.cpu_s)} CPU",
    ]  # fmt: skip
    return f"<sub>{' · '.join(_prose(part) for part in parts)}</sub>"


def _link(location: Location, files: str) -> str:
    shown = _code(place_of(location))
    if not files or (location.region is None and location.snippet):  # a target is no file
        return shown
    line = "" if location.region is None else f"#L{location.region.start_line}"
    return f"[{shown}]({files}{quote(str(location.path), errors='surrogateescape')}{line})"


# -- the one place where text becomes Markdown

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_OPENING = re.compile(r"(?:\d+(?=[.)](?:\s|$)))?[!-/:-@\[-`{-~]")  # of a list, a heading, a rule
_BREAK = "\u200b"
_REFERENCE = re.compile(
    r"(@|#(?=\d)|://|(?<![0-9A-Za-z])(?:www|GH-|[0-9a-f]{6}(?=[0-9a-f]*\b))|:(?=[\w+-]+:))", re.I
)


def _prose(text: str) -> str:
    """Return text that is shown as it is: no mention, reference, link or markup.

    Entities stop Markdown; what looks at the finished page for names to link is stopped by a break
    of no width.
    """
    broken = _REFERENCE.sub(rf"\1{_BREAK}", one_line(text))
    opened = _OPENING.match(broken)
    start = "" if opened is None else f"{opened[0][:-1]}&#{ord(opened[0][-1])};"
    rest = broken[len(opened[0]) :] if opened is not None else broken
    return start + _PUNCTUATION.sub(lambda found: _entity(found.group()), rest)


def _entity(character: str) -> str:
    # These cannot begin or end anything inside a line.
    return character if character in ",.:;?'\"()/%-" else f"&#{ord(character)};"


def _code(text: str) -> str:
    """Return text as a code span."""
    shown = one_line(text) or " "
    if len(shown) > _LONGEST_SPAN:
        shown = f"{shown[: _LONGEST_SPAN // 2]}…{shown[-_LONGEST_SPAN // 2 :]}"
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _cell(text: str) -> str:
    """Return a code span or a link for the cell of a table, which a bar would end.

    A backslash before a bar escapes it there; one more before that would undo it.
    """
    return re.sub(r"\\(?=\|)", r"\\ ", text).replace("|", "\\|")


def _fenced(lines: Sequence[str]) -> str:
    safe = "\n".join(uncommanded(printable(line)) for line in lines)
    fence = "`" * max(3, _longest_run(safe) + 1)
    return f"{fence}\n{safe}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
