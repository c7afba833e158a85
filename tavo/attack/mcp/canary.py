"""A listener on this machine that says which of its addresses somebody asked for.

Rules this module keeps:
- it listens on loopback only, gives nothing away, and remembers a bounded number of names;
- its port is the same from run to run where that is free: a target that repeats half of it says the
  same again.
"""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Canary"]

_MOST = 100_000
_FIRST_PORT, _TRIED = 28_471, 20


class Canary:
    """Listens until it is closed; `port` is where."""

    def __init__(self) -> None:
        """Begin to listen."""
        asked: set[str] = set()
        news = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                with news:
                    if len(asked) < _MOST:
                        asked.add(self.path.strip("/")[:200])
                    news.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._asked, self._news = asked, news
        self._server = _listening(Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def heard(self, names: set[str], *, wait_s: float = 0.0) -> str:
        """Return which of some names was asked for, and wait a little for it; empty for none."""
        with self._news:
            self._news.wait_for(lambda: names & self._asked, wait_s)
            return min(names & self._asked, default="")

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _listening(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    for port in range(_FIRST_PORT, _FIRST_PORT + _TRIED):
        try:
            return _Server(("127.0.0.1", port), handler)
        except OSError:
            continue
    return _Server(("127.0.0.1", 0), handler)


class _Server(ThreadingHTTPServer):
    """Takes no port that another listens at, on any system."""

    allow_reuse_port = False
    allow_reuse_address = os.name == "posix"
