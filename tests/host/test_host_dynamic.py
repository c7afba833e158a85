"""Dynamic plugins at work: prompts go through the host, results come back judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tavo.errors import RefusedError
from tavo.host.dynamic import DynamicWorker
from tavo.host.lending import LendError
from tests.fakes.plugins import PluginMachine

HEAD = """\
from tavo.plugins import *


class Base(DynamicTestingPlugin):
    rules = (Rule(id="leak", title="Leak", severity=Severity.HIGH),)

    def ask(self, target, text):
        request = ChatRequest(messages=(ChatMessage(role="user", content=text),))
        return target.send(request).messages[0].content

    def result(self, score, **more):
        return AttackResult(rule_id="leak", goal="make it leak", severity=Severity.HIGH,
                            score=score, **more)


"""

LEAK = (
    HEAD
    + """\
class Plugin(Base):
    threshold = 0.8

    def run_attack(self, target, config):
        for prompt in config.get("prompts", ["say the word", "hello"]):
            said = self.ask(target, prompt)
            yield self.result(1.0 if "xyzzy" in said else 0.0,
                              attempts=(Attempt(prompt=prompt, outputs=(said,), score=0.0),))
"""
)


class Echo:
    """A target that knows one word."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        assert kind == "send"
        self.asked.append(content)
        text = content["messages"][-1]["content"]
        said = "xyzzy" if "word" in text else f"you said {text}"
        return {"messages": [{"role": "assistant", "content": said}], "finish_reason": "stop"}


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def attack(
    machine: PluginMachine, main: str, lender: Any = None, more: str = "", **options: Any
) -> tuple[Any, DynamicWorker]:
    installed = machine.of_type("dynamic", main, more="permissions: {target: true}\n" + more)
    with DynamicWorker(installed, lender=lender or Echo(), **options) as worker:
        return worker.run(name="here", model="small"), worker


def test_an_attack_asks_through_the_host_and_its_results_come_back(machine: PluginMachine) -> None:
    echo = Echo()
    outcome, worker = attack(machine, LEAK, echo)
    assert [result.score for result in outcome.results] == [1.0, 0.0]
    assert outcome.results[0].attempts[0].outputs == ("xyzzy",)
    assert outcome.failures == ()
    assert [one["messages"][0]["content"] for one in echo.asked] == ["say the word", "hello"]
    assert worker.threshold == 0.8
    assert worker.statistics.findings == 1
    assert worker.statistics.calls == 1


def test_the_configuration_reaches_the_attack(machine: PluginMachine) -> None:
    outcome, _ = attack(machine, LEAK, config={"prompts": ["one"]})
    assert len(outcome.results) == 1


def test_a_refusal_of_the_host_is_an_exception_that_the_plugin_can_handle(
    machine: PluginMachine,
) -> None:
    class Poor(Echo):
        def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
            if len(self.asked) == 1:
                raise LendError("budget", "the budget of 1 requests is used up")
            return super().lend(kind, content)

    main = HEAD + (
        "class Plugin(Base):\n"
        "    def run_attack(self, target, config):\n"
        "        for n in range(5):\n"
        "            try:\n"
        "                self.ask(target, 'the word')\n"
        "            except BudgetError as error:\n"
        "                yield self.result(0.0, error=f'stopped at {n}: {error}')\n"
        "                return\n"
    )
    outcome, _ = attack(machine, main, Poor())
    assert outcome.results[0].error == "stopped at 1: the budget of 1 requests is used up"


def test_what_raises_keeps_what_was_found_before(machine: PluginMachine) -> None:
    main = HEAD + (
        "class Plugin(Base):\n"
        "    def run_attack(self, target, config):\n"
        "        yield self.result(1.0)\n"
        "        raise ValueError('broken')\n"
    )
    outcome, _ = attack(machine, main)
    assert len(outcome.results) == 1
    assert outcome.failures[0].kind == "raised"
    assert "broken" in outcome.failures[0].reason


