"""Any bytes in any pieces, from both sides: one reading of each request, and never a defect."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path
from typing import Any

from tavo.proxy.app import App
from tavo.proxy.config import Listen, ProxyConfig, Upstream
from tavo.proxy.http.client import ClientConnection
from tavo.proxy.http.upstream import UpstreamConnection
from tavo.proxy.sharing import Shared
from tests.fakes.scripted_upstream import BODY, STREAM, answer, chunk

ATTACKS = Path(__file__).parents[1] / "attacks" / "http"
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nContent-Length: %d\r\n\r\n%b"
)
ANSWERS = (
    answer(),
    STREAM + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + b"0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 103 Early\r\n\r\n" + answer(b"{}"),
)


class Wire:
    """A transport that keeps what is written, and closes when it is told to."""

    def __init__(self, protocol: Any) -> None:
        self.protocol, self.data, self.closed, self.ended = protocol, b"", False, False

    def write(self, data: bytes) -> None:
        assert not self.ended, "bytes behind the end"
        if not self.closed:
            self.data += data

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    close = abort

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def get_extra_info(self, _: str) -> None:
        """There is no socket."""

    def set_write_buffer_limits(self, **_: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def gone(self) -> None:
        self.closed = True
        self.protocol.connection_lost(None)


class Bench:
    """A client and an upstream without sockets."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.pool = app._pools["back"]
        self.client = ClientConnection(app.wire)
        self.to_client = Wire(self.client)
        self.client.connection_made(self.to_client)  # type: ignore[arg-type]
        self.up = UpstreamConnection(self.pool)
        self.to_upstream = Wire(self.up)
        self.up.connection_made(self.to_upstream)  # type: ignore[arg-type]
        self.up.keep_until = 1e18
        self.pool.put(self.up)

    def feed(self, protocol: Any, data: bytes, cuts: list[int]) -> None:
        transport = self.to_client if protocol is self.client else self.to_upstream
        edges = [0, *sorted(cuts), len(data)]
        for start, end in itertools.pairwise(edges):
            if end > start and not transport.closed:
                protocol.data_received(data[start:end])

    def end(self) -> None:
        self.to_client.gone()
        if self.up.transport is not None:
            self.to_upstream.gone()


def answers_in(data: bytes) -> list[tuple[bytes, bytes]]:
    """Status and body of each answer, however it was put in chunks."""
    out = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        body = b""
        if b"transfer-encoding: chunked" in head:
            size = -1
            while size:
                line, _, data = data.partition(b"\r\n")
                size = int(line, 16)
                body, data = body + data[:size], data[size + 2 :]
        elif b"content-length: " in head:
            size = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            body, data = data[:size], data[size:]
        out.append((head.split(b"\r\n")[0], body))
    return out


async def app_of() -> App:
    one = Upstream(url="http://127.0.0.1:9")
    app = App(
        ProxyConfig(proxy=1, upstreams={"back": one}, listen=Listen(port=0)), Shared(),
        environment={},
    )  # fmt: skip
    await app.start()
    return app


def test_it_does_not_matter_where_bytes_are_cut() -> None:
    async def main() -> None:
        app = await app_of()
        dice = random.Random(1)
        for _ in range(400):
            body = BODY + b" " * dice.randrange(20)
            request = REQUEST % (len(body), body)
            reply = dice.choice(ANSWERS)
            seen = []
            for pieces in (0, dice.randrange(1, 9), dice.randrange(1, 40)):
                bench = Bench(app)
                for _ in range(2):  # the second head is known
                    cuts = [dice.randrange(len(request)) for _ in range(pieces)]
                    bench.feed(bench.client, request, cuts)
                    cuts = [dice.randrange(len(reply)) for _ in range(pieces)]
                    bench.feed(bench.up, reply, cuts)
                sent = bench.to_upstream.data
                seen.append((sent, answers_in(bench.to_client.data)))
                bench.end()
            assert seen[0] == seen[1] == seen[2]
        assert app.wire.defects == 0
        assert app.wire.active == 0
        await app.stop()

    asyncio.run(main())


def mutated(data: bytes, dice: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(out))
        match dice.randrange(4):
            case 0:
                out[at] = dice.randrange(256)
            case 1:
                del out[at : at + dice.randrange(1, 12)]
            case 2:
                out[at:at] = dice.choice(
                    [b"\r\n", b"\n", b" ", b"\x00", b"0\r\n\r\n", b"Host: b\r\n"]
                )
            case _:
                out[at:at] = out[max(0, at - dice.randrange(1, 40)) : at]
        if not out:
            return b"x"
    return bytes(out)


def test_no_bytes_are_a_defect_or_leave_anything_behind() -> None:
    async def main() -> None:
        app = await app_of()
        dice = random.Random(2)
        seeds = [file.read_bytes() for file in sorted(ATTACKS.rglob("*.http"))]
        seeds += [REQUEST % (len(BODY), BODY)] * 40
        for _ in range(4000):
            bench = Bench(app)
            data = mutated(dice.choice(seeds), dice)
            bench.feed(bench.client, data, [dice.randrange(len(data))])
            if bench.to_upstream.data:
                reply = mutated(dice.choice(ANSWERS), dice)
                bench.feed(bench.up, reply, [dice.randrange(len(reply))])
            bench.end()
            assert app.wire.active == 0, data
            assert app.wire.buffered == 0, data
        assert app.wire.defects == 0
        assert app.wire.clients == set()
        await app.stop()

    asyncio.run(main())
