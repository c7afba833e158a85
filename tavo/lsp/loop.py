"""The server as a process: the editor, two processes and the clock, each in turn.

Rules this module keeps:
- one thread decides; others only read and write, so that nothing can wait for a reader who is gone;
- what is written and not read by the editor is bounded.

Units: times in seconds, sizes in bytes.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from typing import IO, Any

from tavo.errors import ExitCode, InputError
from tavo.lsp import exchange
from tavo.lsp.desk import Desk, News
from tavo.lsp.options import UserOptions
from tavo.lsp.server import Server
from tavo.lsp.wire import framed, read_frame

__all__ = ["serve"]

_MOST_UNREAD = 256 << 20
_LONGEST_WAIT_S = 3_600.0
_LAST_WORDS_S = 2.0

_Event = bytes | News | InputError | None


def serve(options: UserOptions) -> int:
    """Serve an editor on standard input and output; return the exit code.

    Raises InputError when what comes is not the protocol.
    """
    reader, writer = _streams()
    events: queue.Queue[_Event] = queue.Queue()
    mouth = _Mouth(writer)
    begin = exchange.Begin(options.rules, options.largest, options.results)
    analyst = Desk(exchange.Begin(options.rules, options.largest), events.put)
    surveyor = Desk(begin, events.put)
    server = Server(options, mouth.say, clock=time.monotonic, analyst=analyst, surveyor=surveyor)
    threading.Thread(target=_read, args=(reader, events), daemon=True).start()
    try:
        while server.exit_code is None:
            server.tick()
            due = server.due
            wait = _LONGEST_WAIT_S if due is None else max(due - time.monotonic(), 0)
            try:
                event = events.get(timeout=min(wait, _LONGEST_WAIT_S))
            except queue.Empty:
                continue
            if isinstance(event, InputError):
                raise event
            if event is None or mouth.is_closed:
                return ExitCode.OK if server.is_shut_down else ExitCode.FINDINGS
            if isinstance(event, bytes):
                server.receive(event)
            else:
                server.hear(event)
        return server.exit_code
    finally:
        mouth.close()
        analyst.end()
        surveyor.end()


def _streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return our input and output; whatever else prints goes to the log of the editor."""
    reader = os.fdopen(os.dup(0), "rb")
    writer = os.fdopen(os.dup(1), "wb", buffering=0)
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return reader, writer


def _read(stream: IO[bytes], events: queue.Queue[_Event]) -> None:
    while True:
        try:
            body = read_frame(stream)
        except InputError as error:
            events.put(error)
            return
        except (OSError, ValueError):
            body = None
        events.put(body)
        if body is None:
            return


class _Mouth:
    """Writes to the editor in a thread of its own."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._unread = 0
        self._lock = threading.Lock()
        self._pieces: queue.Queue[bytes | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        self.is_closed = False

    def say(self, message: Any) -> None:
        """Write a message, sooner or later. Raises InputError when nobody reads them."""
        piece = framed(message)
        with self._lock:
            self._unread += len(piece)
            if self._unread > _MOST_UNREAD:
                raise InputError(
                    f"standard output: the editor has not read {_MOST_UNREAD >> 20} MB",
                    hint="Start the server again from the editor.",
                )
        self._pieces.put(piece)

    def close(self) -> None:
        """Wait a moment for what is not written yet."""
        self._pieces.put(None)
        self._thread.join(_LAST_WORDS_S)

    def _write(self) -> None:
        while (piece := self._pieces.get()) is not None:
            view = memoryview(piece)
            try:
                while view:
                    view = view[self._stream.write(view) or 0 :]
            except OSError:
                self.is_closed = True
                return
            with self._lock:
                self._unread -= len(piece)
        with contextlib.suppress(OSError):
            self._stream.flush()
