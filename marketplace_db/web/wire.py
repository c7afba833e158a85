"""The plain side of HTTP for our own routes: headers in, bounded bodies in, answers and files out.

Rules this module keeps:
- a body is bounded while it comes in, whatever its headers promise, and so is the time it takes;
- a header that was sent twice is none where two would be a matter of opinion;
- what was cached by a client is asked for by its ETag, and 304 is sent without a body.

Units: bytes, seconds.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from marketplace_db.web.api.problem import ProblemError

__all__ = [
    "COMMON_HEADERS", "App", "Incoming", "Receive", "Scope", "Send", "drain", "header", "matches",
    "ours", "read_body", "read_into", "send_bytes", "send_file",
]  # fmt: skip

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COMMON_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_IDLE_S = 30.0
_LONGEST_S = 600.0
_DRAINED = 256 * 1024
_PIECE = 256 * 1024


def header(scope: Scope, name: bytes) -> str:
    """Return a header that was sent once, empty for one that was not."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def ours(scope: Scope, hosts: frozenset[str]) -> bool:
    """Tell whether a request names a host that this server answers for; no hosts means all."""
    if not hosts:
        return True
    named = [value for name, value in scope["headers"] if name == b"host"]
    host = named[0].decode("latin-1").lower() if len(named) == 1 else ""
    bare = host if host.endswith("]") else host.rpartition(":")[0] or host
    return bare in hosts


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether a client has the answer with this ETag already (RFC 9110, section 13.1.2)."""
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return if_none_match.strip() == "*" or etag in known


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return a body. Raises ProblemError 413 for one that is larger, 400 for one cut off."""
    return b"".join([part async for part in _parts(receive, limit)])


async def read_into(receive: Receive, limit: int, folder: Path) -> Path:
    """Write a request's body into a file in a new folder of this one, and return it.

    Whoever is done with it deletes that folder. Raises ProblemError; then it is gone.
    """
    own = Path(tempfile.mkdtemp(dir=folder, prefix="upload-"))
    path = own / "submission"  # as messages name it
    try:
        with path.open("wb") as stream:
            async for part in _parts(receive, limit):
                stream.write(part)
    except BaseException:
        shutil.rmtree(own, ignore_errors=True)
        raise
    return path


class Incoming:
    """The messages of a request, as `receive` gives them; `ended` once the body is complete."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self.ended = self.ended or not message.get("more_body", False)
        return message


async def drain(receive: Incoming) -> None:
    """Read what is left of a short body, so that the answer is heard by who still sends."""
    if receive.ended:
        return
    try:
        async with asyncio.timeout(2):
            async for _ in _parts(receive, _DRAINED):
                pass
    except (ProblemError, TimeoutError):
        pass


async def _parts(receive: Receive, limit: int) -> Any:
    size, more = 0, True
    try:
        async with asyncio.timeout(_LONGEST_S):
            while more:
                message = await asyncio.wait_for(receive(), _IDLE_S)
                if message["type"] != "http.request":
                    raise ProblemError(400, "the body was cut off")
                part = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                if size > limit:
                    raise ProblemError(
                        413,
                        f"the body is larger than {limit} bytes",
                        headers={"connection": "close"},
                    )
                if part:
                    yield part
    except TimeoutError:
        raise ProblemError(
            400, "the body came too slowly", headers={"connection": "close"}
        ) from None


async def send_bytes(
    send: Send,
    status: int,
    body: bytes,
    content_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    head: bool = False,
) -> None:
    """Send a whole answer."""
    await _start(send, status, len(body), content_type, headers or {})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def send_file(
    send: Send,
    file: Path,
    content_type: str,
    headers: Mapping[str, str],
    *,
    head: bool = False,
) -> None:
    """Send a file piece by piece. Raises OSError before anything was sent."""
    with file.open("rb") as stream:
        length = file.stat().st_size
        await _start(send, 200, length, content_type, headers)
        left = 0 if head else length
        while left > 0:
            piece = await asyncio.to_thread(stream.read, min(_PIECE, left))
            if not piece:
                return  # it became shorter: the connection ends, and the client sees it
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        if head or not length:
            await send({"type": "http.response.body", "body": b""})


async def _start(
    send: Send, status: int, length: int, content_type: str, headers: Mapping[str, str]
) -> None:
    raw: list[tuple[bytes, bytes]] = [*COMMON_HEADERS]
    if content_type:
        raw.append((b"content-type", content_type.encode()))
    if status != 304:
        raw.append((b"content-length", str(length).encode()))
    raw += _encoded(headers.items())
    await send({"type": "http.response.start", "status": status, "headers": raw})


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
