"""Plugins in a chain: what they say, what it means that they fail, and how long a stream waits."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tavo.errors import ConfigError, NotAvailableError, TavoError
from tavo.host.batches import Failure
from tavo.host.filters import FilterFailedError
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse, Decision, FilterResult
from tavo.proxy.chain.judge import ChainJudge
from tavo.proxy.exchange import ChainExchange
from tavo.proxy.messages import Finished
from tavo.runs.filtering import PassingWorker
from tests.fakes.dialect_traffic import SPEAKERS, Speaker
from tests.fakes.plugins import PluginMachine
from tests.proxy.driving import Done, answered, asked, resumed

CHAT, RESPONSES, ANTHROPIC, GEMINI, ARRAY, OLLAMA, MCP = SPEAKERS


class Worker:
    """Answers at once, by the text of the last message."""

    full_id = "tavo/fake"

    def __init__(self) -> None:
        self.asked: list[ChatRequest | ChatResponse] = []
        self.is_started = False

    def start(self) -> None:
        self.is_started = True

    def close(self) -> None:
        self.is_started = False

    def submit(self, message: ChatRequest | ChatResponse) -> Future[FilterResult]:
        self.asked.append(message)
        future: Future[FilterResult] = Future()
        text = " ".join(one.content for one in message.messages)
        if "FAIL" in text:
            failure = Failure(kind="deadline", reason="it took longer than 50 ms")
            future.set_exception(FilterFailedError(self.full_id, failure))
        elif "GIVEN UP" in text:
            future.cancel()
        elif "STRANGE" in text:
            future.set_exception(OSError("no such pipe"))
        elif "RAISES" in text:
            raise ValueError("too large for a frame")
        elif "BLOCK" in text:
            future.set_result(FilterResult(decision=Decision.BLOCK, reason="no", labels=("x",)))
        elif "MASK" in text:
            new = tuple(ChatMessage(role=one.role, content=one.content.replace("MASK", "****"))
                        for one in message.messages)  # fmt: skip
            future.set_result(
                FilterResult(decision=Decision.MODIFY, reason="masked", replacement=new)
            )
        elif "LESS" in text:
            future.set_result(FilterResult(decision=Decision.MODIFY, reason="r", replacement=(
                *message.messages, *message.messages)))  # fmt: skip
        else:
            future.set_result(FilterResult(decision=Decision.ALLOW))
        return future


def judge_with(worker: Worker, *more: Any, **options: Any) -> ChainJudge:
    entry = {"filter": "plugin", "plugin": "tavo/fake", **options}
    return ChainJudge([entry, *more], worker_of=lambda *_: worker)


def ask(judge: ChainJudge, speaker: Speaker, text: str, **options: Any) -> Done:
    exchange = judge.exchange()
    assert isinstance(exchange, ChainExchange)
    return asked(judge.chain, speaker, speaker.request(text, **options), plugins=judge._plugins)


def test_a_plugin_blocks_changes_and_allows_requests() -> None:
    judge = judge_with(Worker())
    for speaker in SPEAKERS[:6]:
        assert ask(judge, speaker, "fine").refusal is None
        assert b"****" in ask(judge, speaker, "MASK me").sent
        refusal = ask(judge, speaker, "BLOCK").refusal
        assert refusal is not None
        assert refusal.reason == "tavo/fake: no"


def test_a_plugin_sees_what_the_filters_before_it_left() -> None:
    worker = Worker()
    judge = judge_with(worker, {"filter": "pii"})
    ask(judge, CHAT, "mail bob@example.com")
    content = worker.asked[0].messages[0].content
    assert content.startswith("mail {EMAIL:")


@pytest.mark.parametrize("text", ["FAIL", "LESS", "GIVEN UP", "STRANGE", "RAISES"])
def test_a_plugin_that_gives_no_valid_answer_blocks_or_is_skipped(text: str) -> None:
    refusal = ask(judge_with(Worker()), CHAT, text).refusal
    assert refusal is not None
    assert refusal.code == "tavo_filter_failed"
    done = ask(judge_with(Worker(), on_error="skip"), CHAT, text)
    assert done.refusal is None
    head = done.exchange.response_head(200, [(b"content-type", b"application/json")])
    assert (b"x-tavo-filter-status", b"tavo/fake; skipped") in head.headers
    done.exchange.close(Finished.DONE)
    assert ("tavo/fake", "skip", "request") in done.said


@pytest.mark.parametrize("speaker", SPEAKERS[:6], ids=lambda one: one.name)
def test_a_stream_waits_until_the_plugin_has_seen_all_of_it(speaker: Speaker) -> None:
    worker = Worker()
    judge = judge_with(worker, phases=["response"])
    data = b"".join(speaker.stream([(0, "a MA"), (0, "SK b")], None, 1))
    done = ask(judge, speaker, "hi")
    exchange = done.exchange
    exchange.response_head(200, [(b"content-type", speaker.content_type)])
    early = b"".join(resumed(exchange, exchange.response_data(data)))
    assert b"MA" not in early
    late = b"".join(resumed(exchange, exchange.response_end()))
    assert speaker.heard(early + late).texts[0] == "a **** b"
    assert worker.asked[-1].messages[0].content == "a MASK b"
    blocked = b"".join(speaker.stream([(0, "a BLO"), (0, "CK b")], None, 1))
    done = answered(ask(judge, speaker, "hi"), speaker, [blocked])
    assert b"BLO" not in done.out
    assert speaker.heard(done.out).error.startswith("tavo/fake: no")


def test_a_whole_answer_is_judged_with_what_was_asked() -> None:
    worker = Worker()
    judge = judge_with(worker, phases=["response"])
    done = answered(ask(judge, CHAT, "question"), CHAT, [CHAT.whole(["MASK"], None)], whole=True)
    assert CHAT.heard_whole(done.out).texts == {0: "****"}
    answer = worker.asked[-1]
    assert isinstance(answer, ChatResponse)
    assert answer.request.messages[0].content == "question"


def test_plugins_that_only_detect_are_asked_at_the_same_time() -> None:
    order: list[str] = []

    class Slow(Worker):
        def submit(self, message: Any) -> Future[FilterResult]:
            order.append("asked")
            future: Future[FilterResult] = Future()
            loop = asyncio.get_running_loop()
            loop.call_later(0.02, lambda: (order.append("answered"),
                                           future.set_result(FilterResult(
                                               decision=Decision.ALLOW))))  # fmt: skip
            return future

    entries = [{"filter": "plugin", "plugin": f"tavo/{n}", "changes": False} for n in "ab"]
    judge = ChainJudge(entries, worker_of=lambda *_: Slow())
    ask(judge, CHAT, "hi")
    assert order == ["asked", "asked", "answered", "answered"]


def test_workers_start_and_end_with_the_judge() -> None:
    worker = Worker()
    judge = judge_with(worker)
    asyncio.run(judge.start())
    assert worker.is_started
    asyncio.run(judge.retire())
    assert not worker.is_started


def test_wrong_entries() -> None:
    with pytest.raises(NotAvailableError, match="plugins cannot be started here"):
        ChainJudge([{"filter": "plugin", "plugin": "tavo/x"}])
    with pytest.raises(ConfigError, match="expected the id of a plugin"):
        ChainJudge([{"filter": "plugin"}])
    with pytest.raises(ConfigError, match="'phase' is no setting of plugin"):
        judge_with(Worker(), phase="request")
    entry = {"filter": "plugin", "plugin": "tavo/fake"}
    with pytest.raises(ConfigError, match="two are called 'tavo/fake'"):
        ChainJudge([entry, entry], worker_of=lambda *_: Worker())


FILTER = """
from tavo.plugins import Decision, FilterResult, ProxyFilteringPlugin

