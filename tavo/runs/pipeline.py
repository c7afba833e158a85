"""A pipeline at work: one step after the other, all into one stored run.

Rules this module keeps:
- what a step gives is typed: files or findings, as `pipeline_file` checked;
- a step that was not complete satisfies every condition on it: nothing is skipped because
  something else failed;
- a pipeline is often somebody else's file: it gets no environment variable that the user did not
  name, wherever it would send it;
- a step that did not run says why; a closed gate ends the pipeline, and the steps behind it say so.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tavo.attack.broker import Budget, Purse
from tavo.attack.targets import open_target, read_target
from tavo.errors import ConfigError, ExitCode, RefusedError
from tavo.host.zygotes import ZYGOTES
from tavo.plugins import Severity
from tavo.progress import Reporter
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tavo.runs.combined import CombinedRun, notices_of_rules
from tavo.runs.dynamic import run_dynamic
from tavo.runs.hosting import Project
from tavo.runs.pipeline_file import (
    FilesStep,
    GateStep,
    Pipeline,
    PluginStep,
    RulesStep,
    SelectStep,
    Step,
    When,
)
from tavo.runs.plugins import run_plugin
from tavo.runs.scan import usual_jobs
from tavo.scan.files import SourceFile, scan_root
from tavo.scan.incremental import KeptResults, scan_files
from tavo.scan.rule_source import PACK, RuleSource

if TYPE_CHECKING:
    from tavo.host.installations import VerifiedInstallation

__all__ = ["PipelinePlan", "check_keys", "check_plugins", "run_pipeline"]

_WAYS = {"static": "files", "dynamic": "target"}


class PipelinePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline, the folder that its paths are relative to, and its plugins by step.

    `keys` are the environment variables that its target files may send.
    """

    pipeline: Pipeline
    folder: Path
    plugins: Mapping[str, VerifiedInstallation]
    command: tuple[str, ...] = ()
    largest: int = 2 << 20
    jobs: int = 0
    fail_on: Severity = Severity.LOW
    exit_zero: bool = False
    accept_sandbox: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    cache: Path | None = None
    results: Path | None = None


def check_plugins(pipeline: Pipeline, plugins: Mapping[str, VerifiedInstallation]) -> None:
    """Compare what plugins take with what their steps give them. Raises ConfigError."""
    for step in pipeline.steps:
        if not isinstance(step, PluginStep):
            continue
        manifest = plugins[step.id].manifest
        given = "files" if step.files is not None else "target"
        if _WAYS.get(manifest.plugin_type) != given:
            wanted = _WAYS.get(manifest.plugin_type)
            raise ConfigError(
                f"step {step.id}: {manifest.full_id} is a {manifest.plugin_type} plugin, and gets"
                f" {given}",
                hint=f"Give it {wanted}." if wanted else "A pipeline does not run this type yet.",
            )


def check_keys(pipeline: Pipeline, folder: Path, allowed: Sequence[str]) -> None:
    """Read the targets of a pipeline, and compare the variables that they ask for.

    Raises RefusedError for one that the user did not allow, ConfigError, InputError.
    """
    for step in pipeline.steps:
        if not isinstance(step, PluginStep) or step.target is None:
            continue
        described = read_target(_target_of(step, folder))
        if described.key and described.key not in allowed:
            raise RefusedError(
                f"step {step.id}: {step.target} asks for the environment variable"
                f" {described.key}, to send it to {described.url}",
                hint=f"If it may have it: --allow-key {described.key}",
            )


def run_pipeline(
    plan: PipelinePlan, store: ResultStore, reporter: Reporter
) -> tuple[int, ExitCode]:
    """Run the steps, store, judge; return the run's number and the exit code.

    Raises ConfigError, InputError before the run is begun; RefusedError for a plugin that may not
    run.
    """
    check_plugins(plan.pipeline, plan.plugins)
    check_keys(plan.pipeline, plan.folder, plan.keys)
    steps = plan.pipeline.steps
    rules = {
        step.id: RuleSource(_rule_paths(step, plan.folder))
        for step in steps
        if isinstance(step, RulesStep)
    }
    targets = [
        plan.folder / path for step in steps if isinstance(step, FilesStep) for path in step.paths
    ]
    root = scan_root(targets) if targets else plan.folder
    count = len({name for one in rules.values() for name in one.loaded.rules})
    run = CombinedRun(store, command=plan.command, root=root, rules=count, largest=plan.largest)
    for one in rules.values():
        run.note(notices_of_rules(one.problems))
    ZYGOTES.expect(len(plan.plugins))
    passed = _Running(plan, run, rules, reporter).all()
    code = run.finish(fail_on=plan.fail_on, exit_zero=plan.exit_zero, failed=not passed)
    return run.id, code


