"""Tunnels for unmodified libraries: a worker's only way out, to the hosts that it declared.

A worker at the strongest level has a network of its own in which there is one address, and behind
that address we accept. It sends `CONNECT host:port` there, as every HTTP library does when it is
told of a proxy; we judge, resolve and connect, and from then on pass bytes.

Rules this module keeps:
- exact host names and ports of the manifest; names are resolved here, and one that leads to this
  machine or a private network is refused; the address that was judged is the one that is used;
- what passes through a tunnel is between the plugin and that host: it is not read, and it holds no
  credential of ours;
- tunnels are bounded in number, and in the time in which nothing passes;
- nothing here waits for the worker in a thread that anything else waits for.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Collection

from tavo.host.brokered_http import destination, parse_hosts, public_address
from tavo.host.lending import LendError

__all__ = ["ConnectProxy", "connect_authority"]

_MOST_AT_ONCE = 32
_MOST_TUNNELS = 1000
_LONGEST_HEAD = 8 << 10
_BUFFER = 256 << 10
_PIECE = 64 << 10
_HEAD_S = 10.0
_CONNECT_S = 10.0
_IDLE_S = 120.0


class ConnectProxy:
    """Serves the tunnels of one worker until it is closed."""

    def __init__(self, listener: int, hosts: Collection[str]) -> None:
        """Take over a descriptor on which the worker's connections arrive."""
        self._listener = socket.socket(fileno=listener)
        self._allowed = parse_hosts(hosts)
        self._slots = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._accept, name="tavo-proxy", daemon=True).start()

    def close(self) -> None:
        """End all tunnels. None can be made afterwards."""
        with self._lock:
            self._closed = True
            ending = [self._listener, *self._open]
        for one in ending:
            # the threads that wait for them notice, and close them
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_MOST_TUNNELS):
            self._slots.acquire()
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()
        self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        upstream: socket.socket | None = None
        try:
            self._keep(client)
            client.settimeout(_HEAD_S)
            try:
                authority, rest = _head(client)
                host, port = destination(f"https://{authority}", self._allowed)
                address = public_address(host, port)
                upstream = socket.create_connection((address, port), timeout=_CONNECT_S)
            except LendError as error:
                _refuse(client, "405" if error.kind == "method" else "403", str(error))
                return
            except OSError as error:
                _refuse(client, "502", f"no connection: {error}")
                return
            self._keep(upstream)
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            _relay(client, upstream, rest)
        except OSError:
            pass  # one of them is gone
        finally:
            for one in (client, upstream):
                if one is not None:
                    with self._lock:
                        self._open.discard(one)
                    one.close()
            self._slots.release()

    def _keep(self, one: socket.socket) -> None:
        with self._lock:
            if self._closed:
                raise OSError("closed")
            self._open.add(one)


def _head(client: socket.socket) -> tuple[str, bytes]:
    """Read the request; return what it names, and what came after it. Raises LendError."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(_LONGEST_HEAD)
        data += piece
        if not piece or len(data) > _LONGEST_HEAD:
            raise LendError("method", "that is no request of HTTP")
    head, _, rest = data.partition(b"\r\n\r\n")
    return connect_authority(head), rest


def connect_authority(head: bytes) -> str:
    """Return `host:port` of the head of a request for a tunnel. Raises LendError."""
    words = head.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or words[0] != b"CONNECT" or not words[2].startswith(b"HTTP/1."):
        raise LendError("method", "only tunnels to https are made: CONNECT host:port")
    authority = words[1].decode("ascii", "replace")
    if not all(char.isalnum() or char in ".-_:" for char in authority) or "\ufffd" in authority:
        raise LendError("http", "the host and port cannot be used")
    return authority


def _refuse(client: socket.socket, status: str, reason: str) -> None:
    reasons = {"403": "Forbidden", "405": "Method Not Allowed", "502": "Bad Gateway"}
    body = f"{reason}\n".encode("ascii", "replace")
    head = (
        f"HTTP/1.1 {status} {reasons[status]}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    client.sendall(head.encode("ascii") + body)


def _relay(one: socket.socket, other: socket.socket, first: bytes) -> None:
    """Pass bytes both ways until both have ended, or nothing has come for too long."""
    peers = {one: other, other: one}
    by_number = {one.fileno(): one, other.fileno(): other}
    waiting = {one: bytearray(), other: bytearray(first)}  # what is still to be sent to each
    ended: set[socket.socket] = set()  # those that will say nothing more
    told: set[socket.socket] = set()  # those that were told that their peer has ended
    one.setblocking(False)
    other.setblocking(False)
    while len(told) < 2:
        poll = select.poll()
        for end, peer in peers.items():
            events = select.POLLIN if end not in ended and len(waiting[peer]) < _BUFFER else 0
            events |= select.POLLOUT if waiting[end] else 0
            if events:
                poll.register(end, events)
        ready = poll.poll(_IDLE_S * 1000)
        if not ready:
            return
        for number, events in ready:
            end = by_number[number]
            if events & select.POLLOUT:
                del waiting[end][: end.send(waiting[end])]
            if events & ~select.POLLOUT and end not in ended:
                with contextlib.suppress(BlockingIOError):
                    data = end.recv(_PIECE)
                    waiting[peers[end]] += data
                    if not data:
                        ended.add(end)
        for end in ended - {peers[end] for end in told}:
            if not waiting[peers[end]]:
                peers[end].shutdown(socket.SHUT_WR)
                told.add(peers[end])
