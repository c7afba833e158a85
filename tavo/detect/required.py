"""Which texts must stand in a text that a regular expression matches: any one of a few.

Rules this module keeps:
- the answer is never too small: where it is not sure, it is None, and the expression is tried on
  every text;
- it looks at the expression only, so it takes any time that the expression takes to be read.
"""

from __future__ import annotations

import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as reader  # type: ignore[import-not-found]
import warnings
from collections.abc import Iterable
from typing import Any

__all__ = ["required_texts"]

_MOST = 40
_LONGEST = 60


def required_texts(pattern: str) -> frozenset[str] | None:
    """Return texts, one of which is in every match, in lower case; None where nothing is known."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = reader.parse(pattern.replace(r"\z", r"\Z"))
    except (re.error, RecursionError, OverflowError, ValueError):
        return None
    try:
        best = _Sequence(parsed).best()
    except RecursionError:
        return None
    return None if best is None else frozenset(text.lower() for text in best)


class _Sequence:
    """Walks the parts of a sequence; keeps the most telling set of texts that it met."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = list(items)
        self.found: list[frozenset[str]] = []

    def best(self) -> frozenset[str] | None:
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
        return max(self.found, key=_worth, default=None)

    def _keep(self, run: set[str]) -> None:
        if run and "" not in run:
            self.found.append(frozenset(run))


def _worth(texts: frozenset[str]) -> tuple[int, int]:
    return min(12, min(map(len, texts))), -len(texts)


def _choices(item: Any) -> set[str] | None:
    """Return all texts that a part can match, None where they are not few."""
    kind, value = item
    if kind is codes.LITERAL:
        return {chr(value)}
    if kind is codes.AT:
        return {""}
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
