"""Serving a mirror as static files: read only, with ranges and entity tags.

Rules this module keeps:
- only the files of a repository are served: metadata, targets, blobs and mirror.json; no folder is
  listed, no link is followed, and nothing that begins with a dot is there;
- metadata that changes is never cached; what is named by its digest never changes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tavo.errors import InputError

__all__ = ["MirrorServer"]

_PATH = re.compile(
    r"mirror\.json|metadata/[a-z0-9][a-z0-9.]{0,60}\.json"
    r"|targets(?:/[a-z]+){1,4}/[0-9a-f]{64}\.[A-Za-z0-9_][A-Za-z0-9._+-]{0,150}"
    r"|blobs/sha256/[0-9a-f]{2}/[0-9a-f]{64}"
)
_NAMED = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\..*)?")
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")
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
        handle = self._open(path)
        if handle is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        with os.fdopen(handle, "rb") as stream:
            facts = os.fstat(stream.fileno())
            named = _NAMED.fullmatch(path)
            tag = f'"{named[1]}"' if named else f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
            if tag in self.headers.get("If-None-Match", ""):
                self._head(HTTPStatus.NOT_MODIFIED, 0, tag, named is not None)
                return
            start, end = 0, facts.st_size
            status = HTTPStatus.OK
            asked = self.headers.get("Range")
            if asked and self.headers.get("If-Range", tag) == tag:
                found = _RANGE.fullmatch(asked.strip())
                if found and (not found[2] or int(found[1]) <= int(found[2])):
                    start = int(found[1])
                    end = min(end, int(found[2]) + 1) if found[2] else end
                    if start >= facts.st_size:
                        self._refuse(
                            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"bytes */{facts.st_size}"
                        )
                        return
                    status = HTTPStatus.PARTIAL_CONTENT
            ranged = f"bytes {start}-{end - 1}/{facts.st_size}" if status != HTTPStatus.OK else ""
            self._head(status, end - start, tag, named is not None, ranged)
            stream.seek(start)
            left = end - start if body else 0
            while left and (chunk := stream.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)
            if left:
                self.close_connection = True

    def _open(self, path: str) -> int | None:
        if not _PATH.fullmatch(path):
            return None
        place = self.server.folder / path
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            if place.resolve() != place:
                return None
            handle = os.open(place, flags | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return None
        return handle

    def _head(
        self, status: HTTPStatus, length: int, tag: str, fixed: bool, ranged: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", tag)
        self.send_header(
            "Cache-Control", "public, max-age=31536000, immutable" if fixed else "no-cache"
        )
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(length))
        if ranged:
            self.send_header("Content-Range", ranged)
        self.end_headers()

    def _refuse(self, status: HTTPStatus, ranged: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if ranged:
            self.send_header("Content-Range", ranged)
        self.end_headers()
