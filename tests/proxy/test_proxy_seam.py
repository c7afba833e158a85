"""What the wire makes of an exchange: what it decides, when it takes its time, when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tavo.proxy.http.limits import Limits
from tavo.proxy.messages import (
    Finished,
    Forward,
    Headers,
    Mode,
    Pending,
    Refusal,
    RequestHead,
    ResponseHead,
    Route,
    plain_refusal,
)
from tests.fakes.exchanges import Passing, PassThrough
from tests.fakes.scripted_upstream import BODY, REPLY, STREAM, answer, chunk, saying, staged, until

EVENTS = saying(STREAM, chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n") + b"0\r\n\r\n")


class Scripted(PassThrough):
    """An exchange whose calls can be replaced; keeps how it ended."""

    __slots__ = ("blocked", "calls", "ended", "later", "mode")

    def __init__(self, mode: Mode = Mode.STREAM, **calls: Any) -> None:
        super().__init__()
        self.blocked: Refusal | None = None  # type: ignore[misc]
        self.mode, self.calls, self.later = mode, calls, None
        self.ended: list[Finished] = []

    def request_head(self, head: RequestHead) -> Route | Refusal:
        call = self.calls.get("request_head")
        return call(head) if call else super().request_head(head)

    def request_body(self, body: bytes) -> Any:
        call = self.calls.get("request_body")
        return call(body) if call else Forward(body=body)

    def response_head(self, status: int, headers: Headers) -> Any:
        call = self.calls.get("response_head")
        made = ResponseHead(status=status, headers=headers, mode=self.mode)
        return call(made) if call else made

    def response_data(self, data: bytes) -> Any:
        call = self.calls.get("response_data")
        return call(self, data) if call else (data,)

    def response_end(self) -> Any:
        call = self.calls.get("response_end")
        return call(self) if call else ()

    def resume(self) -> Any:
        return self.later() if callable(self.later) else self.later

    def close(self, how: Finished) -> None:
        self.ended.append(how)
        if "close" in self.calls:
            self.calls["close"]()


class Making(Passing):
    def __init__(self, exchange: Scripted) -> None:
        self.one = exchange

    def exchange(self) -> Scripted:
        return self.one


def run(exchange: Scripted, script: Any = None) -> tuple[bytes, int]:
    """Return everything that a client gets, and how often the upstream was asked."""

    async def main() -> tuple[bytes, int]:
        async with staged(script) as stage:
            stage.app.wire.change(Making(exchange))
            client = await stage.client()
            client.post(BODY, b"Connection: close")
            text = await client.rest()
            assert stage.app.wire.active == 0
            assert stage.app.wire.buffered == 0
            return text, len(stage.upstream.asked)

    return asyncio.run(main())


NO = plain_refusal(403, "tavo_blocked", "no")


def test_a_request_can_be_refused_by_its_head_and_by_its_body() -> None:
    for name in ("request_head", "request_body"):
        exchange = Scripted(**{name: lambda _: NO})
        text, asked = run(exchange)
        assert text.startswith(b"HTTP/1.1 403 Forbidden")
        assert NO.body in text
        assert (asked, exchange.ended) == (0, [Finished.REFUSED])


def test_an_answer_can_be_replaced_before_its_head_is_sent() -> None:
    def blocking(self: Scripted, _: bytes = b"") -> Sequence[bytes]:
        self.blocked = NO
        return (b"what was released before",)

    for calls in ({"response_head": lambda _: NO}, {"response_data": blocking},
                  {"response_end": blocking}):  # fmt: skip
        exchange = Scripted(Mode.WHOLE, **calls)
        if "response_end" in calls:
            exchange.calls["response_data"] = lambda *_: ()
        text, asked = run(exchange)
        assert text.startswith(b"HTTP/1.1 403 Forbidden"), calls
        assert NO.body in text
        assert REPLY not in text
        assert (asked, exchange.ended) == (1, [Finished.BLOCKED])


def test_a_stream_that_is_blocked_ends_with_what_the_exchange_returned() -> None:
    async def endless(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM)
        for number in range(1000):
            writer.write(chunk(b"data: %d\n\n" % number))
            await writer.drain()
            await asyncio.sleep(0.01)

    def blocking(self: Scripted, data: bytes) -> Sequence[bytes]:
        if b"data: 3" in data:
            self.blocked = NO
            return (b"data: error\n\n",)
        return (data,)

    exchange = Scripted(response_data=blocking)
    text, _ = run(exchange, endless)
    assert text.endswith(chunk(b"data: error\n\n") + b"0\r\n\r\n")
    assert b"data: 2\n" in text
    assert b"data: 3\n" not in text
    assert exchange.ended == [Finished.BLOCKED]


def test_an_answer_that_is_held_whole_has_its_own_length() -> None:
    held: list[bytes] = []

    def hold(_: Scripted, data: bytes) -> Sequence[bytes]:
        held.append(data)
        return ()

    exchange = Scripted(Mode.WHOLE, response_data=hold, response_end=lambda _: (b"changed",))
    text, _ = run(exchange)
    assert b"content-length: 7\r\n" in text
    assert text.endswith(b"\r\n\r\nchanged")
    assert b"".join(held) == REPLY


@pytest.mark.parametrize("when", ["request_body", "response_data", "response_end"])
def test_work_can_be_done_elsewhere_and_the_order_holds(when: str) -> None:
    async def later() -> None:
        await asyncio.sleep(0.05)

    def body(data: bytes) -> Pending:
        exchange.later = Forward(body=data + b" ")
        return Pending(run=later)

    def data(self: Scripted, piece: bytes) -> Any:
        self.later = (b"[", piece, b"]")
        return Pending(run=later)

    def end(self: Scripted) -> Pending:
        self.later = (b"last",)
        return Pending(run=later)

    exchange = Scripted(
        **{when: {"request_body": body, "response_data": data, "response_end": end}[when]}
    )
    text, asked = run(exchange, EVENTS)
    received = b"".join(
        text.partition(b"\r\n\r\n")[2].split(b"\r\n")[1::2]
    )  # the data of the chunks
    both = b"data: 1\n\ndata: 2\n\n"
    assert asked == 1
    if when == "response_data":
        assert received.replace(b"][", b"").strip(b"[]") == both
    else:
        assert received == both + (b"last" if when == "response_end" else b"")
    assert exchange.ended == [Finished.DONE]


def test_a_client_that_goes_while_work_is_pending_ends_the_exchange() -> None:
    began: list[bool] = []

    async def long() -> None:
        began.append(True)
        await asyncio.sleep(600)

    async def main() -> list[Finished]:
        exchange = Scripted(request_body=lambda _: Pending(run=long))
        async with staged() as stage:
            stage.app.wire.change(Making(exchange))
            client = await stage.client()
            client.post()
            await until(lambda: began)
            client.close()
            await until(lambda: stage.app.wire.active == 0)
        return exchange.ended

    assert asyncio.run(main()) == [Finished.CLIENT_GONE]


def crash(*_: object) -> Any:
    raise ZeroDivisionError("a defect")


async def crash_later() -> None:
    raise ZeroDivisionError("a defect")


CRASHES: dict[str, dict[str, Any]] = {
    "request_head": {"request_head": crash},
    "request_body": {"request_body": crash},
    "pending": {"request_body": lambda _: Pending(run=crash_later)},
    "response_head": {"response_head": crash},
    "response_data": {"response_data": crash},
    "response_end": {"response_end": crash, "response_data": lambda *_: ()},
    "pending answer": {"response_data": lambda *_: Pending(run=crash_later)},
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_defect_in_a_filter_lets_nothing_pass(where: str) -> None:
    exchange = Scripted(Mode.WHOLE, **CRASHES[where])
    text, asked = run(exchange)
    assert text.startswith(b"HTTP/1.1 500 Internal Server Error")
    assert b'"code":"defect"' in text
    assert REPLY not in text
    assert asked == (1 if "response" in where or "answer" in where else 0)
    assert exchange.ended == [Finished.DEFECT]


def test_a_defect_in_the_middle_of_a_stream_cuts_it_off() -> None:
    def second(_: Scripted, data: bytes) -> Sequence[bytes]:
        if b"data: 2" in data:
            raise ZeroDivisionError
        return (data,)

    async def slowly(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + chunk(b"data: 1\n\n"))
        await asyncio.sleep(0.05)
        writer.write(chunk(b"data: 2\n\n") + b"0\r\n\r\n")

    exchange = Scripted(response_data=second)
    text, _ = run(exchange, slowly)
    assert b"data: 1\n" in text
    assert b"data: 2\n" not in text
    assert not text.endswith(b"0\r\n\r\n")
    assert exchange.ended == [Finished.DEFECT]


def test_a_defect_at_the_end_changes_nothing_for_the_client() -> None:
    exchange = Scripted(Mode.PASS, close=crash)
    text, _ = run(exchange)
    assert text.endswith(REPLY)
    assert exchange.ended == [Finished.DONE]


def test_judging_that_takes_too_long_ends_in_the_words_of_the_dialect() -> None:
    async def forever() -> None:
        await asyncio.sleep(60)

    def later(self: Scripted, _: bytes = b"") -> Any:
        return Pending(run=forever)

    for calls in ({"request_body": lambda _: Pending(run=forever)}, {"response_data": later}):

        async def main(calls: dict[str, Any] = calls) -> tuple[bytes, bytes]:
            limits = Limits(judging_s=0.05)
            exchange = Scripted(Mode.WHOLE, **calls)
            async with staged(saying(answer()), limits=limits) as stage:
                stage.app.wire.change(Making(exchange))
                client = await stage.client()
                client.post(BODY, b"Connection: close")
                return await client.rest(), b"late"

        text, _ = asyncio.run(main())
        assert text.startswith(b"HTTP/1.1 503 ")
        assert b"tavo_filter_late" in text


def test_what_is_gathered_of_answers_is_bounded_in_sum() -> None:
    async def endless(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                     b"transfer-encoding: chunked\r\n\r\n")  # fmt: skip
        for _ in range(2_000):
            writer.write(chunk(b"x" * 1_000))
            await writer.drain()

    async def main() -> tuple[bytes, int]:
        limits = Limits(buffered_bytes=100_000)
        async with staged(endless, limits=limits, filters=[{"filter": "secrets"}]) as stage:
            client = await stage.client()
            client.post(BODY, b"Connection: close")
            text = await client.rest()
            return text, stage.app.wire.buffered

    text, held = asyncio.run(main())
    assert text.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"overloaded"' in text
    assert held == 0


def test_a_request_counts_until_the_upstream_has_answered() -> None:
    async def silent(_: object, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def main() -> tuple[int, int, int]:
        body = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 60_000 + b'"}]}'
        async with staged(silent, limits=Limits(buffered_bytes=100_000)) as stage:
            first = await stage.client()
            first.post(body)
            while not stage.upstream.asked:
                await asyncio.sleep(0.01)
            held = stage.app.wire.buffered
            status, _, _ = await stage.ask(body=body)
            first.close()
            while stage.app.wire.active:
                await asyncio.sleep(0.01)
            return held, status, stage.app.wire.buffered

    held, status, after = asyncio.run(main())
    assert held > 60_000
    assert (status, after) == (503, 0)
