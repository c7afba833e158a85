"""Constants as values: of a literal, of a sum of constants, of two that may be either.

Rules this module keeps:
- what is not certain is not known: no answer is always allowed;
- values are bounded, however long the sum that makes them.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tavo.scan.tree import Node

__all__ = ["Constant", "State", "Value", "applied", "join", "joined", "number"]

_LONGEST_STRING = 10_000


class Constant(msgspec.Struct, frozen=True):
    """A value of a kind: `str`, `int`, `float`, `bool`, `none`; None where only its kind is."""

    kind: str
    value: str | int | float | bool | None


# What a name is bound to: a constant, an expression, or (None) something unknown.
Value = Constant | Node
State = dict[str, Value]


def number(label: str) -> Constant | None:
    """Return the value of a number as it is written in source, None for a complex one."""
    text = label.replace("_", "").rstrip("lL")
    try:
        if text[:1] == "0" and text.isdigit():
            return Constant("int", int(text, 8))
        return Constant("int", int(text, 0))
    except ValueError:
        pass
    try:
        return Constant("float", float(text))
    except ValueError:
        return None


def applied(op: str, left: Constant, right: Constant) -> Constant | None:
    a, b = left.value, right.value
    if left.kind == right.kind == "str":
        if op != "+":
            return None
        known = isinstance(a, str) and isinstance(b, str) and len(a) + len(b) < _LONGEST_STRING
        return Constant("str", str(a) + str(b) if known else None)
    if left.kind == "str" and right.kind == "int" and op == "*":
        return Constant("str", None)
    if {left.kind, right.kind} <= {"int", "float"} and "float" in {left.kind, right.kind}:
        return Constant("float", None)
    if left.kind != "int" or right.kind != "int":
        return None
    if not isinstance(a, int) or not isinstance(b, int) or max(abs(a), abs(b)) > 1 << 64:
        return Constant("int", None) if op in {"+", "-", "*"} else None
    if op == "+":
        return Constant("int", a + b)
    if op == "-":
        return Constant("int", a - b)
    return Constant("int", a * b) if op == "*" else None


def joined(a: Value, b: Value) -> Value | None:
    if a is b or (isinstance(a, Constant) and a == b):
        return a
    if isinstance(a, Constant) and isinstance(b, Constant) and a.kind == b.kind:
        return Constant(a.kind, None)
    return None


def join(states: Iterable[State | None]) -> State | None:
    """Join the states of ways that come together; None is a way that ended."""
    result: State | None = None
    for state in states:
        if state is None:
            continue
        if result is None:
            result = state
            continue
        merged_state: State = {}
        for name, value in result.items():
            other = state.get(name)
            merged = joined(value, other) if other is not None else None
            if merged is not None:
                merged_state[name] = merged
        result = merged_state
    return result
