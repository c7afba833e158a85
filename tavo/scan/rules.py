"""Entries of rule files -> rules ready to run, and a named problem for each that is not.

Rules this module keeps:
- one rule that cannot be used never takes the others of its file with it;
- nothing is ignored: a key, language or option that is not supported refuses the rule by name.

Source of the syntax: Semgrep's documentation, "Rule syntax" and "Taint mode".
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from msgspec.structs import replace

from tavo.plugins import Confidence, Rule, Severity
from tavo.scan.compile import compile_formula
from tavo.scan.formula import (
    FORMULA_KEYS,
    Either,
    Formula,
    FormulaError,
    Options,
    regex_of,
)
from tavo.scan.labels import Requirement, requirement
from tavo.scan.languages import CODE, LANGUAGES, TEXT_LANGUAGES, language_at
from tavo.scan.path_patterns import PathPatterns
from tavo.scan.precedence import YIELDS_TO, cycles, yields_of
from tavo.scan.regexes import Regex
from tavo.scan.rule_source import COMPILED, PACK, RuleProblem, check_rule_paths
from tavo.scan.select import Selector
from tavo.scan.timing import TimeUpError, limited

__all__ = [
    "COMPILED",
    "PACK",
    "PROBLEM",
    "FixRegex",
    "Requirement",
    "RuleProblem",
    "RuleSet",
    "ScanRule",
    "TaintPropagator",
    "TaintSanitizer",
    "TaintSink",
    "TaintSource",
    "TaintSpec",
    "describe",
    "entries_of",
    "languages_of",
    "load_rules",
]

PROBLEM = "tavo problem"
"""Key of an entry that could not be read in full; its value says why."""
_Files = Iterable[tuple[Path, "list[Mapping[str, Any]] | FormulaError"]]
_Names = Mapping[str, Mapping[str, frozenset[bytes]]]
_SEVERITIES = {
    "CRITICAL": Severity.CRITICAL, "ERROR": Severity.HIGH, "HIGH": Severity.HIGH,
    "WARNING": Severity.MEDIUM, "MEDIUM": Severity.MEDIUM, "LOW": Severity.LOW,
    "INFO": Severity.LOW, "INVENTORY": Severity.INFO, "EXPERIMENT": Severity.INFO,
    "info": Severity.INFO,
}  # fmt: skip
_KEYS = frozenset({
    "id", "message", "severity", "languages", "metadata", "paths", "fix", "fix-regex", "mode",
    "options", "min-version", "max-version", "pattern-sources", "pattern-sinks",
    "pattern-sanitizers",
    "pattern-propagators", *FORMULA_KEYS,
})  # fmt: skip
_TAINT_OPTIONS = frozenset({
    "taint_assume_safe_booleans", "taint_assume_safe_numbers", "taint_assume_safe_indexes",
    "taint_assume_safe_functions", "taint_assume_safe_comparisons", "taint_unify_mvars",
})  # fmt: skip
# Semgrep's other options, and the value at which each one changes nothing.
_USUAL: Mapping[str, Any] = {
    "constant_propagation": True, "ac_matching": True, "commutative_boolop": False,
    "symmetric_eq": False, "vardef_assign": True, "flddef_assign": False, "attr_expr": True,
    "arrow_is_function": True, "let_is_var": True, "go_deeper_expr": True, "go_deeper_stmt": True,
    "implicit_deep_exprstmt": True, "implicit_ellipsis": True, "decorators_order_matters": False,
    "xml_singleton_loose_matching": True, "xml_attrs_implicit_ellipsis": True,
    "xml_children_ordered": True, "unify_ids_strictly": True, "generic_engine": "spacegrep",
    "generic_multiline": True, "generic_caseless": False, "generic_comment_style": "",
    "generic_ellipsis_max_span": 10, "taint_intrafile": False, "taint_unify_mvars": False,
    "interfile": False, "symbolic_propagation": False,
}  # fmt: skip
_ANY_BOOLEAN = frozenset({"interfile", "symbolic_propagation", "constant_propagation"})
_LONGEST_SPAN = 1_000
_COMMENT_STYLES = frozenset({"", "c", "cpp", "shell"})
_ALSO = {
    "sources": frozenset({"label", "requires"}),
    "sinks": frozenset({"requires"}),
    "propagators": frozenset({"from", "to"}),
}
_LOADING_S, _LOADING_S_EACH = 120.0, 10.0
_LONGEST_REASON, _LONGEST_ID = 600, 200
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ACROSS = "interfile"


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


def load_rules(paths: Sequence[Path]) -> RuleSet:
    """Load rule files and folders of them. Raises ConfigError for a path that does not exist.

    In a folder every `.yaml` and `.yml` file is a rule file, except below `library`.
    """
    check_rule_paths(paths)
    loaded = RuleSet()
    began = time.process_time()
    for path in paths:
        files, names = entries_of(path)
        is_empty = True
        for file, entries in files:
            is_empty = False
            if isinstance(entries, FormulaError):
                loaded.problems.append(RuleProblem(file=file, rule_id="", reason=str(entries)))
                continue
            for entry in entries:
                if time.process_time() - began > _LOADING_S:
                    reason = f"the rules before it took {_LOADING_S:g} s to load"
                    problem = RuleProblem(file=file, rule_id=_id_of(entry), reason=reason)
                    loaded.problems.append(problem)
                    continue
                _add(loaded, entry, file, names)
        if is_empty:
            reason = "no file below it ends in .yaml or .yml, so there is no rule"
            loaded.problems.append(RuleProblem(file=path, rule_id="", reason=reason))
    _leave_out_circles(loaded)
    return loaded


# -- inside


def entries_of(path: Path) -> tuple[_Files, _Names]:
    """Return the entries of each rule file; of our own pack as the build has read them."""
    compiled = PACK / COMPILED
    if path == PACK and compiled.is_file():
        import json

        known = json.loads(compiled.read_bytes())
        names = {
            language: {
                text: frozenset(name.encode() for name in needed) for text, needed in texts.items()
            }
            for language, texts in known["names"].items()
        }
        return [(PACK / name, entries) for name, entries in known["files"].items()], names
    from tavo.scan.rule_files import read_folder  # brings the YAML reader

    return read_folder(path), {}


def _add(loaded: RuleSet, entry: Mapping[str, Any], file: Path, names: _Names) -> None:
    rule_id = _id_of(entry)
    reason = ""
    try:
        if not rule_id:
            raise FormulaError("a rule has no id")
        if len(rule_id) > _LONGEST_ID:
            raise FormulaError(f"the id is longer than {_LONGEST_ID} characters")
        if rule_id in loaded.rules:
            raise FormulaError(f"the id is used in {loaded.rules[rule_id].file} already")
        if PROBLEM in entry:
            raise FormulaError(entry[PROBLEM])
        with limited(_LOADING_S_EACH):
            loaded.rules[rule_id] = _compile(entry, rule_id, file, names)
    except (FormulaError, ValueError) as error:
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deep"
    except TimeUpError as error:
        reason = str(error) or f"it takes more than {_LOADING_S_EACH:g} s to load"
    if reason:
        shown = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
        loaded.problems.append(RuleProblem(file=file, rule_id=rule_id[:_LONGEST_ID], reason=shown))


def _leave_out_circles(loaded: RuleSet) -> None:
    """Refuse rules that yield to each other: which one is more specific nobody can say."""
    for rule_id, way in cycles(loaded.yields).items():
        reason = f"{YIELDS_TO}: rules yield to each other in a circle: {' -> '.join(way)}"
        file = loaded.rules.pop(rule_id).file
        loaded.problems.append(RuleProblem(file=file, rule_id=rule_id, reason=reason))


def _id_of(entry: Mapping[str, Any]) -> str:
    identifier = entry.get("id")
    return identifier if isinstance(identifier, str) else ""


def _compile(entry: Mapping[str, Any], rule_id: str, file: Path, names: _Names) -> ScanRule:
    if "match" in entry:
        from tavo.scan.match_syntax import usual_syntax

        entry = usual_syntax(entry)
    for key in entry:
        if key not in _KEYS:
            raise FormulaError(f"{key!r} is not supported")
    languages = languages_of(entry)
    mode = entry.get("mode", "search")
    if not isinstance(mode, str) or mode not in {"search", "taint"}:
        raise FormulaError(f"mode {mode!r} is not supported, only search and taint are")
    options = _options(entry.get("options") or {}, mode)
    if mode == "taint" and PACK in file.parents and ACROSS not in (entry.get("options") or {}):
        options = {**options, ACROSS: True}
    bodies: dict[str, tuple[Formula | None, TaintSpec | None]] = {}
    for language in languages:
        known = _known_options(options, language, names)
        if mode == "taint":
            true = frozenset(key for key, setting in options.items() if setting is True)
            bodies[language] = None, _taint(entry, true, known)
        else:
            formula = {key: entry[key] for key in FORMULA_KEYS if key in entry}
            bodies[language] = compile_formula(formula, where="rule", options=known), None
    message = entry.get("message")
    if not isinstance(message, str) or not message.strip():
        raise FormulaError("message: expected a text")
    fix = entry.get("fix")
    if fix is not None and not isinstance(fix, str):
        raise FormulaError("fix: expected a text")
    include, exclude = _paths(entry.get("paths") or {})
    described, fix_regex = describe(entry, rule_id, message), _fix_regex(entry.get("fix-regex"))
    yields_to = yields_of(entry, rule_id)
    first, *others = (
        ScanRule(
            rule=described, message=" ".join(message.split()), search=search, taint=taint,
            file=file, fix=fix, fix_regex=fix_regex, include=include, exclude=exclude,
            language=language, yields_to=yields_to,
        )
        for language, (search, taint) in bodies.items()
    )  # fmt: skip
    return replace(first, others=tuple(others)) if others else first


def languages_of(entry: Mapping[str, Any]) -> list[str]:
    """Return the languages of a rule that are supported, as they are called here.

    Raises FormulaError when there is none.
    """
    languages = entry.get("languages")
    if not isinstance(languages, list) or not languages:
        raise FormulaError("languages: expected a list")
    known = (LANGUAGES.get(str(name).lower()) for name in languages)
    found = list(dict.fromkeys(language for language in known if language is not None))
    if not found:
        supported = ", ".join(dict.fromkeys(LANGUAGES.values()))
        raise FormulaError(f"language {languages[0]!r} is not supported yet, only {supported} are")
    return found


def _fix_regex(value: Any) -> FixRegex | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not set(value) <= {"regex", "replacement", "count"}:
        raise FormulaError("fix-regex: expected regex, replacement and count")
    replacement, count = value.get("replacement"), value.get("count", 0)
    if not isinstance(replacement, str) or not isinstance(count, int):
        raise FormulaError("fix-regex: expected a text as replacement and a number as count")
    regex = regex_of(value.get("regex"), "fix-regex.regex")
    return FixRegex(regex=regex, replacement=replacement, count=max(count, 0))


def _options(value: Any, mode: str) -> Mapping[str, Any]:
    """Return the options that are not at the value which changes nothing."""
    if not isinstance(value, Mapping):
        raise FormulaError("options: expected keys and values")
    found: dict[str, Any] = {}
    for key, setting in value.items():
        usual = _USUAL.get(key, False if key in _TAINT_OPTIONS else None)
        if usual is None:
            raise FormulaError(f"option {key!r} is not supported")
        kind = "true or false" if isinstance(usual, bool) else type(usual).__name__
        if type(setting) is not type(usual):
            raise FormulaError(f"option {key!r}: expected {kind}")
        if setting == usual:
            continue
        known = (
            key in _ANY_BOOLEAN
            or (key in _TAINT_OPTIONS and mode == "taint")
            or (key == "generic_ellipsis_max_span" and 0 <= setting <= _LONGEST_SPAN)
            or (key == "generic_comment_style" and setting in _COMMENT_STYLES)
        )
        if not known:
            shown = str(setting).lower() if isinstance(setting, bool) else setting
            raise FormulaError(f"option '{key}: {shown}' is not supported")
        found[key] = setting
    return found


def _known_options(options: Mapping[str, Any], language: str, names: _Names) -> Options:
    """Return what the options of a rule mean for its patterns."""
    generic = None
    if {"generic_ellipsis_max_span", "generic_comment_style"} & set(options):
        from tavo.scan.generic import GenericOptions

        generic = GenericOptions(
            span=options.get("generic_ellipsis_max_span", 10),
            comments=options.get("generic_comment_style", ""),
        )
    return Options(
        symbolic=options.get("symbolic_propagation", False),
        language=language,
        names=names.get(language, {}),
        generic=generic,
        constants=options.get("constant_propagation", True),
    )


def _taint(entry: Mapping[str, Any], options: frozenset[str], known: Options) -> TaintSpec:
    def items(key: str, *, required: bool) -> list[tuple[Mapping[str, Any], Formula, str]]:
        value = entry.get(key)
        if value is None and not required:
            return []
        if not isinstance(value, list) or not value:
            raise FormulaError(f"{key}: expected a list with at least one entry")
        out = []
        for number, item in enumerate(value):
            where = f"{key}[{number}]"
            if not isinstance(item, Mapping):
                raise FormulaError(f"{where}: expected keys and values")
            formula = {k: v for k, v in item.items() if k in FORMULA_KEYS}
            out.append((item, compile_formula(formula, where=where, options=known), where))
        return out

    sources = items("pattern-sources", required=True)
    labels = frozenset(str(item["label"]) for item, _, _ in sources if "label" in item)
    return TaintSpec(
        sources=tuple(_source(item, f, where, labels) for item, f, where in sources),
        sinks=tuple(
            TaintSink(
                formula=f,
                requires=_requires(item, where, labels),
                **_flags(item, where, exact=True),
            )
            for item, f, where in items("pattern-sinks", required=True)
        ),
        sanitizers=tuple(
            TaintSanitizer(
                formula=f,
                **_flags(
                    # Semgrep spells this one key with an underscore.
                    {
                        ("not-conflicting" if k == "not_conflicting" else k): v
                        for k, v in item.items()
                    },
                    where,
                    exact=False,
                    by_side_effect=False,
                    not_conflicting=False,
                ),
            )
            for item, f, where in items("pattern-sanitizers", required=False)
        ),
        propagators=tuple(
            TaintPropagator(
                formula=f,
                source=str(item.get("from")),
                target=str(item.get("to")),
                **_flags(item, where, by_side_effect=True),
            )
            for item, f, where in items("pattern-propagators", required=False)
        ),
        options=options,
    )


def _source(
    item: Mapping[str, Any], formula: Formula, where: str, labels: frozenset[str]
) -> TaintSource:
    label = item.get("label", "")
    if not isinstance(label, str) or ("label" in item and not _LABEL.fullmatch(label)):
        raise FormulaError(f"{where}: label: {label!r} is no name")
    only = item.get("by-side-effect") == "only"
    rest = {**item, "by-side-effect": True} if only else item
    return TaintSource(
        formula=formula,
        only=only,
        label=label,
        requires=_requires(item, where, labels),
        **_flags(rest, where, exact=False, by_side_effect=False),
    )


def _requires(item: Mapping[str, Any], where: str, labels: frozenset[str]) -> Requirement | None:
    if "requires" not in item:
        return None
    try:
        return requirement(item["requires"], labels)
    except ValueError as error:
        raise FormulaError(f"{where}: requires: {error}") from None


def _flags(item: Mapping[str, Any], where: str, **defaults: bool) -> dict[str, Any]:
    allowed = {name.replace("_", "-"): name for name in defaults}
    also = next((keys for part, keys in _ALSO.items() if part in where), frozenset())
    flags: dict[str, Any] = dict(defaults)
    for key, value in item.items():
        if key in FORMULA_KEYS or key in also:
            continue
        if key not in allowed or not isinstance(value, bool):
            raise FormulaError(f"{where}: {key}: {value!r} is not supported")
        flags[allowed[key]] = value
    return flags


@functools.cache
def _patterns(patterns: tuple[str, ...]) -> PathPatterns:
    """Return patterns, read once for all rules that have the same."""
    return PathPatterns(patterns)


def _paths(value: Any) -> tuple[PathPatterns | None, PathPatterns | None]:
    if not isinstance(value, Mapping) or not set(value) <= {"include", "exclude"}:
        raise FormulaError("paths: expected the keys include and exclude")
    specs: list[PathPatterns | None] = []
    for key in ("include", "exclude"):
        patterns = value.get(key)
        if patterns is None:
            specs.append(None)
            continue
        if not isinstance(patterns, list) or not all(isinstance(p, str) for p in patterns):
            raise FormulaError(f"paths.{key}: expected a list of texts")
        found = _patterns(tuple(patterns))
        for pattern, reason in found.unusable:
            raise FormulaError(f"paths.{key}: the pattern {pattern[:60]!r}: {reason}")
        specs.append(found)
    return specs[0], specs[1]


def describe(entry: Mapping[str, Any], rule_id: str, message: str) -> Rule:
    """Return what an entry says about itself. Raises FormulaError, ValueError."""
    metadata = entry.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise FormulaError("metadata: expected keys and values")
    given = str(entry.get("severity", ""))
    severity = _SEVERITIES.get(given) or _SEVERITIES.get(given.upper())
    if severity is None:
        known = ", ".join(_SEVERITIES)
        raise FormulaError(f"severity {entry.get('severity')!r} is unknown; use one of {known}")
    try:
        confidence = Confidence(str(metadata.get("confidence", "MEDIUM")).lower())
    except ValueError:
        raise FormulaError(
            f"metadata.confidence {metadata['confidence']!r} is unknown; use LOW, MEDIUM or HIGH"
        ) from None
    text = " ".join(message.split())
    title = metadata.get("title")
    cwe = (word.split(":")[0].strip() for word in _texts(metadata.get("cwe")))
    owasp = (word for word in _texts(metadata.get("owasp")) if word[:3] in {"LLM", "ASI"})
    return Rule(
        id=rule_id,
        title=title if isinstance(title, str) and title.strip() else _first_sentence(text),
        severity=severity,
        confidence=confidence,
        description=text,
        help=str(metadata.get("remediation", "")).strip(),
        cwe=tuple(dict.fromkeys(cwe)),
        owasp=tuple(dict.fromkeys(owasp)),
        tags=tuple(dict.fromkeys(_texts(metadata.get("category")) + _texts(metadata.get("atlas")))),
        references=tuple(_texts(metadata.get("references"))),
    )


def _first_sentence(text: str) -> str:
    return text.split(". ")[0][:120]


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
