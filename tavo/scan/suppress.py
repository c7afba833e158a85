"""Ignore comments in source: `# nosemgrep`, and ours, which need a reason.

Rules this module keeps:
- only real comments count, never text inside a string;
- a comment speaks for its own line, and alone on its line for the next one;
- in text of which no grammar is known here, our comment counts behind a usual sign of comments,
  and in JSON as the value of a key "//";
- `# tavo: ignore[rule] reason` without a reason does not hold, and says so; the text that an editor
  puts in the place of one is none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from tavo.scan.languages import is_source, parse_file

if TYPE_CHECKING:
    from tavo.scan.parsed import ParsedFile

__all__ = [
    "PLACEHOLDER", "Ignore", "Ignores", "find_ignores", "find_ignores_in_lines", "ignores_in",
]  # fmt: skip

PLACEHOLDER = "<why this is safe here>"
"""What an editor writes where the reason has to be."""

_SEMGREP = re.compile(r"(?:#|//|/\*)\s*nosem(?:grep)?\b(?P<ids>\s*:\s*[\w.,\- ]+)?", re.IGNORECASE)
_OURS = re.compile(
    r"(?:#|//|/\*)\s*tavo:\s*ignore\[(?P<ids>[^\]]*)\]\s*(?P<reason>.*)", re.IGNORECASE
)
_IN_TEXT = re.compile(
    r"(?P<key>\"//\d*\"\s*:\s*\")?(?(key)|(?:#|//|/\*|<!--|--|;|%))\s*"
    r"tavo:\s*ignore\[(?P<ids>[^\]\n]*)\][ \t]*(?P<reason>(?(key)[^\"\n]*|[^\n]*))",
    re.IGNORECASE,
)
_LONGEST_REASON = 500


class Ignore(msgspec.Struct, frozen=True):
    """One ignore comment: the rules it names (None: all), its reason, and its line."""

    rules: frozenset[str] | None
    reason: str
    line: int


class Ignores(msgspec.Struct, frozen=True):
    """The ignore comments of a file by the line they speak for, and what is wrong with others."""

    by_line: Mapping[int, tuple[Ignore, ...]]
    problems: tuple[str, ...]

    def of(self, rule_id: str, line: int) -> Ignore | None:
        """Return the comment that covers a finding starting on a line, or None."""
        for ignore in self.by_line.get(line, ()):
            if ignore.rules is None or rule_id in ignore.rules:
                return ignore
        return None

    def naming(self, names: Collection[str], line: int) -> Ignore | None:
        """Return the comment that names one of these and covers a line; a bare one names none."""
        for ignore in self.by_line.get(line, ()):
            if ignore.rules is not None and not ignore.rules.isdisjoint(names):
                return ignore
        return None


def ignores_in(path: PurePosixPath, text: bytes) -> Ignores:
    """Read the ignore comments of any text file; of source as `find_ignores` does."""
    if b"tavo:" not in text.lower():
        return Ignores({}, ())
    if is_source(path):
        return find_ignores(parse_file(text, path.suffix))
    by_line: dict[int, tuple[Ignore, ...]] = {}
    problems: list[str] = []
    for number, line in enumerate(text.decode("utf-8", "replace").split("\n"), start=1):
        found = _IN_TEXT.search(line)
        ignore = None if found is None else _ours(found, number, problems)
        if found is None or ignore is None:
            continue
        for covered in (number,) if line[: found.start()].strip() else (number, number + 1):
            by_line[covered] = (*by_line.get(covered, ()), ignore)
    return Ignores(by_line, tuple(problems))


def find_ignores(file: ParsedFile) -> Ignores:
    """Read all ignore comments of a file."""
    by_line: dict[int, tuple[Ignore, ...]] = {}
    problems: list[str] = []
    for comment in file.comments:
        if "nosem" not in comment.text.lower() and "tavo" not in comment.text.lower():
            continue
        line, column = file.source.position(comment.start)
        ignore = _read(comment.text, line, problems)
        if ignore is None:
            continue
        before = file.source.lines(line, line)[: column - 1]
        for covered in (line,) if before.strip() else (line, line + 1):
            by_line[covered] = (*by_line.get(covered, ()), ignore)
    return Ignores(by_line, tuple(problems))


def find_ignores_in_lines(text: str) -> Ignores:
    """Read what looks like ignore comments in a language that is not parsed here."""
    by_line: dict[int, tuple[Ignore, ...]] = {}
    problems: list[str] = []
    for line, code in enumerate(text.split("\n"), start=1):
        found = _OURS.search(code) or _SEMGREP.search(code)
        ignore = None if found is None else _read(code, line, problems)
        if found is None or ignore is None:
            continue
        for covered in (line,) if code[: found.start()].strip() else (line, line + 1):
            by_line[covered] = (*by_line.get(covered, ()), ignore)
    return Ignores(by_line, tuple(problems))


def _read(text: str, line: int, problems: list[str]) -> Ignore | None:
    ours = _OURS.search(text)
    if ours is not None:
        return _ours(ours, line, problems)
    semgrep = _SEMGREP.search(text)
    if semgrep is None:
        return None
    ids = (semgrep["ids"] or "").replace(":", " ").replace(",", " ").split()
    return Ignore(frozenset(i.split(".")[-1] for i in ids) or None, "nosemgrep", line)


def _ours(found: re.Match[str], line: int, problems: list[str]) -> Ignore | None:
    rules = frozenset(found["ids"].replace(",", " ").split())
    reason = found["reason"].strip().removesuffix("-->").removesuffix("*/").strip()
    if not rules:
        problems.append(f"line {line}: `tavo: ignore[]` names no rule and does not hold")
        return None
    if not reason:
        problems.append(f"line {line}: `tavo: ignore` has no reason and does not hold")
        return None
    if reason == PLACEHOLDER:
        problems.append(
            f"line {line}: `tavo: ignore` does not hold before {PLACEHOLDER} is a reason"
        )
        return None
    return Ignore(rules, reason[:_LONGEST_REASON], line)
