"""Logs looked at with rules: every block on some process, the hits put together in order.

Rules this module keeps:
- pieces of files are looked at in any order and come back in theirs, at most a few ahead, so that
  memory does not grow with the logs;
- what could not be read, understood or judged is said, with the file and how much it was;
- the same logs and rules give the same findings, on however many processes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import traceback
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec

from tavo.logs.anomaly import REFUSALS, RULES, Alarm, anomalies
from tavo.logs.formats import format_of
from tavo.logs.gathering import Gathering, Taker
from tavo.logs.incidents import GAP_S, Incidents, Place
from tavo.logs.intel import Indicators
from tavo.logs.mapping import Mapping as Table
from tavo.logs.reports import LogProblem, SourceReport, add_seen, broken_problems
from tavo.logs.shown import snippet_of
from tavo.logs.sigma.rules import LogRule
from tavo.logs.sniff import Guess
from tavo.logs.sources import Block, Source, SourceProblem, blocks
from tavo.logs.times import as_text
from tavo.logs.totals import LINES, Totals
from tavo.logs.understood import why_not
from tavo.logs.unknown import why_unknown
from tavo.logs.usual import NO_HISTORY, Usual
from tavo.logs.work import Looker, Seen
from tavo.logs.wrapped import unwrapped
from tavo.processes import in_processes
from tavo.progress import Reporter

__all__ = [
    "Analysis",
    "LogProblem",
    "Lookers",
    "SourceReport",
    "alarm_of",
    "analyze",
    "analyze_bytes",
    "places_in",
]

_PIECE = 8 << 20
_AHEAD = 3
_NOT_ALL = "not all of it was looked at; `--jobs 1` says more"

_Shown = tuple[Seen | None, int, str]
"""What a block of a log showed, its offset in bytes, and why there are no more blocks."""


class Analysis(msgspec.Struct, kw_only=True):
    """The outcome: incidents, what was seen of each log, and what was not done.

    `guesses` are the formats of the logs, None for one that was not looked at.
    """

    incidents: Incidents
    sources: list[SourceReport]
    problems: list[LogProblem]
    tally: Totals
    guesses: list[Guess | None] = []


class _Task(msgspec.Struct, frozen=True):
    source: int
    start: int
    end: int | None


class Lookers:
    """A looker for each format; made when the first block of the format comes."""

    def __init__(
        self, rules: Sequence[LogRule], *, counting: bool, indicators: Indicators | None = None
    ) -> None:
        self._indicators = indicators
        self._counting = counting
        self._rules = rules
        self._correlations = [rule for rule in rules if rule.correlation is not None]
        self._made: dict[tuple[str, Any], Looker] = {}

    def of(self, table: Table) -> Looker:
        """Return the looker of a format."""
        key = (str(table.path), table.columns)
        if key not in self._made:
            self._made[key] = Looker(
                table,
                self._rules,
                self._correlations,
                counting=self._counting,
                indicators=self._indicators,
            )
        return self._made[key]

    def look(self, table: Table, block: Block, wrapping: str, *, lazy: bool = False) -> Seen:
        """Look at a block of a format; `wrapping` is what a container put around its lines.

        `lazy` as for `Looker.look`.
        """
        looker = self.of(table)
        if wrapping:
            lines = block.data.split(b"\n")
            seen = looker.look(b"\n".join(unwrapped(lines, wrapping)))
            starts = [0, *accumulate(len(line) + 1 for line in lines)]
            seen.hits = [
                msgspec.structs.replace(hit, offset=starts[hit.line], length=len(lines[hit.line]))
                for hit in seen.hits
            ]
        else:
            seen = looker.look(block.data, lazy=lazy)
        if block.cut:
            seen.broken["longer than 32 MB, cut there"] = block.cut
        return seen


class _Defect(NamedTuple):
    """An error of ours in another process, in words, and where it was."""

    what: str
    where: str


class _Tasks:
    """What to do tasks with, in this process or in copies of it."""

    def __init__(
        self, sources: Sequence[Source], guesses: Sequence[Guess | None], lookers: Lookers
    ) -> None:
        self._sources = sources
        self._guesses = guesses
        self._lookers = lookers

    def run(self, task: _Task) -> Iterator[_Shown]:
        """Yield what each block of a task shows, its offset, and why there are no more."""
        guessed = self._guesses[task.source]
        assert guessed is not None  # noqa: S101
        source = self._sources[task.source]
        lazy = source.path is not None and not source.folding
        try:
            for block in blocks(source, start=task.start, end=task.end):
                seen = self._lookers.look(guessed.mapping, block, guessed.wrapping, lazy=lazy)
                yield seen, block.offset, ""
        except SourceProblem as problem:
            yield None, 0, str(problem)

    def lost(self, task: _Task, reason: str) -> Iterator[_Shown]:
        """Yield what is left of a task whose process died: how many lines others stand behind."""
        yield None, 0, f"a process that read this log {reason}; {_NOT_ALL}"
        if task.end is not None:
            with contextlib.suppress(SourceProblem):
                for block in blocks(self._sources[task.source], start=task.start, end=task.end):
                    yield Seen(span=block.data.count(b"\n")), block.offset, ""


def analyze(
    sources: Sequence[Source],
    rules: Sequence[LogRule],
    tables: Iterable[Table],
    *,
    jobs: int = 1,
    forced: Table | None = None,
    gap_s: float = GAP_S,
    unusual: bool = True,
    usual: Usual = NO_HISTORY,
    indicators: Indicators | None = None,
    reporter: Reporter | None = None,
) -> Analysis:
    """Look at logs with rules. `forced` is the format of all of them, instead of a guess; `unusual`
    says whether to look for anomalies, too, beside what is `usual`, and `indicators` are those of
    lists.
    """
    reporter = reporter or Reporter()
    out = Analysis(incidents=Incidents(gap_s), sources=[], problems=[], tally=Totals())
    guesses = out.guesses = _guesses(sources, list(tables), forced, rules, out)
    work = _Tasks(sources, guesses, Lookers(rules, counting=unusual, indicators=indicators))
    run = _Run(out, rules)
    tasks = [
        task for number, source in enumerate(sources) if guesses[number] is not None
        for task in _tasks(number, source)
    ]  # fmt: skip
    reporter.begin("reading logs", len(tasks))
    with contextlib.closing(_done(tasks, work, jobs)) as looked:
        for task, done in zip(tasks, looked, strict=True):
            for seen, offset, problem in done:
                run.take(task, seen, offset, problem, sources[task.source].name)
            reporter.advance()
    reporter.end()
    run.close()
    if unusual:
        _add_anomalies(out, sources, usual)
    _show(out.incidents, sources)
    return out


def _show(incidents: Incidents, sources: Sequence[Source]) -> None:
    """Read again the records of incidents of which only the line is known so far."""
    numbers = {source.name: number for number, source in enumerate(sources)}
    wanted: dict[int, set[int]] = {}
    unshown = [one for one in incidents if any(not place.length for place in one.places)]
    for place in (place for one in unshown for place in one.places):
        if not place.length and place.source in numbers:
            wanted.setdefault(numbers[place.source], set()).add(place.line - 1)
    found = _places(sources, wanted)
    for one in unshown:
        one.places = [_shown(place, found, numbers) for place in one.places]


def _shown(place: Place, found: dict[int, Place], numbers: dict[str, int]) -> Place:
    known = found.get(numbers.get(place.source, 0) * LINES + place.line - 1)
    if place.length or known is None:
        return place
    return msgspec.structs.replace(known, time=place.time)


def _places(sources: Sequence[Source], wanted: dict[int, set[int]]) -> dict[int, Place]:
    """Return where some lines are, by number of source and line; lines from 0."""
    return {
        number * LINES + line: place
        for number, lines in wanted.items()
        if sources[number].path is not None
        for line, place in places_in(sources[number], lines)
    }


def _add_anomalies(out: Analysis, sources: Sequence[Source], usual: Usual) -> None:
    """Add what is far beyond what is usual, or new, with the records that show it."""
    found = list(anomalies(out.tally, usual))
    wanted: dict[int, set[int]] = {}
    for one in found:
        for place in one.places:
            wanted.setdefault(place // LINES, set()).add(place % LINES)
    places = _places(sources, wanted)
    for one in found:
        shown = [
            places.get(at) or Place(sources[at // LINES].name, at % LINES + 1, 0, 0, None)
            for at in one.places
        ]
        alarm_of(one, shown, out.incidents)
    for what in sorted(out.tally.full):
        out.problems.append(LogProblem(
            subject="anomalies", incomplete=False,
            reason=f"there were more {what} than are counted: those beyond are not looked at",
        ))  # fmt: skip


def alarm_of(one: Alarm, places: Iterable[Place], incidents: Taker) -> None:
    """Make an incident of an anomaly; `places` are those of the records that show it."""
    shown = [msgspec.structs.replace(place, time=one.time) for place in places]
    numbers = {"hour": as_text(one.time), **one.numbers}
    incidents.add_group(RULES[one.rule].id, (one.kind, one.name), shown, numbers, count=one.count)


def places_in(source: Source, lines: set[int]) -> Iterator[tuple[int, Place]]:
    """Yield where some lines of a source are, by their numbers from 0."""
    number = 0
    for block in blocks(source):
        count = block.data.count(b"\n")
        here = [one - number for one in lines if number <= one < number + count]
        if here:
            parts = block.data.split(b"\n")
            for one in here:
                offset = block.offset + sum(len(part) + 1 for part in parts[:one])
                shown = snippet_of(parts[one])
                yield (
                    number + one,
                    Place(source.name, number + one + 1, offset, len(parts[one]), None, shown),
                )
        number += count


def _guesses(
    sources: Sequence[Source],
    tables: list[Table],
    forced: Table | None,
    rules: Sequence[LogRule],
    out: Analysis,
) -> list[Guess | None]:
    guesses: list[Guess | None] = []
    for source in sources:
        report = SourceReport(name=source.name, broken={})
        out.sources.append(report)
        try:
            found, lines = format_of(source, tables, forced)
        except SourceProblem as problem:
            out.problems.append(LogProblem(subject=source.name, reason=str(problem)))
            guesses.append(None)
            continue
        if found is None and any(line.strip() for line in lines):
            out.problems.append(LogProblem(subject=source.name, reason=why_unknown(lines)))
        if found is not None:
            report.format, report.how_sure = found.mapping.name, found.how_sure
            if reason := why_not(source, found, lines[:-1] or lines, rules):
                out.problems.append(LogProblem(subject=source.name, reason=reason))
        guesses.append(found)
    return guesses


def _tasks(number: int, source: Source) -> Iterator[_Task]:
    if not source.straight or source.size <= _PIECE:
        yield _Task(number, 0, None)
        return
    for start in range(0, source.size, _PIECE):
        end = start + _PIECE
        yield _Task(number, start, end if end < source.size else None)


def _done(
    tasks: Sequence[_Task], work: _Tasks, jobs: int
) -> Generator[Iterable[_Shown], None, None]:
    """Yield what each task showed, in their order."""
    if jobs < 2 or len(tasks) < 2 or "fork" not in multiprocessing.get_all_start_methods():
        for task in tasks:
            yield work.run(task)
        return

    def lost(number: int, reason: str) -> list[_Shown]:
        return list(work.lost(tasks[number], reason))

    def look(number: int, /) -> list[_Shown] | _Defect:
        try:
            return list(work.run(tasks[number]))
        except Exception as error:  # noqa: BLE001 (it is raised again where it can be told)
            return _Defect(f"{type(error).__name__}: {error}", traceback.format_exc())

    for answer in in_processes(
        len(tasks), look, lost, jobs=jobs, batch=1, ahead=_AHEAD, bounded=False
    ):
        if isinstance(answer, _Defect):
            defect = RuntimeError(answer.what)
            defect.add_note(answer.where)
            raise defect
        yield answer


def analyze_bytes(data: bytes, table: Table, rules: Sequence[LogRule]) -> set[str]:
    """Return the rules that hold in some lines, also those that report nothing by themselves."""
    report = SourceReport(name="sample", broken={})
    out = Analysis(incidents=Incidents(), sources=[report], problems=[], tally=Totals())
    run = _Run(out, rules)
    looker = Looker(table, rules, [rule for rule in rules if rule.correlation is not None])
    seen = looker.look(data)
    run.take(_Task(0, 0, None), seen, 0, "", report.name)
    return {hit.rule for hit in seen.hits} | run.met


class _Run:
    """Takes what the blocks show, in the order of the files."""

    def __init__(self, out: Analysis, rules: Sequence[LogRule]) -> None:
        self.out = out
        self._gathering = Gathering(out.incidents, rules)
        self._line: dict[int, int] = {}
        self._named: dict[int, list[str]] = {}

    @property
    def met(self) -> set[str]:
        """Return the correlations that were met."""
        return self._gathering.met

    def take(self, task: _Task, seen: Seen | None, offset: int, problem: str, name: str) -> None:
        """Take what a block shows."""
        report = self.out.sources[task.source]
        if seen is None:
            if LogProblem(subject=name, reason=problem) not in self.out.problems:
                self.out.problems.append(LogProblem(subject=name, reason=problem))
            return
        base = self._line.get(task.source, 0)
        self._gathering.take(seen.hits, seen.fed, name=name, line=base, offset=offset)
        add_seen(report, self._named.setdefault(task.source, []), seen, base)
        self._line[task.source] = base + seen.span
        if seen.tally is not None:
            self.out.tally.merge(seen.tally, task.source, base)
            for hit in seen.hits:
                if hit.rule in REFUSALS:
                    self.out.tally.refused(hit.brief, hit.time)

    def close(self) -> None:
        """Say what was broken, and which correlations were not complete."""
        for number, report in enumerate(self.out.sources):
            self.out.problems += broken_problems(report, self._named.get(number, ()))
        self.out.problems += self._gathering.problems()
