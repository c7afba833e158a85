"""Proxy filters at work: decisions in time, failures that are no decisions."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tavo.host.filters import FilterFailedError, FilterWorker
from tavo.host.session import Session
from tavo.plugins import ChatMessage, ChatRequest, ChatResponse, Decision
from tests.fakes.plugins import PluginMachine

FILTER = """\
import os
import time

from tavo.plugins import *


def ask_without_end():
    import json
    import stat

    channel = next(n for n in range(3, 64) if is_socket(n, stat))
    for number in range(1, 10**9):
        body = json.dumps({"type": "ask", "call": number, "kind": "http", "content": {}}).encode()
        os.write(channel, len(body).to_bytes(4, "big") + body)
        if number > 8:
            try:
                os.read(channel, 1 << 20)
            except BaseException:
                pass


def is_socket(number, stat):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


class Plugin(ProxyFilteringPlugin):
    deadline_ms = 400

    def filter_request(self, request):
        text = request.messages[-1].content
        if text == "sleep":
            time.sleep(60)
        if text == "stubborn":
            try:
                time.sleep(60)
            except BaseException:
                time.sleep(60)
        if text == "die":
            os._exit(4)
        if text == "questions":
            ask_without_end()
        if text == "raise":
            raise ValueError("broken")
        if text == "role":
            return FilterResult(decision=Decision.MODIFY, reason="r",
                                replacement=(ChatMessage(role="system", content="obey"),))
        if "secret" in text:
            return FilterResult(decision=Decision.BLOCK, reason="a secret", labels=("secret",))
        if "mask" in text:
            return FilterResult(
                decision=Decision.MODIFY, reason="masked",
                replacement=(ChatMessage(role="user", content=text.replace("mask", "****")),),
            )
        return FilterResult(decision=Decision.ALLOW)

    def filter_response(self, response):
        same = response.request.messages[0].content in response.messages[0].content
        return FilterResult(decision=Decision.BLOCK if same else Decision.ALLOW, reason="echo")
"""


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


@contextmanager
def running(
    machine: PluginMachine, *, deadline_ms: int | None = 60_000, **options: Any
) -> Iterator[FilterWorker]:
    """Start the filter; unless a test is about the time that a call has, that is plenty."""
    options["deadline_ms"] = deadline_ms
    with FilterWorker(machine.of_type("proxy", FILTER), **options) as worker:
        worker.start()
        yield worker


def asked(text: str) -> ChatRequest:
    return ChatRequest(messages=(ChatMessage(role="user", content=text),))


def test_a_filter_allows_blocks_and_changes(machine: PluginMachine) -> None:
    with running(machine) as worker:
        assert worker.filter_request(asked("hello")).decision is Decision.ALLOW
        blocked = worker.filter_request(asked("a secret"))
        assert (blocked.decision, blocked.labels) == (Decision.BLOCK, ("secret",))
        changed = worker.filter_request(asked("mask me"))
        assert changed.replacement[0].content == "**** me"
        answer = ChatResponse(
            request=asked("parrot"), messages=(ChatMessage(role="assistant", content="parrot!"),)
        )
        assert worker.filter_response(answer).decision is Decision.BLOCK


def test_many_threads_ask_and_each_gets_its_own_answer(machine: PluginMachine) -> None:
    wrong: list[str] = []
    with running(machine, deadline_ms=20_000) as worker:

        def ask(number: int) -> None:
            for turn in range(20):
                text = f"mask {number}-{turn}"
                found = worker.filter_request(asked(text)).replacement[0].content
                if found != text.replace("mask", "****"):
                    wrong.append(found)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert worker.statistics.calls == 160


@pytest.mark.usefixtures("patient")
def test_a_late_call_fails_at_its_deadline_and_the_next_one_works(machine: PluginMachine) -> None:
    with running(machine, deadline_ms=None) as worker:
        with pytest.raises(FilterFailedError, match="longer than 400 ms") as failed:
            worker.filter_request(asked("sleep"))
        assert failed.value.failure.kind == "deadline"
        deadline = time.monotonic() + 30
        while True:  # the call is ended soon
            try:
                assert worker.filter_request(asked("hello")).decision is Decision.ALLOW
                break
            except FilterFailedError:
                assert time.monotonic() < deadline
        assert worker.statistics.crashes == 0


@pytest.mark.parametrize("poison", ["die", "stubborn"])
def test_a_call_that_kills_the_worker_fails_alone(poison: str, machine: PluginMachine) -> None:
    with running(machine, deadline_ms=60_000 if poison == "die" else 5000) as worker:
        futures = [worker.submit(asked(text)) for text in ("hello", poison, "a secret", "hello")]
        assert futures[0].result().decision is Decision.ALLOW
        with pytest.raises(FilterFailedError):
            futures[1].result()
        if poison == "die":
            assert futures[2].result().decision is Decision.BLOCK
            assert futures[3].result().decision is Decision.ALLOW
        worker.deadline_ms = 60_000  # each of these waits for a worker to start
        for _ in range(5):  # nobody can switch it off by sending poison
            with pytest.raises(FilterFailedError):
                worker.filter_request(asked("die"))
        assert worker.filter_request(asked("a secret")).decision is Decision.BLOCK


def test_who_sends_to_a_worker_that_has_died_hears_its_answers_first(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end belongs to the call that it came in, not to one that was answered before."""
    posted: list[Session] = []
    real = Session.post
    all_in = threading.Event()

    def slowly(self: Session, kind: str, content: dict[str, Any]) -> int:
        all_in.wait(60)
        posted.append(self)
        if len(posted) == 3:
            until = time.monotonic() + 60
            while not self._worker.process.has_ended() and time.monotonic() < until:
                time.sleep(0.01)
        return real(self, kind, content)

    with running(machine, deadline_ms=20_000) as worker:
        monkeypatch.setattr(Session, "post", slowly)
        futures = [worker.submit(asked(text)) for text in ("hello", "die", "a secret", "hello")]
        all_in.set()
        assert futures[0].result().decision is Decision.ALLOW
        with pytest.raises(FilterFailedError, match="ended with exit code"):
            futures[1].result()
        assert futures[2].result().decision is Decision.BLOCK
        assert futures[3].result().decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("text", "word"), [("raise", "ValueError: broken"), ("role", "of the role system")]
)
def test_a_failure_is_no_decision(text: str, word: str, machine: PluginMachine) -> None:
    with running(machine) as worker:
        with pytest.raises(FilterFailedError, match=word):
            worker.filter_request(asked(text))
        assert worker.statistics.skipped == 1


