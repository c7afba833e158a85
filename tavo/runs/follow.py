"""A follow of logs as a stored run: alarms printed as they come, in the store, and in files.

Rules this module keeps:
- an alarm reaches the store and the files exactly once, also across a crash: what was not delivered
  for certain is delivered again, and whoever has it already leaves it out; a terminal or a pipe
  cannot be asked, so there it may come twice, with the same number;
- a run that crashed goes on when it is taken up; one that ended is followed by a new one;
- what could not be looked at makes the run incomplete.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import msgspec

from tavo import __version__
from tavo.errors import ExitCode, InputError
from tavo.logs import intel
from tavo.logs.anomaly import RULES
from tavo.logs.follow import Follower
from tavo.logs.follow_state import Checkpoint, Message
from tavo.logs.incidents import finding_of
from tavo.logs.sigma.rules import LogRule, Rules
from tavo.plugins import Confidence, Rule, Severity
from tavo.results.export.json import uncommanded_json
from tavo.results.export.ocsf import ocsf_event, ocsf_line
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported, RunInfo

__all__ = ["ALARM_SCHEMA", "AlarmFile", "Following", "Taker", "Told", "alarm_line"]

ALARM_SCHEMA = "tavo-alarms/1"
_ACTIVITY = {"opened": 1, "grew": 2, "closed": 3}
_POLL_S = 0.5
_STEP_S = 1.0
_SHARE = 10  # of the time, what steps may take


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A message, with its alarm as a finding. `identity` is that of the alarm, for good."""

    message: Message
    reported: Reported
    identity: str
    at: str

    @property
    def kind(self) -> str:
        """Return opened, grew or closed."""
        return self.message.kind


class Taker(Protocol):
    """Who takes alarms."""

    def take(self, told: Sequence[Told]) -> None:
        """Take messages; they are delivered when it returns."""


def alarm_line(told: Told, *, ocsf: bool) -> str:
    """Return a message as a line of JSON in ASCII."""
    if ocsf:
        return ocsf_line(
            ocsf_event(
                told.reported, run=told.identity.rpartition("-")[0], at=told.at, uid=told.identity,
                activity=_ACTIVITY[told.kind], sequence=told.message.id,
            )
        )  # fmt: skip
    finding, rule = told.reported.finding, told.reported.rule
    region = finding.location.region
    value = {
        "schema": ALARM_SCHEMA, "id": told.message.id, "alarm": told.identity, "kind": told.kind,
        "at": told.at, "rule_id": rule.id, "title": rule.title,
        "severity": finding.severity.value, "confidence": finding.confidence.value,
        "message": finding.message, "path": str(finding.location.path),
        "line": region.start_line if region else None, "record": finding.location.snippet,
        "evidence": dict(finding.evidence), "owasp": list(rule.owasp), "tags": list(rule.tags),
        "timeline": [
            {"path": str(step.location.path), "time": step.message,
             "line": step.location.region.start_line if step.location.region else None}
            for step in finding.flow
        ],
    }  # fmt: skip
    return uncommanded_json(json.dumps(value, separators=(",", ":"))) + "\n"


