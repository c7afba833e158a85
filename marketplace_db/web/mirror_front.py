"""A mirror on the web: its files for tavo, and the pages of its catalog for people, at one address.

Rules this module keeps:
- files are answered as `marketplace_db.mirror_files` says, to every host name: they are public,
  and verified by whoever reads them; pages answer only for the names of this server;
- nothing is written, and there is no market behind the pages: no account, no form, no search of
  other databases;
- pages show a catalog that was verified; a newer one in the mirror takes its place when it was,
  and one that does not verify leaves the last good one, which is told.

Units: seconds.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

from marketplace_db.errors import MarketplaceError
from marketplace_db.mirror_files import answer, is_file_of_mirror
from marketplace_db.web.server import build_app, hosts_of, run
from marketplace_db.web.wire import App, Receive, Scope, Send, header, send_bytes
from signing.digests import VerifiedFile
from signing.errors import SigningError

__all__ = ["serve_mirror"]

_LOOK_S = 2.0
_PIECE = 256 * 1024
_TEXT = "text/plain; charset=utf-8"


class _Front:
    """The ASGI application: files of the mirror, else pages."""

    def __init__(self, folder: Path, pages: App) -> None:
        self._folder = folder.resolve()
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.pages(scope, receive, send)
            return
        path = scope["path"].lstrip("/")
        if not is_file_of_mirror(path):
            await self.pages(scope, receive, send)
            return
        if scope["method"] not in {"GET", "HEAD"}:
            await send_bytes(send, 405, b"Use GET.\n", _TEXT, {"allow": "GET, HEAD"})
            return
        found = answer(self._folder, path, lambda name: header(scope, name.lower().encode()))
        raw = [(name.lower().encode(), value.encode()) for name, value in found.headers.items()]
        try:
            await send({"type": "http.response.start", "status": found.status, "headers": raw})
            left = found.length if scope["method"] == "GET" and found.handle is not None else 0
            if left and found.handle is not None:
                os.lseek(found.handle, found.start, os.SEEK_SET)
                while left:
                    piece = await asyncio.to_thread(os.read, found.handle, min(_PIECE, left))
                    if not piece:
                        return  # it became shorter: the connection ends, and the client sees it
                    left -= len(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
                return
            await send({"type": "http.response.body", "body": b""})
        finally:
            if found.handle is not None:
                os.close(found.handle)


def serve_mirror(
    folder: Path,
    load: Callable[[], VerifiedFile],
    host: str = "127.0.0.1",
    port: int = 8460,
    *,
    ready: Callable[[str], None] | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> None:
    """Serve a mirror's files and pages until interrupted; `load` verifies its catalog anew.

    `say` is told when a newer catalog is shown, or why it is not. Raises MarketplaceError when the
    address cannot be used, and what `load` raises at first.
    """
    hosts = hosts_of(host)

    def pages() -> tuple[VerifiedFile, App]:
        catalog = load()
        return catalog, build_app(catalog, hosts=hosts).app()

    catalog, first = pages()
    front = _Front(folder, first)
    ended = threading.Event()

    def look_after() -> None:
        shown, seen = catalog, _mark(folder)
        while not ended.wait(_LOOK_S):
            now = _mark(folder)
            if now == seen:
                continue
            seen = now
            try:
                newer, app = pages()
            except (SigningError, MarketplaceError, OSError) as error:
                say(f"The pages show version {shown.version}, as the newer one is refused: {error}")
                continue
            if newer.digest != shown.digest:
                say(f"The pages show catalog version {newer.version}.")
            front.pages, shown = app, newer

    keeper = threading.Thread(target=look_after, name="mirror", daemon=True)
    keeper.start()
    try:
        run(front, host, port, ready=ready)
    finally:
        ended.set()
        keeper.join(_LOOK_S * 2)


def _mark(folder: Path) -> tuple[int, int] | None:
    """Return what changes when the mirror does."""
    try:
        facts = (folder / "metadata" / "timestamp.json").stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ino