class _Running:
    """The state between steps: what each gave, and whether it did all it was asked to."""

    def __init__(
        self,
        plan: PipelinePlan,
        run: CombinedRun,
        rules: Mapping[str, RuleSource],
        reporter: Reporter,
    ) -> None:
        self._plan = plan
        self._run = run
        self._rules = rules
        self._reporter = reporter
        self._files: dict[str, list[SourceFile]] = {}
        self._targets: list[Path] = []
        self._found: dict[str, list[Reported]] = {}
        self._complete: dict[str, bool] = {}

    def all(self) -> bool:
        """Run the steps; tell whether all gates were open."""
        closed = ""
        for step in self._plan.pipeline.steps:
            self._files[step.id], self._found[step.id] = [], []
            self._complete[step.id] = True
            if closed:
                self._skip(step, f"behind the gate {closed}, which is closed")
            elif step.when is not None and not self._holds(step.when):
                what = "nothing" if step.when.finds == "some" else "something"
                self._skip(step, f"{step.when.step} found {what}")
            elif isinstance(step, GateStep):
                if self._is_closed(step):
                    closed = step.id
            else:
                self._do(step)
        return not closed

    def _do(self, step: Step) -> None:
        if isinstance(step, FilesStep):
            targets = [self._plan.folder / path for path in step.paths]
            self._targets += targets
            self._files[step.id] = self._run.choose(targets, step.exclude)
        elif isinstance(step, SelectStep):
            self._files[step.id] = self._selected(step)
        elif isinstance(step, RulesStep):
            self._scan(step)
        elif isinstance(step, PluginStep):
            self._plugin(step)

    def _scan(self, step: RulesStep) -> None:
        rules = self._rules[step.id]
        files = self._files[step.files]
        sources = [file for file in files if rules.wants(file.relative)]
        self._complete[step.id] = not rules.problems
        plan = self._plan
        kept = None
        if plan.results is not None:
            kept = KeptResults(plan.results, rules, root=self._run.root, largest=plan.largest)
        try:
            for result in scan_files(
                sources, rules, kept=kept, jobs=plan.jobs or usual_jobs(), largest=plan.largest,
                reporter=self._reporter,
            ):  # fmt: skip
                self._found[step.id] += self._run.add_result(result, rules)
                if result.problems:
                    self._complete[step.id] = False
            self._found[step.id] = self._run.settled(self._found[step.id])
        finally:
            if kept is not None:
                kept.close()

    def _plugin(self, step: PluginStep) -> None:
        plan, installation = self._plan, self._plan.plugins[step.id]
        if step.target is not None:
            allowed = {name: os.environ[name] for name in plan.keys if name in os.environ}
            target = open_target(_target_of(step, plan.folder), allowed)
            try:
                purse = Purse(Budget(requests=step.max_requests))
                outcome = run_dynamic(
                    installation, target, purse, accept=plan.accept_sandbox, config=step.config,
                    project=self._project(),
                )  # fmt: skip
            finally:
                target.close()
        else:
            assert step.files is not None  # noqa: S101
            outcome = run_plugin(
                installation,
                self._files[step.files],
                largest=plan.largest,
                accept=plan.accept_sandbox,
                reporter=self._reporter,
                config=step.config,
                cache=plan.cache,
                project=self._project(),
            )
        self._run.add_outcome(outcome)
        self._found[step.id] = list(outcome.reported)
        self._complete[step.id] = not any(notice.incomplete for notice in outcome.notices)

    def _project(self) -> Project:
        """Return what the pipeline's file steps that ran so far name."""
        return Project(self._run.root, tuple(self._targets))

    def _selected(self, step: SelectStep) -> list[SourceFile]:
        paths = {
            one.finding.location.path
            for one in self._from(step.sources, step.severity)
            if not step.rules
            or any(fnmatch.fnmatchcase(one.finding.rule_id, rule) for rule in step.rules)
        }
        known = {file.relative: file for files in self._files.values() for file in files}
        return [known[path] for path in sorted(paths) if path in known]

    def _is_closed(self, step: GateStep) -> bool:
        if len(list(self._from(step.sources, step.severity))) > step.most:
            return True
        return not all(self._complete[source] for source in step.sources)

    def _holds(self, when: When) -> bool:
        if not self._complete[when.step]:
            return True
        found = any(True for _ in self._from([when.step], when.severity))
        return found == (when.finds == "some")

    def _from(self, steps: Sequence[str], severity: Severity) -> Iterable[Reported]:
        for step in steps:
            for one in self._found[step]:
                if one.finding.severity >= severity:
                    yield one

    def _skip(self, step: Step, reason: str) -> None:
        notice = Notice(kind="step", subject=step.id, reason=f"did not run: {reason}",
                        incomplete=False)  # fmt: skip
        self._run.note([notice])


def _target_of(step: PluginStep, folder: Path) -> str:
    named = step.target or ""
    return named if "://" in named else str(folder / named)


def _rule_paths(step: RulesStep, folder: Path) -> tuple[Path, ...]:
    own = [folder / path for path in step.rules]
    return tuple(dict.fromkeys((*((PACK,) if step.default_rules else ()), *own)))