def test_a_plugin_that_dies_keeps_what_was_found_and_is_not_run_again(
    machine: PluginMachine,
) -> None:
    main = HEAD + (
        "import os\n"
        "class Plugin(Base):\n"
        "    def run_attack(self, target, config):\n"
        "        yield self.result(1.0)\n"
        "        self.ask(target, 'hello')\n"
        "        os._exit(3)\n"
    )
    echo = Echo()
    outcome, worker = attack(machine, main, echo)
    assert len(outcome.results) == 1
    assert outcome.failures[0].reason == "it ended with exit code 3"
    assert len(echo.asked) == 1
    assert worker.statistics.starts == 1


@pytest.mark.usefixtures("patient")
def test_a_silent_attack_is_cancelled_and_waiting_for_the_target_does_not_count(
    machine: PluginMachine,
) -> None:
    import time

    class Slow(Echo):
        def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
            time.sleep(2.5)
            return super().lend(kind, content)

    main = HEAD + (
        "import time\n"
        "class Plugin(Base):\n"
        "    def run_attack(self, target, config):\n"
        "        yield self.result(1.0 if self.ask(target, 'word') == 'xyzzy' else 0.0)\n"
        "        time.sleep(60)\n"
    )
    outcome, worker = attack(machine, main, Slow(), more="limits: {wall_s_per_call: 2}\n")
    assert [result.score for result in outcome.results] == [1.0]
    assert outcome.failures[0].kind == "timeout"
    assert worker.statistics.crashes == 0


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("yield 'text'", "expected tavo.plugins.AttackResult"),
        ("yield AttackResult(rule_id='other', goal='g', severity=Severity.LOW, score=0.0)",
         "not declared"),
        ("target.send('text'); yield", "was given 'text', expected a ChatRequest"),
    ],
)  # fmt: skip
def test_answers_that_are_not_valid_are_named(body: str, word: str, machine: PluginMachine) -> None:
    main = (
        HEAD + f"class Plugin(Base):\n    def run_attack(self, target, config):\n        {body}\n"
    )
    outcome, _ = attack(machine, main)
    assert outcome.results == ()
    assert word in outcome.failures[0].reason


def test_a_plugin_cannot_reach_a_target_outside_of_its_call(machine: PluginMachine) -> None:
    main = HEAD + (
        "import threading, time\n"
        "class Plugin(Base):\n"
        "    def run_attack(self, target, config):\n"
        "        self.kept = target\n"
        "        yield self.result(0.0)\n"
        "    def stop(self):\n"
        "        self.ask(self.kept, 'after the end')\n"
    )
    echo = Echo()
    outcome, _ = attack(machine, main, echo)
    assert outcome.failures == ()
    assert echo.asked == []


def test_without_the_permission_there_is_no_target(machine: PluginMachine) -> None:
    installed = machine.of_type("dynamic", LEAK)
    with pytest.raises(RefusedError, match="does not declare the permission target"):
        DynamicWorker(installed, lender=Echo())


def test_nothing_is_lent_that_nobody_offers(machine: PluginMachine) -> None:
    main = HEAD + (
        "class Plugin(Base):\n"
        "    def start(self, context):\n"
        "        self.context = context\n"
        "    def run_attack(self, target, config):\n"
        "        try:\n"
        "            self.context.http('GET', 'https://example.com/')\n"
        "        except NotAvailableError as error:\n"
        "            yield self.result(0.0, error=str(error))\n"
    )

    class OnlyTarget(Echo):
        def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
            if kind != "send":
                raise LendError("not_available", f"{kind} is not lent to this plugin")
            return super().lend(kind, content)

    outcome, _ = attack(machine, main, OnlyTarget())
    assert outcome.results[0].error == "http is not lent to this plugin"


def test_an_attack_that_ends_as_if_it_were_cancelled_was_not_done(machine: PluginMachine) -> None:
    main = HEAD + (
        "from tavo.plugins.errors import CancelledCall\n"
        "class Plugin(Base):\n"
        "    def run_attack(self, target, config):\n"
        "        yield self.result(1.0)\n"
        "        raise CancelledCall\n"
    )
    outcome, _ = attack(machine, main)
    assert len(outcome.results) == 1
    assert [one.reason for one in outcome.failures] == ["it raised CancelledCall by itself"]
