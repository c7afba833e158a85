"""Reads of plain connections: what is not bytes stays asyncio's, and an error is no end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from asyncio import selector_events
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tavo.proxy.http.reads import Reads, send
from tavo.proxy.http.upstream import UpstreamConnection
from tests.fakes.scripted_upstream import Asked, Script, staged

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no epoll")

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


class Line(asyncio.Protocol):
    """A connection that is read and written as the proxy's are."""

    transport: asyncio.Transport
    failed: OSError | None = None
    number = -1
    behind = False

    def __init__(self, reads: Reads, *, at_once: bool = False) -> None:
        self.reads, self.at_once = reads, at_once
        self.data = b""
        self.is_lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.at_once:
            self.reads._begin(self)
        else:
            self.reads.take(self)

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, error: Exception | None) -> None:
        self.reads.forget(self)
        self.is_lost.set_result(None)


@contextlib.asynccontextmanager
async def lined(**more: bool) -> AsyncIterator[tuple[Line, socket.socket]]:
    """Yield a connection that was taken, and its other end."""
    loop = asyncio.get_running_loop()
    reads = Reads(loop)
    ours, theirs = socket.socketpair()
    _, line = await loop.create_connection(lambda: Line(reads, **more), sock=ours)
    await asyncio.sleep(0.01)
    try:
        yield line, theirs
    finally:
        line.transport.abort()
        theirs.close()
        await line.is_lost
        reads.close()
        reads.close()


def test_a_line_without_a_socket_stays_as_it_is() -> None:
    async def main() -> int:
        reads = Reads(asyncio.get_running_loop())
        line = Line(reads)
        line.connection_made(asyncio.Transport())
        await asyncio.sleep(0)
        reads.forget(line)
        reads.close()
        return line.number

    assert asyncio.run(main()) == -1


def _older(transport: Any, number: int, callback: Any, *args: Any) -> None:
    """Begin to read as CPython 3.11.2 does."""
    if not transport._closing:
        transport._loop._add_reader(number, callback, *args)


