"""Log plugins at work: a stream of events in, batches to the worker, findings and figures out.

Rules this module keeps:
- the worker holds the plugin's state for the run: a worker that died is not started again,
  because a plugin that has forgotten half of its run would look as if it had seen all of it;
- what was not analysed is counted and named;
- a finding is about an event that the plugin was sent; its text is ours, never the worker's.

Units: sizes in characters, times in seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

from tavo.host.batches import Failure
from tavo.host.hosted import HostedPlugin
from tavo.host.judgements import LogSources, check_analysis
from tavo.host.messages import Analyzed, ItemError, Message, ViolationError
from tavo.host.session import CrashError
from tavo.plugins.plain_values import event_to_plain
from tavo.plugins.types import Finding, Location
from tavo.plugins.values import Event

__all__ = ["LogOutcome", "LogWorker", "batches_of"]

_MOST_EVENTS = 512
_MOST_CHARACTERS = 2 << 20


@dataclass(slots=True)
class LogOutcome:
    """Findings and figures so far; `unseen` counts the events that were not analysed."""

    findings: list[Finding] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unseen: int = 0


class LogWorker(HostedPlugin):
    """Runs one log plugin over the events of one run, in order."""

    plugin_type: ClassVar[str] = "log"

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._outcome = LogOutcome()
        self._sources = LogSources()

    def analyze(self, events: Iterable[Event]) -> LogOutcome:
        """Have all events analysed, batch by batch, and then the run as a whole.

        Raises as `feed`.
        """
        for batch in batches_of(events):
            self.feed(batch)
        return self.finish()

    def feed(self, batch: Sequence[Event]) -> None:
        """Have a batch analysed that follows those before.

        Raises SandboxUnavailableError and ConfigError before anything ran, ValueError for an event
        whose source is no relative path.
        """
        with self._metered():
            self._batch(batch, self._sources, self._outcome, end=False)
        self.statistics.files += len(batch)

    def finish(self) -> LogOutcome:
        """Have the run looked at as a whole, and return what came of it.

        A metric of a later batch replaces that of an earlier one of the same name.
        """
        outcome, sources = self._outcome, self._sources
        with self._metered():
            if sources.numbers:
                self._batch((), sources, outcome, end=True)
        self.statistics.findings += len(outcome.findings)
        self.statistics.skipped += outcome.unseen
        self._outcome, self._sources = LogOutcome(), LogSources()
        return outcome

    def _batch(
        self, batch: Sequence[Event], sources: LogSources, outcome: LogOutcome, *, end: bool
    ) -> None:
        known = len(sources.numbers)
        for event in batch:
            source = PurePosixPath(event.source)
            Location(path=source)
            sources.seen(source, event.number)
        if self.statistics.crashes and not self.disabled:
            self.disabled = "it died, and what it knew of the run with it"
        if not self._can_go_on():
            if not outcome.failures or outcome.failures[-1].reason != self.disabled:
                outcome.failures.append(Failure(kind="disabled", reason=self.disabled))
            outcome.unseen += len(batch)
            return
        ended: list[ItemError] = []
        texts = {(PurePosixPath(event.source), event.number): event.message for event in batch}

        def collect(message: Message) -> bool:
            if not isinstance(message, Analyzed):
                raise ViolationError(f"{type(message).__name__.lower()!r} as an answer")
            if (message.result is None) == (message.error is None):
                raise ViolationError("an answer that is both or neither of result and error")
            if message.result is not None:
                checked = check_analysis(
                    message.result, rules=self.rules, sources=sources, text_of=texts
                )
                outcome.findings += checked.findings
                outcome.metrics.update(checked.metrics)
                if checked.problems:
                    reason = f"its answer is not valid: {checked.problems[0]}"
                    outcome.failures.append(Failure(kind="invalid", reason=reason))
            elif message.error is not None:
                ended.append(message.error)
            return True

        content: dict[str, Any] = {
            "sources": [str(path) for path in itertools.islice(sources.numbers, known, None)],
            "events": [event_to_plain(event) for event in batch],
            "end": end,
        }
        try:
            if cancel := self._request("logs", content, collect):
                outcome.failures.append(Failure(kind=cancel.kind, reason=cancel.reason))
            outcome.failures += [
                self._failure(one) for one in ended if cancel is None or one.kind != "cancelled"
            ]
            if cancel or ended:
                outcome.unseen += len(batch)
        except CrashError as error:
            self._count_crash(error)
            self._end_session()
            outcome.failures.append(
                Failure(kind=error.kind, reason=error.reason, output=error.output)
            )
            outcome.unseen += len(batch)


def batches_of(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield events in batches of a bounded size; fields count as twice the message."""
    batch: list[Event] = []
    size = 0
    for event in events:
        batch.append(event)
        size += 3 * len(event.message) + 200
        if len(batch) >= _MOST_EVENTS or size >= _MOST_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
