"""A session with an MCP server: streamable HTTP, or a command that speaks on its standard streams.

Rules this module keeps:
- a server is hostile: its messages are bounded in size, number and time, and only answers to what
  was asked are taken; what else it asks of us is refused, and noted;
- no redirects; credentials are in no message that comes back;
- nothing is declared that a server may ask of a client, so one that asks anyway stands out.

Source: the MCP specification 2025-06-18, base protocol and transports.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

from tavo import __version__
from tavo.attack.http_api import events_of
from tavo.attack.targets import PASSING, TargetFailedError, concealed
from tavo.host.bounded_http import BoundedClient, UnusableAnswerError

__all__ = ["HttpWire", "RefusedError", "Session", "StdioWire", "Wire"]

VERSION = "2025-06-18"
_LONGEST = 8 << 20
_MOST_MESSAGES = 2000
_SHOWN = 200


class RefusedError(Exception):
    """The server answered with an error. The message is what it said."""


class Wire(Protocol):
    """Carries messages to a server and back, for one session."""

    def exchange(self, message: Mapping[str, Any]) -> list[Any]:
        """Send one message; return what came. Raises TargetFailedError."""

    def close(self) -> None:
        """End the session."""


class HttpWire:
    """Streamable HTTP: each message is a POST, answered with JSON or with a stream of events."""

    def __init__(
        self, client: BoundedClient, url: str, *, name: str, headers: Mapping[str, str],
        secrets: Sequence[str], timeout_s: float,
    ) -> None:  # fmt: skip
        """`headers` go with each message; `secrets` are taken out of what comes."""
        self._client = client
        self._url = url
        self._name = name
        self._headers = {"Accept": "application/json, text/event-stream", **headers}
        self._secrets = secrets
        self._timeout_s = timeout_s

    def exchange(self, message: Mapping[str, Any]) -> list[Any]:
        """Send one message; return what came. Raises TargetFailedError."""
        answer = self._post("POST", json.dumps(message, ensure_ascii=True).encode())
        if session := answer.headers.get("mcp-session-id", ""):
            if not session.isascii() or not session.isprintable() or len(session) > 1000:
                raise TargetFailedError(f"{self._name}: its session id cannot be sent back")
            self._headers["Mcp-Session-Id"] = session
        if "method" in message and message["method"] == "initialize":
            self._headers["MCP-Protocol-Version"] = VERSION
        text = answer.body.decode("utf-8", "replace")
        if not text.strip():
            return []
        if "text/event-stream" in answer.headers.get("content-type", ""):
            texts = [one for one in events_of(text) if one.strip()]
        else:
            texts = [text]
        messages: list[Any] = []
        for one in texts[:_MOST_MESSAGES]:
            try:
                value = concealed(json.loads(one), self._secrets)
            except (ValueError, RecursionError):
                shown = concealed(" ".join(one.split()), self._secrets)[:_SHOWN]
                raise TargetFailedError(
                    f"{self._name}: the answer is no JSON, it starts with {shown!r}",
                    hint="Name the address where the server speaks MCP, often one ending in /mcp",
                ) from None
            messages += value if isinstance(value, list) else [value]
        return messages

    def close(self) -> None:
        """End the session, if there is one."""
        if "Mcp-Session-Id" in self._headers:
            with contextlib.suppress(TargetFailedError):
                self._post("DELETE", None)

    def _post(self, method: str, data: bytes | None) -> Any:
        import httpx

        headers = {**self._headers, **({"Content-Type": "application/json"} if data else {})}
        try:
            answer = self._client.exchange(
                method, self._url, headers=headers, content=data, timeout_s=self._timeout_s,
                most=_LONGEST,
            )  # fmt: skip
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TargetFailedError(
                f"{self._name}: cannot be reached: {error or 'no connection in time'}",
                unreachable=True,
                hint=f"Check the address {self._url} and that something listens there",
            ) from None
        except httpx.TimeoutException:
            raise TargetFailedError(
                f"{self._name}: gave no whole answer within {self._timeout_s:g} s", passing=True
            ) from None
        except UnusableAnswerError as error:
            raise TargetFailedError(f"{self._name}: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            said = concealed(str(error), self._secrets)
            raise TargetFailedError(f"{self._name}: {said}") from None
        if not 200 <= answer.status < 300:
            shown = " ".join(answer.body.decode("utf-8", "replace").split())
            raise TargetFailedError(
                f"{self._name}: answered {answer.status}:"
                f" {concealed(shown, self._secrets)[:_SHOWN]}",
                passing=answer.status in PASSING,
                denied=answer.status in {401, 403},
                hint="It wants a key: name its environment variable with `key:` in the target file"
                if answer.status == 401
                else "",
            )
        return answer


class StdioWire:
    """A command that is started for one session: one message of JSON in each line."""

    def __init__(self, command: Sequence[str], *, name: str, timeout_s: float) -> None:
        """Start it. Raises TargetFailedError."""
        self._name = name
        self._timeout_s = timeout_s
        self._lines: queue.Queue[bytes] = queue.Queue(_MOST_MESSAGES)
        self._errors = b""
        self._over = ""
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise TargetFailedError(
                f"{name}: cannot be started: {error.strerror or error}",
                unreachable=True,
                hint=f"Check the command {command[0]!r}",
            ) from None
        read, self._noting = (
            threading.Thread(target=work, args=(stream,), daemon=True)
            for work, stream in (
                (self._read, self._process.stdout),
                (self._note, self._process.stderr),
            )
        )
        read.start()
        self._noting.start()

    def exchange(self, message: Mapping[str, Any]) -> list[Any]:
        """Send one message; return what came. Raises TargetFailedError.

        A command that has ended, or was ended for being late, is not waited for again.
        """
        if self._over:
            raise TargetFailedError(self._over, gone=True)
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101
        with contextlib.suppress(OSError):  # who has ended says so below
            stdin.write(json.dumps(message, ensure_ascii=True).encode() + b"\n")
            stdin.flush()
        if "id" not in message or "method" not in message:
            return []
        messages: list[Any] = []
        ends = time.monotonic() + self._timeout_s
        while len(messages) < _MOST_MESSAGES:
            try:
                line = self._lines.get(timeout=max(0.0, ends - time.monotonic()))
            except queue.Empty:
                self.close()
                self._over = f"{self._name}: gave no whole answer within {self._timeout_s:g} s"
                raise TargetFailedError(self._over, gone=True) from None
            if not line:
                self._over = self._ended()
                raise TargetFailedError(self._over, gone=True)
            if not line.strip():
                continue
            try:
                value = concealed(json.loads(line), ())
            except (ValueError, RecursionError):
                shown = " ".join(line[:4000].decode("utf-8", "replace").split())[:_SHOWN]
                raise TargetFailedError(
                    f"{self._name}: wrote a line that is no JSON, it starts with {shown!r}"
                ) from None
            messages += value if isinstance(value, list) else [value]
            if any(isinstance(one, dict) and one.get("id") == message["id"] and "method" not in one
                   for one in messages):  # fmt: skip
                return messages
        raise TargetFailedError(f"{self._name}: sends messages without end")

    def close(self) -> None:
        """End the command and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()

    def _ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._noting.join(2)  # what it said last is read by then
        shown = " ".join(self._errors.decode("utf-8", "replace").split())[-_SHOWN:]
        return f"{self._name}: ended with {self._process.returncode}{f': {shown}' if shown else ''}"

    def _read(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := stream.readline(_LONGEST):
                self._lines.put(line)
        self._lines.put(b"")

    def _note(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := stream.read1(1 << 16):  # type: ignore[attr-defined]
                self._errors = (self._errors + piece)[-4096:]


class Session:
    """One session. `asked` are the methods that the server asked of us, unasked."""

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire = wire
        self._name = name
        self._number = 0
        self.asked: list[str] = []
        self.capabilities: Mapping[str, Any] = {}
        self.instructions = ""

    def close(self) -> None:
        """End it."""
        self._wire.close()

    def begin(self) -> None:
        """Initialize. Raises TargetFailedError, RefusedError."""
        result = self.request(
            "initialize",
            {
                "protocolVersion": VERSION, "capabilities": {},
                "clientInfo": {"name": "tavo", "version": __version__},
            },
        )  # fmt: skip
        found = result.get("capabilities")
        self.capabilities = found if isinstance(found, dict) else {}
        said = result.get("instructions")
        self.instructions = said if isinstance(said, str) else ""
        self._wire.exchange({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask one thing; return the result. Raises TargetFailedError, RefusedError."""
        self._number += 1
        number = self._number
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        answer: Mapping[str, Any] | None = None
        for one in self._wire.exchange(message):
            if not isinstance(one, dict):
                continue
            if isinstance(one.get("method"), str):
                if "id" in one and len(self.asked) < _MOST_MESSAGES:
                    self.asked.append(one["method"][:100])
                continue
            if one.get("id") == number and answer is None:
                answer = one
        if answer is None:
            raise TargetFailedError(f"{self._name}: did not answer {method}")
        error = answer.get("error")
        if error is not None:
            said = error.get("message") if isinstance(error, dict) else error
            data = error.get("data") if isinstance(error, dict) else None
            more = "" if data is None else f" {json.dumps(data, ensure_ascii=False)}"
            raise RefusedError(f"{said}{more}")
        result = answer.get("result")
        if not isinstance(result, dict):
            raise TargetFailedError(
                f"{self._name}: answered {method} with neither result nor error"
            )
        return result
