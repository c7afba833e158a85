"""When the answers of a static plugin are kept from run to run, and which of them.

Rules this module keeps:
- kept is what depends on nothing but content and configuration: nothing of a plugin that reads the
  network, the environment or other files, runs programs, or looks at a project as a whole;
- kept is only what costs more processor time to ask for than to keep: hashing and storing cost
  something too;
- a file that the plugin failed on is asked for again.

Units: times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tavo.host.answer_cache import AnswerCache, cache_key
from tavo.host.installations import VerifiedInstallation
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.workers import BatchResult, FileInput, StaticWorker
from tavo.plugins import Finding, Rule
from tavo.scan.files import SourceFile

__all__ = ["KeptAnswers", "open_answers"]

_WORTH_KEEPING_S = 50e-6


def open_answers(
    folder: Path,
    installation: VerifiedInstallation,
    config: Mapping[str, Any],
    lowest: SandboxLevel,
    files: Sequence[SourceFile],
) -> KeptAnswers | None:
    """Open the kept answers of a plugin; None where none may be kept.

    `lowest` is the weakest level at which the plugin may run.
    """
    manifest = installation.manifest
    permissions = manifest.permissions
    beyond = permissions.network or permissions.env or permissions.subprocess or manifest.programs
    if beyond or permissions.files != "none" or not files:
        return None
    first = files[0]
    root = first.path.parents[len(first.relative.parts) - 1]
    key = cache_key(installation.code, config)
    return KeptAnswers(AnswerCache(folder, key, root=root, lowest=lowest), files)


class KeptAnswers:
    """The answers of one plugin for one run."""

    def __init__(self, cache: AnswerCache, files: Sequence[SourceFile]) -> None:
        self._cache = cache
        self._files = files
        self._paths: dict[PurePosixPath, Path] = {}
        self._worth = cache.is_there
        self._asked, self._spent = 0, 0.0

    @property
    def rules(self) -> Mapping[str, Rule]:
        """Return the rules that kept findings name."""
        return self._cache.rules

    @property
    def level(self) -> SandboxLevel:
        """Return the level at which the kept answers were given."""
        return self._cache.level

    def unchanged(self, file: SourceFile) -> tuple[Finding, ...] | None:
        """Return what is known of a file that nobody has touched, without reading it."""
        return self._cache.find(file.path, file.relative)

    def same(
        self, file: SourceFile, kind: str, data: bytes | memoryview
    ) -> tuple[Finding, ...] | None:
        """Return what is known of a content."""
        if not self._cache.is_there:
            return None
        key = self._cache.key_of(file.relative, kind, data)
        known = self._cache.find_content(key)
        if known is not None:
            self._cache.keep(file.path, file.relative, key, None)
        return known

    def keep(
        self,
        worker: StaticWorker,
        batch: Sequence[FileInput],
        result: BatchResult,
        spent_s: float,
    ) -> None:
        """Keep the answers of a batch if that pays."""
        if "project" in worker.looks_at:
            return
        self._asked += len(batch)
        self._spent += spent_s
        if not self._worth and self._spent / self._asked < _WORTH_KEEPING_S:
            return
        if not self._paths:
            self._paths = {file.relative: file.path for file in self._files}
        for item in batch:
            if item.path in result.failures or item.path not in result.findings:
                continue
            key = self._cache.key_of(item.path, item.kind, item.data)
            path = self._paths[item.path]
            self._cache.keep(path, item.path, key, result.findings[item.path])

    def close(self, worker: StaticWorker) -> int:
        """Write what is new; return how many files were known."""
        if "project" not in worker.looks_at:
            level = worker.level if worker.level is not None else self._cache.level
            self._cache.save(level=level, rules=worker.rules or self._cache.rules)
        self._cache.close()
        return self._cache.hits
