"""The worker's side of `tavo-worker/1`: one plugin, one process, one request at a time.

Rules this module keeps:
- it starts when the sandbox is on; `configure` is the first message that names plugin code;
- every request is answered exactly once, also after a cancel;
- a message out of turn ends the process: the host would not have sent it;
- nothing that the plugin raises ends the loop, except an exit of the whole process;
- standard library only.

What this module checks serves honest plugins. The host believes none of it and checks again.
Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any, BinaryIO, NoReturn, cast

from tavo.plugins.errors import CancelledCall, ConfigError
from tavo.plugins.frames import (
    FLUSH_EVERY_S,
    MOST_FINDINGS_PER_FILE,
    MOST_FROM_HOST,
    MOST_FROM_WORKER,
    FrameReader,
    decode,
    encode,
)
from tavo.plugins.interfaces import Context, StaticAnalysisPlugin
from tavo.plugins.types import Finding, Location, Rule

__all__ = ["PROTOCOL_EXIT", "Worker"]

PROTOCOL_EXIT = 98
_ROOM_FOR_ENVELOPE = 4096
_FLUSH_BYTES = 256 << 10
_LONGEST_TEXT = 4096
_LONGEST_TRACEBACK = 8192
_MOST_STEPS = 256
_MOST_EVIDENCE = 64


class Worker:
    """Serves one host over the file descriptor `channel`; content lies in `arena`."""

    def __init__(self, *, channel: int, arena: int, work_directory: Path) -> None:
        self._channel = channel
        self._arena = arena
        self._work_directory = work_directory
        self._reader = FrameReader(MOST_FROM_HOST)
        self._plugin: StaticAnalysisPlugin | None = None
        self._in_call = False
        self._answered = 0

    def run(self) -> None:
        """Answer the host until it says shutdown or closes its end."""
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, self._cancel)
        while (message := self.receive()) is not None:
            kind = message["type"]
            if kind == "shutdown":
                self._shutdown()
                return
            if kind == "configure" and self._plugin is None:
                if not self._configure(message):
                    return
            elif kind in {"analyze", "project"} and self._plugin is not None:
                if message["id"] != self._answered + 1:
                    _violation(f"request {message['id']} after {self._answered}")
                self._answer(message)
                self._answered = message["id"]
            elif kind == "cancel" and message["id"] <= self._answered:
                continue  # it crossed our answer on its way
            else:
                _violation(f"{kind} is out of turn")

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next message; None when the host has closed its end."""
        while (body := self._reader.take()) is None:
            data = os.read(self._channel, 1 << 20)
            if not data:
                return None
            self._reader.feed(data)
        return decode(body)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the host."""
        self._write(encode(message, limit=MOST_FROM_WORKER))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._channel, view) :]

    def _cancel(self, _signal: int, _frame: FrameType | None) -> None:
        if self._in_call:
            self._in_call = False
            raise CancelledCall

    def _configure(self, message: dict[str, Any]) -> bool:
        began = time.monotonic()
        try:
            self._plugin = _load(
                message["entry_point"], message["plugin_folder"], message["dependency_folders"]
            )
            context = Context(config=message["config"], work_directory=self._work_directory)
            self._plugin.start(context)
            ready = {
                "type": "ready",
                "rules": [_rule(rule) for rule in self._plugin.rules],
                "languages": sorted(self._plugin.languages),
                "analyzes": _overridden(type(self._plugin)),
                "start_ms": round((time.monotonic() - began) * 1000),
            }
            self.send(ready)
        except BaseException as error:  # noqa: BLE001
            kind = "config" if isinstance(error, ConfigError) else "start"
            self.send({"type": "failed", "kind": kind, **_describe(error)})
            return False
        return True

    def _shutdown(self) -> None:
        if self._plugin is not None:
            try:
                self._plugin.stop()
            except BaseException as error:  # noqa: BLE001
                sys.stderr.write(f"error: stop: {_describe(error)['message']}\n")
        self.send({"type": "bye"})

    def _answer(self, message: dict[str, Any]) -> None:
        answer = _Answer(message["id"], self._write)
        if message["type"] == "project":
            paths = [PurePosixPath(path) for path in message["paths"]]
            numbers = {path: number for number, path in enumerate(paths)}
            item, _ = self._call(0, lambda plugin: plugin.analyze_project(paths), numbers)
            answer.add(item)
        else:
            stopped = False
            for asked in message["items"]:
                if stopped:
                    answer.add(_item(asked["n"], error={"kind": "not_run", "message": ""}))
                    continue
                item, stopped = self._call_file(asked)
                answer.add(item)
                answer.flush()
        answer.finish()

    def _call_file(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        path = PurePosixPath(asked["path"])
        offset, length = asked["offset"], asked["length"]

        def call(plugin: StaticAnalysisPlugin) -> Iterable[Finding]:
            stream = _ArenaFile(self._arena, offset, length)
            if asked["kind"] == "binary":
                return plugin.analyze_binary(path, cast(BinaryIO, io.BufferedReader(stream)))
            return plugin.analyze_file(path, stream.readall().decode("utf-8"))

        return self._call(asked["n"], call, {path: asked["n"]})

    def _call(
        self,
        number: int,
        call: Callable[[StaticAnalysisPlugin], Iterable[Finding]],
        numbers: Mapping[PurePosixPath, int],
    ) -> tuple[dict[str, Any], bool]:
        """Return the item that answers one call, and whether the host cancelled it."""
        assert self._plugin is not None  # noqa: S101
        findings: list[dict[str, Any]] = []
        error: dict[str, Any] | None = None
        capped = cancelled = False
        try:
            self._in_call = True
            for finding in call(self._plugin):
                if len(findings) >= MOST_FINDINGS_PER_FILE:
                    capped = True
                    break
                findings.append(_finding(finding, numbers))
            self._in_call = False
        except CancelledCall:
            cancelled = True
            error = {"kind": "cancelled", "message": ""}
        except BaseException as problem:  # noqa: BLE001
            error = {"kind": "raised", **_describe(problem)}
        finally:
            self._in_call = False
        return _item(number, findings=findings, error=error, capped=capped), cancelled


class _Answer:
    """Collects the items of one answer and sends them in frames within the limit."""

    def __init__(self, request: int, write: Callable[[bytes], None]) -> None:
        self._request = request
        self._write = write
        self._parts: list[bytes] = []
        self._size = 0
        self._flushed = time.monotonic()

    def add(self, item: dict[str, Any]) -> None:
        data = _dump(item)
        room = MOST_FROM_WORKER - _ROOM_FOR_ENVELOPE
        if len(data) > room:
            error = {"kind": "output", "message": f"{len(data)} bytes of findings"}
            data = _dump(_item(item["n"], error=error))
        if self._size + len(data) > room:
            self._send("partial")
        self._parts.append(data)
        self._size += len(data) + 1

    def flush(self) -> None:
        """Send what is there if it is much or old."""
        late = time.monotonic() - self._flushed > FLUSH_EVERY_S
        if self._parts and (late or self._size > _FLUSH_BYTES):
            self._send("partial")

    def finish(self) -> None:
        self._send("result")

    def _send(self, kind: str) -> None:
        head = f'{{"type":"{kind}","id":{self._request},"items":['.encode()
        body = head + b",".join(self._parts) + b"]}"
        self._write(len(body).to_bytes(4, "big") + body)
        self._parts, self._size, self._flushed = [], 0, time.monotonic()


class _ArenaFile(io.RawIOBase):
    """A stretch of the arena as a file. Reading never moves a shared position."""

    def __init__(self, arena: int, offset: int, length: int) -> None:
        self._arena = arena
        self._offset = offset
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        if start + offset < 0:
            # what a file of the system says; zipfile, for one, waits for it
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(self._length - self._position, 0))
        if not wanted:
            return 0
        data = os.pread(self._arena, wanted, self._offset + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        pieces = []
        while piece := self.read(1 << 24):
            pieces.append(piece)
        return b"".join(pieces)


def _load(entry_point: str, folder: str, dependencies: Sequence[str]) -> StaticAnalysisPlugin:
    sys.path[:0] = [folder]
    sys.path += dependencies
    module_name, _, class_name = entry_point.partition(":")
    value = getattr(importlib.import_module(module_name), class_name, None)
    if not (isinstance(value, type) and issubclass(value, StaticAnalysisPlugin)):
        raise TypeError(f"{entry_point} is not a subclass of tavo.plugins.StaticAnalysisPlugin")
    for rule in value.rules:
        if not isinstance(rule, Rule):
            raise TypeError(f"{class_name}.rules holds {rule!r}, expected tavo.plugins.Rule")
    return value()


def _overridden(cls: type[StaticAnalysisPlugin]) -> list[str]:
    names = {"text": "analyze_file", "binary": "analyze_binary", "project": "analyze_project"}
    return [
        kind
        for kind, name in names.items()
        if getattr(cls, name) is not getattr(StaticAnalysisPlugin, name)
    ]


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id, "title": rule.title, "severity": rule.severity.value,
        "confidence": rule.confidence.value, "description": rule.description, "help": rule.help,
        "cwe": list(rule.cwe), "owasp": list(rule.owasp), "tags": list(rule.tags),
        "references": list(rule.references),
    }  # fmt: skip


def _item(
    number: int,
    *,
    findings: Sequence[dict[str, Any]] = (),
    error: dict[str, Any] | None = None,
    capped: bool = False,
) -> dict[str, Any]:
    return {"n": number, "findings": list(findings), "error": error, "capped": capped}


def _finding(finding: object, numbers: Mapping[PurePosixPath, int]) -> dict[str, Any]:
    if not isinstance(finding, Finding):
        raise TypeError(f"yielded {_clip(repr(finding), 200)}, expected tavo.plugins.Finding")
    return {
        "rule": finding.rule_id,
        "message": _clip(finding.message),
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "at": _location(finding.location, numbers),
        "evidence": {_clip(k, 200): _clip(v) for k, v in _first(finding.evidence.items())},
        "flow": [
            {"at": _location(step.location, numbers), "message": _clip(step.message)}
            for step in finding.flow[:_MOST_STEPS]
        ],
        "fix": None if finding.fix is None else _clip(finding.fix),
    }


def _first(items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for count, item in enumerate(items):
        if count >= _MOST_EVIDENCE:
            return
        yield item


def _location(location: Location, numbers: Mapping[PurePosixPath, int]) -> dict[str, Any]:
    number = numbers.get(location.path)
    if number is None:
        raise ValueError(f"a finding is about {location.path}, which this call was not given")
    region = location.region
    return {
        "file": number,
        "region": None
        if region is None
        else [region.start_line, region.start_column, region.end_line, region.end_column],
    }


def _describe(error: BaseException) -> dict[str, Any]:
    """Say what was raised, with the end of its traceback."""
    if isinstance(error, ConfigError):
        return {"message": _clip(str(error)), "traceback": ""}
    try:
        import traceback

        lines = "".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:]
        message = _clip(f"{type(error).__name__}: {error}", 1000)
    except BaseException:  # noqa: BLE001
        lines, message = "", type(error).__name__
    return {"message": message, "traceback": lines}


def _clip(text: str, limit: int = _LONGEST_TEXT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _dump(item: dict[str, Any]) -> bytes:
    text = json.dumps(item, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _violation(problem: str) -> NoReturn:
    sys.stderr.write(f"tavo-worker/1: {problem}\n")
    sys.stderr.flush()
    os._exit(PROTOCOL_EXIT)
