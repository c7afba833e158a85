"""Logs looked at while they are written: each new record once, alarms as they come.

Rules this module keeps:
- a step is all or nothing: the records that were looked at, what is remembered of them, and the
  alarms that came of them are written to the checkpoint together, and then given out;
- memory does not grow with the logs: windows, incidents and counts are bounded, what is over is
  dropped, and what had to be dropped before is counted and said;
- time is that of the records; between them the clock goes on, so that quiet ends incidents, too;
- a record from the future moves time five minutes at most.

The clock comes in as an argument. Units: times in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tavo.logs.anomaly import RULES
from tavo.logs.engine import Lookers, alarm_of
from tavo.logs.follow_alarms import Alarm, OpenIncidents
from tavo.logs.follow_counts import Counts
from tavo.logs.follow_files import Files
from tavo.logs.follow_formats import Formats
from tavo.logs.follow_parts import Part, Piece
from tavo.logs.follow_state import Checkpoint, Message
from tavo.logs.gathering import Gathering
from tavo.logs.incidents import GAP_S, Place
from tavo.logs.intel import Indicators
from tavo.logs.mapping import Mapping as Table
from tavo.logs.reports import LogProblem, SourceReport, add_seen, broken_problems
from tavo.logs.sigma.correlator import Correlator
from tavo.logs.sigma.rules import LogRule
from tavo.logs.sources import Block
from tavo.logs.totals import LINES
from tavo.logs.work import Hit
from tavo.results.rows import storable

__all__ = ["Follower"]

_LATE_S = 600.0
_FUTURE_S = 300.0
_EXPIRE_S = 60.0
_MOST_ENTRIES = 60_000
_LEAST_ENTRIES = 6_000
_SNIPPET = 200


class Follower:
    """Follows logs. Call `step` again and again, and hand what it returns to `delivered`."""

    def __init__(
        self,
        paths: Sequence[str],
        root: Path,
        rules: Sequence[LogRule],
        tables: Iterable[Table],
        *,
        clock: Callable[[], float],
        forced: Table | None = None,
        unusual: bool = True,
        indicators: Indicators | None = None,
        from_start: bool = False,
        checkpoint: Checkpoint | None = None,
        gap_s: float = GAP_S,
    ) -> None:
        """Begin, or take up what the checkpoint holds. Raises InputError, UsageError."""
        self.reports: dict[str, SourceReport] = {}
        self.events = 0
        self._clock = clock
        self._checkpoint = checkpoint
        self._rules = rules
        self._unusual = unusual
        self._formats = Formats(list(tables), forced, rules, clock)
        self._lookers = Lookers(rules, counting=unusual, indicators=indicators)
        correlated = {r.id: r.correlation for r in rules if r.correlation is not None}
        most = max(_LEAST_ENTRIES, _MOST_ENTRIES // max(1, len(correlated)))
        self._incidents = OpenIncidents(
            gap_s, spans_s={name: one.span_s for name, one in correlated.items()}
        )
        self._gathering = Gathering(
            self._incidents, rules,
            {
                name: Correlator(one, most_entries=most, touching=True)
                for name, one in correlated.items()
            },
        )  # fmt: skip
        self._counts = Counts()
        self._newest: float | None = None
        self._newest_at = 0.0
        self._expired = float("-inf")
        self._message = 0
        self._names: list[str] = []
        self._named: dict[str, list[str]] = {}
        self._pending = True  # where it began is kept, too
        self._problems: list[LogProblem] = []
        facts = checkpoint.facts if checkpoint is not None else {}
        if checkpoint is not None and not checkpoint.is_new:
            self._restore(checkpoint)
        self.files = Files(
            paths, root, from_start=from_start, clock=clock,
            known=checkpoint.positions() if checkpoint is not None else (),
            since=float(facts.get("saved", 0.0)),
        )  # fmt: skip

    def close(self) -> None:
        """Give the files back."""
        self.files.close()

    @property
    def open_incidents(self) -> int:
        """Return how many incidents go on."""
        return len(self._incidents)

    # -- looking

    def read(self, until: Callable[[], bool], *, last: bool = False) -> bool:
        """Look at what is new, until told to stop or once around; tell whether there was any."""
        moved = False
        for part, piece in self.files.poll(self._formats.ready, last=last):
            self._look(part, piece)
            part.took(piece)
            moved = True
            if until():
                break
        self._pending = self._pending or moved
        return moved

    def _look(self, part: Part, piece: Piece) -> None:
        position = part.position
        table = self._formats.table(position)
        report = self.reports.setdefault(position.name, SourceReport(name=position.name, broken={}))
        report.size += len(piece.data)
        if table is None:
            return  # said, by the formats
        report.format = table.name
        block = Block(data=piece.data, offset=piece.offset, cut=piece.cut)
        seen = self._lookers.look(table, block, position.wrapping)
        self.events += seen.events
        self._gathering.take(
            map(_kept, seen.hits), name=position.name, line=piece.line, offset=piece.offset
        )
        add_seen(report, self._named.setdefault(position.name, []), seen, piece.line)
        times = [hit.time for hit in seen.hits if hit.time is not None]
        if seen.tally is not None:
            self._counts.merge(seen.tally, self._number(position.name), piece.line)
            times += [one for one in (seen.tally.last,) if one is not None]
        if times:
            self._see_time(max(times))
        self._expire()

    def _number(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def _see_time(self, time: float) -> None:
        now = self._clock()
        time = min(time, now + _FUTURE_S)
        if self._newest is None or time > self._newest:
            self._newest, self._newest_at = time, now

    @property
    def _horizon(self) -> float | None:
        """Return the time from on which records are expected."""
        if self._newest is None:
            return None
        return self._newest + max(0.0, self._clock() - self._newest_at) - _LATE_S

    def _expire(self) -> None:
        """Drop what no record that is expected can reach."""
        horizon = self._horizon
        if horizon is None or horizon - self._expired < _EXPIRE_S:
            return
        self._expired = horizon
        for name, correlator in self._gathering.correlators.items():
            for group in correlator.expire(horizon - correlator.correlation.span_s):
                self._gathering.stretches.pop((name, group), None)
                self._pending = True

    # -- steps

    def step(self, *, ends: bool = False) -> list[Message]:
        """Close what is over, write the checkpoint, and return what happened to alarms.

        `ends`: nothing follows and nothing is kept, so that all incidents are over.
        """
        self._expire()
        horizon = self._horizon
        if horizon is not None:
            for one in self._counts.over(horizon) if self._unusual else ():
                source, line = divmod(one.places[0], LINES)
                name = self._names[source] if source < len(self._names) else "logs"
                alarm_of(one, [Place(name, line + 1, 0, 0, None)], self._incidents)
            self._incidents.close(horizon)
        if ends:
            self._incidents.close(None)
        changed, closed = self._incidents.taken()
        messages = list(self._messages(changed, closed))
        if self._checkpoint is not None and (messages or self._pending):
            self._save(self._checkpoint, changed, closed, messages)
        self._pending = False
        return messages

    def delivered(self, messages: Sequence[Message]) -> None:
        """Note that messages have reached everybody who takes them."""
        if self._checkpoint is not None and messages:
            with self._checkpoint.writing():
                self._checkpoint.delivered(one.alarm for one in messages if one.kind != "closed")

    def left_over(self) -> list[Message]:
        """Return the messages of which an earlier run does not know that they were delivered."""
        if self._checkpoint is None:
            return []
        out = []
        for one in self._checkpoint.outbox():
            known = self._incidents.numbered(one.alarm.number)
            out.append(one if known is None else msgspec.structs.replace(one, alarm=known))
        return out

    def _messages(self, changed: Iterable[Alarm], closed: Iterable[Alarm]) -> Iterator[Message]:
        for kind, alarms in (("grew", changed), ("closed", closed)):
            for alarm in alarms:
                if not alarm.told:
                    alarm.told = alarm.incident.count
                    yield self._next("opened", alarm)
                    if kind == "grew":
                        continue
                minor = kind == "grew" and alarm.incident.count < 2 * alarm.told
                if not minor:
                    alarm.told = alarm.incident.count
                yield self._next(kind, alarm, minor=minor)

    def _next(self, kind: str, alarm: Alarm, *, minor: bool = False) -> Message:
        self._message += 1
        return Message(id=self._message, kind=kind, alarm=alarm, minor=minor)

    # -- the checkpoint

    def _save(
        self,
        checkpoint: Checkpoint,
        changed: Sequence[Alarm],
        closed: Sequence[Alarm],
        messages: Sequence[Message],
    ) -> None:
        checkpoint.facts |= {
            "saved": repr(self._clock()), "message": str(self._message),
            "alarm": str(self._incidents.number), "judged": str(self._counts.judged),
            "newest": "" if self._newest is None else repr(self._newest),
            "names": msgspec.json.encode(self._names).decode(),
            "rules": msgspec.json.encode(self._known_rules()).decode(),
        }  # fmt: skip
        with checkpoint.writing():
            checkpoint.put_positions(self.files.positions())
            checkpoint.put_alarms(changed, closed)
            for name, correlator in self._gathering.correlators.items():
                for group in correlator.touched or ():
                    incident, most = self._gathering.stretches.get((name, group), (None, 0.0))
                    known = self._incidents.known(incident)
                    checkpoint.put_window(
                        name, group, correlator.window(group), known.number if known else 0, most
                    )
                correlator.touched = set()
            checkpoint.put_cells(
                (actor, hour, self._counts.cell((actor, hour)))
                for actor, hour in self._counts.touched
            )
            self._counts.touched = set()
            checkpoint.put_messages(messages)

    def _restore(self, checkpoint: Checkpoint) -> None:
        facts = checkpoint.facts
        self._message = int(facts.get("message", 0))
        self._counts.judged = int(facts.get("judged", 0))
        self._names = msgspec.json.decode(facts.get("names", "[]"), type=list[str])
        if facts.get("newest"):
            self._newest, self._newest_at = float(facts["newest"]), self._clock()
        reported = {rule.id for rule in self._rules} | {one.id for one in RULES.values()}
        for alarm in checkpoint.alarms():
            if alarm.rule in reported or alarm.rule.startswith("intel-"):
                self._incidents.restore(alarm)
        self._incidents.number = int(facts.get("alarm", 0))
        before = msgspec.json.decode(facts.get("rules", "{}"), type=dict[str, str])
        now = self._known_rules()
        correlators = self._gathering.correlators
        for name, group, window, number, most in checkpoint.windows():
            if name in correlators and before.get(name) == now[name] and window.entries:
                correlators[name].restore(group, window)
                if (alarm_now := self._incidents.numbered(number)) is not None:
                    self._gathering.stretches[name, group] = alarm_now.incident, most
        for actor, hour, cell in checkpoint.cells():
            self._counts.restore(actor, hour, cell)

    def _known_rules(self) -> dict[str, str]:
        """Return what correlations are about: of one that has changed nothing is remembered."""
        return {
            name: repr(sorted(vars(correlator.correlation).items(), key=lambda one: one[0]))
            for name, correlator in self._gathering.correlators.items()
        }

    # -- what was not done

    def news(self) -> tuple[list[LogProblem], list[str]]:
        """Return what went wrong and what is worth saying, since it was asked."""
        problems = [*self.files.problems, *self._formats.problems]
        notes = [*self.files.notes, *self._formats.notes]
        for taken in (self.files, self._formats):
            taken.problems, taken.notes = [], []
        self._problems += problems
        return problems, notes

    def problems(self) -> list[LogProblem]:
        """Return everything that was not done, or not in full."""
        self.news()
        out = list(self._problems)
        for name, report in self.reports.items():
            out += broken_problems(report, self._named.get(name, ()))
        out += self._gathering.problems()
        if self._incidents.early:
            out.append(LogProblem(
                subject="incidents", incomplete=False,
                reason=f"{self._incidents.early} were closed early, because too many went on at"
                " once: what goes on of them is an alarm of its own",
            ))  # fmt: skip
        if self._incidents.together:
            out.append(LogProblem(
                subject="incidents", incomplete=False,
                reason=f"{self._incidents.together} records of more actors than can be told apart"
                " at once are in one incident of their rule",
            ))  # fmt: skip
        if self._counts.dropped:
            out.append(LogProblem(
                subject="anomalies", incomplete=False,
                reason=f"{self._counts.dropped} counts of actors and hours were dropped before two"
                " weeks, because there were too many: their baselines are shorter",
            ))  # fmt: skip
        return out


def _kept(hit: Hit) -> Hit:
    """Return a hit as it can be kept for long: storable, and with a shorter text."""
    return msgspec.structs.replace(
        hit,
        snippet=storable(hit.snippet[:_SNIPPET]),
        brief={name: storable(text) for name, text in hit.brief.items()},
        seen={name: storable(text) for name, text in hit.seen.items()},
        groups=[
            (name, None if group is None else tuple(map(storable, group)), _value(value))
            for name, group, value in hit.groups
        ],
    )


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value[:1000])
    return value if not isinstance(value, int) or abs(value) < 1 << 63 else float(value)
