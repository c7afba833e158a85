"""One scan: built-in rules, static and dynamic plugins, into one stored run.

Rules this module keeps:
- a failure of one part never ends the others: it becomes a notice, and the run is incomplete;
- plugins and the built-in engine see the same files, chosen once, and work at the same time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tavo.errors import ExitCode
from tavo.plugins import Severity
from tavo.progress import Reporter
from tavo.results.store import ResultStore
from tavo.runs.combined import CombinedRun, notices_of_rules
from tavo.scan.engine import is_source, scan
from tavo.scan.files import SourceFile, scan_root
from tavo.scan.rules import RuleSet

if TYPE_CHECKING:
    from tavo.attack.broker import Budget
    from tavo.attack.targets import HttpTarget
    from tavo.host.installations import VerifiedInstallation
    from tavo.runs.abreast import Work

__all__ = ["ScanPlan", "run_scan", "usual_jobs"]

_MOST_OUTPUT = 200


class ScanPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan is asked to do. `jobs` 0 means as many as this machine has processors.

    `dynamic` plugins attack `target` within `budget`, one for all of them. `configs` are the
    plugins' configurations by their full ids. `cache` is the folder of what static plugins said
    before, None to ask about every file. `show_output` notes what plugins logged and printed.
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
    show_output: bool = False


def run_scan(plan: ScanPlan, store: ResultStore, reporter: Reporter) -> tuple[int, ExitCode]:
    """Scan, store, judge; return the run's number and the exit code.

    Raises InputError for a target that does not exist, before the run is begun.
    """
    root = scan_root(plan.targets) if plan.targets else Path.cwd()
    run = CombinedRun(
        store, command=plan.command, root=root, rules=len(plan.rules.rules), largest=plan.largest
    )
    run.note(notices_of_rules(plan.rules))
    files = run.choose(plan.targets, plan.exclude)
    works = _works(plan, files) if plan.plugins or plan.dynamic else []
    with ExitStack() as stack:
        plugins = None
        if works:  # a scan without plugins imports no host
            from tavo.runs.abreast import Abreast

            plugins = stack.enter_context(Abreast(works))
        for result in scan(
            [file for file in files if is_source(file.relative)],
            plan.rules,
            rule_paths=plan.rule_paths,
            jobs=plan.jobs or usual_jobs(),
            largest=plan.largest,
            reporter=reporter,
        ):
            if plugins is not None:
                plugins.start()  # not before the scan's processes, which are copies of this one
                plugins.check()
            run.add_result(result, plan.rules)
        if plugins is not None:
            reporter.begin("running plugins", len(works))
            for outcome in plugins.outcomes():
                run.add_outcome(outcome)
                if plan.show_output:
                    for line in outcome.output.splitlines()[-_MOST_OUTPUT:]:
                        reporter.note(f"{outcome.run.plugin}: {line}")
                reporter.advance()
            reporter.end()
    return run.id, run.finish(fail_on=plan.fail_on, exit_zero=plan.exit_zero)


def usual_jobs() -> int:
    """Return how many processes a scan uses when nobody says."""
    return min(os.cpu_count() or 1, 8)


def _works(plan: ScanPlan, files: Sequence[SourceFile]) -> list[Work]:
    """Return how each plugin of the plan is run."""
    began = time.thread_time()
    from tavo.host.zygotes import ZYGOTES
    from tavo.runs.plugins import run_plugin

    for one in plan.plugins[:1]:
        one.cpu_s += time.thread_time() - began
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
    ZYGOTES.expect(len(works))
    return works
