"""One scan: built-in rules, static and dynamic plugins, into one stored run.

Rules this module keeps:
- a failure of one part never ends the others: it becomes a notice, and the run is incomplete;
- plugins and the built-in engine see the same files, chosen once, and work at the same time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tavo.errors import ExitCode
from tavo.plugins import Severity
from tavo.progress import Reporter
from tavo.results.store import ResultStore
from tavo.runs.combined import CombinedRun, lies_below, notices_of_rules
from tavo.scan.files import SourceFile, scan_root
from tavo.scan.incremental import KeptResults, scan_files
from tavo.scan.results import FileResult
from tavo.scan.rule_source import RuleSource

if TYPE_CHECKING:
    from tavo.attack.broker import Budget, Purse
    from tavo.attack.targets import Target
    from tavo.host.installations import VerifiedInstallation
    from tavo.results.imported.document import SarifFile
    from tavo.runs.abreast import Work
    from tavo.runs.attack import AttackPlan
    from tavo.runs.gate import GatePlan
    from tavo.scan.external import Engine
    from tavo.scan.revision import Revision

__all__ = ["ScanPlan", "run_scan", "usual_jobs"]

_MOST_OUTPUT = 200


class ScanPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan is asked to do. `jobs` 0 means as many as this machine has processors.

    `dynamic` plugins attack `target` within `budget`, one for all of them, and `probing` is what
    the built-in probes do with it. `configs` are the plugins' configurations by their full ids.
    `cache` is the folder of what static plugins said before, `results` that of what the built-in
    rules said; None to look at every file. `diff` is a Git revision: only files that changed since
    are looked at, and only what is new counts. `engine` is another engine, which scans instead of
    ours. `gate` is what the run is judged by besides the thresholds. `imported` is what other tools
    found. `show_output` notes what plugins logged and printed.
    """

    targets: tuple[Path, ...]
    rules: RuleSource
    imported: tuple[SarifFile, ...] = ()
    plugins: tuple[VerifiedInstallation, ...] = ()
    dynamic: tuple[VerifiedInstallation, ...] = ()
    target: Target | None = None
    budget: Budget | None = None
    probing: AttackPlan | None = None
    configs: Mapping[str, Mapping[str, Any]] = {}
    cache: Path | None = None
    results: Path | None = None
    diff: str | None = None
    engine: Engine | None = None
    command: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    largest: int = 2 << 20
    jobs: int = 0
    fail_on: Severity = Severity.LOW
    exit_zero: bool = False
    gate: GatePlan | None = None
    accept_sandbox: tuple[str, ...] = ()
    show_output: bool = False


def run_scan(plan: ScanPlan, store: ResultStore, reporter: Reporter) -> tuple[int, ExitCode]:
    """Scan, store, judge; return the run's number and the exit code.

    Raises InputError for a target that does not exist, UsageError for a revision that does not
    and for a baseline of another project, before the run is begun.
    """
    root = scan_root(plan.targets) if plan.targets else Path.cwd()
    if plan.gate is not None and plan.gate.baseline is not None:
        plan.gate.baseline.check_project(partial(lies_below, root))
    with ExitStack() as stack:
        kept = None
        if plan.results is not None and plan.targets and plan.engine is None:
            kept = KeptResults(plan.results, plan.rules, root=root, largest=plan.largest)
            stack.callback(kept.close)
        revision = None
        if plan.diff is not None and plan.targets:
            from tavo.runs.already import revision_of  # brings what talks to Git

            revision = revision_of(plan.diff, plan.targets)
            stack.callback(revision.close)
        return _run(plan, store, reporter, root, kept, revision, stack)


