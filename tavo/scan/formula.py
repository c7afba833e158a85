"""What a rule asks for: patterns combined by and, or, not and inside, with conditions.

Rules this module keeps:
- a formula is compiled once and holds no file; its answer is a list of matches;
- everything unsupported is refused when the rule is loaded, by the name of the construct.

Source of the semantics: Semgrep's documentation, "Rule syntax": a range that is inside another
survives with the bindings of both; `pattern-not` takes away equal ranges, `pattern-not-inside`
enclosed ones.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tavo.detect.regex import Regex, RegexError
from tavo.scan.languages.python import ParsedFile
from tavo.scan.match import Binding, Env, Match, Matcher, compile_pattern, same_code
from tavo.scan.pattern import PatternError, parse_pattern

__all__ = ["FORMULA_KEYS", "Formula", "FormulaError", "compile_formula"]

FORMULA_KEYS = ("pattern", "patterns", "pattern-either", "pattern-regex")
_MOST_MATCHES = 5_000


class FormulaError(ValueError):
    """A formula is malformed or uses what is not supported; the message names the construct."""


class Formula(Protocol):
    """Something that holds at places in a file."""

    def evaluate(self, file: ParsedFile) -> list[Match]:
        """Return all places where it holds."""

    def possible(self, tokens: frozenset[str]) -> bool:
        """Tell whether it can hold in a file that contains exactly these names."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One pattern."""

    matcher: Matcher

    def evaluate(self, file: ParsedFile) -> list[Match]:
        return self.matcher.find(file)

    def possible(self, tokens: frozenset[str]) -> bool:
        return self.matcher.tokens <= tokens


@dataclass(frozen=True, slots=True)
class TextLeaf:
    """A regular expression on the text of the file."""

    regex: Regex

    def evaluate(self, file: ParsedFile) -> list[Match]:
        text = file.source.data.decode("utf-8", "replace")
        ascii_only = text.isascii()
        out = []
        for start, end in self.regex.spans(text):
            if not ascii_only:
                begin = len(text[:start].encode())
                start, end = begin, begin + len(text[start:end].encode())
            out.append(Match(start, end, {}))
        return out

    def possible(self, tokens: frozenset[str]) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Either:
    """Any of several formulas."""

    options: tuple[Formula, ...]

    def evaluate(self, file: ParsedFile) -> list[Match]:
        return [match for option in self.options for match in option.evaluate(file)]

    def possible(self, tokens: frozenset[str]) -> bool:
        return any(option.possible(tokens) for option in self.options)


Condition = Callable[[Match, ParsedFile], bool]


@dataclass(slots=True)
class Both:
    """All of several formulas, less what is excluded, where all conditions hold."""

    positives: list[Formula] = field(default_factory=list)
    insides: list[Formula] = field(default_factory=list)
    nots: list[Formula] = field(default_factory=list)
    not_insides: list[Formula] = field(default_factory=list)
    not_texts: list[Formula] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    focus: list[tuple[str, ...]] = field(default_factory=list)

    def possible(self, tokens: frozenset[str]) -> bool:
        return all(part.possible(tokens) for part in (*self.positives, *self.insides))

    def evaluate(self, file: ParsedFile) -> list[Match]:
        found: list[Match] | None = None
        for part in self.positives:
            matches = part.evaluate(file)
            found = matches if found is None else _intersect(found, matches)
            if not found:
                return []
        for part in self.insides:
            outer = part.evaluate(file)
            found = outer if found is None else _inside(found, outer)
            if not found:
                return []
        kept = found or []
        for part in self.nots:
            if not kept:
                return []
            against = _by_range(part.evaluate(file))
            kept = [
                m for m in kept
                if not any(_agree(m.env, o.env) for o in against.get((m.start, m.end), ()))
            ]  # fmt: skip
        for part in self.not_insides:
            if not kept:
                return []
            outer = part.evaluate(file)
            kept = [m for m in kept if not _has_outer(m, outer)]
        for part in self.not_texts:
            outer = part.evaluate(file)
            kept = [m for m in kept if not any(_encloses(m, o) or _encloses(o, m) for o in outer)]
        for condition in self.conditions:
            kept = [m for m in kept if condition(m, file)]
        for names in self.focus:
            kept = [f for m in kept for name in names for f in _focused(m, name)]
        return kept


# -- ranges and bindings


def _encloses(outer: Match, inner: Match) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _agree(a: Env, b: Env) -> bool:
    small, large = (a, b) if len(a) <= len(b) else (b, a)
    return all(name not in large or same_code(value, large[name]) for name, value in small.items())


def _merged(match: Match, other: Env) -> Match:
    return replace(match, env={**other, **match.env})


