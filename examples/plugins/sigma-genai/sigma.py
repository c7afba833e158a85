"""Sigma detections -> tests of an event's fields.

Rules this module keeps:
- what a rule asks for and is not done here is refused by name, never read over;
- no regular expression of a rule runs: texts of a log are hostile, and the standard library has no
  engine that is safe on them;
- every test takes time in proportion to the text.

Source: the Sigma specification 2.1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["Missing", "SigmaError", "compile_detection", "values_of"]

Fields = Mapping[str, Any]
Test = Callable[[Fields], bool]
_Piece = tuple[re.Pattern[str], int]
_TEXT_TESTS = frozenset({"contains", "startswith", "endswith"})
_NUMBER_TESTS: dict[str, Callable[[float, float], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}
_KNOWN = _TEXT_TESTS | set(_NUMBER_TESTS) | {"all", "cased", "cidr", "exists", "expand", "neq"}
_PLACEHOLDER = re.compile(r"%([a-z][a-z0-9_]{0,62})%")
_TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z0-9_*.-]+)")
_DEEPEST = 32


class SigmaError(ValueError):
    """A rule that cannot be used; the message is one sentence."""


class Missing(SigmaError):  # noqa: N818 - it is no fault of the rule
    """A rule that waits for a list of the user's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no list {name!r} under values")
        self.name = name


def values_of(fields: Fields, name: str) -> Sequence[Any]:
    """Return what a field holds: by its full name, else by its dotted path; lists are unfolded."""
    found: Any = fields.get(name)
    if found is None and name not in fields:
        found = fields
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if found is None:
        return ()
    return found if isinstance(found, list) else (found,)


def compile_detection(detection: object, lists: Mapping[str, Sequence[str]]) -> Test:
    """Return the test of a rule's `detection`. Raises SigmaError, Missing for a list."""
    if not isinstance(detection, Mapping) or not isinstance(detection.get("condition"), str):
        raise SigmaError("detection: expected selections and a condition")
    named = {
        str(name): _selection(value, lists)
        for name, value in detection.items()
        if name not in {"condition", "timeframe"}
    }
    if "timeframe" in detection:
        raise SigmaError("detection: timeframe is not supported, write a correlation")
    return _Condition(detection["condition"], named).read()


# -- selections


def _selection(value: object, lists: Mapping[str, Sequence[str]]) -> Test:
    if isinstance(value, Mapping) and value:
        tests = [_item(str(key), given, lists) for key, given in value.items()]
        return _all(tests)
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return _any([_selection(one, lists) for one in value])
    raise SigmaError("detection: expected fields with values; keywords alone are not supported")


def _item(key: str, given: object, lists: Mapping[str, Sequence[str]]) -> Test:
    field, *modifiers = key.split("|")
    for one in modifiers:
        if one not in _KNOWN:
            hint = ": give the rule to `tavo logs analyze --rules`" if one == "re" else ""
            raise SigmaError(f"{key}: the modifier {one!r} is not supported{hint}")
    wanted = given if isinstance(given, list) else [given]
    if "expand" in modifiers:
        wanted = [one for text in wanted for one in _expanded(key, text, lists)]
    if "exists" in modifiers:
        there = wanted == [True]
        return lambda fields: bool(values_of(fields, field)) is there
    if wanted == [None]:
        return lambda fields: not values_of(fields, field)
    if not wanted:
        raise SigmaError(f"{key}: holds no value")
    singles = [_single(key, modifiers, one) for one in wanted]
    together = _every if "all" in modifiers else _foreign if "neq" in modifiers else _some
    return lambda fields: together(singles, values_of(fields, field))


def _some(tests: Sequence[Callable[[Any], bool]], values: Sequence[Any]) -> bool:
    return any(test(value) for test in tests for value in values)


def _every(tests: Sequence[Callable[[Any], bool]], values: Sequence[Any]) -> bool:
    return all(any(test(value) for value in values) for test in tests)


def _foreign(tests: Sequence[Callable[[Any], bool]], values: Sequence[Any]) -> bool:
    """Tell whether there is a value that is none of these."""
    return any(not any(test(value) for test in tests) for value in values)


def _expanded(key: str, text: object, lists: Mapping[str, Sequence[str]]) -> Sequence[str]:
    found = _PLACEHOLDER.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise SigmaError(f"{key}: {text!r:.60} is no placeholder like %approved_models%")
    if found[1] not in lists:
        raise Missing(found[1])
    return lists[found[1]]


