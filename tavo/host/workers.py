"""Static plugins at work: batches of files in, judged findings and named failures out.

Rules this module keeps:
- only an installation that was verified just now is run, and only a granted one;
- the worker starts when the first file is there for it, and stays for the whole run;
- a batch whose worker died is repeated file by file, so that one file is to blame; everything else
  is still analysed;
- three deaths disable the plugin for the run; so does the end of its total time;
- each file that was handed in comes back with findings or with a failure, never with neither.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from marketplace_db.manifest import Limits
from tavo.errors import ConfigError, NotAvailableError, RefusedError
from tavo.host.answers import Item, check_item, check_rules, clean
from tavo.host.arena import Arena
from tavo.host.batches import (
    BatchResult,
    Failure,
    FileInput,
    FileKind,
    Meter,
    Statistics,
    grouped,
    is_utf8,
    lines_of_input,
    split_lines,
)
from tavo.host.installations import VerifiedInstallation
from tavo.host.sandbox.levels import (
    LevelPolicy,
    SandboxLevel,
    SandboxUnavailableError,
    strongest_here,
)
from tavo.host.session import Cancel, CrashError, LayerRefusedError, Session, WorkerPlan
from tavo.plugins.types import Finding, Rule

__all__ = ["BatchResult", "Failure", "FileInput", "StaticWorker", "Statistics"]

_MOST_CRASHES = 3
_NOT_RUN = "not_run"


@dataclass(slots=True)
class _Batch:
    """The state of one call of `analyze`."""

    findings: dict[PurePosixPath, tuple[Finding, ...]] = field(default_factory=dict)
    failures: dict[PurePosixPath, Failure] = field(default_factory=dict)


class StaticWorker:
    """Runs one static plugin over the files of one run. Use it as a context manager.

    It may be used from one thread at a time.
    """

    def __init__(
        self,
        installation: VerifiedInstallation,
        *,
        python: Path | None = None,
        limits: Limits | None = None,
        policy: LevelPolicy | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare to run the plugin; nothing is started yet.

        Raises NotAvailableError for what this version cannot run, RefusedError when its
        permissions were not accepted, ConfigError.
        """
        manifest = installation.manifest
        _check_available(manifest.full_id, manifest.plugin_type, manifest.permissions)
        if not installation.granted:
            raise RefusedError(
                f"{manifest.full_id}: its permissions were not accepted",
                hint=f"`tavo registry install {manifest.full_id}` shows them and asks.",
            )
        self.full_id = manifest.full_id
        self.version = manifest.version
        self.statistics = Statistics()
        self.disabled = ""
        self.level: SandboxLevel | None = None
        self.rules: Mapping[str, Rule] = {}
        self._installation = installation
        self._manifest = manifest
        self._python = python or Path(sys.executable)
        self._limits = limits or manifest.limits
        self._policy = policy or LevelPolicy()
        self._config = _plain_config(manifest.full_id, config or {})
        self._languages = frozenset(manifest.languages)
        self._analyzes: frozenset[str] | None = None
        self._session: Session | None = None
        self._arena: Arena | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and self._session is not None:
            self._session.kill()
        self.close()

    def wants(self, path: PurePosixPath, language: str = "") -> FileKind | None:
        """Say how the plugin wants a file: as text, as its bytes, or not at all.

        `language` is the language of a text file, empty where it is not known.
        """
        name = path.name.lower()
        if any(fnmatch.fnmatchcase(name, p.lower()) for p in self._manifest.file_patterns):
            return "binary"
        if self._analyzes is not None and "text" not in self._analyzes:
            return None
        if self._languages:
            return "text" if language.lower() in self._languages else None
        return None if self._manifest.file_patterns else "text"

    def start(self) -> None:
        """Start the plugin now rather than with the first file; its rules are known afterwards.

        Raises SandboxUnavailableError, ConfigError; a plugin that does not start is `disabled`.
        """
        with self._metered():
            self._ensure_started()

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

    def close(self) -> None:
        """Stop the worker. The statistics are final afterwards."""
        with self._metered():
            self._end_session()
            if self._arena is not None:
                self._arena.close()
                self._arena = None

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

    def _can_go_on(self) -> bool:
        """Tell whether the plugin may be asked; start it if need be, disable it if it must be."""
        left = self._limits.wall_s_total - self.statistics.wall_s
        if not self.disabled and left <= 0:
            self.disabled = f"it used up its {self._limits.wall_s_total:g} s for the whole run"
        if not self.disabled:
            self._ensure_started()
        return not self.disabled

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
        offsets = self._arena.fill([item.data for item in numbered.values()])
        self.statistics.bytes_in += self._arena.size
        cancelled: list[FileInput] = []

        def collect(item: Item) -> None:
            asked_file = numbered[item.n]
            checked = check_item(
                item,
                rules=self.rules,
                files={item.n: asked_file.path},
                lines_of=functools.cache(lambda _: lines_of_input(asked_file)),
            )
            error = item.error
            if error is not None and error.kind == _NOT_RUN:
                return
            if error is not None and error.kind == "cancelled":
                cancelled.append(asked_file)
            elif error is not None:
                state.failures[asked_file.path] = _failure(error.kind, error.message,
                                                           error.traceback)  # fmt: skip
            elif checked.problems:
                state.failures[asked_file.path] = Failure(
                    kind="invalid", reason=f"its answer is not valid: {checked.problems[0]}"
                )
            state.findings[asked_file.path] = checked.findings
            done.add(asked_file.path)

        content = {
            "items": [
                {
                    "n": number, "path": str(item.path), "kind": item.kind,
                    "offset": offset, "length": len(item.data),
                }
                for (number, item), offset in zip(numbered.items(), offsets, strict=True)
            ]
        }  # fmt: skip
        crash: CrashError | None = None
        stop: Cancel | CrashError | None = None
        try:
            stop = self._request("analyze", content, set(numbered), collect)
        except CrashError as error:
            stop = crash = error
            self._end_session()
        for item in cancelled:
            state.failures[item.path] = (
                Failure(kind="raised", reason="it raised CancelledCall by itself")
                if stop is None
                else Failure(kind=stop.kind, reason=stop.reason)
            )
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

        def collect(item: Item) -> None:
            checked = check_item(item, rules=self.rules, files=numbers, lines_of=lines_of)
            for finding in checked.findings:
                path = finding.location.path
                state.findings[path] = (*state.findings.get(path, ()), finding)
            if item.error is not None and item.error.kind != "cancelled":
                state.failures[whole] = _failure(
                    item.error.kind, item.error.message, item.error.traceback
                )
            elif checked.problems:
                state.failures[whole] = Failure(
                    kind="invalid", reason=f"its answer is not valid: {checked.problems[0]}"
                )

        try:
            content = {"paths": [str(path) for path in files]}
            if cancel := self._request("project", content, {0}, collect):
                state.failures[whole] = Failure(kind=cancel.kind, reason=cancel.reason)
        except CrashError as error:
            self._count_crash(error)
            self._end_session()
            state.failures[whole] = Failure(
                kind=error.kind, reason=error.reason, output=error.output
            )

    def _request(
        self,
        kind: str,
        content: dict[str, Any],
        expected: set[int],
        collect: Callable[[Item], None],
    ) -> Cancel | None:
        assert self._session is not None  # noqa: S101
        self.statistics.calls += 1
        began = time.monotonic()
        left = self._limits.wall_s_total - self.statistics.wall_s
        try:
            return self._session.ask(
                kind, content, expected=expected, collect=collect, left_s=max(left, 0.0)
            )
        finally:
            self.statistics.wall_s += time.monotonic() - began

    def _blame(self, item: FileInput, crash: CrashError, state: _Batch) -> None:
        state.findings.pop(item.path, None)
        state.failures[item.path] = Failure(
            kind=crash.kind, reason=crash.reason, output=crash.output
        )

    def _count_crash(self, crash: CrashError) -> None:
        self.statistics.crashes += 1
        if self.statistics.crashes >= _MOST_CRASHES and not self.disabled:
            self.disabled = (
                f"it was stopped for this run after {_MOST_CRASHES} crashes; the last one:"
                f" {crash.reason}"
            )

    def _ensure_started(self) -> None:
        if self.disabled or (self._session is not None and self._session.is_alive):
            return
        self._end_session()
        lowest = self._policy.lowest(self.full_id)
        strongest = strongest_here()
        if strongest < lowest:
            raise SandboxUnavailableError(
                self.full_id, lowest, "sandbox",
                f"this version builds at most {strongest.label} on {sys.platform}",
            )  # fmt: skip
        if sys.platform == "win32":
            raise NotAvailableError(
                f"{self.full_id}: plugins do not run on Windows in this version"
            )
        refused: LayerRefusedError | None = None
        for level in range(strongest, lowest - 1, -1):
            try:
                self._start_at(SandboxLevel(level))
                return
            except LayerRefusedError as error:
                refused = refused or error
            except CrashError as error:
                self.statistics.crashes += 1
                self.disabled = error.reason
                if error.output:
                    self.disabled += f" ({error.output.strip().splitlines()[-1][:300]})"
                self._end_session()
                return
        assert refused is not None  # noqa: S101
        raise SandboxUnavailableError(self.full_id, lowest, refused.layer, refused.reason)

    def _start_at(self, level: SandboxLevel) -> None:
        if self._arena is None:
            self._arena = Arena()
        folders = self._installation
        plan = WorkerPlan(
            full_id=self.full_id,
            entry_point=self._manifest.entry_point,
            plugin_folder=folders.plugin_folder,
            dependency_folders=folders.dependency_folders,
            config=self._config,
            limits=self._limits,
            level=level,
            python=self._python,
        )
        began = time.monotonic()
        self._session = Session(plan, self._arena.reader)
        self.statistics.starts += 1
        try:
            self._session.lock_up()
            ready = self._session.start_plugin()
            try:
                rules = check_rules(ready.rules)
            except Exception as error:
                self._session.kill()
                raise CrashError("protocol", f"it broke the protocol: {error}") from error
        except BaseException:
            self._end_session()
            raise
        finally:
            self.statistics.wall_s += time.monotonic() - began
        self.level = level
        self.rules = rules
        self._analyzes = frozenset(ready.analyzes)
        self._languages = self._languages or frozenset(clean(x, 40) for x in ready.languages)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        session.close()
        self.statistics.worker_cpu_s += session.cpu_s
        self.statistics.peak_memory = max(self.statistics.peak_memory, session.peak_memory)

    def _metered(self) -> Meter:
        return Meter(self.statistics)


def _check_available(full_id: str, plugin_type: str, permissions: Any) -> None:
    if plugin_type != "static":
        raise NotAvailableError(
            f"{full_id}: running {plugin_type} plugins is not available in this version"
        )
    for name in ("network", "target", "env", "subprocess"):
        if getattr(permissions, name):
            raise NotAvailableError(
                f"{full_id}: the permission {name} is not available in this version"
            )
    if permissions.files != "none":
        raise NotAvailableError(
            f"{full_id}: the permission files: {permissions.files} is not available in this version"
        )


def _plain_config(full_id: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the configuration that can be sent. Raises ConfigError."""
    try:
        copied = json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{full_id}: its configuration holds more than plain values: {error}",
            hint="Use texts, numbers, true, false, lists and tables; write times as texts.",
        ) from error
    assert isinstance(copied, dict)  # noqa: S101
    return copied


def _failure(kind: str, message: str, traceback: str) -> Failure:
    text = clean(message, 1000)
    reason = {"raised": f"it raised {text}", "output": f"it answered with {text}"}[kind]
    return Failure(kind=kind, reason=reason, output=clean(traceback, 8192))
