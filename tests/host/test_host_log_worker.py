"""Log plugins at work: batches of events, state over a run, findings about events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.host.log_worker import LogOutcome, LogWorker
from tavo.plugins import Event
from tests.fakes.plugins import PluginMachine

HEAD = """\
import os
from pathlib import PurePosixPath

from tavo.plugins import *


def claim(source, number, message="found"):
    region = Region(start_line=number, end_line=number, end_column=1)
    return Finding(rule_id="r", message=message, severity=Severity.LOW,
                   location=Location(path=PurePosixPath(source), region=region))


class Base(LogAnalysisPlugin):
    rules = (Rule(id="r", title="R", severity=Severity.LOW),)


"""
COUNT = (
    HEAD
    + """\
class Plugin(Base):
    def start(self, context):
        self.seen = 0
        self.first = None

    def analyze_logs(self, log_entries):
        found = []
        for event in log_entries:
            self.seen += 1
            if event.fields.get("status") == 500:
                self.first = self.first or event
                found.append(claim(event.source, event.number))
        return Analysis(findings=tuple(found), metrics={"seen": self.seen})

    def finish_logs(self):
        found = (claim(self.first.source, self.first.number, "the first of all"),)
        return Analysis(findings=found, metrics={"total": self.seen})
"""
)


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def events(count: int, *, failing: int = 3) -> Iterator[Event]:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(1, count + 1):
        yield Event(
            time=begin + timedelta(seconds=number),
            source=f"logs/{number % 2}.jsonl",
            number=(number + 1) // 2,
            message=f"line {number}",
            fields={"status": 500 if number == failing else 200, "nested": {"a": [1, None]}},
        )


def analyze(machine: PluginMachine, main: str, count: int = 10, more: str = "") -> Any:
    with LogWorker(machine.of_type("log", main, more=more)) as worker:
        return worker.analyze(events(count)), worker


def test_findings_are_about_events_and_state_spans_the_run(machine: PluginMachine) -> None:
    outcome, worker = analyze(machine, COUNT, 3000)
    first, last = outcome.findings
    assert (first.location.path, first.location.region.start_line) == (
        PurePosixPath("logs/1.jsonl"), 2,
    )  # fmt: skip
    assert first.location.snippet == "line 3"
    assert last.message == "the first of all"
    assert outcome.metrics == {"seen": 3000.0, "total": 3000.0}
    assert worker.statistics.calls == 7  # 6 batches and the end
    assert worker.statistics.files == 3000
    assert outcome.failures == []
    assert outcome.unseen == 0


@pytest.mark.parametrize(
    ("claimed", "word"),
    [
        ("claim('logs/1.jsonl', 99)", "about event 99 of logs/1.jsonl, which it was not sent"),
        ("claim('logs/0.jsonl', 1, ' ')", "message is empty"),
        ("claim('/etc/passwd', 1)", "is not relative"),
        ("claim('other.jsonl', 1)", "which this call was not given"),
    ],
)
def test_findings_that_cannot_hold_are_left_out_and_named(
    claimed: str, word: str, machine: PluginMachine
) -> None:
    main = HEAD + (
        "class Plugin(Base):\n"
        "    def analyze_logs(self, log_entries):\n"
        f"        return Analysis(findings=({claimed},))\n"
    )
    outcome, _ = analyze(machine, main)
    assert outcome.findings == []
    assert word in outcome.failures[0].reason


def test_a_worker_that_died_is_not_started_again_and_the_rest_is_counted(
    machine: PluginMachine,
) -> None:
    main = HEAD + (
        "class Plugin(Base):\n"
        "    def analyze_logs(self, log_entries):\n"
        "        if log_entries[0].number > 1:\n"
        "            os._exit(5)\n"
        "        return Analysis()\n"
    )
    outcome: LogOutcome
    outcome, worker = analyze(machine, main, 2000)
    assert outcome.unseen == 2000 - 512
    assert worker.statistics.starts == 1
    assert [failure.kind for failure in outcome.failures] == ["crashed", "disabled"]
    assert "what it knew of the run" in outcome.failures[1].reason


def test_no_events_start_nothing(machine: PluginMachine) -> None:
    outcome, worker = analyze(machine, COUNT, 0)
    assert outcome == LogOutcome()
    assert worker.statistics.starts == 0


def test_a_batch_that_takes_too_long_is_named(machine: PluginMachine) -> None:
    main = HEAD + (
        "import time\n"
        "class Plugin(Base):\n"
        "    def analyze_logs(self, log_entries):\n"
        "        time.sleep(60)\n"
    )
    outcome, _ = analyze(machine, main, more="limits: {wall_s_per_call: 0.5}\n")
    assert outcome.failures[0].kind == "timeout"
    assert outcome.unseen == 10


def test_a_batch_that_ends_as_if_it_were_cancelled_is_named_and_counted(
    machine: PluginMachine,
) -> None:
    main = HEAD + (
        "from tavo.plugins.errors import CancelledCall\n"
        "class Plugin(Base):\n"
        "    def analyze_logs(self, events):\n"
        "        raise CancelledCall\n"
    )
    outcome, _ = analyze(machine, main)
    assert [one.reason for one in outcome.failures] == ["it raised CancelledCall by itself"]
    assert outcome.unseen == 10
