"""A rule that is ready to run, and a set of them: which may hold in a file with these names."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import msgspec

from tavo.plugins import Rule
from tavo.scan.formula import Either, Formula
from tavo.scan.labels import Requirement
from tavo.scan.languages import CODE, TEXT_LANGUAGES, language_at
from tavo.scan.path_patterns import PathPatterns
from tavo.scan.regexes import Regex
from tavo.scan.rule_source import RuleProblem
from tavo.scan.select import Selector

__all__ = [
    "ACROSS",
    "FixRegex",
    "RuleSet",
    "ScanRule",
    "TaintPropagator",
    "TaintSanitizer",
    "TaintSink",
    "TaintSource",
    "TaintSpec",
]

ACROSS = "interfile"
"""The option of a rule that follows data through calls and across files."""


class TaintSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where tainted data begins. `exact`: only the whole match, not what is inside it.

    `only`: by side effect only. `label` is what the taint is called, `requires` what labels the
    value has to have before.
    """

    formula: Formula
    exact: bool = False
    by_side_effect: bool = False
    only: bool = False
    label: str = ""
    requires: Requirement | None = None


class TaintSink(msgspec.Struct, frozen=True, kw_only=True):
    """Where tainted data must not arrive. `exact`: only the whole match, not what is inside it."""

    formula: Formula
    exact: bool = True
    requires: Requirement | None = None


class TaintSanitizer(msgspec.Struct, frozen=True, kw_only=True):
    """What makes data clean. `by_side_effect`: the checked variable is clean from then on.

    `not_conflicting`: what is a source or a sink itself makes nothing clean.
    """

    formula: Formula
    exact: bool = False
    by_side_effect: bool = False
    not_conflicting: bool = False


class TaintPropagator(msgspec.Struct, frozen=True, kw_only=True):
    """A construct that carries taint from one metavariable to another."""

    formula: Formula
    source: str
    target: str
    by_side_effect: bool = True


class TaintSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The four lists of a taint rule, and its options that are true."""

    sources: tuple[TaintSource, ...]
    sinks: tuple[TaintSink, ...]
    sanitizers: tuple[TaintSanitizer, ...] = ()
    propagators: tuple[TaintPropagator, ...] = ()
    options: frozenset[str] = frozenset()

    @property
    def has_labels(self) -> bool:
        """Whether it matters which sources a value comes from, not only that it has one."""
        return any(source.label for source in self.sources)

    @property
    def across_functions(self) -> bool:
        """Whether calls of functions whose source is there are followed."""
        return ACROSS in self.options and not self.has_labels

    @property
    def several_sources(self) -> bool:
        """Whether several sources at one place have to be told apart."""
        return self.has_labels or "taint_unify_mvars" in self.options

    def possible(self, names: frozenset[bytes]) -> bool:
        """Tell whether a source and a sink can be in a file with these names."""
        return any(s.formula.possible(names) for s in self.sources) and any(
            s.formula.possible(names) for s in self.sinks
        )

    def anchor(self) -> frozenset[bytes] | None:
        """Return names of which a file must contain at least one, None for no such names."""
        found = [
            Either(tuple(entry.formula for entry in entries)).anchor()
            for entries in (self.sources, self.sinks)
        ]
        return min((names for names in found if names is not None), key=len, default=None)


class _Part(msgspec.Struct, frozen=True):
    """The sinks of a rule, or those of its sources that name something."""

    rule_id: str
    formula: Either

    def possible(self, names: frozenset[bytes]) -> bool:
        return self.formula.possible(names)

    def anchor(self) -> frozenset[bytes] | None:
        return self.formula.anchor()


class FixRegex(msgspec.Struct, frozen=True, kw_only=True):
    """A fix by replacement inside the matched text, at most `count` times, 0 for all."""

    regex: Regex
    replacement: str
    count: int = 0

    def applied(self, text: str) -> str:
        """Return the text with the replacements made."""
        return self.regex.replaced(text, self.replacement, count=self.count)


class ScanRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a rule file, compiled for a language; `others` are the same for other ones.

    `yields_to` are more specific rules: where one of them finds the same, this one is left out.
    `names_secret`: its patterns say with `$SECRET` what of a match is the secret.
    """

    rule: Rule
    message: str
    search: Formula | None
    taint: TaintSpec | None
    file: Path
    fix: str | None = None
    fix_regex: FixRegex | None = None
    include: PathPatterns | None = None
    exclude: PathPatterns | None = None
    language: str = "python"
    others: tuple[ScanRule, ...] = ()
    yields_to: tuple[str, ...] = ()
    names_secret: bool = False

    def applies_to(self, path: str) -> bool:
        """Tell whether the rule's `paths` let it look at a file."""
        if self.exclude is not None and self.exclude.verdict(path):
            return False
        return self.include is None or self.include.verdict(path) is True

    @property
    def follows_calls(self) -> bool:
        """Whether the rule follows data through calls, within a file and across files."""
        return self.taint is not None and self.taint.across_functions

    @property
    def begins_anywhere(self) -> bool:
        """Whether a source names nothing, so that it can be in any file: any parameter."""
        every = (
            source for one in (self, *self.others) if one.taint for source in one.taint.sources
        )
        return any(source.formula.anchor() is None for source in every)

    def possible(self, names: frozenset[bytes]) -> bool:
        """Tell whether the rule can hold in a file with exactly these names."""
        if self.taint is not None:
            return self.taint.possible(names)
        return self.search is not None and self.search.possible(names)

    def anchor(self) -> frozenset[bytes] | None:
        """Return names of which a file must contain at least one, None for no such names."""
        if self.taint is not None:
            return self.taint.anchor()
        return self.search.anchor() if self.search is not None else None


