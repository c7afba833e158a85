"""The kit's side inside the worker that builds a wheel: it calls a stranger's build backend.

Rules this module keeps:
- it is a static plugin itself, so that the sandbox, the limits and the protocol are those of every
  plugin; sources and tools come in as the bytes of one file, the wheel goes out as findings;
- what it answers is data from a stranger: the host judges the wheel as it would any other;
- a backend runs in this one process: nothing here can start another.

It runs under the name `main` of a plugin of its own, and never in tavo's own process. Standard
library only. Source: PEP 517 and PEP 660 hooks, as in the Python packaging specifications.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import locale
import os
import sys
import time
import traceback
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from tavo.plugins import (
    CancelledCall,
    Context,
    Finding,
    Location,
    Rule,
    Severity,
    StaticAnalysisPlugin,
)

__all__ = ["Builder"]

_ANSWER = "tavo-kit-built"
_CHUNK = 3_000
_MOST_PER_CALL = 1_300 * _CHUNK  # with what is around it, less than a frame
_LONGEST_TEXT = 4_000


class Builder(StaticAnalysisPlugin):
    """Builds one wheel under the conditions that its configuration says."""

    rules = (Rule(id=_ANSWER, title="The builder's answer", severity=Severity.INFO),)

    def start(self, context: Context) -> None:
        """Note where to work and under which conditions."""
        self._conditions: Mapping[str, Any] = context.config
        self._work = str(context.work_directory)
        self._answer = ""
        self._sent = 0

    def analyze_binary(self, file_path: PurePosixPath, content: BinaryIO) -> Iterable[Finding]:
        """Unpack the first file and build; answer that, and what comes after, in pieces.

        A piece starts with the length of the whole answer and its own place. What one call may
        answer is bounded, so the host calls again until it has everything.
        """
        if self._sent == 0:
            self._answer = json.dumps(self._attempt(content))
        end = min(self._sent + _MOST_PER_CALL, len(self._answer))
        for start in range(self._sent, end, _CHUNK):
            piece = self._answer[start : min(start + _CHUNK, end)]
            yield Finding(
                rule_id=_ANSWER,
                message=f"{len(self._answer):012d}{start:012d}{piece}",
                severity=Severity.INFO,
                location=Location(path=file_path),
            )
        self._sent = end

    def _attempt(self, content: BinaryIO) -> dict[str, Any]:
        said = _Said()
        sys.stdout = sys.stderr = said
        try:
            answer = self._build(content)
        except CancelledCall:
            raise
        except BaseException as error:  # noqa: BLE001
            last = "".join(traceback.format_exception_only(error)).strip()
            answer = {"error": last[-_LONGEST_TEXT:] or type(error).__name__}
        answer["said"] = said.text[-_LONGEST_TEXT:]
        return answer

    def _build(self, content: BinaryIO) -> dict[str, Any]:
        conditions = self._conditions
        os.umask(conditions["umask"])
        self._unpack(content)
        source = os.path.join(self._work, conditions["folder"])
        tools = os.path.join(self._work, "tools")
        out = os.path.join(self._work, "out")
        os.mkdir(out)
        os.environ.update(conditions["environment"])
        time.tzset()
        _set_clock_ahead(conditions["ahead_s"])
        _let_files_be_touched()
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
        os.chdir(source)
        sys.path[:0] = [*(os.path.join(source, part) for part in conditions["path"]), tools]
        sys.argv[:] = ["build"]
        importlib.invalidate_caches()
        backend = _backend(conditions["backend"])
        asked: Any = getattr(backend, "get_requires_for_build_wheel", lambda _: [])(None)
        missing = [str(one) for one in asked if str(one) not in conditions["settled"]]
        if missing:
            return {"missing": missing}
        name = os.path.basename(str(backend.build_wheel(out, None)))
        with open(os.path.join(out, name), "rb") as stream:
            data = stream.read(conditions["largest"] + 1)
        if len(data) > conditions["largest"]:
            return {"error": f"the wheel is larger than {conditions['largest'] >> 20} MB"}
        return {
            "wheel": name,
            "data": base64.b64encode(data).decode(),
        }

    def _unpack(self, content: BinaryIO) -> None:
        """Write what the host has packed and checked: `source/…` and `tools/…`."""
        os.mkdir(os.path.join(self._work, "tools"))
        with zipfile.ZipFile(content) as archive:
            names = archive.namelist()
            for name in reversed(names) if self._conditions["reversed"] else names:
                part, _, inner = name.partition("/")
                folder = self._conditions["folder"] if part == "source" else "tools"
                path = os.path.join(self._work, folder, inner)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as stream:
                    stream.write(archive.read(name))


class _Said(io.TextIOBase):
    """Keeps the end of what is printed."""

    def __init__(self) -> None:
        self.text = ""
        self.buffer = _SaidBytes(self)

    def write(self, text: str) -> int:
        self.text = (self.text + str(text)[-_LONGEST_TEXT:])[-_LONGEST_TEXT:]
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False


class _SaidBytes(io.RawIOBase):
    def __init__(self, text: _Said) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        self._text.write(bytes(data[-_LONGEST_TEXT:]).decode("utf-8", "replace"))
        return len(data)

    def writable(self) -> bool:
        return True


def _backend(named: str) -> Any:
    module, _, path = named.partition(":")
    found: Any = importlib.import_module(module)
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    return found


def _set_clock_ahead(seconds: int) -> None:
    """Let Python's clocks tell a later time; a wheel that holds the time then differs."""
    if not seconds:
        return
    real, real_ns = time.time, time.time_ns
    real_gm, real_local = time.gmtime, time.localtime
    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + seconds * 10**9

    def gmtime(when: Any = None) -> time.struct_time:
        return real_gm(time.time() if when is None else when)

    def localtime(when: Any = None) -> time.struct_time:
        return real_local(time.time() if when is None else when)

    time.gmtime, time.localtime = gmtime, localtime


def _let_files_be_touched() -> None:
    """Let `os.utime` without times do nothing: the sandbox refuses it, and setuptools calls it."""
    real = os.utime

    def utime(path: Any, times: Any = None, **options: Any) -> None:
        if times is None and not options:
            os.stat(path)
        else:
            real(path, times, **options)

    os.utime = utime
