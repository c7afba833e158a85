"""HTTP on both sides: framing, connections, time, and who has to wait for whom."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
from pathlib import Path

import pytest

from tavo.proxy.http import client as client_side
from tavo.proxy.http import grammar
from tavo.proxy.http.limits import Limits
from tests.fakes.scripted_upstream import (
    BODY,
    REPLY,
    STREAM,
    Asked,
    Client,
    answer,
    chunk,
    saying,
    staged,
    until,
)

ATTACKS = Path(__file__).parents[1] / "attacks" / "http"
CHUNKED_HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
)
REFUSED = sorted((ATTACKS / "refused").glob("*.http"))
LAWFUL = sorted((ATTACKS / "lawful").glob("*.http"))
THROUGH = {"cl-and-te", "te-gzip-chunked", "two-authorizations", "obs-fold", "chunk-space"}
"""What a lenient parser lets through at least."""


# -- what is not plain HTTP/1.1


def test_the_corpus_is_there() -> None:
    assert len(REFUSED) > 80
    assert len(LAWFUL) > 8


def test_every_malformed_request_is_refused_and_its_connection_closed() -> None:
    async def main() -> list[str]:
        wrong = []
        async with staged() as stage:
            for file in REFUSED:
                client = await stage.client()
                client.send(file.read_bytes())
                # whatever comes behind it must not be taken for a request either
                client.post()
                text = await client.rest()
                if not text.startswith(b"HTTP/1.1 400 ") or text.count(b"HTTP/1.1") != 1:
                    wrong.append(f"{file.stem}: {text[:60]!r}")
                client.close()
            if stage.upstream.asked:
                wrong.append(f"the upstream was asked: {stage.upstream.asked[0].head!r}")
        return wrong

    assert asyncio.run(main()) == []


def test_a_lenient_parser_would_let_them_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the strictness, requests of the corpus reach the upstream."""
    parser = client_side.httptools.HttpRequestParser

    def lenient(protocol: object) -> object:
        made = parser(protocol)
        made.set_dangerous_leniencies(
            lenient_headers=True, lenient_chunked_length=True, lenient_transfer_encoding=True,
            lenient_version=True, lenient_optional_lf_after_cr=True,
            lenient_optional_cr_before_lf=True, lenient_optional_crlf_after_chunk=True,
            lenient_spaces_after_chunk_size=True,
        )  # fmt: skip
        return made

    def unchecked(*_: object) -> grammar.Framing:
        return grammar.Framing(0, False)

    monkeypatch.setattr(client_side.httptools, "HttpRequestParser", lenient)
    monkeypatch.setattr(client_side, "check_request", unchecked)

    async def main() -> list[str]:
        through = []
        async with staged() as stage:
            for file in REFUSED:
                before = len(stage.upstream.asked)
                client = await stage.client()
                client.send(file.read_bytes())
                with contextlib.suppress(TimeoutError):  # it waits for more, as a server may
                    seconds = 60 if file.stem in THROUGH else 0.5
                    await asyncio.wait_for(client.reader.read(1), seconds)
                if len(stage.upstream.asked) > before:
                    through.append(file.stem)
                client.close()
        return through

    assert set(asyncio.run(main())) >= THROUGH


def test_lawful_requests_of_the_corpus_are_answered() -> None:
    async def main() -> list[str]:
        wrong = []
        async with staged() as stage:
            for file in LAWFUL:
                client = await stage.client()
                client.send(file.read_bytes())
                text = await client.head()
                if text.startswith(b"HTTP/1.1 4") and b" 404 " not in text[:16]:
                    wrong.append(f"{file.stem}: {text[:60]!r}")
                client.close()
        return wrong

    assert asyncio.run(main()) == []


def test_what_comes_behind_a_request_before_its_answer_is_no_request() -> None:
    async def main() -> tuple[bytes, int]:
        async with staged() as stage:
            client = await stage.client()
            one = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
            client.send(one + one.replace(b"/v1/", b"/hidden/v1/"))
            return await client.rest(), len(stage.upstream.asked)

    text, asked = asyncio.run(main())
    assert text.count(b"HTTP/1.1 200 OK") == 1
    assert asked == 1


def test_heads_and_bodies_are_bounded() -> None:
    async def main() -> list[int]:
        limits = Limits(head_bytes=2000, headers=20, body_bytes=1000)
        out = []
        async with staged(limits=limits) as stage:
            for data in (
                b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 3000,
                b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 40 + b"\r\n",
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n",
                CHUNKED_HEAD
                + chunk(b"x" * 600) * 2,
                CHUNKED_HEAD
                + b"1;" + b"e" * 90_000 + b"\r\n",
            ):  # fmt: skip
                client = await stage.client()
                client.send(data)
                text = await client.rest()
                out.append(int(text.split(b" ")[1]))
            assert stage.upstream.asked == []
            assert stage.app.wire.buffered == 0
        return out

    assert asyncio.run(main()) == [431, 400, 413, 413, 400]


