"""Other programs that we ask: found where the user put them, run with bounds, never trusted.

Rules this module keeps:
- a program comes from the absolute folders of PATH, never from the folder that is worked in;
- it gets the variables that are named here and no others, no terminal, and the input that is given;
- its time and its output are bounded; what it has started ends with it.

Units: times in seconds, sizes in bytes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

import msgspec

__all__ = ["Answer", "find_program", "run_program"]

_PASSED = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE",
    "LOCALAPPDATA", "APPDATA", "XDG_CONFIG_HOME",
)  # fmt: skip
_PIECE = 1 << 16
_MOST_ERRORS = 1 << 16


# gets the number of the process and a function that ends it for a reason
Beside = Callable[[int, Callable[[str], None]], AbstractContextManager[None]]


def _nothing(_: int, __: Callable[[str], None]) -> AbstractContextManager[None]:
    return nullcontext()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a program said. `stopped` says why it was not let finish, empty where it was."""

    code: int
    out: bytes
    errors: str
    stopped: str = ""


def find_program(name: str) -> Path | None:
    """Return a program of the absolute folders of PATH, or None."""
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if Path(f).is_absolute()]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None or not Path(found).is_absolute():
        return None
    # Windows would also look in the current folder, whatever PATH says.
    return Path(found) if any(Path(found).parent == Path(folder) for folder in folders) else None


def environment(extra: Mapping[str, str], passed: Sequence[str] = _PASSED) -> dict[str, str]:
    """Return the variables that another program gets: of ours those that are `passed`."""
    ours = {name: os.environ[name] for name in passed if name in os.environ}
    return {**ours, "LC_ALL": "C.UTF-8", **extra}


def run_program(
    command: Sequence[str], *, extra: Mapping[str, str], seconds: float, most: int,
    folder: Path | None = None, given: bytes = b"", beside: Beside = _nothing,
    passed: Sequence[str] = _PASSED, keep: Sequence[int] = (),
) -> Answer:  # fmt: skip
    """Run a program to its end and return what it printed. Raises OSError if it does not start.

    `given` is its standard input, `passed` the variables of ours that it gets, `keep` descriptors
    that it inherits. `beside` is a context for the time in which it runs.
    """
    process = subprocess.Popen(
        list(command), stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(extra, passed), cwd=folder, start_new_session=True, pass_fds=tuple(keep),
    )  # fmt: skip
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("a pipe is missing")
    stopped: list[str] = []

    def stop(reason: str) -> None:
        stopped.append(reason)
        kill(process)

    out = _Reader(process.stdout, most, lambda: stop(f"it printed more than {most >> 20} MB"))
    errors = _Reader(process.stderr, _MOST_ERRORS, None)
    timer = threading.Timer(seconds, lambda: stop(f"it took longer than {seconds:.0f} s"))
    timer.daemon = True
    timer.start()
    if process.stdin is not None:
        threading.Thread(target=_feed, args=(process.stdin, given), daemon=True).start()
    try:
        with beside(process.pid, stop):
            if hasattr(os, "waitid"):
                # while it is not reaped its number is its own, so the group can be killed safely
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                kill(process)
            code = process.wait()
            out.join()
            errors.join()
    except BaseException:
        kill(process)
        raise
    finally:
        timer.cancel()
        process.stdout.close()
        process.stderr.close()
    return Answer(
        code=code,
        out=out.data,
        errors=errors.data.decode("utf-8", "replace"),
        stopped=stopped[0] if stopped else "",
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it has started."""
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def _feed(pipe: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError), pipe:  # a program need not read to the end
        pipe.write(data)


class _Reader(threading.Thread):
    """Reads a pipe to its end and keeps its beginning."""

    def __init__(self, pipe: IO[bytes], most: int, too_much: object) -> None:
        super().__init__(daemon=True)
        self._pipe, self._most, self._too_much = pipe, most, too_much
        self.data = b""
        self.start()

    def run(self) -> None:
        pieces: list[bytes] = []
        room = self._most
        while True:
            try:
                piece = os.read(self._pipe.fileno(), _PIECE)
            except (OSError, ValueError):
                break
            if not piece:
                break
            if room >= 0:
                pieces.append(piece[:room])
                room -= len(piece)
                if room < 0 and callable(self._too_much):
                    self._too_much()
        self.data = b"".join(pieces)