class Plugin(ProxyFilteringPlugin):
    deadline_ms = 5000
    def filter_request(self, request):
        bad = any("forbidden" in one.content for one in request.messages)
        return FilterResult(decision=Decision.BLOCK if bad else Decision.ALLOW, reason="a word")
    def filter_response(self, response):
        return FilterResult(decision=Decision.ALLOW)
"""


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def real_judge(machine: PluginMachine, source: str, said: list[str] | None = None) -> ChainJudge:
    heard = [] if said is None else said
    worker = PassingWorker(machine.of_type("proxy", source), accept=(), config={}, say=heard.append)
    entry = {"filter": "plugin", "plugin": worker.full_id}
    return ChainJudge([entry], worker_of=lambda *_: worker)


def test_a_plugin_that_does_not_start_keeps_the_proxy_from_starting(machine: PluginMachine) -> None:
    said: list[str] = []
    judge = real_judge(machine, "raise RuntimeError('broken')", said)
    with pytest.raises(TavoError, match="does not start"):
        asyncio.run(judge.start())
    assert said == []
    asyncio.run(judge.retire())


def test_a_real_plugin_in_its_sandbox(machine: PluginMachine) -> None:
    said: list[str] = []
    judge = real_judge(machine, FILTER, said)
    asyncio.run(judge.start())
    (line,) = said  # who serves sees how well it is locked up
    assert re.fullmatch(r"\S+ 1\.0\.0 judges, sandbox L[23]", line)
    assert ask(judge, CHAT, "hello").refusal is None
    refusal = ask(judge, CHAT, "a forbidden word").refusal
    assert refusal is not None
    assert refusal.reason.endswith(": a word")
    asyncio.run(judge.retire())
