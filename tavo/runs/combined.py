"""One stored run, whatever its parts are: findings, plugin rows, notices, and the verdict.

Rules this module keeps:
- findings go to the store as they come, so that an interrupted run keeps what it found;
- whatever was asked for and not done makes the run incomplete;
- a comment that ignores a finding of a plugin must name its rule or its plugin;
- only the thread that made it uses it.

Units: CPU time in seconds, times UTC.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from tavo import __version__
from tavo.errors import ExitCode, worst
from tavo.plugins import Rule, Severity
from tavo.results.fingerprint import with_line_hashes
from tavo.results.gate import verdict
from tavo.results.store import ResultStore
from tavo.results.values import Notice, PluginRun, Reported, RunInfo, Suppression
from tavo.scan.files import SourceFile, UnreadableError, decode, read, walk
from tavo.scan.results import FileResult
from tavo.scan.rule_source import RuleProblem
from tavo.scan.suppress import Ignore, Ignores, ignores_in

if TYPE_CHECKING:
    from tavo.runs.already import Already
    from tavo.runs.outcome import PluginOutcome

__all__ = ["CombinedRun", "left_out_notice", "notices_of_rules"]

_MOST_NAMED = 5


class Described(Protocol):
    """What knows its rules by their ids."""

    def rule(self, rule_id: str) -> Rule:
        """Return what a rule says about itself."""


class CombinedRun:
    """A run that is being made. `finish` it; one that is not finished stays incomplete."""

    def __init__(
        self, store: ResultStore, *, command: Sequence[str], root: Path, rules: int, largest: int
    ) -> None:
        """Begin a run. `largest` is the size of the largest source file that is read, in bytes."""
        self._before = _cpu_s()
        self._store = store
        self.root = root
        self._largest = largest
        self._files: dict[PurePosixPath, SourceFile] = {}
        self._notices: list[Notice] = []
        self._scanned: set[PurePosixPath] = set()
        self._already: Already | None = None
        self._ignores: dict[PurePosixPath, Ignores] = {}
        self.id = store.begin(
            RunInfo(
                command=tuple(command),
                root=str(root),
                tool_version=__version__,
                started_at=_now(),
                rules=rules,
            )
        )

    def choose(self, targets: Sequence[Path], exclude: Sequence[str]) -> list[SourceFile]:
        """Return the files below the targets; what cannot be looked at becomes a notice."""
        files: list[SourceFile] = []
        left_out: list[Path] = []
        for file in walk(targets, self.root, exclude=exclude, left_out=left_out):
            if file.problem:
                self.note([Notice(kind="file", subject=str(file.relative), reason=file.problem)])
            else:
                files.append(file)
        if left_out:
            self.note([left_out_notice(left_out, self.root)])
        self._files.update((file.relative, file) for file in files)
        return files

    def compare(self, already: Already) -> list[SourceFile]:
        """Let only what a change brought count from now on; return the files that changed."""
        self._already = already
        self.note([already.notice])
        return already.files

    def note(self, notices: Iterable[Notice]) -> None:
        """Take over notices; each stands once in the run."""
        self._notices += notices

    def add_result(
        self, result: FileResult, rules: Described, *, tool: str = "tavo"
    ) -> list[Reported]:
        """Store what rules said about a file; return the findings that count."""
        if self._already is not None:
            result = self._already.concerned(result)
        if result.scanned:
            self._scanned.add(result.path)
        self.note(_notices(result))
        reported = self._compared(list(_reported(result, rules, tool))) if result.hits else []
        if reported:
            self._store.add(self.id, with_line_hashes(reported, self._lines_of))
        return [one for one in reported if one.suppression is None]

    def add_outcome(self, outcome: PluginOutcome) -> None:
        """Store what a plugin did."""
        reported = self._compared([self._judged(one) for one in outcome.reported])
        self._store.add(self.id, with_line_hashes(reported, self._lines_of))
        self._store.add_plugin_run(self.id, outcome.run)
        self._store.add_exchanges(self.id, outcome.exchanges)
        self.note(outcome.notices)

    def add_imported(
        self, reported: Iterable[Reported], files: Iterable[SourceFile], row: PluginRun
    ) -> None:
        """Store what another tool found elsewhere; `files` are those of them that are here."""
        for file in files:
            self._files.setdefault(file.relative, file)
        judged = [one if one.suppression is not None else self._judged(one) for one in reported]
        self._store.add(self.id, with_line_hashes(self._compared(judged), self._lines_of))
        self._store.add_plugin_run(self.id, row)

    def add_engine(self, row: PluginRun) -> None:
        """Store that another engine scanned, and what that cost."""
        self._store.add_plugin_run(self.id, row)

    def finish(self, *, fail_on: Severity, exit_zero: bool, failed: bool = False) -> ExitCode:
        """Judge the run and close it. `failed` says that it did not pass, whatever it found."""
        notices = list(dict.fromkeys(self._notices))
        self._store.add_notices(self.id, notices)
        complete = not any(notice.incomplete for notice in notices)
        code = verdict(
            self._store.findings(self.id), complete=complete, fail_on=fail_on, exit_zero=exit_zero
        )
        if failed and not exit_zero:
            code = worst([code, ExitCode.FINDINGS])
        self._store.finish(
            self.id,
            finished_at=_now(),
            complete=complete,
            exit_code=int(code),
            files=len(self._scanned),
            cpu_s=_cpu_s() - self._before,
        )
        return code

    def _compared(self, reported: Sequence[Reported]) -> Sequence[Reported]:
        return reported if self._already is None else self._already.judged(reported)

    def _judged(self, one: Reported) -> Reported:
        """Return a plugin's finding with the comment that covers it, if there is one."""
        location = one.finding.location
        if location.region is None or location.path not in self._files:
            return one
        if location.path not in self._ignores:
            data = self._lines_of(location.path)
            text = b"" if data is None else _text_of(data)
            found = ignores_in(location.path, text)
            self._ignores[location.path] = found
            self.note(
                Notice(kind="comment", subject=str(location.path), reason=problem, incomplete=False)
                for problem in found.problems
            )
        names = {one.rule.id, one.tool, f"{one.tool}:{one.rule.id}"}
        ignore = self._ignores[location.path].naming(names, location.region.start_line)
        return one if ignore is None else replace(one, suppression=_suppression(ignore))

    def _lines_of(self, path: PurePosixPath) -> bytes | None:
        try:
            return read(self._files[path], largest=self._largest)
        except (UnreadableError, KeyError):
            return None


