"""Static plugins at work: batches of files in, judged findings and named failures out.

Rules this module keeps:
- the worker starts when the first file is there for it, and stays for the whole run;
- a batch whose worker died is repeated file by file, so that one file is to blame; everything else
  is still analysed;
- each file that was handed in comes back with findings or with a failure, never with neither.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from tavo.host.answers import check_item, clean
from tavo.host.batches import (
    BatchResult,
    Failure,
    FileInput,
    FileKind,
    Statistics,
    grouped,
    is_utf8,
    lines_of_input,
    split_lines,
)
from tavo.host.bounds import Cancel
from tavo.host.hosted import BY_ITSELF, HostedPlugin
from tavo.host.installations import VerifiedInstallation
from tavo.host.messages import Item, Message, Partial, Ready, Result, ViolationError
from tavo.host.session import CrashError
from tavo.plugins.types import Finding

if TYPE_CHECKING:
    from tavo.detect.literals import AnyOf

__all__ = ["BatchResult", "Failure", "FileInput", "StaticWorker", "Statistics"]

_NOT_RUN = "not_run"


@dataclass(slots=True)
class _Batch:
    """The state of one call of `analyze`."""

    findings: dict[PurePosixPath, tuple[Finding, ...]] = field(default_factory=dict)
    failures: dict[PurePosixPath, Failure] = field(default_factory=dict)


class StaticWorker(HostedPlugin):
    """Runs one static plugin over the files of one run."""

    plugin_type: ClassVar[str] = "static"

    def __init__(self, installation: VerifiedInstallation, **options: Any) -> None:
        """Prepare to run the plugin; nothing is started yet. Raises as `HostedPlugin` does."""
        super().__init__(installation, **options)
        self._languages = frozenset(self._manifest.languages)
        patterns = [fnmatch.translate(p.lower()) for p in self._manifest.file_patterns]
        self._patterns = re.compile("|".join(patterns)) if patterns else None
        self._literals: AnyOf | None = None
        if self._manifest.literals:
            from tavo.detect.literals import AnyOf

            self._literals = AnyOf(self._manifest.literals)
        self._analyzes: frozenset[str] | None = None

    @property
    def looks_at(self) -> frozenset[str]:
        """Return what it looks at, of `text`, `binary`, `project`; empty before it started."""
        return self._analyzes or frozenset()

    @property
    def has_languages(self) -> bool:
        """Tell whether the language of a file matters to `wants`."""
        return bool(self._languages)

    def wants(self, path: PurePosixPath, language: str = "") -> FileKind | None:
        """Say how the plugin wants a file: as text, as its bytes, or not at all.

        `language` is the language of a text file, empty where it is not known.
        """
        if self._patterns and self._patterns.match(path.name.lower()):
            return "binary"
        if self._analyzes is not None and not self._analyzes & {"text", "project"}:
            return None  # who looks at the project is told of every file
        if self._languages:
            return "text" if language.lower() in self._languages else None
        return None if self._manifest.file_patterns else "text"

    def may_find_in(self, data: bytes | memoryview) -> bool:
        """Tell whether a file that it wants holds what the plugin says that its findings need."""
        return self._literals is None or self._literals.is_in(data)

    def analyze(self, batch: Sequence[FileInput]) -> BatchResult:
        """Have the files analysed; every path must be there once.

        Raises SandboxUnavailableError and ConfigError before anything ran. Whatever goes wrong
        with the plugin itself is a failure in the result.
        """
        if len({item.path for item in batch}) != len(batch):
            raise ValueError("a batch holds a path twice")
        state = _Batch()
        with self._metered():
            for group in grouped(batch):
                self._analyze_group(group, state)
        for item in batch:
            if item.path not in state.findings and item.path not in state.failures:
                state.findings[item.path] = ()
        self.statistics.files += len(batch)
        self.statistics.findings += sum(len(found) for found in state.findings.values())
        self.statistics.skipped += len(state.failures)
        return BatchResult(findings=state.findings, failures=state.failures)

    def analyze_project(
        self,
        files: Sequence[PurePosixPath],
        read: Callable[[PurePosixPath], bytes | None] = lambda _: None,
    ) -> BatchResult:
        """Have the project as a whole analysed, after all its files.

        `read` gives the UTF-8 text of one of the files for its code lines. A failure of the call
        is filed under the path `.`.
        """
        state = _Batch()
        with self._metered():
            self._analyze_project(files, read, state)
        self.statistics.findings += sum(len(found) for found in state.findings.values())
        self.statistics.skipped += len(state.failures)
        return BatchResult(findings=state.findings, failures=state.failures)

    def _analyze_group(self, group: Sequence[FileInput], state: _Batch) -> None:
        pending = list(group)
        for item in group:
            if item.kind == "text" and not is_utf8(item.data):
                state.failures[item.path] = Failure(kind="not_text", reason="it is not UTF-8 text")
                pending.remove(item)
        suspects: list[FileInput] = []
        counted = False  # whether the death that made them suspects is in the count already
        while pending or suspects:
            asked = suspects[:1] or pending
            if not self._can_go_on():
                break
            done, crash = self._ask(asked, state)
            rest = [item for item in asked if item.path not in done]
            if suspects:
                suspects.pop(0)
                if crash is None:
                    suspects = rest + suspects  # cancelled before its turn: once more
                    continue
                self._blame(asked[0], crash, state)
                if not counted:
                    self._count_crash(crash)
                counted = False
            elif crash is None:
                pending = rest
            else:
                # where all was answered before it died, any of them may have been the reason
                pending, suspects = [], list(rest or asked)
                self._count_crash(crash)
                counted = True
                if len(suspects) == 1:
                    self._blame(suspects.pop(), crash, state)
        for item in (*pending, *suspects):
            state.failures[item.path] = Failure(kind="disabled", reason=self.disabled)

    def _ask(
        self, asked: Sequence[FileInput], state: _Batch
    ) -> tuple[set[PurePosixPath], CrashError | None]:
        """Send one request. Return the files that are done with, and how the worker died if so."""
        assert self._session is not None  # noqa: S101
        assert self._arena is not None  # noqa: S101
        assert self._analyzes is not None  # noqa: S101
        done: set[PurePosixPath] = set()
        numbered = {}
        for number, item in enumerate(asked):
            if item.kind in self._analyzes:
                numbered[number] = item
            else:
                done.add(item.path)
        if not numbered:
            return done, None
        sent = list(numbered.values())
        self._arena.fill([item.data for item in sent])
        self.statistics.bytes_in += self._arena.size
        cancelled: list[FileInput] = []
        not_run: list[FileInput] = []
        waiting = set(range(len(sent)))

        def take(item: Item) -> None:
            asked_file = sent[item.n]
            checked = check_item(
                item,
                rules=self.rules,
                files={item.n: asked_file.path},
                lines_of=functools.cache(lambda _: lines_of_input(asked_file)),
            )
            error = item.error
            if error is not None and error.kind == _NOT_RUN:
                not_run.append(asked_file)
                return
            if error is not None and error.kind == "cancelled":
                cancelled.append(asked_file)
            elif error is not None:
                state.failures[asked_file.path] = self._failure(error)
            elif checked.problems:
                state.failures[asked_file.path] = Failure(
                    kind="invalid", reason=f"its answer is not valid: {checked.problems[0]}"
                )
            state.findings[asked_file.path] = checked.findings
            done.add(asked_file.path)

        def collect(message: Message) -> bool:
            answered = _answered(message, waiting)
            for number in answered.clean:
                done.add(sent[number].path)
            for item in answered.items:
                take(item)
            return answered.is_last

        content = {
            "offset": 0,
            "paths": [str(item.path) for item in sent],
            "lengths": [len(item.data) for item in sent],
            "binary": [n for n, item in enumerate(sent) if item.kind == "binary"],
        }
        crash: CrashError | None = None
        stop: Cancel | CrashError | None = None
        try:
            stop = self._request("analyze", content, collect)
        except CrashError as error:
            stop = crash = error
            self._end_session()
        for item in cancelled:
            state.failures[item.path] = (
                BY_ITSELF if stop is None else Failure(kind=stop.kind, reason=stop.reason)
            )
        if stop is None:  # asked again it would say the same again
            for item in not_run:
                state.failures[item.path] = BY_ITSELF
                done.add(item.path)
        return done, crash

    def _analyze_project(
        self,
        files: Sequence[PurePosixPath],
        read: Callable[[PurePosixPath], bytes | None],
        state: _Batch,
    ) -> None:
        whole = PurePosixPath(".")
        if self._analyzes is not None and "project" not in self._analyzes:
            return
        if not self._can_go_on():
            state.failures[whole] = Failure(kind="disabled", reason=self.disabled)
            return
        assert self._analyzes is not None  # noqa: S101
        if "project" not in self._analyzes:
            return
        numbers = dict(enumerate(files))
        cache: dict[int, Sequence[str] | None] = {}

        def lines_of(number: int) -> Sequence[str] | None:
            if number not in cache:
                data = read(numbers[number])
                cache[number] = None if data is None else split_lines(data)
            return cache[number]

        waiting = {0}

        def collect(message: Message) -> bool:
            answered = _answered(message, waiting)
            for item in answered.items:
                take(item)
            return answered.is_last

        def take(item: Item) -> None:
            checked = check_item(item, rules=self.rules, files=numbers, lines_of=lines_of)
            for finding in checked.findings:
                path = finding.location.path
                state.findings[path] = (*state.findings.get(path, ()), finding)
            if item.error is not None:
                # where it was cancelled, the reason for that takes its place below
                state.failures[whole] = self._failure(item.error)
            elif checked.problems:
                state.failures[whole] = Failure(
                    kind="invalid", reason=f"its answer is not valid: {checked.problems[0]}"
                )

        try:
            content = {"paths": [str(path) for path in files]}
            if cancel := self._request("project", content, collect):
                state.failures[whole] = Failure(kind=cancel.kind, reason=cancel.reason)
        except CrashError as error:
            self._count_crash(error)
            self._end_session()
            state.failures[whole] = Failure(
                kind=error.kind, reason=error.reason, output=error.output
            )

    def _take(self, ready: Ready) -> None:
        self._analyzes = frozenset(ready.analyzes)
        if not self._analyzes:
            self.disabled = (
                "it defines none of analyze_file, analyze_binary and analyze_project, so it looks"
                " at nothing"
            )
        self._languages = self._languages or frozenset(clean(x, 40) for x in ready.languages)

    def _blame(self, item: FileInput, crash: CrashError, state: _Batch) -> None:
        state.findings.pop(item.path, None)
        state.failures[item.path] = Failure(
            kind=crash.kind, reason=crash.reason, output=crash.output
        )


@dataclass(frozen=True, slots=True)
class _Answered:
    items: Sequence[Item]
    clean: Sequence[int]
    is_last: bool


def _answered(message: Message, waiting: set[int]) -> _Answered:
    """Return what a message answers, and take it out of `waiting`. Raises ViolationError."""
    if not isinstance(message, Partial | Result):
        raise ViolationError(f"{type(message).__name__.lower()!r} as an answer about files")
    if len(message.items) + len(message.clean) > len(waiting):
        raise ViolationError(f"an answer with more items than the {len(waiting)} that were asked")
    if isinstance(message, Partial) and not message.items and not message.clean:
        raise ViolationError("a partial answer without items")
    clean_numbers: list[int] = []
    for first, last in message.clean:
        if last < first or len(clean_numbers) + last - first >= len(waiting):
            raise ViolationError(f"an answer for items {first} to {last}, which were not asked")
        clean_numbers += range(first, last + 1)
    for number in (*clean_numbers, *(item.n for item in message.items)):
        if number not in waiting:
            raise ViolationError(f"an answer for item {number}, which was not asked or twice")
        waiting.remove(number)
    is_last = isinstance(message, Result)
    if is_last and waiting:
        raise ViolationError(f"a result that leaves {len(waiting)} items unanswered")
    return _Answered(message.items, clean_numbers, is_last)
