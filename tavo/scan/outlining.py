"""Make the outline of one file: what it uses of other files, and what its functions offer them.

Rules this module keeps:
- a file that is parsed for its rules says exactly what it uses; one that is not says which names
  it may import, read from its text, rather too many than too few;
- a rule is followed once: what it found in the file and what others need come of the same run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

from msgspec.structs import replace

from tavo.plugins import Location
from tavo.scan.linking import Offer
from tavo.scan.locations import locate
from tavo.scan.match import BudgetError
from tavo.scan.outline import Outline, Use
from tavo.scan.parsed import ParsedFile
from tavo.scan.regexes import LateError
from tavo.scan.rule import RuleSet, ScanRule, TaintSink, TaintSource
from tavo.scan.suppress import Ignores
from tavo.scan.taint.across import functions_of, parts_of
from tavo.scan.taint.analysis import Result
from tavo.scan.taint.exports import Place, exported, offered
from tavo.scan.taint.functions import function_around
from tavo.scan.taint.marks import Ends, Marks
from tavo.scan.timing import Clock, TimeUpError

__all__ = ["Outlining", "offers_of", "outline_of_uses", "spots_of"]

_MOST_OFFERS = 200
_DEFAULT = re.compile(
    rb"export\s+default\s+(?:async\s+)?(?:function\b\*?|class\b)?\s*([A-Za-z_$][\w$]*)"
)
_LISTED = re.compile(rb"export\s*\{")
_SPACE = rb"(?:[ \t\f]|\\\r?\n)"
_FROM = re.compile(
    rb"\bfrom(" + _SPACE + rb"*\.[.\w]*|" + _SPACE + rb"+\w[.\w]*)" + _SPACE + rb"*import\b"
    rb"((?:[^\n;\\(]|\\\r?\n)*(?:\((?:[^)#]|#[^\n]*)*)?)"
)  # fmt: skip
_IMPORT = re.compile(rb"\bimport" + _SPACE + rb"+((?:[\w., \t\f]|\\\r?\n)+)")
_NAME = re.compile(rb"[^\W\d]\w*")
_MODULE = re.compile(rb"[^\W\d]\w*(?:\.\w+)*")
_ECMA = re.compile(rb"""\b(?:from|import|require)\b[\s(]*["'`]([^"'`\n]{1,500})["'`]""")
_MOST_MENTIONED = 5_000
_Marked = dict[str, tuple[str, ...]]


class Outlining:
    """Gathers the outline of a file while its rules run."""

    def __init__(self, path: PurePosixPath, rules: RuleSet, language: str) -> None:
        self._path = path
        self._rules = rules
        self._language = language
        self._sinks: dict[str, tuple[str, ...]] = {}
        self._sources: dict[str, tuple[str, ...]] = {}
        self._without: set[tuple[str, str]] = set()
        self._parsed: Outline | None = None

    def note(self, rule: ScanRule, file: ParsedFile, ends: Ends) -> None:
        """Take over in which parts of the file a rule has sinks and sources."""
        identifier = rule.rule.id
        if not ends.sinks:
            self._without.add(("sinks", identifier))
            return
        parts = parts_of(file)
        found = parts.at((match.start, match.end) for _, match in ends.sinks)
        self._sinks[identifier] = tuple(sorted(found))
        if not ends.sources:
            self._without.add(("sources", identifier))
            return
        found = parts.at((match.start, match.end) for _, match in ends.sources)
        self._sources[identifier] = tuple(sorted(found))

    def parsed(self, file: ParsedFile) -> None:
        """Note what a parsed file uses."""
        self._parsed = outline_of_uses(file, self._path)

    def look_for_ends(self, file: ParsedFile, clock: Clock) -> None:
        """Note where rules that were not run have ends in a parsed file.

        The tree is there now; what only names told would have files parsed again for nothing.
        """
        if self._parsed is None:
            return
        text = str(self._path)
        ends = self._rules.may_end(file.names, self._language)
        begins = self._rules.may_begin(file.names, self._language)
        for rule in self._rules.of(self._language):
            identifier = rule.rule.id
            if rule.follows_calls and rule.applies_to(text):
                if identifier in ends and identifier not in self._sinks:
                    self._look(rule, file, clock, "sinks", self._sinks)
                if identifier in begins and identifier not in self._sources:
                    self._look(rule, file, clock, "sources", self._sources)

    def _look(
        self, rule: ScanRule, file: ParsedFile, clock: Clock, what: str, found: _Marked
    ) -> None:
        """Note where a rule has ends of one kind; nothing where that takes too long."""
        key = what, rule.rule.id
        if key in self._without or clock.is_up:
            return
        try:
            with clock.one():
                spots = spots_of(rule, file, what)
        except (TimeUpError, LateError, BudgetError, RecursionError):
            return
        if spots:
            found[rule.rule.id] = tuple(sorted(parts_of(file).at(spots)))
        else:
            self._without.add(key)

    def outline(self, data: bytes, names: frozenset[bytes]) -> Outline:
        """Return all of it."""
        outline = self._parsed or _outline_of_text(data, self._language)
        text = str(self._path)
        known = self._rules.rules

        def applying(rules: set[str], what: str, found: dict[str, tuple[str, ...]]) -> _Marked:
            return {
                rule: found.get(rule, ())
                for rule in sorted(rules)
                if (what, rule) not in self._without and known[rule].applies_to(text)
            }

        return replace(
            outline,
            sinks=applying(self._rules.may_end(names, self._language), "sinks", self._sinks),
            sources=applying(
                self._rules.may_begin(names, self._language), "sources", self._sources
            ),
        )


def spots_of(rule: ScanRule, file: ParsedFile, what: str) -> list[tuple[int, int]]:
    """Return where a rule's `sinks` are in a file, or its `sources` that name something."""
    if rule.taint is None:
        return []
    entries: Sequence[TaintSink | TaintSource] = (
        rule.taint.sinks
        if what == "sinks"
        else [one for one in rule.taint.sources if one.formula.anchor() is not None]
    )
    return [
        (match.start, match.end)
        for entry in entries
        if entry.formula.possible(file.names)
        for match in entry.formula.evaluate(file)
    ]


def offers_of(
    rule: ScanRule,
    file: ParsedFile,
    path: PurePosixPath,
    marks: Marks,
    result: Result,
    ignores: Ignores,
    *,
    wanted: Collection[str],
) -> tuple[Offer, ...]:
    """Return what functions of a file do with a rule's data, by the names that others want."""
    functions = [f for f in functions_of(file) if function_around(f.node) is None]
    place = Place(
        lambda start, end: _located(file, path, start, end),
        file.source.text,
        lambda start: ignores.of(rule.rule.id, file.source.line_of(start)),
    )
    entries = exported(functions, result.summaries, marks, place, wanted=wanted)
    return tuple(offered(entry) for entry in entries[:_MOST_OFFERS])


def outline_of_uses(file: ParsedFile, path: PurePosixPath) -> Outline:
    """Return what a parsed file uses and passes on, without what it offers itself."""
    dotted = {name for _, name in file.imports.items()} | functions_of(file).modules
    parts = parts_of(file)
    uses = []
    for called, callers in parts.outside.items():
        name = called
        while name:
            if name in dotted:
                uses.append(Use(name, called[len(name) :], tuple(sorted(callers))))
            name = name.rpartition(".")[0]
    uses.sort(key=lambda use: (use.dotted, use.below))
    default = _default(file.source.data, file.language)
    passes = tuple(sorted(file.imports.items())) if _passes_on(file, path) else ()
    calls = {part: tuple(sorted(called)) for part, called in sorted(parts.calls.items())}
    return Outline(tuple(uses), passes, default, calls)


def _passes_on(file: ParsedFile, path: PurePosixPath) -> bool:
    """Tell whether others import from a file what it imports itself.

    In Python any file could be used so; what does it on purpose is the file of a package.
    """
    if file.language == "python":
        return path.stem == "__init__"
    return _LISTED.search(file.source.data) is not None


def _outline_of_text(data: bytes, language: str) -> Outline:
    """Return which names a file that is not parsed may import."""
    found = _ecma_names(data) if language == "javascript" else _python_names(data)
    names = sorted({name.decode("utf-8", "replace") for name in found})[:_MOST_MENTIONED]
    uses = tuple(Use(name) for name in names)
    return Outline(uses, default=_default(data, language), exact=not names)


def _default(data: bytes, language: str) -> str:
    """Return the name of what a module exports without one."""
    found = _DEFAULT.search(data) if language == "javascript" else None
    return found.group(1).decode() if found is not None else ""


def _python_names(data: bytes) -> Iterator[bytes]:
    for statement in _FROM.finditer(data):
        module = b"".join(re.findall(rb"[.\w]+", statement.group(1)))
        between = b"" if module.endswith(b".") else b"."
        for name in _NAME.findall(statement.group(2)):
            yield module + between + name
    for statement in _IMPORT.finditer(data):
        yield from _MODULE.findall(statement.group(1))


def _ecma_names(data: bytes) -> Iterator[bytes]:
    for statement in _ECMA.finditer(data):
        yield statement.group(1).removeprefix(b"node:")


def _located(file: ParsedFile, path: PurePosixPath, start: int, end: int) -> Location:
    """Return a location, made once for all rules."""
    places = file.memory.setdefault(_located, {})
    assert isinstance(places, dict)  # noqa: S101
    if (start, end) not in places:
        places[start, end] = locate(file, path, start, end)
    found: Location = places[start, end]
    return found
