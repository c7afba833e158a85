"""One client for several threads: none closes what another reads, none has another's cookies."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tavo.host.bounded_http import BoundedClient
from tests.fakes.two_at_once import two_at_once


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Answer every GET with the cookie that came, and a cookie to keep."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            body = self.headers.get("Cookie", "none").encode()
            self.send_response(200)
            self.send_header("Set-Cookie", "who=first; Path=/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_no_thread_closes_the_connection_on_which_another_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving() as url:
        client = BoundedClient()
        assert (
            two_at_once(monkeypatch, lambda: client.exchange("GET", url, timeout_s=60, most=99))
            == []
        )
        client.close()


def test_control_a_client_that_threads_share_loses_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving() as url, httpx.Client(trust_env=False, timeout=60) as client:
        failed = two_at_once(monkeypatch, lambda: client.get(url).text)
    assert [type(one) for one in failed] == [httpx.ReadError]


def test_an_exchange_leaves_no_cookie_for_the_next() -> None:
    with serving() as url:
        client = BoundedClient()
        bodies = [client.exchange("GET", url, timeout_s=60, most=99).body for _ in range(2)]
        client.close()
    assert bodies == [b"none", b"none"]


def test_closing_closes_also_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[httpx.Client] = []

    def noted(self: httpx.Client, **more: Any) -> None:
        make(self, **more)
        opened.append(self)

    make = httpx.Client.__init__
    monkeypatch.setattr(httpx.Client, "__init__", noted)
    with serving() as url:
        client = BoundedClient()
        client.exchange("GET", url, timeout_s=60, most=99)
        with client._clients.one():
            client.exchange("GET", url, timeout_s=60, most=99)
            client.close()
            assert [one.is_closed for one in opened] == [False, True]
    assert [one.is_closed for one in opened] == [True, True]