class AlarmFile:
    """A file that alarms are appended to, each once."""

    def __init__(self, path: Path, *, ocsf: bool, known_size: int) -> None:
        """Open a file. What stands after `known_size` bytes was written before a crash.

        Raises InputError.
        """
        self.path = path
        self._ocsf = ocsf
        self._there: set[int] = set()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
            self._file = os.fdopen(descriptor, "r+b")
            self._check(known_size)
        except OSError as error:
            raise InputError(
                f"{path}: alarms cannot be written there: {error.strerror}",
                hint="Name a file in a folder of yours, not a link.",
            ) from error

    @property
    def size(self) -> int:
        """Return how long it is."""
        return self._file.tell()

    def _check(self, known_size: int) -> None:
        """See which alarms stand there already, and take out a line that was not finished."""
        size = self._file.seek(0, os.SEEK_END)
        start = known_size if known_size <= size else 0
        self._file.seek(start)
        end = start
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
            self._there.add(_number_in(line))
        self._file.truncate(end)
        self._file.seek(end)

    def take(self, told: Sequence[Told]) -> None:
        """Append messages. Raises InputError."""
        lines = [
            alarm_line(one, ocsf=self._ocsf)
            for one in told
            if not one.message.minor and one.message.id not in self._there
        ]
        self._there = set()
        try:
            self._file.write("".join(lines).encode("ascii"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close it."""
        self._file.close()


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def _number_in(line: bytes) -> int:
    try:
        value = msgspec.json.decode(line)
        return int(value["id"] if "id" in value else value["metadata"]["sequence"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return 0


class _Stored:
    """The store as one that takes alarms: one row for each, which grows with its incident."""

    def __init__(self, store: ResultStore, run_id: int) -> None:
        self._store = store
        self._run = run_id

    def find(self, told: Sequence[Told]) -> None:
        """Find the rows of alarms that may have been stored before a crash."""
        wanted = {one.identity: one for one in told if not one.message.alarm.row}
        for row, reported in self._store.numbered(self._run) if wanted else ():
            one = wanted.get(reported.finding.evidence.get("alarm", ""))
            if one is not None:
                one.message.alarm.row = row

    def take(self, told: Sequence[Told]) -> None:
        latest = {one.identity: one for one in told}
        rows = self._store.keep(
            self._run,
            [(one.message.alarm.row, one.identity, one.reported) for one in latest.values()],
        )
        for one, row in zip(latest.values(), rows, strict=True):
            one.message.alarm.row = row


class Following:
    """One follow. Call `run`; close it afterwards."""

    def __init__(
        self,
        follower: Follower,
        rules: Rules,
        *,
        store: ResultStore | None,
        checkpoint: Checkpoint | None,
        files: Sequence[AlarmFile],
        takers: Sequence[Taker],
        say: Callable[[str], None],
        command: Sequence[str],
        root: Path,
        fail_on: Severity,
        fail_on_confidence: Confidence,
        exit_zero: bool = False,
    ) -> None:
        self.alarms = 0
        self._follower = follower
        self._checkpoint = checkpoint
        self._store = store
        self._files = files
        self._takers = takers
        self._say = say
        self._fail_on, self._confidence = fail_on, fail_on_confidence
        self._exit_zero = exit_zero
        self._failed = False
        self._before = time.process_time()
        every: Sequence[LogRule] = list(rules.rules.values())
        self._about: Mapping[str, Rule] = {
            **{rule.id: rule.about for rule in every},
            **{rule.id: rule for rule in (*RULES.values(), *intel.RULES.values())},
        }
        self._notices = [
            Notice(kind="rule", subject=one.rule_id or str(one.file), reason=one.reason)
            for one in rules.problems
        ]
        self._id = checkpoint.facts["id"] if checkpoint is not None else f"{time.time_ns():x}"
        self._run = 0
        self._stored: _Stored | None = None
        if store is not None:
            self._run = self._begin(store, command, root, len(every))
            self._stored = _Stored(store, self._run)
        self._catch_up()

    def _begin(self, store: ResultStore, command: Sequence[str], root: Path, rules: int) -> int:
        """Go on with a run that crashed, else begin one."""
        facts = self._checkpoint.facts if self._checkpoint is not None else {}
        known = store.unfinished(facts.get("run", ""))
        if known is not None:
            self._say("tavo: the run before did not end; it goes on")
            self._failed = any(map(self._counts, store.findings(known)))
            return known
        run_id = store.begin(
            RunInfo(command=tuple(command), root=str(root), tool_version=__version__,
                    started_at=_now(), rules=rules)
        )  # fmt: skip
        if self._checkpoint is not None:
            facts["run"] = store.run(run_id).uuid
            with self._checkpoint.writing():
                pass
        return run_id

    def _catch_up(self) -> None:
        """Deliver what a crash may have kept from being delivered."""
        told = self._told(self._follower.left_over())
        if told and self._stored is not None:
            self._stored.find(told)
        self._deliver(told)

    # -- the loop

    def run(self, stop: Event, *, once: bool = False, sleep_s: float = _POLL_S) -> ExitCode:
        """Follow until told to stop, or once through what is there; return the exit code."""
        pause = _STEP_S
        while True:
            until = _Until(stop, time.monotonic() + pause)
            moved = self._follower.read(until, last=once)
            started = time.monotonic()
            ends = self._checkpoint is None and (stop.is_set() or (once and not moved))
            self._deliver(self._told(self._follower.step(ends=ends)))
            pause = max(_STEP_S, _SHARE * (time.monotonic() - started))
            self._tell_news()
            if stop.is_set() or (once and not moved):
                break
            if not moved:
                stop.wait(sleep_s)
        return self._finish()

    def _told(self, messages: Sequence[Message]) -> list[Told]:
        at = _now()
        out = []
        for message in messages:
            rule = self._about.get(message.alarm.rule)
            if rule is None:
                continue  # of a rule that is not used any more
            identity = f"{self._id}-{message.alarm.number}"
            finding = finding_of(message.alarm.incident, rule, more={"alarm": identity})
            out.append(Told(
                message=message, reported=Reported(finding=finding, rule=rule), identity=identity,
                at=at,
            ))  # fmt: skip
        return out

    def _deliver(self, told: Sequence[Told]) -> None:
        if not told:
            return
        for one in told:
            if one.kind == "opened":
                self.alarms += 1
                self._failed = self._failed or self._counts(one.reported)
        takers: list[Taker] = [*([self._stored] if self._stored else []), *self._files]
        for taker in [*takers, *self._takers]:
            taker.take(told)
        if self._checkpoint is not None:
            for number, file in enumerate(self._files):
                self._checkpoint.facts[f"size {number} {file.path.absolute()}"] = str(file.size)
        self._follower.delivered([one.message for one in told])

    def _counts(self, one: Reported) -> bool:
        finding = one.finding
        return finding.severity >= self._fail_on and finding.confidence >= self._confidence

    def _tell_news(self) -> None:
        problems, notes = self._follower.news()
        for one in problems:
            self._say(f"tavo: {one.subject}: {one.reason}")
        for note in notes:
            self._say(f"tavo: {note}")

    def _finish(self) -> ExitCode:
        problems = self._follower.problems()
        notices = [
            *self._notices,
            *(
                Notice(kind="rule" if one.subject in self._about else "file", subject=one.subject,
                       reason=one.reason, incomplete=one.incomplete)
                for one in problems
            ),
        ]  # fmt: skip
        incomplete = any(one.incomplete for one in notices)
        code = ExitCode.OK
        if self._failed and not self._exit_zero:
            code = ExitCode.FINDINGS
        if incomplete:
            code = ExitCode.INCOMPLETE
        if self._store is not None:
            self._store.add_notices(self._run, dict.fromkeys(notices))
            self._store.finish(
                self._run, finished_at=_now(), complete=not incomplete, exit_code=int(code),
                files=len(self._follower.reports), cpu_s=time.process_time() - self._before,
            )  # fmt: skip
        said: dict[Any, None] = dict.fromkeys(notices)
        for notice in said:
            self._say(f"tavo: {notice.subject}: {notice.reason}")
        return code


class _Until:
    """Tells whether to look up from reading: to stop, or because it has been long enough."""

    def __init__(self, stop: Event, end: float) -> None:
        self._stop, self._end = stop, end

    def __call__(self) -> bool:
        return self._stop.is_set() or time.monotonic() >= self._end


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
