"""The admin port: health, readiness, figures and reload, for the operator of this machine alone.

Rules this module keeps:
- it listens on 127.0.0.1, and answers only requests whose `Host` is that address or `localhost`,
  so that no web page can reach it through a name of its own;
- everything but `/health` and `/ready` wants the token, in `Authorization: Bearer`, never in the
  address; the token is made anew at each start and stands in a file that others cannot read;
- a reload reads the file that was given at the start; a request cannot name another, nor send one;
- one request for each connection.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tavo.errors import InputError, TavoError
from tavo.proxy.metrics import exposition

__all__ = ["AdminServer", "Fleet"]

_LARGEST = 8 << 10
_WAIT_S = 5.0
_JSON, _TEXT = "application/json", "text/plain; version=0.0.4; charset=utf-8"


class Fleet(Protocol):
    """What the admin port speaks for: one worker, or several."""

    async def health(self) -> list[str]:
        """Return the reasons why no requests should come; empty for none."""

    async def snapshot(self) -> tuple[dict[str, Any], int]:
        """Return the figures of all workers, added, and how many there are."""

    async def reload(self) -> list[str]:
        """Build, probe and swap in the configuration; return notes. Raises TavoError."""


class AdminServer:
    """Serves one port of 127.0.0.1."""

    def __init__(self, fleet: Fleet, token_file: Path) -> None:
        self._fleet = fleet
        self._token_file = token_file
        self._token = secrets.token_urlsafe(32)
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int) -> None:
        """Write the token, then listen. Raises InputError."""
        _write_private(self._token_file, self._token)
        try:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", port, limit=_LARGEST
            )
        except OSError as error:
            raise InputError(
                f"127.0.0.1:{port}: the admin port cannot be opened: {error.strerror or error}",
                hint="Choose another one with admin.port, or 0 for any.",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and take the token away."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(OSError):
            self._token_file.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_WAIT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status, kind, body = await self._answer(head)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                "Content-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n"
                .encode("ascii") + body
            )  # fmt: skip
            async with asyncio.timeout(_WAIT_S):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks that way gets nothing
        finally:
            writer.close()

    async def _answer(self, head: bytes) -> tuple[str, str, bytes]:
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            return _problem("400 Bad Request", "that is no request of HTTP/1.1")
        method, path = words[0], words[1]
        fields: dict[str, str] = {}
        for line in lines[1:-2]:
            name, colon, value = line.partition(":")
            if not colon or name.lower() in fields or name != name.strip():
                return _problem("400 Bad Request", "a header is malformed or stands there twice")
            fields[name.lower()] = value.strip()
        hosts = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        if fields.get("host") not in hosts or "origin" in fields:
            return _problem("403 Forbidden", f"ask for it as http://127.0.0.1:{self.port}")
        routes = {
            ("GET", "/health"): self._health, ("GET", "/ready"): self._ready,
            ("GET", "/metrics"): self._metrics, ("GET", "/stats"): self._stats,
            ("POST", "/reload"): self._reload,
        }  # fmt: skip
        route = routes.get((method, path))
        if route is None:
            ways = ", ".join(f"{m} {p}" for m, p in routes)
            return _problem("404 Not Found", f"there are {ways}")
        if path not in ("/health", "/ready"):
            given = fields.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode("latin-1"), self._token.encode("ascii")):
                return _problem("401 Unauthorized", f"the token stands in {self._token_file}")
        return await route()

    async def _health(self) -> tuple[str, str, bytes]:
        return _json("200 OK", {"status": "ok"})

    async def _ready(self) -> tuple[str, str, bytes]:
        reasons = await self._fleet.health()
        if reasons:
            return _json("503 Service Unavailable", {"status": "not ready", "reasons": reasons})
        return _json("200 OK", {"status": "ready"})

    async def _metrics(self) -> tuple[str, str, bytes]:
        total, workers = await self._fleet.snapshot()
        text = exposition(total, used=total.get("used", {}), workers=workers)
        return "200 OK", _TEXT, text.encode()

    async def _stats(self) -> tuple[str, str, bytes]:
        total, workers = await self._fleet.snapshot()
        return _json("200 OK", {**total, "workers": workers})

    async def _reload(self) -> tuple[str, str, bytes]:
        try:
            notes = await self._fleet.reload()
        except TavoError as error:
            body = {"status": "kept the old configuration", "reason": str(error)}
            return _json("409 Conflict", {**body, "hint": error.hint})
        return _json("200 OK", {"status": "reloaded", "notes": notes})


# -- inside


def _json(status: str, value: Mapping[str, Any]) -> tuple[str, str, bytes]:
    return status, _JSON, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _problem(status: str, reason: str) -> tuple[str, str, bytes]:
    return _json(status, {"status": status, "reason": reason})


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read. Raises InputError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        with os.fdopen(os.open(new, flags, 0o600), "w", encoding="ascii") as stream:
            stream.write(text + "\n")
        new.replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: the token of the admin port cannot be written: {error.strerror or error}",
            hint="Name another file with admin.token_file.",
        ) from error
