"""A text that still grows, and what rules find in it: what is final may be let go.

Rules this module keeps:
- several sets of rules look at the same text, each for itself; a place is final when it is final
  for all of them;
- what is found does not depend on how the text was cut into pieces;
- only the end that is not final is kept, and one byte before it, because rules look back at it.

Units: positions in bytes of UTF-8 from the start of the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from tavo.detect.rules import Match, RuleSet

__all__ = ["Live"]


class Live:
    """One text under way. `final` is where the part begins that may still change its meaning."""

    __slots__ = ("_at", "_buffer", "_offset", "_rejected", "_sets", "closed", "final")

    def __init__(self, sets: Sequence[RuleSet]) -> None:
        self._sets = sets
        self._buffer = b""
        self._offset = 0
        self._at = [0] * len(sets)
        self._rejected = [0] * len(sets)
        self.final = 0
        self.closed = False

    @property
    def length(self) -> int:
        """How much of the text is known."""
        return self._offset + len(self._buffer)

    def feed(self, data: bytes, *, close: bool = False) -> list[list[Match]]:
        """Take the next piece; return for each set the matches that became final."""
        self._buffer += data
        self.closed = close
        offset, buffer = self._offset, self._buffer
        answer: list[list[Match]] = []
        final = len(buffer)
        for number, rules in enumerate(self._sets):
            matches, at, self._rejected[number] = rules.scan(
                buffer, self._at[number] - offset, closed=close, rejected=self._rejected[number]
            )
            self._at[number] = at + offset
            final = min(final, at)
            if matches and offset:
                matches = [Match(one.start + offset, one.end + offset, one.rule) for one in matches]
            answer.append(matches)
        self.final = final + offset
        kept = max(final - 1, 0)
        if kept:
            self._buffer = buffer[kept:]
            self._offset = offset + kept
        return answer
