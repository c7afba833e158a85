"""Upstreams that break off, lie and send garbage, and filters that are killed: nothing passes
unjudged, nothing hangs, and no client hears another one's answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tavo.proxy.chain.judge import ChainJudge
from tavo.runs.filtering import PassingWorker
from tests.fakes.any_reader import heard_anyhow
from tests.fakes.dialect_traffic import SPEAKERS, Speaker
from tests.fakes.plugins import PluginMachine
from tests.fakes.scripted_upstream import Asked, answer, chunk, staged, until
from tests.proxy.driving import answered, asked
from tests.proxy.test_proxy_plugins import CHAT, real_judge

SECRET = "AKIAQ7TR2MXL5ZB3NC4D"
FILTERS: list[dict[str, Any]] = [
    {"filter": "pii", "answers": True}, {"filter": "secrets"}, {"filter": "hidden-text"},
    {"filter": "tools", "deny": ["shell"]},
]  # fmt: skip
WAYS = ("fine", "cut", "half a chunk", "no end", "garbage", "other framing", "other length", "late",
        "twice", "nothing")  # fmt: skip


class Chaos:
    """Answers each request in another wrong way."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    async def __call__(self, request: Asked, writer: asyncio.StreamWriter) -> None:
        dice = self.dice
        speaker = next(one for one in SPEAKERS if one.path in request.line)
        way = dice.choice(WAYS)
        mark = request.body[request.body.find(b"client-") :][:11].decode() or "nobody"
        text = f"{mark} says: see {SECRET} and eve@evil.test"
        call = ("shell", '{"a": "b"}') if speaker.has_calls and dice.random() < 0.3 else None
        deltas = [(0, text[at : at + 4]) for at in range(0, len(text), 4)]
        events = speaker.stream(deltas, call, 3)
        if way == "other framing":
            events = dice.choice(SPEAKERS).stream(deltas, None, 3)
        body = b"".join(events)
        if way == "garbage":
            at = dice.randrange(len(body))
            body = body[:at] + bytes(dice.randrange(256) for _ in range(9)) + body[at:]
        kind = speaker.content_type
        if way == "nothing":
            raise ConnectionResetError
        if way == "other length":
            writer.write(answer(body).replace(b"content-length: ", b"content-length: 9"))
            await writer.drain()
            raise ConnectionResetError
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n" % kind)
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        end = dice.randrange(len(body)) if way in {"cut", "half a chunk"} else len(body)
        at = 0
        while at < end:
            size = dice.choice((1, 7, 60, 400))
            piece = body[at : min(at + size, end)]
            writer.write(chunk(piece))
            at += size
            if way == "late":
                await asyncio.sleep(0.001)
        if way == "half a chunk":
            writer.write(b"ff\r\nhalf")
        await writer.drain()
        if way in {"cut", "half a chunk"}:
            raise ConnectionResetError
        if way != "no end":
            writer.write(b"0\r\n\r\n" * (2 if way == "twice" else 1))
        else:
            raise ConnectionResetError


async def one_client(stage: Any, number: int, speaker: Speaker, dice: random.Random) -> bytes:
    client = await stage.client(1 << 20)
    mark = f"client-{number:04d}"
    body = json.dumps(speaker.request(f"I am {mark}")).encode()
    path = speaker.path + (b"?" + speaker.query if speaker.query else b"")
    client.post(body, b"Connection: close", path=path)
    if dice.random() < 0.15:  # it goes away
        await asyncio.sleep(dice.random() / 50)
        client.close()
        return b""
    out = await client.rest()
    client.close()
    for other in set(_marks(out)) - {mark}:
        raise AssertionError(f"{mark} heard {other}")
    return out


def _marks(data: bytes) -> list[str]:
    text = data.decode("latin-1")
    return [text[at : at + 11] for at in range(len(text)) if text.startswith("client-", at)]


def unchunked(data: bytes) -> bytes:
    """Return the body of an answer, as much of it as came."""
    head, _, rest = data.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return rest
    out = b""
    while rest:
        line, _, rest = rest.partition(b"\r\n")
        try:
            size = int(line, 16)
        except ValueError:
            return out
        out, rest = out + rest[:size], rest[size + 2 :]
    return out