def test_all_requests_together_hold_a_bounded_amount() -> None:
    async def main() -> tuple[int, int]:
        async with staged(limits=Limits(buffered_bytes=1000)) as stage:
            first = await stage.client()
            first.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n"
            )
            first.send(b"x" * 800)
            await until(lambda: stage.app.wire.buffered >= 800)
            second = await stage.client()
            second.post(b"y" * 500)
            refused, _, _ = await second.answer()
            first.close()
            await until(lambda: stage.app.wire.buffered == 0)
            third, _, _ = await stage.ask(body=b"z" * 500)
            return refused, third

    assert asyncio.run(main()) == (503, 200)


# -- requests and answers as they should be


def test_a_request_goes_on_and_its_answer_comes_back() -> None:
    async def main() -> tuple[tuple[int, dict[bytes, bytes], bytes], Asked]:
        script = saying(
            answer(REPLY, b"x-request-id: abc", b"alt-svc: h3", b"keep-alive: timeout=5")
        )
        async with staged(script) as stage:
            got = await stage.ask(
                b"Authorization: Bearer k", b"Connection: keep-alive, X-Hop", b"X-Hop: 1",
                b"TE: trailers", b"Proxy-Authorization: no", b"X-Kept: yes",
            )  # fmt: skip
            return got, stage.upstream.asked[0]

    (status, fields, body), asked = asyncio.run(main())
    assert (status, body) == (200, REPLY)
    assert fields[b"x-request-id"] == b"abc"
    assert fields[b"x-tavo-request-id"]
    assert not {b"alt-svc", b"keep-alive"} & set(fields)
    assert asked.line == b"POST /v1/chat/completions HTTP/1.1"
    assert asked.body == BODY
    assert asked["authorization"] == b"Bearer k"
    assert asked["x-kept"] == b"yes"
    assert asked["host"] is not None
    assert asked["host"].startswith(b"127.0.0.1:")
    names = {name for name, _ in asked.headers}
    assert not {b"x-hop", b"te", b"connection", b"proxy-authorization"} & names


def test_connections_on_both_sides_are_used_again() -> None:
    async def main() -> tuple[int, int]:
        async with staged() as stage:
            client = await stage.client()
            for _ in range(5):
                client.post()
                assert (await client.answer())[0] == 200
            return stage.upstream.connections, len(stage.upstream.asked)

    assert asyncio.run(main()) == (1, 5)


@pytest.mark.parametrize("cuts", [(1,), (7, 50), (120, 121)])
def test_it_does_not_matter_where_a_request_is_cut(cuts: tuple[int, ...]) -> None:
    async def main() -> bytes:
        async with staged() as stage:
            client = await stage.client()
            client.post()
            whole = b"".join(
                [b"POST /v1/chat/completions HTTP/1.1\r\nHost: proxy\r\nContent-Length: ",
                 b"%d\r\n\r\n" % len(BODY), BODY]
            )  # fmt: skip
            await client.answer()
            edges = [0, *cuts, len(whole)]
            for start, end in itertools.pairwise(edges):
                client.send(whole[start:end])
                await client.writer.drain()
                await asyncio.sleep(0.005)
            await client.answer()
            return stage.upstream.asked[1].body

    assert asyncio.run(main()) == BODY


def test_a_stream_comes_piece_by_piece_and_whole() -> None:
    async def main() -> tuple[bytes, bytes, bytes]:
        held = asyncio.Event()

        async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM + chunk(b"data: 1\n\n"))
            await held.wait()
            writer.write(chunk(b"data: 2\n\n") + b"0\r\n\r\n")

        async with staged(script) as stage:
            client = await stage.client()
            client.post()
            head = await client.head()
            async with asyncio.timeout(30):
                first = await client.reader.readuntil(b"\n\n\r\n")
            held.set()
            async with asyncio.timeout(30):
                rest = await client.reader.readuntil(b"0\r\n\r\n")
            return head, first, rest

    head, first, rest = asyncio.run(main())
    assert b"transfer-encoding: chunked" in head
    assert first == chunk(b"data: 1\n\n")
    assert rest == chunk(b"data: 2\n\n") + b"0\r\n\r\n"


