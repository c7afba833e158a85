"""One static plugin over the files of a scan.

Rules this module keeps:
- the plugin gets bytes that were read here, under the same limits as the built-in engine;
- a file that the plugin wanted and did not look at is a notice with the reason;
- the worker starts with the first file that the plugin wants, by its name and by the literals of
  the manifest, so that a project without such a file costs nothing more.

Units: sizes in bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tavo.host.installations import VerifiedInstallation
from tavo.host.stopping import Stopper
from tavo.host.workers import BatchResult, Failure, FileInput, StaticWorker
from tavo.plugins import Finding, Rule
from tavo.progress import Reporter
from tavo.results.values import Notice, Reported
from tavo.runs.hosting import Project, lenders_for, notices_of, plugin_run, policy_for
from tavo.runs.kept_answers import KeptAnswers, open_answers
from tavo.runs.outcome import PluginOutcome
from tavo.scan.files import SourceFile, UnreadableError, decode, read

__all__ = ["LANGUAGES", "LARGEST_BINARY", "run_plugin"]

LARGEST_BINARY = 256 << 20
_BATCH_FILES = 256
_BATCH_BYTES = 16 << 20
_LANGUAGES = {
    ".py": "python", ".pyi": "python", ".pyw": "python", ".js": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".jsx": "javascript", ".ts": "typescript", ".tsx": "typescript",
    ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".md": "markdown",
    ".ipynb": "notebook", ".sh": "bash", ".go": "go", ".rs": "rust", ".java": "java",
    ".html": "html", ".sql": "sql",
}  # fmt: skip


LANGUAGES = frozenset(_LANGUAGES.values())


def run_plugin(
    installation: VerifiedInstallation,
    files: Sequence[SourceFile],
    *,
    largest: int,
    accept: Sequence[str],
    reporter: Reporter,
    config: Mapping[str, Any] | None = None,
    cache: Path | None = None,
    project: Project | None = None,
    stopper: Stopper | None = None,
    on_failure: Callable[[PurePosixPath, Failure], None] = lambda *_: None,
) -> PluginOutcome:
    """Run a verified plugin over files. `accept` are sandbox acceptances like `L1:tavo/x`.

    `project` is what it may read by itself, where it declares that.

    `cache` is the folder of kept answers, None to look at every file. `on_failure` hears of each
    file that was not looked at, with the end of the traceback.

    Raises SandboxUnavailableError, NotAvailableError, ConfigError: then it did not run at all.
    """
    began = time.thread_time()
    policy = policy_for(installation, accept)
    worker = StaticWorker(
        installation,
        policy=policy,
        config=config,
        lender=lenders_for(installation, project=project, stopper=stopper),
        stopper=stopper,
    )
    lowest = policy.lowest(worker.full_id)
    answers = (
        None if cache is None else open_answers(cache, installation, config or {}, lowest, files)
    )
    run = _Run(worker, answers, largest, on_failure)
    with worker:
        reporter.begin(f"running {worker.full_id}", None)
        for batch in _batches(run.inputs(files)):
            run.analyze(batch)
            reporter.advance(len(batch))
        if run.seen and not worker.disabled:
            run.collect(worker.analyze_project(run.seen, run.text_of(files)))
        reporter.end()
    cached = 0
    if answers is not None:
        cached = answers.close(worker)
    return PluginOutcome(
        reported=tuple(run.reported),
        run=plugin_run(
            worker,
            installation,
            findings=len(run.reported),
            host_cpu_s=time.thread_time() - began,
            cached=cached,
            level=answers.level if cached and answers is not None else None,
        ),
        notices=(*run.notices, *notices_of(worker)),
        output=worker.output,
    )


class _Run:
    """One plugin over one list of files: what is handed in, and what came of it."""

    def __init__(
        self,
        worker: StaticWorker,
        answers: KeptAnswers | None,
        largest: int,
        on_failure: Callable[[PurePosixPath, Failure], None],
    ) -> None:
        self._worker = worker
        self._answers = answers
        self._largest = largest
        self._on_failure = on_failure
        self.reported: list[Reported] = []
        self.notices: list[Notice] = []
        self.seen: list[PurePosixPath] = []

    def inputs(self, files: Iterable[SourceFile]) -> Iterator[FileInput]:
        """Yield the files that the plugin must look at; report the others from what is kept."""
        worker, answers = self._worker, self._answers
        for file in files:
            language = ""
            if worker.has_languages:
                language = _LANGUAGES.get(file.relative.suffix.lower(), "")
            wanted = worker.wants(file.relative, language)
            if wanted is None:
                continue
            if answers is not None and (known := answers.unchanged(file)) is not None:
                self._report(known, answers.rules)
                continue
            try:
                if wanted == "binary":
                    data = read(file, largest=LARGEST_BINARY)
                else:
                    content = decode(read(file, largest=self._largest))
                    if not content.is_text:
                        continue
                    data = content.data
            except UnreadableError as error:
                self._note(file.relative, str(error))
                continue
            if not worker.may_find_in(data):
                continue
            if answers is not None and (known := answers.same(file, wanted, data)) is not None:
                self._report(known, answers.rules)
                continue
            yield FileInput(path=file.relative, data=data, kind=wanted)

    def analyze(self, batch: Sequence[FileInput]) -> None:
        """Have a batch analysed."""
        self._worker.start()
        began = self._worker.cpu_now()
        result = self._worker.analyze(batch)
        spent = self._worker.cpu_now() - began
        self.seen += [item.path for item in batch]
        self.collect(result)
        if self._answers is not None:
            self._answers.keep(self._worker, batch, result, spent)

    def text_of(self, files: Sequence[SourceFile]) -> Callable[[PurePosixPath], bytes | None]:
        """Return what gives the text of a file that was looked at, None if it has none now."""
        by_path = {file.relative: file for file in files}

        def text(path: PurePosixPath) -> bytes | None:
            try:
                content = decode(read(by_path[path], largest=self._largest))
            except (KeyError, UnreadableError):
                return None
            return content.data if content.is_text else None

        return text

    def collect(self, result: BatchResult) -> None:
        """Take over findings and failures."""
        for findings in result.findings.values():
            self._report(findings, self._worker.rules)
        for path, failure in result.failures.items():
            self._note(path, failure.reason)
            self._on_failure(path, failure)

    def _report(self, findings: Iterable[Finding], rules: Mapping[str, Rule]) -> None:
        self.reported.extend(
            Reported(finding=finding, rule=rules[finding.rule_id], tool=self._worker.full_id)
            for finding in findings
        )

    def _note(self, path: PurePosixPath, reason: str) -> None:
        notice = Notice(kind="plugin", subject=self._worker.full_id, reason=f"{path}: {reason}")
        self.notices.append(notice)


def _batches(inputs: Iterable[FileInput]) -> Iterator[list[FileInput]]:
    batch: list[FileInput] = []
    size = 0
    for item in inputs:
        batch.append(item)
        size += len(item.data)
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
