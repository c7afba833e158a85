"""Serving a static plugin: files out of the arena, findings in frames within the limit.

Rules this module keeps:
- the files of a request lie in the arena one behind the other; only their paths and lengths are
  in the message;
- files without findings are answered as ranges of numbers, the others as items;
- a cancelled call ends the request: what was not run is answered as such;
- standard library only.

Units: sizes in bytes.
"""

from __future__ import annotations

import errno
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from tavo.plugins.frames import FLUSH_EVERY_S, MOST_FINDINGS_PER_FILE, MOST_FROM_WORKER
from tavo.plugins.interfaces import StaticAnalysisPlugin
from tavo.plugins.plain import finding_to_plain
from tavo.plugins.raised import one_of
from tavo.plugins.serve.calls import Calls
from tavo.plugins.types import Finding

__all__ = ["ServedStatic"]

_ROOM_FOR_ENVELOPE = 4096
_FLUSH_BYTES = 256 << 10


class ServedStatic:
    """A static plugin on the worker's side."""

    requests = frozenset({"analyze", "project"})

    def __init__(
        self,
        plugin: StaticAnalysisPlugin,
        *,
        arena: int,
        calls: Calls,
        write: Callable[[bytes], None],
    ) -> None:
        self._plugin = plugin
        self._arena = arena
        self._calls = calls
        self._write = write

    def ready(self) -> dict[str, Any]:
        """Return what the plugin declares."""
        return {
            "languages": sorted(self._plugin.languages),
            "analyzes": _overridden(type(self._plugin)),
        }

    def answer(self, message: dict[str, Any]) -> None:
        """Answer `analyze` or `project`."""
        answer = _Answer(message["id"], self._write)
        if message["type"] == "project":
            paths = [PurePosixPath(path) for path in message["paths"]]

            def call() -> Iterable[Finding]:
                found = self._plugin.analyze_project(paths)
                return one_of(found, "analyze_project", "findings")

            self._call(answer, 0, call, paths)
        else:
            self._files(answer, message)
        answer.finish()

    def _files(self, answer: _Answer, message: dict[str, Any]) -> None:
        offset = message["offset"]
        binary = frozenset(message["binary"])
        stopped = False
        for number, (name, length) in enumerate(
            zip(message["paths"], message["lengths"], strict=True)
        ):
            if stopped:
                answer.add(_item(number, error={"kind": "not_run", "message": ""}))
            else:
                stopped = self._file(answer, number, name, offset, length, number in binary)
                answer.flush()
            offset += length

    def _file(
        self, answer: _Answer, number: int, name: str, offset: int, length: int, is_binary: bool
    ) -> bool:
        path = PurePosixPath(name)

        def call() -> Iterable[Finding]:
            if is_binary:
                stream = _ArenaFile(self._arena, offset, length)
                found = self._plugin.analyze_binary(path, cast(BinaryIO, io.BufferedReader(stream)))
                return one_of(found, "analyze_binary", "findings")
            found = self._plugin.analyze_file(path, _read(self._arena, offset, length).decode())
            return one_of(found, "analyze_file", "findings")

        return self._call(answer, number, call, (path,))

    def _call(
        self,
        answer: _Answer,
        number: int,
        call: Callable[[], Iterable[Finding]],
        paths: Sequence[PurePosixPath],
    ) -> bool:
        """Add what one call gives to the answer; tell whether the host cancelled it.

        `paths` are the files that it is about, numbered from `number`.
        """
        findings: list[dict[str, Any]] = []
        numbers: dict[PurePosixPath, int] = {}
        capped = False

        def collect() -> None:
            nonlocal capped
            for finding in call():
                if not numbers:  # most files have no findings
                    numbers.update((path, number + n) for n, path in enumerate(paths))
                if len(findings) >= MOST_FINDINGS_PER_FILE:
                    capped = True
                    break
                findings.append(finding_to_plain(finding, numbers))

        _, error = self._calls.guarded(answer.request, collect)
        if findings or error or capped:
            answer.add(_item(number, findings=findings, error=error, capped=capped))
        else:
            answer.add_clean(number)
        return error is not None and error["kind"] == "cancelled"


class _Answer:
    """Collects the items of one answer and sends them in frames within the limit."""

    def __init__(self, request: int, write: Callable[[bytes], None]) -> None:
        self.request = request
        self._write = write
        self._parts: list[bytes] = []
        self._clean: list[list[int]] = []
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

    def add_clean(self, number: int) -> None:
        """Note a file without findings."""
        if self._clean and self._clean[-1][1] == number - 1:
            self._clean[-1][1] = number
        else:
            self._clean.append([number, number])
            self._size += 32

    def flush(self) -> None:
        """Send what is there if it is much or old."""
        if time.monotonic() - self._flushed > FLUSH_EVERY_S or self._size > _FLUSH_BYTES:
            self._send("partial")

    def finish(self) -> None:
        self._send("result")

    def _send(self, kind: str) -> None:
        head = f'{{"type":"{kind}","id":{self.request},"clean":{_dump_plain(self._clean)},"items":['
        body = head.encode() + b",".join(self._parts) + b"]}"
        self._write(len(body).to_bytes(4, "big") + body)
        self._parts, self._clean = [], []
        self._size, self._flushed = 0, time.monotonic()


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


def _read(arena: int, offset: int, length: int) -> bytes:
    """Return a stretch of the arena; the kernel gives at most 2 GB at once."""
    data = os.pread(arena, length, offset)
    if len(data) == length:
        return data
    pieces = [data]
    done = len(data)
    while done < length and (piece := os.pread(arena, length - done, offset + done)):
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)


def _overridden(cls: type[StaticAnalysisPlugin]) -> list[str]:
    names = {"text": "analyze_file", "binary": "analyze_binary", "project": "analyze_project"}
    return [
        kind
        for kind, name in names.items()
        if getattr(cls, name) is not getattr(StaticAnalysisPlugin, name)
    ]


def _item(
    number: int,
    *,
    findings: Sequence[dict[str, Any]] = (),
    error: dict[str, Any] | None = None,
    capped: bool = False,
) -> dict[str, Any]:
    return {"n": number, "findings": list(findings), "error": error, "capped": capped}


def _dump(item: dict[str, Any]) -> bytes:
    return _dump_plain(item).encode("utf-8", "replace")


def _dump_plain(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
