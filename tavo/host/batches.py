"""What goes into a static plugin and what comes out: files, findings, failures, figures.

Rules this module keeps:
- a file that was handed in has findings or a failure in the result, never neither;
- a batch is bounded in files and in bytes, except that one file may be larger.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from tavo.plugins.types import Finding, Location

__all__ = [
    "BatchResult",
    "Failure",
    "FileInput",
    "FileKind",
    "Meter",
    "Statistics",
    "grouped",
    "is_utf8",
    "lines_of_input",
    "split_lines",
]

FileKind = Literal["text", "binary"]

_MOST_FILES_PER_BATCH = 256
_MOST_BYTES_PER_BATCH = 16 << 20


class FileInput(msgspec.Struct, frozen=True, kw_only=True):
    """One file for a plugin: its path in the scan, and its content.

    `data` is UTF-8 for `text`, which the caller has decoded, and the file's own bytes for
    `binary`. It may be any buffer, such as a memory map.
    """

    path: PurePosixPath
    data: bytes | memoryview
    kind: FileKind = "text"

    def __post_init__(self) -> None:
        text = str(self.path)
        if text[0] == "/" or text == "." or ".." in text or "\0" in text:
            Location(path=self.path)  # says what is wrong, if it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a file was not analysed, or not completely.

    `kind` is `raised`, `timeout`, `cpu`, `memory`, `crashed`, `sandbox`, `protocol`, `output`,
    `input`, `scratch`, `threads`, `start`, `total`, `disabled`, `invalid` or `not_text`; `reason`
    is a clause that starts with "it"; `output` is the end of a traceback or of what the plugin
    printed.
    """

    kind: str
    reason: str
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """Findings and failures by path. A file may have both."""

    findings: Mapping[PurePosixPath, tuple[Finding, ...]]
    failures: Mapping[PurePosixPath, Failure]


@dataclass(slots=True, kw_only=True)
class Statistics:
    """What a plugin cost and did, by the counters of the host and the kernel.

    `host_cpu_s` is our own processor time for it, `starter_cpu_s` that of the thread that starts
    its processes, `worker_cpu_s` that of its processes, `wall_s` how long we waited, `peak_memory`
    the largest of its processes.
    """

    calls: int = 0
    files: int = 0
    findings: int = 0
    skipped: int = 0
    crashes: int = 0
    starts: int = 0
    host_cpu_s: float = 0.0
    starter_cpu_s: float = 0.0
    worker_cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory: int = 0
    bytes_in: int = 0


class Meter:
    """Adds our own processor time to the statistics."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def __enter__(self) -> None:
        self._began = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._statistics.host_cpu_s += time.thread_time() - self._began


def grouped(batch: Sequence[FileInput]) -> Iterator[list[FileInput]]:
    """Cut what the caller handed in into requests of a bounded size."""
    group: list[FileInput] = []
    size = 0
    for item in batch:
        if group and (
            len(group) >= _MOST_FILES_PER_BATCH or size + len(item.data) > _MOST_BYTES_PER_BATCH
        ):
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item.data)
    if group:
        yield group


def lines_of_input(item: FileInput) -> Sequence[str] | None:
    """Return the lines of a text file, None for a file that has none."""
    return split_lines(item.data) if item.kind == "text" else None


def split_lines(data: bytes | memoryview) -> Sequence[str]:
    """Return the lines of a UTF-8 text; they end with a line feed, as plugins are told."""
    text = bytes(data).decode("utf-8", "replace")
    return [line.removesuffix("\r") for line in text.split("\n")]


def is_utf8(data: bytes | memoryview) -> bool:
    """Tell whether the bytes are UTF-8."""
    data = bytes(data)
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
