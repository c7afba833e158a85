"""The condition of a Sigma rule -> a tree of `all`, `any`, `not` and field tests.

Rules this module keeps:
- words are `and`, `or`, `not`, `1 of`, `all of`, `them`, parentheses and names of selections;
- names that begin with an underscore are left out of `them`; a pattern that matches no name is
  refused, because such a rule would find nothing and look as if it worked.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from tavo.logs.sigma.tests import FieldTest, SigmaError, compile_item

__all__ = ["All", "Any_", "Not", "Tree", "parse_condition", "selection"]

_DEEPEST = 50


class All:
    """Accepts what every part accepts."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[Tree]) -> None:
        self.parts = parts


class Any_:  # noqa: N801
    """Accepts what one part accepts."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[Tree]) -> None:
        self.parts = parts


class Not:
    """Accepts what its part does not."""

    __slots__ = ("part",)

    def __init__(self, part: Tree) -> None:
        self.part = part


Tree = All | Any_ | Not | FieldTest


def selection(value: Any) -> Tree:
    """Return the tree of one named detection: a map, a list of maps, or keywords."""
    if isinstance(value, Mapping):
        parts: list[Tree] = []
        for key, entry in value.items():
            if not isinstance(key, str):
                raise SigmaError(f"{key!r} is not the name of a field")
            field, *modifiers = key.split("|")
            every = compile_item(field or None, modifiers, entry)
            parts.extend(_any(list(tests)) for tests in every)
        if not parts:
            raise SigmaError("a detection is empty")
        return parts[0] if len(parts) == 1 else All(parts)
    if isinstance(value, list):
        if not value:
            raise SigmaError("a detection is an empty list")
        if all(isinstance(one, Mapping) for one in value):
            return _any([selection(one) for one in value])
        if any(isinstance(one, Mapping | list) for one in value):
            raise SigmaError("a list of a detection holds both texts and maps")
        return _any(list(compile_item(None, (), list(value))[0]))
    if isinstance(value, str | int | float):
        return _any(list(compile_item(None, (), value)[0]))
    raise SigmaError("a detection is neither a map nor a list")


def _any(parts: list[Any]) -> Tree:
    return parts[0] if len(parts) == 1 else Any_(parts)


def parse_condition(text: str, named: Mapping[str, Tree]) -> Tree:
    """Return the tree of a condition over named selections. Raises SigmaError."""
    words = text.replace("(", " ( ").replace(")", " ) ").split()
    if "|" in words:
        raise SigmaError("aggregations with '|' are of Sigma 1; use a correlation rule")
    parser = _Parser(words, named)
    tree = parser.any_of(0)
    if parser.at < len(words):
        raise SigmaError(f"the condition does not go on with {words[parser.at]!r}")
    return tree


class _Parser:
    def __init__(self, words: list[str], named: Mapping[str, Tree]) -> None:
        self.words = words
        self.named = named
        self.at = 0

    def _word(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def any_of(self, depth: int) -> Tree:
        if depth > _DEEPEST:
            raise SigmaError("the condition is nested too deeply")
        parts = [self._all_of(depth)]
        while self._word().lower() == "or":
            self.at += 1
            parts.append(self._all_of(depth))
        return _any(parts)

    def _all_of(self, depth: int) -> Tree:
        parts = [self._one(depth)]
        while self._word().lower() == "and":
            self.at += 1
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(parts)

    def _one(self, depth: int) -> Tree:
        negated = False
        while self._word().lower() == "not":
            negated = not negated
            self.at += 1
        tree = self._primary(depth)
        return Not(tree) if negated else tree

    def _primary(self, depth: int) -> Tree:
        word = self._word()
        if not word:
            raise SigmaError("the condition ends too early")
        self.at += 1
        if word == "(":
            tree = self.any_of(depth + 1)
            if self._word() != ")":
                raise SigmaError("the condition lacks a closing parenthesis")
            self.at += 1
            return tree
        if word.lower() in {"1", "any", "all"} and self._word().lower() == "of":
            self.at += 1
            pattern = self._word()
            self.at += 1
            return self._quantified(word.lower() == "all", pattern)
        if word in self.named:
            return self.named[word]
        raise SigmaError(f"the condition names {word!r}, and there is no such detection")

    def _quantified(self, every: bool, pattern: str) -> Tree:
        if pattern.lower() == "them":
            names = [name for name in self.named if not name.startswith("_")]
        else:
            names = [name for name in self.named if fnmatch.fnmatchcase(name, pattern)]
        if not names:
            raise SigmaError(f"the condition names {pattern!r}, and there is no such detection")
        parts = [self.named[name] for name in names]
        if len(parts) == 1:
            return parts[0]
        return All(parts) if every else Any_(parts)
