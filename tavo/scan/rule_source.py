"""The rules of a scan: named by their paths, loaded when something has to be matched with them.

Rules this module keeps:
- a path that does not exist is refused at once, whether its rules will be needed or not;
- what an earlier run noted about rules counts only for the same bytes in the same files;
- it imports no engine: a scan of files that are known from before does without one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from tavo.errors import ConfigError
from tavo.plugins import Rule
from tavo.scan import packs
from tavo.scan.languages import is_source

if TYPE_CHECKING:
    from tavo.scan.rule import RuleSet

__all__ = ["COMPILED", "PACK", "RuleNote", "RuleProblem", "RuleSource", "check_rule_paths"]

PACK = Path(next(iter(packs.__path__))) / "tavo_ai"
"""Our own pack of rules."""

COMPILED = "pack.json"
"""Our own pack as the build has read it: file name to entries."""


class RuleProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, or a whole file when `rule_id` is empty, that cannot be used, and why."""

    file: Path
    rule_id: str
    reason: str

    def __str__(self) -> str:
        rule = f"rule {self.rule_id}: " if self.rule_id else ""
        return f"{self.file}: {rule}{self.reason}"


class RuleNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has to know of its rules without loading them, and those that found something.

    `follows_calls`: some follow data from file to file. `reads_text`: some are for other files
    than code. `yields`: which are left out for which more specific ones.
    """

    count: int
    follows_calls: bool
    reads_text: bool
    problems: tuple[RuleProblem, ...] = ()
    rules: tuple[Rule, ...] = ()
    yields: dict[str, tuple[str, ...]] = {}


class RuleSource:
    """Rule files and folders; what is in them is loaded when it is first asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Name the files and folders. Raises ConfigError for one that does not exist."""
        self.paths = tuple(paths)
        check_rule_paths(self.paths)
        self._note: RuleNote | None = None
        self._noted: dict[str, Rule] = {}

    @cached_property
    def loaded(self) -> RuleSet:
        """The rules, ready for use."""
        from tavo.scan.rules import load_rules

        return load_rules(self.paths)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that these rules are made from."""
        return digest_of(self.paths)

    def remember(self, note: RuleNote) -> None:
        """Take over what an earlier run noted about the same rules."""
        self._note = note
        self._noted = {rule.id: rule for rule in note.rules}

    @property
    def count(self) -> int:
        """Return how many rules there are."""
        return len(self.loaded.rules) if self._note is None else self._note.count

    @property
    def problems(self) -> Sequence[RuleProblem]:
        """Return what is wrong with rules that cannot be used."""
        return self.loaded.problems if self._note is None else self._note.problems

    @property
    def yields(self) -> Mapping[str, tuple[str, ...]]:
        """Return which rules are left out for which more specific ones."""
        return self.loaded.yields if self._note is None else self._note.yields

    @property
    def follows_calls(self) -> bool:
        """Tell whether a rule follows data from file to file."""
        return self.loaded.follows_calls if self._note is None else self._note.follows_calls

    def wants(self, path: PurePosixPath) -> bool:
        """Tell whether a file is looked at: it is code, or some rule is for such files."""
        if is_source(path):
            return True
        if self._note is not None and not self._note.reads_text:
            return False
        return self.loaded.wants(path)

    def noted(self, rules: tuple[Rule, ...]) -> RuleNote:
        """Return what the next run has to know."""
        if self._note is not None:
            return replace(self._note, rules=rules)
        loaded = self.loaded
        return RuleNote(
            count=len(loaded.rules), follows_calls=loaded.follows_calls,
            reads_text=loaded.reads_text, problems=tuple(loaded.problems), rules=rules,
            yields=loaded.yields,
        )  # fmt: skip

    def knows(self, rule_id: str) -> bool:
        """Tell whether a rule was noted, so that its findings can be told without loading it."""
        return rule_id in self._noted

    def rule(self, rule_id: str) -> Rule:
        """Return what a rule says about itself."""
        return self._noted.get(rule_id) or self.loaded.rules[rule_id].rule


def check_rule_paths(paths: Sequence[Path]) -> None:
    """Raise ConfigError for a path that does not exist."""
    for path in paths:
        if not path.exists():
            raise ConfigError(
                f"{path}: no such rule file or folder",
                hint="Check the path that --rules or scan.rules names.",
            )
        if not (path.is_file() or path.is_dir()):
            raise ConfigError(
                f"{path}: neither a file nor a folder",
                hint="Rules are read from files: write them to one.",
            )


def digest_of(paths: Sequence[Path]) -> str:
    """Return the digest of the files that rules are made from, in their order, with their names."""
    whole = hashlib.sha256()
    for path in paths:
        for file in _files_of(path):
            try:
                with file.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                content = f"cannot be read: {error.errno}"
            whole.update(f"{file}\0{content}\0".encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


def _files_of(path: Path) -> Iterator[Path]:
    if path == PACK and (path / COMPILED).is_file():
        yield path / COMPILED
        return
    if path.is_dir():
        found = (p for ending in ("*.yaml", "*.yml") for p in path.rglob(ending))
        yield from sorted(p for p in found if not _is_special(p))
        return
    yield path
    yield from sorted(p for p in (path.parent / "library").glob("*.yaml") if not _is_special(p))


def _is_special(path: Path) -> bool:
    """Tell whether a path is there and no file, so that reading it may never end."""
    return path.exists() and not path.is_file()
