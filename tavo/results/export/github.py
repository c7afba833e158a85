"""A run as workflow commands of GitHub Actions, which become annotations of files and lines.

Rules this module keeps:
- GitHub shows ten errors, ten warnings and ten notices of a step: the worst come first, and the
  last of a full ten says how many more there are;
- a run that is not complete says so in the first error;
- nothing in a path or a message ends a command or begins one.

Source: GitHub, "Workflow commands for GitHub Actions"; the escaping is that of actions/toolkit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tavo.plugins import Severity
from tavo.printable import counted, printable, uncommanded
from tavo.results.export.summary import (
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
    split,
    worst_first,
)
from tavo.results.values import Reported, Run

__all__ = ["run_to_github"]

_MOST = 10
_MOST_REASONS = 20
_LEVELS = {
    Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning",
    Severity.LOW: "notice", Severity.INFO: "notice",
}  # fmt: skip


def run_to_github(run: Run, findings: Iterable[Reported], *, prefix: str = "") -> str:
    """Return a run with its findings as workflow commands.

    `prefix` leads from the root of the repository to that of the run, such as `services/api/`.
    """
    shown, ignored = split(findings)
    every = {one.fingerprint: one for one in (*shown, *ignored)}
    lines = []
    for level in ("error", "warning", "notice"):
        commands = list(_incomplete(run)) if level == "error" else []
        commands += _policy(run, every, level)[: _MOST - 1 - len(commands)]
        items = worst_first(one for one in shown if _LEVELS[one.finding.severity] == level)
        room = _MOST - len(commands)
        fit = items if len(items) <= room else items[: room - 1]
        commands += [_command(level, _annotation(one, prefix), _message(one)) for one in fit]
        if len(items) > len(fit):
            more = f"{counted(len(items) - len(fit), 'more finding')} of this level"
            said = f"{more}: GitHub shows {_MOST} of a step. The whole report has all."
            commands.append(_command(level, {"title": f"tavo: {more}"}, said))
        lines += commands
    besides = ignored_in_words(ignored)
    policy = policy_headline(run.gate)
    besides += f"{', ' if besides and policy else ''}{f'policy {policy}' if policy else ''}"
    said = f"{headline(run, shown)}{', ' + besides if besides else ''}: {looked_at(run)}."
    return "\n".join([*lines, uncommanded(printable(f"tavo: {said}"))])


def _incomplete(run: Run) -> Iterator[str]:
    if is_complete(run):
        return
    missing = [notice for notice in run.notices if notice.incomplete]
    reasons = [f"{subjects}: {reason}" for subjects, reason in reasons_of(missing)]
    more = len(reasons) - _MOST_REASONS
    told = [
        *reasons[:_MOST_REASONS],
        *([f"and {counted(more, 'more reason')}"] if more > 0 else []),
        *([] if run.finished_at else ["The run was interrupted before its end."]),
    ] or ["Not everything was looked at."]
    yield _command("error", {"title": "tavo: the scan is not complete"}, "\n".join(told))


def _policy(run: Run, findings: Mapping[str, Reported], level: str) -> list[str]:
    """Return a command for each thing that a policy denied or warned of."""
    return [
        _command(level, {"title": f"tavo policy: {one.rule}"}, _about(text, about))
        for one, text, about in policy_said(run.gate, findings)
        if not one.excepted and level == ("error" if denies(one) else "warning")
    ]


def _about(text: str, found: Sequence[Reported]) -> str:
    places = [place_of(one.finding.location) for one in found[:_MOST]]
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return "\n".join([text, *places, *more])


def _annotation(one: Reported, prefix: str) -> dict[str, str]:
    finding = one.finding
    region = finding.location.region
    values = {"file": f"{prefix}{finding.location.path}"}
    if region is not None:
        values["line"] = str(region.start_line)
        values["endLine"] = str(region.end_line)
        if region.start_line == region.end_line:  # only then may columns be named
            values |= {"col": str(region.start_column), "endColumn": str(region.end_column)}
    return values | {"title": f"{name_of(one)} ({finding.severity.value})"}


def _message(one: Reported) -> str:
    finding = one.finding
    steps: Sequence[str] = [
        f"{number}. {step.location.path}:{step.location.region.start_line}: {step.message}"
        for number, step in enumerate(finding.flow[:_MOST], start=1)
        if step.location.region is not None
    ]
    return "\n".join([finding.message, *steps])


# -- the one place where text becomes a command


def _command(level: str, values: dict[str, str], message: str) -> str:
    pairs = ",".join(f"{name}={_property(value)}" for name, value in values.items())
    return f"::{level} {pairs}::{_data(message)}"


def _data(text: str) -> str:
    safe = "\n".join(printable(line) for line in text.split("\n"))
    return safe.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