class RuleSet(msgspec.Struct):
    """Rules by id, and the problems of those that were refused."""

    rules: dict[str, ScanRule] = msgspec.field(default_factory=dict)
    problems: list[RuleProblem] = msgspec.field(default_factory=list)
    _selectors: dict[tuple[int, str], Selector[ScanRule]] = msgspec.field(default_factory=dict)
    _by_language: dict[tuple[int, str], list[ScanRule]] = msgspec.field(default_factory=dict)
    _parts: dict[tuple[int, str, str], Selector[_Part]] = msgspec.field(default_factory=dict)

    def candidates(self, names: frozenset[bytes], language: str = "python") -> list[ScanRule]:
        """Return the rules of a language that can hold in a file with exactly these names."""
        key = len(self.rules), language
        selector = self._selectors.get(key)
        if selector is None:
            selector = self._selectors[key] = Selector(self.of(language))
        return selector.candidates(names)

    def may_end(self, names: frozenset[bytes], language: str) -> set[str]:
        """Return the rules that follow calls and can have a sink in a file with these names."""
        return self._with_part(names, language, "sinks")

    def may_begin(self, names: frozenset[bytes], language: str) -> set[str]:
        """Return those that can have a source there which names something.

        Any parameter is nothing that one file has and others have not.
        """
        return self._with_part(names, language, "sources")

    def _with_part(self, names: frozenset[bytes], language: str, part: str) -> set[str]:
        key = len(self.rules), language, part
        selector = self._parts.get(key)
        if selector is None:
            found = []
            for rule in self.of(language):
                if rule.taint is None or not rule.follows_calls:
                    continue
                formulas = [entry.formula for entry in getattr(rule.taint, part)]
                if part == "sources":
                    formulas = [formula for formula in formulas if formula.anchor() is not None]
                found.append(_Part(rule.rule.id, Either(tuple(formulas))))
            selector = self._parts[key] = Selector(found)
        return {one.rule_id for one in selector.candidates(names)}

    @property
    def yields(self) -> dict[str, tuple[str, ...]]:
        """Return which rules are left out for which more specific ones."""
        return {name: rule.yields_to for name, rule in self.rules.items() if rule.yields_to}

    @property
    def follows_calls(self) -> bool:
        """Tell whether a rule follows data from file to file."""
        return any(rule.follows_calls for rule in self.rules.values())

    @property
    def reads_text(self) -> bool:
        """Tell whether a rule is for other files than code."""
        every = (one.language for rule in self.rules.values() for one in (rule, *rule.others))
        return any(language not in CODE for language in every)

    def wants(self, path: PurePosixPath) -> bool:
        """Tell whether some rule is for a file of this name: for its language, or for any text."""
        text = str(path)
        for language in (language_at(path), *TEXT_LANGUAGES):
            if language is None:
                continue
            if any(rule.applies_to(text) for rule in self.of(language)):
                return True
        return False

    def of(self, language: str) -> list[ScanRule]:
        """Return all rules of a language."""
        key = len(self.rules), language
        chosen = self._by_language.get(key)
        if chosen is None:
            every = (one for rule in self.rules.values() for one in (rule, *rule.others))
            chosen = self._by_language[key] = [one for one in every if one.language == language]
        return chosen
