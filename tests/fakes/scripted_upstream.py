"""An upstream that answers as a script says, byte by byte, and what a proxy makes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tavo.proxy.app import App
from tavo.proxy.config import Listen, ProxyConfig, Upstream
from tavo.proxy.sharing import Shared

Script = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]

REPLY = (
    b'{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,'
    b'"completion_tokens":3,"total_tokens":12}}'
)
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


class Asked:
    """One request as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head, self.body = head, body
        lines = head.split(b"\r\n")
        self.line = lines[0]
        self.headers = [tuple(line.split(b": ", 1)) for line in lines[1:] if line]

    def __getitem__(self, name: str) -> bytes | None:
        found = [value for key, value in self.headers if key.lower() == name.encode()]
        return found[0] if found else None


async def until(holds: Callable[[], object]) -> None:
    """Wait until it holds; however busy the machine is, that comes long before the bound."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)


def answer(body: bytes = REPLY, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a whole answer of JSON."""
    more = b"".join(header + b"\r\n" for header in headers)
    return (
        b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\n" + more
        + b"content-length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def saying(*pieces: bytes) -> Script:
    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return script


class ScriptedUpstream:
    """Listens on loopback; `asked` are the requests, `gone` is set when a connection was cut."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.gone = asyncio.Event()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: Any = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(Asked(head, await _body(head, reader)))
                await self.script(self.asked[-1], writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            self.gone.set()
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    low = head.lower()
    if b"transfer-encoding: chunked" in low:
        out = b""
        while size := int(await reader.readline(), 16):
            out += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return out
    for line in low.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line[15:]))
    return b""


class Client:
    """A connection that sends exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        async with asyncio.timeout(60):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Read one answer as its head says."""
        head = await self.head()
        while head.startswith(b"HTTP/1.1 1"):
            head = await self.head()
        lines = head.split(b"\r\n")
        fields = {k.lower(): v for k, _, v in (line.partition(b": ") for line in lines[1:-2])}
        status = int(lines[0].split(b" ")[1])
        async with asyncio.timeout(60):
            if b"content-length" in fields:
                body = await self.reader.readexactly(int(fields[b"content-length"]))
            elif fields.get(b"transfer-encoding") == b"chunked":
                body = await _body(b"transfer-encoding: chunked\r\n", self.reader)
            elif status in (204, 304):
                body = b""
            else:
                body = await self.reader.read()
        return status, fields, body

    async def rest(self) -> bytes:
        """Read until the connection is closed."""
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""

    def post(
        self, body: bytes = BODY, *headers: bytes, path: bytes = b"/v1/chat/completions"
    ) -> None:
        more = b"".join(header + b"\r\n" for header in headers)
        self.send(
            b"POST " + path + b" HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\n"
            + more + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )  # fmt: skip

    def close(self) -> None:
        self.writer.close()


class Stage:
    """A proxy in front of a scripted upstream."""

    def __init__(self, app: App, upstream: ScriptedUpstream) -> None:
        self.app, self.upstream = app, upstream

    async def client(self, limit: int = 1 << 16) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.app.port, limit=limit))

    async def ask(self, *headers: bytes, **options: Any) -> tuple[int, dict[bytes, bytes], bytes]:
        client = await self.client()
        client.post(options.pop("body", BODY), *headers, **options)
        try:
            return await client.answer()
        finally:
            client.close()


@asynccontextmanager
async def staged(
    script: Script | None = None, *, upstream: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None, **config: Any,
) -> AsyncIterator[Stage]:  # fmt: skip
    """Run a proxy in this loop; `config` are sections of its configuration."""
    back = ScriptedUpstream(script or saying(answer()))
    await back.start()
    one = Upstream(url=f"http://127.0.0.1:{back.port}", **(upstream or {}))
    config.setdefault("upstreams", {"back": one})
    config.setdefault("listen", Listen(port=0))
    made = ProxyConfig(proxy=1, **config)
    app = App(made, Shared(), environment=environment or {})
    await app.start()
    try:
        yield Stage(app, back)
    finally:
        await back.stop()
        await app.stop()
