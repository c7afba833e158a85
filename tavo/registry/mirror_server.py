"""A small web server for a mirror's files: it answers as `marketplace_db.mirror_files` says."""

from __future__ import annotations

import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from marketplace_db.mirror_files import answer
from tavo.errors import InputError

__all__ = ["MirrorServer"]

_CHUNK = 1 << 18
_IDLE_S = 60.0


class MirrorServer(ThreadingHTTPServer):
    """A web server for one mirror. `say` is told each request in a line."""

    daemon_threads = True

    def __init__(
        self, folder: Path, host: str, port: int, say: Callable[[str], None] | None = None
    ) -> None:
        """Raises InputError if the folder is no mirror, or the address cannot be used."""
        if not (folder / "metadata").is_dir():
            raise InputError(
                f"{folder}: not a repository, it has no folder metadata",
                hint="Name the folder that `tavo mirror sync` or `tavo mirror import` wrote.",
            )
        self.folder = folder.resolve()
        self.say = say
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise InputError(
                f"{host}:{port}: cannot listen: {error.strerror or error}",
                hint="Choose another address with --host and --port.",
            ) from error

    @property
    def address(self) -> str:
        """Return the URL to give to `--mirror`."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/"


class _Handler(BaseHTTPRequestHandler):
    server: MirrorServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    disable_nagle_algorithm = True  # small files would each wait for an answer to their heads
    server_version = "tavo-mirror"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        if self.server.say:
            self.server.say(f"{self.address_string()} {format % arguments}")

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        found = answer(self.server.folder, path, lambda name: self.headers.get(name, ""))
        self.send_response(found.status)
        for name, value in found.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if found.handle is None:
            return
        with os.fdopen(found.handle, "rb") as stream:
            stream.seek(found.start)
            left = found.length if body else 0
            while left and (chunk := stream.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)
            if left:
                self.close_connection = True