@linux
@pytest.mark.parametrize("at_once", [False, True])
def test_asyncio_does_not_read_beside_us(at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control is what was done at first: it was taken when it was made."""
    monkeypatch.setattr(selector_events._SelectorTransport, "_add_reader", _older)

    async def main() -> tuple[bool, bytes]:
        async with lined(at_once=at_once) as (line, theirs):
            line.reads.pause(line, True)
            theirs.send(b"while it pauses")
            await asyncio.sleep(0.05)
            paused = line.data
            selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
            return line.number in selector.get_map(), paused

    assert asyncio.run(main()) == ((True, b"while it pauses") if at_once else (False, b""))


@linux
def test_what_is_paused_before_it_is_taken_stays_paused() -> None:
    async def main() -> tuple[bytes, bytes]:
        loop = asyncio.get_running_loop()
        reads = Reads(loop)
        ours, theirs = socket.socketpair()
        _, line = await loop.create_connection(lambda: Line(reads), sock=ours)
        reads.forget(line)
        line.number = -1
        reads.pause(line, True)
        reads._begin(line)
        theirs.send(b"early")
        await asyncio.sleep(0.05)
        paused = line.data
        reads.pause(line, False)
        await asyncio.sleep(0.05)
        line.transport.abort()
        theirs.close()
        return paused, line.data

    assert asyncio.run(main()) == (b"", b"early")


@linux
def test_what_is_sent_arrives_in_its_order_however_much_waits() -> None:
    pieces = [
        bytes([number % 251]) * size for number, size in enumerate([10, 1 << 20, 5, 300_000, 0, 7])
    ]

    async def main() -> bytes:
        got = b""
        async with lined() as (line, theirs):
            theirs.setblocking(False)
            for piece in pieces:
                send(line, piece)
            while len(got) < sum(map(len, pieces)):
                got += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
        return got

    assert asyncio.run(main()) == b"".join(pieces)


@linux
@pytest.mark.parametrize("looks", [True, False])
def test_nothing_overtakes_what_waits(looks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control does not ask whether something waits."""
    if not looks:
        monkeypatch.setattr("tavo.proxy.http.reads._is_behind", lambda _: False)
    first = b"a" * (8 << 20)

    async def main() -> bytes:
        got = b""
        async with lined() as (line, theirs):
            send(line, first)
            theirs.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    got += theirs.recv(1 << 20)  # there is room again, and asyncio does not know it
            send(line, b"b")
            while len(got) <= len(first):
                got += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
        return got

    assert (asyncio.run(main()) == first + b"b") is looks


@linux
@pytest.mark.parametrize("way", ["end", "cut"])
def test_a_connection_that_is_closed_is_neither_read_nor_written(way: str) -> None:
    async def main() -> tuple[bytes, bytes, int]:
        async with lined() as (line, theirs):
            theirs.send(b"too late")
            getattr(line.reads, way)(line)
            send(line, b"for nobody")
            await line.is_lost
            theirs.setblocking(False)
            got = b""
            with contextlib.suppress(ConnectionResetError):  # for what nobody has read
                got = theirs.recv(100)
            return line.data, got, line.number

    assert asyncio.run(main()) == (b"", b"", -1)


class Pair(Line):
    """Does something to another connection when it gets bytes, and answers what it is told."""

    def __init__(self, reads: Reads, does: Callable[[Line], None]) -> None:
        super().__init__(reads)
        self.does = does

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.does(self)


async def turned(*deeds: Callable[[Line], None]) -> tuple[list[Line], list[bytes]]:
    """Have connections get bytes in one turn; return them, and what their other ends got."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    reads = Reads(loop)
    lines: list[Line] = []
    ends: list[socket.socket] = []
    for does in deeds:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)

        def made(does: Callable[[Line], None] = does) -> Line:
            return Pair(reads, does)

        _, line = await loop.create_connection(made, sock=ours)
        lines.append(line)
        ends.append(theirs)
    await asyncio.sleep(0.01)
    for theirs in ends:
        theirs.send(b"asked")
    for _ in range(5):
        await asyncio.sleep(0.01)
    got = []
    for theirs in ends:
        try:
            got.append(theirs.recv(1000))
        except OSError:
            got.append(b"")
        theirs.close()
    for line in lines:
        line.transport.abort()
        await line.is_lost
    reads.close()
    return lines, got


def _answers(line: Line) -> None:
    send(line, b"answered")


def _answers_and_ends(line: Line) -> None:
    send(line, b"answered")
    line.reads.end(line)


def _fails(line: Line) -> None:
    raise RuntimeError("a defect")


@linux
def test_all_that_is_ready_is_judged_and_answered_in_one_turn() -> None:
    lines, got = asyncio.run(turned(_answers, _answers_and_ends, _answers))
    assert [line.data for line in lines] == [b"asked"] * 3
    assert got == [b"answered"] * 3


@linux
@pytest.mark.parametrize("fails", [False, True])
def test_what_is_last_in_a_turn_comes_before_what_is_written(fails: bool) -> None:
    """As an audit log needs it: a row, then what the row is about. A defect stops no other."""
    seen: list[tuple[int, int]] = []

    def at_the_end(line: Line) -> None:
        gathered = line.reads.gathered
        assert gathered is not None
        seen.append((len(gathered), len(seen)))
        send(line, b"later")
        if fails:
            raise RuntimeError("a defect")

    def asks(line: Line) -> None:
        send(line, b"answered ")
        line.reads.soon(lambda: at_the_end(line))

    _, got = asyncio.run(turned(asks, asks))
    assert seen == [(2, 0), (3, 1)]  # nothing was written yet
    assert got == [b"answered later"] * 2


def test_outside_of_a_turn_it_comes_soon() -> None:
    async def main() -> list[int]:
        seen: list[int] = []
        reads = Reads(asyncio.get_running_loop())
        reads.soon(lambda: seen.append(1))
        assert not seen
        await asyncio.sleep(0)
        reads.close()
        return seen

    assert asyncio.run(main()) == [1]


def _ended_at_once(reads: Reads, line: Line) -> None:
    reads.forget(line)
    line.transport.close()


@linux
@pytest.mark.parametrize("writes", [True, False])
def test_what_was_gathered_is_written_before_the_end(
    writes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control ends without writing first."""
    if not writes:
        monkeypatch.setattr(Reads, "end", _ended_at_once)
    _, got = asyncio.run(turned(_answers, _answers_and_ends))
    assert got == [b"answered", b"answered" if writes else b""]


@linux
def test_a_defect_takes_nothing_from_what_else_was_read() -> None:
    lines, got = asyncio.run(turned(_answers, _fails, _answers))
    assert [line.data for line in lines] == [b"asked"] * 3
    assert got == [b"answered", b"", b"answered"]


def _cuts_all_others(line: Line) -> None:
    for other in list(line.reads._readers.values()):
        if other is not line:
            line.reads.cut(other)


@linux
@pytest.mark.parametrize("forgets", [True, False])
def test_what_was_read_of_a_connection_that_was_ended_is_for_nobody(
    forgets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control does not say that they are ended."""
    if not forgets:
        monkeypatch.setattr(Reads, "cut", lambda _, line: line.transport.abort())
    lines, _ = asyncio.run(turned(*[_cuts_all_others] * 3))
    assert [line.data for line in lines].count(b"asked") == (1 if forgets else 3)


@linux
@pytest.mark.parametrize("forgets", [True, False])
def test_nothing_is_written_to_who_has_the_number_of_a_closed_socket(forgets: bool) -> None:
    """The control does not forget the number, nor that the connection was closed."""

    async def main() -> bytes:
        async with lined() as (line, _):
            number = line.number
            line.transport.abort()
            await line.is_lost
            await asyncio.sleep(0.01)
            other, its = socket.socketpair()
            taken = socket.socket(fileno=os.dup2(other.detach(), number))
            if not forgets:
                line.number = number
                line.transport = _Open()
            send(line, b"for the first")
            its.setblocking(False)
            try:
                return its.recv(100)
            except BlockingIOError:
                return b""
            finally:
                taken.close()
                its.close()
                line.transport = _Open()

    assert asyncio.run(main()) == (b"" if forgets else b"for the first")


class _Open(asyncio.Transport):
    """Says that it is open, whatever has become of it."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


@linux
def test_who_has_gone_is_no_error_of_the_writer() -> None:
    async def main() -> bool:
        async with lined() as (line, theirs):
            line.reads.pause(line, True)
            theirs.close()
            send(line, b"x")  # the first may still be taken by the system
            send(line, b"y")
            await asyncio.wait_for(line.is_lost, 30)
            return line.transport.is_closing()

    assert asyncio.run(main())
