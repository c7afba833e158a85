"""Reads of plain connections: what is not bytes stays asyncio's, and an error is no end."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from tavo.proxy.http.reads import Reads
from tavo.proxy.http.upstream import UpstreamConnection
from tests.fakes.scripted_upstream import Asked, Script, staged

UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n"


def _ending(*, reset: bool) -> Script:
    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(UNTIL_CLOSED)
        await asyncio.sleep(0.2)  # a reset takes along what was not read yet
        if reset:
            its = writer.get_extra_info("socket")
            its.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()

    return script


def _got(*, reset: bool) -> bytes:
    async def main() -> bytes:
        async with staged(_ending(reset=reset)) as stage:
            client = await stage.client()
            client.post()
            data = b""
            while piece := await asyncio.wait_for(client.reader.read(1 << 16), 60):
                data += piece
                if data.endswith(b"0\r\n\r\n"):
                    break
            return data

    return asyncio.run(main())


def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    assert _got(reset=False).endswith(b"data: {}\n\n\r\n0\r\n\r\n")


def test_an_answer_whose_connection_was_reset_is_not() -> None:
    try:
        got = _got(reset=True)
    except ConnectionResetError:  # the client sees the cut, too
        return
    assert got
    assert not got.endswith(b"0\r\n\r\n")


def test_without_the_error_it_would_be_taken_for_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what the read has met is forgotten."""
    forgotten = property(lambda _: None, lambda _, __: None)
    monkeypatch.setattr(UpstreamConnection, "failed", forgotten)
    assert _got(reset=True).endswith(b"0\r\n\r\n")


def test_a_large_body_and_a_slow_client_are_read_and_waited_for() -> None:
    size = 3 << 20

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
        await writer.drain()

    async def main() -> tuple[bytes, int]:
        async with staged(script, unknown_paths="pass") as stage:
            client = await stage.client(limit=1 << 14)
            client.post(b"y" * size, path=b"/files")
            await asyncio.sleep(0.3)
            _, _, body = await client.answer()
            return body, len(stage.upstream.asked[0].body)

    assert asyncio.run(main()) == (b"x" * size, size)


def test_another_loop_and_a_line_without_a_socket_stay_as_they_are() -> None:
    class Line:
        transport = asyncio.Transport()
        failed: OSError | None = None

        def data_received(self, data: bytes) -> None: ...

    async def main() -> int:
        reads = Reads(asyncio.get_running_loop())
        number = reads.take(Line())
        reads.forget(number)
        reads.close()
        reads.close()
        return number

    assert asyncio.run(main()) == -1
