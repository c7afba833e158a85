"""What all connections of one worker share, from the first client to the last answer.

Rules this module keeps:
- an exchange keeps the judge that made it; a judge that was replaced is retired when its last
  exchange has ended;
- to drain is: no new connection, no new request on an old one, and an end for all in bounded time.

Units: times in seconds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from tavo.proxy.http.client import ClientConnection
from tavo.proxy.http.clock import Clock
from tavo.proxy.http.door import Door, Ledger
from tavo.proxy.http.flow import Flow
from tavo.proxy.http.heads import Heads
from tavo.proxy.http.limits import Limits
from tavo.proxy.messages import Judge

if TYPE_CHECKING:
    import ssl

__all__ = ["Current", "Wire"]

_LAST = tuple(b"%02x" % number for number in range(256))


class Current:
    """A judge, and how many exchanges it has under way."""

    __slots__ = ("judge", "users")

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.users = 0


class Wire:
    """The proxy's connections; made inside a running loop."""

    def __init__(
        self, *, limits: Limits, door: Door, judge: Judge, ledger: Ledger | None,
        told: Callable[[Flow], None],
    ) -> None:  # fmt: skip
        """`told` is called with each exchange that has ended."""
        self.limits = limits
        self.door = door  # who decides about requests; `enter_by` changes it
        self.heads = Heads()
        self.current = Current(judge)
        self.ledger = ledger
        self.clock = Clock(asyncio.get_running_loop())
        self.clients: set[ClientConnection] = set()
        self.draining = False
        self.stamp = b""  # lines that each head of an answer gets
        self.buffered = 0
        self.turned_away = 0
        self.defects = 0
        self._told = told
        self._prefix = os.urandom(6).hex().encode("ascii")
        self._number = 0
        self._first = b"%b-000000" % self._prefix  # of an id, all but the last two digits
        self._replaced: list[Current] = []  # that have exchanges under way
        self._retiring: set[asyncio.Task[None]] = set()
        self._empty: asyncio.Future[None] | None = None
        self._hurried = False
        self._servers: list[asyncio.Server] = []

    def enter_by(self, door: Door) -> None:
        """Have requests decided about by another door, and forget what the heads led to."""
        self.door = door
        self.heads = Heads()

    async def listen(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, shared: bool = False
    ) -> int:
        """Accept clients at an address; return its port. Raises OSError."""
        server = await self.clock.loop.create_server(
            lambda: ClientConnection(self), host, port, ssl=tls, backlog=4096,
            reuse_port=True if shared else None,
            ssl_handshake_timeout=self.limits.client_head_s if tls is not None else None,
        )  # fmt: skip
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    @property
    def active(self) -> int:
        """How many exchanges are under way."""
        return sum(one.users for one in (self.current, *self._replaced))

    def next_id(self) -> bytes:
        """Return what names an exchange in its answer and in the log."""
        number = self._number = self._number + 1
        self.current.users += 1
        last = number & 255
        if not last:
            self._first = b"%b-%06x" % (self._prefix, number >> 8)
        return self._first + _LAST[last]

    def finished(self, flow: Flow) -> None:
        """Take it that an exchange has ended."""
        self._told(flow)  # before it is written down: it settles what the answer has cost
        if self.ledger is not None:
            self.ledger.done(flow)
        current = flow.judge
        current.users = users = current.users - 1
        if not users and current is not self.current:
            self._replaced.remove(current)
            self._retire(current.judge)

    def report(self, error: BaseException) -> None:
        """Tell of a defect of ours, or of a filter."""
        self.defects += 1
        self.clock.loop.call_exception_handler({
            "message": "a defect of tavo ended an exchange; nothing was passed on",
            "exception": error,
        })  # fmt: skip

    def change(self, judge: Judge) -> None:
        """Have new exchanges made by another judge, which was started."""
        old, self.current = self.current, Current(judge)
        self.heads = Heads()
        if old.users == 0:
            self._retire(old.judge)
        else:
            self._replaced.append(old)

    async def drain(self) -> int:
        """Accept nothing more, wait for what is under way; return how many had to be cut."""
        self.draining = True
        for server in self._servers:
            server.close()
        for client in list(self.clients):
            if client.flow is None:
                self.clock.reads.end(client)
        if self.clients and not self._hurried:
            self._empty = self.clock.loop.create_future()
            try:
                await asyncio.wait_for(self._empty, self.limits.drain_s)
            except TimeoutError:
                pass
        cut = 0
        for client in list(self.clients):
            flow = client.flow
            if flow is not None:
                cut += 1
                flow.shut_down()
            else:
                self.clock.reads.cut(client)
        self.clock.stop()
        await self.current.judge.retire()
        return cut

    def hurry(self) -> None:
        """Wait no longer for what is under way: it is cut."""
        self._hurried = True
        if self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def emptied(self) -> None:
        """Note that a client is gone."""
        if self._empty is not None and not self.clients and not self._empty.done():
            self._empty.set_result(None)

    def _retire(self, judge: Judge) -> None:
        task = self.clock.loop.create_task(judge.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
