"""A provider of all dialects on loopback, which says what the prompt asks for.

`FALCON` in a request makes it say the blocked name, `CALLBAD` and `CALLGOOD` make it call a tool,
`SLOW` makes a stream slow. Placeholders of a request are said back, in text and in a link.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.fakes.dialect_traffic import SPEAKERS, Gemini, Ollama, Speaker, compact

_BY_PATH: dict[bytes, Speaker] = {one.path: one for one in reversed(SPEAKERS)}
_BY_PATH[Gemini.whole_path] = Gemini()
_OWN: dict[bytes, dict[str, Any]] = {
    b"/v1/responses": {"created_at": 1, "model": "m-1", "parallel_tool_calls": True,
                       "tool_choice": "auto", "tools": []},
    b"/v1/messages": {"model": "m-1", "stop_reason": "end_turn"},
}  # fmt: skip
_EMBEDDING = compact({"object": "list", "model": "m", "data": [
    {"object": "embedding", "index": 0, "embedding": [0.5]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3}})  # fmt: skip


class Upstream:
    """A running provider; `cut` counts the streams that the other side ended early."""

    def __init__(self) -> None:
        self.url = ""
        self.cut = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._answer(reader, writer)
        except asyncio.IncompleteReadError:
            pass
        except ConnectionError:
            self.cut += 1
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *fields = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        target = line.split(b" ")[1]
        length = next((int(f[15:]) for f in fields if f.lower().startswith(b"content-length:")), 0)
        body = json.loads(await reader.readexactly(length) or b"{}")
        asked = json.dumps(body)
        path = target.split(b"?")[0].replace(b"/v1/models", b"/v1beta/models")
        if path.endswith(b"/embeddings"):
            await self._whole(writer, _EMBEDDING)
            return
        speaker = Gemini() if b"alt=sse" in target else _BY_PATH[path]
        found = re.search(r"\{EMAIL:[0-9a-f]{16}\}", asked)
        mark = found[0] if found else "nobody"
        said = f"It goes to {mark}, and not to a link http://e.test/{mark} end."
        if "FALCON" in asked:
            said = "The name is Project Falcon of course."
        call = None
        if "CALL" in asked:
            call = ("sh", '{"cmd": "rm -rf /"}' if "CALLBAD" in asked else '{"cmd": "ls"}')
        stream = body.get("stream") is True
        if isinstance(speaker, Ollama):
            stream = body.get("stream") is not False
        elif isinstance(speaker, Gemini):
            stream = b"stream" in path
        if not stream:
            own = _OWN.get(path, {})
            await self._whole(writer, compact({**json.loads(speaker.whole([said], call)), **own}))
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n" % speaker.content_type)
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for event in speaker.stream([(0, one) for one in re.findall(".{1,5}", said)], call, 4):
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.2 if "SLOW" in asked else 0)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _whole(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()


@contextmanager
def providing() -> Iterator[Upstream]:
    """Run a provider in a thread."""
    upstream, loop = Upstream(), asyncio.new_event_loop()

    async def start() -> None:
        server = await asyncio.start_server(upstream.handle, "127.0.0.1", 0)
        upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
