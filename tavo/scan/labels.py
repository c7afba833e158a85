"""What a taint rule's `requires` asks of the labels of a value.

Rules this module keeps:
- an expression is names, `and`, `or`, `not` and parentheses; nothing in it is ever run as code;
- a name that no source of the rule has as its label is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["Requirement", "requirement"]

Requirement = Callable[[frozenset[str]], bool]

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|[()])")
_DEEPEST = 50


def requirement(text: object, labels: frozenset[str]) -> Requirement:
    """Compile an expression over labels. Raises ValueError that says what is wrong."""
    if not isinstance(text, str):
        raise ValueError("expected an expression such as A and not B")
    return _Parser(text, labels).whole()


class _Parser:
    def __init__(self, text: str, labels: frozenset[str]) -> None:
        self.text = text.strip()
        self.labels = labels
        self.tokens: list[str] = []
        self.at = 0
        position = 0
        while position < len(self.text):
            found = _TOKEN.match(self.text, position)
            if found is None:
                raise ValueError(f"{self.text[position:].strip()[:20]!r} is not understood")
            self.tokens.append(found.group(1))
            position = found.end()

    def whole(self) -> Requirement:
        test = self._either(0)
        if self.at < len(self.tokens):
            raise ValueError(f"{self.tokens[self.at]!r} is not expected there")
        return test

    def _take(self, *wanted: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] in wanted:
            self.at += 1
            return True
        return False

    def _either(self, depth: int) -> Requirement:
        tests = [self._both(depth)]
        while self._take("or"):
            tests.append(self._both(depth))
        return tests[0] if len(tests) == 1 else lambda labels: any(t(labels) for t in tests)

    def _both(self, depth: int) -> Requirement:
        tests = [self._one(depth)]
        while self._take("and"):
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda labels: all(t(labels) for t in tests)

    def _one(self, depth: int) -> Requirement:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if self._take("not"):
            test = self._one(depth + 1)
            return lambda labels: not test(labels)
        if self._take("("):
            test = self._either(depth + 1)
            if not self._take(")"):
                raise ValueError("a parenthesis is not closed")
            return test
        if self.at >= len(self.tokens):
            raise ValueError("the expression ends too early")
        name = self.tokens[self.at]
        if name in {"and", "or", ")"}:
            raise ValueError(f"{name!r} is not expected there")
        if name not in self.labels:
            raise ValueError(f"no source of the rule has the label {name!r}")
        self.at += 1
        return lambda labels: name in labels
