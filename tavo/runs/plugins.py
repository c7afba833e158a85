"""One static plugin over the files of a scan.

Rules this module keeps:
- the plugin gets bytes that were read here, under the same limits as the built-in engine;
- a file that the plugin wanted and did not look at is a notice with the reason;
- the worker starts with the first file that the plugin wants, so no such file costs nothing.

Units: sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tavo.host.installations import VerifiedInstallation
from tavo.host.stopping import Stopper
from tavo.host.workers import BatchResult, Failure, FileInput, StaticWorker
from tavo.progress import Reporter
from tavo.results.values import Notice, Reported
from tavo.runs.hosting import lenders_for, notices_of, plugin_run, policy_for
from tavo.runs.outcome import PluginOutcome
from tavo.scan.files import SourceFile, UnreadableError, decode, read

__all__ = ["LARGEST_BINARY", "run_plugin"]

LARGEST_BINARY = 256 << 20
_BATCH_FILES = 64
_BATCH_BYTES = 16 << 20
_LANGUAGES = {
    ".py": "python", ".pyi": "python", ".pyw": "python", ".js": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".jsx": "javascript", ".ts": "typescript", ".tsx": "typescript",
    ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".md": "markdown",
    ".ipynb": "notebook", ".sh": "bash", ".go": "go", ".rs": "rust", ".java": "java",
    ".html": "html", ".sql": "sql",
}  # fmt: skip


def run_plugin(
    installation: VerifiedInstallation,
    files: Sequence[SourceFile],
    *,
    largest: int,
    accept: Sequence[str],
    reporter: Reporter,
    config: Mapping[str, Any] | None = None,
    stopper: Stopper | None = None,
    on_failure: Callable[[PurePosixPath, Failure], None] = lambda *_: None,
) -> PluginOutcome:
    """Run a verified plugin over files. `accept` are sandbox acceptances like `L1:tavo/x`.

    `on_failure` hears of each file that was not looked at, with the end of the traceback.

    Raises SandboxUnavailableError, NotAvailableError, ConfigError: then it did not run at all.
    """
    reported: list[Reported] = []
    notices: list[Notice] = []
    worker = StaticWorker(
        installation,
        policy=policy_for(installation, accept),
        config=config,
        lender=lenders_for(installation),
        stopper=stopper,
    )
    seen: list[PurePosixPath] = []
    with worker:
        reporter.begin(f"running {worker.full_id}", None)
        for batch in _batches(_inputs(worker, files, largest, notices)):
            seen += [item.path for item in batch]
            _collect(worker, worker.analyze(batch), reported, notices, on_failure)
            reporter.advance(len(batch))
        if seen:
            _collect(worker, worker.analyze_project(seen), reported, notices, on_failure)
        reporter.end()
    return PluginOutcome(
        reported=tuple(reported),
        run=plugin_run(worker, installation, findings=len(reported)),
        notices=(*notices, *notices_of(worker)),
    )


def _inputs(
    worker: StaticWorker, files: Iterable[SourceFile], largest: int, notices: list[Notice]
) -> Iterator[FileInput]:
    for file in files:
        wanted = worker.wants(file.relative, _LANGUAGES.get(file.relative.suffix.lower(), ""))
        if wanted is None:
            continue
        try:
            if wanted == "binary":
                data = read(file, largest=LARGEST_BINARY)
                yield FileInput(path=file.relative, data=data, kind="binary")
                continue
            content = decode(read(file, largest=largest))
        except UnreadableError as error:
            notices.append(_notice(worker, file.relative, str(error)))
            continue
        if content.is_text:
            yield FileInput(path=file.relative, data=content.data)


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


def _collect(
    worker: StaticWorker,
    result: BatchResult,
    reported: list[Reported],
    notices: list[Notice],
    on_failure: Callable[[PurePosixPath, Failure], None],
) -> None:
    reported.extend(
        Reported(finding=finding, rule=worker.rules[finding.rule_id], tool=worker.full_id)
        for findings in result.findings.values()
        for finding in findings
    )
    for path, failure in result.failures.items():
        notices.append(_notice(worker, path, failure.reason))
        on_failure(path, failure)


def _notice(worker: StaticWorker, path: PurePosixPath, reason: str) -> Notice:
    return Notice(kind="plugin", subject=worker.full_id, reason=f"{path}: {reason}")
