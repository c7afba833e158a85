"""The server's side of a process that looks at texts: it is started, asked, and ended when late.

Rules this module keeps:
- a process is started from scratch with what this one is made of, never from the folder that this
  one was started in, and with a short list of variables;
- one order is under way at a time, so that whoever dies is known to have died of it;
- a reply of a process that was ended is not listened to.

Units: times in seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tavo.lsp import exchange
from tavo.onefile import again

__all__ = ["Desk", "Gone", "News"]

_KEPT = ("HOME", "USERPROFILE", "LOCALAPPDATA", "SYSTEMROOT", "TMPDIR", "TEMP", "LANG", "LC_ALL",
         "XDG_STATE_HOME", "XDG_CACHE_HOME", "TAVO_CACHE")  # fmt: skip
_RUN = "from tavo.lsp.analyst import main; sys.exit(main())"


class Gone(msgspec.Struct, frozen=True):
    """A process has ended, and how."""

    code: int | None


class News(msgspec.Struct, frozen=True):
    """What a process says, or that it is gone."""

    desk: Desk
    generation: int
    reply: exchange.Reply | Gone


class Desk:
    """One process, or none before there is something to do. `hear` gets its news in a thread."""

    def __init__(self, begin: exchange.Begin, hear: Callable[[News], None]) -> None:
        self._begin = begin
        self._hear = hear
        self._process: subprocess.Popen[bytes] | None = None
        self.generation = 0
        self.busy_since: float | None = None

    def start(self) -> None:
        """Start the process, if it is not there, so that it reads its rules by now."""
        if self._process is not None:
            return
        self.generation += 1
        self._process = subprocess.Popen(
            again(_RUN), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            cwd=Path(sys.executable).parent, start_new_session=True,
        )  # fmt: skip
        listener = threading.Thread(
            target=self._listen, args=(self._process, self.generation), daemon=True
        )
        self._say(self._begin)
        listener.start()

    def give(self, order: exchange.Order) -> None:
        """Have something done; it is under way until `done` is called."""
        self.start()
        self.busy_since = time.monotonic()
        self._say(order)

    def tell(self, order: exchange.Stop) -> None:
        """Say something that is no task."""
        if self._process is not None:
            self._say(order)

    def done(self) -> None:
        """Note that nothing is under way any more."""
        self.busy_since = None

    def end(self) -> None:
        """End the process, whatever it is at."""
        process, self._process = self._process, None
        self.busy_since = None
        self.generation += 1
        if process is None:
            return
        _kill(process)
        if process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.close()
        process.wait()

    def is_news(self, news: News) -> bool:
        """Tell whether news are of the process that is there now."""
        return news.desk is self and news.generation == self.generation

    def _say(self, order: exchange.Order) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):  # its end is news, which will come
                exchange.send(self._process.stdin, order)

    def _listen(self, process: subprocess.Popen[bytes], generation: int) -> None:
        stream = process.stdout
        while stream is not None:
            try:
                reply = exchange.read_reply(stream)
            except (OSError, ValueError):
                reply = None
            if reply is None:
                break
            self._hear(News(self, generation, reply))
        _kill(process)
        self._hear(News(self, generation, Gone(process.wait())))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process with those that it started, which are of its group."""
    if process.returncode is not None:
        return
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
