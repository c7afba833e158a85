"""The connection to a worker: deadlines hold against one that talks, drips or does not listen."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tavo.host import wire
from tavo.host.wire import LateError, Wire

SOON_S = 0.3


@contextmanager
def connected(act: Callable[[socket.socket, int], None]) -> Iterator[Wire]:
    """Give the host's end of a connection while `act` plays the worker in a thread."""
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    output = os.fdopen(reader, "rb", buffering=0)

    def play() -> None:
        try:
            act(theirs, writer)
        except OSError:
            pass

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield Wire(ours, output)
    finally:
        ours.close()
        theirs.shutdown(socket.SHUT_RDWR)
        output.close()
        thread.join(10)
        theirs.close()
        os.close(writer)
        assert not thread.is_alive()


def drip(theirs: socket.socket, _: int) -> None:
    theirs.sendall((1 << 20).to_bytes(4, "big"))
    while True:
        theirs.sendall(b" ")
        time.sleep(0.0005)


def talk(theirs: socket.socket, _: int) -> None:
    while True:
        theirs.sendall(b"x")
        time.sleep(0.001)


def test_a_frame_that_drips_is_late_in_time_and_nothing_of_it_is_lost() -> None:
    late = threading.Event()

    def slow(theirs: socket.socket, _: int) -> None:
        for byte in b"\0\0\0\x02{":
            theirs.sendall(bytes([byte]))
            time.sleep(0.02)
        late.wait(60)
        theirs.sendall(b"}")

    with connected(drip) as end:
        began = time.monotonic()
        with pytest.raises(LateError):
            end.receive(deadline=began + SOON_S)
        assert time.monotonic() - began < 100 * SOON_S
    with connected(slow) as end:
        with pytest.raises(LateError):
            end.receive(deadline=time.monotonic() + 0.25)
        late.set()
        assert end.receive(deadline=time.monotonic() + 30) == b"{}"


def test_sending_to_one_that_talks_and_does_not_listen_ends() -> None:
    with connected(talk) as end:
        began = time.monotonic()
        with pytest.raises(LateError):
            end.send(bytes(8 << 20), deadline=began + SOON_S)
        assert time.monotonic() - began < 100 * SOON_S


def test_draining_ends_while_the_worker_goes_on_printing(monkeypatch: pytest.MonkeyPatch) -> None:
    # as if whatever was taken were there again at once
    monkeypatch.setattr(Wire, "_ready", staticmethod(lambda _: True))

    def print_without_end(_: socket.socket, writer: int) -> None:
        while True:
            os.write(writer, bytes(1 << 16))

    with connected(print_without_end) as end:
        end.drain()
        assert 0 < end.printed <= wire._MOST_DRAINED * wire._PIECE
        assert len(end.tail) <= wire._KEPT_OUTPUT
