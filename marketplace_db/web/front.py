"""The door of a marketplace: what is asked goes to the API, the repository's files or the pages.

Rules this module keeps:
- host names that are not ours are not answered, whatever is asked;
- each request is one line of the log, with the route of the table and never the address, the
  parameters or the token that a client sent;
- files come from the repository's own tree, by names of its own form.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from marketplace_db.errors import MarketplaceError
from marketplace_db.jobs import Jobs
from marketplace_db.web.api.endpoint import Endpoint
from marketplace_db.web.api.openapi import document
from marketplace_db.web.api.problem import PROBLEM_TYPE, ProblemError
from marketplace_db.web.api.routes import JSON
from marketplace_db.web.api.table import BASE
from marketplace_db.web.desk import Desk
from marketplace_db.web.limits import ServiceLimits
from marketplace_db.web.metrics import Metrics
from marketplace_db.web.wire import (
    App,
    Incoming,
    Receive,
    Scope,
    Send,
    drain,
    header,
    matches,
    ours,
    read_body,
    send_bytes,
    send_file,
)
from signing.digests import Digest
from signing.roles import format_time

__all__ = ["Front"]

_log = logging.getLogger("marketplace_db.requests")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
_TREE = re.compile(
    rf"mirror\.json|metadata/{_NAME}\.json|targets/(?:{_NAME}/){{0,3}}{_NAME}"
    r"|blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})"
)
_LARGEST_FORM = 16 * 1024
_TEXT = "text/plain; charset=utf-8"
_FOREVER = "public, max-age=31536000, immutable"


class Front:
    """The ASGI application around the pages. `worker` tells how the workers are."""

    def __init__(
        self,
        pages: App,
        desk: Desk,
        limits: ServiceLimits,
        *,
        hosts: frozenset[str],
        version: str,
        worker: Callable[[], str] = lambda: "off",
    ) -> None:
        self.pages = pages  # another one for each catalog
        self.desk = desk
        self.limits = limits
        self.hosts = hosts
        self.metrics = Metrics()
        self.endpoint = Endpoint(desk, limits)
        self._worker = worker
        self._document = msgspec.json.encode(document(version))
        self._document_etag = f'"{Digest.of(self._document).hex[:32]}"'

    def close(self) -> None:
        """Finish what is being done, write what was counted, and close the databases."""
        self.endpoint.close()
        self.desk.flush()
        self.desk.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        began = time.monotonic()
        incoming = Incoming(receive)
        sent = {"status": 0, "bytes": 0}

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                sent["status"] = message["status"]
            else:
                sent["bytes"] += len(message.get("body", b""))
            await send(message)

        route = "pages"
        try:
            route = await self._route(scope, incoming, counted)
        finally:
            seconds = time.monotonic() - began
            self.metrics.count(route, scope["method"][:8], sent["status"], seconds)
            _log.info(
                "request",
                extra={"fields": {
                    "method": scope["method"][:8], "route": route, "status": sent["status"],
                    "bytes": sent["bytes"], "ms": round(seconds * 1000, 2),
                }},
            )  # fmt: skip

    @staticmethod
    async def _live(receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    async def _route(self, scope: Scope, receive: Incoming, send: Send) -> str:
        path: str = scope["path"]
        if not ours(scope, self.hosts):
            text = b"This server does not answer for that host name.\n"
            await send_bytes(send, 421, text, _TEXT)
            return "foreign host"
        if path == f"{BASE}/openapi.json":
            await self._described(scope, receive, send)
            return path
        if path.startswith("/api/"):
            return await self.endpoint(scope, receive, send)
        if path.startswith("/repository/"):
            await self._file(scope, path.removeprefix("/repository/"), send)
            return "/repository/{file}"
        if path == "/healthz":
            await self._health(scope, send)
            return path
        if path == "/metrics":
            await self._metrics(scope, send)
            return path
        return await self._page(scope, receive, send)

    async def _page(self, scope: Scope, receive: Incoming, send: Send) -> str:
        """Hand a request to the pages, with its whole body, which is short."""
        post = scope["method"] == "POST"
        if wait := self.endpoint.wait_of(scope, "write" if post else "read"):
            headers = {"retry-after": str(wait)}
            await send_bytes(send, 429, b"Too many requests. Come back later.\n", _TEXT, headers)
            return "pages"
        try:
            body = await read_body(receive, _LARGEST_FORM)
        except ProblemError as problem:
            await send_bytes(send, problem.status, f"{problem}\n".encode(), _TEXT)
            return "pages"
        sent = False

        async def again() -> Any:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.pages(scope, again, send)
        return "pages"

    async def _described(self, scope: Scope, receive: Incoming, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await drain(receive)
            problem = ProblemError(405, "use GET or HEAD")
            body = msgspec.json.encode(problem.document)
            await send_bytes(send, 405, body, PROBLEM_TYPE, {"allow": "GET, HEAD"})
            return
        headers = {"etag": self._document_etag, "cache-control": "public, no-cache"}
        if matches(header(scope, b"if-none-match"), self._document_etag):
            await send_bytes(send, 304, b"", "", headers)
            return
        head = scope["method"] == "HEAD"
        await send_bytes(send, 200, self._document, JSON, headers, head=head)

    async def _file(self, scope: Scope, name: str, send: Send) -> None:
        """Send a file of the repository, as any web server would."""
        found = _TREE.fullmatch(name)
        if scope["method"] not in {"GET", "HEAD"}:
            await send_bytes(send, 405, b"Use GET.\n", _TEXT, {"allow": "GET, HEAD"})
            return
        path = self.desk.repository / Path(*name.split("/")) if found else None
        if path is None or not path.is_file():
            await send_bytes(send, 404, b"There is nothing here.\n", _TEXT)
            return
        status = path.stat()
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        moves = name == "mirror.json" or re.fullmatch(r"metadata/[a-z]+\.json", name)
        headers = {"etag": etag, "cache-control": "no-cache" if moves else _FOREVER}
        if matches(header(scope, b"if-none-match"), etag):
            await send_bytes(send, 304, b"", "", headers)
            return
        head = scope["method"] == "HEAD"
        if found and found[1] and not head:
            self.desk.count_download(Digest(found[1]))
        kind = JSON if name.endswith(".json") else "application/octet-stream"
        await send_file(send, path, kind, headers, head=head)

    async def _health(self, scope: Scope, send: Send) -> None:
        """Say whether this server can do its work, for whoever watches it."""
        verified = self.desk.edition.verified
        late = verified.expires <= self.desk.clock()
        problem = "the catalog has expired" if late else ""
        if self.desk.problem:
            problem = "the newest release does not verify"
        worker = self._worker()
        value = {
            "status": "degraded" if problem or worker == "down" else "ok",
            "problem": problem,
            "catalog": verified.digest.hex,
            "version": verified.version,
            "expires": format_time(verified.expires),
            "worker": worker,
        }
        headers = {"cache-control": "no-store"}
        head = scope["method"] == "HEAD"
        data = json.dumps(value).encode()
        await send_bytes(send, 200, data, JSON, headers, head=head)

    async def _metrics(self, scope: Scope, send: Send) -> None:
        if not self.limits.open_metrics and not await self.endpoint.operator(scope):
            text = b"This needs a token with the scope operate.\n"
            headers = {"www-authenticate": 'Bearer realm="tavo marketplace"'}
            await send_bytes(send, 401, text, _TEXT, headers)
            return
        text = self.metrics.text(await self.endpoint.ask(self._gauges)).encode()
        await send_bytes(send, 200, text, "text/plain; version=0.0.4; charset=utf-8",
                         {"cache-control": "no-store"})  # fmt: skip

    def _gauges(self) -> dict[str, tuple[str, float]]:
        verified = self.desk.edition.verified
        left = (verified.expires - self.desk.clock()).total_seconds()
        found = {
            "tavo_catalog_expires_seconds": ("How long the catalog is valid.", left),
            "tavo_catalog_version": ("Version of the catalog's metadata.", verified.version),
            "tavo_plugins": ("Plugins in the catalog.", len(self.desk.edition.shelf.items)),
            "tavo_worker_up": ("Whether workers run.", float(self._worker() == "up")),
            "tavo_release_refused": (
                "Whether the newest release does not verify.", float(bool(self.desk.problem)),
            ),
        }  # fmt: skip
        try:
            market = self.desk.market()
            for state, count in Jobs(market.connection).counts().items():
                found[f"tavo_jobs_{state}"] = (f"Jobs that are {state}.", count)
            for state, count in self.desk.executions().counts().items():
                found[f"tavo_executions_{state}"] = (f"Runs that are {state}.", count)
            found["tavo_submissions_waiting"] = (
                "Submissions that wait for reviewers.", market.open_submissions(),
            )  # fmt: skip
        except MarketplaceError as error:
            logging.getLogger(__name__).warning("metrics lack the queue: %s", error)
        return {name: (text, float(value)) for name, (text, value) in found.items()}
