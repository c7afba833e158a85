"""The proxy's side of the process that looks at long texts: started, asked, ended when it fails.

Rules this module keeps:
- it is a help, and never the reason why something is not looked at: while there is no such process,
  or when it dies, is late or says what makes no sense, the proxy looks by itself;
- it starts with the first long text, which does not wait for it;
- one that fails often is left alone for a while.

Units: times in seconds, sizes in bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tavo.onefile import again
from tavo.proxy.chain.chain import Chain, Compiled, Look
from tavo.proxy.chain.scanning import Answer, Ask, Begin, Drop, Ready, frame, received

__all__ = ["Scanner"]

_log = logging.getLogger(__name__)
_RUN = "from tavo.proxy.chain.scanning import main; sys.exit(main())"
_KEPT = ("HOME", "USERPROFILE", "LOCALAPPDATA", "SYSTEMROOT", "TMPDIR", "TEMP", "XDG_CACHE_HOME",
         "TAVO_CACHE")  # fmt: skip
_LATE_S = 60.0
_MOST_STARTS, _WITHIN_S = 5, 60.0
_ANSWERS = msgspec.msgpack.Decoder(Ready | Answer)


class Scanner:
    """The process of one chain, or none. For one event loop; `close` ends it."""

    def __init__(self, chain: Chain, begin: Begin) -> None:
        """`begin` is what the chain was built from."""
        self._chain = chain
        self._begin = begin
        self._process: subprocess.Popen[bytes] | None = None
        self._link: _Link | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self._starts: deque[float] = deque(maxlen=_MOST_STARTS)
        self._is_ready = self._is_closed = False

    @property
    def process(self) -> int | None:
        """The number of the process, None where there is none that answers."""
        return self._process.pid if self._process is not None and self._is_ready else None

    async def look(self, texts: Sequence[tuple[Compiled, bytes]]) -> list[Look] | None:
        """Look at texts; return None where the caller has to."""
        if self._link is None and not self._is_closed:
            self._start()
        link = self._link
        if link is None or not self._is_ready:
            return None
        self._number += 1
        number, rows = self._number, []
        for compiled, data in texts:
            where = compiled.where
            rows.append((where.phase, where.role, str(where.kind), where.restores, data))
        waiting = self._waiting[number] = link.loop.create_future()
        link.send(frame(Ask(number, rows)))
        try:
            answer = await asyncio.wait_for(waiting, _LATE_S)
            if len(answer.looks) != len(texts):
                raise ValueError("an answer about other texts")
            looks = [
                one.look(self._chain, compiled)
                for one, (compiled, _) in zip(answer.looks, texts, strict=True)
            ]
        except TimeoutError:
            self._end("did not answer")
        except ValueError as error:
            self._end(f"said what makes no sense: {error}")
        except ConnectionError:
            pass  # that it ended was said
        except asyncio.CancelledError:
            if self._link is link:
                link.send(frame(Drop(number)))
            raise
        else:
            failed = [said.filter.name for one in looks for said in one.said if said.failed]
            self._chain.failures.update(failed)
            return looks
        finally:
            self._waiting.pop(number, None)
        return None

    def close(self) -> None:
        """End it for good."""
        self._is_closed = True
        self._end("")

    def heard(self, link: _Link, body: bytes) -> None:
        """Take an answer."""
        if link is not self._link:
            return
        try:
            answer = _ANSWERS.decode(body)
        except msgspec.MsgspecError as error:
            self._end(f"said what makes no sense: {error}")
            return
        if isinstance(answer, Ready):
            if answer.version != self._chain.version:
                self._end("is of another configuration")
            self._is_ready = answer.version == self._chain.version
            return
        waiting = self._waiting.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def lost(self, link: _Link, why: str = "died") -> None:
        """Take it that the process is gone."""
        if link is self._link:
            self._end(why)

    def _start(self) -> None:
        now = time.monotonic()
        full = len(self._starts) == _MOST_STARTS
        if os.name != "posix" or (full and now - self._starts[0] < _WITHIN_S):
            return
        self._starts.append(now)
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                again(_RUN), stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
                cwd=Path(sys.executable).parent, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            _log.warning("no process looks at long texts: %s", error.strerror or error)
            return
        finally:
            theirs.close()
        self._link = _Link(self, ours, asyncio.get_running_loop())
        self._link.send(frame(self._begin))

    def _end(self, why: str) -> None:
        link, self._link = self._link, None
        process, self._process = self._process, None
        self._is_ready = False
        if link is not None:
            link.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError())
        if process is None:
            return
        if why:
            _log.warning("the process that looks at long texts %s", why)
        process.kill()
        process.wait()


class _Link:
    """Our end of the socket, on the event loop."""

    def __init__(
        self, scanner: Scanner, connection: socket.socket, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop = loop
        self._scanner = scanner
        self._connection = connection
        self._in = bytearray()
        self._out: deque[memoryview] = deque()
        connection.setblocking(False)
        loop.add_reader(connection, self._hear)

    def send(self, data: bytes) -> None:
        """Send what can be sent, the rest when there is room."""
        if not self._out:
            self.loop.add_writer(self._connection, self._say)
        self._out.append(memoryview(data))

    def close(self) -> None:
        """Close it."""
        if self._connection.fileno() >= 0:
            self.loop.remove_reader(self._connection)
            self.loop.remove_writer(self._connection)
            self._connection.close()

    def _say(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                sent = self._connection.send(self._out[0])
            except BlockingIOError:
                raise
            except OSError:
                self._scanner.lost(self)
                return
            if sent == len(self._out[0]):
                self._out.popleft()
            else:
                self._out[0] = self._out[0][sent:]
        if not self._out:
            self.loop.remove_writer(self._connection)

    def _hear(self) -> None:
        try:
            data = self._connection.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._scanner.lost(self)
            return
        self._in += data
        try:
            for body in received(self._in):
                self._scanner.heard(self, body)
        except ValueError as error:
            self._scanner.lost(self, f"said what makes no sense: {error}")
