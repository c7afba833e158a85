"""Rules over files that strangers wrote and may have made to hide something.

Rules this module keeps:
- every file is looked at: nothing in the files (`.gitignore`, a folder's name) leaves one out;
- ignore comments in them count for nothing;
- a file that was not looked at in full is a problem.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from tavo.plugins import Finding
from tavo.progress import Reporter
from tavo.scan.files import SourceFile
from tavo.scan.incremental import scan_files
from tavo.scan.rule_source import RuleSource

__all__ = ["Looked", "look", "sentence_of"]

_LARGEST = 16 << 20


class Looked(msgspec.Struct, frozen=True):
    """What rules found, in the order of the files, and what was not looked at."""

    findings: tuple[Finding, ...]
    problems: tuple[str, ...]


def look(folder: Path, names: Iterable[PurePosixPath], packs: Sequence[Path]) -> Looked:
    """Look at files of a folder with all rules of some packs."""
    rules = RuleSource(packs)
    files = [SourceFile(folder / name, name) for name in sorted(names)]
    findings: list[Finding] = []
    problems = [str(one) for one in rules.problems]
    results = scan_files(
        files, rules, kept=None, jobs=os.cpu_count() or 1, largest=_LARGEST, reporter=Reporter(),
        root="plugin",
    )  # fmt: skip
    for result in results:
        findings += [hit.finding for hit in result.hits]
        problems += [f"{result.path}: {one}" for one in result.problems]
    return Looked(tuple(findings), tuple(problems))


def sentence_of(finding: Finding, *, inside: str = "") -> str:
    """Say what was found and where; `inside` is the wheel that the file is in."""
    region = finding.location.region
    line = f" line {region.start_line}" if region is not None else ""
    where = f"{inside}: " if inside else ""
    return (
        f"{where}{finding.location.path}{line}: {finding.message} [{finding.rule_id},"
        f" {finding.severity.name.lower()}]"
    )
