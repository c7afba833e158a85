"""The host's end of the connection to a worker: frames in both directions, deadlines, output.

Rules this module keeps:
- nothing here waits without a deadline, and none is put off by a worker that keeps talking, byte by
  byte, or does not listen;
- a frame's length is judged before its bytes are kept;
- a descriptor is taken only while one is expected, before plugin code was read;
- what the worker prints is drained while we wait, its end is kept, the rest is counted.

Units: sizes in bytes, times in seconds of the monotonic clock.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import IO

from tavo.plugins.frames import MOST_FROM_WORKER, FrameReader

__all__ = ["GoneError", "LateError", "Wire"]

_KEPT_OUTPUT = 64 << 10
_PIECE = 256 << 10
_MOST_DRAINED = 64  # pieces; a pipe holds far less


class GoneError(Exception):
    """The worker closed its end."""


class LateError(Exception):
    """The deadline passed."""


class Wire:
    """Sends and receives frames over `channel`, and drains `output`."""

    def __init__(self, channel: socket.socket, output: IO[bytes]) -> None:
        self._channel = channel
        self._output: IO[bytes] | None = output
        channel.setblocking(False)
        self._reader = FrameReader(MOST_FROM_WORKER)
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._poll.register(output, select.POLLIN)
        self._tail = bytearray()
        self.expects_descriptors = False
        self.descriptors: list[int] = []
        self.printed = 0
        self.received = 0

    @property
    def descriptor(self) -> int:
        """Return the descriptor to wait for."""
        return self._channel.fileno()

    @property
    def tail(self) -> str:
        """Return the end of what the worker printed."""
        return bytes(self._tail).decode("utf-8", "replace")

    def send(self, data: bytes, *, deadline: float) -> None:
        """Send the bytes. Raises GoneError, LateError."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._channel.send(view) :]
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LateError from None
                self._poll.modify(self._channel, select.POLLIN | select.POLLOUT)
                try:
                    ready = self._wait(deadline)
                finally:
                    self._poll.modify(self._channel, select.POLLIN)
                if ready & select.POLLIN and not ready & select.POLLOUT:
                    time.sleep(0.001)  # it talks instead of listening; judged when we receive
            except (BrokenPipeError, ConnectionError) as error:
                raise GoneError from error

    def receive(self, *, deadline: float) -> bytes:
        """Return the body of the next frame. Raises GoneError, LateError, FrameError."""
        late = False
        while (body := self._reader.take()) is None:
            if late:
                raise LateError  # what came is kept for the next time
            self._wait(deadline)
            self._read()
            late = time.monotonic() >= deadline
        return body

    def is_quiet(self) -> bool:
        """Tell whether nothing has come that nobody asked for. Raises GoneError, FrameError."""
        try:
            self._read()
        except BlockingIOError:
            pass
        return not self._reader.pending

    def drain(self) -> None:
        """Take what the worker has printed by now, and not what it goes on printing."""
        for _ in range(_MOST_DRAINED):
            if self._output is None or not self._ready(self._output):
                break
            self._take_output()

    def close(self) -> None:
        """Close our end, and what came over it and was not taken."""
        self._channel.close()
        while self.descriptors:
            os.close(self.descriptors.pop())

    def _read(self) -> None:
        try:
            if self.expects_descriptors:
                data, came, _, _ = socket.recv_fds(
                    self._channel, _PIECE, 1, socket.MSG_CMSG_CLOEXEC
                )
                self.descriptors += came
            else:
                data = self._channel.recv(_PIECE)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise GoneError from error
        if not data:
            raise GoneError
        self.received += len(data)
        self._reader.feed(data)

    def _wait(self, deadline: float) -> int:
        """Wait for the channel; drain the output meanwhile. Return the channel's events."""
        while True:
            left = deadline - time.monotonic()
            events = dict(self._poll.poll(max(left, 0.0) * 1000))
            if self._output is not None and self._output.fileno() in events:
                self._take_output()
            if self._channel.fileno() in events:
                return events[self._channel.fileno()]
            if not events or left <= 0:
                raise LateError

    def _take_output(self) -> None:
        assert self._output is not None  # noqa: S101
        data = self._output.read(_PIECE)
        if not data:
            self._poll.unregister(self._output)
            self._output = None
            return
        self.printed += len(data)
        self._tail += data
        del self._tail[:-_KEPT_OUTPUT]

    @staticmethod
    def _ready(stream: IO[bytes]) -> bool:
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        return bool(poll.poll(0))
