"""Several threads read from one web server: none of them closes what another one is reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from signing.errors import SourceError
from signing.sources import Deadline, HttpSource
from tests.fakes.repository import serve
from tests.fakes.two_at_once import two_at_once

_THREADS = 8
_READS = 400


class Keeping(SimpleHTTPRequestHandler):
    """Keeps connections open, as the servers of mirrors do."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"bytes")
    return tmp_path


@pytest.fixture
def slow_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch the moments in which a pool looks at connections that have just been given away."""

    def late(kind: type, name: str, seconds: float, when: Callable[..., bool]) -> None:
        before = getattr(kind, name)

        def instead(self: Any, *arguments: Any, **named: Any) -> Any:
            if when(*arguments):
                time.sleep(seconds)
            return before(self, *arguments, **named)

        monkeypatch.setattr(kind, name, instead)

    stream = type(_a_stream())
    late(stream, "get_extra_info", 0.012, lambda info: info == "is_readable")
    late(stream, "read", 0.03, lambda *_: True)
    late(httpcore.HTTP11Connection, "handle_request", 0.002, lambda *_: True)


def _a_stream() -> httpcore.NetworkStream:
    """Return a stream of the kind that httpcore makes; it has no public name."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = httpcore.SyncBackend().connect_tcp("127.0.0.1", server.getsockname()[1])
        stream.close()
    return stream


def _many(read: Callable[[], bytes]) -> list[str]:
    """Read in many threads until one fails, and return what failed."""
    over = threading.Event()

    def one(_: int) -> str:
        if over.is_set():
            return ""
        try:
            return "" if read() == b"bytes" else "other bytes"
        except (SourceError, httpx.HTTPError, OSError, RuntimeError) as error:
            over.set()
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(_THREADS) as pool:
        return [failed for failed in pool.map(one, range(_READS)) if failed]


def test_threads_that_share_a_source_do_not_end_each_other(tree: Path, slow_pool: None) -> None:
    with serve(tree, Keeping) as address, HttpSource(address) as source:
        assert _many(lambda: b"".join(source.read("a", Deadline(60)))) == []


def test_no_reading_closes_the_connection_of_another(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tree, Keeping) as address, HttpSource(address) as source:
        assert two_at_once(monkeypatch, lambda: b"".join(source.read("a", Deadline(60)))) == []


def test_control_threads_that_share_a_client_end_each_other(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a client for each: a pool takes an answer for the end of an idle connection."""
    with serve(tree, Keeping) as address, httpx.Client(timeout=60) as client:

        def read() -> bytes:
            with client.stream("GET", address + "a") as response:
                return b"".join(response.iter_raw())

        assert two_at_once(monkeypatch, read)


def test_closing_a_source_leaves_no_connection_behind(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[httpx.Client] = []

    class Noted(httpx.Client):
        def __init__(self, **named: Any) -> None:
            super().__init__(**named)
            made.append(self)

    monkeypatch.setattr(httpx, "Client", Noted)
    with serve(tree, Keeping) as address, HttpSource(address) as source:
        for _ in range(3):
            assert b"".join(source.read("a", Deadline(60))) == b"bytes"
        assert [client.is_closed for client in made] == [False]  # the next one took it over
        reading = source.read("a", Deadline(60))
        other = source.read("a", Deadline(60))
        assert (next(reading), next(other)) == (b"bytes", b"bytes")
        assert [client.is_closed for client in made] == [False, False]
        assert list(reading) == []
        source.close()  # one is idle, one in the middle of a file
        assert [client.is_closed for client in made] == [True, False]
        assert list(other) == []
        assert [client.is_closed for client in made] == [True, True]
