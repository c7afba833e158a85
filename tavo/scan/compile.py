"""The formula of a rule file compiled: from keys and values to formulas and conditions.

Rules this module keeps:
- every key is either understood or refused by its name and its place in the rule;
- a formula that says nothing about what to find is refused, except where a condition on a
  metavariable says it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from tavo.scan.conditions import (
    analysis_condition,
    comparison_condition,
    regex_condition,
    type_condition,
)
from tavo.scan.formula import (
    FORMULA_KEYS,
    Both,
    Condition,
    Either,
    Formula,
    FormulaError,
    Inside,
    Options,
    TextLeaf,
    Within,
    agree,
    as_list,
    as_mapping,
    as_variable,
    leaf,
    regex_of,
    unsupported,
)
from tavo.scan.languages import LANGUAGES, TEXT_LANGUAGES, parse_text
from tavo.scan.literals import content_of
from tavo.scan.match import Binding, Env, Match
from tavo.scan.parsed import ParsedFile

__all__ = ["compile_formula"]

_ITEM_KEYS = (
    *FORMULA_KEYS, "pattern-inside", "pattern-not", "pattern-not-inside", "pattern-not-regex",
    "focus-metavariable", "metavariable-regex", "metavariable-comparison", "metavariable-analysis",
    "metavariable-type", "metavariable-pattern",
)  # fmt: skip
_DEEPEST = 40
_LONGEST_CODE = 20_000
_MOST_SHARED = 8_192

_shared: dict[bytes, Both] = {}
"""What was compiled, by what it was compiled from: rules use the same libraries."""


def compile_formula(
    value: Mapping[str, Any],
    *,
    where: str,
    options: Options | None = None,
    depth: int = 0,
    needs_positive: bool = True,
) -> Formula:
    """Compile the formula of a rule, or of an item in it that has exactly one formula key.

    Raises FormulaError with the place and the name of what is wrong or not supported.
    """
    opts = options or Options()
    if depth > _DEEPEST:
        raise FormulaError(f"{where}: nested deeper than {_DEEPEST} levels")
    keys = [key for key in FORMULA_KEYS if key in value]
    if not keys and "pattern-inside" in value and depth > 0:
        return Inside(_operand(value["pattern-inside"], where, opts, depth, context=True))
    if len(keys) != 1:
        found = ", ".join(keys) or ", ".join(map(str, value)) or "nothing"
        raise FormulaError(f"{where}: expected one of {', '.join(FORMULA_KEYS)}, found {found}")
    key = keys[0]
    content, here = value[key], f"{where}.{key}"
    if key == "pattern":
        return leaf(content, here, opts)
    if key == "pattern-regex":
        return TextLeaf(regex_of(content, here, multiline=True))
    if key == "pattern-either":
        return Either(tuple(
            compile_formula(
                _single(item, f"{here}[{n}]"), where=f"{here}[{n}]", options=opts, depth=depth + 1
            )
            for n, item in enumerate(as_list(content, here))
        ))  # fmt: skip
    said = content, replace(opts, names={}), bool(opts.names), needs_positive
    digest = hashlib.blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if (shared := _shared.get(digest)) is not None:
        return shared
    both = Both()
    _fill(both, as_list(content, here), here, opts, depth)
    if needs_positive and not both.positives:
        raise FormulaError(f"{here}: needs at least one pattern that says what to find")
    # What only narrows down comes last, whatever the order in the file.
    both.positives.sort(key=lambda part: isinstance(part, Inside))
    if len(_shared) >= _MOST_SHARED:
        _shared.clear()
    _shared[digest] = both
    return both


def _single(item: Any, where: str) -> Mapping[str, Any]:
    entry = as_mapping(item, where)
    if len(entry) != 1:
        raise FormulaError(f"{where}: expected one key, found {', '.join(map(str, entry))}")
    return entry


def _fill(both: Both, items: Sequence[Any], where: str, options: Options, depth: int) -> None:
    for number, item in enumerate(items):
        here = f"{where}[{number}]"
        key, content = next(iter(_single(item, here).items()))
        below = f"{here}.{key}"
        if key == "patterns" and not _says_what(content):
            # Nothing to find in it: its exclusions and conditions are the outer ones'.
            _fill(both, as_list(content, below), below, options, depth + 1)
        elif key in FORMULA_KEYS or key == "pattern-inside":
            both.positives.append(
                compile_formula(item, where=here, options=options, depth=depth + 1)
            )
        elif key == "pattern-not":
            both.nots.append(_operand(content, below, options, depth))
        elif key == "pattern-not-inside":
            both.not_insides.append(_operand(content, below, options, depth, context=True))
        elif key == "pattern-not-regex":
            both.not_texts.append(TextLeaf(regex_of(content, below, multiline=True)))
        elif key == "focus-metavariable":
            names = [content] if isinstance(content, str) else as_list(content, below)
            both.focus.append(tuple(as_variable(name, below) for name in names))
        elif key == "metavariable-regex":
            both.conditions.append(regex_condition(as_mapping(content, below), below))
        elif key == "metavariable-comparison":
            both.conditions.append(comparison_condition(as_mapping(content, below), below))
        elif key == "metavariable-analysis":
            both.conditions.append(analysis_condition(as_mapping(content, below), below))
        elif key == "metavariable-type":
            both.conditions.append(type_condition(as_mapping(content, below), below))
        elif key == "metavariable-pattern":
            condition = _pattern_condition(as_mapping(content, below), below, options, depth)
            both.conditions.append(condition)
        else:
            raise unsupported(key, _ITEM_KEYS, here)


def _says_what(content: Any) -> bool:
    """Tell whether a list of patterns has one that says what to find."""
    if not isinstance(content, list):
        return True
    keys = {key for item in content if isinstance(item, Mapping) for key in item}
    return bool(keys & {*FORMULA_KEYS, "pattern-inside"})


def _operand(
    content: Any, where: str, options: Options, depth: int, *, context: bool = False
) -> Formula:
    if isinstance(content, str):
        return leaf(content, where, options, context=context)
    value = as_mapping(content, where)
    for key in value:
        if key not in FORMULA_KEYS:
            raise unsupported(key, FORMULA_KEYS, where)
    return compile_formula(value, where=where, options=options, depth=depth + 1)


def _pattern_condition(
    entry: Mapping[str, Any], where: str, options: Options, depth: int
) -> Condition:
    known = ("metavariable", "language", *FORMULA_KEYS)
    for key in entry:
        if key not in known:
            raise unsupported(key, known, where)
    named = str(entry.get("language", options.language)).lower()
    language = LANGUAGES.get(named)
    if language is None:
        raise FormulaError(f"{where}: language {named!r} is not supported")
    as_text = language in TEXT_LANGUAGES and options.language not in TEXT_LANGUAGES
    as_code = ("language" in entry and language != "regex") or language == "generic"
    name = as_variable(entry.get("metavariable"), where)
    formula = compile_formula(
        {key: value for key, value in entry.items() if key in FORMULA_KEYS},
        where=where,
        options=replace(options, language=language, names={})
        if language != options.language
        else options,
        depth=depth + 1,
        needs_positive=False,
    )

    def holds(match: Match, file: ParsedFile) -> Sequence[Env]:
        binding = match.env.get(name)
        if binding is None or binding.end <= binding.start:
            return ()
        if as_text and binding.node is not None:
            if binding.node.kind == "string":
                binding = content_of(binding.node, file)
            elif language == "regex":
                return ()
        if as_code and (code := _code_in(binding, file, language)) is not None:
            return [match.env] if _holds_in(code, formula, match.env) else []
        within = Within(binding.start, binding.end, binding.node)
        seen: dict[tuple[str, ...], Env] = {}
        for found in formula.evaluate(file, within):
            if agree(match.env, found.env):
                new = {n: b for n, b in found.env.items() if n not in match.env}
                key = tuple(sorted(f"{n}={b.start}:{b.end}" for n, b in new.items()))
                seen.setdefault(key, {**match.env, **new} if new else match.env)
        return list(seen.values())

    return holds


def _code_in(binding: Binding, file: ParsedFile, language: str) -> ParsedFile | None:
    """Return what a string holds as a parsed file of its own, None for what is no string."""
    node = binding.node
    if node is not None and node.kind == "string":
        binding = content_of(node, file)
    elif node is not None and language not in TEXT_LANGUAGES:
        return None
    text = binding.text
    key = (_code_in, language, text)
    known = file.memory.get(key)
    if not isinstance(known, ParsedFile):
        known = file.memory[key] = parse_text(text[:_LONGEST_CODE].encode(), language)
    return known


def _holds_in(code: ParsedFile, formula: Formula, env: Env) -> bool:
    """Tell whether a formula holds in a string's code with what is bound outside of it."""
    return any(
        all(
            "".join(env[name].text.split()) == "".join(value.text.split())
            for name, value in found.env.items()
            if name in env
        )
        for found in formula.evaluate(code, Within(0, len(code.source.data), code.root))
    )
