"""Regular expressions on foreign text: RE2, which needs linear time for any pattern and text.

Rules this module keeps:
- no other module compiles a pattern that comes from outside;
- look-around and back-references, which RE2 does not have, are refused by name;
- an expression has a memory limit, so that a hostile one fails when it is compiled.

Units: spans in bytes of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import re2

__all__ = ["LateError", "Octets", "Regex", "RegexError", "Spans"]

Spans = tuple[tuple[int, int], ...]
"""The spans of a match and of its groups; (-1, -1) for a group that took no part."""

_MEMORY = 32 << 20
_ANYWHERE, _HERE = re2._Anchor.UNANCHORED, re2._Anchor.ANCHOR_START
_LONGEST = 50_000
_LONGEST_SHOWN = 300
_MOST_GROUPS = 200
_LOOK_AROUND = re.compile(r"\(\?(?:=|!|<=|<!)")
_POSSESSIVE = re.compile(r"(?<!\\)[*+?}]\+|\(\?>")
_BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]|\(\?P=")


class RegexError(ValueError):
    """The expression cannot be used; the message says why.

    `backtracking`: an engine that backtracks might run it.
    """

    def __init__(self, message: str, *, backtracking: bool = False) -> None:
        super().__init__(message)
        self.backtracking = backtracking


class LateError(RuntimeError):
    """An expression took too long on a text, or had done so before; the message says which."""


class Regex:
    """One compiled expression. Raises RegexError for what RE2 cannot do.

    `groups` are the names of its groups in their order, the number of one that has no name.
    `plain`: the expression is known to be one of RE2's. Without `captures` its groups are none,
    which is for asking whether it matches.
    """

    def __init__(
        self, pattern: str, *, multiline: bool = False, plain: bool = False, captures: bool = True
    ) -> None:
        if len(pattern) > _LONGEST:
            raise RegexError(f"the expression is longer than {_LONGEST} characters")
        if not plain:
            _check(pattern)
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        options.never_capture = not captures
        text = pattern.replace(r"\Z", r"\z")  # PCRE's spelling
        try:
            self._compiled = re2.compile(f"(?m:{text})" if multiline else text, options)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            shown = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            raise RegexError(f"not a regular expression: {shown[:_LONGEST_SHOWN]}") from None
        if self._compiled.groups > _MOST_GROUPS:
            raise RegexError(f"the expression has more than {_MOST_GROUPS} groups")
        # google-re2's own methods make a generator and an object of each match: twice the time
        self._spans = self._compiled._regexp.Match
        self.pattern = pattern
        names = {number: name for name, number in self._compiled.groupindex.items()}
        self.groups = tuple(
            names.get(number, str(number)) for number in range(1, self._compiled.groups + 1)
        )

    def starts(self, text: str) -> bool:
        """Tell whether the expression matches at the start of a text."""
        return self._compiled.match(text) is not None

    def found_in(self, text: str) -> bool:
        """Tell whether the expression matches anywhere in a text."""
        return self._compiled.search(text) is not None

    def find(self, data: bytes, at: int = 0) -> tuple[int, int] | None:
        """Return the span of the leftmost match that begins at `at` or later.

        What stands before `at` is looked at by `\\b` and `^`, as in a whole text.
        """
        span: tuple[int, int] = self._spans(_ANYWHERE, data, at, len(data))[0]
        return None if span[0] < 0 else span

    def find_at(self, data: bytes, at: int) -> tuple[int, int] | None:
        """Return the span of the match that begins exactly at `at`."""
        span: tuple[int, int] = self._spans(_HERE, data, at, len(data))[0]
        return None if span[0] < 0 else span

    def replaced(self, text: str, replacement: str, *, count: int = 0) -> str:
        """Return a text with matches replaced, at most `count` of them, 0 for all."""
        try:
            return str(self._compiled.sub(replacement, text, count))
        except (re2.error, IndexError):  # the replacement names a group that is not there
            return text

    def matches(self, data: bytes) -> Iterator[Spans]:
        """Yield the spans of each match in UTF-8 and of its groups, in bytes, also empty ones."""
        numbers = range(len(self.groups) + 1)
        for match in self._compiled.finditer(data):
            yield tuple(match.span(number) for number in numbers)


class Octets:
    """Any of some expressions of ours, of which each character is a byte, whatever they encode."""

    def __init__(self, *patterns: bytes) -> None:
        options = re2.Options()
        options.max_mem = _MEMORY
        options.encoding = re2.Options.Encoding.LATIN1
        options.log_errors = False
        self._search = re2.compile(b"|".join(patterns), options).search

    def end_in(self, data: bytes, at: int = 0) -> int:
        """Return where the leftmost match at `at` or later ends, -1 where there is none."""
        match = self._search(data, at)
        return -1 if match is None else int(match.end())


def _check(pattern: str) -> None:
    """Raise RegexError for what RE2 does not have, by its name."""
    for form, reason in (
        (_LOOK_AROUND, "look-around, such as (?=…) or (?!…), is not supported"),
        (_BACK_REFERENCE, "back-references, such as \\1, are not supported"),
        (_POSSESSIVE, "possessive and atomic groups are not supported"),
    ):
        if form.search(pattern):
            raise RegexError(reason, backtracking=True)
