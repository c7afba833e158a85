"""Plain connections: all that are ready are read, then judged, then written, in one go.

A connection stays asyncio's: it buffers, closes and tells of its end. Only to wait for bytes, to
read them, and to write what goes out is done here, with an epoll of our own that stands in the loop
as one reader: that has fewer steps than its own way. The system's part and ours take turns for many
connections, not for each one, because a processor is fast at what it has just done.

Rules this module keeps:
- what is not bytes is asyncio's again: at the end of a connection its reader is put back and sees
  the end itself; after an error the connection is aborted, and its protocol is told why;
- there is one read for each connection in each turn, so that none starves the others;
- nothing is written past bytes that wait; who closes a connection says so here, so that what was
  gathered is written before that, and that it is neither read nor written from then on, nor the
  number used that another socket may have then;
- where there is no epoll, or TLS, or another loop than asyncio's own, asyncio reads and writes.

Units: sizes in bytes.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable, Sequence
from typing import Any, Protocol

__all__ = ["Reads", "send"]

_SIZE = 64 << 10
_MOST = 512
_TOGETHER = 64
"""So many are read before any is judged: what they bring has to be held."""


class _Reader(Protocol):
    """Whose connection it is; `reads` is who reads it.

    `number` is that of its socket, -1 while asyncio reads it; `behind`: asyncio was given something
    to write, and may have it still.
    """

    reads: Reads
    transport: asyncio.Transport
    failed: OSError | None
    number: int
    behind: bool

    def data_received(self, data: bytes) -> None: ...


class Reads:
    """The connections of one worker that are read here."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.gathered: list[tuple[_Reader, bytes]] | None = None  # what a turn has to write
        self._lasts: list[Callable[[], None]] = []
        self._readers: dict[int, _Reader] = {}
        self._epoll: Any = None
        if isinstance(loop, asyncio.SelectorEventLoop) and hasattr(select, "epoll"):
            self._epoll = select.epoll()
            loop.add_reader(self._epoll.fileno(), self._turn)

    def take(self, reader: _Reader) -> None:
        """Read a connection that was just made, where that can be done here.

        Its transport begins to read only after `connection_made`, with some CPythons (3.11.2) even
        if it was told to pause before: so it is taken in the next turn.
        """
        transport = reader.transport
        if (
            self._epoll is not None
            and transport.get_extra_info("ssl_object") is None
            and transport.get_extra_info("socket") is not None
        ):
            self._loop.call_soon(self._begin, reader)

    def forget(self, reader: _Reader) -> None:
        """Read a connection no more, and do not write to its socket; that may be said twice."""
        number = reader.number
        if number >= 0:
            reader.number = -1
            if self._readers.pop(number, None) is not None:
                self._epoll.unregister(number)

    def pause(self, reader: _Reader, still: bool) -> None:
        """Read a connection no more for a while, or again."""
        number, transport = reader.number, reader.transport
        if number < 0:
            if still:
                transport.pause_reading()
            else:
                transport.resume_reading()
        elif still:
            if self._readers.pop(number, None) is not None:
                self._epoll.unregister(number)
        elif number not in self._readers and not transport.is_closing():
            self._register(reader)

    def end(self, reader: _Reader) -> None:
        """Close a connection when what waits was written."""
        self.flush()
        self.forget(reader)
        reader.transport.close()

    def cut(self, reader: _Reader) -> None:
        """Close a connection at once."""
        self.flush()
        self.forget(reader)
        reader.transport.abort()

    def close(self) -> None:
        """Read nothing any more."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._readers.clear()
            self._epoll.close()
            self._epoll = None

    def soon(self, last: Callable[[], None]) -> None:
        """Call it soon: in a turn at its end, before what was gathered is written."""
        if self.gathered is not None:
            self._lasts.append(last)
        else:
            self._loop.call_soon(last)

    def flush(self) -> None:
        """Write what was gathered, in its order."""
        while self.gathered:
            gathered, self.gathered = self.gathered, []
            for reader, data in gathered:
                _write(reader, data)

    def _turn(self) -> None:
        ready = self._epoll.poll(0, _MOST)
        for at in range(0, len(ready), _TOGETHER):
            taken = self._taken(ready[at : at + _TOGETHER])
            self.gathered = []
            try:
                for reader, number, data in taken:
                    if reader.number != number:
                        continue  # what came before has ended it
                    if not data:
                        self.forget(reader)
                        reader.transport.resume_reading()
                        continue
                    try:
                        reader.data_received(data)
                    except Exception as error:  # noqa: BLE001 (what else was read is not lost)
                        self._defect(reader, error)
                while self._lasts:
                    self._called(self._lasts.pop(0))
                self.flush()
            finally:
                self.gathered = None

    def _taken(self, ready: Sequence[tuple[int, int]]) -> list[tuple[_Reader, int, bytes]]:
        """Read what is ready."""
        readers, read, taken = self._readers, os.read, []
        for number, _ in ready:
            reader = readers.get(number)
            if reader is None:
                continue
            try:
                taken.append((reader, number, read(number, _SIZE)))
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                reader.failed = error
                self.cut(reader)
        return taken

    def _called(self, last: Callable[[], None]) -> None:
        try:
            last()
        except Exception as error:  # noqa: BLE001 (what was gathered is written all the same)
            self._loop.call_exception_handler({
                "message": "a defect of tavo at the end of a turn", "exception": error,
            })  # fmt: skip

    def _defect(self, reader: _Reader, error: Exception) -> None:
        self._loop.call_exception_handler({
            "message": "a connection was closed for a defect of tavo", "exception": error,
        })  # fmt: skip
        self.cut(reader)

    def _begin(self, reader: _Reader) -> None:
        transport = reader.transport
        if self._epoll is None or transport.is_closing() or not transport.is_reading():
            return
        transport.pause_reading()
        reader.number = int(transport.get_extra_info("socket").fileno())
        self._register(reader)

    def _register(self, reader: _Reader) -> None:
        if self._epoll is not None:
            self._readers[reader.number] = reader
            self._epoll.register(reader.number, select.EPOLLIN)


def send(reader: _Reader, data: bytes) -> None:
    """Write to a connection: at once, or at the end of the turn that goes on."""
    gathered = reader.reads.gathered
    if gathered is not None:
        gathered.append((reader, data))
    else:
        _write(reader, data)


def _write(reader: _Reader, data: bytes) -> None:
    """Write without waiting if nothing waits before it, else in asyncio's way."""
    number = reader.number
    if number >= 0 and not (reader.behind and _is_behind(reader)):
        try:
            sent = os.write(number, data)
        except OSError:
            sent = 0  # asyncio meets it as well, and knows what follows from it
        if sent == len(data):
            return
        data = data[sent:]
    reader.behind = True
    reader.transport.write(data)


def _is_behind(reader: _Reader) -> bool:
    reader.behind = reader.transport.get_write_buffer_size() > 0
    return reader.behind
