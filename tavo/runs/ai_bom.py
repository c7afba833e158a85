"""The inventory of a project: files chosen as for a scan, looked at for parts instead of flaws.

Rules this module keeps:
- the files are those of a scan, and what is left out, unreadable or unread stands in the result;
- nothing of the project is run, nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from tavo.plugins import Finding
from tavo.progress import Reporter
from tavo.results.inventory import Inventory, Kind
from tavo.results.values import Notice
from tavo.runs.combined import left_out_notice
from tavo.scan.files import SourceFile, UnreadableError, decode, read, scan_root, walk
from tavo.scan.incremental import scan_files
from tavo.scan.inventory.artifacts import digest_of_file, kind_of_file
from tavo.scan.inventory.collect import INVENTORY_PACK, Collector, text_of_region
from tavo.scan.inventory.manifests import declared_in, is_manifest, is_unread
from tavo.scan.rule_source import RuleSource

__all__ = ["take_inventory"]

_LARGEST_MANIFEST = 64 << 20


def take_inventory(
    targets: Sequence[Path], *, exclude: Sequence[str] = (), largest: int = 2 << 20, jobs: int = 1,
    reporter: Reporter,
) -> Inventory:  # fmt: skip
    """Return what the files below the targets are made of.

    Raises InputError for a target that does not exist.
    """
    root = scan_root(targets)
    notices: list[Notice] = []
    files: list[SourceFile] = []
    left_out: list[Path] = []
    for file in walk(targets, root, exclude=exclude, left_out=left_out):
        if file.problem:
            notices.append(_notice(file.relative, file.problem))
        else:
            files.append(file)
    if left_out:
        notices.append(left_out_notice(left_out, root))
    collector = Collector(own_modules=_own_modules(files))
    rules = RuleSource((INVENTORY_PACK,))
    sources = [file for file in files if rules.wants(file.relative)]
    results = scan_files(sources, rules, kept=None, jobs=jobs, largest=largest, reporter=reporter)
    looked: set[PurePosixPath] = set()
    for file, result in zip(sources, results, strict=False):
        notices += [_notice(file.relative, problem) for problem in result.problems]
        if result.scanned:
            looked.add(file.relative)
        literal = _literals(file, largest)
        for hit in result.hits:
            finding = hit.finding
            collector.add_hit(finding, rules.rule(finding.rule_id), partial(literal, finding))
    reporter.begin("reading manifests and models", len(files))
    for file in files:
        _add_file(file, collector, notices, looked)
        reporter.advance()
    reporter.end()
    return collector.inventory(
        root.name or "project", files=len(looked), notices=dict.fromkeys(notices)
    )


def _own_modules(files: Sequence[SourceFile]) -> frozenset[str]:
    """Return the names of the packages of Python that the project itself holds, at their top."""
    folders = {file.relative.parent for file in files if file.relative.name == "__init__.py"}
    return frozenset(folder.name for folder in folders if folder.parent not in folders)


def _literals(file: SourceFile, largest: int) -> Callable[[Finding], str | None]:
    """Return what gives the text at the place of a finding; the file is read once, if at all."""
    known: list[str | None] = []

    def text_at(finding: Finding) -> str | None:
        if not known:
            try:
                known.append(decode(read(file, largest=largest)).data.decode("utf-8", "replace"))
            except UnreadableError:
                known.append(None)
        source = known[0]
        return None if source is None else text_of_region(source, finding.location.region)

    return text_at


def _add_file(
    file: SourceFile, collector: Collector, notices: list[Notice], looked: set[PurePosixPath]
) -> None:
    path = file.relative
    if is_unread(path):
        reason = "this kind of manifest is not read"
        notices.append(Notice(kind="file", subject=str(path), reason=reason, incomplete=False))
    if is_manifest(path):
        try:
            text = decode(read(file, largest=_LARGEST_MANIFEST), lossy=True).data.decode()
            collector.add_declared(path, declared_in(path, text))
            looked.add(path)
        except (UnreadableError, ValueError) as error:
            notices.append(_notice(path, f"the packages in it are not known: {error}"))
    kind = kind_of_file(path)
    if kind is None:
        return
    try:
        digest, size = digest_of_file(file)
        collector.add_file(kind, path, digest, size)
    except UnreadableError as error:
        notices.append(_notice(path, str(error)))
        collector.add_file(kind, path, "", None)
    if kind is not Kind.NOTEBOOK:
        looked.add(path)


def _notice(path: PurePosixPath, reason: str) -> Notice:
    return Notice(kind="file", subject=str(path), reason=reason)