def notices_of_rules(problems: Iterable[RuleProblem]) -> list[Notice]:
    """Return what is wrong with rules that cannot be used."""
    return [
        Notice(kind="rule", subject=problem.rule_id or str(problem.file), reason=problem.reason)
        for problem in problems
    ]


def _reported(result: FileResult, rules: Described, tool: str) -> Iterable[Reported]:
    for hit in result.hits:
        ignore = hit.ignore
        yield Reported(
            finding=hit.finding,
            rule=rules.rule(hit.finding.rule_id),
            tool=tool,
            suppression=None if ignore is None else _suppression(ignore),
        )


def _suppression(ignore: Ignore) -> Suppression:
    return Suppression(kind="inSource", reason=ignore.reason, line=ignore.line)


def _text_of(data: bytes) -> bytes:
    try:
        content = decode(data)
    except UnreadableError:
        return b""
    return content.data if content.is_text else b""


def left_out_notice(paths: Sequence[Path], root: Path) -> Notice:
    """Say what was left out on purpose: a project can hide code with its ignore files."""
    names = [path.relative_to(root).as_posix() for path in paths[:_MOST_NAMED]]
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return Notice(
        kind="file",
        subject="left out",
        reason=f"by ignore files, exclude or name: {', '.join(names)}{more}",
        incomplete=False,
    )


def _notices(result: FileResult) -> list[Notice]:
    return [
        Notice(
            kind="comment" if "tavo: ignore" in problem else "file",
            subject=str(result.path),
            reason=problem,
            incomplete="tavo: ignore" not in problem,
        )
        for problem in result.problems
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cpu_s() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