def _run(
    plan: ScanPlan,
    store: ResultStore,
    reporter: Reporter,
    root: Path,
    kept: KeptResults | None,
    revision: Revision | None,
    stack: ExitStack,
) -> tuple[int, ExitCode]:
    probes = plan.probing.probes if plan.probing is not None else ()
    run = CombinedRun(
        store, command=plan.command, root=root, rules=plan.rules.count + len(probes),
        largest=plan.largest,
    )  # fmt: skip
    purse = _purse(plan)
    if plan.engine is None:
        run.note(notices_of_rules(plan.rules.problems))
    files = everything = run.choose(plan.targets, plan.exclude)
    if revision is not None:
        from tavo.runs.already import Already

        files = run.compare(Already(revision, files, plan.rules, largest=plan.largest, root=root))
    works = _works(plan, files, root, purse) if plan.plugins or plan.dynamic else []
    plugins = None
    if works:  # a scan without plugins imports no host
        from tavo.runs.abreast import Abreast

        plugins = stack.enter_context(Abreast(works))
    if plan.engine is not None:
        from tavo.runs.engines import run_engine

        if plugins is not None:
            plugins.start()
        run_engine(
            run, plan.engine, files, plan.rules, jobs=plan.jobs or usual_jobs(),
            largest=plan.largest, reporter=reporter,
        )  # fmt: skip
        results: Iterator[FileResult] = iter(())
    else:
        results = scan_files(
            _sources(plan, everything, files), plan.rules, kept=kept,
            jobs=plan.jobs or usual_jobs(), largest=plan.largest, reporter=reporter,
        )  # fmt: skip
    for result in results:
        if plugins is not None:
            plugins.start()  # not before the scan's processes, which are copies of this one
            plugins.check()
        run.add_result(result, plan.rules)
    if plan.imported:
        from tavo.runs.imported import add_imported

        add_imported(run, plan.imported)
    if plugins is not None:
        reporter.begin("running plugins", len(works))
        for outcome in plugins.outcomes():
            run.add_outcome(outcome)
            if plan.show_output:
                for line in outcome.output.splitlines()[-_MOST_OUTPUT:]:
                    reporter.note(f"{outcome.run.plugin}: {line}")
            reporter.advance()
        reporter.end()
    if plan.probing is not None and purse is not None:
        from tavo.runs.attack import carry_out

        made = carry_out(plan.probing, purse, reporter)
        run.add_attack(made, {probe.id: probe for probe in probes})
    return run.id, run.finish(fail_on=plan.fail_on, exit_zero=plan.exit_zero, plan=plan.gate)


def _purse(plan: ScanPlan) -> Purse | None:
    """Return the one purse for everything that asks the target."""
    if plan.target is None:
        return None
    from tavo.attack.broker import Budget, Purse

    return Purse(plan.budget or Budget())


def _sources(
    plan: ScanPlan, everything: Sequence[SourceFile], changed: Sequence[SourceFile]
) -> list[SourceFile]:
    """Return the files to look at: also unchanged ones where flows can lead through them."""
    chosen = everything if changed and plan.rules.follows_calls else changed
    return [file for file in chosen if plan.rules.wants(file.relative)]


def usual_jobs() -> int:
    """Return how many processes a scan uses when nobody says."""
    return min(os.cpu_count() or 1, 8)


def _works(
    plan: ScanPlan, files: Sequence[SourceFile], root: Path, purse: Purse | None
) -> list[Work]:
    """Return how each plugin of the plan is run."""
    began = time.thread_time()
    from tavo.host.zygotes import ZYGOTES
    from tavo.runs.hosting import Project
    from tavo.runs.plugins import run_plugin

    project = Project(root, plan.targets)
    for one in plan.plugins[:1]:
        one.cpu_s += time.thread_time() - began
    works: list[Work] = [
        partial(
            run_plugin, one, files, largest=plan.largest, accept=plan.accept_sandbox,
            reporter=Reporter(), config=plan.configs.get(one.manifest.full_id), cache=plan.cache,
            project=project,
        )
        for one in plan.plugins
    ]  # fmt: skip
    if plan.dynamic and plan.target is not None and purse is not None:
        from tavo.runs.dynamic import run_dynamic

        works += [
            partial(
                run_dynamic, one, plan.target, purse, accept=plan.accept_sandbox,
                config=plan.configs.get(one.manifest.full_id), project=project,
            )
            for one in plan.dynamic
        ]  # fmt: skip
    ZYGOTES.expect(len(works))
    return works