def test_what_waits_when_a_filter_is_stopped_fails(machine: PluginMachine) -> None:
    with running(machine, deadline_ms=30_000) as worker:
        first = worker.submit(asked("sleep"))
        second = worker.submit(asked("hello"))
        time.sleep(0.1)
    for future in (first, second):
        with pytest.raises(FilterFailedError):
            future.result(timeout=60)


@pytest.mark.usefixtures("patient")
def test_a_cancel_reaches_the_call_that_it_was_meant_for(machine: PluginMachine) -> None:
    """Calls that wait behind a late one are not ended by its cancel."""
    with running(machine, deadline_ms=2000) as worker:
        late = worker.submit(asked("sleep"))
        worker.deadline_ms = 60_000
        behind = [worker.submit(asked("a secret")) for _ in range(5)]
        with pytest.raises(FilterFailedError):
            late.result()
        assert {future.result().decision for future in behind} == {Decision.BLOCK}


def test_a_filter_that_asks_without_end_fails_at_its_deadline(machine: PluginMachine) -> None:
    with running(machine, deadline_ms=4000) as worker:
        began = time.monotonic()
        with pytest.raises(FilterFailedError) as caught:
            worker.submit(asked("questions")).result(timeout=60)
        assert caught.value.failure.kind == "deadline"
        assert time.monotonic() - began < 20
        worker.deadline_ms = 60_000
        assert worker.submit(asked("hello")).result(timeout=60).decision is Decision.ALLOW


def test_a_system_that_gives_no_new_worker_is_a_failure_and_not_silence(
    machine: PluginMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(machine, deadline_ms=20_000) as worker:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
        with pytest.raises(FilterFailedError, match="exit code 4"):
            worker.submit(asked("die")).result(timeout=60)
        with pytest.raises(FilterFailedError, match="No such file or directory"):
            worker.submit(asked("hello")).result(timeout=60)
    worker._thread = threading.current_thread()  # as `submit` sees it before `close` is done
    with pytest.raises(FilterFailedError, match="is being stopped"):
        worker.submit(asked("hello")).result(timeout=60)


def test_a_defect_of_ours_in_the_filters_thread_fails_what_waits(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    with running(machine, deadline_ms=20_000) as worker:

        def broken() -> None:
            raise MemoryError

        monkeypatch.setattr(worker, "_expire", broken)
        with pytest.raises(FilterFailedError, match="is being stopped"):
            worker.submit(asked("hello")).result(timeout=60)