def _intersect(left: Sequence[Match], right: Sequence[Match]) -> list[Match]:
    out: list[Match] = []
    for a in left:
        for b in right:
            if b.start > a.end:
                continue
            if _encloses(b, a) and _agree(a.env, b.env):
                out.append(_merged(a, b.env))
            elif _encloses(a, b) and _agree(a.env, b.env):
                out.append(_merged(b, a.env))
        if len(out) > _MOST_MATCHES:
            break
    return _unique(out)


def _inside(inner: Sequence[Match], outer: Sequence[Match]) -> list[Match]:
    out = [
        _merged(match, around.env)
        for match in inner
        for around in outer
        if _encloses(around, match) and _agree(match.env, around.env)
    ]
    return _unique(out)


def _has_outer(match: Match, outer: Iterable[Match]) -> bool:
    return any(_encloses(o, match) and _agree(match.env, o.env) for o in outer)


def _by_range(matches: Iterable[Match]) -> dict[tuple[int, int], list[Match]]:
    out: dict[tuple[int, int], list[Match]] = {}
    for match in matches:
        out.setdefault((match.start, match.end), []).append(match)
    return out


def _unique(matches: Iterable[Match]) -> list[Match]:
    seen: dict[tuple[object, ...], Match] = {}
    for match in matches:
        env = tuple(sorted((name, value.text) for name, value in match.env.items()))
        seen.setdefault((match.start, match.end, env), match)
    return list(seen.values())


def _focused(match: Match, name: str) -> list[Match]:
    binding = match.env.get(name)
    if binding is None or binding.end <= binding.start:
        return []
    return [Match(binding.start, binding.end, match.env, binding.node)]


# -- compiling


def compile_formula(value: Mapping[str, Any], *, where: str) -> Formula:
    """Compile the formula of a rule, or of an item in it that has exactly one formula key.

    Raises FormulaError with the place and the name of what is wrong or not supported.
    """
    keys = [key for key in FORMULA_KEYS if key in value]
    if len(keys) != 1:
        found = ", ".join(keys) or ", ".join(map(str, value)) or "nothing"
        raise FormulaError(f"{where}: expected one of {', '.join(FORMULA_KEYS)}, found {found}")
    key = keys[0]
    content = value[key]
    if key == "pattern":
        return _leaf(content, where)
    if key == "pattern-regex":
        return TextLeaf(_regex(content, where, multiline=True))
    if key == "pattern-either":
        items = _list(content, f"{where}.{key}")
        return Either(
            tuple(
                compile_formula(_mapping(item, f"{where}.{key}"), where=f"{where}.{key}[{n}]")
                for n, item in enumerate(items)
            )
        )
    return _both(_list(content, f"{where}.{key}"), f"{where}.{key}")


def _both(items: Sequence[Any], where: str) -> Both:
    both = Both()
    for number, item in enumerate(items):
        here = f"{where}[{number}]"
        entry = _mapping(item, here)
        if len(entry) != 1:
            raise FormulaError(f"{here}: expected one key, found {', '.join(map(str, entry))}")
        key, content = next(iter(entry.items()))
        if key in FORMULA_KEYS:
            both.positives.append(compile_formula(entry, where=here))
        elif key in {"pattern-inside", "pattern-not", "pattern-not-inside"}:
            formula = (
                _leaf(content, here)
                if isinstance(content, str)
                else compile_formula(_mapping(content, here), where=here)
            )
            {
                "pattern-inside": both.insides,
                "pattern-not": both.nots,
                "pattern-not-inside": both.not_insides,
            }[key].append(formula)
        elif key == "pattern-not-regex":
            both.not_texts.append(TextLeaf(_regex(content, here, multiline=True)))
        elif key == "focus-metavariable":
            names = [content] if isinstance(content, str) else _list(content, here)
            both.focus.append(tuple(_variable(name, here) for name in names))
        elif key in _CONDITIONS:
            both.conditions.append(_CONDITIONS[key](_mapping(content, here), here))
        else:
            raise FormulaError(f"{here}: {key!r} is not supported")
    if not both.positives and not both.insides:
        raise FormulaError(f"{where}: needs at least one pattern that says what to find")
    return both


def _leaf(content: Any, where: str) -> Leaf:
    if not isinstance(content, str):
        raise FormulaError(f"{where}: a pattern is a text, found {type(content).__name__}")
    try:
        return Leaf(compile_pattern(parse_pattern(content)))
    except PatternError as error:
        raise FormulaError(f"{where}: {error}") from None


def _regex(content: Any, where: str, *, multiline: bool = False) -> Regex:
    if not isinstance(content, str):
        raise FormulaError(f"{where}: a regex is a text, found {type(content).__name__}")
    try:
        return Regex(content, multiline=multiline)
    except RegexError as error:
        raise FormulaError(f"{where}: {error}") from None


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FormulaError(f"{where}: expected keys and values, found {type(value).__name__}")
    return value


