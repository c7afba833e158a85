"""What a program is told to use as its proxy: CONNECT, and then TLS of ours or a tunnel.

Rules this module keeps:
- it listens on loopback, and only who has the secret of this run may connect: other users of the
  machine have no business here;
- to a host that is judged it speaks TLS itself, and what is inside goes through the same wire,
  door, chain and audit log as with a reverse proxy; the host is the one of CONNECT, whatever TLS or
  `Host` say later;
- to a host that is let through it connects only if the name leads to the public network, and to
  the very address that was looked at; what passes is not read;
- nothing comes before its time: bytes behind a CONNECT that were sent before its answer end it;
- all waiting is bounded, and so is what is held for a side that does not read.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from tavo.host.brokered_http import public_address
from tavo.host.connect_proxy import connect_authority
from tavo.host.lending import LendError
from tavo.proxy.forward.authority import Authority
from tavo.proxy.forward.hosts import Hosts, Judged
from tavo.proxy.http.client import ClientConnection
from tavo.proxy.http.clock import NEVER

if TYPE_CHECKING:
    from tavo.proxy.http.wire import Wire

__all__ = ["Front"]

_LONGEST_HEAD = 8 << 10
_BUFFER = 64 << 10
_IDLE_S = 300.0
_MOST_NAMES = 200


class Front:
    """Serves one run; `blocked`, `tunnelled` and `distrusted` count connections by host."""

    def __init__(self, hosts: Hosts, authority: Authority) -> None:
        self.hosts = hosts
        self.authority = authority
        self.secret = secrets.token_urlsafe(24)
        self.blocked: Counter[str] = Counter()
        self.tunnelled: Counter[str] = Counter()
        self.distrusted: Counter[str] = Counter()
        self.open: set[_Side | _Connect] = set()
        self._wanted = b"Basic " + base64.b64encode(f"tavo:{self.secret}".encode("ascii"))
        self._server: asyncio.Server | None = None
        self._wire: Wire | None = None

    @property
    def wire(self) -> Wire:
        """The connections behind it, once it listens."""
        if self._wire is None:
            raise RuntimeError("it does not listen yet")
        return self._wire

    async def listen(self, wire: Wire) -> int:
        """Accept the program's connections; return the port. Raises OSError."""
        self._wire = wire
        self._server = await wire.clock.loop.create_server(
            lambda: _Connect(self), "127.0.0.1", 0, backlog=1024
        )
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accept nothing more, and end what is not judged."""
        if self._server is not None:
            self._server.close()
        for one in list(self.open):
            one.end()

    def knows(self, head: bytes) -> bool:
        """Tell whether a request carries the secret of this run."""
        given = b""
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"proxy-authorization":
                given = value.strip()
        return hmac.compare_digest(given, self._wanted)

    def count(self, into: Counter[str], host: str) -> None:
        """Count a host; a program that asks for ever new ones fills no memory."""
        into[host if host in into or len(into) < _MOST_NAMES else "other hosts"] += 1


class _Connect(asyncio.Protocol):
    """A connection of the program until it is known where it goes."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._data = b""
        self._task: asyncio.Task[None] | None = None
        self.deadline = NEVER
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        wire = self._front.wire
        if wire.draining or len(self._front.open) >= wire.limits.clients:
            self.transport.abort()
            return
        self._front.open.add(self)
        self.deadline = wire.clock.now() + wire.limits.client_head_s
        wire.clock.watch(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.forget()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._task is not None or len(self._data) > _LONGEST_HEAD:
            self.transport.abort()  # it spoke before it was answered
            return
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        if rest:
            self._refuse(400, "bytes came before the answer to CONNECT")
            return
        self._asked(head)

    def late(self) -> None:
        self.transport.abort()

    def end(self) -> None:
        """Close it at once."""
        self.transport.abort()

    def forget(self) -> None:
        """Take it that somebody else has the connection now."""
        self._front.open.discard(self)
        self._front.wire.clock.forget(self)
        self.deadline = NEVER

    def _asked(self, head: bytes) -> None:
        front = self._front
        if not front.knows(head):
            self._refuse(407, "this proxy is for the program that tavo started")
            return
        if not head.startswith(b"CONNECT "):
            url = head.split(b" ")[1:2] or [b""]
            host = url[0].partition(b"://")[2].partition(b"/")[0].decode("ascii", "replace")
            front.count(front.blocked, f"http://{host[:100]}")
            self._refuse(
                403, "requests in clear text are not passed on: tavo proxy run judges https"
            )
            return
        try:
            authority = connect_authority(head)
        except LendError as error:
            self._refuse(400, str(error))
            return
        host, colon, port = authority.rpartition(":")
        if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not host:
            self._refuse(400, "CONNECT names no host and port")
            return
        decided = front.hosts.decide(host, int(port))
        if isinstance(decided, Judged):
            self._task = asyncio.ensure_future(self._judged(host, decided))
        elif decided:
            self._task = asyncio.ensure_future(self._tunnelled(host, int(port)))
        else:
            shown = host if port == "443" else authority
            front.count(front.blocked, shown)
            self._refuse(
                403, f"tavo proxy run does not know {shown} as a host of models: --judge {shown}"
                f" has its traffic judged, --tunnel {shown} lets it through unseen"
            )  # fmt: skip

    async def _judged(self, host: str, judged: Judged) -> None:
        front, wire = self._front, self._front.wire
        loop = wire.clock.loop
        inside = _Handover()
        self.transport.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        self.deadline = NEVER  # the handshake has its own
        try:
            made = await loop.start_tls(
                self.transport, inside, front.authority.context(host), server_side=True,
                ssl_handshake_timeout=wire.limits.client_head_s,
            )  # fmt: skip
        except (OSError, ssl.SSLError, TimeoutError) as error:
            if "ALERT" in str(getattr(error, "reason", "")):
                front.count(front.distrusted, host)
            self.forget()
            self.transport.abort()
            return
        self.forget()
        if made is None or inside.lost:
            return
        client = ClientConnection(wire, judged.before)
        made.set_protocol(client)
        client.connection_made(made)
        for data in inside.data:
            client.data_received(data)

    async def _tunnelled(self, host: str, port: int) -> None:
        front, wire = self._front, self._front.wire
        self.deadline = NEVER
        other = _Side(front)
        try:
            async with asyncio.timeout(wire.limits.upstream_connect_s):
                address = await asyncio.to_thread(public_address, host, port)
                await wire.clock.loop.create_connection(lambda: other, address, port)
        except LendError as error:
            front.count(front.blocked, host)
            self._refuse(403, str(error))
            return
        except (OSError, TimeoutError) as error:
            self._refuse(502, f"{host} cannot be reached: {error or 'it took too long'}")
            return
        front.count(front.tunnelled, host)
        self.forget()
        if self.transport.is_closing():
            other.end()
            return
        mine = _Side(front)
        mine.peer, other.peer = other, mine
        self.transport.set_protocol(mine)
        mine.connection_made(self.transport)
        self.transport.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        other.flush()

    def _refuse(self, status: int, reason: str) -> None:
        words = {400: "Bad Request", 403: "Forbidden", 407: "Proxy Authentication Required",
                 502: "Bad Gateway"}  # fmt: skip
        body = f"{reason}\n".encode("ascii", "replace")
        more = 'Proxy-Authenticate: Basic realm="tavo"\r\n' if status == 407 else ""
        self.transport.write(
            f"HTTP/1.1 {status} {words[status]}\r\nContent-Type: text/plain\r\n{more}"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("ascii")
            + body
        )
        self.transport.close()


class _Handover(asyncio.Protocol):
    """Keeps what comes between the end of the handshake and the one who takes over."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


class _Side(asyncio.Protocol):
    """One side of a tunnel."""

    def __init__(self, front: Front) -> None:
        self.peer: _Side | None = None
        self.deadline = NEVER
        self.transport: Any = None
        self._front = front
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.set_write_buffer_limits(high=_BUFFER)
        self._front.open.add(self)
        self._front.wire.clock.watch(self)
        self._moved()

    def data_received(self, data: bytes) -> None:
        self._moved()
        if self.peer is None or self.peer.transport is None:
            self._early.append(data)
        else:
            self.peer.transport.write(data)

    def flush(self) -> None:
        """Pass on what came before the other side was there."""
        if self.peer is not None and self.peer.transport is not None:
            for data in self._early:
                self.peer.transport.write(data)
        self._early = []

    def eof_received(self) -> bool:
        peer = self.peer
        if peer is not None and peer.transport is not None and peer.transport.can_write_eof():
            peer.transport.write_eof()
        return True  # the other direction may go on

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._front.open.discard(self)
        self._front.wire.clock.forget(self)
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.close()

    def late(self) -> None:
        self.end()

    def end(self) -> None:
        """Close it at once."""
        if self.transport is not None:
            self.transport.abort()

    def _moved(self) -> None:
        self.deadline = self._front.wire.clock.now() + _IDLE_S
        if self.peer is not None:
            self.peer.deadline = self.deadline