@pytest.mark.parametrize("rounds", [140, pytest.param(3000, marks=pytest.mark.slow)])
def test_nothing_passes_unjudged_whatever_the_upstream_does(rounds: int) -> None:
    async def main() -> int:
        dice = random.Random(8)
        heard = 0
        async with staged(Chaos(9), filters=FILTERS) as stage:
            gate = asyncio.Semaphore(20)

            async def play(number: int) -> bytes:
                async with gate:
                    return await one_client(stage, number, SPEAKERS[number % 7], dice)

            async with asyncio.timeout(60 + rounds):
                answers = await asyncio.gather(*(play(number) for number in range(rounds)))
            for out in answers:
                body = unchunked(out)
                for text in heard_anyhow(body):
                    assert SECRET not in text, body
                    assert "eve@evil.test" not in text, body
                    assert text != "shell", body
                heard += b"says" in body
            await until(lambda: stage.app.wire.active == 0)
            assert stage.app.wire.defects == 0
            assert stage.app.wire.buffered == 0
        return heard

    assert asyncio.run(main()) > rounds / 5


PLUGIN = """
from tavo.plugins import Decision, FilterResult, ProxyFilteringPlugin

class Plugin(ProxyFilteringPlugin):
    deadline_ms = 2000
    def filter_request(self, request):
        return FilterResult(decision=Decision.ALLOW)
    def filter_response(self, response):
        bad = any("falcon" in one.content for one in response.messages)
        return FilterResult(decision=Decision.BLOCK if bad else Decision.ALLOW, reason="a word")
"""


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found |= {int(one) for one in (task / "children").read_text().split()}
    return found


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the worker's process in /proc"
)
def test_a_filter_that_is_killed_all_the_time_lets_nothing_pass(tmp_path: Path) -> None:
    judge = real_judge(PluginMachine(tmp_path / "machine"), PLUGIN)

    async def upstream(request: Asked, writer: asyncio.StreamWriter) -> None:
        word = "falcon" if b"BAD" in request.body else "sparrow"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for event in CHAT.stream([(0, "the "), (0, word[:3]), (0, word[3:])], None, 3):
            writer.write(chunk(event))
        writer.write(b"0\r\n\r\n")

    async def main() -> tuple[int, int]:
        before = children()
        await judge.start()
        passed = refused = 0
        async with staged(upstream) as stage:
            stage.app.wire.change(judge)
            done = asyncio.Event()

            async def killing() -> int:
                killed, pause_s, known = 0, 0.3, 0
                while not done.is_set():
                    await asyncio.sleep(pause_s)
                    # on a busy machine a new one may need longer before it can answer at all
                    pause_s = 0.3 if passed > known else min(2 * pause_s, 5.0)
                    known = passed
                    for pid in children() - before:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                            killed += 1
                return killed

            task = asyncio.create_task(killing())
            async with asyncio.timeout(180):
                until = asyncio.get_running_loop().time() + 3
                number = 0
                while asyncio.get_running_loop().time() < until or not (passed and refused):
                    number += 1
                    bad = number % 2 == 0
                    body = json.dumps(CHAT.request("BAD" if bad else "good")).encode()
                    status, _, out = await stage.ask(body=body)
                    text = CHAT.heard(out).texts.get(0, "") if status == 200 else ""
                    if bad:
                        assert not any("falcon" in one for one in heard_anyhow(out))
                    passed += text == "the sparrow"
                    refused += status == 503 or b"tavo_filter_failed" in out
            done.set()
            assert await task >= 2
            assert stage.app.wire.defects == 0
        await judge.retire()
        return passed, refused

    passed, refused = asyncio.run(main())
    assert passed > 0
    assert refused > 0


def test_control_a_filter_that_may_be_skipped_lets_a_killed_one_pass(tmp_path: Path) -> None:
    worker = PassingWorker(
        PluginMachine(tmp_path / "machine").of_type("proxy", PLUGIN), accept=(), config={},
        say=lambda _: None,
    )  # fmt: skip
    entry = {"filter": "plugin", "plugin": worker.full_id, "on_error": "skip"}
    judge = ChainJudge([entry], worker_of=lambda *_: worker)
    asyncio.run(judge.start())
    asyncio.run(judge.retire())  # its worker is gone
    done = asked(judge.chain, CHAT, CHAT.request("hi"), plugins=judge._plugins)
    answered(done, CHAT, CHAT.stream([(0, "the falcon")], None, 3))
    assert CHAT.heard(done.out).texts == {0: "the falcon"}
    assert ("skip", "response") in {said[1:] for said in done.said}
