"""A run as JUnit XML, as Jenkins, GitLab and Azure read it.

Rules this module keeps:
- a suite is a file, a test case is one rule in it, and its failure names every place: names stay
  the same when code moves, which is how CI systems recognise a test case;
- findings that do not count are skipped test cases, with the reason; those of severity `info` pass;
- the first suite is the run itself: it passes only if everything was looked at, and each thing that
  was not is an error;
- characters that XML cannot hold become U+FFFD, and nothing in the text is a command for the log
  of a CI system.

Source: the schema of the xUnit plugin of Jenkins (junit-10.xsd), of which others are subsets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from tavo.plugins import Severity
from tavo.printable import counted, printable, uncommanded
from tavo.results.export.summary import (
    denies,
    is_complete,
    looked_at,
    name_of,
    place_of,
    policy_headline,
    policy_said,
    reasons_of,
    worst_first,
)
from tavo.results.values import Reported, Run

__all__ = ["run_to_junit"]

_MOST_PLACES = 100
_MOST_STEPS = 20
_LONGEST = 300


def run_to_junit(run: Run, findings: Iterable[Reported]) -> str:
    """Return a run with its findings as JUnit XML."""
    items = list(findings)
    suites = [_run_suite(run), *_policy_suite(run, {one.fingerprint: one for one in items})]
    for path, group in groupby(items, key=lambda one: str(one.finding.location.path)):
        suites.append(_file_suite(path, list(group), run))
    totals = [sum(suite[0][number] for suite in suites) for number in range(3)]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuites name="tavo" tests="{totals[0]}" failures="{totals[1]}"'
            f' errors="{totals[2]}" time="{run.cpu_s:.3f}">',
            *(line for _, lines in suites for line in lines),
            "</testsuites>",
        ]
    )


# A suite: its numbers of test cases, failures and errors, and its lines.
_Suite = tuple[tuple[int, int, int], list[str]]


def _run_suite(run: Run) -> _Suite:
    cases = []
    errors = list(reasons_of(notice for notice in run.notices if notice.incomplete))
    if not run.finished_at:
        errors.append(("the run", "was interrupted before its end"))
    elif not is_complete(run) and not errors:
        errors.append(("the run", "did not look at everything"))
    for subjects, reason in errors:
        text = f"{subjects}: {reason}"
        cases += [
            f'  <testcase classname="tavo" name={_value("looked at " + subjects)} time="0">',
            f'   <error type="incomplete" message={_value(text)}>{_text(text)}</error>',
            "  </testcase>",
        ]
    if not errors:
        cases.append('  <testcase classname="tavo" name="everything was looked at" time="0"/>')
    numbers = (max(len(errors), 1), 0, len(errors))
    return numbers, _suite("tavo", numbers, 0, cases, run, note=looked_at(run))


def _policy_suite(run: Run, findings: Mapping[str, Reported]) -> list[_Suite]:
    """Return the suite of the policy, if there was one: a test case for each thing it said."""
    headline = policy_headline(run.gate)
    if not headline:
        return []
    cases: list[str] = []
    numbers: Counter[str] = Counter()
    for one, text, about in policy_said(run.gate, findings):
        places = "\n".join(place_of(found.finding.location) for found in about[:_MOST_PLACES])
        cases.append(f'  <testcase classname="policy" name={_value(text)} time="0">')
        if one.excepted:
            numbers["skipped"] += 1
            cases.append(f"   <skipped message={_value(text)}/>")
        elif denies(one):
            numbers["failed"] += 1
            cases.append(
                f'   <failure type="policy" message={_value(text)}>{_text(places)}</failure>'
            )
        else:
            cases.append(f"   <system-out>{_text(places or text)}</system-out>")
        cases.append("  </testcase>")
        numbers["all"] += 1
    if not numbers["all"]:
        numbers["all"] = 1
        cases.append('  <testcase classname="policy" name="nothing is denied" time="0"/>')
    counts = (numbers["all"], numbers["failed"], 0)
    return [(counts, _suite("policy", counts, numbers["skipped"], cases, run, note=headline))]


def _file_suite(path: str, items: Sequence[Reported], run: Run) -> _Suite:
    cases: dict[tuple[str, bool], list[Reported]] = {}
    for one in items:
        cases.setdefault((name_of(one), one.suppression is not None), []).append(one)
    lines: list[str] = []
    failures = skipped = 0
    for (name, ignored), found in cases.items():
        shown = f"{name} (ignored)" if ignored and (name, False) in cases else name
        lines.append(f'  <testcase classname={_value(path)} name={_value(shown)} time="0">')
        if ignored:
            skipped += 1
            lines.append(f"   <skipped message={_value(_reasons(found))}/>")
        elif all(one.finding.severity is Severity.INFO for one in found):
            lines.append(f"   <system-out>{_text(_places(found))}</system-out>")
        else:
            failures += 1
            worst = worst_first(found)[0]
            more = f" ({counted(len(found), 'place')})" if len(found) > 1 else ""
            said = f"{worst.finding.severity.value}: {worst.finding.message}{more}"
            lines.append(
                f"   <failure type={_value(worst.finding.severity.value)}"
                f" message={_value(said)}>{_text(_places(found))}</failure>"
            )
        lines.append("  </testcase>")
    numbers = (len(cases), failures, 0)
    return numbers, _suite(path, numbers, skipped, lines, run)


def _suite(
    name: str, numbers: tuple[int, int, int], skipped: int, cases: Sequence[str], run: Run,
    *, note: str = "",
) -> list[str]:  # fmt: skip
    tests, failures, errors = numbers
    stamp = run.info.started_at.removesuffix("Z")[:19]
    return [
        f' <testsuite name={_value(name)} tests="{tests}" failures="{failures}"'
        f' errors="{errors}" skipped="{skipped}" time="0" timestamp={_value(stamp)}>',
        *cases,
        *([f"  <system-out>{_text(note)}</system-out>"] if note else []),
        " </testsuite>",
    ]


def _reasons(found: Sequence[Reported]) -> str:
    reasons = dict.fromkeys(
        f"{place_of(one.finding.location)}: {one.suppression.reason}"
        for one in found if one.suppression is not None
    )  # fmt: skip
    return "; ".join(list(reasons)[:_MOST_PLACES])


def _places(found: Sequence[Reported]) -> str:
    return "\n\n".join(
        [
            *(
                "\n".join(_place(one, told=number > 0 and _same(one, found[number - 1])))
                for number, one in enumerate(found[:_MOST_PLACES])
            ),
            *([f"and {len(found) - _MOST_PLACES} more places; --format json lists all"]
              if len(found) > _MOST_PLACES else []),
        ]
    )  # fmt: skip


def _same(one: Reported, other: Reported) -> bool:
    return one.finding.message == other.finding.message


def _place(one: Reported, *, told: bool) -> Iterator[str]:
    """Yield the lines about one place; `told`: its message stands above."""
    finding = one.finding
    yield f"{place_of(finding.location)}  {finding.severity.value}  {name_of(one)}"
    if not told:
        yield finding.message
    region = finding.location.region
    if region is not None:
        for number, code in enumerate(finding.location.snippet.split("\n"), region.start_line):
            yield f"{number:>6} | {code[:_LONGEST]}"
    else:
        for name, value in sorted(finding.evidence.items()):
            yield f"  {name}: {value[:_LONGEST]}"
    for number, step in enumerate(finding.flow[:_MOST_STEPS], start=1):
        yield f"  {number}. {place_of(step.location)}: {step.message[:_LONGEST]}"
    if len(finding.flow) > _MOST_STEPS:
        yield f"  and {len(finding.flow) - _MOST_STEPS} more steps"


# -- the one place where text becomes XML


def _text(text: str) -> str:
    safe = "\n".join(uncommanded(printable(line)) for line in text.split("\n"))
    return safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _value(text: str) -> str:
    """Return an attribute's value in quotes."""
    escaped = _text(" ".join(text.split())).replace('"', "&quot;")
    return f'"{escaped}"'
