"""Conditions on what a metavariable is bound to: a regular expression, a comparison.

Rules this module keeps:
- a comparison is a small language of its own, checked when the rule is loaded and evaluated by
  this module; nothing of a rule is ever run as code;
- a value that cannot be compared does not satisfy the condition.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from tavo.scan.bindings import Binding, Env
from tavo.scan.constants import Constant
from tavo.scan.formula import Condition, FormulaError, as_variable, regex_of, unsupported
from tavo.scan.literals import types_of
from tavo.scan.match import Match
from tavo.scan.parsed import ParsedFile
from tavo.scan.regexes import Regex, RegexError, scan_regex

__all__ = ["analysis_condition", "comparison_condition", "regex_condition", "type_condition"]

_VARIABLE = "TAVO_"
_SEVERAL_NAME = "$SEVERAL__"
_SIGN = re.compile(
    r"(?P<text>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')|\$(?P<several>\.\.\.(?=[A-Z_]))?",
    re.DOTALL,
)
_LONGEST = 1_000
_TEXT_TYPES = frozenset({"str", "string"})
_BASES = (2, 8, 10, 16)


def regex_condition(entry: Mapping[str, Any], where: str) -> Condition:
    """Compile `metavariable-regex`: the source of what is bound, matched from its start."""
    _only(entry, where, "metavariable", "regex", "constant-propagation")
    name = as_variable(entry.get("metavariable"), where)
    regex = regex_of(entry.get("regex"), f"{where}.regex")
    follow = entry.get("constant-propagation") is True

    def holds(match: Match, file: ParsedFile) -> Sequence[Env]:
        binding = match.env.get(name)
        if binding is None:
            return ()
        known = _constant(binding, file) if follow else None
        text = str(known.value) if known is not None else binding.text
        answers = file.memory.get(holds)
        if not isinstance(answers, dict):
            answers = file.memory[holds] = {}
        found = answers.get(text)
        if found is None:
            found = answers[text] = regex.starts(text)
        return (match.env,) if found else ()

    return holds


def comparison_condition(entry: Mapping[str, Any], where: str) -> Condition:
    """Compile `metavariable-comparison`: `$X > 5`, `int($X) % 2 == 0`, `re.match("a", $X)`."""
    _only(entry, where, "metavariable", "comparison", "strip", "base")
    text = entry.get("comparison")
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise FormulaError(f"{where}: a comparison is a short text")
    base = entry.get("base", 10)
    if base not in _BASES:
        raise FormulaError(f"{where}: base {base!r} is not supported, only 2, 8, 10 and 16 are")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(_SIGN.sub(_named, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormulaError(f"{where}: {text!r} is not a comparison") from None
    comparison = _Comparison(tree, where, strip=entry.get("strip") is True, base=base)

    def holds(match: Match, file: ParsedFile) -> Sequence[Env]:
        return (match.env,) if comparison.holds(match.env, file) else ()

    return holds


def analysis_condition(entry: Mapping[str, Any], where: str) -> Condition:
    """Compile `metavariable-analysis`: what is bound looks random, or is a regex that explodes."""
    _only(entry, where, "metavariable", "analyzer")
    name = as_variable(entry.get("metavariable"), where)
    analyzer = entry.get("analyzer")
    if analyzer not in {"entropy", "redos"}:
        raise FormulaError(f"{where}: analyzer {analyzer!r} is not supported")

    def holds(match: Match, file: ParsedFile) -> Sequence[Env]:
        from tavo.scan.analyses import can_explode, looks_random

        binding = match.env.get(name)
        if binding is None:
            return ()
        text = _content(binding, file)
        found = looks_random(text) if analyzer == "entropy" else can_explode(text)
        return (match.env,) if found else ()

    return holds


def type_condition(entry: Mapping[str, Any], where: str) -> Condition:
    """Compile `metavariable-type`: what is bound has one of these types where that is plain."""
    _only(entry, where, "metavariable", "type", "types")
    name = as_variable(entry.get("metavariable"), where)
    wanted = entry.get("types", [entry.get("type")])
    if not isinstance(wanted, list) or not all(isinstance(one, str) and one for one in wanted):
        raise FormulaError(f"{where}: expected a text under type, or a list of them under types")
    names = {"".join(one.split()) for one in wanted}
    if names & _TEXT_TYPES:
        names |= _TEXT_TYPES

    def holds(match: Match, file: ParsedFile) -> Sequence[Env]:
        binding = match.env.get(name)
        if binding is None or binding.node is None:
            return ()
        return (match.env,) if types_of(binding.node, file) & names else ()

    return holds


def _named(sign: re.Match[str]) -> str:
    """Return what Python reads as a name for the `$` of a metavariable; texts stay as they are."""
    if sign["text"] is not None:
        return sign["text"]
    return (_SEVERAL_NAME if sign["several"] else "$").replace("$", _VARIABLE)


def _content(binding: Binding, file: ParsedFile) -> str:
    """Return a string's content where that is what is bound, or what it is constantly, or text."""
    node = binding.node
    if node is None:
        return binding.text
    if node.value is not None:
        return node.value
    if node.kind == "regex":
        return (node.label or "").strip("/")
    known = _constant(binding, file)
    return str(known.value) if known is not None else binding.text


def _only(entry: Mapping[str, Any], where: str, *allowed: str) -> None:
    for key in entry:
        if key not in allowed:
            raise unsupported(key, allowed, where)


