"""One entry of a rule file -> a rule that is ready to run.

Nothing is ignored: a key, language or option that is not supported refuses the rule by name.

Source of the syntax: Semgrep's documentation, "Rule syntax" and "Taint mode".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tavo.covering import SECRET
from tavo.plugins import Confidence, Rule, Severity
from tavo.scan.compile import compile_formula
from tavo.scan.formula import (
    FORMULA_KEYS,
    Formula,
    FormulaError,
    Options,
    regex_of,
    unsupported,
)
from tavo.scan.labels import Requirement, requirement
from tavo.scan.languages import LANGUAGES
from tavo.scan.path_patterns import PathPatterns
from tavo.scan.precedence import yields_of
from tavo.scan.rule import (
    ACROSS,
    FixRegex,
    ScanRule,
    TaintPropagator,
    TaintSanitizer,
    TaintSink,
    TaintSource,
    TaintSpec,
)
from tavo.scan.rule_source import PACK

__all__ = ["Names", "compile_rule", "describe", "languages_of"]

Names = Mapping[str, Mapping[str, frozenset[bytes]]]
"""The names that a formula needs, by language and its text; empty where they are not known."""
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
_NO_PATTERNS = frozenset({"message", "metadata", "fix", "fix-regex", "pattern-sanitizers"})
_COMMENT_STYLES = frozenset({"", "c", "cpp", "shell"})
_ALSO = {
    "sources": frozenset({"label", "requires"}),
    "sinks": frozenset({"requires"}),
    "propagators": frozenset({"from", "to"}),
}
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def compile_rule(entry: Mapping[str, Any], rule_id: str, file: Path, names: Names) -> ScanRule:
    if "match" in entry:
        from tavo.scan.match_syntax import usual_syntax

        entry = usual_syntax(entry)
    for key in entry:
        if key not in _KEYS:
            raise unsupported(key, sorted(_KEYS))
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
            language=language, yields_to=yields_to, names_secret=_names_secret(entry),
        )
        for language, (search, taint) in bodies.items()
    )  # fmt: skip
    return replace(first, others=tuple(others)) if others else first


def _names_secret(entry: Any, key: str = "patterns") -> bool:
    """Tell whether the patterns of a rule bind `$SECRET`."""
    if key in _NO_PATTERNS or key.startswith("pattern-not"):
        return False
    if isinstance(entry, Mapping):
        return any(_names_secret(value, str(name)) for name, value in entry.items())
    if isinstance(entry, list):
        return any(_names_secret(value, key) for value in entry)
    return isinstance(entry, str) and (SECRET in entry or f"(?P<{SECRET[1:]}>" in entry)


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
            raise unsupported(key, sorted({*_USUAL, *_TAINT_OPTIONS}), what="option ")
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


def _known_options(options: Mapping[str, Any], language: str, names: Names) -> Options:
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
        tags=tuple(
            dict.fromkeys(
                word for key in ("category", "tags", "atlas") for word in _texts(metadata.get(key))
            )
        ),
        references=tuple(_texts(metadata.get("references"))),
    )


def _first_sentence(text: str) -> str:
    return text.split(". ")[0][:120]


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
