"""The admin port: health, readiness, figures and reload, for the operator of this machine alone.

Rules this module keeps:
- it listens on 127.0.0.1, and answers only requests whose `Host` is that address or `localhost`,
  so that no web page can reach it through a name of its own;
- everything but `/health` and `/ready` wants the token, in `Authorization: Bearer`, never in the
  address; the token is made anew at each start and stands in a file that others cannot read;
- a browser gives it once, in a form, and gets a cookie that opens pages to read and nothing else:
  no script sees it, no other site sends it, and it ends with this process;
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
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec

from tavo.errors import InputError, TavoError
from tavo.proxy.admin_page import POLICY, login_page, overview_page, rows_page
from tavo.proxy.audit_rows import is_id, rows_of
from tavo.proxy.metrics import exposition

__all__ = ["AdminServer", "Fleet"]

_LARGEST = 8 << 10
_WAIT_S = 5.0
_LARGEST_BODY = 1 << 10
_SEARCHED = 256 << 20
_SESSION_S = 12 * 3600.0
_MOST_SESSIONS = 16
_JSON, _TEXT = "application/json", "text/plain; version=0.0.4; charset=utf-8"
_HTML = "text/html; charset=utf-8"


class Fleet(Protocol):
    """What the admin port speaks for: one worker, or several."""

    @property
    def observes(self) -> bool:
        """Tell whether nothing is changed or blocked."""

    async def health(self) -> list[str]:
        """Return the reasons why no requests should come; empty for none."""

    async def snapshot(self) -> tuple[dict[str, Any], int]:
        """Return the figures of all workers, added, and how many there are."""

    async def reload(self) -> list[str]:
        """Build, probe and swap in the configuration; return notes. Raises TavoError."""


class AdminServer:
    """Serves one port of 127.0.0.1."""

    def __init__(self, fleet: Fleet, token_file: Path, *, audit_files: Sequence[Path] = ()) -> None:
        """`audit_files` are where the rows of an exchange are looked up."""
        self._fleet = fleet
        self._audit_files = list(audit_files)
        self._sessions: dict[str, float] = {}
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
                asked = _asked(head)
                if asked is not None and asked.length:
                    asked.body = await reader.readexactly(min(asked.length, _LARGEST_BODY))
            answer = await self._answer(asked)
            policy = POLICY if answer.kind == _HTML else "default-src 'none'"
            more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
            writer.write(
                f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.kind}\r\n"
                f"Content-Length: {len(answer.body)}\r\n{more}"
                "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                "X-Frame-Options: DENY\r\nReferrer-Policy: same-origin\r\n"
                f"Content-Security-Policy: {policy}\r\nConnection: close\r\n\r\n"
                .encode("ascii") + answer.body
            )  # fmt: skip
            async with asyncio.timeout(_WAIT_S):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks that way gets nothing
        finally:
            writer.close()

    async def _answer(self, asked: _Asked | None) -> _Answer:
        if asked is None:
            return _problem(
                "400 Bad Request", "that is no request of HTTP/1.1, or says things twice"
            )
        hosts = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        own = {f"http://{host}" for host in hosts} if asked.route == ("POST", "/login") else ()
        origin = asked.fields.get("origin")
        if asked.fields.get("host") not in hosts or (origin is not None and origin not in own):
            return _problem("403 Forbidden", f"ask for it as http://127.0.0.1:{self.port}")
        pages = {
            ("GET", "/"): self._overview, ("GET", "/audit"): self._rows,
            ("POST", "/login"): self._login,
        }  # fmt: skip
        routes = {
            ("GET", "/health"): self._health, ("GET", "/ready"): self._ready,
            ("GET", "/metrics"): self._metrics, ("GET", "/stats"): self._stats,
            ("POST", "/reload"): self._reload,
        }  # fmt: skip
        page = pages.get(asked.route)
        if page is not None:
            return await page(asked)
        route = routes.get(asked.route)
        if route is None or asked.query:
            ways = ", ".join(f"{m} {p}" for m, p in (*pages, *routes))
            return _problem("404 Not Found", f"there are {ways}")
        if asked.route[1] not in ("/health", "/ready") and not self._has_token(asked):
            return _problem("401 Unauthorized", f"the token stands in {self._token_file}")
        return await route()

    def _has_token(self, asked: _Asked) -> bool:
        return self._is_token(asked.fields.get("authorization", "").removeprefix("Bearer "))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("latin-1", "replace"), self._token.encode("ascii"))

    # -- for programs

    async def _health(self) -> _Answer:
        return _json("200 OK", {"status": "ok", "observe": self._fleet.observes})

    async def _ready(self) -> _Answer:
        reasons = await self._fleet.health()
        if reasons:
            return _json("503 Service Unavailable", {"status": "not ready", "reasons": reasons})
        return _json("200 OK", {"status": "ready"})

    async def _metrics(self) -> _Answer:
        total, workers = await self._fleet.snapshot()
        text = exposition(total, used=total.get("used", {}), workers=workers)
        return _Answer("200 OK", _TEXT, text.encode())

    async def _stats(self) -> _Answer:
        total, workers = await self._fleet.snapshot()
        return _json("200 OK", {**total, "workers": workers})

    async def _reload(self) -> _Answer:
        try:
            notes = await self._fleet.reload()
        except TavoError as error:
            body = {"status": "kept the old configuration", "reason": str(error)}
            return _json("409 Conflict", {**body, "hint": error.hint})
        return _json("200 OK", {"status": "reloaded", "notes": notes})

    # -- for people

    def _may_read(self, asked: _Asked) -> bool:
        now = time.monotonic()
        for part in asked.fields.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._cookie and self._sessions.get(value, 0.0) > now:
                return True
        return False

    @property
    def _cookie(self) -> str:
        return f"tavo_proxy_{self.port}"  # ports of one host share their cookies

    def _ask_for_token(self, *, wrong: bool) -> _Answer:
        page = login_page(token_file=str(self._token_file), wrong=wrong)
        return _Answer("401 Unauthorized", _HTML, page.encode())

    async def _login(self, asked: _Asked) -> _Answer:
        if not self._is_token(_field(asked.body.decode("latin-1"), "token")):
            return self._ask_for_token(wrong=True)
        now = time.monotonic()
        alive = sorted((end, name) for name, end in self._sessions.items() if end > now)
        self._sessions = {name: end for end, name in alive[-_MOST_SESSIONS + 1 :]}
        session = secrets.token_urlsafe(32)
        self._sessions[session] = now + _SESSION_S
        cookie = f"{self._cookie}={session}; Path=/; HttpOnly; SameSite=Strict"
        return _Answer("303 See Other", _HTML, b"", [("Location", "/"), ("Set-Cookie", cookie)])

    async def _overview(self, asked: _Asked) -> _Answer:
        if not self._may_read(asked):
            return self._ask_for_token(wrong=False)
        total, workers = await self._fleet.snapshot()
        page = overview_page(
            total, workers, observes=self._fleet.observes, reasons=await self._fleet.health(),
            now=time.time(), audited=bool(self._audit_files),
        )  # fmt: skip
        return _Answer("200 OK", _HTML, page.encode())

    async def _rows(self, asked: _Asked) -> _Answer:
        """Show the rows of one exchange, as a page or as JSON for who has the token."""
        program = self._has_token(asked)
        if not program and not self._may_read(asked):
            return self._ask_for_token(wrong=False)
        name = _field(asked.query, "id")
        if not is_id(name):
            return _problem("400 Bad Request", "ask for /audit?id= and an x-tavo-request-id")
        files = [path for path in self._audit_files if path.exists()]
        try:
            rows = await asyncio.to_thread(rows_of, name, files, last=_SEARCHED)
        except OSError as error:
            return _problem("500 Internal Server Error", f"{error.filename}: {error.strerror}")
        status = "200 OK" if rows else "404 Not Found"
        searched = ", ".join(map(str, files)) or "an audit log: there is none"
        if program:
            return _json(status, {"id": name, "rows": rows, "searched": searched})
        return _Answer(status, _HTML, rows_page(name, rows, searched).encode())


# -- inside


class _Asked:
    """A request that was read."""

    def __init__(self, route: tuple[str, str], query: str, fields: Mapping[str, str]) -> None:
        self.route, self.query, self.fields = route, query, fields
        self.body = b""
        length = fields.get("content-length", "0")
        self.length = int(length) if length.isdigit() and len(length) < 10 else 0


class _Answer(msgspec.Struct, frozen=True):
    """What is answered."""

    status: str
    kind: str
    body: bytes
    headers: list[tuple[str, str]] = []


def _asked(head: bytes) -> _Asked | None:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        return None
    fields: dict[str, str] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        if not colon or name.lower() in fields or name != name.strip():
            return None
        fields[name.lower()] = value.strip()
    path, _, query = words[1].partition("?")
    return _Asked((words[0], path), query, fields)


def _field(form: str, name: str) -> str:
    """Return a field of a form, empty for none or for a form that is none."""
    try:
        return parse_qs(form, max_num_fields=4).get(name, [""])[0].strip()
    except ValueError:
        return ""


def _json(status: str, value: Mapping[str, Any]) -> _Answer:
    return _Answer(status, _JSON, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _problem(status: str, reason: str) -> _Answer:
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
