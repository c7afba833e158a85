"""The same scan on several processes.

Rules this module keeps:
- results come in the order of the files, whatever process had them;
- a process that dies takes one file with it, which is named; the others are scanned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tavo.processes import in_processes
from tavo.scan.engine import FileResult, scan_file
from tavo.scan.files import SourceFile
from tavo.scan.rule import RuleSet
from tavo.scan.rules import load_rules

__all__ = ["scan_parallel"]


class _Scanning:
    """The scan of one file by its number; a process that is no copy of this one loads the rules."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        rules: RuleSet,
        paths: Sequence[Path],
        largest: int,
        outlined: bool,
    ) -> None:
        self._files = files
        self._rules: RuleSet | None = rules
        self._paths = tuple(paths)
        self._largest = largest
        self._outlined = outlined

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_rules": None}

    def __call__(self, number: int, /) -> FileResult:
        if self._rules is None:
            self._rules = load_rules(self._paths)
        return scan_file(
            self._files[number], self._rules, largest=self._largest, outlined=self._outlined
        )


def scan_parallel(
    files: Sequence[SourceFile],
    rules: RuleSet,
    *,
    rule_paths: Sequence[Path],
    jobs: int,
    largest: int,
    outlined: bool = False,
) -> Iterator[FileResult]:
    """Scan files on `jobs` processes; yield one result each, in their order.

    Where a process cannot be started as a copy of this one, it loads `rule_paths` again.
    """

    def lost(number: int, reason: str) -> FileResult:
        problem = f"the scanner died on this file: it {reason}"
        return FileResult(files[number].relative, problems=(problem,), scanned=False)

    work = _Scanning(files, rules, rule_paths, largest, outlined)
    yield from in_processes(len(files), work, lost, jobs=jobs)
