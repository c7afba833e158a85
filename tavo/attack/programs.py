"""A target that is a program here: a command for each request, or a Python function in a process.

Rules this module keeps:
- no shell; what is asked goes in by standard input, never as an argument;
- an answer is bounded in size and time; what is late is killed with everything that it started;
- a Python function runs in a process of its own, which keeps what it loaded between requests.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tavo.attack.json_path import PathError, parse_path
from tavo.attack.targets import TargetFailedError, TargetFile, concealed
from tavo.errors import ConfigError
from tavo.llm.openai_chat import Usage
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse

__all__ = ["CommandTarget", "PythonTarget"]

_LONGEST_ANSWER = 8 << 20
_SHOWN = 300
_CHILD = """\
import importlib, json, os, sys
out = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # what the function prints is no answer
sys.path.insert(0, os.getcwd())
module, _, name = sys.argv[1].partition(":")
function = importlib.import_module(module)
for part in name.split("."):
    function = getattr(function, part)
print(json.dumps({"ready": True}), file=out, flush=True)
for line in sys.stdin:
    try:
        said = function(json.loads(line)["messages"])
        answer = {"answer": said if isinstance(said, str) else json.dumps(said, default=str)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=out, flush=True)
"""


class _Program:
    """What both kinds share: a name, no model, a bound in time."""

    def __init__(self, described: TargetFile, fallback: str) -> None:
        self.name = described.name or fallback
        self.model = described.model
        self.application = described.application
        self.secrets = described.secrets
        self._timeout_s = described.timeout_s

    def close(self) -> None:
        """End what is still running."""

    def _response(self, request: ChatRequest, text: str) -> tuple[ChatResponse, Usage]:
        message = ChatMessage(role="assistant", content=concealed(text, ()))
        return ChatResponse(request=request, messages=(message,)), (0, 0)


class CommandTarget(_Program):
    """A command that reads a conversation as JSON and writes its answer. May be used by threads."""

    def __init__(self, described: TargetFile) -> None:
        """Prepare; nothing is started yet. Raises ConfigError."""
        if not described.command:
            raise ConfigError(
                "target: a command target names no command",
                hint="Write for example `command: [python3, agent.py]`.",
            )
        super().__init__(described, Path(described.command[0]).name)
        self._command: Sequence[str] = described.command
        try:
            self._path = parse_path(described.answer) if described.answer else None
        except PathError as error:
            raise ConfigError(
                f"target: answer: {error}", hint="Write for example `answer: $.output.text`."
            ) from error

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        """Run the command once. Raises TargetFailedError."""
        try:
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise TargetFailedError(
                f"{self.name}: cannot be started: {error.strerror or error}",
                unreachable=True,
                hint=f"Check the command {self._command[0]!r}",
            ) from None
        timer = threading.Timer(self._timeout_s, _kill, (process,))
        timer.start()
        try:
            out, err = _communicate(process, _messages(request))
        finally:
            timer.cancel()
            late = process.poll() is not None and process.returncode == -signal.SIGKILL
            _kill(process)
        if late:
            raise TargetFailedError(
                f"{self.name}: gave no whole answer within {self._timeout_s:g} s or"
                f" {_LONGEST_ANSWER} bytes",
                passing=True,
            )
        if process.returncode:
            shown = " ".join(err.decode("utf-8", "replace").split())[-_SHOWN:]
            raise TargetFailedError(f"{self.name}: ended with {process.returncode}: {shown}")
        text = out.decode("utf-8", "replace").strip()
        if self._path is not None:
            try:
                found = self._path.find(json.loads(text))
            except (ValueError, RecursionError) as error:
                raise TargetFailedError(f"{self.name}: {error}") from None
            text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return self._response(request, text)


class PythonTarget(_Program):
    """A Python function that takes a list of messages and returns text, one request at a time."""

    def __init__(self, described: TargetFile) -> None:
        """Prepare; nothing is started yet. Raises ConfigError."""
        module, mark, name = described.call.partition(":")
        if not mark or not module or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(
                f"target: call: {described.call!r} names no function",
                hint="Write for example `call: package.module:answer`.",
            )
        super().__init__(described, name)
        self._call = described.call
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes] = queue.Queue()

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        """Call the function. Raises TargetFailedError."""
        with self._lock:
            if self._process is None:
                self._start()
            answer = self._exchange(_messages(request) + b"\n")
        if "error" in answer:
            said = str(concealed(answer["error"], ()))[:_SHOWN]
            raise TargetFailedError(f"{self.name}: raised {said}")
        return self._response(request, str(answer.get("answer", "")))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            _kill(self._process)
            self._process = None

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, self._call], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._lines = queue.Queue()
        assert self._process.stdout is not None  # noqa: S101
        threading.Thread(
            target=_read_lines, args=(self._process.stdout, self._lines), daemon=True
        ).start()
        self._exchange(b"", unreachable=True)

    def _exchange(self, line: bytes, *, unreachable: bool = False) -> Mapping[str, Any]:
        process = self._process
        assert process is not None  # noqa: S101
        assert process.stdin is not None  # noqa: S101
        with contextlib.suppress(OSError):
            process.stdin.write(line)
            process.stdin.flush()
        try:
            got = self._lines.get(timeout=self._timeout_s)
        except queue.Empty:
            self.close()
            raise TargetFailedError(
                f"{self.name}: gave no answer within {self._timeout_s:g} s", passing=True
            ) from None
        try:
            answer = json.loads(got)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            self.close()
            raise TargetFailedError(
                f"{self.name}: {self._call} cannot be called; what went wrong stands above",
                unreachable=unreachable,
            )
        return answer


def _messages(request: ChatRequest) -> bytes:
    messages = [{"role": one.role, "content": one.content} for one in request.messages]
    return json.dumps({"messages": messages}).encode()


def _read_lines(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    while line := stream.readline(_LONGEST_ANSWER):
        lines.put(line)
    lines.put(b"")


def _communicate(process: subprocess.Popen[bytes], data: bytes) -> tuple[bytes, bytes]:
    """Give a process its input; return what it wrote, and kill one that writes too much."""
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    errors: list[bytes] = []

    def feed(stdin: IO[bytes]) -> None:
        with contextlib.suppress(OSError), stdin:
            stdin.write(data)

    def drain(stderr: IO[bytes]) -> None:
        while piece := stderr.read(1 << 16):
            errors[:] = [(b"".join(errors) + piece)[-(1 << 16) :]]

    threads = [
        threading.Thread(target=feed, args=(process.stdin,), daemon=True),
        threading.Thread(target=drain, args=(process.stderr,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    out = process.stdout.read(_LONGEST_ANSWER + 1)
    if len(out) > _LONGEST_ANSWER:
        _kill(process)
    process.wait()
    for thread in threads:
        thread.join(1)
    process.stdout.close()
    return out, b"".join(errors)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
