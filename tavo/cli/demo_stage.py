"""A stage for the demo: a folder of its own, commands of this very tavo, and servers on loopback.

Rules this module keeps:
- commands are those that a user types, in a process of this tavo each, with a home of their own:
  nothing is installed, remembered or configured on the machine itself;
- every process is in a group of its own, and all of them are gone when the stage is left, whatever
  ends it;
- nothing leaves this machine: commands get `--offline`, servers listen on 127.0.0.1.
"""

from __future__ import annotations

import io
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from tavo.errors import IncompleteError, InputError, NotAvailableError

__all__ = ["DEMO_NAME", "Done", "Stage"]

DEMO_NAME = "demo.zip"
_STEP_S = 300.0
_START_S = 60.0
_STOP_S = 10.0
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "TAVO_ACCEPT_SANDBOX")


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command as it was typed, its exit code, what it said, and its report if it wrote one."""

    typed: str
    code: int
    out: str
    said: str
    report: Mapping[str, Any]


class Stage:
    """The folder and its processes; a context manager."""

    def __init__(self) -> None:
        self._leaving = ExitStack()
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        temporary = tempfile.TemporaryDirectory(prefix="tavo-demo-", ignore_cleanup_errors=True)
        self.folder = Path(self._leaving.enter_context(temporary))
        self._leaving.callback(self._end_all)
        try:
            (self.folder / ".home").mkdir()
            with zipfile.ZipFile(io.BytesIO(_examples())) as archive:
                archive.extractall(self.folder)
        except BaseException:
            self._leaving.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _undisturbed():  # also a second Ctrl-C leaves nothing running
            self._leaving.close()

    def run(self, *words: str, good: Sequence[int] = (0, 1), report: Sequence[str] = ()) -> Done:
        """Run a command of this tavo to its end; `report` makes it write JSON besides.

        Raises IncompleteError for an exit code that is not `good`.
        """
        path = self.folder / ".report.json"
        path.unlink(missing_ok=True)
        more = [part.replace("{}", str(path)) for part in report]
        process = self._start([*_tavo(), "--offline", *words, *more])
        try:
            out, said = process.communicate(timeout=_STEP_S)
        except subprocess.TimeoutExpired as error:
            raise IncompleteError(
                f"demo: `tavo {words[0]}` took more than {_STEP_S:g} s"
            ) from error
        if process.returncode not in good:
            reason = next((line for line in said.splitlines() if line.startswith("tavo: ")), said)
            raise IncompleteError(
                f"demo: `tavo {shlex.join(words)}` ended with {process.returncode}:"
                f" {reason.removeprefix('tavo: ').strip()[:300]}",
                hint="`tavo doctor` says what works on this machine, and what does not.",
            )
        data = json.loads(path.read_bytes()) if path.exists() else {}
        return Done(
            typed=f"tavo {shlex.join(words)}", code=process.returncode, out=out, said=said,
            report=data,
        )  # fmt: skip

    def serve(self, words: Sequence[str], *, own: bool, marks: str) -> tuple[str, Server]:
        """Start a server, of this tavo if `own`; return its address, which follows `marks`.

        Raises IncompleteError where it does not come up.
        """
        process = self._start([*_tavo(), *words] if own else [sys.executable, *words])
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_hear, args=(process, lines), daemon=True).start()
        threading.Thread(target=_pass_over, args=(process,), daemon=True).start()
        try:
            line = lines.get(timeout=_START_S)
        except queue.Empty:
            line = ""
        if marks not in line:
            raise IncompleteError(
                f"demo: {words[0]} did not start: {line.strip()[:200] or 'silent'}"
            )
        return line.partition(marks)[2].strip(), Server(process)

    def write(self, name: str, text: str) -> str:
        """Write a file into the folder; return its name, as commands name it."""
        (self.folder / name).write_text(text, "utf-8")
        return name

    # -- inside

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        home = self.folder / ".home"
        variables = {name: os.environ[name] for name in _KEPT if name in os.environ}
        variables |= {"HOME": str(home), "USERPROFILE": str(home), "NO_COLOR": "1"}
        variables |= {"PYTHONUTF8": "1", **_found_again()}
        with _undisturbed() as caught:  # a process that has started is known, or there is none
            process = subprocess.Popen(
                list(command), cwd=self.folder, env=variables, stdin=subprocess.DEVNULL, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
                start_new_session=True,
            )  # fmt: skip
            self._processes.append(process)
        if caught:
            raise KeyboardInterrupt
        return process

    def _end_all(self) -> None:
        for process in reversed(self._processes):
            Server(process).stop()


class Server:
    """A process that serves until it is stopped."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def stop(self) -> None:
        """Ask it to end, wait, and then end it and all it has started."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        elif self._process.poll() is None:
            self._process.kill()
        self._process.wait()


@contextmanager
def _undisturbed() -> Iterator[list[int]]:
    """Let no signal interrupt the body; yield those that came."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _examples() -> bytes:
    """Return the zip with the examples that the build put into this file."""
    from pkgutil import get_data

    try:
        data = get_data("tavo.embedded", DEMO_NAME)
    except ModuleNotFoundError:
        raise NotAvailableError(
            "demo: this tavo carries no examples, as it was not built",
            hint="Use a tavo.pyz, or build one: `python3 build.py run demo`.",
        ) from None
    except OSError as error:
        raise InputError(f"demo: the examples in this file cannot be read: {error}") from error
    return data or b""


def _tavo() -> list[str]:
    from tavo.onefile import running

    finder = running()
    if finder is not None:
        return [sys.executable, finder.archive]
    return [sys.executable, "-m", "tavo"]


def _found_again() -> dict[str, str]:
    """Return the variables by which processes find this tavo, unpacked where it is already."""
    from tavo.onefile import running
    from tavo.registry.embedded import embedded_folder

    folder = embedded_folder()
    if running() is None:
        return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return {} if folder is None else {"TAVO_CACHE": str(folder.parents[2])}


def _hear(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def _pass_over(process: subprocess.Popen[str]) -> None:
    """Read what is said, so that nobody waits for it to be read."""
    if process.stderr is not None:
        for _ in process.stderr:
            pass
