"""One scan: built-in rules, static and dynamic plugins, into one stored run.

Rules this module keeps:
- a failure of one part never ends the others: it becomes a notice, and the run is incomplete;
- plugins and the built-in engine see the same files, chosen once, and work at the same time;
- findings go to the store file by file, so that an interrupted scan keeps what it found.

Units: CPU time in seconds, times UTC.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from tavo import __version__
from tavo.errors import ExitCode
from tavo.plugins import Severity
from tavo.progress import Reporter
from tavo.results.fingerprint import with_line_hashes
from tavo.results.gate import verdict
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported, RunInfo, Suppression
from tavo.runs.abreast import Abreast
from tavo.scan.engine import FileResult, is_source, scan
from tavo.scan.files import SourceFile, UnreadableError, read, scan_root, walk
from tavo.scan.rules import RuleSet

if TYPE_CHECKING:
    from tavo.attack.broker import Budget
    from tavo.attack.targets import HttpTarget
    from tavo.host.installations import VerifiedInstallation
    from tavo.runs.abreast import Work

__all__ = ["ScanPlan", "run_scan"]

_MOST_NAMED = 5


class ScanPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan is asked to do. `jobs` 0 means as many as this machine has processors.

    `dynamic` plugins attack `target` within `budget`, one for all of them. `configs` are the
    plugins' configurations by their full ids. `cache` is the folder of what
    static plugins said before, None to ask about every file.
    """

    targets: tuple[Path, ...]
    rules: RuleSet
    rule_paths: tuple[Path, ...]
    plugins: tuple[VerifiedInstallation, ...] = ()
    dynamic: tuple[VerifiedInstallation, ...] = ()
    target: HttpTarget | None = None
    budget: Budget | None = None
    configs: Mapping[str, Mapping[str, Any]] = {}
    cache: Path | None = None
    command: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    largest: int = 2 << 20
    jobs: int = 0
    fail_on: Severity = Severity.LOW
    exit_zero: bool = False
    accept_sandbox: tuple[str, ...] = ()


def run_scan(plan: ScanPlan, store: ResultStore, reporter: Reporter) -> tuple[int, ExitCode]:
    """Scan, store, judge; return the run's number and the exit code.

    Raises InputError for a target that does not exist, before the run is begun.
    """
    root = scan_root(plan.targets) if plan.targets else Path.cwd()
    before = _cpu_s()
    run_id = store.begin(
        RunInfo(
            command=plan.command,
            root=str(root),
            tool_version=__version__,
            started_at=_now(),
            rules=len(plan.rules.rules),
        )
    )
    notices = [
        Notice(kind="rule", subject=p.rule_id or str(p.file), reason=p.reason)
        for p in plan.rules.problems
    ]
    files: list[SourceFile] = []
    left_out: list[Path] = []
    for file in walk(plan.targets, root, exclude=plan.exclude, left_out=left_out):
        if file.problem:
            notices.append(Notice(kind="file", subject=str(file.relative), reason=file.problem))
        else:
            files.append(file)
    if left_out:
        notices.append(_left_out(left_out, root))
    by_path = {file.relative: file for file in files}

    def lines_of(path: PurePosixPath) -> bytes | None:
        try:
            return read(by_path[path], largest=plan.largest)
        except (UnreadableError, KeyError):
            return None

    sources = [file for file in files if is_source(file.relative)]
    jobs = plan.jobs or min(os.cpu_count() or 1, 8)
    scanned = 0
    works = _works(plan, files) if plan.plugins or plan.dynamic else []
    with Abreast(works) as plugins:
        for result in scan(
            sources,
            plan.rules,
            rule_paths=plan.rule_paths,
            jobs=jobs,
            largest=plan.largest,
            reporter=reporter,
        ):
            plugins.start()  # not before the scan's processes, which are copies of this one
            plugins.check()
            scanned += result.scanned
            notices += _notices(result)
            if result.hits:
                store.add(run_id, with_line_hashes(_reported(result, plan.rules), lines_of))
        if works:
            reporter.begin("running plugins", len(works))
        for outcome in plugins.outcomes():
            store.add(run_id, with_line_hashes(outcome.reported, lines_of))
            store.add_plugin_run(run_id, outcome.run)
            store.add_exchanges(run_id, outcome.exchanges)
            notices += outcome.notices
            reporter.advance()
        if works:
            reporter.end()
    notices = list(dict.fromkeys(notices))
    store.add_notices(run_id, notices)
    complete = not any(notice.incomplete for notice in notices)
    code = verdict(
        store.findings(run_id), complete=complete, fail_on=plan.fail_on, exit_zero=plan.exit_zero
    )
    store.finish(
        run_id,
        finished_at=_now(),
        complete=complete,
        exit_code=int(code),
        files=scanned,
        cpu_s=_cpu_s() - before,
    )
    return run_id, code


def _works(plan: ScanPlan, files: Sequence[SourceFile]) -> list[Work]:
    """Return how each plugin of the plan is run. A scan without plugins imports no host."""
    from tavo.runs.plugins import run_plugin

    works: list[Work] = [
        partial(
            run_plugin, one, files, largest=plan.largest, accept=plan.accept_sandbox,
            reporter=Reporter(), config=plan.configs.get(one.manifest.full_id), cache=plan.cache,
        )
        for one in plan.plugins
    ]  # fmt: skip
    if plan.dynamic and plan.target is not None:
        from tavo.attack.broker import Budget, Purse
        from tavo.runs.dynamic import run_dynamic

        purse = Purse(plan.budget or Budget())
        works += [
            partial(
                run_dynamic, one, plan.target, purse, accept=plan.accept_sandbox,
                config=plan.configs.get(one.manifest.full_id),
            )
            for one in plan.dynamic
        ]  # fmt: skip
    return works


def _reported(result: FileResult, rules: RuleSet) -> Iterable[Reported]:
    for hit in result.hits:
        ignore = hit.ignore
        yield Reported(
            finding=hit.finding,
            rule=rules.rules[hit.finding.rule_id].rule,
            suppression=None
            if ignore is None
            else Suppression(kind="inSource", reason=ignore.reason, line=ignore.line),
        )


def _left_out(paths: Sequence[Path], root: Path) -> Notice:
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
