"""Rules about text, all of a set in one pass of RE2, on a whole text or on one that still grows.

Rules this module keeps:
- a match is leftmost; where several rules match at one place, the first of the set has it;
- a rule may have a check of its own (a sum of digits, say). What fails it is no match, and the
  search goes on one character later, so that it hides nothing;
- a rule may cut what it matched to the part from its beginning that it means: a number that is
  followed by another one. The search goes on behind that part. What follows the match is not
  looked at, so a cut is as final as the match was;
- after `_MOST_REJECTED` candidates that failed their check, a text is taken for hostile, and every
  candidate counts as a match: more is found, never less;
- what is called final stays as it is, whatever follows in the text.

Units: positions in bytes of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tavo.detect.growing import derive
from tavo.detect.regex import Regex, RegexError

__all__ = ["Match", "Rule", "RuleSet", "from_bytes", "to_bytes"]

_MOST_REJECTED = 4_000
_MOST_ASKED = 16
"""So many times one look asks where a text is open; what it has not reached then stays open."""


_EDGES = re.compile(r"(?<!\[)\^|\\\[\^|\$|\\[AzZ]")
"""What may ask where a text begins or ends; what is none in a class is taken for it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to look for in a text. `label` names what it is, such as EMAIL.

    `check` is asked about the matched text; it is short, and says no to what only looks like it.
    `cut` is asked before it how many characters of the matched text are meant, at least 1.
    `not_after` are characters of ASCII: right behind one of them there is no match.
    """

    id: str
    pattern: str
    label: str = ""
    check: Callable[[str], bool] | None = None
    cut: Callable[[str], int] | None = None
    not_after: str = ""


class Match(NamedTuple):
    """A place in a text and the rule that holds there."""

    start: int
    end: int
    rule: Rule


class RuleSet:
    """Rules that are looked for together. Raises RegexError, which begins with the rule's id.

    `is_local`: no rule asks where the text begins or ends, so that a text between two quotes is
    looked at as the text alone is. Without a match of `candidate` there is none of any rule.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        matches, holds = [], []
        for rule in self.rules:
            try:
                grown = derive(rule.pattern)
            except RegexError as error:
                raise RegexError(f"{rule.id}: {error}", backtracking=error.backtracking) from None
            matches.append(grown.match)
            holds.append(grown.hold)
        try:
            self._each = [Regex(match, plain=True) for match in matches]
            self.candidate = "|".join(matches)
            self._any = Regex(self.candidate, plain=True)
            self.is_local = not any(_EDGES.search(rule.pattern) for rule in self.rules)
            self._open = Regex(rf"(?:{'|'.join(dict.fromkeys(holds))})", plain=True)
        except RegexError as error:
            raise RegexError(f"the rules together: {error}") from None

    def found_in(self, text: str) -> list[Match]:
        """Return the matches in a whole text."""
        return self.scan(to_bytes(text), 0, closed=True)[0]

    def scan(
        self, data: bytes, at: int, *, closed: bool, rejected: int = 0
    ) -> tuple[list[Match], int, int]:
        """Return the matches from `at` on that are final, where to go on, and what was rejected.

        `closed`: nothing follows. `rejected` is what the earlier calls for this text returned.
        """
        found: list[Match] = []
        limit, asked = len(data) + 1 if closed else -1, 0
        while True:
            if at >= limit and not closed:
                # the leftmost open place stays where it is until a match has covered it
                asked += 1
                if asked > _MOST_ASKED:
                    return found, at, rejected  # the rest waits, so that the cost is linear
                hold = self._open.find(data, at)
                limit = len(data) if hold is None else hold[0]
                if limit <= at:
                    return found, at, rejected
            span = self._any.find(data, at)
            if span is None or span[0] >= limit:
                return found, min(limit, len(data)), rejected
            match = self._resolved(data, span, rejected)
            if match is None:
                rejected += 1
                at = _next(data, span[0])
            else:
                found.append(match)
                at = match.end

    def _resolved(self, data: bytes, span: tuple[int, int], rejected: int) -> Match | None:
        """Return the first rule that holds where a candidate begins."""
        start, end = span
        single = len(self.rules) == 1
        for rule, regex in zip(self.rules, self._each, strict=True):
            if not single:
                own = regex.find_at(data, start)
                if own is None:
                    continue
                end = own[1]
            if rejected >= _MOST_REJECTED:
                return Match(start, end, rule)
            if rule.not_after and start and chr(data[start - 1]) in rule.not_after:
                continue
            if rule.check is None and rule.cut is None:
                return Match(start, end, rule)
            text = from_bytes(data[start:end])
            if rule.cut is not None:
                text = text[: rule.cut(text)]
                end = start + len(to_bytes(text))
            if rule.check is None or rule.check(text):
                return Match(start, end, rule)
        return None


def to_bytes(text: str) -> bytes:
    """Return a text in the form that is searched; halves of surrogate pairs survive it."""
    return text.encode("utf-8", "surrogatepass")


def from_bytes(data: bytes) -> str:
    """Return the text again."""
    return data.decode("utf-8", "surrogatepass")


def _next(data: bytes, at: int) -> int:
    """Return where the next character begins."""
    at += 1
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at