def _single(key: str, modifiers: Sequence[str], wanted: object) -> Callable[[Any], bool]:
    """Return the test of one value of a field against one value of a rule."""
    kinds = [one for one in modifiers if one in _TEXT_TESTS or one in _NUMBER_TESTS]
    kinds += ["cidr"] if "cidr" in modifiers else []
    if "all" in modifiers and "neq" in modifiers:
        raise SigmaError(f"{key}: all and neq do not go together")
    if len(kinds) > 1:
        raise SigmaError(f"{key}: {' and '.join(kinds)} do not go together")
    kind = kinds[0] if kinds else ""
    if kind == "cidr":
        try:
            network = ipaddress.ip_network(str(wanted), strict=False)
        except ValueError:
            raise SigmaError(f"{key}: {wanted!r:.60} is no network like 10.0.0.0/8") from None
        return lambda value: _address(value) in network if _address(value) else False
    if kind in _NUMBER_TESTS:
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            raise SigmaError(f"{key}: {wanted!r:.60} is no number")
        compare, bound = _NUMBER_TESTS[kind], wanted
        return lambda value: (number := _number(value)) is not None and compare(number, bound)
    if isinstance(wanted, bool):
        return lambda value: value is wanted or str(value).lower() == str(wanted).lower()
    if isinstance(wanted, int | float):
        return lambda value: _number(value) == wanted
    if not isinstance(wanted, str):
        raise SigmaError(f"{key}: expected text, a number, true, false or null")
    return _text_test(kind, wanted, cased="cased" in modifiers)


def _address(value: Any) -> Any:
    try:
        return ipaddress.ip_address(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _text_test(kind: str, wanted: str, *, cased: bool) -> Callable[[Any], bool]:
    pieces = _pieces(wanted if cased else wanted.lower())
    start = kind not in {"contains", "endswith"}
    end = kind not in {"contains", "startswith"}

    def test(value: Any) -> bool:
        if isinstance(value, bool | Mapping | list) or value is None:
            return False
        text = str(value)
        return _globbed(text if cased else text.lower(), pieces, start=start, end=end)

    return test


def _pieces(pattern: str) -> list[_Piece]:
    """Cut a pattern at its stars; a piece has a fixed length, so finding it is not costly."""
    pieces: list[list[str]] = [[]]
    escaped = False
    for char in pattern:
        if escaped:
            pieces[-1] += [char] if char in "*?\\" else ["\\", char]
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "*":
            pieces.append([])
        else:
            pieces[-1].append("" if char == "?" else char)
    pieces[-1] += ["\\"] if escaped else []
    return [
        (re.compile("".join(re.escape(one) or "." for one in piece), re.DOTALL), len(piece))
        for piece in pieces
    ]


def _globbed(text: str, pieces: Sequence[_Piece], *, start: bool, end: bool) -> bool:
    at, last = 0, len(pieces) - 1
    for number, (piece, length) in enumerate(pieces):
        if number == 0 and start:
            found = piece.fullmatch(text) if end and last == 0 else piece.match(text)
        elif number == last and end:
            place = len(text) - length
            return place >= at and piece.fullmatch(text, place) is not None
        else:
            found = piece.search(text, at)
        if found is None:
            return False
        at = found.end()
    return True


# -- conditions


def _all(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda fields: all(test(fields) for test in tests)


def _any(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda fields: any(test(fields) for test in tests)


class _Condition:
    """Reads `a and not (1 of b_* or all of them)`."""

    def __init__(self, text: str, named: Mapping[str, Test]) -> None:
        self._text = text
        self._named = named
        self._words: list[str] = []
        self._deep = 0
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise SigmaError(f"condition: {text[at : at + 20]!r} is not understood")
            self._words.append(found[1])
            at = found.end()

    def read(self) -> Test:
        test = self._or()
        if self._words:
            raise SigmaError(f"condition: {self._words[0]!r} was not expected")
        return test

    def _next(self) -> str:
        return self._words[0].lower() if self._words else ""

    def _or(self) -> Test:
        tests = [self._and()]
        while self._next() == "or":
            self._words.pop(0)
            tests.append(self._and())
        return _any(tests)

    def _and(self) -> Test:
        tests = [self._not()]
        while self._next() == "and":
            self._words.pop(0)
            tests.append(self._not())
        return _all(tests)

    def _not(self) -> Test:
        self._deep += 1
        if self._deep > _DEEPEST:
            raise SigmaError("condition: nested too deep")
        try:
            if self._next() == "not":
                self._words.pop(0)
                test = self._not()
                return lambda fields: not test(fields)
            return self._one()
        finally:
            self._deep -= 1

    def _one(self) -> Test:
        word = self._words.pop(0) if self._words else ""
        if word == "(":
            test = self._or()
            if self._next() != ")":
                raise SigmaError("condition: a ) is missing")
            self._words.pop(0)
            return test
        if word.lower() in {"1", "any", "all"} and self._next() == "of":
            self._words.pop(0)
            return self._of(word.lower(), self._words.pop(0) if self._words else "")
        if word not in self._named:
            raise SigmaError(f"condition: there is no selection {word!r}")
        return self._named[word]

    def _of(self, how: str, pattern: str) -> Test:
        if pattern == "them":
            chosen = [test for name, test in self._named.items() if not name.startswith("_")]
        else:
            start, star, rest = pattern.partition("*")
            chosen = [
                test for name, test in self._named.items()
                if (name.startswith(start) and name.endswith(rest) if star else name == pattern)
            ]  # fmt: skip
        if not chosen:
            raise SigmaError(f"condition: no selection is named like {pattern!r}")
        return _all(chosen) if how == "all" else _any(chosen)
