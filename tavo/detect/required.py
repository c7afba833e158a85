"""Which texts must stand in a text that a regular expression matches: any one of a few.

Rules this module keeps:
- the answer is never too small: where it is not sure, it is empty, and the expression is tried on
  every text;
- a blank in an answer stands for white space of any length and kind;
- it looks at the expression only, so it takes any time that the expression takes to be read.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

__all__ = ["frequency", "required_texts"]

# The standard library's reader of expressions; CPython 3.11 and later have it at this place.
codes: Any = import_module("re._constants")
reader: Any = import_module("re._parser")

_SPACE = [(codes.CATEGORY, codes.CATEGORY_SPACE)]

_MOST = 160
_MOST_SETS = 4
_LONGEST = 60
_FREQUENT = frozenset({
    "the", "and", "for", "with", "that", "this", "from", "have", "not", "are", "was", "you",
    "your", "user", "system", "assistant", "content", "role", "message", "messages", "model",
    "tool", "tools", "data", "text", "name", "type", "input", "output", "prompt", "response",
    "request", "function", "arguments", "index", "stop", "true", "false", "null", "write", "read",
    "file", "list", "show", "print", "give", "start", "begin", "create", "generate", "new", "all",
    "any", "only", "when", "where", "what", "which", "http://", "https://", "key", "token",
    "time", "value", "error", "code", "use", "using", "used", "end", "call", "openai",
    "anthropic", "safety", "api_key", "address", "host", "email", "password",
})  # fmt: skip


def required_texts(pattern: str) -> tuple[frozenset[str], ...]:
    """Return sets of texts in lower case; of each set one text is in every match.

    The most telling set comes first; there is none where nothing is known.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = reader.parse(pattern.replace(r"\z", r"\Z"))
        return tuple(_Sequence(parsed).every())[:_MOST_SETS]
    except (re.error, RecursionError, OverflowError, ValueError):
        return ()


class _Sequence:
    """Walks the parts of a sequence; keeps the most telling set of texts that it met."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = list(items)
        self.found: list[frozenset[str]] = []

    def best(self) -> frozenset[str] | None:
        """Return the most telling set."""
        return next(iter(self.every()), None)

    def every(self) -> list[frozenset[str]]:
        """Return all sets, the most telling first."""
        run = {""}
        for item in self.items:
            choices = _choices(item)
            if choices is not None and len(run) * len(choices) <= _MOST:
                run = {head + tail for head in run for tail in choices}
                if max(map(len, run)) <= _LONGEST:
                    continue
            self._keep(run)
            run = {""}
            if choices is not None:
                run = set(choices) if len(choices) <= _MOST else {""}
            elif (inner := _inside(item)) is not None:
                self.found.append(inner)
        self._keep(run)
        low = [frozenset(text.lower() for text in one) for one in self.found]
        return sorted(dict.fromkeys(low), key=_worth)

    def _keep(self, run: set[str]) -> None:
        if run and "" not in run:
            self.found.append(_shortest(run))


def _worth(texts: frozenset[str]) -> float:
    """Return how often one of the texts stands in a record, roughly: the rarer, the better."""
    return sum(map(frequency, texts))


def frequency(text: str) -> float:
    """Return how often a text stands in a record of a log, roughly."""
    bare = text.strip()
    if bare in _FREQUENT:
        return 1.0
    length = len(bare)
    if length < 3 or bare.replace(".", "").isdigit():
        return 4.0
    letters = sum(map(str.isalpha, bare))
    return 0.3 * 0.45 ** (min(length, 10) - 3) * (1.0 if letters == length else 0.05)


def _shortest(texts: set[str]) -> frozenset[str]:
    """Return the texts without those that hold another one."""
    kept: list[str] = []
    for text in sorted(texts, key=len):
        if not any(one in text for one in kept):
            kept.append(text)
    return frozenset(kept)


def _choices(item: Any) -> set[str] | None:
    """Return all texts that a part can match, None where they are not few."""
    kind, value = item
    if kind is codes.LITERAL:
        return {chr(value)}
    if kind is codes.AT:
        return {""}
    if kind is codes.IN and value == _SPACE:
        return {" "}
    if kind is codes.IN:
        out = set()
        for sub, what in value:
            if sub is codes.LITERAL:
                out.add(chr(what).lower())
            elif sub is codes.RANGE and what[1] - what[0] < 4:
                out |= {chr(one).lower() for one in range(what[0], what[1] + 1)}
            else:
                return None
        return out if len(out) <= 4 else None
    if kind is codes.SUBPATTERN:
        return _all_of(value[3])
    if kind is codes.BRANCH:
        out = set()
        for branch in value[1]:
            texts = _all_of(branch)
            if texts is None:
                return None
            out |= texts
        return out if len(out) <= _MOST else None
    if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        least, most, inner = value
        if list(inner) == [(codes.IN, _SPACE)]:
            return {" "} if least == 1 else {"", " "} if least == 0 else None
        if most == 1 and least == 0:
            texts = _all_of(inner)
            return None if texts is None else texts | {""}
        if least == most == 1:
            return _all_of(inner)
    return None


def _all_of(items: Iterable[Any]) -> set[str] | None:
    run = {""}
    for item in items:
        texts = _choices(item)
        if texts is None or len(run) * len(texts) > _MOST:
            return None
        run = {head + tail for head in run for tail in texts}
    return run


def _inside(item: Any) -> frozenset[str] | None:
    """Return what a part needs that can match more than a few texts."""
    kind, value = item
    if kind is codes.SUBPATTERN:
        return _Sequence(value[3]).best()
    if kind is codes.BRANCH:
        out: set[str] = set()
        for branch in value[1]:
            texts = _Sequence(branch).best()
            if texts is None:
                return None
            out |= texts
        return frozenset(out) if len(out) <= 4 * _MOST else None
    if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT) and value[0] >= 1:
        return _Sequence(value[2]).best()
    return None