def _list(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, list) or not value:
        raise FormulaError(f"{where}: expected a list with at least one entry")
    return value


def _variable(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.startswith("$"):
        raise FormulaError(f"{where}: {value!r} is not a metavariable like $X")
    return value


def _only(entry: Mapping[str, Any], where: str, *allowed: str) -> None:
    for key in entry:
        if key not in allowed:
            raise FormulaError(f"{where}: {key!r} is not supported")


# -- conditions on metavariables


def _regex_condition(entry: Mapping[str, Any], where: str) -> Condition:
    _only(entry, where, "metavariable", "regex")
    name = _variable(entry.get("metavariable"), where)
    regex = _regex(entry.get("regex"), where)

    def holds(match: Match, file: ParsedFile) -> bool:
        binding = match.env.get(name)
        return binding is not None and regex.starts(_text_of(binding, file))

    return holds


def _text_of(binding: Binding, file: ParsedFile) -> str:
    """Return what a regex sees of a binding: a literal's content, a constant's, or the source."""
    node = binding.node
    if node is None:
        return binding.text
    if node.kind == "identifier":
        known = file.constant(node)
        node = known if known is not None and known.kind == "string" else node
    return node.value if node.value is not None else binding.text


def _pattern_condition(entry: Mapping[str, Any], where: str) -> Condition:
    _only(entry, where, "metavariable", *FORMULA_KEYS)
    name = _variable(entry.get("metavariable"), where)
    formula = compile_formula({k: v for k, v in entry.items() if k != "metavariable"}, where=where)
    is_text = "pattern-regex" in entry

    def holds(match: Match, file: ParsedFile) -> bool:
        binding = match.env.get(name)
        if binding is None:
            return False
        for found in formula.evaluate(file):
            exact = found.start == binding.start and found.end == binding.end
            within = binding.start <= found.start and found.end <= binding.end
            if (exact or (is_text and within)) and _agree(match.env, found.env):
                return True
        return False

    return holds


_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Mod: operator.mod,
}  # fmt: skip


def _comparison_condition(entry: Mapping[str, Any], where: str) -> Condition:
    _only(entry, where, "metavariable", "comparison")
    text = entry.get("comparison")
    if not isinstance(text, str) or len(text) > 1_000:
        raise FormulaError(f"{where}: a comparison is a short text")
    try:
        tree = ast.parse(text.replace("$", "TAVO_"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormulaError(f"{where}: {text!r} is not a comparison") from None
    _check_comparison(tree, where)

    def holds(match: Match, file: ParsedFile) -> bool:
        try:
            return bool(_value(tree, match.env, file))
        except (LookupError, TypeError, ValueError, ZeroDivisionError, OverflowError):
            return False

    return holds


def _check_comparison(node: ast.expr, where: str) -> None:
    allowed = (
        ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Name, ast.Constant, ast.cmpop,
        ast.boolop, ast.unaryop, ast.operator, ast.expr_context,
    )  # fmt: skip
    for part in ast.walk(node):
        known = isinstance(part, allowed)
        if isinstance(part, ast.cmpop):
            known = type(part) in _COMPARISONS
        elif isinstance(part, ast.operator):
            known = type(part) in _ARITHMETIC
        elif isinstance(part, ast.Name):
            known = part.id.startswith("TAVO_")
        if not known:
            raise FormulaError(f"{where}: {type(part).__name__} in a comparison is not supported")


def _value(node: ast.expr, env: Env, file: ParsedFile) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return ast.literal_eval(_literal_text(env["$" + name.removeprefix("TAVO_")], file))
        case ast.UnaryOp(op=op, operand=operand):
            inner = _value(operand, env, file)
            return (not inner) if isinstance(op, ast.Not) else -inner
        case ast.BoolOp(op=op, values=values):
            results = (_value(v, env, file) for v in values)
            return all(results) if isinstance(op, ast.And) else any(results)
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_value(left, env, file), _value(right, env, file))
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_value(part, env, file) for part in (left, *others)]
            pairs = zip(ops, values, values[1:], strict=False)
            return all(_COMPARISONS[type(op)](a, b) for op, a, b in pairs)
    raise ValueError(f"{type(node).__name__} has no value")


def _literal_text(binding: Binding, file: ParsedFile) -> str:
    node = binding.node
    if node is not None and node.kind == "identifier":
        node = file.constant(node) or node
    text = file.text(node) if node is not None else binding.text
    if len(text) > 200:
        raise ValueError("too long for a comparison")
    return text


_CONDITIONS: dict[str, Callable[[Mapping[str, Any], str], Condition]] = {
    "metavariable-regex": _regex_condition,
    "metavariable-pattern": _pattern_condition,
    "metavariable-comparison": _comparison_condition,
}
