"""Which findings a change brought: those that were there before are told apart.

Rules this module keeps:
- a finding counts if a changed line is part of it, its place or a step of its flow, or if the
  revision's version of the file did not have it; so a check that was taken away counts too;
- what was there already stays in the report, with the revision, and does not count;
- a finding that an ignore comment covered before, and no comment covers now, counts;
- a flow through several files that no changed line is part of is looked for in all files as they
  were; a file that did not change brings nothing else;
- of plugins and other engines only lines are known: they are not asked about the older version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from tavo.errors import UsageError
from tavo.plugins import Finding
from tavo.progress import Reporter
from tavo.results.fingerprint import Fingerprints
from tavo.results.values import Notice, Reported, Suppression
from tavo.scan.changes import Changes
from tavo.scan.files import SourceFile, UnreadableError, decode
from tavo.scan.results import FileResult
from tavo.scan.revision import Revision, open_revision
from tavo.scan.rule_source import RuleSource

__all__ = ["Already", "revision_of"]


def revision_of(asked: str, targets: Sequence[Path]) -> Revision:
    """Open the revision of the repository that holds all targets. Raises UsageError, InputError."""
    folders = [path.resolve() for path in targets]
    folders = [path if path.is_dir() else path.parent for path in folders]
    revision = open_revision(asked, folders[0])
    for folder in folders[1:]:
        if not folder.is_relative_to(revision.top):
            raise UsageError(
                f"--diff {asked}: {folder} is not in the repository {revision.top}",
                hint="Scan one repository at a time.",
            )
    return revision


class Already:
    """What was there in a revision. Findings of a file are judged together."""

    def __init__(
        self,
        revision: Revision,
        files: Sequence[SourceFile],
        rules: RuleSource,
        *,
        largest: int,
        root: Path | None = None,
    ) -> None:
        self._all = list(files)
        self._root = root
        self._largest = largest
        self._together: Counter[str] | None = None
        self._changes = Changes(revision, files, largest=largest)
        self._rules = rules
        self._unchanged = len(files) - len(self._changes.files)
        name = revision.commit[:12]
        self._asked = revision.asked if name.startswith(revision.asked) else (
            f"{revision.asked} ({name})"
        )  # fmt: skip

    @property
    def files(self) -> list[SourceFile]:
        """Return the files that changed since."""
        return self._changes.files

    @property
    def notice(self) -> Notice:
        """Say what was not looked at, and why."""
        return Notice(
            kind="file",
            subject="not changed",
            reason=f"{self._unchanged} since {self._asked}, not judged by themselves",
            incomplete=False,
        )

    def concerned(self, result: FileResult) -> FileResult:
        """Return of a result what has to do with a file that changed."""
        changed = {file.relative for file in self._changes.files}
        if result.path in changed and result.scanned:
            return result
        hits = tuple(hit for hit in result.hits if not changed.isdisjoint(_files_of(hit.finding)))
        problems = result.problems if result.path in changed else ()
        return replace(result, hits=hits, problems=problems, scanned=False)

    def judged(self, reported: Sequence[Reported]) -> list[Reported]:
        """Return findings with those that were there already marked as such."""
        before: dict[PurePosixPath, Counter[str]] = {}
        return [one if self._counts(one, before) else self._marked(one) for one in reported]

    def _counts(self, one: Reported, before: dict[PurePosixPath, Counter[str]]) -> bool:
        if one.suppression is not None:
            return True  # it has its reason
        finding = one.finding
        places = [finding.location, *(step.location for step in finding.flow)]
        for place in places:
            if place.region is None:
                if place is finding.location:
                    return True  # about a file as a whole, which changed
            elif self._changes.touches(place.path, place.region.start_line, place.region.end_line):
                return True
        if one.tool != "tavo":
            return False
        path, name = finding.location.path, _name(finding)
        if len(_files_of(finding)) > 1:
            known = self._found_together()
        else:
            if path not in before:
                before[path] = self._found_before(path)
            known = before[path]
        known[name] -= 1
        return known[name] < 0

    def _found_together(self) -> Counter[str]:
        """Return what several files showed in the revision."""
        if self._together is not None:
            return self._together
        from tavo.scan.incremental import scan_files

        with TemporaryDirectory() as folder:
            files = [file for file in self._all if file not in self._changes.files]
            for number, (path, data) in enumerate(self._changes.all_before()):
                old = Path(folder) / f"{number}{path.suffix}"
                old.write_bytes(data)
                files.append(SourceFile(old, path))
            files.sort(key=lambda file: file.relative)
            root = self._root.name if self._root is not None else ""
            self._together = Counter(
                _name(hit.finding)
                for result in scan_files(
                    files, self._rules, kept=None, jobs=1, largest=self._largest,
                    reporter=Reporter(), root=root,
                )
                for hit in result.hits
                if hit.ignore is None and len(_files_of(hit.finding)) > 1
            )  # fmt: skip
        return self._together

    def _found_before(self, path: PurePosixPath) -> Counter[str]:
        data = self._changes.before(path)
        if data is None:
            return Counter()
        from tavo.scan.engine import scan_source

        try:
            content = decode(data)
        except UnreadableError:
            return Counter()
        hits = scan_source(content.data, path, self._rules.loaded).hits
        return Counter(_name(hit.finding) for hit in hits if hit.ignore is None)

    def _marked(self, one: Reported) -> Reported:
        reason = f"already there in {self._asked}"
        return replace(one, suppression=Suppression(kind="external", reason=reason, line=0))


def _files_of(finding: Finding) -> set[PurePosixPath]:
    """Return the files that a finding is in, and those that its flow goes through."""
    return {finding.location.path, *(step.location.path for step in finding.flow)}


def _name(finding: Finding) -> str:
    """Return the fingerprint of a finding without what tells equal ones of a file apart."""
    return Fingerprints().of("tavo", finding)