def test_answers_without_a_body_and_until_the_end_are_read_right() -> None:
    heads = {
        b"204": b"HTTP/1.1 204 No Content\r\n\r\n",
        b"304": b"HTTP/1.1 304 Not Modified\r\ncontent-length: 50\r\n\r\n",
        b"0": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"103": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(),
        b"close": b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end",
        b"ten": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    }

    async def main() -> list[tuple[int, bytes]]:
        async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
            kind = asked["x-kind"] or b""
            writer.write(heads[kind])
            if kind in (b"close", b"ten"):
                writer.close()

        out = []
        async with staged(script) as stage:
            client = await stage.client()
            for kind in heads:
                client.post(BODY, b"X-Kind: " + kind)
                status, _, body = await client.answer()
                out.append((status, body))
        return out

    assert asyncio.run(main()) == [
        (204, b""), (304, b""), (200, b""), (200, REPLY), (200, b"until the end"),
        (200, b"until the end"),
    ]  # fmt: skip


def test_head_has_no_body_and_the_connection_goes_on() -> None:
    async def main() -> tuple[bytes, int, int]:
        async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
            head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
            writer.write(head if asked.line.startswith(b"HEAD") else answer())

        async with staged(script, unknown_paths="pass") as stage:
            client = await stage.client()
            client.send(b"HEAD /status HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await client.head()
            client.post()
            status, _, _ = await client.answer()
            return head, status, stage.upstream.connections

    head, status, connections = asyncio.run(main())
    assert b"content-length: 1000" in head
    assert (status, connections) == (200, 1)


def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    async def main() -> bytes:
        script = saying(STREAM, chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n"), b"0\r\n\r\n")
        async with staged(script) as stage:
            client = await stage.client()
            client.send(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
            return await client.rest()

    text = asyncio.run(main())
    assert b"transfer-encoding" not in text
    assert text.endswith(b"\r\n\r\ndata: 1\n\ndata: 2\n\n")


def test_100_is_sent_where_a_client_waits_for_it() -> None:
    async def main() -> tuple[bytes, int, int]:
        async with staged() as stage:
            client = await stage.client()
            client.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                b"Content-Length: 2\r\n\r\n"
            )
            first = await client.head()
            client.send(b"{}")
            status, _, _ = await client.answer()
            # what is refused by its head is refused before the body is sent
            other = await stage.client()
            other.send(
                b"POST /nothing HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                b"Content-Length: 2\r\n\r\n"
            )
            refused, _, _ = await other.answer()
            return first, status, refused

    assert asyncio.run(main()) == (b"HTTP/1.1 100 Continue\r\n\r\n", 200, 404)


def test_a_body_that_is_passed_goes_on_as_it_comes() -> None:
    async def main() -> tuple[bytes, bytes | None, int]:
        async with staged(unknown_paths="record") as stage:
            client = await stage.client()
            client.send(
                b"POST /files HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunk(b"one")
            )
            await asyncio.sleep(0.05)
            client.send(chunk(b"two") + b"0\r\n\r\n")
            status, _, _ = await client.answer()
            asked = stage.upstream.asked[0]
            return asked.body, asked["transfer-encoding"], status

    assert asyncio.run(main()) == (b"onetwo", b"chunked", 200)


# -- what goes wrong


BROKEN = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "garbage": b"\x00\x01garbage\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n" + STREAM[17:],
    "folded": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "status": b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_an_upstream_that_answers_badly_is_a_502(name: str) -> None:
    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(BROKEN[name])
        writer.close()

    async def main() -> tuple[int, bytes]:
        async with staged(script) as stage:
            status, _, body = await stage.ask()
            return status, body

    status, body = asyncio.run(main())
    assert status == 502
    assert b'"code":"upstream_failed"' in body


@pytest.mark.parametrize("framed", ["length", "chunks", "half a chunk"])
def test_an_answer_that_is_cut_off_is_never_ended_as_if_it_were_whole(framed: str) -> None:
    begun = {
        "length": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "chunks": STREAM + chunk(b"data: 1\n\n"),
        "half a chunk": STREAM + b"20\r\ndata",
    }[framed]

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()

    async def main() -> bytes:
        async with staged(script) as stage:
            client = await stage.client()
            client.post()
            return await client.rest()

    text = asyncio.run(main())
    assert text.startswith(b"HTTP/1.1 200 OK")
    assert not text.endswith(b"0\r\n\r\n")


def test_bytes_that_nobody_asked_for_close_the_connection_to_the_upstream() -> None:
    """An answer before its request would be given to the next client."""
    forged = answer(b'{"forged":true}')

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        first = asked.body == BODY
        writer.write(answer() + (forged if first else b""))

    async def split(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer() + (forged[:5] if asked.body == BODY else b""))

    async def main(chosen: object) -> list[bytes]:
        async with staged(chosen) as stage:  # type: ignore[arg-type]
            client = await stage.client()
            out = []
            for body in (BODY, b'{"model":"other"}'):
                client.post(body)
                out.append((await client.answer())[2])
            assert stage.upstream.connections == 2
            return out

    assert asyncio.run(main(script)) == [REPLY, REPLY]
    assert asyncio.run(main(split)) == [REPLY, REPLY]


def test_a_connection_that_was_closed_while_idle_is_made_again_once() -> None:
    async def main() -> tuple[list[int], int]:
        async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(answer())
            await writer.drain()
            closers.append(writer)

        closers: list[asyncio.StreamWriter] = []
        async with staged(script) as stage:
            client = await stage.client()
            client.post()
            statuses = [(await client.answer())[0]]
            # the upstream closes exactly when the next request is on its way
            client.post()
            closers[0].close()
            statuses.append((await client.answer())[0])
            return statuses, stage.upstream.connections

    assert asyncio.run(main()) == ([200, 200], 2)


def test_a_client_that_goes_away_cancels_what_it_asked_for() -> None:
    async def main() -> bool:
        async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM + chunk(b"data: 1\n\n"))
            await writer.drain()
            for _ in range(3000):
                writer.write(chunk(b"data: more\n\n"))
                await writer.drain()
                await asyncio.sleep(0.02)

        async with staged(script) as stage:
            client = await stage.client()
            client.post()
            await client.head()
            client.close()
            async with asyncio.timeout(30):
                await stage.upstream.gone.wait()
            assert stage.app.wire.active == 0
            return True

    assert asyncio.run(main())


def test_each_wait_is_bounded() -> None:
    limits = Limits(
        client_head_s=1, client_body_s=1, client_idle_s=1, upstream_head_s=1,
        upstream_body_s=1,
    )  # fmt: skip

    async def silent(_: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(600)

    async def stuck(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + chunk(b"data: 1\n\n"))
        await asyncio.sleep(600)

    async def drip(client: Client, data: bytes) -> None:
        for byte in data:
            client.send(bytes([byte]))
            await asyncio.sleep(0.05)

    async def main() -> list[bytes]:
        out = []
        async with staged(limits=limits) as stage:
            slow = await stage.client()
            task = asyncio.create_task(drip(slow, b"GET /v1/models HTTP/1.1\r\nHost: a\r\n" * 9))
            out.append((await slow.rest())[:13])
            task.cancel()
            body = await stage.client()
            body.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"
            )
            out.append((await body.rest())[:13])
            idle = await stage.client()
            idle.post()
            await idle.answer()
            out.append(await idle.rest())
        async with staged(silent, limits=limits) as stage:
            out.append(b"%d" % (await stage.ask())[0])
        async with staged(stuck, limits=Limits(upstream_body_s=1)) as stage:
            client = await stage.client()
            client.post()
            text = await client.rest()
            out.append(text[-9:])
        return out

    assert asyncio.run(main()) == [
        b"HTTP/1.1 408 ", b"HTTP/1.1 408 ", b"", b"504", b"ata: 1\n\n\r\n"[-9:],
    ]  # fmt: skip


def test_a_client_that_does_not_read_holds_a_bounded_amount_and_is_given_up() -> None:
    sent = 0

    async def endless(_: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(STREAM)
        for _ in range(4000):
            writer.write(chunk(b"x" * 16_384))
            await writer.drain()
            sent += 16_384

    async def main() -> int:
        async with staged(endless, limits=Limits(client_write_s=0.5)) as stage:
            client = await stage.client(limit=1024)
            client.post()
            async with asyncio.timeout(60):
                await stage.upstream.gone.wait()
            client.close()
            return sent

    # what lies in the buffers of the two sockets and of the proxy, and not the 64 MB
    assert asyncio.run(main()) < 24 << 20


def test_draining_lets_what_is_under_way_end() -> None:
    async def main() -> tuple[bytes, int, bool]:
        go = asyncio.Event()

        async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM + chunk(b"data: 1\n\n"))
            await go.wait()
            writer.write(chunk(b"data: 2\n\n") + b"0\r\n\r\n")

        async with staged(script) as stage:
            idle = await stage.client()
            client = await stage.client()
            client.post()
            await client.head()
            ending = asyncio.create_task(stage.app.stop())
            await asyncio.sleep(0.05)
            closed = await idle.rest() == b""
            go.set()
            async with asyncio.timeout(30):
                text = await client.reader.read()
            return text, await ending, closed

    text, cut, closed = asyncio.run(main())
    assert text.endswith(b"data: 2\n\n\r\n0\r\n\r\n")
    assert (cut, closed) == (0, True)


def test_nothing_is_left_behind() -> None:
    async def main() -> tuple[int, int, int]:
        script = saying(STREAM, chunk(b"data: 1\n\n"), b"0\r\n\r\n")
        async with staged(script) as stage:
            client = await stage.client()

            async def many(count: int) -> int:
                for _ in range(count):
                    client.post()
                    await client.answer()
                stage.upstream.asked.clear()
                gc.collect()
                return len(gc.get_objects())

            first = await many(50)
            second = await many(200)
            return first, second, stage.app.wire.active

    first, second, active = asyncio.run(main())
    assert second - first < 60
    assert active == 0