def _constant(binding: Binding, file: ParsedFile) -> Constant | None:
    known = file.constant(binding.node) if binding.node is not None else None
    return known if known is not None and known.value is not None else None


_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Mod: operator.mod,
}  # fmt: skip
_FAILURES = (LookupError, TypeError, ValueError, ZeroDivisionError, OverflowError)


class _Comparison:
    """One comparison, checked when it is made. Raises FormulaError for what is not supported."""

    def __init__(self, tree: ast.expr, where: str, *, strip: bool, base: int) -> None:
        self.tree = tree
        self.where = where
        self.strip = strip
        self.base = base
        self.regexes: dict[ast.Call, Regex] = {}
        self._check(tree, 0)

    def holds(self, env: Env, file: ParsedFile) -> bool:
        try:
            return bool(self._value(self.tree, env, file))
        except _FAILURES:
            return False

    def _check(self, node: ast.expr, depth: int) -> None:
        parts: Sequence[ast.expr] = ()
        known = depth < 30
        match node:
            case ast.Constant():
                known = known and isinstance(node.value, str | int | float | bool | None)
            case ast.Name(id=name):
                known = known and name.startswith(_VARIABLE)
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                parts = [operand]
            case ast.BoolOp(values=values):
                parts = values
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                parts = [left, right]
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                parts = elements
            case ast.Compare(left=left, ops=ops, comparators=others):
                known = known and all(type(op) in _COMPARISONS for op in ops)
                parts = [left, *others]
            case ast.Call(func=ast.Name(id="int" | "str" | "float" | "len"), args=[one]):
                parts = [one]
            case ast.Call(func=ast.Name(id="today"), args=[], keywords=[]):
                pass
            case ast.Call(func=ast.Name(id="strptime"), args=[one], keywords=[]):
                parts = [one]
            case ast.Call(args=[ast.Constant(value=str(pattern)), text]) if _is_match(node):
                try:
                    self.regexes[node] = scan_regex(pattern)
                except RegexError as error:
                    raise FormulaError(f"{self.where}: {error}") from None
                parts = [text]
            case _:
                known = False
        if not known:
            shown = _written(ast.unparse(node)[:60]) if depth < 30 else "what is nested so deep"
            raise FormulaError(f"{self.where}: {shown!r} in a comparison is not supported")
        for part in parts:
            self._check(part, depth + 1)

    def _value(self, node: ast.expr, env: Env, file: ParsedFile) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._bound(env[_written(name)], file)
            case ast.UnaryOp(op=op, operand=operand):
                inner = self._value(operand, env, file)
                return (not inner) if isinstance(op, ast.Not) else -inner
            case ast.BoolOp(op=op, values=values):
                results = (self._value(v, env, file) for v in values)
                return all(results) if isinstance(op, ast.And) else any(results)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self._value(left, env, file), self._value(right, env, file)
                if isinstance(a, list) or isinstance(b, list):
                    raise ValueError("lists have no sum")
                if isinstance(a, str) != isinstance(b, str) or (
                    isinstance(a, str) and not isinstance(op, ast.Add)
                ):
                    raise ValueError("text and number")
                return _ARITHMETIC[type(op)](a, b)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self._value(e, env, file) for e in elements]
            case ast.Compare(left=left, ops=ops, comparators=others):
                found = [self._value(part, env, file) for part in (left, *others)]
                pairs = zip(ops, found, found[1:], strict=False)
                return all(_COMPARISONS[type(op)](a, b) for op, a, b in pairs)
            case ast.Call(func=ast.Name(id="today")):
                return datetime.now(UTC).date().toordinal()
            case ast.Call(func=ast.Name(id="strptime"), args=[one]):
                text = str(self._value(one, env, file)).strip("\"'")
                return date.fromisoformat(text).toordinal()
            case ast.Call(func=ast.Name(id=name), args=[one]):
                return self._called(name, one, env, file)
            case ast.Call(args=[_, text]):
                return self.regexes[node].starts(str(self._value(text, env, file)))
        raise ValueError(f"{type(node).__name__} has no value")

    def _called(self, name: str, one: ast.expr, env: Env, file: ParsedFile) -> Any:
        if name == "str" and isinstance(one, ast.Name):
            binding = env[_written(one.id)]
            known = _constant(binding, file)
            return str(known.value) if known is not None else binding.text
        value = self._value(one, env, file)
        if name == "int":
            return int(value, self.base) if isinstance(value, str) else int(value)
        if name == "float":
            return float(value)
        return len(value) if name == "len" else str(value)

    def _bound(self, binding: Binding, file: ParsedFile) -> Any:
        known = _constant(binding, file)
        if known is not None and not (self.strip and isinstance(known.value, str)):
            return known.value
        text = binding.text.strip()
        if self.strip:
            text = text.strip("\"'")
        if len(text) > _LONGEST:
            raise ValueError("too long for a comparison")
        try:
            return int(text, self.base)
        except ValueError:
            if binding.node is None or self.strip:
                return text
            raise


def _written(name: str) -> str:
    """Return a metavariable as it is written in the rule."""
    return name.replace(_VARIABLE, "$").replace(_SEVERAL_NAME, "$...")


def _is_match(node: ast.Call) -> bool:
    return ast.unparse(node.func) in {"re.match", "re.search"}
