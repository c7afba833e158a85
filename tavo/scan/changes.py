"""What changed since a revision: which files, which of their lines, and what they were before.

Rules this module keeps:
- a file counts as changed unless its content is the revision's: also one that Git does not know,
  and one whose earlier content cannot be had;
- a file that was renamed is compared with what it was under its old name;
- where comparing would take too long, every line counts as changed: nothing new is hidden.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from tavo.scan.files import SourceFile, UnreadableError, decode, read
from tavo.scan.revision import Revision, blob_name

__all__ = ["Changes", "changed_lines"]

_MOST_CANDIDATES = 100
_ALIKE = 0.5
_MOST_WORK = 30_000_000


class Changes:
    """The files below a root, compared with a revision."""

    def __init__(self, revision: Revision, files: Sequence[SourceFile], *, largest: int) -> None:
        self.revision = revision
        self._largest = largest
        self._before: dict[PurePosixPath, bytes | None] = {}
        self._lines: dict[PurePosixPath, frozenset[int] | None] = {}
        self._taken: set[str] = set()
        self._names: dict[PurePosixPath, str | None] = {}
        self.files = [file for file in files if self._is_changed(file)]
        self._by_path = {file.relative: file for file in self.files}

    def before(self, path: PurePosixPath) -> bytes | None:
        """Return what a changed file was in the revision, None where it was not there."""
        if path not in self._before:
            file = self._by_path.get(path)
            name = None if file is None else self._name_before(file)
            blob = None if not name else self.revision.files[name]
            self._before[path] = (
                None if blob is None else self.revision.read(blob, largest=self._largest)
            )
        return self._before[path]

    def all_before(self) -> Iterator[tuple[PurePosixPath, bytes]]:
        """Yield what changed files were, under their old names, and what is gone."""
        names = [self._name_before(file) for file in self.files]
        for name in dict.fromkeys([*(name for name in names if name), *self._gone]):
            path = self._path_of(name)
            blob = self.revision.files[name]
            if path is None or blob.is_link:
                continue
            data = self.revision.read(blob, largest=self._largest)
            if data is not None:
                yield path, data

    def _path_of(self, name: str) -> PurePosixPath | None:
        """Return the path in the scan of a name in the revision, None if it is outside."""
        first = self.files[0]
        root = first.path
        for _ in first.relative.parts:
            root = root.parent
        path = Path(self.revision.top, name)
        return PurePosixPath(path.relative_to(root)) if path.is_relative_to(root) else None

    def touches(self, path: PurePosixPath, first: int, last: int) -> bool:
        """Tell whether a changed line is among those; a file that did not change has none."""
        if path not in self._by_path:
            return False
        if path not in self._lines:
            self._lines[path] = self._compare(path)
        lines = self._lines[path]
        return lines is None or any(line in lines for line in range(first, last + 1))

    def _compare(self, path: PurePosixPath) -> frozenset[int] | None:
        before = self.before(path)
        if before is None:
            return None
        try:
            after = read(self._by_path[path], largest=self._largest)
            return changed_lines(decode(before).data, decode(after).data)
        except UnreadableError:
            return None

    def _is_changed(self, file: SourceFile) -> bool:
        known = self.revision.files.get(self._name_of(file))
        if known is None:
            return True
        try:
            if known.is_link:
                data = os.fsencode(file.path.readlink())
            else:
                data = read(file, largest=1 << 30)
        except (OSError, UnreadableError):
            return True
        return blob_name(data, known.name) != known.name

    def _name_before(self, file: SourceFile) -> str | None:
        """Return the name in the revision of what is now a file, None for what was not there."""
        if file.relative not in self._names:
            name: str | None = self._name_of(file)
            known = self.revision.files.get(name or "")
            if known is not None:
                name = None if known.is_link else name
            else:
                try:
                    name = self._renamed(file, read(file, largest=self._largest))
                except UnreadableError:
                    name = None
            self._names[file.relative] = name
        return self._names[file.relative]

    def _renamed(self, file: SourceFile, data: bytes) -> str | None:
        """Return what a new file was under another name that is gone."""
        gone = [name for name in self._gone if name.endswith(file.path.suffix)]
        gone = [name for name in gone if name not in self._taken]
        for name in gone:
            blob = self.revision.files[name]
            if blob_name(data, blob.name) == blob.name:
                self._taken.add(name)
                return name
        gone.sort(key=lambda name: name.rpartition("/")[2] != file.path.name)
        best, chosen = _ALIKE, ""
        for name in gone[:_MOST_CANDIDATES]:
            earlier = self.revision.read(self.revision.files[name], largest=self._largest)
            if earlier is not None and (alike := _likeness(earlier, data)) >= best:
                best, chosen = alike, name
        if not chosen:
            return None
        self._taken.add(chosen)
        return chosen

    @cached_property
    def _gone(self) -> list[str]:
        top = str(self.revision.top)
        return sorted(
            name
            for name, blob in self.revision.files.items()
            if not blob.is_link and not os.path.lexists(os.path.join(top, name))  # noqa: PTH118
        )

    def _name_of(self, file: SourceFile) -> str:
        try:
            return file.path.relative_to(self.revision.top).as_posix()
        except ValueError:
            return ""


def changed_lines(before: bytes, after: bytes) -> frozenset[int] | None:
    """Return the numbers of lines that are new or changed, None for all of them.

    Line ends do not count, nor do lines that were taken away: what that brings about is found by
    scanning what was there before.
    """
    old, new = before.splitlines(), after.splitlines()
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    lines: set[int] = set()
    if _work(a, b) > _MOST_WORK:
        lines.update(range(start + 1, start + len(b) + 1))
        return frozenset(lines)
    for kind, _, _, first, last in difflib.SequenceMatcher(None, a, b).get_opcodes():
        if kind != "equal":
            lines.update(range(start + first + 1, start + last + 1))
    return frozenset(lines)


def _work(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    """Return a bound for what comparing takes: pairs of equal lines, for each run of them."""
    counts = Counter(new)
    pairs = sum(number * counts[line] for line, number in Counter(old).items())
    return (pairs + len(old)) * max(min(len(old), len(new)), 1).bit_length() ** 2


def _likeness(old: bytes, new: bytes) -> float:
    """Return which part of two files is the same, by the bytes of their lines."""
    first, second = Counter(old.splitlines()), Counter(new.splitlines())
    same = sum(len(line) * count for line, count in (first & second).items())
    return same / max(len(old), len(new), 1)
