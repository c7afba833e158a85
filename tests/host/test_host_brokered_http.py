"""HTTPS for plugins: what is refused before it is sent, and answers that have no end."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tavo.host.bounded_http import BoundedClient, UnusableAnswerError
from tavo.host.brokered_http import HttpLender, destination, parse_hosts, public_address
from tavo.host.lending import LendError

REQUEST = {"method": "GET", "url": "https://api.example/", "headers": {}, "body": "",
           "timeout_s": 1}  # fmt: skip
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@contextmanager
def answering(pieces: list[bytes], *, pause_s: float = 0.0, whole: bool = True) -> Iterator[str]:
    """Serve these bytes to whoever comes, with a pause behind each."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                client, _ = listener.accept()
                with client:
                    client.recv(65536)
                    for piece in pieces:
                        client.sendall(piece)
                        time.sleep(pause_s)
                    if not whole:
                        client.recv(1)
            except OSError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        # or the thread would accept on a number that the next listener has by then
        thread.join(timeout=30)
        listener.close()


def fetch(url: str, *, timeout_s: float = 20.0, most: int = 4 << 20) -> bytes:
    client = BoundedClient()
    try:
        return client.exchange("GET", url, timeout_s=timeout_s, most=most).body
    finally:
        client.close()


def lend(**changed: Any) -> None:
    HttpLender(["api.example"], resolve=lambda *_: ["127.0.0.1"]).lend("http", REQUEST | changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"method": []}, {"method": {}}, {"method": 10**4000}, {"method": "TRACE"},
        {"method": "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"},
        {"headers": []}, {"headers": {"a": 1}}, {"headers": {"a\r\nb": "c"}},
        {"headers": {"a": "b\r\nc: d"}}, {"headers": {"Host": "other.example"}},
        {"headers": {"Transfer-Encoding": "chunked"}}, {"headers": {"é": "x"}},
        {"headers": {"": ""}},
        {"timeout_s": -1}, {"timeout_s": True}, {"timeout_s": None},
        {"body": []}, {"body": None}, {"body": "%"}, {"body": 5},
        {"url": []}, {"url": "http://api.example/"}, {"url": "https://api.example:444/"},
        {"url": "https://user@api.example/"}, {"url": "https://:word@api.example/"},
        {"url": "https://api.example@other.example/"}, {"url": "https://other.example\\@api.example"},
        {"url": "https://api.example.other.example/"}, {"url": "https://[::1/"},
        {"url": "https://api.example:x/"}, {"url": "//api.example/"}, {"url": ""},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_with_a_sentence(changed: dict[str, Any]) -> None:
    with pytest.raises(LendError) as caught:
        lend(**changed)
    assert "127.0.0.1" not in str(caught.value)  # it was not even looked up


@pytest.mark.parametrize("timeout", [10**400, 2.0**1000, 1])
def test_any_number_may_be_a_time(timeout: float) -> None:
    with pytest.raises(LendError, match=r"leads to 127\.0\.0\.1, which is not public"):
        lend(timeout_s=timeout)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::7f00:1", "::ffff:0:7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    ],
)  # fmt: skip
def test_no_spelling_of_a_private_address_is_public(address: str) -> None:
    with pytest.raises(LendError, match="not public"):
        public_address("api.example", 443, lambda *_: ["93.184.216.34", address])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220::1", "64:ff9b::5db8:d822"])
def test_public_addresses_are_used(address: str) -> None:
    assert public_address("api.example", 443, lambda *_: [address]) == address


def test_a_name_that_no_system_can_look_up_is_a_refusal() -> None:
    name = "a" * 70 + ".example"
    assert destination(f"https://{name}/", parse_hosts([name])) == (name, 443)
    with pytest.raises(LendError, match="cannot be found"):
        public_address(name, 443)


def bomb(times: int) -> bytes:
    data = bytes(64 << 20)
    for _ in range(times):
        data = gzip.compress(data, 9)
    return data


def test_a_compressed_answer_is_undone_no_further_than_the_bound() -> None:
    packed = bomb(1)
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with answering([head, packed]) as url:
        tracemalloc.start()
        with pytest.raises(UnusableAnswerError, match="larger than 4 MB"):
            fetch(url)
        _, ours = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        with httpx.stream("GET", url) as answer:  # the control
            assert len(max(answer.iter_bytes(), key=len)) > 4 << 20
        _, theirs = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert ours < 16 << 20 < theirs
    small = gzip.compress(b"hello")
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(small)
    with answering([head, small]) as url:
        assert fetch(url) == b"hello"
    with answering([HEAD + b"Content-Encoding: gzip\r\n\r\n"]) as url:
        assert fetch(url) == b""


@pytest.mark.parametrize("packing", ["gzip, gzip", "br", "zstd", "gzip, identity", "x" * 5000])
def test_other_packings_and_several_are_refused(packing: str) -> None:
    packed = bomb(2)
    head = HEAD + f"Content-Encoding: {packing}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with answering([head, packed]) as url, pytest.raises(UnusableAnswerError, match="packed as"):
        fetch(url)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"H"] + [b"x"] * 200,
        [HEAD] + [b"X-A: b\r\n"] * 200,
        [HEAD, b"\r\n"] + [b"x"] * 200,
        [HEAD, b"Transfer-Encoding: chunked\r\n\r\n"] + [b"1\r\nx\r\n"] * 200,
    ],
    ids=["status", "headers", "body", "chunks"],
)
def test_an_answer_that_drips_ends_with_the_time_of_the_exchange(pieces: list[bytes]) -> None:
    with answering(pieces, pause_s=0.05) as url:
        with pytest.raises(httpx.TimeoutException):  # all of it would take ten seconds
            fetch(url, timeout_s=1)
        if pieces[0] == HEAD and pieces[1] == b"\r\n":  # the control: each wait is short enough
            assert len(httpx.get(url, timeout=9).content) == 200


def test_an_answer_without_end_is_cut_at_the_bound() -> None:
    pieces = [HEAD, b"\r\n", *[bytes(1 << 20)] * 6]
    with answering(pieces) as url, pytest.raises(UnusableAnswerError, match="larger than 4 MB"):
        fetch(url)


def test_a_cut_off_or_damaged_packing_is_named() -> None:
    small = gzip.compress(b"hello" * 100)
    for body, problem in ((small[:-9], "cut off"), (b"x" * 20, "damaged")):
        head = HEAD + b"Content-Encoding: gzip\r\n\r\n"
        with answering([head, body]) as url, pytest.raises(UnusableAnswerError, match=problem):
            fetch(url)
