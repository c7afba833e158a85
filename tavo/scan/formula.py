"""What a rule asks for: patterns combined by and, or, not and inside, with conditions.

Rules this module keeps:
- a formula is compiled once and holds no file; its answer is a list of matches;
- everything unsupported is refused when the rule is loaded, by the name of the construct.

Source of the semantics: Semgrep's documentation, "Rule syntax", and differential runs: of ranges
that lie in each other the inner one survives, with the bindings of both; `pattern-inside` never
survives below a larger plain pattern; `pattern-not` takes away equal ranges, `pattern-not-inside`
enclosed ones, `pattern-not-regex` those that touch it as a whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace

from tavo.scan.bindings import Binding, BudgetError, Env, env_key, same_code
from tavo.scan.match import DeferredMatcher, Match, Matcher, compile_pattern
from tavo.scan.parsed import ParsedFile
from tavo.scan.pattern import PatternError, parse_pattern
from tavo.scan.regexes import Regex, RegexError, scan_regex
from tavo.scan.tree import Node

if TYPE_CHECKING:
    from tavo.scan.generic import GenericMatcher, GenericOptions

__all__ = [
    "FORMULA_KEYS",
    "Condition",
    "Formula",
    "FormulaError",
    "Options",
    "Within",
    "agree",
    "unsupported",
]

FORMULA_KEYS = ("pattern", "patterns", "pattern-either", "pattern-regex")
_LONGEST_NAME = 200
_MOST_PAIRS = 3_000_000
_MOST_TEXT_MATCHES = 20_000

Range = tuple[int, int]
Names = frozenset[bytes]


class Within(msgspec.Struct, frozen=True):
    """A part of a file to look into: a byte range, and the node that it is, if it is one."""

    start: int
    end: int
    node: Node | None = None


class FormulaError(ValueError):
    """A formula is malformed or uses what is not supported; the message names the construct."""


def unsupported(key: object, known: Iterable[str], where: str = "", what: str = "") -> FormulaError:
    """Return the error about a key that nobody knows, with the nearest of those that are known."""
    import difflib

    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.75)
    begins = f"{where}: " if where else ""
    return FormulaError(
        f"{begins}{what}{key!r} is not supported" + (f"; did you mean {near[0]!r}?" if near else "")
    )


class Options(msgspec.Struct, frozen=True):
    """What a rule's `options` say about matching, and what is known of its patterns before.

    `names`: for patterns that the build has tried, the names that a file must contain for them;
    they are compiled when a file contains those.
    """

    symbolic: bool = False
    language: str = "python"
    names: Mapping[str, frozenset[bytes]] = {}
    generic: GenericOptions | None = None
    constants: bool = True


class Formula(Protocol):
    """Something that holds at places in a file."""

    def evaluate(self, file: ParsedFile, within: Within | None = None) -> list[Match]:
        """Return all places where it holds, in a byte range or in the whole file."""

    def possible(self, names: Names) -> bool:
        """Tell whether it can hold in a file that contains exactly these names."""

    def anchor(self) -> Names | None:
        """Return names of which a file must contain at least one, None for no such names."""


# A condition on a match: the environments with which it survives.
Condition = Callable[[Match, ParsedFile], Sequence[Env]]


class Leaf(msgspec.Struct, frozen=True):
    """One pattern."""

    matcher: Matcher | DeferredMatcher | GenericMatcher

    def evaluate(self, file: ParsedFile, within: Within | None = None) -> list[Match]:
        found = self.matcher.find(file)
        if within is None:
            return found
        found = [m for m in found if within.start <= m.start and m.end <= within.end]
        if within.node is not None and not found:
            return self.matcher.at(within.node, file)
        return found

    def possible(self, names: Names) -> bool:
        return self.matcher.names <= names

    def anchor(self) -> Names | None:
        names = self.matcher.names
        return frozenset({max(names, key=lambda name: (len(name), name))}) if names else None


class TextLeaf(msgspec.Struct, frozen=True):
    """A regular expression on the text of the file; its groups are metavariables."""

    regex: Regex

    def evaluate(self, file: ParsedFile, within: Within | None = None) -> list[Match]:
        data = file.source.data
        offset = 0
        if within is not None and (within.start, within.end) != (0, len(data)):
            offset, data = within.start, data[within.start : within.end]
        names = self.regex.groups
        out: list[Match] = []
        for (start, end), *groups in self.regex.matches(data):
            if end <= start:
                continue
            if len(out) >= _MOST_TEXT_MATCHES:
                raise BudgetError(f"more than {_MOST_TEXT_MATCHES:,} matches of one expression")
            env = {
                f"${name}": Binding(first + offset, last + offset, file=file)
                for name, (first, last) in zip(names, groups, strict=True)
                if first >= 0
            }
            out.append(Match(offset + start, offset + end, env))
        return out

    def possible(self, names: Names) -> bool:
        return True

    def anchor(self) -> Names | None:
        return None


class Inside(msgspec.Struct, frozen=True):
    """Surroundings: a formula whose ranges are no findings beside smaller ones."""

    formula: Formula

    def evaluate(self, file: ParsedFile, within: Within | None = None) -> list[Match]:
        return [replace(m, context=True) for m in self.formula.evaluate(file, within)]

    def possible(self, names: Names) -> bool:
        return self.formula.possible(names)

    def anchor(self) -> Names | None:
        return self.formula.anchor()


class Either(msgspec.Struct, frozen=True):
    """Any of several formulas."""

    options: tuple[Formula, ...]

    def evaluate(self, file: ParsedFile, within: Within | None = None) -> list[Match]:
        names = file.names
        return [m for o in self.options if o.possible(names) for m in o.evaluate(file, within)]

    def possible(self, names: Names) -> bool:
        return any(option.possible(names) for option in self.options)

    def anchor(self) -> Names | None:
        anchors: set[bytes] = set()
        for option in self.options:
            own = option.anchor()
            if own is None:
                return None
            anchors |= own
        return frozenset(anchors)


class Both(msgspec.Struct, eq=False):
    """All of several formulas, less what is excluded, where all conditions hold.

    Rules that say the same share one, which finds its matches in a file once.
    """

    positives: list[Formula] = msgspec.field(default_factory=list)
    nots: list[Formula] = msgspec.field(default_factory=list)
    not_insides: list[Formula] = msgspec.field(default_factory=list)
    not_texts: list[Formula] = msgspec.field(default_factory=list)
    conditions: list[Condition] = msgspec.field(default_factory=list)
    focus: list[tuple[str, ...]] = msgspec.field(default_factory=list)

    def possible(self, names: Names) -> bool:
        return all(part.possible(names) for part in self.positives)

    def anchor(self) -> Names | None:
        best: Names | None = None
        for part in self.positives:
            own = part.anchor()
            if own is not None and (best is None or len(own) < len(best)):
                best = own
        return best

    def evaluate(self, file: ParsedFile, within: Within | None = None) -> list[Match]:
        if within is not None:
            return self._evaluate(file, within)
        known = file.memory.get(self)
        if not isinstance(known, list):
            known = file.memory[self] = self._evaluate(file, None)
        return known

    def _evaluate(self, file: ParsedFile, within: Within | None) -> list[Match]:
        if not self.possible(file.names):
            return []
        sets: list[list[Match]] = []
        if within is not None:
            sets.append([Match(within.start, within.end, {}, context=True)])
        for part in self.positives:
            matches = part.evaluate(file, within)
            if not matches:
                return []
            sets.append(matches)
        # Plain patterns first: what they find survives, surroundings only narrow it down.
        sets.sort(key=lambda matches: all(m.context for m in matches))
        kept = sets[0] if sets else []
        for matches in sets[1:]:
            kept = _intersect(kept, matches)
            if not kept:
                return []
        kept = self._without(kept, file, within)
        for condition in self.conditions:
            kept = [
                m if env is m.env else replace(m, env=env)
                for m in kept
                for env in condition(m, file)
            ]
        for names in self.focus:
            kept = _unique(f for m in kept for name in names for f in _focused(m, name))
        return kept

    def _without(self, kept: list[Match], file: ParsedFile, within: Within | None) -> list[Match]:
        names = file.names
        for part in self.nots:
            if not kept:
                return kept
            if part.possible(names):
                against = _by_range(part.evaluate(file, within))
                kept = [
                    m for m in kept
                    if not any(agree(m.env, o.env) for o in against.get((m.start, m.end), ()))
                ]  # fmt: skip
        for part in self.not_insides:
            if not kept:
                return kept
            if part.possible(names):
                outer = _Ranges(part.evaluate(file))
                kept = [m for m in kept if not any(agree(m.env, o.env) for o in outer.around(m))]
        for part in self.not_texts:
            found = part.evaluate(file, within)
            kept = [m for m in kept if not any(_encloses(m, o) or _encloses(o, m) for o in found)]
        return kept


# -- ranges and bindings


class _Ranges:
    """Matches ordered by start, to find those around another one."""

    def __init__(self, matches: Iterable[Match]) -> None:
        self.matches = sorted(matches, key=lambda m: m.start)
        self.starts = [m.start for m in self.matches]
        # The furthest end of all matches up to each one: where it is nearer, none reaches.
        self.furthest = list(accumulate((m.end for m in self.matches), max))
        self.left = _MOST_PAIRS

    def around(self, inner: Match) -> Iterable[Match]:
        """Return the matches around another one. Raises BudgetError."""
        end, first = inner.end, bisect_right(self.starts, inner.start)
        last = first
        while first > 0 and self.furthest[first - 1] >= end:
            first -= 1
        self.left -= last - first
        if self.left < 0:
            raise BudgetError(f"{len(self.matches):,} matches with too many inside to combine")
        return [match for match in self.matches[first:last] if match.end >= end]


def _encloses(outer: Match, inner: Match) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def agree(a: Env, b: Env) -> bool:
    """Tell whether what two environments both bind is the same code."""
    if not a or not b:
        return True
    return all(
        name not in b or name[1:].isdigit() or same_code(value, b[name])
        for name, value in a.items()
    )


def _intersect(left: Sequence[Match], right: Sequence[Match]) -> list[Match]:
    """Return the inner ones of ranges that lie in each other, with the bindings of both."""
    out: list[Match] = []
    outer = _Ranges(right)
    for inner in left:
        for around in outer.around(inner):
            if inner.context and not around.context:
                continue
            if agree(inner.env, around.env):
                out.append(_merged(inner, around.env))
    outer = _Ranges(left)
    for inner in right:
        for around in outer.around(inner):
            if inner.context and not around.context:
                continue
            if agree(inner.env, around.env):
                out.append(_merged(inner, around.env))
    return _unique(out)


def _merged(match: Match, other: Env) -> Match:
    if all(name in match.env for name in other):
        return match
    return replace(match, env={**other, **match.env})


def _by_range(matches: Iterable[Match]) -> dict[Range, list[Match]]:
    out: dict[Range, list[Match]] = {}
    for match in matches:
        out.setdefault((match.start, match.end), []).append(match)
    return out


def _unique(matches: Iterable[Match]) -> list[Match]:
    seen: dict[tuple[object, ...], Match] = {}
    for match in matches:
        seen.setdefault((match.start, match.end, *env_key(match.env)), match)
    return list(seen.values())


def _focused(match: Match, name: str) -> list[Match]:
    """Narrow a match down to a metavariable, which must be bound inside the match."""
    binding = match.env.get(name)
    if binding is None or binding.end <= binding.start:
        return []
    if binding.start <= match.start and match.end <= binding.end:
        return [replace(match, context=False)]
    if match.start <= binding.start and binding.end <= match.end:
        return [Match(binding.start, binding.end, match.env, binding.node)]
    return []


# -- leaves


@lru_cache(maxsize=8192)
def _matcher(
    text: str, language: str, *, symbolic: bool, context: bool, constants: bool = True
) -> Matcher:
    pattern = parse_pattern(text, language)
    return compile_pattern(pattern, symbolic=symbolic, context=context, constants=constants)


@lru_cache(maxsize=8192)
def _deferred(
    text: str, language: str, names: frozenset[bytes], *, symbolic: bool, context: bool
) -> DeferredMatcher:
    return DeferredMatcher(
        names, lambda: _matcher(text, language, symbolic=symbolic, context=context)
    )


def leaf(content: Any, where: str, options: Options, *, context: bool = False) -> Formula:
    """Compile one pattern. Raises FormulaError."""
    if not isinstance(content, str):
        raise FormulaError(f"{where}: a pattern is a text, found {type(content).__name__}")
    names, language, symbolic = options.names.get(content), options.language, options.symbolic
    if language == "regex":
        return TextLeaf(regex_of(content, where, multiline=True))
    if language == "generic":
        return Leaf(_generic(content, where, options))
    if names is not None and options.constants:
        return Leaf(_deferred(content, language, names, symbolic=symbolic, context=context))
    try:
        return Leaf(_matcher(
            content, language, symbolic=symbolic, context=context, constants=options.constants
        ))  # fmt: skip
    except PatternError as error:
        raise FormulaError(f"{where}: {error}") from None
    except RecursionError:
        raise FormulaError(f"{where}: the pattern is nested too deep") from None


def _generic(content: str, where: str, options: Options) -> GenericMatcher:
    from tavo.scan.generic import GenericMatcher, GenericOptions

    try:
        return GenericMatcher(content, options.generic or GenericOptions())
    except PatternError as error:
        raise FormulaError(f"{where}: {error}") from None


def regex_of(content: Any, where: str, *, multiline: bool = False) -> Regex:
    """Compile one regular expression. Raises FormulaError."""
    if not isinstance(content, str):
        raise FormulaError(f"{where}: a regex is a text, found {type(content).__name__}")
    try:
        return scan_regex(content, multiline=multiline)
    except RegexError as error:
        raise FormulaError(f"{where}: {error}") from None


def as_mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Return a mapping as it is. Raises FormulaError for anything else."""
    if not isinstance(value, Mapping):
        raise FormulaError(f"{where}: expected keys and values, found {type(value).__name__}")
    return value


def as_list(value: Any, where: str) -> Sequence[Any]:
    """Return a list that is not empty as it is. Raises FormulaError for anything else."""
    if not isinstance(value, list) or not value:
        raise FormulaError(f"{where}: expected a list with at least one entry")
    return value


def as_variable(value: Any, where: str) -> str:
    """Return the name of a metavariable as it is. Raises FormulaError for anything else."""
    if not isinstance(value, str) or not value.startswith("$"):
        raise FormulaError(f"{where}: {value!r} is not a metavariable like $X")
    if len(value) > _LONGEST_NAME:
        raise FormulaError(
            f"{where}: the name of a metavariable has at most {_LONGEST_NAME} characters"
        )
    return value
