"""Regular expressions on foreign text: RE2, which needs linear time for any pattern and text.

Rules this module keeps:
- no other module compiles a pattern that comes from outside;
- look-around and back-references, which RE2 does not have, are refused by name;
- an expression has a memory limit, so that a hostile one fails when it is compiled.

Units: spans in code points.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import re2

__all__ = ["Regex", "RegexError"]

_MEMORY = 32 << 20
_LONGEST = 50_000
_LOOK_AROUND = re.compile(r"\(\?(?:=|!|<=|<!)")
_POSSESSIVE = re.compile(r"(?<!\\)[*+?}]\+|\(\?>")
_BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]|\(\?P=")


class RegexError(ValueError):
    """The expression cannot be used; the message says why."""


class Regex:
    """One compiled expression. Raises RegexError for what RE2 cannot do."""

    def __init__(self, pattern: str, *, multiline: bool = False) -> None:
        if len(pattern) > _LONGEST:
            raise RegexError(f"the expression is longer than {_LONGEST} characters")
        if _LOOK_AROUND.search(pattern):
            raise RegexError("look-around, such as (?=…) or (?!…), is not supported")
        if _BACK_REFERENCE.search(pattern):
            raise RegexError("back-references, such as \\1, are not supported")
        if _POSSESSIVE.search(pattern):
            raise RegexError("possessive and atomic groups are not supported")
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        text = pattern.replace(r"\Z", r"\z")  # PCRE's spelling
        try:
            self._compiled = re2.compile(f"(?m:{text})" if multiline else text, options)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            shown = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            raise RegexError(f"not a regular expression: {shown}") from None
        self.pattern = pattern

    def starts(self, text: str) -> bool:
        """Tell whether the expression matches at the start of a text."""
        return self._compiled.match(text) is not None

    def found_in(self, text: str) -> bool:
        """Tell whether the expression matches anywhere in a text."""
        return self._compiled.search(text) is not None

    def replaced(self, text: str, replacement: str, *, count: int = 0) -> str:
        """Return a text with matches replaced, at most `count` of them, 0 for all."""
        try:
            return str(self._compiled.sub(replacement, text, count))
        except (re2.error, IndexError):  # the replacement names a group that is not there
            return text

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield start and end of each match, in code points, without empty matches."""
        for match in self._compiled.finditer(text):
            start, end = match.span()
            if end > start:
                yield start, end
