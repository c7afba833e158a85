"""Log plugins over the logs of an analysis: every event, in the order of time, to all of them.

Rules this module keeps:
- a plugin gets the events that rules see: the record, and beside its own keys the fields of the
  taxonomy;
- a finding has the record's place in the file and its beginning as it is in the log, with
  credentials masked: its words are the plugin's, its evidence is ours;
- what a plugin did not see, or did not answer, makes the run incomplete.

Units: sizes in bytes.
"""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from tavo.errors import UsageError
from tavo.host.installations import VerifiedInstallation
from tavo.host.log_worker import LogOutcome, LogWorker, batches_of
from tavo.logs.engine import places_in
from tavo.logs.event import LogEvent
from tavo.logs.events import events_of
from tavo.logs.incidents import Place
from tavo.logs.masking import masked
from tavo.logs.sniff import Guess
from tavo.logs.sources import BLOCK, Source, SourceProblem
from tavo.plugins import Event, Finding, Location, Region
from tavo.progress import Reporter
from tavo.results.values import Notice, Reported
from tavo.runs.hosting import lenders_for, notices_of, plugin_run, policy_for
from tavo.runs.outcome import PluginOutcome

__all__ = ["check_sources", "run_log_plugins"]

_LONGEST = 64 << 10
_LONGEST_TEXT = 16 << 10
_MOST_AT_ONCE = 128
_BUFFERS = 64 << 20
_MOST_NOTICES = 20


def check_sources(sources: Iterable[Source]) -> None:
    """Raise UsageError for a log that cannot be read twice."""
    if any(source.path is None for source in sources):
        raise UsageError(
            "logs analyze: --log-plugins cannot look at standard input, which is read once",
            hint="Write it to a file, and name that.",
        )


def run_log_plugins(
    installations: Sequence[VerifiedInstallation],
    sources: Sequence[Source],
    guesses: Sequence[Guess | None],
    *,
    accept: Sequence[str],
    configs: Mapping[str, Mapping[str, Any]],
    reporter: Reporter,
) -> Iterator[PluginOutcome]:
    """Yield what each plugin makes of all events.

    Raises SandboxUnavailableError, NotAvailableError, ConfigError: then none ran.
    """
    began = time.thread_time()
    feed = _Feed(sources, guesses)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                LogWorker(
                    one, policy=policy_for(one, accept), lender=lenders_for(one),
                    config=configs.get(one.manifest.full_id),
                )
            )
            for one in installations
        ]  # fmt: skip
        reporter.begin("running plugins", None)
        for batch in batches_of(feed.events()):
            for worker in workers:
                worker.feed(batch)
            reporter.advance(len(batch))
        outcomes = [worker.finish() for worker in workers]
        reporter.end()
    shared = (time.thread_time() - began) / max(1, len(workers))
    lines = feed.places(finding for outcome in outcomes for finding in outcome.findings)
    for worker, one, outcome in zip(workers, installations, outcomes, strict=True):
        reported = tuple(
            Reported(finding=_placed(finding, lines), rule=worker.rules[finding.rule_id],
                     tool=worker.full_id)
            for finding in outcome.findings
        )  # fmt: skip
        yield PluginOutcome(
            reported=reported,
            run=msgspec.structs.replace(
                plugin_run(worker, one, findings=len(reported), host_cpu_s=shared),
                files=feed.count,
            ),
            notices=(*_notices(worker.full_id, outcome, feed.problems), *notices_of(worker)),
            output="\n".join([worker.output, *_figures(outcome)]).strip(),
        )


class _Feed:
    """The events of logs for plugins; `problems` are what could not be read."""

    def __init__(self, sources: Sequence[Source], guesses: Sequence[Guess | None]) -> None:
        self.problems: list[str] = []
        self._logs = [
            (source, found)
            for source, found in zip(sources, guesses, strict=True)
            if found is not None
        ]

    @property
    def count(self) -> int:
        """Return how many logs there are."""
        return len(self._logs)

    def events(self) -> Iterator[Event]:
        """Yield all events, those of several logs together in the order of time."""
        size = max(64 << 10, min(BLOCK, _BUFFERS // max(1, len(self._logs))))
        streams = [self._of(source, found, size) for source, found in self._logs]
        for first in range(0, len(streams), _MOST_AT_ONCE):
            some = streams[first : first + _MOST_AT_ONCE]
            yield from heapq.merge(*some, key=lambda event: event.time)

    def _of(self, source: Source, found: Guess, size: int) -> Iterator[Event]:
        last = 0.0
        try:
            for event in events_of(source, found, size=size):
                last = event.time if event.time is not None else last
                yield _plain(event, last)
        except SourceProblem as problem:
            self.problems.append(f"{source.name}: {problem}")

    def places(self, findings: Iterable[Finding]) -> dict[tuple[str, int], Place]:
        """Return where the records of findings are, by log and line."""
        wanted: dict[str, set[int]] = {}
        for one in findings:
            region = one.location.region
            if region is not None:
                wanted.setdefault(str(one.location.path), set()).add(region.start_line - 1)
        return {
            (source.name, line + 1): place
            for source, _ in self._logs
            if source.name in wanted
            for line, place in places_in(source, wanted[source.name])
        }


def _plain(event: LogEvent, at: float) -> Event:
    """Return an event as plugins see it."""
    record = event.record if isinstance(event.record, dict) else {}
    fields: dict[str, Any] = dict(record) if event.length <= _LONGEST else {}
    for name, values in event.known().items():
        short = [v[:_LONGEST_TEXT] if isinstance(v, str) else v for v in values]
        fields[name] = short[0] if len(short) == 1 else short
    message = next(
        (text for name in ("log.body", "gen_ai.prompt", "url.original")
         if isinstance(text := event.first(name), str)), "",
    )  # fmt: skip
    plain = partial(
        Event, time=datetime.fromtimestamp(at, UTC), source=event.source, number=event.line,
        message=message[:_LONGEST],
    )  # fmt: skip
    try:
        return plain(fields=fields)
    except (ValueError, RecursionError):  # a record that is no plain JSON, or nested too deeply
        return plain(fields={name: v for name, v in fields.items() if isinstance(v, str)})


def _placed(finding: Finding, places: Mapping[tuple[str, int], Place]) -> Finding:
    """Return a finding with the place of its record, and what stands there."""
    region = finding.location.region
    line = region.start_line if region is not None else 1
    path = finding.location.path
    place = places.get((str(path), line))
    evidence = {name: masked(text) for name, text in finding.evidence.items()}
    if place is not None:
        evidence["records"] = "1"
        evidence["offsets"] = f"{place.source}@{place.offset}+{place.length}"
    return dataclasses.replace(
        finding,
        message=masked(finding.message),
        location=Location(
            path=path,
            region=Region(start_line=line, end_line=line, end_column=2),
            snippet=place.snippet if place is not None else "",
        ),
        evidence=evidence,
    )


def _notices(name: str, outcome: LogOutcome, unread: Sequence[str]) -> Iterator[Notice]:
    reasons = [one.reason for one in outcome.failures] + [
        f"did not see the rest of {one}" for one in unread
    ]
    for reason in list(dict.fromkeys(reasons))[:_MOST_NOTICES]:
        yield Notice(kind="plugin", subject=name, reason=reason)
    if outcome.unseen:
        count = "1 event was" if outcome.unseen == 1 else f"{outcome.unseen:,} events were"
        yield Notice(kind="plugin", subject=name, reason=f"{count} not analysed by it")


def _figures(outcome: LogOutcome) -> list[str]:
    return [f"{name} = {value:g}" for name, value in sorted(outcome.metrics.items())]
