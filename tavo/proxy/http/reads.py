"""Reads of plain connections, all that are ready in one go: half of what asyncio's own way costs.

A connection stays asyncio's: it writes, buffers, closes and tells of its end. Only to wait for
bytes and to read them is done here, with an epoll of our own that stands in the loop as one reader.

Rules this module keeps:
- what is not bytes is asyncio's again: at the end of a connection its reader is put back and sees
  the end itself; after an error the connection is aborted, and its protocol is told why;
- there is one read for each connection in each turn, so that none starves the others;
- where there is no epoll, or TLS, or another loop than asyncio's own, asyncio reads as ever.

Units: sizes in bytes.
"""

from __future__ import annotations

import asyncio
import os
import select
import ssl
from typing import Any, Protocol

__all__ = ["Reads"]

_SIZE = 64 << 10
_MOST = 512


class _Reader(Protocol):
    """Whose connection it is."""

    transport: asyncio.Transport
    failed: OSError | None

    def data_received(self, data: bytes) -> None: ...


class Reads:
    """The connections of one worker that are read here."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._readers: dict[int, _Reader] = {}
        self._epoll: Any = None
        if isinstance(loop, asyncio.SelectorEventLoop) and hasattr(select, "epoll"):
            self._epoll = select.epoll()
            loop.add_reader(self._epoll.fileno(), self._turn)

    def take(self, reader: _Reader) -> int:
        """Read a connection from now on; return its number, -1 where asyncio goes on to read it."""
        transport = reader.transport
        held: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        its = transport.get_extra_info("socket")
        if self._epoll is None or held is not None or its is None:
            return -1
        number = int(its.fileno())
        if number < 0 or transport.is_closing():
            return -1
        transport.pause_reading()
        self._readers[number] = reader
        self._epoll.register(number, select.EPOLLIN)
        return number

    def forget(self, number: int) -> None:
        """Read a connection no more; that may be said twice."""
        if self._readers.pop(number, None) is not None:
            self._epoll.unregister(number)

    def pause(self, number: int, reader: _Reader, still: bool) -> None:
        """Read a connection that was taken no more for a while, or again."""
        if still:
            self.forget(number)
        elif number not in self._readers and not reader.transport.is_closing():
            self._readers[number] = reader
            self._epoll.register(number, select.EPOLLIN)

    def close(self) -> None:
        """Read nothing any more."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._readers.clear()
            self._epoll.close()
            self._epoll = None

    def _turn(self) -> None:
        readers = self._readers
        for number, _ in self._epoll.poll(0, _MOST):
            reader = readers.get(number)
            if reader is None:
                continue
            try:
                data = os.read(number, _SIZE)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                self.forget(number)
                reader.failed = error
                reader.transport.abort()
                continue
            if reader.transport.is_closing():
                self.forget(number)  # what still comes is for nobody
            elif data:
                reader.data_received(data)
            else:
                self.forget(number)
                reader.transport.resume_reading()
